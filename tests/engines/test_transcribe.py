"""The transcriber on pictures whose text is known: the contract, what it reads, and what it must survive."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.pages import Page, edits, make_pages
from PIL import Image, ImageDraw, ImageFont

from sightline.core import (
    Delta,
    GenerateRequest,
    ImagePart,
    Message,
    Pixels,
    ResponseFormat,
    SamplingParams,
    TextPart,
    documented_estimate,
)
from sightline.engines.transcribe import MODEL_ID, TranscriptionEngine, create
from sightline.engines.transcribe import engine as engine_module
from sightline.engines.transcribe.networks import Networks
from sightline.engines.transcribe.reader import Row
from sightline.errors import (
    ConfigError,
    ContextLengthExceeded,
    EngineError,
    EngineUnavailable,
    InvalidRequest,
    ModelNotFound,
    TooManyImages,
    UnsupportedParameter,
)

pytestmark = pytest.mark.engine

EXAMPLES = Path(__file__).parents[2] / "examples" / "images"


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


def request(*images: Pixels, model: str = MODEL_ID, **sampling: Any) -> GenerateRequest:
    parts = (*(ImagePart(at) for at in range(len(images))), TextPart("What does it say?"))
    tokens = sum(documented_estimate(image.shape[1], image.shape[0]) for image in images)
    params = SamplingParams(**sampling)
    return GenerateRequest(
        "request",
        model,
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


def example(name: str) -> tuple[Pixels, str]:
    path = EXAMPLES / name
    return np.array(Image.open(path).convert("RGB")), path.with_suffix(".txt").read_text(encoding="utf-8").strip()


# What it reads.


def test_twenty_pages_in_many_fonts_are_read_almost_without_error(bench: Bench, pages: list[Page]) -> None:
    """The promise is 2 %; the bar here is what the engine reaches, with room for another machine's rounding."""
    wrong = {page.name: edits(page.text, bench.text(page.pixels)) for page in pages}

    assert sum(wrong.values()) / sum(len(page.text) for page in pages) < 0.005, wrong


@pytest.mark.parametrize("name", ["receipt.jpg", "page.png", "photo.png"])
def test_the_example_pictures_are_read_exactly(bench: Bench, name: str) -> None:
    pixels, text = example(name)

    assert bench.text(pixels) == text


@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize("name", ["receipt.jpg", "photo.png"])
def test_a_turned_picture_reads_the_same(bench: Bench, name: str, quarters: int) -> None:
    pixels, text = example(name)

    assert edits(text, bench.text(np.ascontiguousarray(np.rot90(pixels, quarters)))) <= 2


def test_two_pictures_are_parted_by_a_blank_line(bench: Bench, page: Page) -> None:
    assert bench.text(page.pixels[:72], page.pixels[:72]) == f"{page.lines[0]}\n\n{page.lines[0]}"


# What it survives.


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 3), (8, 31), (32, 32), (8, 4000), (4000, 8), (1, 2048)])
def test_small_and_extreme_shapes_are_answered(bench: Bench, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (*size, 3), dtype=np.uint8)

    assert bench.answer(noise)[-1].finish_reason == "stop"


@pytest.mark.parametrize("value", [0, 127, 255])
def test_a_picture_without_text_gives_an_empty_answer(bench: Bench, value: int) -> None:
    (last,) = bench.answer(np.full((400, 300, 3), value, np.uint8))

    assert (last.text, last.finish_reason) == ("", "stop")
    assert last.usage is not None
    assert last.usage.completion_tokens == 0


def test_noise_is_not_read_as_text(bench: Bench) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (300, 400, 3), dtype=np.uint8)

    assert len(bench.text(noise)) < 10


def test_a_cropped_line_is_read(bench: Bench, page: Page) -> None:
    assert bench.text(np.ascontiguousarray(page.pixels[34:74])) == page.lines[0]


# The contract.


def test_a_line_too_long_for_one_look_is_read_in_pieces(bench: Bench) -> None:
    """A log on a screen: squeezed into one look, 100000 became 10000."""
    line = (
        "2026-11-22T14:03:11.100 INFO worker=07 request=0000112233 status=200 bytes=100000 total=20055.1 ratio=3.3333 "
        "wait=0.0000112 queue=11 cached=1000 user=anna.bell path=/v1/chat/completions tokens=4244 cost=0.0000100"
    )
    font = ImageFont.load_default(14)
    paper = Image.new("RGB", (round(font.getlength(line)) + 40, 90), "white")
    ImageDraw.Draw(paper).text((20, 34), line, "black", font)

    text = bench.text(np.asarray(paper))

    assert "request=0000112233 status=200 bytes=100000 total=20055.1 ratio=3.3333" in text
    assert edits(line, text) <= 5


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
    ("sampling", "param"),
    [
        ({"response_format": ResponseFormat("json_object")}, "response_format"),
        ({"response_format": ResponseFormat("json_schema", "{}")}, "response_format"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"presence_penalty": -0.5}, "presence_penalty"),
    ],
)
def test_what_it_lacks_is_refused_by_name(bench: Bench, page: Page, sampling: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as refusal:
        bench.answer(page.pixels, **sampling)

    assert refusal.value.param == param
    assert param not in bench.engine.models()[0].supported_parameters


def test_a_request_without_a_picture_is_told_so(bench: Bench) -> None:
    with pytest.raises(InvalidRequest, match="reads pictures"):
        bench.answer()


def test_what_does_not_fit_is_refused(bench: Bench, page: Page) -> None:
    with pytest.raises(TooManyImages):
        bench.answer(page.pixels, page.pixels, page.pixels)
    with pytest.raises(ContextLengthExceeded):
        bench.answer(page.pixels, max_tokens=131_072)
    with pytest.raises(ModelNotFound):
        bench.answer(page.pixels, model="another/model")


def test_closing_the_iterator_ends_its_work_within_a_row(
    bench: Bench, pages: list[Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun on the two threads is finished; nothing that waited is begun."""
    rows_read = 0
    read_row = engine_module.read_row

    def count_rows(networks: Networks, row: Row) -> str:
        nonlocal rows_read
        rows_read += 1
        return read_row(networks, row)

    async def leave(page: Page) -> None:
        async with aclosing(bench.engine.generate(request(page.pixels))) as deltas:
            await anext(deltas)

    async def leave_and_ask() -> int:
        await asyncio.gather(*(leave(page) for page in pages[:4]))
        left_at = rows_read
        await collect(bench.engine.generate(request(pages[3].pixels[:72])))
        return rows_read - left_at

    monkeypatch.setattr(engine_module, "read_row", count_rows)

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
    read_row = engine_module.read_row

    def hold_first(networks: Networks, row: Row) -> str:
        nonlocal rows_begun
        rows_begun += 1
        if rows_begun == 1:
            assert third_begun.wait(20)
        elif rows_begun == 3:
            third_begun.set()
        return read_row(networks, row)

    monkeypatch.setattr(engine_module, "read_row", hold_first)

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


def test_missing_or_broken_weights_are_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing"):
        Networks(tmp_path, threads=1, precision=None)

    for name in ("PP-OCRv6_det_small", "PP-OCRv6_rec_small", "ch_ppocr_mobile_v2.0_cls_mobile"):
        (tmp_path / f"{name}.onnx").write_bytes(b"not a network")
    with pytest.raises(ConfigError, match="cannot load"):
        Networks(tmp_path, threads=1, precision=None)
