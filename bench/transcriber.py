"""Our transcriber beside RapidOCR as it comes (ONNX Runtime): the same pages, in turn, in one run.

A page at a time, as one caller would send them; then all pages at once to ours, as many callers would. Character
errors are counted over the whole text with white space as one blank. RapidOCR returns boxes from top to bottom
and has no notion of columns, so pages in columns are left out of its errors and of ours beside it.

Then twenty pages of mixed layout, errors by layout, for ours with line breaks and tabs counted too; and one page of
32 lines, its time beside what the arithmetic of its networks takes on this machine at least. `FACES=a.ttf:b.ttf
SEED=n` draws the mixed pages in other fonts and words.
"""

from __future__ import annotations

import asyncio
import logging
import os
import statistics
import time
from dataclasses import dataclass, field

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.arithmetic import limit
from bench.mixed import make_mixed
from bench.pages import FACES, Page, edits, make_full_page, make_pages
from sightline.core import GenerateRequest, ImagePart, Message, SamplingParams, documented_estimate
from sightline.engines.pagetext import MODEL_ID, create
from sightline.engines.pagetext.engine import TranscriptionEngine

PAGES = 20
ROUNDS = 2
PROMISED_ERRORS = 0.02
PROMISED_S = 0.8
PROMISED_TIMES_LIMIT = 2.0
"""A page of 32 lines takes no longer than one of the two."""


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


def run(console: Console) -> bool:
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
        right = _compare_layouts(console, runner, engine, rapid)
        fast = _compare_full_page(console, runner, engine, rapid)
        runner.run(engine.stop())
    _print(console, pages, ours, theirs)
    console.print(f"ours takes 1/{statistics.median(ratios):.1f} of the time, median of {len(ratios)} pairs")
    console.print(f"all {len(pages)} pages at once: {len(pages) / at_once_s:.2f} pages/s")
    good = ours.wrong + ours.wrong_in_columns <= PROMISED_ERRORS * sum(len(page.text) for page in pages)
    return good and right and fast


def _compare_layouts(console: Console, runner: asyncio.Runner, engine: TranscriptionEngine, rapid: _Rapid) -> bool:
    faces = os.environ["FACES"].split(":") if "FACES" in os.environ else FACES
    pages = make_mixed(int(os.environ.get("SEED", "20")), faces)
    table = Table(title=f"{len(pages)} pages of mixed layout, wrong characters", box=None)
    for column in ("", "characters", "sightline", "… with breaks, tabs", "RapidOCR"):
        table.add_column(column, justify="left" if not column else "right")
    total = [0, 0, 0, 0]
    for page in track(pages, "layouts", console=console, transient=True):
        text, theirs = runner.run(_transcribe(engine, page)), rapid.read(page)
        strict = edits(page.text, text, with_layout=True)
        row = [len(page.text), edits(page.text, text), strict, edits(page.text, theirs)]
        total = [before + more for before, more in zip(total, row, strict=True)]
        table.add_row(page.name, str(row[0]), *(f"{wrong / row[0]:.2%}" for wrong in row[1:]))
    table.add_row("all", str(total[0]), *(f"{wrong / total[0]:.2%}" for wrong in total[1:]))
    console.print(table)
    return total[2] <= PROMISED_ERRORS * total[0]


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
    least = limit(page, len(os.sched_getaffinity(0)))
    ours_s, theirs_s = statistics.median(ours[1:]), statistics.median(theirs[1:])
    console.print(f"{page.name}: {ours_s:.2f} s, RapidOCR {theirs_s:.2f} s")
    console.print(
        f"{least.multiply_adds / 1e9:.0f} billion multiply-adds at {least.per_second / 1e9:.0f} billion a second, "
        f"measured in {least.precision}, are {least.seconds:.2f} s: ours takes {ours_s / least.seconds:.2f} times that"
    )
    return ours_s <= max(PROMISED_S, PROMISED_TIMES_LIMIT * least.seconds)


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


def _print(console: Console, pages: list[Page], ours: Tally, theirs: Tally) -> None:
    table = Table(title=f"{len(pages)} pages, {sum(len(page.lines) for page in pages)} lines, in turn", box=None)
    for column in ("", "s/page, median", "pages/s", "lines/s", "wrong characters", "… in two columns"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row("sightline, OpenVINO", *ours.row(pages))
    table.add_row("RapidOCR, ONNX Runtime", *theirs.row(pages))
    console.print(table)


__all__ = ["run"]
