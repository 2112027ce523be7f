"""An engine in a process of its own: it may die, the service does not."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import numpy as np
import psutil
import pytest
from msgspec.structs import replace

from sightline.core import Delta, Usage
from sightline.engines.process.supervisor import PendingAnswer, ProcessEngine
from sightline.errors import ConfigError, EngineError, EngineTimeout, EngineUnavailable
from sightline.settings import EngineSpec
from support.asgi import until
from support.engines import answer, request, said

pytestmark = pytest.mark.anyio


@pytest.fixture
async def engine() -> AsyncIterator[ProcessEngine]:
    engine = ProcessEngine(EngineSpec("scripted", {"step_s": 0.02}))
    await engine.start()
    yield engine
    await engine.stop()


async def test_pixels_and_text_cross_the_boundary(engine: ProcessEngine) -> None:
    deltas = await answer(engine, request(engine.models()[0], "é <eos>", images=2))

    assert said(deltas) == "[32x32] [32x32] é <eos>"
    assert deltas[-1].usage is not None
    assert deltas[-1].usage.image_tokens == 32


async def test_closer_views_cross_the_boundary_with_their_image(engine: ProcessEngine) -> None:
    work = request(engine.models()[0], "a", images=2)
    images = (np.concatenate([work.images[0]] * 3), work.images[1])

    deltas = await answer(engine, replace(work, images=images, image_tokens=64))

    assert said(deltas) == "[32x32][32x32][32x32] [32x32] a"


async def test_an_answer_that_nobody_reads_before_its_end_comes_as_one_piece(engine: ProcessEngine) -> None:
    work = request(engine.models()[0], "one two three", logprobs=True)

    pieces = await answer(engine, work)
    (whole,) = await answer(engine, replace(work, stream=False))

    assert len(pieces) > 1
    assert Delta.join(pieces).text == whole.text == "one two three"
    assert [entry.token for entry in whole.logprobs] == ["one", " two", " three"]
    assert (whole.finish_reason, whole.usage) == (pieces[-1].finish_reason, pieces[-1].usage)


async def test_a_long_answer_says_on_the_way_what_it_used(engine: ProcessEngine) -> None:
    """Also where nobody reads it before its end: who leaves pays for what was made."""
    work = replace(request(engine.models()[0], "word " * 60, max_tokens=60), stream=False)

    pieces = await answer(engine, work)

    used = [piece.usage.completion_tokens for piece in pieces if piece.usage]
    assert 2 < len(pieces) < 12
    assert used == sorted(used)
    assert 0 < used[0] < used[-1] == 60
    assert Delta.join(pieces).text == ("word " * 60).strip()


async def test_pieces_that_have_come_are_taken_together(engine: ProcessEngine) -> None:
    deltas = engine.generate(request(engine.models()[0], "one two three"))

    first = await anext(deltas)
    assert isinstance(deltas, PendingAnswer)
    await until(lambda: deltas.has_come)
    rest = deltas.drain_ready()

    assert first.text == "one"
    assert [delta.text for delta in rest] == [" two", " three", ""]
    assert [delta async for delta in deltas] == []
    assert not deltas.drain_ready()
    await deltas.aclose()


async def test_death_of_the_process_is_503_for_those_that_run_and_it_comes_back(engine: ProcessEngine) -> None:
    model = engine.models()[0]
    running = [engine.generate(request(model, "word " * 500, max_tokens=500)) for _ in range(3)]
    for deltas in running:
        await anext(deltas)
    pid = engine.pid
    assert pid is not None

    os.kill(pid, signal.SIGSEGV)

    for deltas in running:
        with pytest.raises(EngineUnavailable) as caught:
            async for _ in deltas:
                pass
        assert (caught.value.retry_after_s or 0) >= 1
    assert list(engine.models()) == []
    with pytest.raises(EngineUnavailable):
        await answer(engine, request(model))
    await until(engine.models)
    assert engine.pid != pid
    assert said(await answer(engine, request(model, "again"))) == "again"


async def test_request_that_crashes_the_engine_fails_alone_and_only_once(engine: ProcessEngine) -> None:
    model = engine.models()[0]

    with pytest.raises(EngineUnavailable):
        await answer(engine, request(model, "<crash>"))

    await until(engine.models)
    assert said(await answer(engine, request(model, "fine"))) == "fine"


async def test_error_of_the_engine_is_the_same_here(engine: ProcessEngine) -> None:
    with pytest.raises(EngineError, match="told to fail"):
        await answer(engine, request(engine.models()[0], "<fail>"))

    assert not engine._answers


async def test_closing_an_answer_ends_the_work_in_the_process(engine: ProcessEngine) -> None:
    """Were it not for the cancel, a later answer would find the process gone on with 10 seconds of steps."""
    model = engine.models()[0]
    deltas = engine.generate(request(model, "word " * 500, max_tokens=500))
    await anext(deltas)

    await deltas.aclose()

    assert not engine._answers
    engine._answers[1] = late = PendingAnswer(engine, request(model))
    await answer(engine, request(model, "a b c d e f"))
    del engine._answers[1]
    assert len(late._events) <= 1


async def test_what_waits_for_a_slow_reader_becomes_one_piece(engine: ProcessEngine) -> None:
    late = PendingAnswer(engine, request(engine.models()[0]))
    made: list[bool] = []
    late.on_complete(lambda: made.append(late.has_come))
    words = [f"{number} " for number in range(3000)]

    for word in words:
        late.put(Delta(word, usage=Usage(1, 1, 0)))
        assert len(late._events) <= 512
        assert not made
    late.put(Delta("", (), "stop", Usage(1, 3000, 0)))

    assert made == [True]
    taken = late.drain_ready() + late.drain_ready() + late.drain_ready()
    assert "".join(delta.text for delta in taken) == "".join(words)
    assert (taken[-1].finish_reason, late.is_whole) == ("stop", True)


async def test_an_answer_says_when_it_is_made(engine: ProcessEngine) -> None:
    deltas = engine.generate(request(engine.models()[0], "a b c"))
    made: list[bool] = []
    deltas.on_complete(lambda: made.append(True))
    first = await anext(aiter(deltas))

    await until(lambda: bool(made))
    rest = [delta async for delta in deltas]

    assert first.finish_reason is None
    assert rest[-1].finish_reason
    assert made == [True]


async def test_stop_ends_the_process(engine: ProcessEngine) -> None:
    pid, model = engine.pid, engine.models()[0]
    assert pid is not None

    await engine.stop()

    assert not psutil.pid_exists(pid)
    with pytest.raises(EngineUnavailable):
        await answer(engine, request(model))


async def test_process_that_hangs_is_ended_all_the_same(engine: ProcessEngine) -> None:
    pid = engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)

    await engine.stop()

    assert not psutil.pid_exists(pid)


async def test_process_that_gives_nothing_is_504_for_those_that_run_and_is_replaced() -> None:
    engine = ProcessEngine(EngineSpec("scripted", {"step_s": 0.02}), silence_s=0.5)
    await engine.start()
    model, pid = engine.models()[0], engine.pid
    assert pid is not None
    running = engine.generate(request(model, "word " * 500, max_tokens=500))
    await anext(running)

    os.kill(pid, signal.SIGSTOP)

    with pytest.raises(EngineTimeout, match="gave nothing for") as caught:
        async for _ in running:
            pass
    assert (caught.value.retry_after_s or 0) >= 1
    await until(lambda: engine.pid not in (None, pid) and engine.models())
    assert not psutil.pid_exists(pid)
    assert said(await answer(engine, request(model, "again"))) == "again"
    await engine.stop()


@pytest.mark.parametrize("stream", [True, False])
async def test_engine_that_goes_on_may_take_longer_than_it_may_be_silent(stream: bool) -> None:
    """Of an answer that is not streamed, too, the parent hears on the way."""
    engine = ProcessEngine(EngineSpec("scripted", {"step_s": 0.05}), silence_s=1.5)
    await engine.start()
    pid, words = engine.pid, "word " * 60

    deltas = await answer(engine, replace(request(engine.models()[0], words, max_tokens=60), stream=stream))

    assert len(said(deltas).split()) == 60
    assert engine.pid == pid
    await engine.stop()


async def test_answer_that_is_read_slowly_does_not_end_an_idle_engine() -> None:
    engine = ProcessEngine(EngineSpec("scripted"), silence_s=0.2)
    await engine.start()
    pid = engine.pid
    deltas = engine.generate(request(engine.models()[0], "one two three"))

    first = await anext(deltas)
    await asyncio.sleep(0.8)
    rest = [delta async for delta in deltas]

    assert said([first, *rest]) == "one two three"
    assert engine.pid == pid
    await engine.stop()


@pytest.mark.parametrize(
    "spec", [EngineSpec("magic"), EngineSpec("scripted", {"speed": 1}), EngineSpec("genai", {"path": "/nowhere"})]
)
async def test_engine_that_can_never_start_says_why_and_is_not_tried_again(spec: EngineSpec) -> None:
    engine = ProcessEngine(spec)

    with pytest.raises(ConfigError):
        await engine.start()

    assert engine.pid is None
    await engine.stop()


async def test_process_that_cannot_be_made_at_the_moment_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    real, failures = asyncio.create_subprocess_exec, iter([OSError("no process to be had")] * 2)

    async def sometimes(*args: object, **options: object) -> object:
        if error := next(failures, None):
            raise error
        return await real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", sometimes)
    engine = ProcessEngine(EngineSpec("scripted"))

    await engine.start()

    assert engine.models()
    await engine.stop()


async def test_child_ends_with_its_parent() -> None:
    program = """
import asyncio, sys
from sightline.engines.process.supervisor import ProcessEngine
from sightline.log import configure_logging
from sightline.settings import EngineSpec
configure_logging()
async def main():
    engine = ProcessEngine(EngineSpec("scripted"))
    await engine.start()
    print(engine.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert parent.stdout is not None
    child = psutil.Process(int(await parent.stdout.readline()))

    parent.kill()
    await parent.wait()

    await asyncio.to_thread(child.wait, 10)
    assert not child.is_running()
