"""`sightline estimate` and `sightline fit`: tables, files, exit status; nothing of the sender's is overwritten."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sightline.cli.main import app
from sightline.settings import BUNDLED
from support.models import IMAGE_TOKENS, with_pictures
from support.pictures import encoded, picture, png_header, quarters

MODEL = next(iter(BUNDLED))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.png").write_bytes(picture(width=640, height=480))
    (tmp_path / "large.png").write_bytes(encoded(quarters(3000, 2000)))
    (tmp_path / "note.txt").write_text("no picture")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "220", "TERM": "dumb"})


def test_estimate_shows_sizes_tokens_and_price(folder: Path) -> None:
    result = run("estimate", "small.png", "--model", MODEL, "--price", "0.00001")

    assert result.exit_code == 0, result.output
    _, row, price, *_ = (line.split() for line in result.output.splitlines())
    size = f"{len(picture(width=640, height=480)):,}"
    assert row == ["small.png", "png", "640", "×", "480", size, "1,830", f"{IMAGE_TOKENS}", "yes"]
    assert price == [f"${IMAGE_TOKENS / 100_000:.5f}"]


def test_estimate_takes_prices_from_the_services_file_without_its_secrets(folder: Path) -> None:
    (folder / "service.toml").write_text(
        f'[prices."{MODEL}"]\nprompt = "0.00001"\n'
        '[[upstreams]]\nurls = ["http://127.0.0.1:9"]\nkey_env = "NOWHERE_KEY"\nmodels = [{id = "far"}]\n'
    )

    result = run("estimate", "small.png", "--model", MODEL, "--config", "service.toml")

    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[2].split() == [f"${IMAGE_TOKENS / 100_000:.5f}"]


def test_estimate_knows_a_model_by_the_alias_of_the_services_file(folder: Path) -> None:
    (folder / "service.toml").write_text(f'[aliases]\n"gpt-4o" = "{MODEL}"\n')

    result = run("estimate", "small.png", "--model", "gpt-4o", "--config", "service.toml")

    assert result.exit_code == 0, result.output
    assert str(IMAGE_TOKENS) in result.output
    assert "neither a folder nor a model" in run("estimate", "small.png", "--model", "gpt-4o").output


def test_estimate_says_whose_tokens_are_not_all(folder: Path) -> None:
    """The service reads the text in a picture for some models, which only a count of a whole request holds."""
    with_pictures(folder / "unread")

    usual, unread, whole = (
        run("estimate", "small.png", *flags) for flags in ((), ("--model", "unread"), ("--prompt", "What is it?"))
    )

    *_, gap, sentence = usual.output.splitlines()
    said = re.escape("; --prompt TEXT counts a whole request exactly.")
    assert gap == ""
    assert re.fullmatch(f"{MODEL} is also read the text in a picture, up to [0-9,]+ characters of it{said}", sentence)
    assert "is also read" not in unread.output + whole.output


def test_estimate_counts_closer_views(folder: Path) -> None:
    with_pictures(folder / "closer", pan_and_scan_min_crop_size=64)

    low, high = (run("estimate", "small.png", "--model", "closer", "--detail", one) for one in ("low", "high"))

    assert low.exit_code == high.exit_code == 0, low.output + high.output
    assert low.output.splitlines()[-1].split()[-2:] == [f"{IMAGE_TOKENS}", "yes"]
    *_, row, views = (line.split() for line in high.output.splitlines())
    assert row[-2:] == [f"{3 * IMAGE_TOKENS}", "yes"]
    assert views == ["3", "views"]


def test_estimate_of_a_prompt_counts_the_request(folder: Path) -> None:
    result = run("estimate", "small.png", "--model", MODEL, "--prompt", "What is it?")

    assert result.exit_code == 0, result.output
    assert "one request to" in result.output
    assert result.output.splitlines()[-1].split()[2] == f"{IMAGE_TOKENS}"


def test_estimate_says_what_does_not_fit_and_why(folder: Path) -> None:
    (folder / "huge.png").write_bytes(png_header(7_812, 7_812))

    result = run("estimate", "small.png", "huge.png", "note.txt", "--model", MODEL)

    assert result.exit_code == 1
    words = " ".join(result.output.split())
    assert "huge.png: image 1 is 7,812 × 7,812" in words
    assert "is text" in words


@pytest.mark.parametrize("arguments", [["--price", "cheap"], ["--price", "-1"], ["--model", "none"], ["gone.png"]])
def test_estimate_refuses_in_a_sentence(folder: Path, arguments: list[str]) -> None:
    result = run("estimate", "small.png", *arguments)

    assert result.exit_code == 1
    assert "error:" in result.output
    assert "Traceback" not in result.output


def test_fit_writes_beside_and_leaves_the_original(folder: Path) -> None:
    before = (folder / "large.png").read_bytes()

    result = run("fit", "large.png", "small.png")

    assert result.exit_code == 0, result.output
    assert (folder / "large.png").read_bytes() == before
    assert (folder / "large.fit.png").read_bytes() != before
    assert not (folder / "small.fit.png").exists()
    assert "3,000 × 2,000" in result.output
    assert "2,048 × 1,365" in result.output
    assert "fits as it is" in result.output


def test_fit_to_a_folder_gives_every_picture(folder: Path) -> None:
    result = run("fit", "large.png", "small.png", "--out", "ready", "--model", MODEL)

    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (folder / "ready").iterdir()) == ["large.fit.png", "small.fit.png"]


def test_fit_never_overwrites_an_input_or_another_result(folder: Path) -> None:
    (folder / "large.fit.png").write_bytes(picture())
    (folder / "other").mkdir()
    (folder / "other" / "large.png").write_bytes(encoded(quarters(3000, 2000)))

    result = run("fit", "large.png", "large.fit.png", "other/large.png", "--out", ".")

    assert result.exit_code == 0, result.output
    assert (folder / "large.fit.png").read_bytes() == picture()
    names = sorted(path.name for path in folder.glob("large*.png"))
    assert names == ["large.fit-2.png", "large.fit-3.png", "large.fit.fit.png", "large.fit.png", "large.png"]


def test_fit_keeps_to_the_limits_of_the_services_file(folder: Path) -> None:
    (folder / "service.toml").write_text(
        "[images]\nmax_pixels = 100000\nmax_images = 3\n[server]\nmax_body_bytes = 20000\n"
        '[[upstreams]]\nurls = ["http://127.0.0.1:9"]\nkey_env = "NOWHERE_KEY"\n'
    )

    result = run("fit", "small.png", "--images", "3", "--config", "service.toml")
    again = run("estimate", "small.fit.png", "--config", "service.toml")

    assert result.exit_code == 0, result.output
    assert "small.fit.png" in result.output
    assert again.exit_code == 0, again.output
    assert len((folder / "small.fit.png").read_bytes()) * 4 / 3 * 3 < 20_000


def test_fit_refuses_more_pictures_than_a_request_has(folder: Path) -> None:
    result = run("fit", "small.png", "--images", "3")

    assert result.exit_code == 1
    assert "--images 3: a request has 2 at most (images.max_images)." in " ".join(result.output.split())


def test_fit_says_what_is_wrong_with_a_file(folder: Path) -> None:
    (folder / "service.toml").write_text("[images]\nmax_pixels = 0\n")

    assert "images.max_pixels" in run("fit", "small.png", "--config", "service.toml").output


def test_fit_goes_on_after_what_cannot_be_fitted(folder: Path) -> None:
    (folder / "~tmp.png").write_bytes((folder / "large.png").read_bytes())

    result = run("fit", "note.txt", "gone.png", "~tmp.png", "large.png")

    assert result.exit_code == 1
    assert "is text" in " ".join(result.output.split())
    assert (folder / "large.fit.png").exists()
    assert (folder / "~tmp.fit.png").exists()
