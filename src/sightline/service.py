"""The pipeline, one readable function: admit → images → engine → meter.

Comes in: a parsed request. Goes out: pieces of its answers, then one `Completed` with what it took. A plain
answer is this stream, collected; closing the stream cancels the work. Knows nothing of HTTP or JSON.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import numpy as np

from sightline.admission.admit import Admission
from sightline.core import ChatRequest, Delta, GenerateRequest, ModelInfo, Pixels, Usage
from sightline.engines.base import Engine
from sightline.errors import (
    EngineUnavailable,
    InvalidRequest,
    ModelNotFound,
    TooManyImages,
    UnsupportedParameter,
)
from sightline.images.pool import ImagePool
from sightline.images.receipt import ImageReceipt, write_receipt
from sightline.images.tokens import view
from sightline.metering.count import Meter

# Honoured by every engine, or by the service itself.
_ALWAYS = frozenset(
    {"model", "messages", "n", "stream", "stream_options", "metadata", "user", "max_completion_tokens"}
    | {"store", "service_tier", "safety_identifier", "prompt_cache_key", "reasoning_effort", "verbosity"}
    | {"parallel_tool_calls", "modalities", "response_format", "logprobs", "top_logprobs"}
)


@dataclass(frozen=True, slots=True)
class Piece:
    """The next piece of answer number `choice` (0-based)."""

    choice: int
    delta: Delta


@dataclass(frozen=True, slots=True)
class Timings:
    """Where a request's time went, in seconds."""

    queue_s: float
    image_s: float
    prefill_s: float
    decode_s: float


@dataclass(frozen=True, slots=True)
class Completed:
    """The end of a request: what it used, what the model saw, how long it took."""

    usage: Usage
    images: tuple[ImageReceipt, ...]
    timings: Timings


class Service:
    """Answers requests with the engines it is given."""

    def __init__(self, engines: Sequence[Engine], pool: ImagePool, admission: Admission) -> None:
        self._engines = tuple(engines)
        self._pool = pool
        self._admission = admission
        self._seen: dict[str, ModelInfo] = {}

    def models(self) -> list[ModelInfo]:
        """The models that can answer now."""
        models = [model for engine in self._engines for model in engine.models()]
        self._seen.update((model.id, model) for model in models)
        return models

    def is_ready(self) -> bool:
        """Whether every engine has answered its warm-up and none is restarting."""
        self.models()
        return not self._admission.draining and all(engine.models() for engine in self._engines)

    def model(self, model_id: str) -> ModelInfo:
        """Find a model that can answer now.

        Raises:
            ModelNotFound: no engine here has it.
            EngineUnavailable: it is served here, and its engine is starting or restarting.
        """
        models = self.models()
        for model in models:
            if model.id == model_id:
                return model
        if model_id in self._seen or not all(engine.models() for engine in self._engines):
            message = f"No engine serves {model_id[:100]!r} at this moment; one is starting. Try again in a moment."
            raise EngineUnavailable(message, retry_after_s=2)
        known = ", ".join(model.id for model in models)
        raise ModelNotFound(f"There is no model {model_id[:100]!r} here. Loaded: {known}.", param="model")

    async def run(self, request: ChatRequest, request_id: str) -> AsyncGenerator[Piece | Completed, None]:
        """Carry out one request.

        Raises (at the first piece, or later once it has begun):
            ServiceError: whatever kept it from being carried out; nothing was charged.
        """
        model = self.model(request.model)
        check(request, model)
        with self._admission.admit():
            began = time.monotonic()
            pixels, receipts = await self._look(request, model)
            image_s = time.monotonic() - began
            work = GenerateRequest(request_id, model.id, request.messages, pixels, request.sampling)
            meter = Meter(image_tokens=sum(receipt.image_tokens for receipt in receipts))
            engine = next(engine for engine in self._engines if model in engine.models())
            async with aclosing(_answers(engine, work, request.n)) as pieces:
                async for piece in pieces:
                    meter.count(piece.delta)
                    yield piece
            timings = meter.timings
            yield Completed(
                meter.usage(),
                receipts,
                Timings(timings.queue_s, image_s, timings.prefill_s, timings.decode_s),
            )

    async def _look(
        self, request: ChatRequest, model: ModelInfo
    ) -> tuple[tuple[Pixels, ...], tuple[ImageReceipt, ...]]:
        """Decode the images side by side to what `model` sees, and write down what was seen."""
        if model.image is None or not request.images:
            return (), ()
        encoding = model.image
        decoded = await asyncio.gather(
            *(self._pool.decode(image, encoding, number) for number, image in enumerate(request.images, start=1))
        )
        pixels = tuple(np.frombuffer(one.rgb, np.uint8).reshape(one.height, one.width, 3) for one in decoded)
        receipts = tuple(
            write_receipt(image, one, view(encoding, one.width, one.height))
            for image, one in zip(request.images, decoded, strict=True)
        )
        return pixels, receipts


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
    if n == 1:
        async with aclosing(engine.generate(request)) as deltas:
            async for delta in deltas:
                yield Piece(0, delta)
        return
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
