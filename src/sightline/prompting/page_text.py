"""What is written on a picture, read by the transcriber and put beside the picture: for models that say they want it.

In: a request's images and what the model sees of them. Out: its messages, each image followed by its text in quotes.
Small models see a page at a few hundred pixels and invent its words; the transcriber reads it at its own size. The
text is part of the prompt as if its sender had typed it: counted, previewed and paid for, and nothing in it acts as a
control token. Every failure to read is the request's, for a model is never silently left without.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import aclosing
from typing import NamedTuple

from msgspec.structs import replace

from sightline.core import EncodedImage, GenerateRequest, ImageFile, ImagePart, Message, Part, SamplingParams, TextPart
from sightline.engines.catalogue import Catalogue
from sightline.engines.pagetext import MODEL_ID
from sightline.errors import EngineUnavailable, ModelNotFound
from sightline.images.preprocessor import Preprocessor
from sightline.prompting.format import quoted, whole_lines
from sightline.settings import DEFAULT_MAX_RUNNING

MAX_CACHED = 512
"""Texts kept for the next question about the same pictures: half a megabyte at a thousand characters each."""


class PageText(NamedTuple):
    """The text of a picture that a model is given, and whether the picture has more."""

    text: str
    cut: bool


class PageTextReader:
    """Reads pictures with the transcriber of a catalogue, and keeps the last texts, apart for every key."""

    def __init__(self, catalogue: Catalogue, preprocessor: Preprocessor) -> None:
        self._catalogue = catalogue
        self._preprocessor = preprocessor
        self._cached: OrderedDict[tuple[str, int, str], PageText] = OrderedDict()
        # A page is up to 13 MB of pixels, and models elsewhere take hundreds of requests at once.
        self._slots = asyncio.Semaphore(DEFAULT_MAX_RUNNING)

    async def read(
        self, image: EncodedImage, sha256: str, max_chars: int, *, number: int, request_id: str, owner: str
    ) -> PageText:
        """Return the text of a request's image `number` in reading order: whole lines, at most `max_chars`.

        Raises:
            EngineUnavailable: no transcriber answers at this moment.
            ImageUndecodable, EngineError: as for a request to the transcriber.
        """
        key = (sha256, max_chars, owner)
        page_text = self._cached.pop(key, None)
        if page_text is None:
            async with self._slots:
                page_text = await self._transcribe(image, max_chars, number, request_id, owner)
        self._cached[key] = page_text
        while len(self._cached) > MAX_CACHED:
            self._cached.popitem(last=False)
        return page_text

    async def _transcribe(
        self, image: EncodedImage, max_chars: int, number: int, request_id: str, owner: str
    ) -> PageText:
        try:
            engine, model = self._catalogue.find(MODEL_ID)
        except ModelNotFound:
            message = f"This model reads pictures with {MODEL_ID}, which is not served here; load it beside this model."
            raise EngineUnavailable(message) from None
        assert model.image is not None
        (prepared,) = await self._preprocessor.prepare([image], model.image, owner, first=number)
        assert not isinstance(prepared.shown, ImageFile)
        work = GenerateRequest(
            request_id=request_id,
            model=model.id,
            messages=(Message("user", (ImagePart(0),)),),
            images=(prepared.shown,),
            # A character more tells a text that just fits from one that was cut.
            sampling=SamplingParams(max_tokens=max_chars + 1),
            image_tokens=prepared.receipt.image_tokens,
            stream=False,
            owner=owner,
        )
        pieces = []
        async with aclosing(engine.generate(work)) as deltas:
            async for delta in deltas:
                pieces.append(delta.text)
        read = "".join(pieces)
        text = whole_lines(read, max_chars)
        return PageText(text, len(read) > max_chars or len(text) < len(read.strip("\n")))


def insert_page_texts(messages: Sequence[Message], texts: Sequence[str]) -> tuple[Message, ...]:
    """Return the messages with `texts[i]` in quotes behind image `i`; pictures without text stay as they are."""
    return tuple(replace(message, parts=tuple(_with_texts(message.parts, texts))) for message in messages)


def _with_texts(parts: Sequence[Part], texts: Sequence[str]) -> list[Part]:
    found: list[Part] = []
    for part in parts:
        found.append(part)
        if isinstance(part, ImagePart) and texts[part.index]:
            found.append(TextPart(quoted(texts[part.index])))
    return found
