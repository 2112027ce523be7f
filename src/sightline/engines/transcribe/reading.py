"""Reading order: from boxes anywhere on a page to rows of cells, as a person would read them.

In: quadrilaterals (count, 4, 2). Out: rows, each of cells, each the indices of its boxes from left to right. Boxes on
one baseline form a row, however wide the gap (an item and its price), unless a gutter between columns parts them.
Pure geometry: knows neither pixels nor text.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sightline.engines.transcribe.cells import Cells, cells
from sightline.engines.transcribe.columns import blocks
from sightline.engines.transcribe.layout import Layout, Members, level


def reading_order(boxes: npt.NDArray[np.floating]) -> list[Cells]:
    """Group boxes into rows of cells and put rows in reading order."""
    if not len(boxes):
        return []
    layout = level(np.asarray(boxes, np.float64))
    return [row for block in blocks(layout) for row in cells(layout, _rows(layout, block))]


def _rows(layout: Layout, members: Members) -> list[list[int]]:
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


def _miss(layout: Layout, last: int, index: int) -> float:
    """How far `index` lies off the line through `last`, in text heights."""
    run_px = (layout.left[index] + layout.right[index] - layout.left[last] - layout.right[last]) / 2
    slope = (layout.slope[last] + layout.slope[index]) / 2
    rise_px = layout.middle[index] - layout.middle[last] - slope * run_px
    return float(abs(rise_px) / min(layout.height[last], layout.height[index]))


def _overlaps(layout: Layout, last: int, index: int) -> bool:
    shared_px = layout.right[last] - layout.left[index]
    return bool(shared_px > 0.5 * min(layout.right[last] - layout.left[last], layout.right[index] - layout.left[index]))
