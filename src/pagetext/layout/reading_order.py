"""Reading order: from boxes anywhere on a page to rows of cells, as a person would read them.

In: quadrilaterals (count, 4, 2). Out: rows, each of cells, each the indices of its boxes from left to right. Boxes on
one baseline form a row, however wide the gap (an item and its price), unless a gutter between columns parts them. A
chart whose values stand over its labels is one row, one with an axis in place of values several that belong together.
Pure geometry: knows neither pixels nor text.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pagetext.charts.axes import Axes, find_axes
from pagetext.charts.data_labels import gather_data_labels
from pagetext.layout.cells import Cells, split_cells
from pagetext.layout.columns import find_blocks
from pagetext.layout.geometry import Layout, level
from pagetext.layout.rows import find_rows


class RowLayout(NamedTuple):
    """A row of cells; or a chart: its first `data_labels` cells are its printed values, the others their categories."""

    cells: Cells
    data_labels: int = 0


class ChartLayout(NamedTuple):
    """The rows of a chart of which values may be measured, each of cells, and what its texts are."""

    rows: list[Cells]
    axes: Axes


def reading_order(boxes: npt.NDArray[np.floating]) -> list[RowLayout | ChartLayout]:
    """Group boxes into rows of cells and put rows in reading order."""
    if not len(boxes):
        return []
    layout = level(np.asarray(boxes, np.float64))
    return [line for block in find_blocks(layout) for line in _lines(layout, find_rows(layout, block))]


def _lines(layout: Layout, rows: list[list[int]]) -> list[RowLayout | ChartLayout]:
    rows, at = gather_data_labels(layout, rows)
    if at < 0:
        lines = split_cells(layout, rows)
        axes = find_axes(layout, rows)
        if axes is None:
            return [*map(RowLayout, lines)]
        plot = ChartLayout(lines[axes.first : axes.end], axes)
        return [*map(RowLayout, lines[: axes.first]), plot, *map(RowLayout, lines[axes.end :])]
    values, labels = rows[at : at + 2]
    chart = RowLayout([[index] for index in (*values, *labels)], len(values))
    return [
        *map(RowLayout, split_cells(layout, rows[:at])),
        chart,
        *map(RowLayout, split_cells(layout, rows[at + 2 :])),
    ]
