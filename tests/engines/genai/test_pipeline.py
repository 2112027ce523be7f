"""The stepping thread on a fake pipeline: admission, cancelling, and failures a real one will not make on demand."""

from __future__ import annotations

import pytest
from tests.engines.genai.fake import Pipeline, job, outcome, run

from sightline.core import Delta
from sightline.engines.genai.pipeline import FORGET_EVERY, Capacity, EngineLoop
from sightline.errors import EngineError, EngineUnavailable


def test_a_request_that_the_pipeline_refuses_hurts_no_other() -> None:
    async def scene(engine_loop: EngineLoop, _: Pipeline) -> None:
        jobs = [job(), job("bad"), job()]
        for one in jobs:
            engine_loop.submit(one)
        first, bad, last = [await outcome(one) for one in jobs]

        assert (first, last) == ("aaa", "aaa")
        assert isinstance(bad, EngineError)
        assert "secret" not in bad.message

    run(scene)


def test_a_step_that_fails_ends_every_request_and_the_engine() -> None:
    async def scene(engine_loop: EngineLoop, pipeline: Pipeline) -> None:
        running, waiting = job(length=10_000), job(prompt_tokens=100_000)
        engine_loop.submit(running)
        engine_loop.submit(waiting)
        assert isinstance(await running.events.get(), Delta)
        pipeline.step_fails = True

        assert isinstance(await outcome(running), EngineUnavailable)
        assert isinstance(await outcome(waiting), EngineUnavailable)
        assert not engine_loop.is_alive
        with pytest.raises(EngineUnavailable):
            engine_loop.submit(job())

    run(scene)


def test_a_request_given_up_for_want_of_memory_is_an_error() -> None:
    async def scene(engine_loop: EngineLoop, pipeline: Pipeline) -> None:
        pipeline.gives_up = True
        starved = job()
        engine_loop.submit(starved)

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
    async def scene(engine_loop: EngineLoop, pipeline: Pipeline) -> None:
        jobs = [job(str(number)) for number in range(5)]
        for one in jobs:
            engine_loop.submit(one)

        assert [await outcome(one) for one in jobs] == ["aaa"] * 5
        assert pipeline.most_at_once == 2
        assert pipeline.added == ["0", "1", "2", "3", "4"]

    run(scene, capacity)


def test_prompts_enter_whole() -> None:
    """Two prompts that do not fit one step together enter one after the other."""

    async def scene(engine_loop: EngineLoop, pipeline: Pipeline) -> None:
        jobs = [job(prompt_tokens=60, length=1), job(prompt_tokens=60, length=1)]
        for one in jobs:
            engine_loop.submit(one)

        assert [await outcome(one) for one in jobs] == ["a", "a"]
        assert pipeline.most_at_once == 1

    run(scene, Capacity(running=4, step_tokens=100, blocks=1000))


def test_who_leaves_holds_a_slot_until_the_next_step_has_ended() -> None:
    """The pipeline has its blocks until then, and would cut in two the prompt of one that comes for them."""

    async def scene(engine_loop: EngineLoop, pipeline: Pipeline) -> None:
        left, next_ = job("left", length=10_000), job("next")
        engine_loop.submit(left)
        engine_loop.submit(next_)
        await left.events.get()
        engine_loop.cancel(left)

        assert await outcome(next_) == "aaa"
        assert pipeline.most_at_once == 1

    run(scene, Capacity(running=1, step_tokens=1000, blocks=1000))


def test_a_job_cancelled_in_the_queue_never_enters() -> None:
    async def scene(engine_loop: EngineLoop, pipeline: Pipeline) -> None:
        first, left, last = job("first", length=200), job("left"), job("last")
        for one in (first, left, last):
            engine_loop.submit(one)
        engine_loop.cancel(left)
        await outcome(first)

        assert await outcome(last) == "aaa"
        assert pipeline.added == ["first", "last"]
        assert left.events.empty()

    run(scene, Capacity(running=1, step_tokens=1000, blocks=1000))


def test_prompts_are_forgotten_now_and_then() -> None:
    async def scene(engine_loop: EngineLoop, pipeline: Pipeline) -> None:
        jobs = [job(length=1) for _ in range(FORGET_EVERY)]
        for one in jobs:
            engine_loop.submit(one)
        for one in jobs:
            await outcome(one)

        assert pipeline.forgotten == 1

    run(scene)


def test_a_piece_is_passed_on_before_the_next_step() -> None:
    """A step holds the interpreter lock; whoever reads must have had its turn by then."""

    async def scene(engine_loop: EngineLoop, pipeline: Pipeline) -> None:
        began: list[int] = []
        step = pipeline.step
        pipeline.step = lambda: (began.append(engine_loop.steps), step())  # type: ignore[method-assign, func-returns-value]
        running = job(length=50)
        engine_loop.submit(running)

        await running.events.get()

        assert len(began) == 1
        engine_loop.cancel(running)

    run(scene)
