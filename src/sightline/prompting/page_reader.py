"""Reads the text of pictures with the transcriber of a catalogue, for prompts and for evidence.

In: an image of a request. Out: its text and its lines, in pixels of the picture at full size.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import NamedTuple

from cachetools import LRUCache

from sightline.core import (
    Delta,
    EncodedImage,
    GenerateRequest,
    ImageFile,
    ImagePart,
    Message,
    ModelInfo,
    SamplingParams,
)
from sightline.engines.base import Engine
from sightline.engines.catalogue import Catalogue
from sightline.engines.pagetext import MODEL_ID
from sightline.errors import EngineUnavailable, ModelNotFound
from sightline.evidence.page import ReadPage
from sightline.images.preprocessor import Preprocessor
from sightline.images.receipt import ImageReceipt
from sightline.settings import DEFAULT_MAX_RUNNING

MAX_CACHED_BYTES = 64_000_000
"""Of pages kept for the next question about the same pictures."""
_LINE_BYTES = 600
_PAGE_BYTES = 1_000


class PageKey(NamedTuple):
    """Which picture (SHA-256 of its bytes), sent by the owner of which key: these share nothing."""

    sha256: str
    owner: str


class PageReader:
    """Keeps the pages read last, apart for every key."""

    def __init__(self, catalogue: Catalogue, preprocessor: Preprocessor) -> None:
        self._catalogue = catalogue
        self._preprocessor = preprocessor
        self._cache: LRUCache[PageKey, ReadPage] = LRUCache(MAX_CACHED_BYTES, getsizeof=_size)
        # A page is up to 13 MB of pixels, and models elsewhere take hundreds of requests at once.
        self._slots = asyncio.Semaphore(DEFAULT_MAX_RUNNING)

    async def read(
        self, image: EncodedImage, *, number: int, request_id: str, owner: str, max_chars: int | None = None
    ) -> ReadPage:
        """Return what is written on a request's image `number`, in reading order: all of it, or about `max_chars`.

        Raises:
            EngineUnavailable: no transcriber answers at this moment.
            ImageUndecodable, EngineError: as for a request to the transcriber.
        """
        key = PageKey(image.sha256, owner)
        page = self._cache.get(key)
        if page is None or not (page.is_whole or (max_chars is not None and len(page.text) > max_chars)):
            async with self._slots:
                page = await self._transcribe(image, max_chars, number, request_id, owner)
            with suppress(ValueError):  # larger than all that is kept
                self._cache[key] = page
        return page

    def transcriber(self) -> tuple[Engine, ModelInfo]:
        """Return what reads pictures here.

        Raises:
            EngineUnavailable: nothing does, or not at this moment.
        """
        try:
            return self._catalogue.find(MODEL_ID)
        except ModelNotFound:
            message = f"Pictures are read with {MODEL_ID}, which is not served here; load it beside this model."
            raise EngineUnavailable(message) from None

    async def _transcribe(
        self, image: EncodedImage, max_chars: int | None, number: int, request_id: str, owner: str
    ) -> ReadPage:
        engine, model = self.transcriber()
        assert model.image is not None
        (prepared,) = await self._preprocessor.prepare([image], model.image, owner, first=number)
        assert not isinstance(prepared.shown, ImageFile)
        work = GenerateRequest(
            request_id=request_id,
            model=model.id,
            messages=(Message("user", (ImagePart(0),)),),
            images=(prepared.shown,),
            # A character more tells a text that just fits from one that was cut.
            sampling=SamplingParams(max_tokens=None if max_chars is None else max_chars + 1),
            image_tokens=prepared.receipt.image_tokens,
            stream=False,
            owner=owner,
            lines=True,
        )
        async with aclosing(engine.generate(work)) as deltas:
            whole = Delta.join([delta async for delta in deltas])
        x, y = _scale(prepared.receipt)
        return ReadPage(whole.text, tuple(line.scaled(x, y) for line in whole.lines), whole.finish_reason == "stop")


def _scale(receipt: ImageReceipt) -> tuple[float, float]:
    """How many times as large as it was read the picture is, along each side, the way up a person sees it."""
    width, height = receipt.width, receipt.height
    if (width > height) != (receipt.seen_width > receipt.seen_height):  # it is stored lying
        width, height = height, width
    return width / receipt.seen_width, height / receipt.seen_height


def _size(page: ReadPage) -> int:
    return _PAGE_BYTES + 4 * len(page.text) + sum(_LINE_BYTES + 40 * len(line.text) for line in page.lines)
