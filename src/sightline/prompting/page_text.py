"""What is written on a picture put beside the picture in the prompt: for models that say they want it.

In: a request's messages and what was read on its images. Out: its messages, each image followed by its text in quotes.
Small models see a page at a few hundred pixels and invent its words; the transcriber reads it at its own size. The
text is part of the prompt as if its sender had typed it: counted, previewed and paid for, and nothing in it acts as a
control token. Every failure to read is the request's, for a model is never silently left without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from sightline.core import ImagePart, Message, Part, TextPart
from sightline.evidence.page import ReadPage
from sightline.prompting.format import quoted, whole_lines


class PageText(NamedTuple):
    """The text of a picture that a model is given, and whether the picture has more."""

    text: str
    cut: bool


def page_text(page: ReadPage, max_chars: int) -> PageText:
    """Return what of a page a model is given: whole lines, at most `max_chars`."""
    text = whole_lines(page.text, max_chars)
    return PageText(text, not page.is_whole or len(text) < len(page.text.strip("\n")))


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
