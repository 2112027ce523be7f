"""Reading order: from boxes anywhere on a page to rows of boxes, as a person would read them.

In: quadrilaterals (count, 4, 2). Out: rows, each the indices of its boxes from left to right. Boxes on one
baseline form a row, however wide the gap (an item and its price). Two blocks of running text side by side are
columns: the left one is read to its end first. Pure geometry: knows neither pixels nor text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_COLUMN_MIN_ROWS = 4
_COLUMN_MIN_WIDTH = 6.0
"""Of running text, in text heights: a cell of a table is narrower than a line of a column."""
_GUTTER_MIN_WIDTH = 0.7


@dataclass(frozen=True, slots=True)
class _Layout:
    """Boxes turned level: centres, half extents along and across the text, all in pixels."""

    left: Floats
    right: Floats
    middle: Floats
    height: Floats
    slope: Floats
    """What is left of each box's own tilt after levelling (perspective differs from line to line)."""


def reading_order(boxes: npt.NDArray[np.floating]) -> list[list[int]]:
    """Group boxes into rows and put rows in reading order."""
    if not len(boxes):
        return []
    layout = _level(np.asarray(boxes, np.float64))
    rows: list[list[int]] = []
    for block in _blocks(layout, np.arange(len(boxes)), depth=3):
        rows += _rows(layout, block)
    return rows


def _level(boxes: Floats) -> _Layout:
    along = (boxes[:, 1] + boxes[:, 2] - boxes[:, 0] - boxes[:, 3]) / 2
    width = np.hypot(along[:, 0], along[:, 1])
    angle = np.arctan2(along[:, 1], along[:, 0])
    tilt = _weighted_median(angle, width)
    centre = boxes.mean(axis=1)
    x = centre[:, 0] * np.cos(tilt) + centre[:, 1] * np.sin(tilt)
    y = centre[:, 1] * np.cos(tilt) - centre[:, 0] * np.sin(tilt)
    down = (boxes[:, 3] + boxes[:, 2] - boxes[:, 0] - boxes[:, 1]) / 2
    height = np.maximum(np.hypot(down[:, 0], down[:, 1]), 1.0)
    # The angle of a short box is noise: trust it as far as the box is long.
    trust = np.clip((width / height - 1.0) / 5.0, 0.0, 1.0)
    slope = np.tan(np.clip(angle - tilt, -0.5, 0.5)) * trust
    return _Layout(x - width / 2, x + width / 2, y, height, slope)


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    share = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(share, share[-1] / 2)]])


def _blocks(layout: _Layout, members: npt.NDArray[np.intp], depth: int) -> list[npt.NDArray[np.intp]]:
    """Split into columns where a gutter stands between two blocks of running text; what spans it stays apart."""
    gutter = _gutter(layout, members) if depth else None
    if gutter is None:
        return [members]
    across = members[(layout.left[members] < gutter) & (layout.right[members] > gutter)]
    # What spans the gutter (a headline, a footer) cuts the columns into bands.
    cuts = np.sort(layout.middle[across])
    band = np.searchsorted(cuts, layout.middle[members])
    blocks: list[npt.NDArray[np.intp]] = []
    for number in range(len(cuts) + 1):
        inside = members[(band == number) & ~np.isin(members, across)]
        for side in (inside[layout.right[inside] <= gutter], inside[layout.left[inside] >= gutter]):
            if len(side):
                blocks += _blocks(layout, side, depth - 1)
        if number < len(cuts):
            blocks.append(across[layout.middle[across] == cuts[number]])
    return blocks


def _gutter(layout: _Layout, members: npt.NDArray[np.intp]) -> float | None:
    """Find the x of the widest gap with running text on both sides, if there is one."""
    text_px = float(np.median(layout.height[members]))
    edges = np.sort(layout.right[members])[:-1]
    best_px, best = _GUTTER_MIN_WIDTH * text_px, None
    for edge in edges:
        right_of = members[layout.left[members] >= edge]
        left_of = members[layout.right[members] <= edge]
        if len(right_of) < _COLUMN_MIN_ROWS or len(left_of) < _COLUMN_MIN_ROWS:
            continue
        if len(left_of) + len(right_of) < 0.8 * len(members):
            continue
        gap_px = float(layout.left[right_of].min() - edge)
        if gap_px > best_px and all(_runs(layout, side, text_px) for side in (left_of, right_of)):
            best_px, best = gap_px, edge + gap_px / 2
    return best


def _runs(layout: _Layout, side: npt.NDArray[np.intp], text_px: float) -> bool:
    """Whether most lines of a side are long, and nearly fill it: running text, not cells of a table."""
    width = layout.right[side] - layout.left[side]
    extent_px = float(layout.right[side].max() - layout.left[side].min())
    typical_px = float(np.median(width))
    return typical_px >= _COLUMN_MIN_WIDTH * text_px and typical_px >= 0.7 * extent_px


def _rows(layout: _Layout, members: npt.NDArray[np.intp]) -> list[list[int]]:
    """Join each box to the row whose last box, followed along its own slope, meets it at half height."""
    rows: list[list[int]] = []
    for index in members[np.argsort(layout.left[members], kind="stable")]:
        fits = [(_miss(layout, row[-1], index), row) for row in rows]
        near = [(miss, row) for miss, row in fits if miss < 0.5 and not _overlaps(layout, row[-1], index)]
        if near:
            min(near, key=lambda pair: pair[0])[1].append(int(index))
        else:
            rows.append([int(index)])
    return sorted(rows, key=lambda row: float(layout.middle[row[0]] - layout.slope[row[0]] * layout.left[row[0]]))


def _miss(layout: _Layout, last: int, index: int) -> float:
    """How far `index` lies off the line through `last`, in text heights."""
    run_px = (layout.left[index] + layout.right[index] - layout.left[last] - layout.right[last]) / 2
    slope = (layout.slope[last] + layout.slope[index]) / 2
    rise_px = layout.middle[index] - layout.middle[last] - slope * run_px
    return float(abs(rise_px) / min(layout.height[last], layout.height[index]))


def _overlaps(layout: _Layout, last: int, index: int) -> bool:
    shared_px = layout.right[last] - layout.left[index]
    return bool(shared_px > 0.5 * min(layout.right[last] - layout.left[last], layout.right[index] - layout.left[index]))
