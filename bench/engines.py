"""The embedded engines: 16 requests at once beside one after another, and the page reader beside RapidOCR.

Batching, on the bundled model through the whole service: every request has a picture of its own, so that no cache of a
prefix helps either side. The answer is a record of all that is in the picture, or a sentence. Promised: 3 times.

The page reader beside RapidOCR as it comes (ONNX Runtime): the same pages, in turn, in one run. Character errors are
counted over the whole text with white space as one blank. RapidOCR has no notion of columns, so pages in columns are
left out of its errors and of ours beside it. Promised: 2 % of characters at most, a page of 32 lines in 0.8 s.
"""

from __future__ import annotations

import asyncio
import base64
import io
import logging
import random
import statistics
import time
from dataclasses import dataclass, field
from typing import Any

import httpx2
import numpy as np
from PIL import Image, ImageDraw
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.pages import Page, edits, make_full_page, make_pages
from sightline.core import GenerateRequest, ImagePart, Message, SamplingParams, documented_estimate
from sightline.engines.pagetext import MODEL_ID, create
from sightline.engines.pagetext.engine import TranscriptionEngine
from sightline.testing.live_server import LiveServer

MODEL = "sightline/peek-12m/bf-16"
REQUESTS = 16
BATCH_ROUNDS = 5
PROMISED_TIMES = 3.0
QUESTION = "Describe this image."


SCHEMA = {
    "type": "object",
    "properties": {
        "objects": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"shape": {"type": "string"}, "colour": {"type": "string"}},
                "required": ["shape", "colour"],
                "additionalProperties": False,
            },
        },
        "count": {"type": "integer"},
    },
    "required": ["objects", "count"],
    "additionalProperties": False,
}
RECORD = {"type": "json_schema", "json_schema": {"name": "picture", "strict": True, "schema": SCHEMA}}
Rows = list[tuple[float, int, float, int]]


def run_batching(console: Console) -> bool:
    """Measure in turn, print the median ratio; False when it is under what is promised."""
    with LiveServer("--model", MODEL) as service:
        return asyncio.run(_measure(service, console))


async def _measure(service: LiveServer, console: Console) -> bool:
    headers = {"authorization": f"Bearer {service.api_key}"}
    async with httpx2.AsyncClient(base_url=service.base_url, headers=headers, timeout=120) as client:
        sentence = await _rounds(client, console, {})
        record = await _rounds(client, console, {"response_format": RECORD})
    _print_batching(console, "a sentence", sentence)
    return _print_batching(console, "a record", record) >= PROMISED_TIMES


async def _rounds(client: httpx2.AsyncClient, console: Console, extra: dict[str, Any]) -> Rows:
    """Seconds and tokens at once, seconds and tokens one after another, of each round."""
    draw = random.Random(7)
    rows: Rows = []
    await asyncio.gather(*(_ask(client, _body(draw, extra)) for _ in range(REQUESTS)))
    for _ in track(range(BATCH_ROUNDS), "batching", console=console, transient=True):
        bodies = [_body(draw, extra) for _ in range(REQUESTS)]
        began = time.perf_counter()
        together = await asyncio.gather(*(_ask(client, body) for body in bodies))
        at_once = time.perf_counter() - began
        bodies = [_body(draw, extra) for _ in range(REQUESTS)]
        began = time.perf_counter()
        in_turn = [await _ask(client, body) for body in bodies]
        rows.append((at_once, sum(together), time.perf_counter() - began, sum(in_turn)))
    return rows


def _print_batching(console: Console, answer: str, rows: Rows) -> float:
    ratios = [in_turn / at_once for at_once, _, in_turn, _ in rows]
    median = statistics.median(ratios)
    table = Table(title=f"{REQUESTS} image requests, {answer} each, {MODEL}, {BATCH_ROUNDS} rounds", box=None)
    for column in ("", "seconds, median", "images/s", "tokens/s"):
        table.add_column(column, justify="right")
    for name, first in (("at once", 0), ("one after another", 2)):
        seconds = statistics.median(row[first] for row in rows)
        tokens_s = statistics.median(row[first + 1] / row[first] for row in rows)
        table.add_row(name, f"{seconds:.2f}", f"{REQUESTS / seconds:.1f}", f"{tokens_s:.0f}")
    console.print(table)
    promised = f", promised {PROMISED_TIMES:g}" if answer == "a record" else ""
    console.print(f"ratio {median:.2f} ({min(ratios):.2f} to {max(ratios):.2f}){promised}")
    return median


async def _ask(client: httpx2.AsyncClient, body: dict[str, Any]) -> int:
    response = await client.post("chat/completions", json=body)
    response.raise_for_status()
    return int(response.json()["usage"]["completion_tokens"])


def _body(draw: random.Random, extra: dict[str, Any]) -> dict[str, Any]:
    content = [{"type": "image_url", "image_url": {"url": picture(draw)}}, {"type": "text", "text": QUESTION}]
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": content}],
        "temperature": 0,
        "max_completion_tokens": 160,
        **extra,
    }


def picture(draw: random.Random) -> str:
    """A picture that no other is, as a data URI: a few discs on white."""
    image = Image.new("RGB", (224, 224), "white")
    pen = ImageDraw.Draw(image)
    for _ in range(draw.randint(4, 6)):
        x, y, r = draw.randint(30, 190), draw.randint(30, 190), draw.randint(15, 30)
        pen.ellipse((x - r, y - r, x + r, y + r), fill=draw.choice(("red", "blue", "green", "orange")))
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


PAGES = 20
ROUNDS = 2
PROMISED_ERRORS = 0.02
PROMISED_S = 0.8


@dataclass(slots=True)
class Tally:
    """What one side needed and got wrong."""

    seconds: list[float] = field(default_factory=list)
    wrong: int = 0
    wrong_in_columns: int = 0

    def row(self, pages: list[Page]) -> tuple[str, str, str, str, str]:
        single = [page for page in pages if not _in_columns(page)]
        per_page_s = statistics.median(self.seconds)
        lines = sum(len(page.lines) for page in pages) / len(pages)
        share = self.wrong / sum(len(page.text) for page in single)
        columns = self.wrong_in_columns / max(1, sum(len(page.text) for page in pages if _in_columns(page)))
        return (
            f"{per_page_s:.2f}",
            f"{1 / per_page_s:.2f}",
            f"{lines / per_page_s:.1f}",
            f"{share:.2%}",
            f"{columns:.2%}",
        )


def run_page_reader(console: Console) -> bool:
    """Measure and print; False when our character error rate is over what is promised."""
    pages = make_pages(seed=20, count=PAGES)
    rapid = _Rapid()
    ours, theirs = Tally(), Tally()
    ratios: list[float] = []
    with asyncio.Runner() as runner:
        engine = create()
        runner.run(engine.start())
        for page in pages[:5]:  # prepares both for the widths that occur
            runner.run(_transcribe(engine, page))
            rapid.read(page)
        for number in range(ROUNDS):
            for page in track(pages, f"round {number + 1}", console=console, transient=True):
                began = time.perf_counter()
                text = runner.run(_transcribe(engine, page))
                _note(ours, page, text, time.perf_counter() - began, first=number == 0)
                began = time.perf_counter()
                text = rapid.read(page)
                _note(theirs, page, text, time.perf_counter() - began, first=number == 0)
                ratios.append(theirs.seconds[-1] / ours.seconds[-1])
        at_once_s = runner.run(_all_at_once(engine, pages))
        fast = _compare_full_page(console, runner, engine, rapid)
        runner.run(engine.stop())
    _print_pages(console, pages, ours, theirs)
    console.print(f"ours takes 1/{statistics.median(ratios):.1f} of the time, median of {len(ratios)} pairs")
    console.print(f"all {len(pages)} pages at once: {len(pages) / at_once_s:.2f} pages/s")
    good = ours.wrong + ours.wrong_in_columns <= PROMISED_ERRORS * sum(len(page.text) for page in pages)
    return good and fast


def _compare_full_page(console: Console, runner: asyncio.Runner, engine: TranscriptionEngine, rapid: _Rapid) -> bool:
    page = make_full_page()
    ours, theirs = [], []
    for _ in range(6):
        began = time.perf_counter()
        runner.run(_transcribe(engine, page))
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        rapid.read(page)
        theirs.append(time.perf_counter() - began)
    ours_s, theirs_s = statistics.median(ours[1:]), statistics.median(theirs[1:])
    console.print(f"{page.name}: {ours_s:.2f} s (promised {PROMISED_S:g}), RapidOCR {theirs_s:.2f} s")
    return ours_s <= PROMISED_S


class _Rapid:
    """RapidOCR with its defaults and its models, from its wheel."""

    def __init__(self) -> None:
        from rapidocr import RapidOCR

        self._engine = RapidOCR(params={"Global.log_level": "error"})
        logging.getLogger("RapidOCR").setLevel(logging.ERROR)

    def read(self, page: Page) -> str:
        result = self._engine(np.ascontiguousarray(page.pixels[:, :, ::-1]))
        return "\n".join(result.txts or ())


async def _transcribe(engine: TranscriptionEngine, page: Page) -> str:
    height, width = page.pixels.shape[:2]
    request = GenerateRequest(
        page.name,
        MODEL_ID,
        (Message("user", (ImagePart(0),)),),
        (page.pixels[np.newaxis],),
        SamplingParams(),
        image_tokens=documented_estimate(width, height),
    )
    return "".join([delta.text async for delta in engine.generate(request)])


async def _all_at_once(engine: TranscriptionEngine, pages: list[Page]) -> float:
    began = time.perf_counter()
    await asyncio.gather(*(_transcribe(engine, page) for page in pages))
    return time.perf_counter() - began


def _note(tally: Tally, page: Page, text: str, seconds: float, *, first: bool) -> None:
    tally.seconds.append(seconds)
    if not first:
        return
    if _in_columns(page):
        tally.wrong_in_columns += edits(page.text, text)
    else:
        tally.wrong += edits(page.text, text)


def _in_columns(page: Page) -> bool:
    return "columns" in page.name


def _print_pages(console: Console, pages: list[Page], ours: Tally, theirs: Tally) -> None:
    table = Table(title=f"{len(pages)} pages, {sum(len(page.lines) for page in pages)} lines, in turn", box=None)
    for column in ("", "s/page, median", "pages/s", "lines/s", "wrong characters", "… in two columns"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row("sightline, OpenVINO", *ours.row(pages))
    table.add_row("RapidOCR, ONNX Runtime", *theirs.row(pages))
    console.print(table)


def run(console: Console) -> bool:
    """Measure both and print; False when something promised does not hold."""
    return all([run_batching(console), run_page_reader(console)])
