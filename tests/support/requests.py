"""Requests as the service has them from its callers: parsed, with a key that may do anything."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sightline.auth.keys import ApiKey
from sightline.core import ChatRequest, ConnectionState, KeyLimits
from sightline.images.source import open_image
from sightline.metering.ledger import IdempotencyKey
from sightline.pipeline.context import RequestContext
from sightline.pipeline.fanout import Pieces
from sightline.pipeline.run import Completed, Pipeline
from sightline.settings import ImageLimits
from sightline.wire.parse import parse_chat
from support.bodies import raw

MOST_IMAGES = 5


def chat(*parts: Any, **more: Any) -> ChatRequest:
    return parse_chat(raw(*parts, **more), partial(open_image, limits=ImageLimits(max_images=MOST_IMAGES)))


def context(owner: str = "key_1", idempotency_key: IdempotencyKey | None = None) -> RequestContext:
    usual = (frozenset({"inference"}), None, KeyLimits(), None)
    key = ApiKey(owner, "Ada", "1234", datetime(2026, 1, 1, tzinfo=UTC), None, None, *usual)
    return RequestContext("req_1", key, ConnectionState(), idempotency_key)


async def events(pipeline: Pipeline, request: ChatRequest, owner: str = "key_1") -> Sequence[Pieces | Completed]:
    async with aclosing(pipeline.run(request, context(owner))) as found:
        return [event async for event in found]
