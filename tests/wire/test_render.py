"""Core values to OpenAI's JSON, compared with whole bodies in tests/golden."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.core import Delta, ImageEncoding, ModelInfo, TokenLogprob, Usage
from sightline.errors import EngineUnavailable, InvalidRequest, Problem, ServiceError
from sightline.wire import sse
from sightline.wire.render import (
    Head,
    chunk,
    completion,
    delta_choice,
    encode,
    error_body,
    model_body,
    role_choice,
    usage_body,
)

GOLDEN = Path(__file__).parent.parent / "golden"
HEAD = Head("chatcmpl-1", 1_700_000_000, "some/model")
USAGE = Usage(prompt_tokens=20, completion_tokens=3, image_tokens=16, cached_tokens=4)
TOKEN = TokenLogprob("é", -0.25, (195, 169), (TokenLogprob("é", -0.25, (195, 169)), TokenLogprob("e", -2.0)))


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def written(value: Any) -> Any:
    return json.loads(encode(value))


def test_completion() -> None:
    first = [Delta("Hello", (TOKEN,)), Delta(" you"), Delta("", finish_reason="stop", usage=USAGE)]
    second = [Delta("", finish_reason="length", usage=USAGE)]

    body = completion(HEAD, [first, second], USAGE, {"images": [], "timings": {}})

    assert written(body) == golden("completion")


def test_chunks() -> None:
    chunks = [
        chunk(HEAD, [role_choice(0)]),
        chunk(HEAD, [delta_choice(0, Delta("é", (TOKEN,)))], usage=None),
        chunk(HEAD, [delta_choice(0, Delta("", finish_reason="stop", usage=USAGE))]),
        chunk(HEAD, [], usage=usage_body(USAGE), sightline={}),
    ]

    assert written(chunks) == golden("chunks")


def test_errors() -> None:
    problems = [Problem("a is wrong.", "a", "invalid_value"), Problem("b is wrong.")]
    errors = [
        InvalidRequest.of(problems),
        InvalidRequest("Only this.", param="p", code="c"),
        EngineUnavailable("Wait.", retry_after_s=3),
        ServiceError("Our fault."),
    ]

    assert written([error_body(error) for error in errors]) == golden("errors")


def test_stream_frame_is_one_line_whatever_the_text() -> None:
    frame = sse.frame({"text": "a\nb\r\n\n\u2028data: [DONE]\n\n"})

    assert frame.startswith(b"data: {")
    assert frame.endswith(b"}\n\n")
    assert frame.count(b"\n") == 2
    assert b"\r" not in frame


def test_done_is_the_last_frame_of_openai() -> None:
    assert sse.DONE == b"data: [DONE]\n\n"


@pytest.mark.parametrize(("image", "modalities"), [(None, ["text"]), (ImageEncoding("page", 960), ["text", "image"])])
def test_model(image: ImageEncoding | None, modalities: list[str]) -> None:
    model = ModelInfo("a/b", "somebody", 7, 4096, "What it is.", image, 2, frozenset({"seed", "max_tokens"}))

    body = written(model_body(model))

    assert body["architecture"]["input_modalities"] == modalities
    assert body["supported_parameters"] == ["max_tokens", "seed"]
    assert (body["id"], body["object"], body["created"], body["owned_by"]) == ("a/b", "model", 7, "somebody")
