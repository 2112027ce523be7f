"""From an image to its lines and its text, in two steps that a caller may run on different threads.

`find_rows` looks at the whole image: turns it upright, finds text, check boxes and switches, puts them in reading
order. `read_row` reads one row. Scheduling, streaming and cancelling are the caller's.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from pagetext.charts.extraction import extract_data
from pagetext.detect import UprightImage, detect
from pagetext.forms.controls import Control, Group, GroupedPage, find_controls, merge_controls
from pagetext.layout.reading_order import ChartLayout, reading_order
from pagetext.networks import Networks, Recognition, weights_folder
from pagetext.plain_text import chart_text, row_text
from pagetext.recognise import MIN_CONFIDENCE, crop_line, recognise_line, recognise_quad
from pagetext.types import Floats, Line, Pixels

_LIKE_BOXES = frozenset("0OoQDBR8")
_IDEOGRAPHS = "\u2e80"
"""Where they begin; an empty box is read as one with a confidence of 0.2."""
_SURE = {"7": 0.9} | dict.fromkeys("VvXx", 1.1)
_SURE_OF_OTHERS = 0.8
"""Confidence of a letter in a frame. Ticks are read as V and 7, crosses as X."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A row that was found and is not read yet: what stands in each cell, left to right, on the upright image.

    With `data_labels` it is a chart: so many first cells are its printed values, the others their categories.
    """

    image: UprightImage
    source_size: tuple[int, int]
    number: int
    cells: tuple[Group, ...]
    data_labels: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """A chart without printed values that is not read yet: all that stands on the page, and what of it is its own."""

    image: UprightImage
    source_size: tuple[int, int]
    page: GroupedPage
    layout: ChartLayout


class RowText(NamedTuple):
    """A row that was read: its text, "" if nothing of it can be read, and the lines in it."""

    text: str
    lines: tuple[Line, ...]


class Page(NamedTuple):
    """An image that was read: its text, a row a line, and its lines, both in reading order."""

    text: str
    lines: tuple[Line, ...]


class Reader:
    """Reads images with networks that stay loaded. Every method may be called from several threads at once."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks

    @classmethod
    def load(cls, *, threads: int | None = None, precision: str | None = None) -> Reader:
        """Load the networks; `threads` defaults to the cores of this process, `precision` to OpenVINO's choice.

        Raises:
            WeightsError: they are missing or cannot be loaded.
        """
        threads = threads or len(os.sched_getaffinity(0))
        return cls(Networks(weights_folder(), threads=threads, precision=precision))

    def page(self, image: Pixels) -> Page:
        """Read an image, (height, width, 3) uint8 RGB."""
        rows = [self.read_row(row) for row in self.find_rows(image)]
        return Page("\n".join(row.text for row in rows if row.text), tuple(line for row in rows for line in row.lines))

    def find_rows(self, image: Pixels) -> list[Row | Chart]:
        """Find the rows of an image in reading order, turning it by any multiple of 90 degrees and levelling it."""
        upright, quads = detect(self._networks, image)
        if not len(quads):
            return []
        texts = np.asarray(quads, np.float64)
        controls = [one for one in find_controls(upright.pixels, texts) if not self._is_letter(upright.pixels, one)]
        page = merge_controls(texts, controls)
        size = (image.shape[1], image.shape[0])
        return [
            Chart(upright, size, page, layout)
            if isinstance(layout, ChartLayout)
            else Row(upright, size, number, tuple(page.of(cell) for cell in layout.cells), layout.data_labels)
            for number, layout in enumerate(reading_order(page.boxes))
        ]

    def read_row(self, row: Row | Chart) -> RowText:
        """Read one row: its cells joined by tabs, a cell's texts by a blank, those that cannot be read left out.

        A chart has a text line for each of its values: category, tab, value; a tilde stands before one that was read
        off the axis.
        """
        if isinstance(row, Chart):
            return self._read_chart(row)
        cells = [self._read_group(row, cell) for cell in row.cells]
        text = row_text([_joined(cell) for cell in cells], row.data_labels)
        if len(cells) == 1 or row.data_labels:
            return RowText(text, tuple(line for cell in cells for line in cell))
        placed = [replace(line, row=row.number, column=column) for column, cell in enumerate(cells) for line in cell]
        return RowText(text, tuple(placed))

    def _is_letter(self, pixels: Pixels, control: Control) -> bool:
        """Whether what looks like a check box is read as a letter: some have straight sides, as have frames of one."""
        if not control.is_near:
            return False
        read = recognise_line(self._networks, crop_line(pixels, np.asarray(control.corners, np.float32)))
        if read.text in _LIKE_BOXES or read.text >= _IDEOGRAPHS:
            return read.confidence >= MIN_CONFIDENCE
        return read.text.isalnum() and read.confidence >= _SURE.get(read.text, _SURE_OF_OTHERS)

    def _read_chart(self, chart: Chart) -> RowText:
        layout, page = chart.layout, chart.page
        boxes = [box for row in layout.rows for cell in row for box in cell]
        lines = {box: self._read_group(chart, page.of([box])) for box in boxes}
        texts = {box: _joined(read) for box, read in lines.items()}
        rows = [
            row_text([" ".join(texts[box] for box in cell if texts[box]) for cell in row], 0) for row in layout.rows
        ]
        corner = texts[layout.axes.row[0]] if layout.axes.corner else ""
        data = extract_data(chart.image.pixels, page.boxes, texts, layout.axes)
        return RowText(chart_text(rows, corner, data), tuple(line for box in boxes for line in lines[box]))

    def _read_group(self, place: Row | Chart, group: Group) -> list[Line]:
        lines = []
        for quad, symbol in zip(*group, strict=True):
            if symbol:
                lines.append(_line(place, Recognition(symbol, 1.0, (0.5,)), quad))
                continue
            read, around = recognise_quad(self._networks, place.image.pixels, quad)
            if read.text and read.confidence >= MIN_CONFIDENCE:
                lines.append(_line(place, read, around))
        return lines


def _joined(lines: Iterable[Line]) -> str:
    return " ".join(line.text for line in lines)


def _line(place: Row | Chart, read: Recognition, quad: Floats) -> Line:
    """Put a text on the image that was given."""
    corners = place.image.to_source(quad)
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    width, height = place.source_size
    box = (
        max(0, math.floor(left)),
        max(0, math.floor(top)),
        min(width, math.ceil(right)),
        min(height, math.ceil(bottom)),
    )
    upper_left, upper_right, lower_right, lower_left = ((float(x), float(y)) for x, y in corners)
    return Line(read.text, box, (upper_left, upper_right, lower_right, lower_left), read.confidence, read.centres)
