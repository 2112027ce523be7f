"""Charts: which values stand over which row of labels, each at a height of its own.

In: a layout and its rows from top to bottom. Out: the rows with such values gathered into one above the labels'. Bars
and points carry their values where they end, so that line by line nobody could tell whose is whose. Gathered are three
and more, evenly spaced over the whole width of a row below, no two over one another. Pure geometry: knows neither
pixels nor text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sightline.engines.transcribe.layout import Layout

_LEAST_VALUES = 3
_TALL = 2.0
"""In heights of the labels: the detector takes bars for texts, of which nothing is read."""
# In steps from one value to the next.
_UNEVEN = 0.2
_MOST_BESIDE = 0.7
"""How far the labels reach beyond the first and the last value: half of a label, which may fill its step."""


class Gathered(NamedTuple):
    """Rows of which some were gathered: `values` is the number of the row of values, the labels' follows; -1: none."""

    rows: list[list[int]]
    values: int


def gathered(layout: Layout, rows: Sequence[Sequence[int]]) -> Gathered:
    """Gather the values of the lowest chart among the rows."""
    for labels in reversed(range(2, len(rows))):
        values = _values(layout, rows, labels)
        if values:
            rest = [[index for index in row if index not in values] for row in rows[:labels]]
            above = [row for row in rest if row]
            return Gathered([*above, values, *(list(row) for row in rows[labels:])], len(above))
    return Gathered([list(row) for row in rows], -1)


def _values(layout: Layout, rows: Sequence[Sequence[int]], labels: int) -> list[int]:
    """Return the boxes over a row that are its values, from left to right; empty where it labels none."""
    left, right = layout.left[rows[labels]].min(), layout.right[rows[labels]].max()
    tall_px = _TALL * float(np.median(layout.height[rows[labels]]))
    taken: list[int] = []
    found: list[int] = []
    for above in reversed(rows[:labels]):
        over = [index for index in above if left < _centre(layout, index) < right and layout.height[index] < tall_px]
        if any(_are_over(layout, one, other) for one in over for other in taken):
            break
        taken += over
        if over and len(taken) > len(over) and _are_spread(layout, taken, left, right):
            found = sorted(taken, key=lambda index: _centre(layout, index))
    return found


def _are_spread(layout: Layout, boxes: Sequence[int], left: float, right: float) -> bool:
    """Whether the boxes stand evenly over the whole width from left to right."""
    if len(boxes) < _LEAST_VALUES:
        return False
    centres = np.sort([_centre(layout, index) for index in boxes])
    step_px = (centres[-1] - centres[0]) / (len(centres) - 1)
    even = centres[0] + step_px * np.arange(len(centres))
    beside = max(centres[0] - left, right - centres[-1])
    return bool(np.abs(centres - even).max() < _UNEVEN * step_px and beside < _MOST_BESIDE * step_px)


def _are_over(layout: Layout, one: int, other: int) -> bool:
    return bool(layout.left[one] < layout.right[other] and layout.left[other] < layout.right[one])


def _centre(layout: Layout, index: int) -> float:
    return float(layout.left[index] + layout.right[index]) / 2
