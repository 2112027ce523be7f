"""What a request would use, without running it: the same figures, the same refusals, places of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from msgspec import structs

from sightline.admission.admit import Admission
from sightline.admission.rate_limits.limiter import RateLimits
from sightline.app import compose
from sightline.core import GenerateRequest, Usage
from sightline.errors import EngineOverloaded, InvalidRequest, UnsupportedParameter
from sightline.images.pool import ImagePool
from sightline.metering.ledger import Ledger
from sightline.pipeline.run import Completed, Pipeline
from sightline.settings import Settings
from sightline.testing.scripted_engine import ScriptedEngine
from support.asgi import until
from support.bodies import image
from support.pictures import picture
from support.requests import chat, context, events

pytestmark = pytest.mark.anyio


async def test_preview_counts_what_a_run_then_uses(pipeline: Pipeline, engine: ScriptedEngine) -> None:
    request = chat("a b", image(), image())

    preview = await pipeline.preview(request, context())

    assert engine.steps == 0
    last = (await events(pipeline, request))[-1]
    assert isinstance(last, Completed)
    assert preview.usage.prompt_tokens == last.usage.prompt_tokens
    assert preview.images == tuple(structs.replace(one, cache_hit=False) for one in last.images)


async def test_previews_of_one_key_leave_room_for_others(
    settings: Settings, engine: ScriptedEngine, pool: ImagePool, limits: RateLimits, ledger: Ledger
) -> None:
    admission = Admission(2, 4)
    pipeline = compose(settings, [engine], pool, admission, limits, ledger)
    greedy = [asyncio.create_task(pipeline.preview(chat("a", image()), context())) for _ in range(10)]
    await asyncio.sleep(0)

    modest = await pipeline.preview(chat("b"), context("key_2"))
    outcomes = await asyncio.gather(*greedy, return_exceptions=True)

    assert modest.usage.prompt_tokens > 0
    assert sum(isinstance(one, EngineOverloaded) for one in outcomes) >= 4
    assert admission.in_flight == 0


async def test_every_picture_that_does_not_decode_is_named(pipeline: Pipeline) -> None:
    cut_short = picture()[:-20]

    with pytest.raises(InvalidRequest) as caught:
        await pipeline.preview(chat(image(cut_short), "a", image(cut_short)), context())

    parts = [f"messages.[0].content.[{place}].image_url.url" for place in (0, 2)]
    assert [(problem.param, problem.code) for problem in caught.value.details] == [
        (part, "invalid_image") for part in parts
    ]


async def test_a_preview_names_what_the_model_lacks_and_what_does_not_decode_together(pipeline: Pipeline) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await pipeline.preview(chat("a", image(picture()[:60]), image(picture()[:60]), top_p=0.5), context())

    assert [problem.code for problem in caught.value.details] == ["unsupported_parameter", *["invalid_image"] * 2]


async def test_a_model_that_does_not_count_holds_up_its_own_previews_alone(
    settings: Settings, engine: ScriptedEngine, pool: ImagePool, limits: RateLimits, ledger: Ledger
) -> None:
    class Silent(ScriptedEngine):
        asked = 0

        async def count(self, request: GenerateRequest) -> Usage:
            self.asked += 1
            return await asyncio.Future()

    silent = Silent(model="a/silent")
    await silent.start()
    admission = Admission(2, 2, max_in_flight=6)
    pipeline = compose(settings, [engine, silent], pool, admission, limits, ledger)
    waiting = [asyncio.create_task(pipeline.preview(chat("a", model="a/silent"), context())) for _ in range(20)]
    await until(lambda: silent.asked == 2)

    assert (await pipeline.preview(chat("a"), context("key_2"))).usage.prompt_tokens == 1
    assert isinstance((await events(pipeline, chat("a"), "key_2"))[-1], Completed)

    for task in waiting:
        task.cancel()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert sum(isinstance(one, EngineOverloaded) for one in outcomes) >= 16
    assert silent.asked == 2
    assert admission.in_flight == 0


async def test_what_the_model_lacks_is_said_also_while_nothing_can_be_previewed(
    settings: Settings, engine: ScriptedEngine, build: Callable[..., Pipeline], admission: Admission
) -> None:
    pipeline = build(settings, engine)
    admission.draining = True

    with pytest.raises(EngineOverloaded):
        await pipeline.preview(chat("a"), context())
    with pytest.raises(UnsupportedParameter, match="top_p"):
        await pipeline.preview(chat("a", top_p=0.5), context())
