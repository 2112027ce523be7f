"""Runs an engine in a child process of its own and watches over it.

A model that crashes takes its process along, not the service: requests in flight end with
`EngineUnavailable`, `models()` is empty until a new process has answered its warm-up, and the API stays up.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

import msgspec
import zmq
import zmq.asyncio

from sightline.core import Delta, GenerateRequest, ModelInfo, Usage
from sightline.engines.messages import (
    Cancel,
    Counted,
    Failed,
    Generate,
    Piece,
    Ready,
    Refused,
    encoder,
    to_parent,
    unpack,
)
from sightline.errors import ConfigError, EngineUnavailable
from sightline.log import get_logger
from sightline.settings import EngineSpec

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 10.0

log = get_logger(__name__)


class ProcessEngine:
    """An `Engine` whose work happens in a supervised child process."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self.pid: int | None = None
        self._context = zmq.asyncio.Context()
        self._socket: zmq.asyncio.Socket | None = None
        self._models: tuple[ModelInfo, ...] = ()
        self._answers: dict[int, asyncio.Queue[Piece | Counted | Failed | None]] = {}
        self._numbers = 0
        self._supervisor: asyncio.Task[None] | None = None
        self._load_s = 1.0

    async def start(self) -> None:
        """Start the child and wait for its first warm-up; from then on it is kept alive."""
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._supervisor = asyncio.create_task(self._supervise(first))
        await first

    async def stop(self) -> None:
        """End the child; generations still running end with `EngineUnavailable`."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None
        self._context.destroy(linger=0)

    def models(self) -> Sequence[ModelInfo]:
        """The child's models while it can answer."""
        return self._models

    def waiting(self) -> int:
        """Requests handed to the child whose answer is not complete."""
        return len(self._answers)

    async def count(self, request: GenerateRequest) -> Usage:
        """Have the child count the request's prompt."""
        async with aclosing(self._exchange(request, only_count=True)) as events:
            async for event in events:
                if isinstance(event, Counted):
                    return event.usage
        raise self._unavailable("is starting")

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        """Send the request to the child and yield what comes back; closing tells the child to stop."""
        async with aclosing(self._exchange(request)) as events:
            async for event in events:
                if isinstance(event, Piece):
                    yield event.delta

    async def _exchange(
        self, request: GenerateRequest, *, only_count: bool = False
    ) -> AsyncGenerator[Piece | Counted, None]:
        """Send one request and yield what the child answers, up to its last word on it."""
        socket = self._socket
        if socket is None or not self._models:
            raise self._unavailable("is starting")
        self._numbers += 1
        number = self._numbers
        answer = self._answers[number] = asyncio.Queue()
        head = _head(number, request, only_count)
        finished = False
        try:
            await socket.send_multipart([encoder.encode(head), *request.images], copy=False)
            while not finished:
                event = await answer.get()
                if isinstance(event, Piece | Counted):
                    finished = isinstance(event, Counted) or event.delta.finish_reason is not None
                    yield event
                    continue
                finished = True
                raise unpack(event) if event else self._unavailable("stopped while it was answering and is restarting")
        finally:
            del self._answers[number]
            if not finished and socket is self._socket:
                await socket.send(encoder.encode(Cancel(number)))

    def _unavailable(self, what: str) -> EngineUnavailable:
        message = f"The model's engine {what}. Send the request again in a moment; nothing was charged."
        return EngineUnavailable(message, retry_after_s=max(1.0, self._load_s))

    async def _supervise(self, first: asyncio.Future[None]) -> None:
        pause_s = 0.0
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._run_child(first)
            except ConfigError as error:
                if not first.done():
                    first.set_exception(error)
                    return
                log.error("engine_refused_to_start", kind=self.spec.kind, reason=str(error))
            except OSError as error:  # no process or socket to be had at this moment
                log.error("engine_not_started", kind=self.spec.kind, reason=str(error))
            lived_s = asyncio.get_running_loop().time() - began
            pause_s = _FIRST_PAUSE_S if lived_s > 30 else min(max(pause_s * 4, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
            log.warning("engine_restarting", kind=self.spec.kind, lived_s=round(lived_s, 1), pause_s=pause_s)
            await asyncio.sleep(pause_s)

    async def _run_child(self, first: asyncio.Future[None]) -> None:
        began = asyncio.get_running_loop().time()
        with tempfile.TemporaryDirectory(prefix="sightline-") as folder:
            endpoint = f"ipc://{Path(folder) / 'engine'}"
            socket = self._context.socket(zmq.PAIR)
            socket.set_hwm(0)
            socket.bind(endpoint)
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "sightline.engines.child", endpoint, msgspec.json.encode(self.spec).decode()),
                stdin=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
            self.pid = child.pid
            reader = asyncio.create_task(self._read(socket, first, began))
            gone = asyncio.create_task(child.wait())
            try:
                await asyncio.wait((reader, gone), return_when=asyncio.FIRST_COMPLETED)
                if reader.done():
                    reader.result()
            finally:
                self._models, self._socket, self.pid = (), None, None
                reader.cancel()
                if child.returncode is None:
                    child.kill()
                await gone
                socket.close(linger=0)
                for answer in self._answers.values():
                    answer.put_nowait(None)
            log.error("engine_died", kind=self.spec.kind, status=child.returncode)

    async def _read(self, socket: zmq.asyncio.Socket, first: asyncio.Future[None], began: float) -> None:
        while True:
            match to_parent.decode(await socket.recv()):
                case Piece(number) | Counted(number) | Failed(number) as message:
                    if number in self._answers:
                        self._answers[number].put_nowait(message)
                case Ready(models):
                    self._load_s = asyncio.get_running_loop().time() - began
                    self._models, self._socket = models, socket
                    names = [model.id for model in models]
                    log.info("engine_ready", kind=self.spec.kind, models=names, load_s=round(self._load_s, 2))
                    if not first.done():
                        first.set_result(None)
                case Refused(message=reason):
                    raise ConfigError(reason)


def _head(number: int, request: GenerateRequest, only_count: bool) -> Generate:
    return Generate(
        number=number,
        request_id=request.request_id,
        model=request.model,
        messages=request.messages,
        sampling=request.sampling,
        sizes=tuple((image.shape[0], image.shape[1]) for image in request.images),
        image_tokens=request.image_tokens,
        only_count=only_count,
    )
