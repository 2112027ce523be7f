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
    Working,
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
_OF_A_REQUEST = (Piece, Counted, Failed)
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
        answer = self.ask(request, only_count=True)
        try:
            counted = await answer.next()
        finally:
            self.end(answer)
        assert isinstance(counted, Counted)
        return counted.usage

    def generate(self, request: GenerateRequest) -> Deltas:
        """What comes back from the child, which is sent the request when the first is asked for."""
        return _Deltas(self, request)

    def ask(self, request: GenerateRequest, *, only_count: bool) -> PendingAnswer:
        """Send one request; what comes back is put into the answer, until `end`.

        Raises:
            EngineUnavailable: the child is starting.
        """
        channel = self._channel
        if channel is None or not self._models:
            raise self._unavailable("is starting")
        self._numbers += 1
        answer = PendingAnswer(self._numbers, channel)
        channel.send(encoder.encode(pack_request(answer.number, request, only_count=only_count)), request.images)
        self._answers[answer.number] = answer
        return answer

    def end(self, answer: PendingAnswer) -> None:
        """Who leaves before the child's last word on a request has it stop."""
        del self._answers[answer.number]
        if not answer.is_whole:
            answer.channel.send(encoder.encode(Cancel(answer.number)))

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
        message = to_parent.decode(head)
        if isinstance(message, _OF_A_REQUEST):
            answer = self._answers.get(message.number)
            if answer is not None:
                answer.put(unpack(message) if isinstance(message, Failed) else message)
            return
        match message:
            case Ready(models):
                self._models = models
                self._load_s = asyncio.get_running_loop().time() - self._began_s
                names = [model.id for model in models]
                log.info("engine_ready", kind=self.spec.kind, models=names, load_s=round(self._load_s, 2))
                if self._started is not None and not self._started.done():
                    self._started.set_result(None)
            case Working():
                pass  # that it was heard is all there is to it
            case Refused(reason):
                self._refusal = reason


class PendingAnswer:
    """What the child has said on one request and nobody has taken yet, for one reader.

    It `has_come` when the child has said its last, and `is_whole` when the reader has taken that.
    """

    def __init__(self, number: int, channel: Channel) -> None:
        self.number = number
        self.channel = channel
        self.has_come = self.is_whole = False
        self.on_complete: Callable[[], None] | None = None
        self._events: deque[Piece | Counted | ServiceError] = deque()
        self._news: asyncio.Future[None] | None = None

    def put(self, event: Piece | Counted | ServiceError) -> None:
        """Add what has come."""
        if len(self._events) >= _MOST_HELD:
            self._join()
        self._events.append(event)
        self.has_come = not isinstance(event, Piece) or event.delta.finish_reason is not None
        if self.has_come and self.on_complete is not None:
            callback, self.on_complete = self.on_complete, None
            callback()
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _join(self) -> None:
        pieces = [event.delta for event in self._events if isinstance(event, Piece)]
        if len(pieces) == len(self._events):
            self._events = deque([Piece(self.number, Delta.join(pieces))])

    async def next(self) -> Piece | Counted:
        """Take the next, or wait for it; the last one makes the answer whole.

        Raises:
            ServiceError: it ended in this.
        """
        if not self._events:
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        event = self._events.popleft()
        self.is_whole = not isinstance(event, Piece) or event.delta.finish_reason is not None
        if isinstance(event, ServiceError):
            raise event
        return event

    def drain_ready(self) -> list[Delta]:
        """Take the pieces that have come already."""
        deltas: list[Delta] = []
        while self._events and len(deltas) < MAX_READY and isinstance(piece := self._events[0], Piece):
            self._events.popleft()
            self.is_whole = piece.delta.finish_reason is not None
            deltas.append(piece.delta)
        return deltas


class _Deltas:
    """The deltas of one request. A class: the event loop keeps a book on every asynchronous generator."""

    __slots__ = ("_answer", "_engine", "_is_closed", "_on_complete", "_request")

    def __init__(self, engine: ProcessEngine, request: GenerateRequest) -> None:
        self._engine = engine
        self._request: GenerateRequest | None = request  # until it is sent: a slow reader is not to keep its pixels
        self._answer: PendingAnswer | None = None
        self._is_closed = False
        self._on_complete: Callable[[], None] | None = None

    def __aiter__(self) -> _Deltas:
        return self

    async def __anext__(self) -> Delta:
        if self._is_closed:
            raise StopAsyncIteration
        answer = self._answer
        if answer is None:
            assert self._request is not None
            answer = self._answer = self._engine.ask(self._request, only_count=False)
            self._request, answer.on_complete = None, self._on_complete
        elif answer.is_whole:
            raise StopAsyncIteration
        piece = await answer.next()
        assert isinstance(piece, Piece)
        return piece.delta

    def on_complete(self, callback: Callable[[], None]) -> None:
        """See `Deltas`."""
        self._on_complete = callback

    def drain_ready(self) -> Sequence[Delta]:
        """See `Deltas`."""
        return () if self._answer is None else self._answer.drain_ready()

    async def aclose(self) -> None:
        """Tell the child to stop, unless it has said its last."""
        if self._answer is not None and not self._is_closed:
            self._engine.end(self._answer)
        self._is_closed = True
