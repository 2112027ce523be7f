"""The package `pagetext` as an engine: pictures in, their text out, a line at a time.

It reads whatever the prompt says; there is no language model in it. Every step of a request (looking at a picture,
reading a row or a chart) is one job for a pool of as many threads as cores, first come, first served. A request has at
most one job running and one waiting for each of them, so requests take turns row by row and a cancelled one ends with
the rows that are being read.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from msgspec.structs import replace

from pagetext import Reader, WeightsError
from pagetext.ocr import Chart, Row, RowText
from sightline.core import Delta, EngineTimings, GenerateRequest, ModelInfo, Pixels, Usage, documented_estimate
from sightline.engines.base import Deltas, GeneratorDeltas
from sightline.engines.context import max_new_tokens
from sightline.engines.pagetext.model import INFO, WITHOUT_PICTURES
from sightline.engines.pagetext.output import OutputBuffer
from sightline.errors import ConfigError, EngineError, EngineUnavailable, InvalidRequest

_WARM_UP = "Sightline 2026"
_ROWS_PER_THREAD = 2
"""One being read and one waiting: with fewer a thread idles until the rows before its own are done."""

A = TypeVar("A")
T = TypeVar("T")


@dataclass(slots=True)
class _Clock:
    """When a request came, was first worked on, and gave its first text; monotonic seconds."""

    came: float
    begun: float | None = None
    first: float | None = None

    def timings(self) -> EngineTimings:
        now = time.monotonic()
        begun = self.begun or now
        first = self.first or now
        return EngineTimings(queue_s=begun - self.came, prefill_s=first - begun, decode_s=now - first)


class TranscriptionEngine:
    """`pagetext` behind the `Engine` contract."""

    def __init__(self, *, threads: int | None = None, precision: str | None = None) -> None:
        self._threads = threads or len(os.sched_getaffinity(0))
        self._precision = precision
        self._pool: ThreadPoolExecutor | None = None
        self._reader: Reader | None = None

    async def start(self) -> None:
        """Load the networks and read a drawn line.

        Raises:
            ConfigError: the weights are missing or do not read the drawn line.
        """
        if self._pool is not None:
            return
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="transcribe")
        try:
            self._reader = await asyncio.get_running_loop().run_in_executor(self._pool, self._load)
        finally:
            if self._reader is None:
                await self.stop()

    async def stop(self) -> None:
        """Release everything; generations under way end with `EngineUnavailable`. Safe to call twice."""
        pool, self._pool, self._reader = self._pool, None, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown)

    def models(self) -> Sequence[ModelInfo]:
        """The one model, while it can answer."""
        return (INFO,) if self._reader is not None else ()

    async def count(self, request: GenerateRequest) -> Usage:
        """Count the images by the documented estimate; the prompt's words count nothing."""
        if not request.images:
            raise InvalidRequest(WITHOUT_PICTURES, param="messages")
        image_tokens = sum(documented_estimate(page.shape[1], page.shape[0]) for page in _pages(request))
        if request.image_tokens != image_tokens:
            raise EngineError("the images that reached the transcriber are not those of the receipt")
        max_new_tokens(image_tokens, request.sampling, INFO.context_length)
        return Usage(image_tokens, 0, image_tokens=image_tokens)

    def generate(self, request: GenerateRequest) -> Deltas:
        """Transcribe the request's pictures; see the contract for cancelling and errors."""
        return GeneratorDeltas(self._generate(request))

    async def _generate(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
        prompt = await self.count(request)
        clock = _Clock(time.monotonic())
        answer = OutputBuffer(request.sampling)
        rows = self._rows(_pages(request), clock)
        try:
            async for row in rows:
                clock.first = clock.first or time.monotonic()
                piece = answer.add(row.text)
                lines = row.lines if request.lines else ()
                if answer.finish_reason:
                    break
                if piece or lines:
                    usage = replace(prompt, completion_tokens=answer.characters)
                    yield Delta(piece, usage=usage, lines=lines)
            else:
                piece = answer.finish()
                lines = ()
        finally:
            await rows.aclose()
        usage = replace(prompt, completion_tokens=answer.characters)
        yield Delta(piece, (), answer.finish_reason, usage, clock.timings(), lines=lines)

    async def _rows(self, images: Sequence[Pixels], clock: _Clock) -> AsyncGenerator[RowText, None]:
        """Yield the rows that hold text, each with its line break; a blank line stands between two pictures."""
        before: RowText | None = None
        for image in images:
            line_break = "\n\n"
            rows = await self._submit(Reader.find_rows, image, clock)
            async for row in self._in_turn(rows, clock):
                if before:
                    yield before._replace(text=before.text + line_break)
                before, line_break = row, "\n"
        if before:
            yield before

    async def _in_turn(self, rows: Sequence[Row | Chart], clock: _Clock) -> AsyncGenerator[RowText, None]:
        """Yield the rows that hold text in order while the next ones are being read."""
        waiting: deque[asyncio.Future[RowText]] = deque()
        try:
            for row in rows:
                waiting.append(self._submit(Reader.read_row, row, clock))
                if len(waiting) == _ROWS_PER_THREAD * self._threads and (read := await waiting.popleft()).text:
                    yield read
            while waiting:
                if (read := await waiting.popleft()).text:
                    yield read
        finally:
            for job in waiting:
                job.cancel()

    def _submit(self, step: Callable[[Reader, A], T], given: A, clock: _Clock) -> asyncio.Future[T]:
        if self._pool is None:
            raise EngineUnavailable("the transcriber is not running; try again in a moment")
        return asyncio.get_running_loop().run_in_executor(self._pool, self._work, step, given, clock)

    def _work(self, step: Callable[[Reader, A], T], given: A, clock: _Clock) -> T:
        clock.begun = clock.begun or time.monotonic()
        reader = self._reader
        if reader is None:
            raise EngineUnavailable("the transcriber was stopped before the answer was complete; try again")
        try:
            return step(reader, given)
        except (cv2.error, RuntimeError) as failure:
            raise EngineError("the transcriber failed on this picture; it may read a copy in another size") from failure

    def _load(self) -> Reader:
        try:
            reader = Reader.load(threads=self._threads, precision=self._precision)
        except WeightsError as failure:
            raise ConfigError(str(failure)) from failure
        image = np.full((120, 480, 3), 255, np.uint8)
        cv2.putText(image, _WARM_UP, (30, 75), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (0, 0, 0), 3)
        if "".join(reader.page(image).text.split()) != "".join(_WARM_UP.split()):
            raise ConfigError("the transcriber misreads its warm-up line; reinstall rapidocr 3.10 and openvino")
        return reader


def _pages(request: GenerateRequest) -> list[Pixels]:
    """The pictures themselves: a page is always one view."""
    return [image[0] for image in request.images]
