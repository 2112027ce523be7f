"""The pipeline, one readable function: admit → images → engine → meter.

Comes in: a parsed request. Goes out: pieces of its answers, then one `Completed` with what it took. A plain
answer is this stream, collected; closing the stream cancels the work. Knows nothing of HTTP or JSON.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from sightline.admission.admit import Admission
from sightline.core import ChatRequest, Delta, GenerateRequest, ModelInfo, Usage
from sightline.engines.base import Engine
from sightline.engines.catalogue import Catalogue
from sightline.errors import InvalidRequest, TooManyImages, UnsupportedParameter
from sightline.images.receipt import ImageReceipt
from sightline.images.viewer import Seen, Viewer
from sightline.metering.count import Meter
from sightline.metering.prices import Cost, Prices

# Honoured by every engine, or by the service itself.
_ALWAYS = frozenset(
    {"model", "messages", "n", "stream", "stream_options", "metadata", "user", "max_completion_tokens"}
    | {"store", "service_tier", "safety_identifier", "prompt_cache_key", "reasoning_effort", "verbosity"}
    | {"parallel_tool_calls", "modalities", "response_format", "logprobs", "top_logprobs"}
)


class Piece(msgspec.Struct, frozen=True):
    """The next piece of answer number `choice` (0-based)."""

    choice: int
    delta: Delta


class Timings(msgspec.Struct, frozen=True):
    """Where a request's time went, in seconds."""

    queue_s: float
    image_s: float
    prefill_s: float
    decode_s: float


class Completed(msgspec.Struct, frozen=True):
    """The end of a request: what it used, what the model saw, what it costs, how long it took."""

    usage: Usage
    images: tuple[ImageReceipt, ...]
    cost: Cost
    timings: Timings


@dataclass(frozen=True, slots=True)
class Preview:
    """What a request would use, were it carried out: the prompt's tokens, what the model sees, the prompt's cost."""

    usage: Usage
    images: tuple[ImageReceipt, ...]
    cost: Cost


class Call(msgspec.Struct, frozen=True):
    """Which request this is, and whose: `owner` is the id of the key."""

    request_id: str
    owner: str


class Service:
    """Answers requests with the engines it is given."""

    def __init__(self, catalogue: Catalogue, viewer: Viewer, admission: Admission, prices: Prices) -> None:
        self.catalogue = catalogue
        self.prices = prices
        self._viewer = viewer
        self._admission = admission

    def is_ready(self) -> bool:
        """Whether every engine can answer and the service is not about to stop."""
        return self.catalogue.is_complete() and not self._admission.draining

    async def run(self, request: ChatRequest, call: Call) -> AsyncGenerator[Piece | Completed, None]:
        """Carry out one request.

        Raises (at the first piece, or later once it has begun):
            ServiceError: whatever kept it from being carried out; nothing was charged.
        """
        engine, model = self.catalogue.find(request.model)
        check(request, model)
        asked = time.monotonic()
        async with self._admission.admit(model.id, call.owner):
            began = time.monotonic()
            work, receipts = await self._prepare(request, model, call)
            image_s = time.monotonic() - began
            meter = Meter(work.image_tokens)
            # One answer is read from the engine itself: each generator in between would cost every request.
            source = engine.generate(work) if request.n == 1 else _answers(engine, work, request.n)
            async with aclosing(source) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Delta):
                        piece = Piece(0, piece)
                    meter.count(piece.delta, piece.choice)
                    yield piece
            usage, engine_s = meter.usage(), meter.timings
            queue_s = began - asked + engine_s.queue_s
            timings = Timings(queue_s, image_s, engine_s.prefill_s, engine_s.decode_s)
            yield Completed(usage, receipts, self.prices.cost(model.id, usage), timings)

    async def preview(self, request: ChatRequest, call: Call) -> Preview:
        """Say what a request would use without running the model; refuses what `run` would refuse.

        Raises:
            ServiceError: as `run` would.
        """
        engine, model = self.catalogue.find(request.model)
        check(request, model)
        with self._admission.hold(call.owner):
            work, receipts = await self._prepare(request, model, call)
            usage = await engine.count(work)
        return Preview(usage, receipts, self.prices.cost(model.id, usage))

    async def _prepare(
        self, request: ChatRequest, model: ModelInfo, call: Call
    ) -> tuple[GenerateRequest, tuple[ImageReceipt, ...]]:
        """Turn images into what `model` sees; the receipt's count goes along, for the engine to check its own by."""
        seen: list[Seen] = []
        if request.images and model.image:
            seen = await self._viewer.look(request.images, model.image, call.owner)
        work = GenerateRequest(
            request_id=call.request_id,
            model=model.id,
            messages=request.messages,
            images=tuple(one.pixels for one in seen),
            image_tokens=sum(one.receipt.image_tokens for one in seen),
            sampling=request.sampling,
            stream=request.stream,
        )
        return work, tuple(one.receipt for one in seen)


def check(request: ChatRequest, model: ModelInfo) -> None:
    """Refuse what `model` cannot do before any work is done for it.

    Raises:
        InvalidRequest: images it does not take, or too many.
        UnsupportedParameter: a parameter it lacks; never silently dropped.
    """
    if request.images and model.image is None:
        param = request.images[0].param.removesuffix(".image_url.url") + ".type"
        raise InvalidRequest(f"{model.id} takes text only; send the image to another model.", param=param)
    if len(request.images) > model.max_images:
        message = f"{model.id} takes {model.max_images} images a request, {len(request.images)} were sent."
        raise TooManyImages(message, param="messages")
    for name in sorted(request.params_sent - _ALWAYS - model.supported_parameters):
        raise UnsupportedParameter(f"{model.id} does not support {name}; leave it out.", param=name)


async def _answers(engine: Engine, request: GenerateRequest, n: int) -> AsyncGenerator[Piece, None]:
    """Run `n` answers side by side and yield their pieces as they come; a seed gives each its own."""
    pieces: asyncio.Queue[Piece | asyncio.Task[None]] = asyncio.Queue()

    async def answer(choice: int) -> None:
        seed = request.sampling.seed
        sampling = replace(request.sampling, seed=None if seed is None else seed + choice)
        async with aclosing(engine.generate(replace(request, sampling=sampling))) as deltas:
            async for delta in deltas:
                pieces.put_nowait(Piece(choice, delta))

    tasks = [asyncio.create_task(answer(choice)) for choice in range(n)]
    for task in tasks:
        task.add_done_callback(pieces.put_nowait)
    try:
        left = n
        while left:
            piece = await pieces.get()
            if isinstance(piece, Piece):
                yield piece
            else:
                piece.result()  # raises what ended this answer early
                left -= 1
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
