"""The program of an engine's process: reads requests from its parent, runs them, sends pieces back.

`python -m sightline.engines.child FD SPEC`, FD being its end of the parent's socket pair. It ends when the parent is
gone, and exits non-zero when the engine cannot go on, so that the parent starts a new one.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import aclosing

import msgspec
import numpy as np

from sightline.core import Delta, GenerateRequest, ViewPixels
from sightline.engines.base import Engine
from sightline.engines.channel import Channel
from sightline.engines.messages import (
    Cancel,
    Counted,
    Generate,
    Piece,
    Ready,
    Refused,
    Working,
    encoder,
    failed,
    to_child,
)
from sightline.engines.registry import create
from sightline.errors import ConfigError, EngineError, ServiceError
from sightline.log import configure_logging, get_logger
from sightline.settings import EngineSpec

_LOOK_EVERY_S = 0.5

log = get_logger(__name__)


class Child:
    """Serves one engine to the parent at the other end of a channel."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self._running: dict[int, asyncio.Task[None]] = {}
        self._has_worked = False
        # The parent is gone: nobody is left to answer, and a model's threads may not let the interpreter end.
        self.channel = Channel(self._receive, lambda: os._exit(0))

    def _receive(self, head: bytes, raw: bytes) -> None:
        match to_child.decode(head):
            case Generate() as message:
                task = asyncio.create_task(self._answer(message, raw))
                self._running[message.number] = task
                task.add_done_callback(lambda _: self._running.pop(message.number))
            case Cancel(number):
                if number in self._running:
                    self._running[number].cancel()

    async def _answer(self, message: Generate, raw: bytes) -> None:
        request = GenerateRequest(
            message.request_id,
            message.model,
            message.messages,
            _images(raw, message.sizes),
            message.sampling,
            message.image_tokens,
            message.stream,
        )
        engine, send = self.engine, self.channel.send
        assert engine is not None
        try:
            if message.only_count:
                send(encoder.encode(Counted(message.number, await engine.count(request))))
                return
            whole: list[Delta] = []
            async with aclosing(engine.generate(request)) as deltas:
                async for delta in deltas:
                    whole.append(delta)
                    if request.stream or delta.finish_reason is not None:
                        send(encoder.encode(Piece(message.number, Delta.join(whole))))
                        whole.clear()
                    else:
                        self._has_worked = True
        except ServiceError as error:
            send(encoder.encode(failed(message.number, error)))
        except Exception:  # the boundary of a process: whatever an engine raises must be an answer, not a silence
            log.exception("engine_failed", request_id=message.request_id)
            general = EngineError("The engine failed on this request. Nothing was charged; see the server's log.")
            send(encoder.encode(failed(message.number, general)))

    def tell_that_it_works(self) -> None:
        """Let the parent know of pieces that wait for the rest of their answers."""
        if self._has_worked:
            self._has_worked = False
            self.channel.send(encoder.encode(Working()))


def _images(raw: bytes, sizes: tuple[tuple[int, int, int], ...]) -> tuple[ViewPixels, ...]:
    """Cut the raw bytes behind a request into images; `sizes` are (views, height, width). Nothing is copied."""
    images: list[ViewPixels] = []
    at = 0
    for views, height, width in sizes:
        size = views * height * width * 3
        images.append(np.frombuffer(raw, np.uint8, size, at).reshape(views, height, width, 3))
        at += size
    return tuple(images)


async def run(end: socket.socket, spec: EngineSpec) -> int:
    """Serve one engine over `end` until it can no longer answer; returns the exit status."""
    child = Child()
    _, channel = await asyncio.get_running_loop().create_unix_connection(lambda: child.channel, sock=end)
    try:
        engine = child.engine = create(spec)
        await engine.start()
    except ConfigError as error:
        channel.send(encoder.encode(Refused(str(error))))
        return 1
    channel.send(encoder.encode(Ready(tuple(engine.models()))))
    while engine.models():
        await asyncio.sleep(_LOOK_EVERY_S)
        child.tell_that_it_works()
    log.error("engine_cannot_go_on", kind=spec.kind)
    return 1


def main() -> None:
    """Read the arguments and run until the parent is gone or the engine cannot go on."""
    end, spec = socket.socket(fileno=int(sys.argv[1])), msgspec.json.decode(sys.argv[2], type=EngineSpec)
    configure_logging()
    os._exit(asyncio.run(run(end, spec)))


if __name__ == "__main__":
    main()
