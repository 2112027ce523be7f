"""Characters → masks: every glyph of a face and size is rendered once and kept.

In: a font file and a size in pixels. Out: the ink of each character, its place on the baseline and its advance, so
that a line of text is laid out without asking FreeType again and the box of every character is known exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Mask = NDArray[np.uint8]
KERNING_SIZE = 100
SIZES_KEPT = 2500


@dataclass(frozen=True, slots=True)
class Ink:
    """One character: its mask, where the mask's corner lies from the pen (y down), and how far the pen goes on."""

    mask: Mask | None
    left: int
    top: int
    advance: float


class Font:
    """A face at one size; `size` is the em in pixels."""

    def __init__(self, file: Path, size: int) -> None:
        self.file, self.size = file, size
        self.font = ImageFont.truetype(str(file), size, layout_engine=ImageFont.Layout.BASIC)
        self.ascent, self.descent = self.font.getmetrics()
        self.inks: dict[str, Ink] = {}

    def ink(self, character: str) -> Ink:
        found = self.inks.get(character)
        if found is None:
            found = self.inks[character] = self.render(character)
        return found

    def render(self, character: str) -> Ink:
        advance = float(self.font.getlength(character))
        side = 2 * self.size + 8
        image = Image.new("L", (side, side))
        ImageDraw.Draw(image).text((side // 4, side * 2 // 3), character, fill=255, font=self.font, anchor="ls")
        box = image.getbbox()
        if box is None:
            return Ink(None, 0, 0, advance)
        return Ink(np.asarray(image.crop(box)), box[0] - side // 4, box[1] - side * 2 // 3, advance)

    @property
    def cap_height(self) -> int:
        return -self.ink("H").top

    def pens(self, text: str, spacing: float = 0.0) -> tuple[list[float], float]:
        """Return where the pen stands before each character, and the whole width, in pixels."""
        pens, pen, before = [], 0.0, ""
        for character in text:
            if before:
                pen += kerning(self.file, before + character) * self.size + spacing
            pens.append(pen)
            pen += self.ink(character).advance
            before = character
        return pens, pen

    def width(self, text: str, spacing: float = 0.0) -> float:
        return self.pens(text, spacing)[1]


@lru_cache(maxsize=SIZES_KEPT)
def kept(file: Path, size: int) -> Font:
    return Font(file, size)


def font(file: Path, size: float) -> Font:
    """Return a face at a size, cut to whole pixels, and to coarser steps where it is large: few sizes, kept long."""
    step = 1 if size < 26 else 2 if size < 52 else 4
    return kept(file, max(6, int(size) // step * step))


@lru_cache(maxsize=200)
def kerning_font(file: Path) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(file), KERNING_SIZE)


@lru_cache(maxsize=400_000)
def kerning(file: Path, pair: str) -> float:
    """Return how far a pair of letters moves together, as a share of the em; signs and digits stand unkerned."""
    if not pair.isalpha():
        return 0.0
    shaped = kerning_font(file)
    apart = shaped.getlength(pair[0]) + shaped.getlength(pair[1])
    moved = (float(shaped.getlength(pair, features=["-liga"])) - float(apart)) / KERNING_SIZE
    return max(-0.2, min(0.05, moved))
