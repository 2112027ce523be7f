"""`sightline keys`, and what every command says about itself and about its mistakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sightline import __version__
from sightline.cli.main import app

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command with the data folder in a temporary place."""
    monkeypatch.setenv("SIGHTLINE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("INFERENCE_API_KEY", raising=False)
    monkeypatch.delenv("SIGHTLINE_BASE_URL", raising=False)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def test_made_key_is_all_of_standard_output(run: Run) -> None:
    result = run("keys", "create", "Ada")

    assert result.exit_code == 0
    assert result.stdout.strip().startswith("sk-sl-")
    assert len(result.stdout.split()) == 1
    assert "for Ada" in result.stderr


@pytest.mark.parametrize("name", ["Ada", "[bold]Ada", "[/x]", "é" * 50])
def test_list_has_names_as_they_are_and_never_the_key(run: Run, name: str) -> None:
    secret = run("keys", "create", name).stdout.strip()

    result = run("keys", "list")

    assert result.exit_code == 0, result.output
    assert name in result.stdout
    assert f"…{secret[-4:]}" in result.stdout
    assert secret not in result.output


def test_revoked_key_is_shown_as_such(run: Run) -> None:
    run("keys", "create", "Ada")
    key_id = next(word for word in run("keys", "list").stdout.split() if word.startswith("key_"))

    assert run("keys", "revoke", key_id).exit_code == 0
    assert "revoked" in run("keys", "list").stdout
    again = run("keys", "revoke", key_id)
    assert again.exit_code == 1
    assert "No valid key has the id" in again.stderr


def test_folder_that_cannot_be_used_is_a_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    result = run("keys", "list", "--data", str(tmp_path / "file"))

    assert result.exit_code == 1
    assert result.stderr.startswith("error: The data folder")


@pytest.mark.parametrize(
    "command", [[], ["serve"], ["ask"], ["models"], ["keys"], ["keys", "create"], ["keys", "list"], ["keys", "revoke"]]
)
def test_help_is_there_for_every_command(run: Run, command: list[str]) -> None:
    result = run(*command, "--help")

    assert result.exit_code == 0
    assert "Usage: " in result.stdout


def test_version(run: Run) -> None:
    assert run("--version").stdout.strip() == f"sightline {__version__}"


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({}, "INFERENCE_API_KEY is not set"),
        ({"INFERENCE_API_KEY": "sk-sl-…"}, "characters that no key has"),
        ({"INFERENCE_API_KEY": "k", "SIGHTLINE_BASE_URL": "http://127.0.0.1:1/v1"}, "Nothing answers on"),
        ({"INFERENCE_API_KEY": "k", "SIGHTLINE_BASE_URL": "127.0.0.1:8000"}, "which is no address"),
        ({"INFERENCE_API_KEY": "k", "SIGHTLINE_BASE_URL": "http://a:b"}, "which is no address"),
    ],
)
def test_service_that_cannot_be_reached_is_a_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], sentence: str
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    result = run("models")

    assert result.exit_code == 1, result.exception
    assert sentence in result.stderr


def test_picture_that_cannot_be_sent_is_a_sentence(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INFERENCE_API_KEY", "k")

    other, missing = run("ask", "x.svg", "What?"), run("ask", str(tmp_path / "none.png"), "What?")

    assert "send a png, jpeg, webp or gif" in other.stderr
    assert "cannot be read: No such file" in missing.stderr
    assert other.exit_code == missing.exit_code == 1
