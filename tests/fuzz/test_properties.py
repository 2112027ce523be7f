"""What is true of every body and of every picture, searched for by Hypothesis."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.pictures import seeds
from sightline.core import ImageEncoding, ImageReference
from sightline.errors import ImageError
from sightline.images.pool import ImagePool
from sightline.images.source import open_image
from sightline.settings import ImageLimits
from sightline.wire.protocol import ChatBody
from support.bodies import CHAT, chat, image, is_harmless
from support.failures import assert_error
from support.pictures import data_uri

pytestmark = pytest.mark.anyio

always = settings(max_examples=80, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
alphabet = st.characters(codec=None)  # halves of surrogate pairs included
texts = st.text(alphabet, max_size=20).filter(is_harmless)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet, max_size=8), inner, max_size=4),
    max_leaves=20,
)
fields = st.sampled_from(sorted(ChatBody.model_fields))


async def post(client: httpx2.AsyncClient, body: bytes) -> httpx2.Response:
    """Send a body; whatever it is, the answer is an answer or an error in OpenAI's shape."""
    response = await client.post(CHAT, content=body)
    if response.status_code != 200:
        assert response.status_code < 500, response.text
        error = response.json()["error"]
        assert_error(response, response.status_code, error["code"], error["param"])
    return response


@always
@given(body=st.binary(max_size=200))
async def test_any_bytes_are_refused_as_openai_does(client: httpx2.AsyncClient, body: bytes) -> None:
    response = await post(client, body)

    assert response.status_code == 400


@always
@given(value=anything)
async def test_any_json_is_refused_as_openai_does(client: httpx2.AsyncClient, value: Any) -> None:
    await post(client, json.dumps(value).encode())


@always
@given(field=fields, value=anything)
async def test_any_value_in_any_field_is_taken_or_refused(client: httpx2.AsyncClient, field: str, value: Any) -> None:
    await post(client, json.dumps({**chat("hello", image()), field: value}).encode())


@always
@given(value=anything, place=st.sampled_from(["content", "part", "image_url", "url", "role", "message"]))
async def test_any_value_inside_a_message_is_taken_or_refused(
    client: httpx2.AsyncClient, value: Any, place: str
) -> None:
    body = chat("hello", image())
    [message] = body["messages"]
    match place:
        case "message":
            body["messages"].append(value)
        case "part":
            message["content"].append(value)
        case "image_url" | "url":
            part = message["content"][1]
            part["image_url"] = {"url": value} if place == "url" else value
        case _:
            message[place] = value

    await post(client, json.dumps(body).encode())


@always
@given(text=st.text(alphabet), at=st.integers(0))
async def test_any_text_inside_a_data_uri_is_taken_or_refused(client: httpx2.AsyncClient, text: str, at: int) -> None:
    uri = data_uri(seeds()[0])
    at %= len(uri)

    await post(
        client, json.dumps(chat({"type": "image_url", "image_url": {"url": uri[:at] + text + uri[at:]}})).encode()
    )


@always
@given(seed=st.sampled_from(seeds()), changes=st.lists(st.tuples(st.integers(0), st.binary(max_size=5)), max_size=4))
async def test_any_picture_is_decoded_or_refused(
    pool: ImagePool, seed: bytes, changes: list[tuple[int, bytes]]
) -> None:
    for at, new in changes:
        at %= len(seed)
        seed = seed[:at] + new + seed[at + max(1, len(new)) :]

    reference = ImageReference("data:image/png;base64,", base64.b64encode(seed), "auto", "messages.[0]")
    with suppress(ImageError):  # the only thing that may be raised
        opened = open_image(reference, 1, limits=ImageLimits(max_pixels=1_000_000))
        decoded = await pool.decode(opened, ImageEncoding("square", 32, 16), 1)
        assert len(decoded.data) == 32 * 32 * 3
