"""OpenAI's Python client against the live service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import openai as sdk
import pytest
from openai import OpenAI
from pydantic import BaseModel, ConfigDict

from sightline.testing.live_server import LiveServer
from support.bodies import TOOL
from support.live import LONG_TEXT, PEEK, THEIRS, TRANSCRIBER, image, question, recitation

pytestmark = pytest.mark.e2e

IMAGES = Path(__file__).parents[2] / "examples" / "images"


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")

    colour: Literal["red", "green", "blue"]
    is_round: bool


class Drawing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    shapes: list[Shape]
    count: int


def test_plain_answer_has_text_usage_and_receipt(openai: OpenAI) -> None:
    completion = openai.chat.completions.create(**question(max_tokens=8))

    assert completion.model == PEEK
    assert completion.choices[0].message.content
    assert completion.usage is not None
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    body = completion.to_dict()
    assert body["sightline"]["images"][0]["width"] == 32
    image_tokens = body["usage"]["prompt_tokens_details"]["image_tokens"]
    assert body["sightline"]["images"][0]["image_tokens"] == image_tokens > 0


def test_stream_gives_the_answer_in_pieces_then_its_usage(openai: OpenAI) -> None:
    asked = question(response_format=recitation(), stream_options={"include_usage": True})

    with openai.chat.completions.create(**asked, stream=True) as stream:
        chunks = list(stream)

    texts = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(texts) == f'"{LONG_TEXT}"'
    assert len([text for text in texts if text]) > 100
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 100
    assert chunks[-1].model_extra["sightline"]["images"][0]["type"] == "image/png"


def test_same_seed_gives_the_same_answer(openai: OpenAI) -> None:
    asked = question(seed=7, temperature=1.5, max_tokens=24)

    first, second = (openai.chat.completions.create(**asked) for _ in range(2))

    assert first.choices[0].message.content == second.choices[0].message.content


def test_two_answers_side_by_side(openai: OpenAI) -> None:
    completion = openai.chat.completions.create(**question(n=2, max_tokens=4))

    assert [choice.index for choice in completion.choices] == [0, 1]


def test_parse_gives_an_object_of_the_callers_class(openai: OpenAI) -> None:
    asked = question(max_tokens=400, temperature=0)

    completion = openai.chat.completions.parse(**asked, response_format=Drawing)

    assert isinstance(completion.choices[0].message.parsed, Drawing)


def test_logprobs_belong_to_the_tokens_of_the_answer(openai: OpenAI) -> None:
    choice = openai.chat.completions.create(**question(logprobs=True, max_tokens=5)).choices[0]

    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    written = b"".join(bytes(token.bytes or ()) for token in choice.logprobs.content)
    assert written.decode(errors="replace").startswith(choice.message.content or "")
    assert all(token.logprob <= 0 for token in choice.logprobs.content)


@pytest.mark.parametrize(("name", "media_type"), [("page.png", "image/png"), ("receipt.jpg", "image/jpeg")])
def test_transcriber_reads_print_to_the_letter(openai: OpenAI, name: str, media_type: str) -> None:
    asked = question(image((IMAGES / name).read_bytes(), media_type), "What does it say?", model=TRANSCRIBER)

    completion = openai.chat.completions.create(**asked)

    expected = (IMAGES / name).with_suffix(".txt").read_text()
    assert (completion.choices[0].message.content or "").split() == expected.split()


def test_transcriber_streams_a_line_at_a_time(openai: OpenAI) -> None:
    asked = question(image((IMAGES / "page.png").read_bytes()), model=TRANSCRIBER)

    with openai.chat.completions.create(**asked, stream=True) as stream:
        pieces = [chunk.choices[0].delta.content for chunk in stream if chunk.choices[0].delta.content]

    lines = (IMAGES / "page.txt").read_text().split("\n")
    assert len(pieces) >= len([line for line in lines if line]) > 1


def test_models_are_listed_and_found_by_ids_with_slashes(openai: OpenAI) -> None:
    assert {PEEK, TRANSCRIBER} == {model.id for model in openai.models.list()}
    assert openai.models.retrieve(TRANSCRIBER).id == TRANSCRIBER
    assert openai.models.retrieve(THEIRS).id == PEEK


@pytest.mark.parametrize(
    ("more", "kind", "code", "param"),
    [
        ({"model": "no/such/model"}, sdk.NotFoundError, "model_not_found", "model"),
        ({"temperature": 3}, sdk.BadRequestError, "invalid_value", "temperature"),
        ({"tools": [TOOL]}, sdk.BadRequestError, "unsupported_parameter", "tools"),
        ({"max_tokens": 100_000}, sdk.BadRequestError, "context_length_exceeded", "max_tokens"),
        ({"user": "x" * 1_100_000}, sdk.APIStatusError, "request_too_large", None),
    ],
)
def test_refusals_are_exceptions_that_say_why(
    openai: OpenAI, more: dict[str, object], kind: type[sdk.APIStatusError], code: str, param: str | None
) -> None:
    with pytest.raises(kind) as caught:
        openai.chat.completions.create(**{**question(), **more})

    assert caught.value.code == code
    assert caught.value.param == param
    assert caught.value.request_id


def test_unknown_key_is_an_authentication_error(openai: OpenAI) -> None:
    with pytest.raises(sdk.AuthenticationError) as caught:
        openai.with_options(api_key="sk-sl-unknown").chat.completions.create(**question())

    assert caught.value.code == "invalid_api_key"


def test_what_the_transcriber_lacks_is_refused_by_name(openai: OpenAI) -> None:
    with pytest.raises(sdk.BadRequestError) as caught:
        openai.chat.completions.create(**question(model=TRANSCRIBER, response_format=recitation("x")))

    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "response_format")


def test_key_never_reaches_the_log(openai: OpenAI, service: LiveServer) -> None:
    openai.chat.completions.create(**question("a secret prompt", max_tokens=1))

    assert service.api_key not in service.log
    assert "secret prompt" not in service.log
