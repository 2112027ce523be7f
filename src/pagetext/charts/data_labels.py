"""Charts: which values stand over which row of labels, each at a height of its own.

In: a layout and its rows from top to bottom. Out: the rows with such values gathered into one above the labels'. Bars
and points carry their values where they end, so that line by line nobody could tell whose is whose. Gathered are three
and more, evenly spaced over the whole width of a row below, each over its label where these are as many, no two over
one another. Receipts and forms may begin like that; but rows in columns go on below theirs. Pure geometry: knows
neither pixels nor text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pagetext.layout.geometry import Layout

_LEAST_VALUES = 3
_TALL = 2.0
"""In heights of the labels: the detector takes bars for texts, of which nothing is read."""
# In steps from one value to the next.
_UNEVEN = 0.2
_MOST_BESIDE = 0.7
"""How far the labels reach beyond the first and the last value: half of a label, which may fill its step."""
_MOST_ASIDE = 0.3
"""How far a value stands from the middle of its label."""
_MOST_BELOW = 1
"""Rows of several texts below the labels, such as a legend."""


class GatheredRows(NamedTuple):
    """Rows of which some were gathered: `values` is the number of the row of values, the labels' follows; -1: none."""

    rows: list[list[int]]
    values: int


def gather_data_labels(layout: Layout, rows: Sequence[Sequence[int]]) -> GatheredRows:
    """Gather the values of the lowest chart among the rows."""
    below = 0
    for labels in reversed(range(2, len(rows))):
        values = _values(layout, rows, labels)
        if values and _are_above(layout, values, rows[labels]):
            rest = [[index for index in row if index not in values] for row in rows[:labels]]
            above = [row for row in rest if row]
            return GatheredRows([*above, values, *(list(row) for row in rows[labels:])], len(above))
        below += len(rows[labels]) > 1
        if below > _MOST_BELOW:
            break
    return GatheredRows([list(row) for row in rows], -1)


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


def _are_above(layout: Layout, values: Sequence[int], labels: Sequence[int]) -> bool:
    """Whether each value stands over the middle of its label; if these are not as many, the detector joined some."""
    centres = np.array([_centre(layout, index) for index in values])
    step_px = (centres[-1] - centres[0]) / (len(centres) - 1)
    if len(values) != len(labels):
        gaps_px = layout.left[labels[1:]] - layout.right[labels[:-1]]
        return len(labels) < len(values) and bool((gaps_px < step_px / 2).all())
    aside_px = np.abs(centres - [_centre(layout, index) for index in labels])
    return bool(aside_px.max() < _MOST_ASIDE * step_px)


def _are_over(layout: Layout, one: int, other: int) -> bool:
    return bool(layout.left[one] < layout.right[other] and layout.left[other] < layout.right[one])


def _centre(layout: Layout, index: int) -> float:
    return float(layout.left[index] + layout.right[index]) / 2
