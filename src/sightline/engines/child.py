"""The program of an engine's process: reads requests from its parent, runs them, sends pieces back.

`python -m sightline.engines.child ENDPOINT SPEC`. It ends when its standard input closes, that is when the
parent is gone, and exits non-zero when the engine cannot go on, so that the parent starts a new one.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from contextlib import aclosing
from functools import partial

import msgspec
import numpy as np
import zmq
import zmq.asyncio

from sightline.core import GenerateRequest
from sightline.engines.base import Engine
from sightline.engines.messages import Cancel, Counted, Generate, Piece, Ready, Refused, encoder, failed, to_child
from sightline.engines.registry import create
from sightline.errors import ConfigError, EngineError, ServiceError
from sightline.log import configure_logging, get_logger
from sightline.settings import EngineSpec

_LOOK_EVERY_S = 0.5

log = get_logger(__name__)


async def run(endpoint: str, spec: EngineSpec) -> int:
    """Serve one engine over `endpoint` until it can no longer answer; returns the exit status."""
    context = zmq.asyncio.Context()
    socket = context.socket(zmq.PAIR)
    socket.set_hwm(0)
    socket.connect(endpoint)
    try:
        engine = create(spec)
        await engine.start()
    except ConfigError as error:
        await socket.send(encoder.encode(Refused(str(error))))
        context.destroy(linger=1000)
        return 1
    await socket.send(encoder.encode(Ready(tuple(engine.models()))))
    serving = asyncio.create_task(_serve(engine, socket))
    while engine.models() and not serving.done():
        await asyncio.wait((serving,), timeout=_LOOK_EVERY_S)
    log.error("engine_cannot_go_on", kind=spec.kind)
    serving.cancel()
    context.destroy(linger=1000)
    return 1


async def _serve(engine: Engine, socket: zmq.asyncio.Socket) -> None:
    running: dict[int, asyncio.Task[None]] = {}
    while True:
        head, *frames = await socket.recv_multipart(copy=False)
        match to_child.decode(head.buffer):
            case Generate() as message:
                task = asyncio.create_task(_answer(engine, socket, message, frames))
                running[message.number] = task
                task.add_done_callback(partial(_forget, running, message.number))
            case Cancel(number):
                if number in running:
                    running[number].cancel()


def _forget(running: dict[int, asyncio.Task[None]], number: int, _: asyncio.Task[None]) -> None:
    del running[number]


async def _answer(engine: Engine, socket: zmq.asyncio.Socket, message: Generate, frames: list[zmq.Frame]) -> None:
    images = tuple(
        np.frombuffer(frame.buffer, np.uint8).reshape(height, width, 3)
        for frame, (height, width) in zip(frames, message.sizes, strict=True)
    )
    request = GenerateRequest(
        message.request_id, message.model, message.messages, images, message.sampling, message.image_tokens
    )
    try:
        if message.only_count:
            await socket.send(encoder.encode(Counted(message.number, await engine.count(request))))
            return
        async with aclosing(engine.generate(request)) as deltas:
            async for delta in deltas:
                await socket.send(encoder.encode(Piece(message.number, delta)))
    except ServiceError as error:
        await socket.send(encoder.encode(failed(message.number, error)))
    except Exception:  # the boundary of a process: whatever an engine raises must be an answer, not a silence
        log.exception("engine_failed", request_id=message.request_id)
        general = EngineError("The engine failed on this request. Nothing was charged; see the server's log.")
        await socket.send(encoder.encode(failed(message.number, general)))


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    """Read the arguments and run until the parent is gone or the engine cannot go on."""
    endpoint, spec = sys.argv[1], msgspec.json.decode(sys.argv[2], type=EngineSpec)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    configure_logging()
    # A model's worker threads may not let the interpreter end by itself.
    os._exit(asyncio.run(run(endpoint, spec)))


if __name__ == "__main__":
    main()
