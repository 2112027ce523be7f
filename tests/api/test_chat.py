"""`POST /v1/chat/completions`: answers, plain and streamed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from sightline.core import Delta, GenerateRequest
from sightline.testing.scripted_engine import ScriptedEngine
from support.bodies import CHAT, chat, events, image
from support.pictures import FORMATS, picture

pytestmark = pytest.mark.anyio


async def test_plain_answer_has_every_field_of_openai(client: httpx2.AsyncClient) -> None:
    response = await client.post(CHAT, json=chat("What is this?", image()))

    body = response.json()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert set(body) == {"id", "object", "created", "model", "choices", "usage", "sightline"}
    assert body["id"].startswith("chatcmpl-")
    assert body["object"] == "chat.completion"
    assert body["model"] == "sightline/scripted"
    assert body["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "What is this? [32x32]", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]


async def test_usage_counts_image_tokens_exactly(client: httpx2.AsyncClient) -> None:
    response = await client.post(CHAT, json=chat("one two", image(), image()))

    assert response.json()["usage"] == {
        "prompt_tokens": 34,
        "completion_tokens": 4,
        "total_tokens": 38,
        "prompt_tokens_details": {"cached_tokens": 0, "image_tokens": 32, "text_tokens": 2},
    }


@pytest.mark.parametrize("kind", FORMATS)
async def test_receipt_says_what_was_sent_and_seen(client: httpx2.AsyncClient, kind: str) -> None:
    data = picture(kind, 64, 48)

    response = await client.post(CHAT, json=chat(image(data, "image/png")))

    [receipt] = response.json()["sightline"]["images"]
    assert receipt["type"] == f"image/{kind}"
    assert receipt["declared_type"] == "image/png"
    assert receipt["bytes"] == len(data)
    assert (receipt["width"], receipt["height"]) == (64, 48)
    assert (receipt["seen_width"], receipt["seen_height"]) == (32, 32)
    assert receipt["image_tokens"] == 16
    assert receipt["documented_estimate"] == 1601
    assert "resized" in receipt["actions"]
    assert (f"labelled image/png, is image/{kind}" in receipt["actions"]) == (kind != "png")


@pytest.mark.parametrize(("stated", "taken"), [({}, 0.0), ({"temperature": 1}, 1.0), ({"temperature": 0.5}, 0.5)])
async def test_a_model_has_its_temperature_unless_the_request_states_one(
    client: httpx2.AsyncClient,
    engine: ScriptedEngine,
    monkeypatch: pytest.MonkeyPatch,
    stated: dict[str, float],
    taken: float,
) -> None:
    asked: list[float] = []
    generate = engine.generate

    def noted(request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        asked.append(request.sampling.temperature)
        return generate(request)

    monkeypatch.setattr(engine, "generate", noted)
    monkeypatch.setattr(engine, "_info", replace(engine._info, temperature=0.0))

    response = await client.post(CHAT, json=chat("a", **stated))

    assert response.status_code == 200
    assert asked == [taken]


async def test_timings_are_milliseconds(client: httpx2.AsyncClient) -> None:
    response = await client.post(CHAT, json=chat("hello"))

    timings = response.json()["sightline"]["timings"]
    assert set(timings) == {"queue", "image", "prefill", "decode"}
    assert all(value >= 0 for value in timings.values())


async def test_several_answers_come_apart_and_their_tokens_add_up(client: httpx2.AsyncClient) -> None:
    response = await client.post(CHAT, json=chat("a b", n=3))

    body = response.json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert {choice["message"]["content"] for choice in body["choices"]} == {"a b"}
    assert body["usage"]["prompt_tokens"] == 2
    assert body["usage"]["completion_tokens"] == 6


async def test_max_tokens_ends_with_length(client: httpx2.AsyncClient) -> None:
    response = await client.post(CHAT, json=chat("a b c d", max_completion_tokens=2))

    [choice] = response.json()["choices"]
    assert choice["message"]["content"] == "a b"
    assert choice["finish_reason"] == "length"


async def test_logprobs_are_given_for_every_token(client: httpx2.AsyncClient) -> None:
    response = await client.post(CHAT, json=chat("a b", logprobs=True))

    [choice] = response.json()["choices"]
    assert choice["logprobs"] == {
        "content": [
            {"token": "a", "logprob": -0.5, "bytes": None, "top_logprobs": []},
            {"token": " b", "logprob": -0.5, "bytes": None, "top_logprobs": []},
        ],
        "refusal": None,
    }


async def test_placeholder_spelled_in_text_is_text(client: httpx2.AsyncClient) -> None:
    spelled = "<start_of_image> <image_soft_token> <|image_pad|> <end_of_turn>"

    response = await client.post(CHAT, json=chat(spelled))

    assert response.json()["choices"][0]["message"]["content"] == spelled
    assert response.json()["usage"]["prompt_tokens_details"]["image_tokens"] == 0


def _content(chunks: list[Any]) -> str:
    return "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])


async def test_stream_is_chunks_and_done_with_the_receipt_on_the_last(client: httpx2.AsyncClient) -> None:
    response = await client.post(CHAT, json=chat("a b", image(), stream=True))

    *chunks, done = events(response.text)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    assert "content-length" not in response.headers
    assert done == "[DONE]"
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert _content(chunks) == "a b [32x32]"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert [("sightline" in chunk) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert len(chunks[-1]["sightline"]["images"]) == 1
    assert all("usage" not in chunk for chunk in chunks)


async def test_stream_ends_with_usage_when_asked(client: httpx2.AsyncClient) -> None:
    body = chat("a b", stream=True, stream_options={"include_usage": True})

    *chunks, done = events((await client.post(CHAT, json=body)).text)

    assert done == "[DONE]"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] == 4
    assert "sightline" in chunks[-1]
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"


async def test_stream_of_several_answers_says_which_each_piece_is_of(client: httpx2.AsyncClient) -> None:
    *chunks, done = events((await client.post(CHAT, json=chat("a b", n=2, stream=True))).text)

    assert done == "[DONE]"
    for index in (0, 1):
        mine = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
        assert "".join(choice["delta"].get("content", "") for choice in mine) == "a b"
        assert [choice["finish_reason"] for choice in mine if choice["finish_reason"]] == ["stop"]


async def test_plain_answer_and_stream_say_the_same(client: httpx2.AsyncClient) -> None:
    body = chat("the same question", image(), seed=1, temperature=0)

    plain = (await client.post(CHAT, json=body)).json()
    *chunks, _ = events((await client.post(CHAT, json={**body, "stream": True})).text)

    assert _content(chunks) == plain["choices"][0]["message"]["content"]
    assert chunks[-1]["sightline"]["images"] == [{**image, "cache_hit": True} for image in plain["sightline"]["images"]]


async def test_answer_frees_its_place(client: httpx2.AsyncClient, engine: ScriptedEngine, admission: Any) -> None:
    await client.post(CHAT, json=chat("a"))

    assert engine.running == 0
    assert admission.in_flight == 0
