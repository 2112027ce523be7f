"""What stands beside, above and at the head of a line of a page: what may say what the line is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pagetext import Line

_LINES_ABOVE = 2
"""So many lines above a value may be its label."""
_ABOVE, _HEADER = 0.9, 0.85
"""How much a label above a value, or at the head of its column, counts beside one in front of it."""


class Neighbours:
    """Of the lines of one page."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        boxes = np.array([line.box for line in lines], np.float64).reshape(-1, 4)
        self._left, self._top, self._right, self._bottom = boxes.T
        self._labels: dict[int, list[tuple[float, str]]] = {}

    def labels(self, number: int) -> list[tuple[float, str]]:
        """Return the texts that may be the label of a line, but for its own beginning, and how much each counts."""
        if number not in self._labels:
            self._labels[number] = list(self._find_labels(number))
        return self._labels[number]

    def control_label(self, number: int) -> str:
        """Return the text to the right of a check box or switch, or where nothing is, to its left."""
        beside = self._beside(number)
        right = beside & (self._left >= self._middle(number))
        if right.any():
            return self._lines[int(np.where(right, self._left, np.inf).argmin())].text
        left = self._left_of(number)
        return "" if left is None else self._lines[left].text

    def _find_labels(self, number: int) -> Iterator[tuple[float, str]]:
        line = self._lines[number]
        if (left := self._left_of(number)) is not None:
            yield 1.0, self._lines[left].text
        for above in self._above(number):
            yield _ABOVE, self._lines[above].text
        if line.row is not None:
            if line.column and (first := self._cells.get((line.row, 0))):
                yield _ABOVE, first
            if header := self._cells.get((self._first_rows[line.row], line.column)):
                yield _HEADER, header

    def _beside(self, number: int) -> npt.NDArray[np.bool_]:
        """Which other lines overlap a line in height, by half of the lower one."""
        overlap = np.minimum(self._bottom, self._bottom[number]) - np.maximum(self._top, self._top[number])
        height = np.minimum(self._bottom - self._top, self._bottom[number] - self._top[number])
        beside: npt.NDArray[np.bool_] = overlap >= height / 2
        beside[number] = False
        return beside

    def _left_of(self, number: int) -> int | None:
        left = self._beside(number) & (self._right <= self._middle(number))
        return int(np.where(left, self._right, -np.inf).argmax()) if left.any() else None

    def _above(self, number: int) -> list[int]:
        """The nearest lines above a line."""
        over = self._bottom <= (self._top[number] + self._bottom[number]) / 2
        over &= (self._left < self._right[number]) & (self._left[number] < self._right)
        found = np.flatnonzero(over)
        return [int(at) for at in found[np.argsort(-self._bottom[found], kind="stable")][:_LINES_ABOVE]]

    def _middle(self, number: int) -> float:
        return float(self._left[number] + self._right[number]) / 2

    @cached_property
    def _cells(self) -> dict[tuple[int, int | None], str]:
        """The first text of each cell of a table, by row and column."""
        cells: dict[tuple[int, int | None], str] = {}
        for line in self._lines:
            if line.row is not None:
                cells.setdefault((line.row, line.column), line.text)
        return cells

    @cached_property
    def _first_rows(self) -> dict[int, int]:
        """Of each row of a table, the first row of that table."""
        first: dict[int, int] = {}
        for row in sorted({line.row for line in self._lines if line.row is not None}):
            first[row] = first.get(row - 1, row)
        return first
