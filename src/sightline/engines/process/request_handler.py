"""One request's answer as messages: what an engine's process, or a replica on another machine, sends back.

In comes a `Generate` and the pixels that followed it, out come `Piece`s, one `Counted` or, last, a `Failed`: whatever
an engine raises is a message, so that nothing but messages crosses a boundary.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np

from sightline.core import Delta, GenerateRequest, ViewPixels
from sightline.engines.base import Engine
from sightline.engines.process.messages import Counted, Failed, Generate, Piece, failed
from sightline.errors import EngineError, ServiceError
from sightline.log import get_logger

log = get_logger(__name__)

PACE_S = 0.25


async def answers(engine: Engine, message: Generate, raw: bytes) -> AsyncGenerator[Piece | Counted | Failed, None]:
    """Run one request. Closing this cancels.

    Of an answer that nobody reads before its end, what came within `PACE_S` is one piece: it says that the engine does
    not hang, and what was used so far, for the case that its reader leaves.
    """
    request = unpack_request(message, raw)
    sent_s = time.monotonic()
    try:
        if message.only_count:
            yield Counted(message.number, await engine.count(request))
            return
        whole: list[Delta] = []
        async with aclosing(engine.generate(request)) as deltas:
            async for delta in deltas:
                whole.append(delta)
                now_s = time.monotonic()
                if request.stream or delta.finish_reason is not None or now_s - sent_s >= PACE_S:
                    sent_s = now_s
                    yield Piece(message.number, Delta.join(whole))
                    whole.clear()
    except ServiceError as error:
        yield failed(message.number, error)
    except Exception:  # the boundary of a process: whatever an engine raises must be an answer, not a silence
        log.exception("engine_failed", request_id=message.request_id)
        general = EngineError("The engine failed on this request. Nothing was charged; see the server's log.")
        yield failed(message.number, general)


def unpack_request(message: Generate, raw: bytes) -> GenerateRequest:
    """The request that a message stands for. Nothing of `raw` is copied."""
    return GenerateRequest(
        message.request_id,
        message.model,
        message.messages,
        _images(raw, message.sizes),
        message.sampling,
        message.image_tokens,
        message.stream,
        owner=message.owner,
        lines=message.lines,
    )


def _images(raw: bytes, sizes: tuple[tuple[int, int, int], ...]) -> tuple[ViewPixels, ...]:
    """Cut the raw bytes behind a request into images; `sizes` are (views, height, width)."""
    images: list[ViewPixels] = []
    at = 0
    for views, height, width in sizes:
        size = views * height * width * 3
        images.append(np.frombuffer(raw, np.uint8, size, at).reshape(views, height, width, 3))
        at += size
    return tuple(images)
