"""The stepping thread on a fake pipeline: admission, cancelling, and failures a real one will not make on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from openvino_genai import GenerationFinishReason, GenerationStatus

from sightline.core import Delta
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
        self.most_at_once = 0
        self.forgotten = 0
        self.step_fails = False
        self.gives_up = False

    def add_request(self, number: int, prompt: str, images: Any, config: Any) -> Handle:
        if prompt == "bad":
            raise RuntimeError("Check failed at src/secret/path.cpp")
        self.added.append(prompt)
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


def job(prompt: str = "good", length: int = 3, prompt_tokens: int = 10) -> Job:
    work = Work(prompt, length, prompt_tokens, image_tokens=0, max_tokens=length)  # type: ignore[arg-type]
    return Job(work, Answer(VOCABULARY, AnswerRules()), asyncio.Queue[Event]())


async def outcome(running: Job) -> str | ServiceError:
    text = ""
    while True:
        event = await running.events.get()
        if isinstance(event, ServiceError):
            return event
        text += event.text
        if event.finish_reason:
            return text


def run(scene: Callable[[Stepper, Pipeline], Coroutine[Any, Any, None]], capacity: Capacity = ROOMY) -> None:
    async def whole() -> None:
        pipeline = Pipeline()
        stepper = Stepper(pipeline, capacity, asyncio.get_running_loop())  # type: ignore[arg-type]
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
