"""Reading order: from boxes anywhere on a page to rows of cells, as a person would read them.

In: quadrilaterals (count, 4, 2). Out: rows, each of cells, each the indices of its boxes from left to right. Boxes on
one baseline form a row, however wide the gap (an item and its price), unless a gutter between columns parts them. A
chart whose values stand over its labels is one row, one with an axis in place of values several that belong together.
Pure geometry: knows neither pixels nor text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sightline.engines.transcribe.axes import Axes, axes_of
from sightline.engines.transcribe.cells import Cells, cells
from sightline.engines.transcribe.charts import gathered
from sightline.engines.transcribe.columns import blocks
from sightline.engines.transcribe.layout import TALL, Floats, Layout, Members, level

# In heights of a large text.
_SMALL, _TOUCHING, _NEAR, _WITHIN = 0.65, 0.15, 0.6, 0.65
_OF_LINES = 2.5
"""So many times as high as a line, a text that runs up the page is beside it, not of it."""


class Line(NamedTuple):
    """A row of cells; or a chart, whose first `values` cells are its values and the others their labels, else 0."""

    cells: Cells
    values: int = 0


class Measured(NamedTuple):
    """The labels of a chart in order and the value of each, "" where none is seen; whether its axis stands."""

    labels: Sequence[str]
    values: Sequence[str]
    stands: bool


class Plot(NamedTuple):
    """The rows of a chart of which values may be measured, each of cells, and what its texts are."""

    rows: list[Cells]
    axes: Axes


def reading_order(boxes: npt.NDArray[np.floating]) -> list[Line | Plot]:
    """Group boxes into rows of cells and put rows in reading order."""
    if not len(boxes):
        return []
    layout = level(np.asarray(boxes, np.float64))
    return [line for block in blocks(layout) for line in _lines(layout, _rows(layout, block))]


def text_of(texts: Sequence[str], values: int) -> str:
    """Return the text of a `Line` whose cells read so: tabs between them; of a chart a line for each label and value.

    The detector takes labels that stand close together for one text: its words are the labels if they are as many.
    """
    if not values:
        return "\t".join(texts).rstrip()
    figures, labels = texts[:values], texts[values:]
    if len(labels) != values:
        labels = " ".join(labels).split()
    if len(labels) != values or not all(any(map(str.isdigit, figure)) for figure in figures if figure):
        lines = ["\t".join(figures), " ".join(labels)]
    else:
        lines = [f"{label}\t{figure}" for label, figure in zip(labels, figures, strict=True)]
    return "\n".join(line.rstrip() for line in lines if not line.isspace())


def plot_text(lines: Sequence[str], corner: str, measured: Measured | None) -> str:
    """Return the text of a `Plot` whose rows read `lines`, with the values of its labels if they were measured.

    The labels of an axis that stands are the last line, before which its lowest number may be the `corner`; those
    beside an axis that lies are the other lines.
    """
    if measured is not None:
        pairs = zip(measured.labels, measured.values, strict=True)
        valued = [f"{label}\t{value}".rstrip() for label, value in pairs if label]
        lines = [*lines[:-1], corner, *valued] if measured.stands else [*valued, lines[-1]]
    return "\n".join(line for line in lines if line)


def _lines(layout: Layout, rows: list[list[int]]) -> list[Line | Plot]:
    rows, at = gathered(layout, rows)
    if at < 0:
        lines = cells(layout, rows)
        axes = axes_of(layout, rows)
        if axes is None:
            return [*map(Line, lines)]
        plot = Plot(lines[axes.first : axes.end], axes)
        return [*map(Line, lines[: axes.first]), plot, *map(Line, lines[axes.end :])]
    values, labels = rows[at : at + 2]
    chart = Line([[index] for index in (*values, *labels)], len(values))
    return [*map(Line, cells(layout, rows[:at])), chart, *map(Line, cells(layout, rows[at + 2 :]))]


def _rows(layout: Layout, members: Members) -> list[list[int]]:
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
    stands = (layout.height > TALL * layout.width)[last] & (high > _OF_LINES * low)
    return np.asarray(stands | ((low > TALL * layout.width[index]) & (low > _OF_LINES * high)))


def _overlaps(layout: Layout, last: Members, index: int) -> npt.NDArray[np.bool_]:
    shared_px = layout.right[last] - layout.left[index]
    return np.asarray(shared_px > 0.5 * np.minimum(layout.width[last], layout.width[index]))
