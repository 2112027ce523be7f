"""Requests as the service has them from its callers: parsed, with a key that may do anything."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sightline.account import Call
from sightline.admission.keys import ApiKey
from sightline.core import ChatRequest, KeyLimits
from sightline.images.source import open_image
from sightline.service import Completed, Pieces, Service
from sightline.settings import ImageLimits
from sightline.wire.parse import parse_chat
from support.bodies import raw

MOST_IMAGES = 5


def chat(*parts: Any, **more: Any) -> ChatRequest:
    return parse_chat(raw(*parts, **more), partial(open_image, limits=ImageLimits(max_images=MOST_IMAGES)))


def call(owner: str = "key_1") -> Call:
    usual = (frozenset({"inference"}), None, KeyLimits(), None)
    return Call("req_1", ApiKey(owner, "Ada", "1234", datetime(2026, 1, 1, tzinfo=UTC), None, None, *usual))


async def events(service: Service, request: ChatRequest, owner: str = "key_1") -> Sequence[Pieces | Completed]:
    async with aclosing(service.run(request, call(owner))) as found:
        return [event async for event in found]
