"""Values that every step shares: arrays of pixels and corners, and the line of text that a caller gets. Numpy alone."""

from __future__ import annotations

from dataclasses import dataclass

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
    row: int | None = None
    """In a table: the number of its row among all rows of the page in reading order, from 0; else None."""
    column: int | None = None
    """In a table: the number of its cell in the row, from 0; else None."""
