"""Where something stands beside the texts of a page, and the copies of a page on which it is looked for.

In: pixels, quadrilaterals of texts. Out: frames, what is darker than its surroundings, and distances from texts. What
check boxes and switches are found with.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pagetext.types import Floats, Pixels

OFF_LINE = 0.5
"""How far the middle of a thing may be from that of the line it stands in, in text heights."""
_MOST_ENLARGED = 3.0
_MOST_PIXELS = 4e6
"""Of a copy: what is looked for takes a tenth of a second there, whatever the size of the page."""


class Rect(NamedTuple):
    """Edges in pixels, each a part of what they frame."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def corners(self) -> Floats:
        """(4, 2), clockwise from the upper left."""
        return np.array([self[:2], (self.right, self.top), self[2:], (self.left, self.bottom)], np.float64)


class Place(NamedTuple):
    """The number of the text that something stands in, -1 if in none, and whether that text is nothing else."""

    text: int
    is_whole: bool


class TextGeometry:
    """The texts of a page: middles (count, 2), directions along and down each, lengths and heights; pixels."""

    def __init__(self, boxes: Floats) -> None:
        across = (boxes[:, 1] + boxes[:, 2] - boxes[:, 0] - boxes[:, 3]) / 2
        down = (boxes[:, 3] + boxes[:, 2] - boxes[:, 0] - boxes[:, 1]) / 2
        self.middle = boxes.mean(axis=1)
        self.length, self.height = (np.maximum(np.hypot(*sides.T), 1.0) for sides in (across, down))
        self.across, self.down = across / self.length[:, None], down / self.height[:, None]

    def off(self, point: Floats) -> tuple[Floats, Floats]:
        """Return how far a point is from the ends of each text, negative inside, and from the middle of its line."""
        away = point - self.middle
        along = np.abs((away * self.across).sum(axis=1)) - self.length / 2
        return along, np.abs((away * self.down).sum(axis=1))


def scale_for(pixels: Pixels, height_px: float, wanted_px: float) -> float:
    """Return how a page is scaled for its text to be `wanted_px` high, or as near to that as its size allows."""
    most = math.sqrt(_MOST_PIXELS / (pixels.shape[0] * pixels.shape[1]))
    return min(wanted_px / height_px, _MOST_ENLARGED, most)


def rescale(pixels: Pixels, scale: float) -> Pixels:
    """Return a copy of a page, `scale` times as large."""
    kind = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_CUBIC
    size_px = (max(1, round(scale * pixels.shape[1])), max(1, round(scale * pixels.shape[0])))
    return np.asarray(cv2.resize(np.ascontiguousarray(pixels), size_px, interpolation=kind), np.uint8)


def connected_components(
    channel: npt.NDArray[np.uint8], around_px: float, darker: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Find what is `darker` than the mean of its surroundings, and which of it hangs together.

    Returns:
        Ink (height, width), 1 or 0; the number of the part that each pixel belongs to; the parts (count, 5): left,
        top, width, height, pixels. Part 0 is the paper.
    """
    size_px = 2 * max(1, round(around_px / 2)) + 1
    ink = cv2.adaptiveThreshold(
        np.ascontiguousarray(channel), 1, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, size_px, darker
    )
    _, numbers, parts, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    return np.asarray(ink, np.uint8), np.asarray(numbers, np.int32), np.asarray(parts, np.int32)


def filter_by_size(
    parts: npt.NDArray[np.int32], heights: tuple[float, float], widths: tuple[float, float]
) -> list[int]:
    """Return the parts whose height is between two numbers of pixels, and whose width is that many times as much."""
    width, height = parts[:, 2], parts[:, 3]
    fits = (height >= heights[0]) & (height <= heights[1])
    fits &= (width >= widths[0] * height) & (width <= widths[1] * height)
    fits[0] = False
    return [int(number) for number in np.flatnonzero(fits)]


def largest_component(drawn: npt.NDArray[np.bool_]) -> tuple[Rect, int]:
    """Return where the largest part of what is drawn is, and its pixels; what is drawn may not be nothing."""
    _, _, parts, _ = cv2.connectedComponentsWithStats(drawn.astype(np.uint8), connectivity=8)
    left, top, width, height, pixels = (int(value) for value in parts[1 + int(parts[1:, 4].argmax())])
    return Rect(left, top, left + width, top + height), pixels
