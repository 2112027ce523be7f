"""Server-sent events: one frame an event, `[DONE]` at the end.

Source: WHATWG HTML, section 9.2; OpenAI's streaming format.
"""

from __future__ import annotations

from typing import Any

from sightline.wire.render import encode

DONE = b"data: [DONE]\n\n"


def frame(value: Any) -> bytes:
    """One event that carries `value` as JSON."""
    return b"data: " + encode(value) + b"\n\n"
