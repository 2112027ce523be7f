"""Evidence and lines of the running service, through OpenAI's client and on the terminal."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from PIL import Image, ImageChops
from typer.testing import CliRunner

from sightline.cli.main import app
from sightline.testing.live_server import LiveServer
from support.pictures import page

pytestmark = [pytest.mark.e2e, pytest.mark.engine]
MODEL = "sightline/scripted"
ENGINES = """
[[engines]]
kind = "scripted"

[[engines]]
kind = "transcribe"
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    config = tmp_path_factory.mktemp("evidence") / "both.toml"
    config.write_text(ENGINES)
    with LiveServer("--config", str(config)) as service:
        yield service


@pytest.fixture(scope="module")
def client(service: LiveServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key=service.api_key, timeout=60) as client:
        yield client


def asked(text: str, **more: Any) -> dict[str, Any]:
    """A request whose answer is `text`, behind the size of the picture."""
    url = f"data:image/png;base64,{base64.b64encode(page('Invoice INV-20417', 'Total 41.50')).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}]
    return {"model": MODEL, "messages": [{"role": "user", "content": content}], **more}


@pytest.mark.parametrize("n", [1, 2])
def test_plain_answer_carries_evidence(client: openai.OpenAI, n: int) -> None:
    answer = client.chat.completions.create(
        **asked("INV-20417 is 41.50, not 9.99", n=n, extra_body={"sightline": {"evidence": True}})
    )

    assert answer.model_extra is not None
    found = answer.model_extra["sightline"]["evidence"]
    assert [(one["choice"], one["value"], one["status"]) for one in found if "x" not in one["value"]] == [
        (choice, value, status)
        for choice in range(n)
        for value, status in (("INV-20417", "exact"), ("41.50", "exact"), ("9.99", "absent"))
    ]
    assert all(len(one["box"]) == 4 and len(one["quad"]) == 4 for one in found if one["status"] == "exact")


@pytest.mark.parametrize("with_usage", [False, True])
def test_stream_carries_evidence_on_its_last_chunk(client: openai.OpenAI, with_usage: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if with_usage else {}

    *before, last = client.chat.completions.create(
        **asked("41.50", stream=True, extra_body={"sightline": {"evidence": True}}, **options)
    )

    assert ("41.50", "exact") in [(one["value"], one["status"]) for one in last.model_extra["sightline"]["evidence"]]
    assert not any("sightline" in (chunk.model_extra or {}) for chunk in before)


def test_lines_come_in_reading_order(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(**asked("What?", extra_body={"sightline": {"lines": True}}))

    assert answer.model_extra is not None
    ((of_image,), said) = answer.model_extra["sightline"]["lines"], answer.model_extra["sightline"]
    assert [line["text"] for line in of_image["lines"]] == ["Invoice INV-20417", "Total 41.50"]
    assert "evidence" not in said


def test_another_option_is_refused_by_name(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=r"sightline\.evidences is not a parameter"):
        client.chat.completions.create(**asked("What?", extra_body={"sightline": {"evidences": True}}))


def test_answer_without_it_carries_none(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(**asked("41.50"))

    assert answer.model_extra is not None
    assert {"evidence", "lines"}.isdisjoint(answer.model_extra["sightline"])


def test_terminal_shows_a_table_and_saves_a_picture(
    service: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFERENCE_API_KEY", service.api_key)
    monkeypatch.setenv("SIGHTLINE_BASE_URL", f"{service.url}/v1")
    monkeypatch.setenv("COLUMNS", "160")
    picture, boxes = tmp_path / "page.png", tmp_path / "boxes.png"
    picture.write_bytes(page("Total 41.50"))

    command = ["ask", str(picture), "Is 41.50 or 9.99 due?", "--model", MODEL, "--save", str(boxes)]
    result = CliRunner().invoke(app, command)

    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["41.50", "exact", "41.50"] in [row[:3] for row in rows]
    assert ["9.99", "absent", "–", "–"] in rows
    with Image.open(picture) as before, Image.open(boxes) as after:
        assert after.size == before.size
        assert ImageChops.difference(before.convert("RGB"), after).getbbox()


def test_arguments_of_json_are_looked_up_leaf_by_leaf(client: openai.OpenAI) -> None:
    """The scripted model writes the size of a picture in front of what it repeats, so none is sent with this one."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": json.dumps({"total": 41.5})}]}

    answer = client.chat.completions.create(**body, extra_body={"sightline": {"evidence": True}})

    assert answer.model_extra is not None
    ((one),) = answer.model_extra["sightline"]["evidence"]
    assert (one["path"], one["value"], one["status"]) == ("/total", 41.5, "absent")
