"""The boxes of a page turned level: what columns, rows and cells are found with.

In: quadrilaterals (count, 4, 2). Out: their edges along the text, heights and remaining slopes, in pixels. Pure
geometry: knows neither pixels nor text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pagetext.types import Floats, Quads

Members = npt.NDArray[np.intp]
"""Indices of boxes."""
VERTICAL_RATIO = 1.5
"""So many times as high as wide, a text runs up or down the page."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One entry a box. `x` runs along the text, `y` down the page, whatever the page's tilt."""

    left: Floats
    right: Floats
    middle: Floats
    height: Floats
    slope: Floats
    """What is left of each box's own tilt after levelling (perspective differs from line to line)."""

    @property
    def width(self) -> Floats:
        """From left to right."""
        return self.right - self.left


def level(boxes: Floats) -> Layout:
    """Turn boxes by the tilt that most of the text has."""
    angle, width = _directions(boxes)
    tilt = _weighted_median(angle, width)
    centre = boxes.mean(axis=1)
    x = centre[:, 0] * np.cos(tilt) + centre[:, 1] * np.sin(tilt)
    y = centre[:, 1] * np.cos(tilt) - centre[:, 0] * np.sin(tilt)
    down = (boxes[:, 3] + boxes[:, 2] - boxes[:, 0] - boxes[:, 1]) / 2
    height = np.maximum(np.hypot(down[:, 0], down[:, 1]), 1.0)
    # The angle of a short box is noise: trust it as far as the box is long.
    trust = np.clip((width / height - 1.0) / 5.0, 0.0, 1.0)
    slope = np.tan(np.clip(angle - tilt, -0.5, 0.5)) * trust
    return Layout(x - width / 2, x + width / 2, y, height, slope)


def tilt_of(boxes: Floats) -> float:
    """Measure the tilt that most of the text has: radians, positive where lines fall to the right."""
    return _weighted_median(*_directions(boxes))


def _directions(boxes: Floats) -> tuple[Floats, Floats]:
    """Angles and lengths."""
    along = (boxes[:, 1] + boxes[:, 2] - boxes[:, 0] - boxes[:, 3]) / 2
    return np.arctan2(along[:, 1], along[:, 0]), np.hypot(along[:, 0], along[:, 1])


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    share = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(share, share[-1] / 2)]])


def sides(quad: Quads) -> tuple[float, float]:
    """Measure the longer of each pair of opposite sides: (width, height), at least one pixel."""
    edges = np.linalg.norm(quad - np.roll(quad, -1, axis=0), axis=1)
    return float(max(edges[0], edges[2], 1.0)), float(max(edges[1], edges[3], 1.0))


def is_vertical(width_px: float, height_px: float) -> bool:
    """Whether a text of this size runs up or down the page."""
    return height_px >= VERTICAL_RATIO * width_px
