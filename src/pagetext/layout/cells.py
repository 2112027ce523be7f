"""Cells: which boxes of a row belong together, and which rows make a table.

Neighbouring rows with boxes side by side are a table where a strip of the page stays empty through them; its cells are
what stands between such strips. In: a layout and its rows. Out: rows of cells of boxes; a row outside a table is one
cell. Pure geometry: knows neither pixels nor text.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pagetext.layout.geometry import Layout

Cells = list[list[int]]
"""One row: the boxes of each cell from left to right; an empty list is an empty cell."""

_Strips = list[tuple[int, int]]
"""Empty from, to; whole pixels."""

# In text heights.
_MIN_STRIP = 0.1
_INSET = 0.2
"""How far the detector's boxes reach beyond their letters."""
_MAX_STEP = 4.0
_MARKER_WIDTH = 1.8
_MARKER_GAP = 1.5

_MIN_STRAY_ROWS = 4


def split_cells(layout: Layout, rows: Sequence[Sequence[int]]) -> list[Cells]:
    """Divide the rows of one block into cells."""
    found: list[Cells] = []
    while len(found) < len(rows):
        table = _Table(layout, rows[len(found)])
        for row in rows[len(found) + 1 :]:
            if not table.take(row):
                break
        found += table.cells()
    return found


class _Table:
    """Rows that stand one below another, and the strips that all of them leave empty."""

    def __init__(self, layout: Layout, row: Sequence[int]) -> None:
        self._layout = layout
        self._rows = [list(row)]
        self._text_px = float(np.median(layout.height))
        self._from_px = int(layout.left.min())
        self._centre: list[float] = ((layout.left + layout.right) / 2).tolist()
        self._taken = self._covers(row).astype(np.int64)

    def take(self, row: Sequence[int]) -> bool:
        """Take one more row if the table goes on with it."""
        middle = self._layout.middle
        step_px = middle[row[0]] - middle[self._rows[-1][0]]
        covers = self._covers(row)
        strips = self._strips(self._rows, self._taken > 0)
        kept = self._strips([*self._rows, list(row)], (self._taken > 0) | covers)
        if step_px > _MAX_STEP * self._text_px or not strips or 2 * len(kept) < len(strips):
            return False
        if len(row) > 1 and not self._strips([list(row)], (self._taken > 0) | covers):
            return False
        if len(row) == 1 and len(kept) < len(strips):
            return False
        self._rows.append(list(row))
        self._taken += covers
        return True

    def cells(self) -> list[Cells]:
        """Divide the rows; one cell each unless two rows at least have boxes on both sides of a strip."""
        # A heading may be longer than its column: in a table of some rows, one may reach into a strip.
        rows = sum(len(row) > 1 for row in self._rows)
        stray = max(int(rows >= _MIN_STRAY_ROWS), rows // 8)
        strips = [strip for strip in self._strips(self._rows, self._taken > stray) if self._is_shared(strip)]
        if len(strips) == 1 and self._is_list(strips[0]):
            strips = []
        cuts = [self._cut(strip, [other for other in strips if other != strip]) for strip in strips]
        # A heading that stands beside its figures makes no column of its own.
        for cut in list(cuts):
            at = cuts.index(cut)
            if not any(row[at] and row[at + 1] for row in self._divide(cuts)):
                cuts.remove(cut)
        return self._divide(cuts)

    def _divide(self, cuts: list[float]) -> list[Cells]:
        divided: list[Cells] = [[[] for _ in range(len(cuts) + 1)] for _ in self._rows]
        for row, parts in zip(self._rows, divided, strict=True):
            for index in row:
                parts[bisect_left(cuts, self._centre[index])].append(index)
        return divided

    def _cut(self, strip: tuple[int, int], others: _Strips) -> float:
        """Find where in a strip a cut parts most neighbours that no other strip parts, and there where fewest reach."""
        at = np.arange(*strip) + self._from_px
        parted = np.zeros(len(at), np.int64)
        for row in self._rows:
            for one, next_one in pairwise([self._centre[index] for index in row]):
                if not any(one < (start + end) / 2 + self._from_px < next_one for start, end in others):
                    parted += (one < at) & (at < next_one)
        best = np.flatnonzero(parted == parted.max())
        taken = self._taken[strip[0] : strip[1]][best]
        best = best[taken == taken.min()]
        return float(at[best[len(best) // 2]])

    def _is_shared(self, strip: tuple[int, int]) -> bool:
        cut = self._cut(strip, [])
        centres = [[self._centre[index] for index in row] for row in self._rows]
        return sum(min(row) < cut < max(row) for row in centres) >= 2

    def _is_list(self, strip: tuple[int, int]) -> bool:
        """Whether what stands left of the strip is no more than numbers or bullets."""
        layout = self._layout
        cut = self._cut(strip, [])
        markers = [row[0] for row in self._rows if len(row) > 1 and self._centre[row[0]] < cut]
        narrow = all(layout.width[index] < _MARKER_WIDTH * self._text_px for index in markers)
        return narrow and strip[1] - strip[0] < _MARKER_GAP * self._text_px

    def _strips(self, rows: Sequence[Sequence[int]], taken: npt.NDArray[np.bool_]) -> _Strips:
        """Find the empty strips that have boxes of one row at least on both sides."""
        edges = np.flatnonzero(np.diff(np.concatenate([[True], taken, [True]]).astype(np.int8)))
        empty = [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]
        return [
            (start, end)
            for start, end in empty
            if end - start >= _MIN_STRIP * self._text_px
            and any(
                self._centre[row[0]] < start + self._from_px and self._centre[row[-1]] > end + self._from_px
                for row in rows
            )
        ]

    def _covers(self, row: Sequence[int]) -> npt.NDArray[np.bool_]:
        layout = self._layout
        covers = np.zeros(int(layout.right.max()) - self._from_px + 1, bool)
        for index in row:
            # A label that stands on its side is higher than wide.
            inset_px = _INSET * min(layout.height[index], layout.width[index])
            start, end = layout.left[index] + inset_px, layout.right[index] - inset_px
            covers[int(start) - self._from_px : int(end) - self._from_px + 1] = True
        return covers
