"""Rows: which boxes of a block stand on one baseline, however wide the gap between them.

In: a layout and the members of one block. Out: rows from top to bottom, each of boxes from left to right. Pure
geometry: knows neither pixels nor text.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pagetext.layout.geometry import VERTICAL_RATIO, Layout, Members
from pagetext.types import Floats

# In heights of a large text.
_SMALL, _TOUCHING, _NEAR, _WITHIN = 0.65, 0.15, 0.6, 0.65
_OF_LINES = 2.5
"""So many times as high as a line, a text that runs up the page is beside it, not of it."""


def find_rows(layout: Layout, members: Members) -> list[list[int]]:
    """Join each box to the row whose last box, followed along its own slope, meets it at half height."""
    rows: list[list[int]] = []
    last = np.zeros(len(members), np.intp)
    for index in members[np.argsort(layout.left[members], kind="stable")]:
        miss = _miss(layout, last[: len(rows)], index)
        miss[_overlaps(layout, last[: len(rows)], index)] = np.inf
        miss[_stands_beside_lines(layout, last[: len(rows)], index)] = np.inf
        nearest = int(miss.argmin()) if rows else 0
        if rows and miss[nearest] < 0.5:
            rows[nearest].append(int(index))
        else:
            nearest = len(rows)
            rows.append([int(index)])
        last[nearest] = index
    rows = _with_units(layout, rows)
    return sorted(rows, key=lambda row: float(layout.middle[row[0]] - layout.slope[row[0]] * layout.left[row[0]]))


def _with_units(layout: Layout, rows: list[list[int]]) -> list[list[int]]:
    """Put what alone stands small beside a large figure, like its unit, behind it: mostly it misses half height."""
    if not rows:
        return rows
    firsts, lasts = (np.array([row[end] for row in rows], np.intp) for end in (0, -1))
    behind: dict[int, int] = {}
    for number in np.flatnonzero(layout.height[firsts] < _SMALL * layout.height[lasts].max()):
        near = np.flatnonzero(_stand_beside(layout, lasts, firsts[number]))
        if len(rows[number]) == len(near) == 1 and _stand_beside(layout, lasts[near], firsts).sum() == 1:
            behind[int(number)] = int(near[0])
    for small, large in behind.items():
        if large not in behind:
            rows[large].append(rows[small][0])
    return [row for number, row in enumerate(rows) if number not in behind or behind[number] in behind]


def _stand_beside(layout: Layout, large: Members, small: Members) -> npt.NDArray[np.bool_]:
    """Say whether boxes begin where much larger ones end, no higher and no lower than these are; one of the two may be
    a single one."""
    height_px = layout.height[large]
    gap_px = layout.left[small] - layout.right[large]
    off_px = layout.middle[small] - layout.middle[large] - layout.slope[large] * gap_px
    return np.asarray(
        (layout.height[small] < _SMALL * height_px)
        & (layout.width[large] > _SMALL * height_px)
        & (-_TOUCHING * height_px < gap_px)
        & (gap_px < _NEAR * height_px)
        & (np.abs(off_px) + layout.height[small] / 2 < _WITHIN * height_px)
    )


def _miss(layout: Layout, last: Members, index: int) -> Floats:
    """How far `index` lies off the lines through `last`, in text heights."""
    run_px = (layout.left[index] + layout.right[index] - layout.left[last] - layout.right[last]) / 2
    slope = (layout.slope[last] + layout.slope[index]) / 2
    rise_px = layout.middle[index] - layout.middle[last] - slope * run_px
    return np.asarray(np.abs(rise_px) / np.minimum(layout.height[last], layout.height[index]))


def _stands_beside_lines(layout: Layout, last: Members, index: int) -> npt.NDArray[np.bool_]:
    """Whether `index` or the last of a row runs up the page beside the other: the title of an axis is of no line."""
    high, low = layout.height[last], layout.height[index]
    stands = (layout.height > VERTICAL_RATIO * layout.width)[last] & (high > _OF_LINES * low)
    return np.asarray(stands | ((low > VERTICAL_RATIO * layout.width[index]) & (low > _OF_LINES * high)))


def _overlaps(layout: Layout, last: Members, index: int) -> npt.NDArray[np.bool_]:
    shared_px = layout.right[last] - layout.left[index]
    return np.asarray(shared_px > 0.5 * np.minimum(layout.width[last], layout.width[index]))
