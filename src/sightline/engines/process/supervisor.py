"""Runs an engine in a child process of its own and watches over it.

A model that crashes takes its process along, not the service: requests in flight end with
`EngineUnavailable`, `models()` is empty until a new process has answered its warm-up, and the API stays up. One that
hangs, so that it gives no piece of any answer for too long, is ended: its requests end with `EngineTimeout`.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import msgspec

from sightline import metrics
from sightline.core import Delta, GenerateRequest, ModelInfo, Usage
from sightline.engines.base import MAX_READY, Deltas
from sightline.engines.process.channel import Channel
from sightline.engines.process.messages import (
    Cancel,
    Counted,
    Failed,
    Piece,
    Ready,
    Refused,
    encoder,
    pack_request,
    to_parent,
    unpack,
)
from sightline.errors import ConfigError, EngineTimeout, EngineUnavailable, ServiceError
from sightline.log import get_logger
from sightline.settings import EngineSpec

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 10.0
_LOOKS = 20  # in the time that it may be silent
_MOST_HELD = 2 * MAX_READY
"""Pieces that wait for a reader; beyond it they become one, for each takes ten times the memory of its text."""

log = get_logger(__name__)


class ProcessEngine:
    """An `Engine` whose work happens in a supervised child process; it may be silent for `silence_s` of work."""

    def __init__(self, spec: EngineSpec, silence_s: float = 300.0) -> None:
        self.spec = spec
        self._silence_s = silence_s
        self._heard_s = 0.0
        self.pid: int | None = None
        self._channel: Channel | None = None
        self._models: tuple[ModelInfo, ...] = ()
        self._answers: dict[int, PendingAnswer] = {}
        self._numbers = 0
        self._supervisor: asyncio.Task[None] | None = None
        self._started: asyncio.Future[None] | None = None
        self._refusal: str | None = None
        self._began_s = 0.0
        self._load_s = 1.0

    async def start(self) -> None:
        """Start the child and wait for its first warm-up; from then on it is kept alive."""
        self._started = asyncio.get_running_loop().create_future()
        self._supervisor = asyncio.create_task(self._supervise(self._started))
        await self._started

    async def stop(self) -> None:
        """End the child; generations still running end with `EngineUnavailable`."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None

    def models(self) -> Sequence[ModelInfo]:
        """The child's models while it can answer."""
        return self._models

    async def count(self, request: GenerateRequest) -> Usage:
        """Have the child count the request's prompt."""
        answer = PendingAnswer(self, request, only_count=True)
        try:
            usage = await answer.next()
        finally:
            await answer.aclose()
        assert isinstance(usage, Usage)
        return usage

    def generate(self, request: GenerateRequest) -> Deltas:
        """What comes back from the child, which is sent the request when the first is asked for."""
        return PendingAnswer(self, request)

    def ask(self, answer: PendingAnswer, request: GenerateRequest, *, only_count: bool) -> int:
        """Send a request and return its number; what comes back is put into the answer, until `end`.

        Raises:
            EngineUnavailable: the child is starting.
        """
        if self._channel is None or not self._models:
            raise self._unavailable("is starting")
        self._numbers += 1
        head = encoder.encode(pack_request(self._numbers, request, only_count=only_count))
        self._channel.send(head, request.images)
        self._answers[self._numbers] = answer
        return self._numbers

    def end(self, number: int) -> None:
        """Who leaves before the child's last word on a request has it stop."""
        if not self._answers.pop(number).is_whole and self._channel is not None:
            self._channel.send(encoder.encode(Cancel(number)))

    def _unavailable(self, what: str) -> EngineUnavailable:
        message = f"The model's engine {what}. Send the request again in a moment; nothing was charged."
        return EngineUnavailable(message, retry_after_s=max(1.0, self._load_s))

    async def _supervise(self, started: asyncio.Future[None]) -> None:
        pause_s = 0.0
        while True:
            self._began_s = asyncio.get_running_loop().time()
            try:
                await self._run_child()
            except ConfigError as error:
                if not started.done():
                    started.set_exception(error)
                    return
                log.error("engine_refused_to_start", kind=self.spec.kind, reason=str(error))
            except OSError as error:  # no process or socket to be had at this moment
                log.error("engine_not_started", kind=self.spec.kind, reason=str(error))
            lived_s = asyncio.get_running_loop().time() - self._began_s
            pause_s = _FIRST_PAUSE_S if lived_s > 30 else min(max(pause_s * 4, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
            metrics.engine_restarted(self.spec.kind)
            log.warning("engine_restarting", kind=self.spec.kind, lived_s=round(lived_s, 1), pause_s=pause_s)
            await asyncio.sleep(pause_s)

    async def _run_child(self) -> None:
        """Run one child for as long as it lives.

        Raises:
            ConfigError: it said that the engine can never start.
        """
        ours, theirs = socket.socketpair()
        with theirs, ExitStack() as unless_started:
            unless_started.callback(ours.close)
            child = await self._spawn(theirs)
            unless_started.pop_all()
        self.pid, self._refusal = child.pid, None
        loop = asyncio.get_running_loop()
        _, self._channel = await loop.create_unix_connection(lambda: Channel(self._receive, self._lose), sock=ours)
        watch = loop.create_task(self._watch(child.kill))
        try:
            await child.wait()
        finally:
            watch.cancel()
            self._lose()
            await asyncio.sleep(0)  # the transport closes its socket on the loop's next turn
            if child.returncode is None:
                child.kill()
                await child.wait()
        if self._refusal is None and self._started is not None and not self._started.done():
            self._refusal = f"the engine's process ended (status {child.returncode}) before it was ready; see above"
        if self._refusal is not None:
            raise ConfigError(self._refusal)
        log.error("engine_died", kind=self.spec.kind, status=child.returncode)

    async def _spawn(self, end: socket.socket) -> asyncio.subprocess.Process:
        """Start the program of a child, which inherits `end`."""
        number = end.fileno()
        spec = msgspec.json.encode(self.spec).decode()
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "sightline.engines.process.child", spec, str(number)),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=[number],
            start_new_session=True,
        )

    async def _watch(self, end: Callable[[], None]) -> None:
        """Have the child ended when it gives no piece of any answer for too long."""
        look_s = self._silence_s / _LOOKS
        while True:
            await asyncio.sleep(look_s)
            open_answers = [answer for answer in self._answers.values() if not answer.has_come]
            if not open_answers:
                self._heard_s = time.monotonic()
            elif time.monotonic() - self._heard_s > self._silence_s + look_s:
                break
        log.error("engine_hangs", kind=self.spec.kind, silent_s=self._silence_s, answers=len(open_answers))
        message = f"The model's engine gave nothing for {self._silence_s:g} s and is restarting; nothing was charged."
        for answer in open_answers:
            answer.put(EngineTimeout(message, retry_after_s=max(1.0, self._load_s)))
        end()

    def _lose(self) -> None:
        """End every answer that the child will not finish any more."""
        if self._channel is not None:
            self._channel.close()
        self._models, self._channel, self.pid = (), None, None
        for answer in self._answers.values():
            answer.put(self._unavailable("stopped while it was answering and is restarting"))

    def _receive(self, head: bytes, _: bytes) -> None:
        self._heard_s = time.monotonic()
        match to_parent.decode(head):
            case Piece(number, event) | Counted(number, event):
                self._put(number, event)
            case Failed(number) as failed:
                self._put(number, unpack(failed))
            case Ready(models):
                self._models = models
                self._load_s = asyncio.get_running_loop().time() - self._began_s
                names = [model.id for model in models]
                log.info("engine_ready", kind=self.spec.kind, models=names, load_s=round(self._load_s, 2))
                if self._started is not None and not self._started.done():
                    self._started.set_result(None)
            case Refused(reason):
                self._refusal = reason

    def _put(self, number: int, event: Delta | Usage | ServiceError) -> None:
        if number in self._answers:  # else its reader has left
            self._answers[number].put(event)


class PendingAnswer:
    """Implements `Deltas`: what the child has said on one request and its one reader has not taken yet.

    The answer `has_come` when the child has said its last, and `is_whole` when the reader has taken that. A class: the
    event loop keeps a book on every asynchronous generator.
    """

    def __init__(self, engine: ProcessEngine, request: GenerateRequest, *, only_count: bool = False) -> None:
        self._engine = engine
        self._request: GenerateRequest | None = request  # until it is sent: a slow reader is not to keep its pixels
        self._only_count = only_count
        self._number: int | None = None
        self.has_come = self.is_whole = self._is_closed = False
        self._on_complete: Callable[[], None] | None = None
        self._events: deque[Delta | Usage | ServiceError] = deque()
        self._news: asyncio.Future[None] | None = None

    def put(self, event: Delta | Usage | ServiceError) -> None:
        """Add what has come; nothing counts after the last."""
        if self.has_come:
            return
        if len(self._events) >= _MOST_HELD:
            self._events = deque([Delta.join([held for held in self._events if isinstance(held, Delta)])])
        self._events.append(event)
        self.has_come = _is_last(event)
        if self.has_come and self._on_complete is not None:
            self._on_complete()
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def next(self) -> Delta | Usage:
        """Take the next, or wait for it; the last one makes the answer whole.

        Raises:
            ServiceError: it ended in this, or the child is starting.
        """
        if self._request is not None:
            self._number = self._engine.ask(self, self._request, only_count=self._only_count)
            self._request = None
        if not self._events:
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        event = self._events.popleft()
        self.is_whole = _is_last(event)
        if isinstance(event, ServiceError):
            raise event
        return event

    def __aiter__(self) -> PendingAnswer:
        return self

    async def __anext__(self) -> Delta:
        if self._is_closed or self.is_whole:
            raise StopAsyncIteration
        delta = await self.next()
        assert isinstance(delta, Delta)
        return delta

    def on_complete(self, callback: Callable[[], None]) -> None:
        """See `Deltas`."""
        self._on_complete = callback

    def drain_ready(self) -> list[Delta]:
        """Take the pieces that have come already."""
        deltas: list[Delta] = []
        while self._events and len(deltas) < MAX_READY and isinstance(delta := self._events[0], Delta):
            self._events.popleft()
            self.is_whole = _is_last(delta)
            deltas.append(delta)
        return deltas

    async def aclose(self) -> None:
        """Tell the child to stop, unless it has said its last."""
        if self._number is not None and not self._is_closed:
            self._engine.end(self._number)
        self._is_closed = True


def _is_last(event: Delta | Usage | ServiceError) -> bool:
    return not isinstance(event, Delta) or event.finish_reason is not None
