"""`sightline serve` before it starts: what the command line says runs instead of what the file says."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sightline.cli.main import app

KEYLESS = '[[upstreams]]\nurls = ["http://127.0.0.1:1"]\nkey_env = "NO_SUCH_KEY"\n'


def sentence_of(*arguments: str) -> str:
    """What a start that fails says."""
    result = CliRunner().invoke(app, ["serve", *arguments])
    assert result.exit_code == 1, result.exception
    assert result.stdout == ""
    return " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("said", "flags"),
    [
        (KEYLESS, ("--upstream", "http://127.0.0.1:2")),
        ("[[engines]]\nkindness = 1\n", ("--model", "paddleocr/pp-ocr-v6-small/fp-32")),
        ("aliases = 1\n", ("--alias", "a=b")),
    ],
)
def test_what_a_flag_replaces_need_not_be_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, flags: tuple[str, ...]
) -> None:
    """Redis is looked at last: a start that comes so far has taken the rest."""
    monkeypatch.setenv("SIGHTLINE_REDIS", "localhost:6379")
    file = tmp_path / "sightline.toml"
    file.write_text(said)
    start = ("--config", str(file), "--data", str(tmp_path))

    assert "redis://" in sentence_of(*start, *flags)
    assert "redis://" not in sentence_of(*start)


@pytest.mark.parametrize(
    ("urls", "shown"),
    [
        ("foo", "foo"),
        ("http://one,two", "http://one,two"),
        ("http://one:99999", "http://one:99999"),
        ("http://me:quokka@one", "one"),
    ],
)
def test_upstream_that_is_no_address_is_a_sentence(urls: str, shown: str) -> None:
    assert sentence_of("--upstream", urls) == (
        f"error: --upstream {shown}: give addresses like http://10.0.0.1:8000, parted by commas."
    )
