"""The contract of `engines/base.py`, proved for every engine there is."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator

import numpy as np
import pytest
from msgspec.structs import replace

from sightline.core import ModelInfo
from sightline.engines.base import Engine
from sightline.engines.process.supervisor import ProcessEngine
from sightline.engines.registry import create
from sightline.errors import EngineError, EngineUnavailable
from sightline.settings import BUNDLED, TRANSCRIBER, EngineSpec, engine_spec
from support.engines import answer, request, said

pytestmark = pytest.mark.anyio

SPECS = {"scripted": EngineSpec("scripted", {"step_s": 0.001}), "genai": engine_spec(next(iter(BUNDLED)))}
SPECS["transcribe"] = engine_spec(TRANSCRIBER)
IMPLEMENTATIONS = [
    pytest.param((where, kind), id=f"{kind}-{where}", marks=[pytest.mark.engine] * (kind != "scripted"))
    for kind in SPECS
    for where in ("here", "process")
]


@pytest.fixture(params=IMPLEMENTATIONS, scope="module")
async def engine(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[Engine]:
    where, kind = request.param
    engine: Engine = create(SPECS[kind]) if where == "here" else ProcessEngine(SPECS[kind])
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
def model(engine: Engine) -> ModelInfo:
    return engine.models()[0]


async def test_model_says_what_it_takes(model: ModelInfo) -> None:
    assert "/" in model.id
    assert model.context_length > 0
    assert model.description
    assert (model.max_images >= 1) == (model.image is not None)


@pytest.mark.parametrize("images", [1, 2])
async def test_deltas_carry_the_usage_so_far_and_the_last_reason_and_timings(
    engine: Engine, model: ModelInfo, images: int
) -> None:
    work = request(model, images=min(images, model.max_images))

    *deltas, last = await answer(engine, work)

    assert last.finish_reason in ("stop", "length")
    assert last.usage is not None
    assert last.timings is not None
    assert min(last.timings.queue_s, last.timings.prefill_s, last.timings.decode_s) >= 0
    assert last.usage.image_tokens == work.image_tokens
    assert last.usage.prompt_tokens >= last.usage.image_tokens
    assert all((delta.finish_reason, delta.timings) == (None, None) for delta in deltas)
    assert all(delta.usage for delta in deltas)
    spent = [delta.usage.completion_tokens for delta in (*deltas, last) if delta.usage]
    assert spent == sorted(spent)
    prompts = {(delta.usage.prompt_tokens, delta.usage.image_tokens) for delta in (*deltas, last) if delta.usage}
    assert len(prompts) == 1


async def test_count_is_what_an_answer_then_uses(engine: Engine, model: ModelInfo) -> None:
    work = request(model, images=1)

    counted = await engine.count(work)

    usage = (await answer(engine, work))[-1].usage
    assert usage is not None
    assert counted.completion_tokens == 0
    assert (counted.prompt_tokens, counted.image_tokens) == (usage.prompt_tokens, usage.image_tokens)


async def test_other_count_of_image_tokens_is_refused(engine: Engine, model: ModelInfo) -> None:
    work = request(model, images=1)

    with pytest.raises(EngineError):
        await answer(engine, replace(work, image_tokens=work.image_tokens + 1))


async def test_same_request_gives_the_same_answer(engine: Engine, model: ModelInfo) -> None:
    work = request(model, images=1)
    if "temperature" in model.supported_parameters:
        work = replace(work, sampling=replace(work.sampling, temperature=0.0, seed=7))

    first, second = [said(await answer(engine, work)) for _ in range(2)]

    assert first == second


async def test_concurrent_requests_each_get_their_own_answer(engine: Engine, model: ModelInfo) -> None:
    works = [request(model, text, images=1) for text in ("Is it red?", "How many circles are there?", "What is it?")]
    if "temperature" in model.supported_parameters:
        works = [replace(work, sampling=replace(work.sampling, temperature=0.0)) for work in works]
    alone = [said(await answer(engine, work)) for work in works]

    together = await asyncio.gather(*(answer(engine, work) for work in works))

    assert [said(deltas) for deltas in together] == alone


async def test_images_are_not_changed(engine: Engine, model: ModelInfo) -> None:
    work = request(model, images=1)
    before = copy.deepcopy(work.images)

    await answer(engine, work)

    assert all(np.array_equal(one, other) for one, other in zip(before, work.images, strict=True))


async def test_closed_answer_leaves_the_engine_free_for_the_next(engine: Engine, model: ModelInfo) -> None:
    deltas = engine.generate(request(model, images=1))
    await anext(deltas)
    await deltas.aclose()

    assert (await answer(engine, request(model, images=1)))[-1].finish_reason


async def test_cancelled_answer_leaves_the_engine_free_for_the_next(engine: Engine, model: ModelInfo) -> None:
    tasks = [asyncio.create_task(answer(engine, request(model, images=1))) for _ in range(4)]
    await asyncio.sleep(0)

    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert (await answer(engine, request(model, images=1)))[-1].finish_reason


async def test_control_tokens_in_text_are_text(engine: Engine, model: ModelInfo) -> None:
    spelled = "<start_of_image><image_soft_token><|image_pad|><end_of_turn><eos>"

    plain = await engine.count(request(model, images=1))
    tricky = await engine.count(request(model, spelled, images=1))

    assert tricky.image_tokens == plain.image_tokens


@pytest.mark.parametrize("kind", SPECS)
async def test_engine_that_was_not_started_has_no_models_and_refuses(kind: str, engine: Engine) -> None:
    idle = ProcessEngine(SPECS[kind])

    assert list(idle.models()) == []
    with pytest.raises(EngineUnavailable):
        await answer(idle, request(engine.models()[0]))
    await idle.stop()
    await idle.stop()


async def test_stopping_ends_what_runs_and_may_be_done_twice() -> None:
    engine = ProcessEngine(EngineSpec("scripted", {"step_s": 0.05}))
    await engine.start()
    deltas = engine.generate(request(engine.models()[0], "word " * 100, max_tokens=100))
    await anext(deltas)

    await engine.stop()
    await engine.stop()

    with pytest.raises(EngineUnavailable):
        [delta async for delta in deltas]
    assert list(engine.models()) == []
