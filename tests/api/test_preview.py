"""`POST /v1/chat/completions/input_tokens`: the same body, counted and not answered."""

from __future__ import annotations

import httpx2
import pytest

from sightline.testing.scripted_engine import ScriptedEngine
from support.bodies import CHAT, chat, image
from support.failures import assert_error
from support.pictures import png_header

pytestmark = pytest.mark.anyio
PREVIEW = f"{CHAT}/input_tokens"


async def test_count_is_what_an_answer_then_uses(client: httpx2.AsyncClient, engine: ScriptedEngine) -> None:
    body = chat("one two", image(), stream=True)

    preview = (await client.post(PREVIEW, json=body)).json()

    assert engine.steps == 0
    answer = (await client.post(CHAT, json={**body, "stream": False})).json()
    assert preview["object"] == "chat.completion.input_tokens"
    assert preview["input_tokens"] == answer["usage"]["prompt_tokens"]
    assert preview["input_tokens_details"] == answer["usage"]["prompt_tokens_details"]
    assert preview["images"][0]["sha256"] == answer["sightline"]["images"][0]["sha256"]
    assert preview["cost"] == {"currency": "USD", "prompt": "0", "completion": "0", "total": "0"}


async def test_it_refuses_what_an_answer_would_refuse(client: httpx2.AsyncClient) -> None:
    large, unknown = chat(image(png_header(9000, 9000))), chat("a", model="gpt-4o")

    assert_error(
        await client.post(PREVIEW, json=large), 400, "image_too_large", "messages.[0].content.[0].image_url.url"
    )
    assert_error(await client.post(PREVIEW, json=unknown), 404, "model_not_found", "model")


async def test_it_wants_a_key(client: httpx2.AsyncClient) -> None:
    del client.headers["authorization"]

    assert_error(await client.post(PREVIEW, json=chat("a")), 401, "invalid_api_key")
