"""`sightline ask` and `sightline models` against the running service."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import Result
from typer.testing import CliRunner

from sightline.cli import api_client, models
from sightline.cli.main import app
from support.pictures import picture
from support.running import Running

pytestmark = pytest.mark.e2e
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def run(service: Running, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("INFERENCE_API_KEY", service.wait_for(r"INFERENCE_API_KEY=(sk-sl-\S+)"))
    monkeypatch.setenv("SIGHTLINE_BASE_URL", f"{service.url}/v1/")
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


@pytest.fixture
def photo(tmp_path: Path) -> str:
    file = tmp_path / "photo.PNG"
    file.write_bytes(picture())
    return str(file)


def test_what_a_first_start_prints_can_be_pasted(service: Running, photo: str) -> None:
    """Also where the commands are on no path and the port is not the usual one."""
    line = service.wait_for(r"(\S*sightline) ask photo\.png").strip()
    exports = {name: service.wait_for(rf"export {name}=(\S+)") for name in ("INFERENCE_API_KEY", "SIGHTLINE_BASE_URL")}

    done = subprocess.run([line, "ask", photo, "What is it?"], env=os.environ | exports, capture_output=True, text=True)

    assert done.stdout == "[32x32] What is it?\n", done.stderr


@pytest.mark.parametrize("question", ["", " ", "photo"])
def test_forgotten_question_is_told(run: Run, photo: str, question: str) -> None:
    """A second picture in its place would be asked as a question."""
    result = run("ask", photo, photo if question == "photo" else question)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "The question is missing" in result.stderr


def test_question_may_be_longer_than_any_path(run: Run, photo: str) -> None:
    assert run("ask", photo, "What is " * 1000).exit_code == 0


def test_answer_goes_to_standard_output_and_usage_to_the_other(run: Run, photo: str) -> None:
    result = run("ask", photo, photo, "What [bold]is[/bold] it?", "--usage")

    assert result.exit_code == 0, result.output
    assert result.stdout == "[32x32] [32x32] What [bold]is[/bold] it?\n"
    assert "35 prompt tokens (32 of them" in result.stderr


def test_an_answer_is_printed_as_it_is(run: Run, photo: str) -> None:
    """Tabs part the cells of what the transcriber reads, colons are no names of pictures, some characters end lines."""
    text = "Item\tQty  1:100:5 :smile: [red]x\u2028next\x85last"

    assert run("ask", photo, text).stdout == f"[32x32] {text}\n"


@pytest.mark.parametrize(("detail", "views"), [("low", 1), ("high", 3)])
def test_detail_is_asked_for(run: Run, tmp_path: Path, detail: str, views: int) -> None:
    (tmp_path / "wide.png").write_bytes(picture(width=128, height=64))

    result = run("ask", str(tmp_path / "wide.png"), "What?", "--usage", "--detail", detail)

    assert result.exit_code == 0, result.output
    assert f"({views * 16} of them" in result.stderr


def test_refusal_is_the_sentence_of_the_service(run: Run, photo: str) -> None:
    result = run("ask", photo, "What?", "--model", "gpt-4o")

    assert result.exit_code == 1
    assert "There is no model 'gpt-4o' here" in result.stderr


def test_models_are_listed(run: Run) -> None:
    result = run("models")

    assert result.exit_code == 0
    assert "sightline/scripted" in result.stdout


def test_models_are_listed_with_their_aliases_where_there_are_any(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "also as" not in run("models").stdout
    listed = api_client.list_models

    def with_alias(connected: httpx2.Client) -> list[dict[str, Any]]:
        return [{**entry, "aliases": ["gpt-4o", "o"]} for entry in listed(connected)]

    monkeypatch.setattr(models, "list_models", with_alias)

    assert "gpt-4o, o" in run("models").stdout


def test_unknown_key_is_a_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERENCE_API_KEY", "sk-sl-unknown")

    result = run("models")

    assert result.exit_code == 1
    assert "The API key is not known here" in result.stderr


def test_other_path_on_the_service_is_a_sentence(run: Run, service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_BASE_URL", service.url)

    result = run("models")

    assert result.exit_code == 1
    assert "There is no such route here" in result.stderr
