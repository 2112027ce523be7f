"""Charts whose values are not printed: which texts are the numbers of an axis and which the labels beside it.

In: a layout and its rows from top to bottom. Out: the column and the row of texts along a chart's two sides; one of
them has the numbers, the other the labels, and `extraction.py` finds the values. The column is three texts and more,
each alone in its row (the last may stand in the row below), evenly spaced and in line, all left of the row below
them. A column that seems to go on in a row of several texts is none: something is written within the chart. Pure
geometry: knows neither pixels nor text, so that what is found may turn out to be no chart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pagetext.layout.geometry import Layout

_LEAST, _MOST = 3, 20
_UNEVEN = 0.35
"""How far a text of a column stands from its place, in steps; where some are lost the gap is several steps."""
# In heights of the texts below.
_ASIDE = 1.2
"""How far texts of a column are out of line."""
_TALL = 1.8
"""The detector takes bars for texts, of which nothing is read."""
_NEAR = 1.8
"""How far below the row its second line would be."""


class Axes(NamedTuple):
    """A chart's rows from `first` to before `end`, the texts of its column and of the row below it; `corner` if the
    first of the row may be the last of the column."""

    first: int
    end: int
    column: list[int]
    row: list[int]
    corner: bool


def find_axes(layout: Layout, rows: Sequence[Sequence[int]]) -> Axes | None:
    """Find the axes of the lowest chart among the rows; None if there is none."""
    for last in reversed(range(_LEAST - 1, len(rows))):
        found = _above(layout, rows, last)
        if found:
            return found
    return None


def _above(layout: Layout, rows: Sequence[Sequence[int]], last: int) -> Axes | None:
    row = list(rows[last])
    height_px = float(np.median(layout.height[row]))
    column: list[int] = []
    corner, first, number = False, last, last
    while number:
        number -= 1
        texts = [box for box in rows[number] if layout.height[box] < _TALL * height_px]
        if len(texts) > 1 or len(column) > _MOST:
            if column and _is_column(layout, [*texts[:1], *column], _centre(layout, row[corner]), _ASIDE * height_px):
                return None
            break
        if texts and not column:
            corner = len(row) > 1 and bool(layout.left[row[0]] < layout.right[texts[0]] < layout.left[row[1]])
        longer = [*texts, *column]
        if texts and not _is_column(layout, longer, _centre(layout, row[corner]), _ASIDE * height_px):
            break
        column, first = longer, number if texts else first
    if len(column) + corner < _LEAST or _goes_on(layout, row, rows[last + 1 : last + 2], _NEAR * height_px):
        return None
    return Axes(first, last + 1, column, row, corner)


def _goes_on(layout: Layout, row: Sequence[int], below: Sequence[Sequence[int]], near_px: float) -> bool:
    """Whether the texts of a row have a second line."""
    return any(
        len(line) > 1
        and layout.middle[line[0]] - layout.middle[row[0]] < near_px
        and all(any(abs(_centre(layout, box) - _centre(layout, one)) < near_px for one in row) for box in line)
        for line in below
    )


def _is_column(layout: Layout, boxes: Sequence[int], right: float, aside_px: float) -> bool:
    """Whether texts end or begin at one place, equally far from one another, but where some are lost."""
    lefts, rights, places = layout.left[list(boxes)], layout.right[list(boxes)], layout.middle[list(boxes)]
    if rights.max() >= right or min(np.ptp(lefts), np.ptp(rights)) > aside_px:
        return False
    steps = np.diff(places)
    if not len(steps):
        return True
    times = steps / max(float(np.sort(steps)[: len(steps) // 2 + 1].mean()), 1.0)
    return bool(np.abs(times - np.round(times)).max() < _UNEVEN and times.min() > 1 - _UNEVEN)


def _centre(layout: Layout, box: int) -> float:
    return float(layout.left[box] + layout.right[box]) / 2
