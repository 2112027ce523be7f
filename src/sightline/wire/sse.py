"""Server-sent events: one frame an event, `[DONE]` at the end.

Source: WHATWG HTML, section 9.2; OpenAI's streaming format.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sightline.core import Delta
from sightline.wire.render import Head, chunk, delta_choice, encode

DONE = b"data: [DONE]\n\n"
_SAMPLE = "a piece"


class TextFrames:
    """The events that carry nothing but text: all of a stream are alike around it, so it alone is written anew."""

    def __init__(self, head: Head, choice: int, more: dict[str, Any]) -> None:
        event = frame(chunk(head, [delta_choice(choice, Delta(_SAMPLE))], **more))
        name = b'"content":'
        before, _, self._after = event.partition(name + encode(_SAMPLE))
        self._before = before + name
        self._between = self._after + self._before

    def frames(self, texts: Sequence[str]) -> bytes:
        """The events of pieces of text, none of which is empty."""
        if not texts:
            return b""
        return b"%b%b%b" % (self._before, self._between.join(map(encode, texts)), self._after)


def frame(value: Any) -> bytes:
    """One event that carries `value` as JSON."""
    return b"data: " + encode(value) + b"\n\n"
