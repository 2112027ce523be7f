"""The program of an engine's process: reads requests, runs them, sends pieces back.

`python -m sightline.engines.process.child SPEC FD`, FD being its end of the parent's socket pair. It ends
when the parent is gone, and exits non-zero when the engine cannot go on, so that the parent starts a new one.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import aclosing

import msgspec

from sightline.engines.base import Engine
from sightline.engines.process.channel import Channel
from sightline.engines.process.messages import Cancel, Generate, Ready, Refused, encoder, to_child
from sightline.engines.process.request_handler import answers
from sightline.engines.registry import create
from sightline.errors import ConfigError
from sightline.log import configure_logging, get_logger
from sightline.settings import EngineSpec

_LOOK_EVERY_S = 0.5

log = get_logger(__name__)


class Session:
    """The requests of the service at the other end of the channel, which lives as long as this process."""

    engine: Engine

    def __init__(self) -> None:
        # The service is gone: nobody is left to answer, and a model's threads may not let the interpreter end.
        self.channel = Channel(self._receive, on_close=lambda: os._exit(0))
        self._running: dict[int, asyncio.Task[None]] = {}

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
        async with aclosing(answers(self.engine, message, raw)) as said:
            async for one in said:
                self.channel.send(encoder.encode(one))


async def run(spec: EngineSpec, end: socket.socket) -> int:
    """Serve one engine over `end` until it can no longer answer; returns the exit status."""
    session = Session()
    channel = session.channel
    await asyncio.get_running_loop().create_unix_connection(lambda: channel, sock=end)
    try:
        engine = session.engine = create(spec)
        await engine.start()
    except ConfigError as error:
        channel.send(encoder.encode(Refused(str(error))))
        return 1
    channel.send(encoder.encode(Ready(tuple(engine.models()))))
    while engine.models():
        await asyncio.sleep(_LOOK_EVERY_S)
    log.error("engine_cannot_go_on", kind=spec.kind)
    return 1


def main() -> None:
    """Read the arguments and run until the parent is gone or the engine cannot go on."""
    spec = msgspec.json.decode(sys.argv[1], type=EngineSpec)
    configure_logging()
    os._exit(asyncio.run(run(spec, socket.socket(fileno=int(sys.argv[2])))))


if __name__ == "__main__":
    main()
