"""The outlines the model knows: name → signed distance, as numpy formulas.

In: coordinates in a shape's own frame (x right, y up, reach about 1) and one `proportion` in 0..1 that varies its
build. Out: distance to the outline, negative inside. Knows nothing of pixels, colours or places. Distances follow
the well-known constructions (half-planes, folded angles) and are exact enough within a pixel of the outline.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Distance = Callable[[Field, Field, float], Field]


def circle(x: Field, y: Field, proportion: float) -> Field:
    return np.hypot(x, y) - 0.95


def square(x: Field, y: Field, proportion: float) -> Field:
    return np.maximum(np.abs(x), np.abs(y)) - 0.8


def rectangle(x: Field, y: Field, proportion: float) -> Field:
    return np.maximum(np.abs(x) - 0.95, np.abs(y) - (0.34 + 0.1 * proportion))


def triangle(x: Field, y: Field, proportion: float) -> Field:
    half_base = 0.8 + 0.25 * proportion
    slope = 1.5 / half_base
    side = (y - 0.95 + slope * np.abs(x)) / np.hypot(slope, 1.0)
    return np.maximum(side, -0.55 - y)


def diamond(x: Field, y: Field, proportion: float) -> Field:
    half_width = 0.55 + 0.15 * proportion
    return (np.abs(x) / half_width + np.abs(y) - 1.0) * (half_width / np.hypot(half_width, 1.0))


def star(x: Field, y: Field, proportion: float) -> Field:
    half_sector = np.pi / 5
    angle = np.arctan2(x, y)
    folded = np.abs(np.mod(angle + half_sector, 2 * half_sector) - half_sector)
    reach = np.hypot(x, y)
    inner = 0.38 + 0.12 * proportion
    edge_x, edge_y = inner * np.cos(half_sector) - 1.0, inner * np.sin(half_sector)
    length = np.hypot(edge_x, edge_y)
    return ((reach * np.cos(folded) - 1.0) * edge_y - reach * np.sin(folded) * edge_x) / length


def cross(x: Field, y: Field, proportion: float) -> Field:
    arm = 0.26 + 0.1 * proportion
    wide, high = np.abs(x), np.abs(y)
    return np.minimum(np.maximum(wide - 0.95, high - arm), np.maximum(wide - arm, high - 0.95))


def heart(x: Field, y: Field, proportion: float) -> Field:
    wide = np.abs(x) * (0.58 + 0.06 * proportion)
    high = y * 0.6 + 0.52
    lobe = np.hypot(wide - 0.25, high - 0.75) - np.sqrt(2) / 4
    along = np.maximum(wide + high, 0.0) / 2
    point = np.minimum(np.hypot(wide, high - 1.0), np.hypot(wide - along, high - along)) * np.sign(wide - high)
    return np.where(wide + high > 1.0, lobe, point) / 0.6


SHAPES: dict[str, Distance] = {
    "circle": circle,
    "square": square,
    "triangle": triangle,
    "star": star,
    "heart": heart,
    "cross": cross,
    "diamond": diamond,
    "rectangle": rectangle,
}
# Degrees of rotation either way. A square leans little, so that a diamond stays something else.
ROTATION = {
    "circle": 180.0,
    "square": 12.0,
    "triangle": 25.0,
    "star": 36.0,
    "heart": 20.0,
    "cross": 14.0,
    "diamond": 10.0,
    "rectangle": 10.0,
}
