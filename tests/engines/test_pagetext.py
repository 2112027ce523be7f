"""The engine around `pagetext`: the contract, and what it refuses. What it reads is tests/pagetext's."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from bench.pages import Page, make_pages
from pagetext import Reader, WeightsError
from pagetext.networks import Networks
from pagetext.ocr import Row, RowText
from sightline.core import (
    Delta,
    GenerateRequest,
    ImagePart,
    Message,
    Pixels,
    SamplingParams,
    TextPart,
    documented_estimate,
)
from sightline.engines.catalogue import check
from sightline.engines.pagetext import MODEL_ID, create
from sightline.engines.pagetext.engine import TranscriptionEngine
from sightline.errors import (
    ConfigError,
    ContextLengthExceeded,
    EngineError,
    EngineUnavailable,
    InvalidRequest,
    TooManyImages,
)
from support.bodies import image
from support.pictures import picture
from support.requests import chat

pytestmark = pytest.mark.engine


class Bench:
    """A started engine and the loop it lives on."""

    def __init__(self, engine: TranscriptionEngine, runner: asyncio.Runner) -> None:
        self.engine = engine
        self.runner = runner

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def answer(self, *images: Pixels, **sampling: Any) -> list[Delta]:
        deltas: list[Delta] = self.run(collect(self.engine.generate(request(*images, **sampling))))
        return deltas

    def text(self, *images: Pixels, **sampling: Any) -> str:
        return "".join(delta.text for delta in self.answer(*images, **sampling))


async def collect(deltas: AsyncGenerator[Delta, None]) -> list[Delta]:
    return [delta async for delta in deltas]


def request(*images: Pixels, **sampling: Any) -> GenerateRequest:
    parts = (*(ImagePart(at) for at in range(len(images))), TextPart("What does it say?"))
    tokens = sum(documented_estimate(image.shape[1], image.shape[0]) for image in images)
    params = SamplingParams(**sampling)
    return GenerateRequest(
        "request",
        MODEL_ID,
        (Message("user", parts),),
        tuple(image[np.newaxis] for image in images),
        params,
        image_tokens=tokens,
    )


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with asyncio.Runner() as runner:
        engine = create(threads=2)
        runner.run(engine.start())
        yield Bench(engine, runner)
        runner.run(engine.stop())


@pytest.fixture(scope="module")
def pages() -> list[Page]:
    return make_pages(seed=20, count=20)


@pytest.fixture(scope="module")
def page(pages: list[Page]) -> Page:
    return next(page for page in pages if "list" in page.name)


def test_lines_come_one_by_one_and_the_last_delta_carries_the_counts(bench: Bench, page: Page) -> None:
    deltas = bench.answer(page.pixels)

    assert [delta.text for delta in deltas if delta.text] == [
        *(f"{line}\n" for line in page.lines[:-1]),
        page.lines[-1],
    ]
    assert {delta.finish_reason for delta in deltas[:-1]} == {None}
    last = deltas[-1]
    assert last.usage is not None
    assert last.timings is not None
    assert last.finish_reason == "stop"
    assert last.usage.completion_tokens == len(page.text)
    assert last.usage.image_tokens == last.usage.prompt_tokens
    assert last.usage.prompt_tokens == documented_estimate(page.pixels.shape[1], page.pixels.shape[0])
    assert min(last.timings.queue_s, last.timings.prefill_s, last.timings.decode_s) >= 0


@pytest.mark.parametrize("limit", [1, 10, 31])
def test_max_tokens_cuts_at_characters(bench: Bench, page: Page, limit: int) -> None:
    deltas = bench.answer(page.pixels, max_tokens=limit)

    assert "".join(delta.text for delta in deltas) == page.text[:limit]
    assert deltas[-1].finish_reason == "length"
    assert deltas[-1].usage is not None
    assert deltas[-1].usage.completion_tokens == limit


def test_a_limit_of_exactly_the_text_is_a_stop(bench: Bench, page: Page) -> None:
    assert bench.answer(page.pixels, max_tokens=len(page.text))[-1].finish_reason == "stop"


@pytest.mark.parametrize("stop", ["\n2.", "\n", "3. "])
def test_a_stop_string_ends_the_answer_before_itself(bench: Bench, page: Page, stop: str) -> None:
    deltas = bench.answer(page.pixels, stop=("never there", stop))

    assert "".join(delta.text for delta in deltas) == page.text[: page.text.index(stop)]
    assert deltas[-1].finish_reason == "stop"


def test_sampling_changes_nothing(bench: Bench, page: Page) -> None:
    assert bench.text(page.pixels, seed=7, temperature=1.9, top_p=0.1) == page.text


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("response_format", {"type": "json_object"}),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("frequency_penalty", 0.5),
        ("presence_penalty", -0.5),
    ],
)
def test_what_it_lacks_is_refused_by_name(bench: Bench, param: str, value: Any) -> None:
    (model,) = bench.engine.models()
    logprobs = {"logprobs": True} if param == "top_logprobs" else {}

    with pytest.raises(InvalidRequest) as refusal:
        check(chat(image(picture()), **(logprobs | {param: value})), model)

    assert (param, "unsupported_parameter") in [(problem.param, problem.code) for problem in refusal.value.problems]


def test_a_request_without_a_picture_is_told_so(bench: Bench) -> None:
    with pytest.raises(InvalidRequest, match="reads pictures"):
        bench.answer()


def test_what_does_not_fit_is_refused(bench: Bench, page: Page) -> None:
    with pytest.raises(TooManyImages):
        check(chat(*[image(picture())] * 3), *bench.engine.models())
    with pytest.raises(ContextLengthExceeded):
        bench.answer(page.pixels, max_tokens=131_072)


def test_closing_the_iterator_ends_its_work_within_a_row(
    bench: Bench, pages: list[Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun on the two threads is finished; nothing that waited is begun."""
    rows_read = 0
    read_row = Reader.read_row

    def count_rows(reader: Reader, row: Row) -> RowText:
        nonlocal rows_read
        rows_read += 1
        return read_row(reader, row)

    async def leave(page: Page) -> None:
        async with aclosing(bench.engine.generate(request(page.pixels))) as deltas:
            await anext(deltas)

    async def leave_and_ask() -> int:
        await asyncio.gather(*(leave(page) for page in pages[:4]))
        left_at = rows_read
        await collect(bench.engine.generate(request(pages[3].pixels[:72])))
        return rows_read - left_at

    monkeypatch.setattr(Reader, "read_row", count_rows)

    assert bench.run(leave_and_ask()) <= 2 + 1


def test_requests_take_turns(bench: Bench, pages: list[Page]) -> None:
    """A picture of one line that comes after two full pages is answered before them."""
    finished: list[str] = []

    async def ask(name: str, pixels: Pixels) -> None:
        await collect(bench.engine.generate(request(pixels)))
        finished.append(name)

    async def ask_all() -> None:
        full = [asyncio.create_task(ask("full", pages[index].pixels)) for index in (0, 5)]
        await asyncio.sleep(0)
        await asyncio.gather(ask("line", pages[3].pixels[34:74]), *full)

    bench.run(ask_all())

    assert finished[0] == "line"


def test_a_long_row_holds_up_no_thread(bench: Bench, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one thread reads the first row the other reads on, and lines still come in order."""
    rows_begun = 0
    third_begun = threading.Event()
    read_row = Reader.read_row

    def hold_first(reader: Reader, row: Row) -> RowText:
        nonlocal rows_begun
        rows_begun += 1
        if rows_begun == 1:
            assert third_begun.wait(20)
        elif rows_begun == 3:
            third_begun.set()
        return read_row(reader, row)

    monkeypatch.setattr(Reader, "read_row", hold_first)

    assert bench.text(page.pixels) == page.text


def test_a_stopped_engine_is_unavailable_and_stops_twice(page: Page) -> None:
    async def stop_in_the_middle() -> None:
        engine = create(threads=1)
        assert engine.models() == ()
        await engine.start()
        await engine.start()
        deltas = engine.generate(request(page.pixels))
        await anext(deltas)
        await engine.stop()
        await engine.stop()
        assert engine.models() == ()
        with pytest.raises(EngineUnavailable):
            await collect(deltas)
        with pytest.raises(EngineUnavailable):
            await collect(engine.generate(request(page.pixels)))

    asyncio.run(stop_in_the_middle())


def test_a_failure_underneath_is_an_engine_error(bench: Bench, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a library's own words")

    monkeypatch.setattr(Networks, "detect", fail)

    with pytest.raises(EngineError) as failure:
        bench.answer(page.pixels)

    assert "own words" not in failure.value.message


def test_loading_and_reading_open_no_socket(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    async def read() -> str:
        engine = create(threads=1)
        await engine.start()
        deltas = await collect(engine.generate(request(page.pixels[:72])))
        await engine.stop()
        return "".join(delta.text for delta in deltas)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    with asyncio.Runner() as runner:
        runner.get_loop()
        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        assert runner.run(read()) == page.lines[0]


def test_two_pictures_are_parted_by_a_blank_line(bench: Bench, page: Page) -> None:
    assert bench.text(page.pixels[:72], page.pixels[:72]) == f"{page.lines[0]}\n\n{page.lines[0]}"


def test_weights_that_cannot_be_loaded_are_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise WeightsError("the transcriber's weights are missing")

    monkeypatch.setattr(Reader, "load", fail)

    with pytest.raises(ConfigError, match="weights are missing"):
        asyncio.run(create(threads=1).start())


def test_a_picture_without_text_gives_an_empty_answer(bench: Bench) -> None:
    (last,) = bench.answer(np.full((400, 300, 3), 127, np.uint8))

    assert (last.text, last.finish_reason) == ("", "stop")
    assert last.usage is not None
    assert last.usage.completion_tokens == 0
