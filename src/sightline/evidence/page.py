"""What the transcriber read on one picture."""

from __future__ import annotations

import msgspec

from pagetext import Line


class ReadPage(msgspec.Struct, frozen=True):
    """What the transcriber read on one picture, `lines` in pixels of it at full size; `is_whole` if nothing is left."""

    text: str
    lines: tuple[Line, ...] = ()
    is_whole: bool = True
