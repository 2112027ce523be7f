"""The sheet that pictures are drawn on: an image and a record of where every character went.

In: texts, lines and boxes in pixels. Out: a Pillow image and `Mark`s. Knows nothing of wear, questions or kinds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from pictures.typeset import Font

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Mark:
    """One visible character and its box in pixels; whether it is written by hand.

    `blank` says whether a blank stands before it in its line, None where it is the first of what was written at once.
    """

    character: str
    left: float
    top: float
    right: float
    bottom: float
    by_hand: bool = False
    blank: bool | None = None


class Page:
    """An image being drawn; everything it is asked to do changes it in place."""

    def __init__(self, size: tuple[int, int], paper: Colour) -> None:
        self.image = Image.new("RGB", size, paper)
        self.pen = ImageDraw.Draw(self.image)
        self.marks: list[Mark] = []

    @property
    def width(self) -> int:
        return self.image.width

    @property
    def height(self) -> int:
        return self.image.height

    def show(self, image: Image.Image) -> None:
        """Take another image of the same size as the ground; nothing may be written yet."""
        self.image = image
        self.pen = ImageDraw.Draw(image)

    def write(
        self, text: str, at: tuple[float, float], font: Font, ink: Colour, *, anchor: str = "l", spacing: float = 0.0
    ) -> Box:
        """Write a line with its baseline at `at`: from there ("l"), around it ("m") or up to it ("r")."""
        pens, width = font.pens(text, spacing)
        x = at[0] - {"l": 0.0, "m": width / 2, "r": width}[anchor]
        y = round(at[1])
        inks = [font.ink(character) for character in text]
        places = [
            (round(x + pen) + ink.left, y + ink.top, ink.mask, index)
            for index, (pen, ink) in enumerate(zip(pens, inks, strict=True))
            if ink.mask is not None
        ]
        if not places:
            return x, y - font.ascent, x + width, y + font.descent
        left, top = min(p[0] for p in places), min(p[1] for p in places)
        right = max(p[0] + p[2].shape[1] for p in places)
        bottom = max(p[1] + p[2].shape[0] for p in places)
        line = np.zeros((bottom - top, right - left), np.uint8)
        for number, (px, py, mask, index) in enumerate(places):
            high, wide = mask.shape
            part = line[py - top : py - top + high, px - left : px - left + wide]
            np.maximum(part, mask, out=part)
            blank = text[index - 1].isspace() if number else None
            self.marks.append(Mark(text[index], px, py, px + wide, py + high, blank=blank))
        self.image.paste(ink, (left, top), Image.fromarray(line))
        return left, top, right, bottom

    def fill(self, box: Box, colour: Colour, *, radius: float = 0.0) -> None:
        if radius:
            self.pen.rounded_rectangle(box, radius, fill=colour)
        else:
            self.pen.rectangle(box, fill=colour)

    def frame(self, box: Box, colour: Colour, *, line: int = 1, radius: float = 0.0) -> None:
        if radius:
            self.pen.rounded_rectangle(box, radius, outline=colour, width=line)
        else:
            self.pen.rectangle(box, outline=colour, width=line)

    def rule(self, start: tuple[float, float], end: tuple[float, float], colour: Colour, *, line: int = 1) -> None:
        self.pen.line([start, end], fill=colour, width=line)

    def dashes(self, start: tuple[float, float], end: tuple[float, float], colour: Colour, *, line: int = 1) -> None:
        length = math.dist(start, end)
        steps = max(1, int(length // 6))
        for i in range(0, steps, 2):
            a, b = i / steps, min(1.0, (i + 1) / steps)
            self.pen.line(
                [
                    (start[0] + (end[0] - start[0]) * a, start[1] + (end[1] - start[1]) * a),
                    (start[0] + (end[0] - start[0]) * b, start[1] + (end[1] - start[1]) * b),
                ],
                fill=colour,
                width=line,
            )


def text_of(marks: list[Mark]) -> str:
    return "".join(mark.character for mark in marks)
