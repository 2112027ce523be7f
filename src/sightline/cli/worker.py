"""The program of a worker: the HTTP side of the service, with its parent's engines and its parent's counts.

`python -m sightline.cli.worker LISTENER DESK DOOR`, three sockets that the parent made; the settings come on standard
input, since they hold secrets. It ends when the parent says so or is gone.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import Coroutine
from functools import partial
from typing import Any

from sightline import faults, metrics
from sightline.admission.limits import RateLimits
from sightline.app import upstream_engines
from sightline.cli.descriptors import with_room_for_connections
from sightline.cli.serve import Server, Shared, quiet
from sightline.log import configure_logging, get_logger
from sightline.settings import Settings, engine_specs, settings_of
from sightline.workers import counts
from sightline.workers.engines import WorkerEngine
from sightline.workers.messages import LEND, RETURN, Hangs, Listening, Unable
from sightline.workers.remote import DeskLine, RemoteAdmission, RemoteBuckets, metrics_text

_COUNT_EVERY_S = 1.0

log = get_logger(__name__)


class WorkerServer(Server):
    """A server that has the desk count for it and the parent greet for it."""

    def __init__(self, settings: Settings, desk: socket.socket, door: socket.socket) -> None:
        self._desk_end, self._door = desk, door
        self._desk = DeskLine(on_gone=self._end)
        self._engines = [
            WorkerEngine(spec, settings.limits.engine_silence_s, partial(self._tell_hang, at))
            for at, spec in enumerate(engine_specs(settings))
        ]
        self._tasks: set[asyncio.Task[None]] = set()
        self._lent: list[asyncio.Server] = []
        limits = RateLimits(settings.redis_url, None if settings.redis_url else RemoteBuckets(self._desk))
        engines = [*self._engines, *upstream_engines(settings)]  # servers elsewhere are each worker's own to ask
        super().__init__(settings, Shared(RemoteAdmission(settings, self._desk), engines, limits))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Connect with the parent, then as any server."""
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: self._desk.channel, sock=self._desk_end)
        self._door.setblocking(False)
        loop.add_reader(self._door.fileno(), self._receive)
        metrics.of_all = partial(metrics_text, self._desk)
        self._run(self._keep_counting())
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As any server; what was counted is told at the end."""
        await super().shutdown(sockets)
        self._desk.tell(counts.counted())
        self._desk.channel.flush()

    async def greet(self) -> None:
        """Tell the parent."""
        self._desk.tell(Listening())

    def fail(self, message: str) -> None:
        """Tell the parent that no worker will be ready, and stop."""
        self._desk.tell(Unable(message))
        super().fail(message)

    def _receive(self) -> None:
        message, files, _, _ = socket.recv_fds(self._door, 1, 1)
        if not message:
            asyncio.get_running_loop().remove_reader(self._door.fileno())
            return
        if message[0] == RETURN:
            while self._lent:
                self._lent.pop().close()
        for file in files:
            end = socket.socket(fileno=file)
            self._run(self._take_over(end) if message[0] == LEND else self._engines[message[0]].join(end))

    async def _take_over(self, listener: socket.socket) -> None:
        """Take the connections of a worker that has died, too."""
        if not self.should_exit:
            server = await self.listen(listener)
            self._lent.append(server)

    def _tell_hang(self, at: int) -> None:
        self._desk.tell(Hangs(at))

    def _end(self) -> None:
        """The parent is gone and the engines with it: there is nothing to wait for."""
        log.error("parent_gone")
        self.handle_exit(signal.SIGTERM, None)

    async def _keep_counting(self) -> None:
        """Tell what was counted, for the time when this process is gone."""
        while True:
            await asyncio.sleep(_COUNT_EVERY_S)
            self._desk.tell(counts.counted())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def main() -> None:
    """Read the arguments and run until told to stop."""
    listener, desk, door = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    settings = settings_of(json.load(sys.stdin))
    configure_logging()
    faults.arm(settings.faults)
    quiet()
    server = WorkerServer(with_room_for_connections(settings), desk, door)
    server.run(sockets=[listener])
    sys.exit(0 if server.started and not server.failure else 1)


if __name__ == "__main__":
    main()
