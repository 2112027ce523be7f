"""The pipeline without HTTP: what is refused before work, several answers at once, places given back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from sightline.admission.admit import Admission
from sightline.admission.rate_limits.limiter import RateLimits
from sightline.app import compose
from sightline.core import Delta, GenerateRequest, Usage
from sightline.engines.catalogue import check
from sightline.errors import (
    EngineError,
    EngineUnavailable,
    InvalidRequest,
    ModelNotFound,
    TooManyImages,
    UnsupportedParameter,
)
from sightline.images.pool import ImagePool
from sightline.metering.ledger import IdempotencyKey, Ledger
from sightline.pipeline.fanout import Pieces
from sightline.pipeline.run import Completed, Pipeline
from sightline.settings import PriceSettings, Settings
from sightline.testing.scripted_engine import ScriptedEngine
from support.asgi import until
from support.bodies import SCRIPTED, image
from support.permits import admitted
from support.pictures import picture
from support.requests import chat, context, events

pytestmark = pytest.mark.anyio


async def test_pieces_come_first_and_completed_last(pipeline: Pipeline, admission: Admission) -> None:
    *pieces, last = await events(pipeline, chat("a b", image()))

    deltas = [delta for one in pieces if isinstance(one, Pieces) for delta in one.deltas]
    assert [delta.text for delta in deltas] == ["a", " b", " [32x32]", ""]
    assert isinstance(last, Completed)
    assert last.usage.image_tokens == last.images[0].image_tokens == 16
    assert admission.in_flight == 0


@pytest.mark.parametrize(("detail", "views"), [("low", 1), ("auto", 1), ("high", 4)])
async def test_detail_decides_on_closer_views(pipeline: Pipeline, detail: str, views: int) -> None:
    request = chat(image(picture(width=99, height=33), detail=detail))

    preview = await pipeline.preview(request, context())
    *_, last = await events(pipeline, request)

    assert isinstance(last, Completed)
    (receipt,) = last.images
    assert (receipt.views, receipt.detail) == (views, "high" if views > 1 else "low")
    assert receipt.image_tokens == last.usage.image_tokens == preview.usage.image_tokens == 16 * views
    assert preview.usage.prompt_tokens == last.usage.prompt_tokens
    assert (receipt.seen_width, receipt.seen_height) == (32, 32)


async def test_pictures_decoded_for_one_detail_are_not_taken_for_another(pipeline: Pipeline) -> None:
    data = picture(width=99, height=33)

    asked = ["low", "high", "auto", "high"]
    runs = [await events(pipeline, chat(image(data, detail=detail))) for detail in asked]

    receipts = [last.images[0] for *_, last in runs if isinstance(last, Completed)]
    assert [(one.views, one.cache_hit) for one in receipts] == [(1, False), (4, False), (1, True), (4, True)]


async def test_the_receipt_says_that_a_server_elsewhere_may_read_the_picture(
    settings: Settings, engine: ScriptedEngine, build: Callable[..., Pipeline]
) -> None:
    engine._info = replace(engine._info, upstream_ocr_chars=1000)
    pipeline, request = build(settings, engine), chat("a", image())

    preview = await pipeline.preview(request, context())
    *_, last = await events(pipeline, request)

    assert isinstance(last, Completed)
    assert "its server may read up to 1,000 characters of its text to the model" in last.images[0].actions
    assert last.images[0].ocr_max_chars == 0
    assert preview.images[0].actions == last.images[0].actions


async def test_cost_is_at_the_price_of_the_model(
    settings: Settings, engine: ScriptedEngine, build: Callable[..., Pipeline]
) -> None:
    prices = {SCRIPTED: PriceSettings(Decimal("0.000000001"), Decimal("0.000000002"))}
    pipeline = build(replace(settings, prices=prices), engine)

    last = (await events(pipeline, chat("a b c")))[-1]

    assert isinstance(last, Completed)
    assert (last.cost.prompt_nanos, last.cost.completion_nanos) == (3, 6)


class Bursts:
    """Deltas that have all come at once."""

    def __init__(self, deltas: list[Delta]) -> None:
        self._deltas = deltas

    def __aiter__(self) -> Bursts:
        return self

    async def __anext__(self) -> Delta:
        if not self._deltas:
            raise StopAsyncIteration
        return self._deltas.pop(0)

    def drain_ready(self) -> list[Delta]:
        taken, self._deltas = self._deltas, []
        return taken

    def on_complete(self, call: Callable[[], None]) -> None: ...

    async def aclose(self) -> None: ...


class InBursts(ScriptedEngine):
    """Gives all pieces of an answer at once."""

    def generate(self, request: GenerateRequest) -> Bursts:  # type: ignore[override]
        usages = [Usage(1, tokens + 1, self.images) for tokens in range(3)]
        return Bursts([Delta("ab"[at], usage=usages[at]) for at in range(2)] + [Delta("", (), "stop", usages[2])])

    images = 0


class MadeAtOnce(InBursts):
    """Has made an answer by its first piece, however slowly it is taken."""

    def generate(self, request: GenerateRequest) -> Bursts:  # type: ignore[override]
        bursts = super().generate(request)
        bursts.on_complete = lambda call: call()  # type: ignore[method-assign]
        bursts.drain_ready = tuple  # type: ignore[method-assign,assignment]
        return bursts


@pytest.mark.parametrize("n", [1, 3])
async def test_a_slow_reader_keeps_the_model_from_nobody(
    settings: Settings, pool: ImagePool, limits: RateLimits, ledger: Ledger, n: int
) -> None:
    admission = Admission(1, 0)
    engine = MadeAtOnce()
    await engine.start()
    pipeline = compose(settings, [engine], pool, admission, limits, ledger)
    slow = pipeline.run(chat("a", n=n), context())
    await anext(slow)

    assert len(await events(pipeline, chat("b"))) > 1
    assert admission.in_flight == 1
    await slow.aclose()


@pytest.mark.parametrize("n", [1, 2])
async def test_pieces_that_come_together_go_on_together(
    settings: Settings, build: Callable[..., Pipeline], n: int
) -> None:
    engine = InBursts()
    await engine.start()

    *pieces, last = await events(build(settings, engine), chat("a", n=n))

    assert [(one.choice, [delta.text for delta in one.deltas]) for one in pieces if isinstance(one, Pieces)] == [
        (choice, ["a", "b", ""]) for choice in range(n)
    ]
    assert isinstance(last, Completed)
    assert last.usage.completion_tokens == 3 * n


async def test_image_lost_in_the_midst_of_a_burst_is_noticed(
    settings: Settings, build: Callable[..., Pipeline]
) -> None:
    engine = InBursts()
    engine.images = 16
    await engine.start()

    with pytest.raises(EngineError, match="saw 16 image tokens"):
        await events(build(settings, engine), chat("a"))


class FailingSecond(ScriptedEngine):
    """Fails the second answer after a step and lets the others run for ever."""

    begun = 0

    async def pieces(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        self.begun += 1
        number = self.begun
        self.running += 1
        try:
            while True:
                await asyncio.sleep(0.001)
                yield Delta("x")
                if number == 2:
                    raise EngineError("the second failed")
        finally:
            self.running -= 1


async def test_one_failing_answer_ends_all_and_gives_the_place_back(
    settings: Settings, admission: Admission, build: Callable[..., Pipeline]
) -> None:
    engine = FailingSecond()
    await engine.start()
    pipeline = build(settings, engine)

    with pytest.raises(EngineError, match="the second failed"):
        await events(pipeline, chat("a", n=4))

    assert engine.begun == 4
    assert engine.running == 0
    assert admission.in_flight == 0


@pytest.mark.parametrize("n", [1, 3])
async def test_closing_the_stream_ends_every_answer(
    pipeline: Pipeline, engine: ScriptedEngine, admission: Admission, n: int
) -> None:
    engine.step_s = 0.001
    stream = pipeline.run(chat("word " * 500, n=n), context())
    await anext(stream)

    await stream.aclose()

    assert engine.running == 0
    assert admission.in_flight == 0


async def test_waiting_for_a_place_is_time_in_the_queue_and_a_preview_waits_for_none(
    settings: Settings, engine: ScriptedEngine, pool: ImagePool, limits: RateLimits, ledger: Ledger
) -> None:
    admission = Admission(1, 1)
    pipeline = compose(settings, [engine], pool, admission, limits, ledger)

    async with admitted(admission, SCRIPTED, "another"):
        task = asyncio.create_task(events(pipeline, chat("a")))
        await asyncio.sleep(0)
        await pipeline.preview(chat("a"), context())
        assert engine.steps == 0
        assert admission.in_flight == 2
    completed = (await task)[-1]

    assert isinstance(completed, Completed)
    assert completed.timings.queue_s > 0
    assert admission.in_flight == 0


async def test_each_answer_of_a_request_has_a_place(pipeline: Pipeline, admission: Admission) -> None:
    stream = pipeline.run(chat("a b", n=3), context())
    await anext(stream)
    taken = admission._queues[SCRIPTED].running
    await stream.aclose()

    assert taken == 3
    assert admission.has_room(SCRIPTED, permits=4)


async def test_place_is_given_back_when_an_image_does_not_decode(pipeline: Pipeline, admission: Admission) -> None:
    with pytest.raises(InvalidRequest, match="image 2 does not decode"):
        await events(pipeline, chat(image(), image(picture()[:60])))

    assert admission.in_flight == 0


async def test_engine_that_dies_while_images_are_read_is_503(pipeline: Pipeline, engine: ScriptedEngine) -> None:
    task = asyncio.create_task(events(pipeline, chat("a", image())))
    await asyncio.sleep(0)

    await engine.stop()

    with pytest.raises(EngineUnavailable):
        await task


async def test_unknown_model_and_starting_model_differ(pipeline: Pipeline, engine: ScriptedEngine) -> None:
    with pytest.raises(ModelNotFound, match=f"Loaded: {SCRIPTED}"):
        pipeline.catalogue.find("gpt-4o")
    with pytest.raises(ModelNotFound) as unknown:
        pipeline.catalogue.find("gpt-4o", ["gpt-4o"])
    assert SCRIPTED not in unknown.value.message
    await engine.stop()
    with pytest.raises(EngineUnavailable):
        pipeline.catalogue.find(SCRIPTED)


async def test_alias_answers_for_its_model(
    settings: Settings, engine: ScriptedEngine, build: Callable[..., Pipeline]
) -> None:
    pipeline = build(replace(settings, aliases={"gpt-4o": SCRIPTED}), engine)

    assert pipeline.catalogue.find("gpt-4o")[1].id == SCRIPTED
    assert pipeline.catalogue.aliases_of(SCRIPTED) == ["gpt-4o"]
    assert pipeline.is_ready()


def test_model_that_takes_no_images_names_the_part() -> None:
    model = replace(ScriptedEngine()._info, image=None, max_images=0)

    with pytest.raises(UnsupportedParameter, match="text only") as caught:
        check(chat("a", image()), model)

    assert caught.value.param == "messages.[0].content.[1].type"


def test_more_images_than_the_model_takes_are_refused() -> None:
    with pytest.raises(TooManyImages, match="takes 2 images a request, 3 were sent"):
        check(chat(image(), image(), image()), ScriptedEngine()._info)


def test_everything_that_a_model_lacks_is_named_at_once() -> None:
    model = replace(ScriptedEngine()._info, supported_parameters=frozenset())

    with pytest.raises(InvalidRequest) as caught:
        check(chat(image(), image(), image(), top_p=0.5, seed=1), model)

    found = [(problem.param, problem.code) for problem in caught.value.details]
    lacking = [("seed", "unsupported_parameter"), ("top_p", "unsupported_parameter")]
    assert found == [("messages", "too_many_images"), *lacking]
    assert caught.value.code == "too_many_images"


def test_values_that_ask_for_nothing_are_refused_by_no_model() -> None:
    """Clients may say their defaults."""
    model = replace(ScriptedEngine()._info, supported_parameters=frozenset())
    nothing = {"frequency_penalty": 0, "presence_penalty": 0.0, "logprobs": False, "response_format": {"type": "text"}}

    check(chat("a", **nothing), model)

    something = {
        "frequency_penalty": 0.5,
        "logprobs": True,
        "top_logprobs": 2,
        "response_format": {"type": "json_object"},
    }
    with pytest.raises(InvalidRequest) as caught:
        check(chat("a", **something), model)
    assert [problem.param for problem in caught.value.details] == sorted(something)


async def test_who_looks_for_an_earlier_answer_is_in_flight(
    pipeline: Pipeline, admission: Admission, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.Future()

    monkeypatch.setattr(ledger, "replay", never)
    asking = context(idempotency_key=IdempotencyKey("k", b"x" * 32))
    task = asyncio.create_task(anext(pipeline.run(chat("a"), asking)))
    await until(lambda: admission.in_flight == 1)

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert admission.in_flight == 0
