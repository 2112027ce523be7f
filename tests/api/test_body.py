"""A body is the same however it arrives."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from starlette.requests import Request
from starlette.types import Message, Receive

from sightline.api.body import read_json_body
from sightline.errors import RequestTooLarge

pytestmark = pytest.mark.anyio

SIZES = [
    pytest.param([], id="nothing"),
    pytest.param([5], id="small"),
    pytest.param([300_000], id="large"),
    pytest.param([300_000, 300_000, 7], id="large ones and a rest"),
    pytest.param([1] * 50, id="bytes"),
    pytest.param([1, 1, 9_000, 1, 0, 2, 5_000, 4_095, 4_096], id="all sorts"),
]


def arriving(pieces: Sequence[bytes]) -> Receive:
    left = list(pieces)

    async def receive() -> Message:
        body = left.pop(0) if left else b""
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    return receive


def pieces_of(sizes: Sequence[int]) -> list[bytes]:
    return [bytes([number % 256]) * size for number, size in enumerate(sizes)]


@pytest.mark.parametrize("sizes", SIZES)
async def test_body_is_the_same_in_pieces_of_any_size(sizes: list[int]) -> None:
    pieces = pieces_of(sizes)

    body = await read_json_body(Request({"type": "http", "headers": []}, arriving(pieces)), 10_000_000)

    assert body == b"".join(pieces)
    assert type(body) is bytes


@pytest.mark.parametrize("sizes", [[10], [5, 5], [1] * 10])
async def test_body_as_long_as_the_limit_is_refused(sizes: list[int]) -> None:
    with pytest.raises(RequestTooLarge):
        await read_json_body(Request({"type": "http", "headers": []}, arriving(pieces_of(sizes))), 10)
