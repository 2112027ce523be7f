"""Our answers, and what we take, held against OpenAI's own description of its API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from sightline.testing.scripted_engine import ScriptedEngine
from support.asgi import Call
from support.bodies import CHAT, chat, events, image, is_harmless, raw
from support.description import PAGE, assert_described, requests
from support.failures import assert_error

pytestmark = pytest.mark.anyio

ANSWERS: list[dict[str, Any]] = [
    {},
    {"n": 2},
    {"logprobs": True},
    {"max_tokens": 1},
    {"response_format": {"type": "json_object"}},
    {"metadata": {"a": "b"}, "user": "someone", "service_tier": "auto"},
]

MUST_WORK = (
    *("max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "seed", "n", "stream", "stream_options"),
    *("response_format", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs", "metadata", "user"),
)
NO_EFFECT = (
    *("store", "service_tier", "safety_identifier", "prompt_cache_key", "reasoning_effort", "verbosity"),
    "parallel_tool_calls",
)
REFUSED = (
    *("tools", "tool_choice", "logit_bias", "audio", "modalities", "prediction", "web_search_options", "functions"),
)


@pytest.mark.parametrize("more", ANSWERS)
async def test_plain_answers_are_as_openai_describes(client: httpx2.AsyncClient, more: dict[str, Any]) -> None:
    response = await client.post(CHAT, json=chat("one two three", image(), **more))

    assert response.status_code == 200
    assert_described(response.json(), "CreateChatCompletionResponse")


@pytest.mark.parametrize("more", ANSWERS)
@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}])
async def test_chunks_are_as_openai_describes(
    client: httpx2.AsyncClient, more: dict[str, Any], options: dict[str, Any]
) -> None:
    response = await client.post(CHAT, json=chat("one two three", image(), stream=True, **options, **more))

    *chunks, done = events(response.text)
    assert done == "[DONE]"
    for chunk in chunks:
        assert_described(chunk, "CreateChatCompletionStreamResponse")


async def test_models_are_as_openai_describes(client: httpx2.AsyncClient) -> None:
    models = (await client.get("/v1/models")).json()
    model = (await client.get("/v1/models/sightline/scripted")).json()

    assert_described(models, "ListModelsResponse")
    assert_described(model, "Model")


@pytest.mark.parametrize(
    ("method", "path", "body", "key"),
    [
        ("POST", CHAT, b"", None),
        ("POST", CHAT, b"{", None),
        ("POST", CHAT, b'{"model": 1, "messages": "x", "n": 0}', None),
        ("POST", CHAT, b'{"model": "none", "messages": [{"role": "user", "content": "x"}]}', None),
        ("POST", CHAT, b"{}", "sk-sl-unknown"),
        ("GET", CHAT, b"", None),
        ("GET", "/v1/models/none", b"", None),
        ("GET", "/nowhere", b"", None),
    ],
)
async def test_errors_are_as_openai_describes(
    client: httpx2.AsyncClient, method: str, path: str, body: bytes, key: str | None
) -> None:
    headers = {"authorization": f"Bearer {key}"} if key else {}

    response = await client.request(method, path, content=body, headers=headers)

    assert response.status_code in (400, 401, 404, 405)
    assert_described(response.json(), "ErrorResponse")


async def test_error_inside_a_stream_is_as_openai_describes(
    app: Starlette, make_key: Callable[..., str], engine: ScriptedEngine
) -> None:
    call = Call(app, CHAT, [("authorization", f"Bearer {make_key()}")])
    call.body(raw("word " * 50, stream=True))
    await call.frames(3)

    await engine.stop()
    await call.task

    assert_described(events(b"".join(call.pieces()))[-1], "ErrorResponse")


def complete(body: dict[str, Any]) -> dict[str, Any]:
    """Add what the description says in words only: these two parameters need another one."""
    body |= {"logprobs": True} if body.get("top_logprobs") else {}
    return body | ({"stream": True} if body.get("stream_options") is not None else {})


@pytest.mark.skipif(not PAGE.exists(), reason="OpenAI's description, ../shared/spec/openai-chat.json, is not here")
@given(body=st.deferred(lambda: requests((*MUST_WORK, *NO_EFFECT, *REFUSED))).map(complete).filter(is_harmless))
@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
async def test_requests_that_openai_allows_are_taken_or_refused_by_name(
    client: httpx2.AsyncClient, body: dict[str, Any]
) -> None:
    assert_described(body, "CreateChatCompletionRequest")

    response = await client.post(CHAT, json=body)

    if response.status_code != 200:
        error = response.json()["error"]
        assert_error(response, 400, error["code"], error["param"])
        for detail in error.get("details", [error]):
            # Parts that are not served yet, and too many images, are refused where they stand.
            in_messages = (detail["param"] or "").startswith("messages")
            is_named = (detail["param"] or "").partition(".")[0] in body
            # What no description says: a choice is among tools, and functions' names have 64 characters at most.
            is_at_odds = detail["param"] == "tool_choice" and not body.get("tools")
            is_name = (detail["param"] or "").endswith("function.name")
            refused = detail["code"] == "unsupported_parameter" and is_named
            assert in_messages or refused or is_at_odds or is_name, detail
