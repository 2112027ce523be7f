"""Server-sent events: one frame an event, `[DONE]` at the end.

Source: WHATWG HTML, section 9.2; OpenAI's streaming format.
"""

from __future__ import annotations

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

    def frame(self, text: str) -> bytes:
        """The event of one piece of text, which is not empty."""
        return b"%b%b%b" % (self._before, encode(text), self._after)


def frame(value: Any) -> bytes:
    """One event that carries `value` as JSON."""
    return b"data: " + encode(value) + b"\n\n"
