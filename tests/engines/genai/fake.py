"""A fake of the pipeline and of the vision encoder under the stepping thread, and what runs jobs on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import numpy as np
from openvino_genai import GenerationFinishReason, GenerationStatus

from sightline.core import Delta, Pixels, SamplingParams
from sightline.engines.genai.answer import Answer, Vocabulary
from sightline.engines.genai.encoder_cache import EncoderCache
from sightline.engines.genai.job import Job
from sightline.engines.genai.pipeline import Capacity, EngineLoop
from sightline.errors import ServiceError

VOCABULARY = Vocabulary([b"", b"", b"a"], eos_ids=frozenset({1}), pad_id=0)
ROOMY = Capacity(running=4, step_tokens=1000, blocks=1000)


class Output:
    """One step's tokens of one request."""

    def __init__(self, ids: list[int], reason: GenerationFinishReason) -> None:
        self.generated_ids = ids
        self.generated_log_probs = [0.0] * len(ids)
        self.finish_reason = reason


class Handle:
    """A request inside the fake pipeline: makes `a` until it has made `length` of them."""

    def __init__(self, length: int) -> None:
        self.left = length
        self.status = GenerationStatus.RUNNING
        self.outputs: list[Output] = []

    def step(self) -> None:
        self.left -= 1
        self.outputs.append(
            Output([2], GenerationFinishReason.LENGTH if self.left <= 0 else GenerationFinishReason.NONE)
        )
        if self.left <= 0:
            self.status = GenerationStatus.FINISHED

    def can_read(self) -> bool:
        return bool(self.outputs)

    def read(self) -> dict[int, Output]:
        return {0: self.outputs.pop(0)}

    def get_status(self) -> GenerationStatus:
        return self.status

    def cancel(self) -> None:
        self.status = GenerationStatus.CANCEL


class Pipeline:
    """The members of ContinuousBatchingPipeline that the stepping thread uses."""

    def __init__(self) -> None:
        self.handles: list[Handle] = []
        self.added: list[str] = []
        self.shown: list[list[int]] = []
        self.most_at_once = 0
        self.forgotten = 0
        self.step_fails = False
        self.gives_up = False

    def add_request(self, number: int, prompt: str, images: Any, config: Any) -> Handle:
        if prompt == "bad":
            raise RuntimeError("Check failed at src/secret/path.cpp")
        self.added.append(prompt)
        self.shown.append([int(image.data[0, 0, 0, 0]) for image in images])
        self.handles.append(Handle(config))
        return self.handles[-1]

    def has_non_finished_requests(self) -> bool:
        return bool(self.handles)

    def step(self) -> None:
        if self.step_fails:
            raise RuntimeError("the batch is gone")
        self.most_at_once = max(self.most_at_once, len(self.handles))
        for handle in self.handles:
            if handle.status == GenerationStatus.RUNNING:
                handle.step()
            if self.gives_up:
                handle.status = GenerationStatus.IGNORED
        self.handles = [handle for handle in self.handles if handle.status == GenerationStatus.RUNNING]

    def finish_chat(self) -> None:
        self.forgotten += 1


class Vision:
    """The members of VisionEncoder that the stepping thread uses."""

    most_at_once = 3

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.fails = False

    def encode(self, images: Sequence[Pixels]) -> list[Pixels]:
        if self.fails:
            raise RuntimeError("Check failed at src/secret/path.cpp")
        self.batches.append([int(image[0, 0, 0]) for image in images])
        return [image + 100 for image in images]


def job(
    prompt: str = "good",
    length: int = 3,
    prompt_tokens: int = 10,
    images: Sequence[int] = (),
    owner: str = "one",
) -> Job:
    views = [np.full((1, 1, 3), value, np.uint8) for value in images]
    answer = Answer(VOCABULARY, SamplingParams())
    return Job(prompt, length, prompt_tokens, 9 * len(images), length, answer, views, owner)  # type: ignore[arg-type]


async def cached_tokens(running: Job) -> int:
    """Wait for the end of an answer, which is to be whole; returns what it says came from the cache."""
    while True:
        event = await running.events.get()
        assert isinstance(event, Delta)
        assert event.usage is not None
        if event.finish_reason:
            return event.usage.cached_tokens


async def outcome(running: Job) -> str | ServiceError:
    text = ""
    while True:
        event = await running.events.get()
        if isinstance(event, ServiceError):
            return event
        text += event.text
        if event.finish_reason:
            return text


def run(
    scene: Callable[[EngineLoop, Pipeline], Coroutine[Any, Any, None]],
    capacity: Capacity = ROOMY,
    vision: Vision | None = None,
    encoder_cache: EncoderCache | None = None,
) -> None:
    async def whole() -> None:
        pipeline = Pipeline()
        engine_loop = EngineLoop(
            pipeline, vision or Vision(), capacity, EncoderCache(10**6) if encoder_cache is None else encoder_cache
        )  # type: ignore[arg-type]
        await scene(engine_loop, pipeline)
        await engine_loop.stop()

    asyncio.run(whole())
