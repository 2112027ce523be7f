"""The parent of several workers: starts them and the engines, keeps both alive, has the desk, stops all in order.

It answers no request itself. A worker that dies is started again on the same listening socket, which the parent holds
open; until then another worker takes its connections, so that none is refused and none waits. What it had reserved in
the ledger is marked by the next one. Each worker is handed a channel to every engine's process, and a new one when
either was started again.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from sightline import checks, metrics
from sightline.admission.admit import Admission
from sightline.errors import ConfigError, EngineUnavailable
from sightline.log import get_logger
from sightline.settings import ServerSettings, Settings, engine_specs, tree_of
from sightline.workers.desk import Desk, News
from sightline.workers.engines import SharedEngine
from sightline.workers.messages import LEND, RETURN, Hangs, Listening, Unable

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 10.0

log = get_logger(__name__)


@dataclass(slots=True)
class Worker:
    """One place at the port: a listening socket, and whichever process has it now."""

    listener: socket.socket
    process: asyncio.subprocess.Process | None = None
    door: socket.socket | None = None
    is_listening: bool = False
    statuses: list[int] = field(default_factory=list)


class Parent:
    """Runs `command` once for each of `listeners`; `on_ready` is called when all of them take requests."""

    def __init__(
        self,
        settings: Settings,
        listeners: Sequence[socket.socket],
        command: Sequence[str],
        on_ready: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._command = command
        self._on_ready = on_ready
        self._workers = [Worker(listener) for listener in listeners]
        self._desk = Desk(Admission.of(settings))
        specs = enumerate(engine_specs(settings))
        self._engines = [SharedEngine(spec, partial(self._introduce, at)) for at, spec in specs]
        self._stop = asyncio.Event()
        self._has_greeted = False
        self.failure: str | None = None

    async def run(self) -> int:
        """Run until told to stop; returns the exit status, 0 when everything that had begun was finished."""
        metrics.in_flight.read = lambda: self._desk.admission.in_flight
        metrics.waiting.read = lambda: self._desk.admission.waiting
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ask_to_stop)
        keeping = [asyncio.create_task(self._keep(worker)) for worker in self._workers]
        starting = asyncio.create_task(self._start())
        await self._stop.wait()
        await asyncio.gather(*keeping)
        starting.cancel()
        await asyncio.gather(*(engine.stop() for engine in self._engines))
        return 1 if self.failure else max(abs(worker.statuses[-1]) for worker in self._workers)

    def _ask_to_stop(self) -> None:
        """Take no more connections and have the workers finish; the second time they do not wait for requests."""
        self._stop.set()
        for worker in self._workers:
            worker.listener.close()
            if worker.process is not None and worker.process.returncode is None:
                worker.process.terminate()

    def _fail(self, message: str) -> None:
        self.failure = self.failure or message
        if not self._stop.is_set():
            self._ask_to_stop()

    async def _start(self) -> None:
        try:
            await asyncio.gather(*(engine.start() for engine in self._engines))
        except ConfigError as error:
            log.error("engine_cannot_start", reason=str(error))
            self._fail(str(error))

    async def _keep(self, worker: Worker) -> None:
        """Run one process after another at a worker's place, until told to stop."""
        pause_s = 0.0
        loop = asyncio.get_running_loop()
        while not self._stop.is_set():
            began_s = loop.time()
            try:
                worker.statuses.append(await self._run(worker))
            except OSError as error:  # no process or socket to be had at this moment
                log.error("worker_not_started", reason=str(error))
                worker.statuses.append(1)
            if self._stop.is_set():
                return
            lived_s = loop.time() - began_s
            pause_s = _FIRST_PAUSE_S if lived_s > 30 else min(max(pause_s * 4, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
            log.error("worker_died", status=worker.statuses[-1], lived_s=round(lived_s, 1), pause_s=pause_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause_s)

    async def _run(self, worker: Worker) -> int:
        """Run one process for as long as it lives; returns its status."""
        desk, its_desk = socket.socketpair()
        worker.door, its_door = socket.socketpair(type=socket.SOCK_SEQPACKET)
        ends = [worker.listener, its_desk, its_door]
        try:
            with its_desk, its_door:
                process = worker.process = await asyncio.create_subprocess_exec(
                    *self._command,
                    *(str(end.fileno()) for end in ends),
                    stdin=asyncio.subprocess.PIPE,
                    pass_fds=[end.fileno() for end in ends],
                    start_new_session=True,
                )
            await self._desk.open(desk, partial(self._hear, worker))
            assert process.stdin is not None
            with suppress(ConnectionError):
                process.stdin.write(json.dumps(tree_of(share(self._settings, len(self._workers)))).encode())
                await process.stdin.drain()
            process.stdin.close()
            for at in range(len(self._engines)):
                self._join(worker, at)
            if self._stop.is_set():
                process.terminate()
            return await process.wait()
        finally:
            worker.is_listening = False
            worker.door.close()
            worker.door = None
            self._lend()

    def _introduce(self, at: int) -> None:
        """Give every worker a channel to an engine that has just become ready."""
        for worker in self._workers:
            self._join(worker, at)

    def _join(self, worker: Worker, at: int) -> None:
        if worker.door is None:
            return
        try:
            with self._engines[at].let_in() as end:
                socket.send_fds(worker.door, [bytes([at])], [end.fileno()])
        except EngineUnavailable:
            return  # it is introduced when it is ready
        except OSError as error:  # the worker has died in this moment
            log.warning("worker_not_joined", reason=str(error))

    def _lend(self) -> None:
        """Have a worker take the connections of those that do not."""
        lender = next((one for one in self._workers if one.is_listening and one.door is not None), None)
        if self._stop.is_set() or lender is None or lender.door is None:
            return
        with suppress(OSError):  # it dies too: then another is asked
            for worker in self._workers:
                if not worker.is_listening:
                    socket.send_fds(lender.door, [bytes([LEND])], [worker.listener.fileno()])

    def _hear(self, worker: Worker, news: News) -> None:
        match news:
            case Listening():
                self._listens(worker)
            case Unable(reason) if not self._has_greeted:
                self._fail(reason)
            case Unable(reason):  # the others go on, and it is tried again
                log.error("worker_cannot_start", reason=reason)
            case Hangs(number):
                self._engines[number].kill()

    def _listens(self, worker: Worker) -> None:
        worker.is_listening = True
        if not all(one.is_listening for one in self._workers):
            return
        for one in self._workers:
            if one.door is not None:
                with suppress(OSError):
                    one.door.send(bytes([RETURN]))
        if not self._has_greeted:
            self._has_greeted = True
            self._on_ready()


def share(settings: Settings, workers: int) -> Settings:
    """A worker's settings: its part of what is for all of them together and cannot be counted together.

    However many they are, each can hold a body.
    """
    least_held_bytes = checks.least_held_bytes(settings.server.max_body_bytes)
    server = replace(
        settings.server,
        max_held_bytes=max(least_held_bytes, settings.server.max_held_bytes // workers),
        max_connections=max(1, settings.server.max_connections // workers),
    )
    images = replace(settings.images, cache_bytes=settings.images.cache_bytes // workers)
    return replace(settings, server=server, images=images)


def listen(server: ServerSettings) -> list[socket.socket]:
    """Take the port, once a worker, without listening on it yet: connections are spread over the sockets that do.

    Raises:
        OSError: the port cannot be had, or another service has it.
    """
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    port = server.port
    if not server.reuse_port:  # sockets that share would be let in beside another service's that do
        with socket.socket(family) as alone:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind((server.host, port))
            port = alone.getsockname()[1]
    listeners = []
    for _ in range(server.workers):
        listener = socket.socket(family)
        listeners.append(listener)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((server.host, port))
        port = listener.getsockname()[1]
    return listeners


def program() -> list[str]:
    """The command of a worker's process."""
    return [sys.executable, "-m", "sightline.cli.worker"]
