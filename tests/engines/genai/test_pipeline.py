"""The stepping thread on a fake pipeline: admission, cancelling, and failures a real one will not make on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pytest
from openvino_genai import GenerationFinishReason, GenerationStatus

from sightline.core import Delta, Pixels
from sightline.engines.genai.answer import Answer, AnswerRules, Vocabulary
from sightline.engines.genai.job import Event, Job, Work
from sightline.engines.genai.pipeline import FORGET_EVERY, Capacity, Stepper
from sightline.errors import EngineError, EngineUnavailable, ServiceError

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

    def encode(self, pictures: Sequence[Pixels]) -> list[Pixels]:
        if self.fails:
            raise RuntimeError("Check failed at src/secret/path.cpp")
        self.batches.append([int(picture[0, 0, 0]) for picture in pictures])
        return [picture + 100 for picture in pictures]


def job(prompt: str = "good", length: int = 3, prompt_tokens: int = 10, pictures: Sequence[int] = ()) -> Job:
    work = Work(prompt, length, prompt_tokens, image_tokens=0, max_tokens=length)  # type: ignore[arg-type]
    pixels = [np.full((1, 1, 3), value, np.uint8) for value in pictures]
    return Job(work, Answer(VOCABULARY, AnswerRules()), asyncio.Queue[Event](), pixels)


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
    scene: Callable[[Stepper, Pipeline], Coroutine[Any, Any, None]],
    capacity: Capacity = ROOMY,
    vision: Vision | None = None,
) -> None:
    async def whole() -> None:
        pipeline = Pipeline()
        loop = asyncio.get_running_loop()
        stepper = Stepper(pipeline, vision or Vision(), capacity, loop)  # type: ignore[arg-type]
        await scene(stepper, pipeline)
        await stepper.stop()

    asyncio.run(whole())


def test_a_request_that_the_pipeline_refuses_hurts_no_other() -> None:
    async def scene(stepper: Stepper, _: Pipeline) -> None:
        jobs = [job(), job("bad"), job()]
        for one in jobs:
            stepper.submit(one)
        first, bad, last = [await outcome(one) for one in jobs]

        assert (first, last) == ("aaa", "aaa")
        assert isinstance(bad, EngineError)
        assert "secret" not in bad.message

    run(scene)


def test_a_step_that_fails_ends_every_request_and_the_engine() -> None:
    async def scene(stepper: Stepper, pipeline: Pipeline) -> None:
        running, waiting = job(length=10_000), job(prompt_tokens=100_000)
        stepper.submit(running)
        stepper.submit(waiting)
        assert isinstance(await running.events.get(), Delta)
        pipeline.step_fails = True

        assert isinstance(await outcome(running), EngineUnavailable)
        assert isinstance(await outcome(waiting), EngineUnavailable)
        assert not stepper.is_alive
        with pytest.raises(EngineUnavailable):
            stepper.submit(job())

    run(scene)


def test_a_request_given_up_for_want_of_memory_is_an_error() -> None:
    async def scene(stepper: Stepper, pipeline: Pipeline) -> None:
        pipeline.gives_up = True
        starved = job()
        stepper.submit(starved)

        assert isinstance(await outcome(starved), EngineError)

    run(scene)


@pytest.mark.parametrize(
    "capacity",
    [
        Capacity(running=2, step_tokens=1000, blocks=1000),
        Capacity(running=9, step_tokens=1000, blocks=2),
    ],
)
def test_no_more_run_at_once_than_fit(capacity: Capacity) -> None:
    async def scene(stepper: Stepper, pipeline: Pipeline) -> None:
        jobs = [job(str(number)) for number in range(5)]
        for one in jobs:
            stepper.submit(one)

        assert [await outcome(one) for one in jobs] == ["aaa"] * 5
        assert pipeline.most_at_once == 2
        assert pipeline.added == ["0", "1", "2", "3", "4"]

    run(scene, capacity)


def test_prompts_enter_whole() -> None:
    """Two prompts that do not fit one step together enter one after the other."""

    async def scene(stepper: Stepper, pipeline: Pipeline) -> None:
        jobs = [job(prompt_tokens=60, length=1), job(prompt_tokens=60, length=1)]
        for one in jobs:
            stepper.submit(one)

        assert [await outcome(one) for one in jobs] == ["a", "a"]
        assert pipeline.most_at_once == 1

    run(scene, Capacity(running=4, step_tokens=100, blocks=1000))


def test_a_job_cancelled_in_the_queue_never_enters() -> None:
    async def scene(stepper: Stepper, pipeline: Pipeline) -> None:
        first, left, last = job("first", length=200), job("left"), job("last")
        for one in (first, left, last):
            stepper.submit(one)
        stepper.cancel(left)
        await outcome(first)

        assert await outcome(last) == "aaa"
        assert pipeline.added == ["first", "last"]
        assert left.events.empty()

    run(scene, Capacity(running=1, step_tokens=1000, blocks=1000))


def test_prompts_are_forgotten_now_and_then() -> None:
    async def scene(stepper: Stepper, pipeline: Pipeline) -> None:
        jobs = [job(length=1) for _ in range(FORGET_EVERY)]
        for one in jobs:
            stepper.submit(one)
        for one in jobs:
            await outcome(one)

        assert pipeline.forgotten == 1

    run(scene)


def test_pictures_that_wait_together_are_encoded_together_and_stay_with_their_request() -> None:
    vision = Vision()

    async def scene(stepper: Stepper, pipeline: Pipeline) -> None:
        jobs = [job("0", pictures=[1]), job("1", pictures=[2, 3]), job("2"), job("3", pictures=[4])]
        for one in jobs:
            stepper.submit(one)

        assert [await outcome(one) for one in jobs] == ["aaa"] * 4
        assert pipeline.added == ["0", "1", "2", "3"]
        assert pipeline.shown == [[101], [102, 103], [], [104]]

    run(scene, vision=vision)

    # What came in before the thread first looked is one batch; never more than make a batch.
    assert list(chain.from_iterable(vision.batches)) == [1, 2, 3, 4]
    assert max(map(len, vision.batches)) <= Vision.most_at_once


def test_views_of_one_request_beyond_a_batch_wait_for_the_next_step() -> None:
    vision = Vision()

    async def scene(stepper: Stepper, pipeline: Pipeline) -> None:
        jobs = [job("0", pictures=[1, 2, 3, 4, 5, 6, 7]), job("1", pictures=[8])]
        for one in jobs:
            stepper.submit(one)

        assert [await outcome(one) for one in jobs] == ["aaa"] * 2
        assert pipeline.shown == [[101, 102, 103, 104, 105, 106, 107], [108]]

    run(scene, vision=vision)

    assert list(chain.from_iterable(vision.batches)) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert max(map(len, vision.batches)) == Vision.most_at_once


def test_pictures_of_more_requests_than_may_run_wait_unencoded() -> None:
    vision = Vision()

    async def scene(stepper: Stepper, _: Pipeline) -> None:
        running, left = job(length=10_000), job(pictures=[1])
        stepper.submit(running)
        await running.events.get()
        stepper.submit(left)
        await running.events.get()
        stepper.cancel(left)
        stepper.cancel(running)
        last = job(pictures=[2])
        stepper.submit(last)

        assert await outcome(last) == "aaa"

    run(scene, Capacity(running=1, step_tokens=1000, blocks=1000), vision)

    assert vision.batches == [[2]]


def test_a_request_with_more_pictures_than_a_batch_is_encoded_all_the_same() -> None:
    async def scene(stepper: Stepper, pipeline: Pipeline) -> None:
        wide = job(pictures=[1, 2, 3, 4])
        stepper.submit(wide)

        assert await outcome(wide) == "aaa"
        assert pipeline.shown == [[101, 102, 103, 104]]

    run(scene)


def test_pictures_that_cannot_be_encoded_fail_their_requests_alone() -> None:
    vision = Vision()

    async def scene(stepper: Stepper, pipeline: Pipeline) -> None:
        vision.fails = True
        bad, text = job("bad picture", pictures=[1]), job("text")
        stepper.submit(bad)
        stepper.submit(text)
        error = await outcome(bad)
        assert isinstance(error, EngineError)
        assert "secret" not in error.message
        assert await outcome(text) == "aaa"

        vision.fails = False
        later = job("later", pictures=[2])
        stepper.submit(later)
        assert await outcome(later) == "aaa"
        assert pipeline.added == ["text", "later"]

    run(scene, vision=vision)
