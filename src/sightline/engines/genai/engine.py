"""The vision-language engine: OpenVINO GenAI's continuous batching behind the engine contract.

In: a model folder, then `GenerateRequest`s. Out: `Delta`s. Here a request is checked, written as a prompt and handed
to the stepping thread. The pipeline holds the interpreter lock while it steps, so the event loop this engine runs
on is held up by as much: give it a process of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

import numpy as np

from sightline.core import Delta, GenerateRequest, ImagePart, Message, ModelInfo, SamplingParams, TextPart, Usage
from sightline.engines.base import Deltas, GeneratorDeltas
from sightline.engines.context import max_new_tokens
from sightline.engines.genai.answer import Answer
from sightline.engines.genai.encoder_cache import EncoderCache
from sightline.engines.genai.job import Job
from sightline.engines.genai.loading import Limits, Loaded, load
from sightline.engines.genai.model import Model, read_model
from sightline.engines.genai.pipeline import EngineLoop, Load
from sightline.engines.genai.sampling import generation_config
from sightline.errors import EngineError, EngineOverloaded, EngineUnavailable, ServiceError

WARM_UP_TOKENS = 4


class GenAIEngine:
    """Runs one vision-language model in this process."""

    def __init__(self, path: Path, *, model_id: str | None = None, limits: Limits | None = None) -> None:
        self._path = path
        self._model_id = model_id
        self._limits = limits or Limits()
        self._loaded: Loaded | None = None
        self._engine_loop: EngineLoop | None = None
        self._is_warm = False

    async def start(self) -> None:
        """Load the model and answer a warm-up request; see `Engine.start`."""
        model = read_model(self._path, model_id=self._model_id, max_context=self._limits.max_context)
        self._loaded = loaded = await asyncio.to_thread(load, model, self._limits)
        encoder_cache = EncoderCache(self._limits.encoder_cache_bytes)
        self._engine_loop = EngineLoop(loaded.pipeline, loaded.vision, loaded.capacity, encoder_cache)
        async for _ in self._answers(_warm_up(model)):
            pass
        self._is_warm = True

    async def stop(self) -> None:
        """End running generations with `EngineUnavailable` and release the model."""
        self._is_warm = False
        if self._engine_loop is not None:
            await self._engine_loop.stop()
        self._engine_loop = self._loaded = None

    def models(self) -> Sequence[ModelInfo]:
        """The one model, while it can answer; none once a step of the pipeline has failed."""
        if self._loaded is None or self._engine_loop is None or not (self._is_warm and self._engine_loop.is_alive):
            return ()
        return (self._loaded.model.info,)

    def load(self) -> Load:
        """Return how many requests run and wait at this moment."""
        return self._engine_loop.load() if self._engine_loop is not None else Load(0, 0)

    async def count(self, request: GenerateRequest) -> Usage:
        """Count a request's prompt; see `Engine.count`."""
        return self._job(request).usage

    def generate(self, request: GenerateRequest) -> Deltas:
        """Answer one request; see `Engine.generate`."""
        return GeneratorDeltas(self._generate(request))

    async def _generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        if not self.models():
            raise EngineUnavailable("the model is not running", retry_after_s=2)
        if self.load().waiting >= self._limits.max_queued:
            raise EngineOverloaded("too many requests are waiting for this model", retry_after_s=2)
        async with aclosing(self._answers(request)) as deltas:
            async for delta in deltas:
                yield delta

    async def _answers(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        job = self._job(request)
        engine_loop = self._engine_loop
        assert engine_loop is not None
        engine_loop.submit(job)
        try:
            while True:
                event = await job.events.get()
                if isinstance(event, ServiceError):
                    raise event
                yield event
                if event.finish_reason is not None:
                    return
        finally:
            engine_loop.cancel(job)

    def _job(self, request: GenerateRequest) -> Job:
        """Check a request and write it down for the pipeline."""
        loaded = self._loaded
        if loaded is None:
            raise EngineUnavailable("the model is not running", retry_after_s=2)
        model, sampling = loaded.model, request.sampling
        views = [view for image in request.images for view in image]
        size_px = model.image.size_px
        if any(view.shape != (size_px, size_px, 3) or view.dtype != np.uint8 for view in views):
            raise EngineError("an image reached the model at the wrong size")
        image_tokens = model.image.tokens * len(views)
        if request.image_tokens != image_tokens:
            raise EngineError("the images of the request take another number of tokens than was promised")
        max_new_tokens(_fewest_tokens(loaded, request), sampling, model.info.context_length, is_least=True)
        prompt = loaded.writer.write(request.messages, [len(image) for image in request.images])
        prompt_tokens = loaded.counter.count(prompt)
        max_tokens = max_new_tokens(prompt_tokens, sampling, model.info.context_length)
        return Job(
            prompt=prompt.tagged,
            config=generation_config(sampling, max_tokens=max_tokens, eos_ids=model.eos_ids),
            prompt_tokens=prompt_tokens,
            image_tokens=image_tokens,
            max_tokens=max_tokens,
            answer=Answer(loaded.vocabulary, sampling),
            views=views,
            owner=request.owner,
        )


def _fewest_tokens(loaded: Loaded, request: GenerateRequest) -> int:
    """Return how many tokens the prompt has at the very least.

    A text that cannot fit is refused by this: the tokenizer takes a fifth of a second for a megabyte, and holds the
    interpreter lock meanwhile. The template leaves out no more than blanks around a text.
    """
    texts = [part.text for message in request.messages for part in message.parts if isinstance(part, TextPart)]
    size_bytes = sum([len(text.strip().encode(errors="replace")) for text in texts])
    return request.image_tokens + size_bytes // loaded.longest_bytes


def _warm_up(model: Model) -> GenerateRequest:
    size_px = model.image.size_px
    return GenerateRequest(
        request_id="warm-up",
        model=model.info.id,
        messages=(Message("user", (ImagePart(0), TextPart("What is this?"))),),
        images=(np.full((1, size_px, size_px, 3), 127, np.uint8),),
        image_tokens=model.image.tokens,
        sampling=SamplingParams(max_tokens=WARM_UP_TOKENS, temperature=0.0),
    )
