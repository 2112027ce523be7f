"""An `Engine` whose work happens in the replicas of a Ray Serve deployment, wherever they run.

Ray Serve picks the replica with fewer requests of two, restarts what dies and adds replicas by load. A request whose
replica is lost moves to another one, `MOST_MOVES` times at most, if nothing of its answer has been passed on: a plain
answer's text is kept here until it is whole. All others end with `EngineUnavailable`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from ray.exceptions import ObjectLostError, RayActorError, RayError, WorkerCrashedError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError

from sightline.core import Delta, GenerateRequest, ModelInfo, Usage
from sightline.engines.base import Deltas, GeneratorDeltas
from sightline.engines.process.messages import Counted, Failed, Piece, Ready, encoder, pack_request, to_parent, unpack
from sightline.errors import EngineOverloaded, EngineUnavailable
from sightline.log import get_logger

_LOOK_EVERY_S = 1.0
MOST_MOVES = 3
"""Of one request: Ray Serve may pick the lost replica again before it knows, and a request that kills every replica it
meets must not meet them all."""
_MOVE_AFTER_S = 0.5
"""Before a second move, and twice as long before a third: then Ray Serve nearly always knows which one is gone."""
LOST = (RayActorError, WorkerCrashedError, ObjectLostError, ReplicaUnavailableError)
"""What Ray raises when the process or the machine of a replica is gone or out of reach."""

log = get_logger(__name__)


class ReplicaEngine:
    """`handle` is the deployment's; `running` says how many of its replicas run, and may block."""

    def __init__(self, handle: Any, running: Callable[[], int]) -> None:
        self._handle = handle
        self._stream = handle.options(method_name="generate", stream=True)
        self._running = running
        self._known: tuple[ModelInfo, ...] = ()
        self._is_up = False
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Wait until a replica has loaded its models, and keep an eye on them from then on."""
        while not self._known:
            try:
                ready = to_parent.decode(await self._handle.models.remote())
            except (DeploymentUnavailableError, RayError) as error:
                # Lost before it could say, or not to be started until somebody mends its config.
                log.warning("engine_not_ready", deployment=self._handle.deployment_name, reason=type(error).__name__)
                await asyncio.sleep(_LOOK_EVERY_S)
                continue
            assert isinstance(ready, Ready)
            self._known = ready.models
        self._is_up = True
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop looking. The replicas are Ray Serve's to stop, and go on for other fronts."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        self._known, self._watching = (), None

    def models(self) -> Sequence[ModelInfo]:
        """The models of the replicas, while one of these runs."""
        return self._known if self._is_up else ()

    async def count(self, request: GenerateRequest) -> Usage:
        """Have a replica count the request's prompt."""
        async with aclosing(self._ask(request, only_count=True)) as messages:
            counted = await anext(messages)
        assert isinstance(counted, Counted)
        return counted.usage

    def generate(self, request: GenerateRequest) -> Deltas:
        """Have a replica answer; closing tells it to stop."""
        return GeneratorDeltas(self._generate(request))

    async def _generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        async with aclosing(self._ask(request)) as messages:
            async for message in messages:
                assert isinstance(message, Piece)
                yield message.delta

    async def _ask(
        self, request: GenerateRequest, *, only_count: bool = False
    ) -> AsyncGenerator[Piece | Counted, None]:
        """What a replica says on a request; another one is asked if the first is lost before any of it was passed on.

        Raises:
            EngineUnavailable: as many were lost as may be, or one in the middle of a stream.
        """
        if not self._is_up:
            raise _unavailable("is starting")
        head = encoder.encode(pack_request(0, request, only_count=only_count))
        raw = b"".join(image.tobytes() for image in request.images)
        for asked in range(1 + MOST_MOVES):
            has_begun = False
            kept: list[Delta] = []
            try:
                async with aclosing(self._messages(head, raw)) as messages:
                    async for message in messages:
                        has_begun = request.stream
                        if isinstance(message, Piece) and not request.stream:
                            kept.append(message.delta)
                            yield Piece(message.number, _so_far(kept))
                        else:
                            yield message
                return
            except EngineUnavailable:
                if has_begun or asked == MOST_MOVES:
                    raise
                log.warning("request_moved", deployment=self._handle.deployment_name, request_id=request.request_id)
                await asyncio.sleep(_MOVE_AFTER_S * asked)

    async def _messages(self, head: bytes, raw: bytes) -> AsyncGenerator[Piece | Counted, None]:
        """What one replica says, in our words where it fails; when all is said, how it ends does not matter."""
        response = self._stream.remote(head, raw)
        is_whole = False
        try:
            async for one in response:
                message = to_parent.decode(one)
                if isinstance(message, Failed):
                    is_whole = True
                    raise unpack(message)
                assert isinstance(message, Piece | Counted)
                is_whole = not isinstance(message, Piece) or message.delta.finish_reason is not None
                yield message
        except LOST as error:
            if not is_whole:
                raise _unavailable("was lost") from error
        except DeploymentUnavailableError as error:
            raise _unavailable("cannot be started") from error
        except BackPressureError as error:
            raise EngineOverloaded(
                "As many requests wait for this model as may; send the request again in a moment.", retry_after_s=1
            ) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            if not is_whole:
                raise _unavailable("was stopped") from error  # the replica was, not the request
        finally:
            if not is_whole:
                response.cancel()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                is_up = await asyncio.to_thread(self._running) > 0
            except RayError as error:  # the controller is being restarted; the replicas go on
                log.warning("replicas_not_seen", reason=type(error).__name__)
                continue
            if is_up != self._is_up:
                log.warning("replicas_changed", deployment=self._handle.deployment_name, is_up=is_up)
            self._is_up = is_up


def _so_far(kept: list[Delta]) -> Delta:
    """What is passed on of a plain answer: all of it at its end, before only what it used, for a reader that leaves."""
    last = kept[-1]
    return Delta("", usage=last.usage) if last.finish_reason is None else Delta.join(kept)


def _unavailable(what: str) -> EngineUnavailable:
    message = f"The model's engine {what}. Send the request again in a moment; nothing was charged."
    return EngineUnavailable(message, retry_after_s=1)
