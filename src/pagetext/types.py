"""Values that every step shares: arrays of pixels and corners, and the line of text that a caller gets. Numpy alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""RGB, shape (height, width, 3)."""
Floats = npt.NDArray[np.float64]
Quads = npt.NDArray[np.float32]
"""Quadrilaterals, shape (count, 4, 2): x, y of the corners, clockwise from the upper left of the text."""

Point = tuple[float, float]
"""x, y in pixels."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text where it stands on the image that was given; pixels of that image.

    A check box or switch is a line of its own, "☑" (ticked, on) or "□".
    """

    text: str
    box: tuple[int, int, int, int]
    """Left, top, right, bottom: the smallest level rectangle around `quad`, within the image."""
    quad: tuple[Point, Point, Point, Point]
    """Corners, clockwise from where the text begins at its upper edge, whichever way up the image stands."""
    confidence: float
    """Mean probability of its characters, 0 to 1; a control has 1."""
    centres: tuple[float, ...] = ()
    """Where each character of `text` stands along the quad: 0 where the text begins, 1 where it ends."""
    row: int | None = None
    """In a table: the number of its row among all rows of the page in reading order, from 0; else None."""
    column: int | None = None
    """In a table: the number of its cell in the row, from 0; else None."""

    def quad_of(self, begin: int, end: int) -> tuple[Point, Point, Point, Point]:
        """Return the corners around the characters `begin` to `end`, as those of a slice."""
        left = self._between(begin - 1, begin) if begin > 0 else 0.0
        right = self._between(end - 1, end) if end < len(self.centres) else 1.0
        upper_left, upper_right, lower_right, lower_left = self.quad
        return (
            _along(upper_left, upper_right, left),
            _along(upper_left, upper_right, right),
            _along(lower_left, lower_right, right),
            _along(lower_left, lower_right, left),
        )

    def scaled(self, x: float, y: float) -> Line:
        """Return the line as it stands on a copy of the image that is so many times as wide and as high."""
        left, top, right, bottom = self.box
        box = (math.floor(left * x), math.floor(top * y), math.ceil(right * x), math.ceil(bottom * y))
        upper_left, upper_right, lower_right, lower_left = ((px * x, py * y) for px, py in self.quad)
        return replace(self, box=box, quad=(upper_left, upper_right, lower_right, lower_left))

    def _between(self, one: int, other: int) -> float:
        return (self.centres[one] + self.centres[other]) / 2


def _along(start: Point, end: Point, share: float) -> Point:
    return (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))
