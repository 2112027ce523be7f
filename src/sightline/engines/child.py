"""The program of an engine's process: reads requests, runs them, sends pieces back.

`python -m sightline.engines.child SPEC FD [DOOR]`, FD being its end of the parent's socket pair. Through the socket
DOOR the parent lets others in, such as its workers: each is a socket that comes along with a message. It ends when the
parent is gone, and exits non-zero when the engine cannot go on, so that the parent starts a new one.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from contextlib import aclosing

import msgspec

from sightline.engines.answers import answers
from sightline.engines.base import Engine
from sightline.engines.channel import Channel
from sightline.engines.messages import Cancel, Generate, Ready, Refused, Working, encoder, to_child
from sightline.engines.registry import create
from sightline.errors import ConfigError
from sightline.log import configure_logging, get_logger
from sightline.settings import EngineSpec

_LOOK_EVERY_S = 0.5

log = get_logger(__name__)


class Askers:
    """All who ask the engine. They are told that it works, also on what others have asked: that it does not hang."""

    def __init__(self) -> None:
        self.all: set[Asker] = set()
        self._has_worked = False

    def works(self) -> None:
        """The engine has given a piece of some answer."""
        self._has_worked = True

    def tell_that_it_works(self) -> None:
        """Let everybody know if it has since the last time."""
        if self._has_worked:
            self._has_worked = False
            for asker in self.all:
                asker.channel.send(encoder.encode(Working()))


class Asker:
    """One who asks the engine, at the other end of a channel: the parent, or somebody it let in."""

    def __init__(self, askers: Askers, on_gone: Callable[[], None] = lambda: None) -> None:
        self.engine: Engine | None = None
        self._askers = askers
        self._on_gone = on_gone
        askers.all.add(self)
        self._running: dict[int, asyncio.Task[None]] = {}
        self.channel = Channel(self._receive, self._go)

    def _receive(self, head: bytes, raw: bytes) -> None:
        match to_child.decode(head):
            case Generate() as message:
                task = asyncio.create_task(self._answer(message, raw))
                self._running[message.number] = task
                task.add_done_callback(lambda _: self._running.pop(message.number))
            case Cancel(number):
                if number in self._running:
                    self._running[number].cancel()

    def _go(self) -> None:
        self._askers.all.discard(self)
        for task in self._running.values():
            task.cancel()
        self._on_gone()

    async def _answer(self, message: Generate, raw: bytes) -> None:
        assert self.engine is not None
        async with aclosing(answers(self.engine, message, raw, self._askers.works)) as said:
            async for one in said:
                self.channel.send(encoder.encode(one))


class Door:
    """Lets in whom the parent sends, each by a socket of its own; they are told at once what the engine has."""

    def __init__(self, askers: Askers, engine: Engine, door: socket.socket) -> None:
        self._askers = askers
        self._engine = engine
        self._door = door
        self._opening: set[asyncio.Task[None]] = set()
        door.setblocking(False)
        asyncio.get_running_loop().add_reader(door.fileno(), self._receive)

    def _receive(self) -> None:
        message, files, _, _ = socket.recv_fds(self._door, 1, 1)
        if not message:  # the parent has closed it
            asyncio.get_running_loop().remove_reader(self._door.fileno())
        for file in files:
            task = asyncio.create_task(self._open(socket.socket(fileno=file)))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, end: socket.socket) -> None:
        asker = Asker(self._askers)
        asker.engine = self._engine
        await asyncio.get_running_loop().create_unix_connection(lambda: asker.channel, sock=end)
        asker.channel.send(encoder.encode(Ready(tuple(self._engine.models()))))


async def run(spec: EngineSpec, end: socket.socket, door: socket.socket | None = None) -> int:
    """Serve one engine over `end` until it can no longer answer; returns the exit status."""
    askers = Askers()
    # The parent is gone: nobody is left to answer, and a model's threads may not let the interpreter end.
    parent = Asker(askers, on_gone=lambda: os._exit(0))
    await asyncio.get_running_loop().create_unix_connection(lambda: parent.channel, sock=end)
    try:
        engine = parent.engine = create(spec)
        await engine.start()
    except ConfigError as error:
        parent.channel.send(encoder.encode(Refused(str(error))))
        return 1
    if door is not None:
        Door(askers, engine, door)
    parent.channel.send(encoder.encode(Ready(tuple(engine.models()))))
    while engine.models():
        await asyncio.sleep(_LOOK_EVERY_S)
        askers.tell_that_it_works()
    log.error("engine_cannot_go_on", kind=spec.kind)
    return 1


def main() -> None:
    """Read the arguments and run until the parent is gone or the engine cannot go on."""
    spec = msgspec.json.decode(sys.argv[1], type=EngineSpec)
    ends = [socket.socket(fileno=int(number)) for number in sys.argv[2:]]
    configure_logging()
    os._exit(asyncio.run(run(spec, *ends)))


if __name__ == "__main__":
    main()
