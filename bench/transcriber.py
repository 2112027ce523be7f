"""Our transcriber beside RapidOCR as it comes (ONNX Runtime): the same pages, in turn, in one run.

A page at a time, as one caller would send them; then all pages at once to ours, as many callers would. Character
errors are counted over the whole text with white space as one blank. RapidOCR returns boxes from top to bottom
and has no notion of columns, so pages in columns are left out of its errors and of ours beside it.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from dataclasses import dataclass, field

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.pages import Page, edits, make_pages
from sightline.core import GenerateRequest, ImagePart, Message, SamplingParams, documented_estimate
from sightline.engines.transcribe import MODEL_ID, TranscriptionEngine, create

PAGES = 20
ROUNDS = 2
PROMISED_ERRORS = 0.02


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
        runner.run(engine.stop())
    _print(console, pages, ours, theirs)
    console.print(f"ours takes 1/{statistics.median(ratios):.1f} of the time, median of {len(ratios)} pairs")
    console.print(f"all {len(pages)} pages at once: {len(pages) / at_once_s:.2f} pages/s")
    return ours.wrong + ours.wrong_in_columns <= PROMISED_ERRORS * sum(len(page.text) for page in pages)


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
        (page.pixels,),
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
