"""From a picture to lines of text, in two steps that a caller may run on different threads.

`find_rows` looks at the whole picture: turns it upright, finds text, check boxes and switches, puts them in reading
order. `read_row` reads one row. Both are plain functions of pixels; scheduling, streaming and cancelling are the
engine's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from sightline.core import Pixels
from sightline.engines.transcribe.controls import Control, Found, Page, find_controls, page_of
from sightline.engines.transcribe.layout import TALL, Floats, tilt_of
from sightline.engines.transcribe.measure import measured
from sightline.engines.transcribe.networks import LINE_HEIGHT_PX, Boxes, Networks, Read
from sightline.engines.transcribe.reading import Line, Plot, plot_text, reading_order, text_of

_DETECT_MIN_PX = 640
_DETECT_MAX_PX = 1600
_STRIP_RATIO = 8
_MIN_CONFIDENCE = 0.5
_MAX_LINE_PX = 3200
"""Of one look at a line: beyond it, it is cut."""
_MAX_CROP_PX = 4 * _MAX_LINE_PX
_NEAR_END = 0.2
_BLANK_CONTRAST = 48
_BETWEEN_WORDS = 1.8
_MAX_SQUEEZE = 0.85
"""Down to 0.9 no page was read worse, at 0.8 small text was, by 5 characters in 10,000."""
_VOTERS = 5
_DOUBT = 0.35
_READS_BETTER = 0.5
"""Characters. Of 80 displays and sheets of handwritten digits, all upright, 1 is turned then, 20 by the orienter; of 78
words and signs on their heads 2 are not turned, of longer texts all are."""
_LIKE_BOXES = frozenset("0OoQDBR8")
_IDEOGRAPHS = "\u2e80"
"""Where they begin; an empty box is read as one with a confidence of 0.2."""
_SURE = {"7": 0.9} | dict.fromkeys("VvXx", 1.1)
_SURE_OF_OTHERS = 0.8
"""Confidence of a letter in a frame. Ticks are read as V and 7, crosses as X."""
_MAX_TILT = math.radians(1.5)
"""Less is levelled a line at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One line of text: what stands in each cell, left to right, on the upright picture it was found in.

    Or a chart: its first `values` cells are its values, the others their labels.
    """

    pixels: Pixels
    cells: tuple[Found, ...]
    values: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """A chart without printed values: all that stands on the upright picture, and what of it is the chart's."""

    pixels: Pixels
    page: Page
    plot: Plot


def find_rows(networks: Networks, pixels: Pixels) -> list[Row | Chart]:
    """Find the lines of a picture in reading order, turning it by any multiple of 90 degrees and levelling it."""
    pixels = _pad_strip(pixels)
    boxes = _detect(networks, pixels)
    if not len(boxes):
        return []
    pixels, boxes = _upright(networks, pixels, boxes)
    page = _page(networks, pixels, boxes)
    return [_row(pixels, page, line) for line in reading_order(page.boxes)]


def _row(pixels: Pixels, page: Page, line: Line | Plot) -> Row | Chart:
    if isinstance(line, Plot):
        return Chart(pixels, page, line)
    return Row(pixels, tuple(page.of(cell) for cell in line.cells), line.values)


def _page(networks: Networks, pixels: Pixels, boxes: Boxes) -> Page:
    """Find the check boxes and switches beside the texts, but for those that are letters."""
    texts = np.asarray(boxes, np.float64)
    controls = [one for one in find_controls(pixels, texts) if not _is_letter(networks, pixels, one)]
    return page_of(texts, controls)


def _is_letter(networks: Networks, pixels: Pixels, control: Control) -> bool:
    """Whether what looks like a check box is read as a letter: some have straight sides, and so have frames of one."""
    if not control.is_near:
        return False
    read = _read_line(networks, crop_line(pixels, np.asarray(control.corners, np.float32)))
    if read.text in _LIKE_BOXES or read.text >= _IDEOGRAPHS:
        return read.confidence >= _MIN_CONFIDENCE
    return read.text.isalnum() and read.confidence >= _SURE.get(read.text, _SURE_OF_OTHERS)


def read_row(networks: Networks, row: Row | Chart) -> str:
    """Read one row: its cells joined by tabs, a cell's boxes by one blank, those that cannot be read left out.

    A chart has a line for each of its values: the label, a tab, the value; a tilde stands before one that is measured.
    """
    if isinstance(row, Chart):
        return _read_chart(networks, row)
    return text_of([_read_cell(networks, row.pixels, cell) for cell in row.cells], row.values)


def transcribe(networks: Networks, pixels: Pixels) -> str:
    """Read a whole picture: the rows that hold text, in reading order, one a line."""
    return "\n".join(text for row in find_rows(networks, pixels) if (text := read_row(networks, row)))


def _read_chart(networks: Networks, chart: Chart) -> str:
    plot = chart.plot
    boxes = [box for row in plot.rows for cell in row for box in cell]
    texts = {box: _read_cell(networks, chart.pixels, chart.page.of([box])) for box in boxes}
    lines = [text_of([" ".join(texts[box] for box in cell if texts[box]) for cell in row], 0) for row in plot.rows]
    corner = texts[plot.axes.row[0]] if plot.axes.corner else ""
    return plot_text(lines, corner, measured(chart.pixels, chart.page.boxes, texts, plot.axes))


def _read_cell(networks: Networks, pixels: Pixels, cell: Found) -> str:
    texts = [sign or _read_text(networks, pixels, box) for box, sign in zip(*cell, strict=True)]
    return " ".join(text for text in texts if text)


def _read_text(networks: Networks, pixels: Pixels, box: Floats) -> str:
    corners = np.asarray(box, np.float32)
    crop = crop_line(pixels, corners, _MAX_CROP_PX)
    read = _read_line(networks, crop)
    if _stands(*_sides(corners)):  # beside level text: which way it runs, only reading tells
        read = max(read, _read_line(networks, np.ascontiguousarray(crop[::-1, ::-1])), key=lambda one: one.confidence)
    return read.text if read.confidence >= _MIN_CONFIDENCE else ""


def _read_line(networks: Networks, crop: Pixels) -> Read:
    """Read a line; one that is too long for one look in pieces: squeezed into it, equal letters become one."""
    cuts = _cuts(crop)
    edges = [0, *(column for column, _ in cuts), crop.shape[1]]
    reads = [networks.recognise(_fit_width(crop[:, start:end])) for start, end in pairwise(edges)]
    text = reads[0].text.strip()
    for (_, gap), read in zip(cuts, reads[1:], strict=True):
        text = f"{text}{gap}{read.text.strip()}".strip()
    return Read(text, float(np.mean([read.confidence for read in reads])))


def _cuts(crop: Pixels) -> list[tuple[int, str]]:
    """Where to cut a long line, in the widest gap near the end of each part, and the blank that stands there, if any.

    Gaps between words are some times as wide as those between letters, by how much depends on the typeface.
    """
    parts = math.ceil(crop.shape[1] / _MAX_LINE_PX)
    if parts == 1:
        return []
    is_blank = np.ptp(crop.max(axis=2), axis=0) < _BLANK_CONTRAST
    step_px = crop.shape[1] / parts
    found = []
    for number in range(1, parts):
        from_px, to_px = round((number - _NEAR_END) * step_px), round((number + _NEAR_END) * step_px)
        edges = np.flatnonzero(np.diff(is_blank[from_px:to_px].astype(np.int8), prepend=0, append=0))
        gaps = edges[1::2] - edges[::2]
        if not len(gaps):
            found.append((round(number * step_px), ""))
            continue
        widest = int(gaps.argmax())
        is_between_words = gaps[widest] >= _BETWEEN_WORDS * np.median(gaps)
        found.append((from_px + int(edges[2 * widest] + gaps[widest] // 2), " " if is_between_words else ""))
    return found


def detection_size(width_px: int, height_px: int) -> tuple[int, int]:
    """Choose the (width, height) the detector looks at: small pictures enlarged, large ones reduced."""
    longer_px = max(width_px, height_px)
    scale = min(max(longer_px, _DETECT_MIN_PX), _DETECT_MAX_PX) / longer_px
    return max(32, round(width_px * scale / 32) * 32), max(32, round(height_px * scale / 32) * 32)


def crop_line(pixels: Pixels, box: Boxes, most_px: int = _MAX_LINE_PX) -> Pixels:
    """Cut one quadrilateral out, level, `LINE_HEIGHT_PX` high; a box far taller than wide is laid on its side."""
    width_px, height_px = _sides(box)
    if _stands(width_px, height_px):
        box, width_px, height_px = np.roll(box, -1, axis=0), height_px, width_px
    # Reduce in two steps when the text is much larger than the line: one cubic step would alias.
    shrink = max(1.0, height_px / LINE_HEIGHT_PX)
    size_px = (min(most_px, max(8, round(width_px))), max(8, round(height_px)))
    corners = np.array([(0, 0), (size_px[0], 0), size_px, (0, size_px[1])], np.float32)
    turn = cv2.getPerspectiveTransform(np.ascontiguousarray(box, np.float32), corners)
    line = cv2.warpPerspective(pixels, turn, size_px, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    target_px = (min(most_px, max(8, round(size_px[0] * LINE_HEIGHT_PX / size_px[1]))), LINE_HEIGHT_PX)
    filter_ = cv2.INTER_AREA if shrink > 1.0 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(line, target_px, interpolation=filter_), np.uint8)


def _stands(width_px: float, height_px: float) -> bool:
    return height_px >= TALL * width_px


def _fit_width(crop: Pixels) -> Pixels:
    """Squeeze a line a little or pad it with grey, to one of a few widths.

    OpenVINO prepares itself anew for each width it has not seen, and keeps about 10 MB. A line is squeezed rather than
    padded, for time goes with width.
    """
    width_px = crop.shape[1]
    step_px = 32 if width_px <= 512 else 64 if width_px <= 1024 else 128
    fitted_px = max(64, math.ceil(width_px * _MAX_SQUEEZE / step_px) * step_px)
    if fitted_px < width_px:
        return np.asarray(cv2.resize(crop, (fitted_px, crop.shape[0]), interpolation=cv2.INTER_AREA), np.uint8)
    return np.pad(crop, ((0, 0), (0, fitted_px - width_px), (0, 0)), constant_values=127)


def _pad_strip(pixels: Pixels) -> Pixels:
    """Give a very long or tiny picture a border of its own edge colour: the detector needs room around text."""
    height_px, width_px = pixels.shape[:2]
    above = max(0, max(32, width_px // _STRIP_RATIO) - height_px + 1) // 2
    beside = max(0, max(32, height_px // _STRIP_RATIO) - width_px + 1) // 2
    if not above and not beside:
        return pixels
    padded = cv2.copyMakeBorder(pixels, above, above, beside, beside, cv2.BORDER_CONSTANT, value=_edge_colour(pixels))
    return np.asarray(padded, np.uint8)


def _edge_colour(pixels: Pixels) -> list[int]:
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return [int(value) for value in np.median(edge, axis=0)]


def _detect(networks: Networks, pixels: Pixels) -> Boxes:
    return networks.detect(pixels, detection_size(pixels.shape[1], pixels.shape[0]))


def _upright(networks: Networks, pixels: Pixels, boxes: Boxes) -> tuple[Pixels, Boxes]:
    """Turn the picture until its text is level and not on its head; its boxes with it."""
    sides = np.array([_sides(box) for box in boxes])
    area = sides.prod(axis=1)
    lying = sides[:, 1] >= TALL * sides[:, 0]
    is_lying = bool(area[lying].sum() > area.sum() / 2) and _are_text(
        networks, _longest(pixels, boxes[lying], sides[lying, 1])
    )
    if is_lying:
        pixels, boxes = _turn_quarter(pixels, boxes)
    tilt = tilt_of(np.asarray(boxes, np.float64))
    if is_lying or abs(tilt) > _MAX_TILT:
        boxes = _detect_level(networks, pixels, tilt)
    if not len(boxes):
        return pixels, boxes
    lines = _longest(pixels, boxes, np.array([_sides(box)[0] for box in boxes]))
    if _upside_down(networks, lines, by=0.0 if is_lying else _READS_BETTER):
        pixels, boxes = _turn_quarter(*_turn_quarter(pixels, boxes))
    return pixels, boxes


def _longest(pixels: Pixels, boxes: Boxes, lengths: npt.NDArray[np.float64]) -> list[Pixels]:
    """Cut out the longest lines, which vote for all."""
    return [crop_line(pixels, boxes[voter]) for voter in np.argsort(-lengths)[:_VOTERS]]


def _are_text(networks: Networks, lines: list[Pixels]) -> bool:
    """Whether most of these can be read one way or the other: the bars of a chart, taken for lying text, cannot."""
    best = [max(_recognise(networks, way).confidence for way in (line, line[::-1, ::-1])) for line in lines]
    return float(np.median(best)) >= _MIN_CONFIDENCE


def _recognise(networks: Networks, line: Pixels) -> Read:
    return networks.recognise(_fit_width(np.ascontiguousarray(line)))


def _upside_down(networks: Networks, lines: list[Pixels], *, by: float) -> bool:
    """Whether the lines stand on their heads: the orienter suspects it, and they read better turned, `by` characters.

    Alone it is mistaken in one of five displays or handwritten numbers: their digits are digits on their heads, too.
    """
    if float(np.mean(networks.upside_down(lines))) < 0.5 - _DOUBT:
        return False
    better = 0.0
    for line in lines:
        turned = _recognise(networks, line[::-1, ::-1])
        better += (turned.confidence - _recognise(networks, line).confidence) * len(turned.text)
    return better > by


def _detect_level(networks: Networks, pixels: Pixels, tilt: float) -> Boxes:
    """Find boxes on a copy that is turned back by `tilt` radians, in coordinates of `pixels`.

    The detector was trained on level text; of other text it cuts letters off, of short words most. Lines are read
    from the picture itself: turned twice, small text blurs.
    """
    height_px, width_px = pixels.shape[:2]
    cos, sin = float(np.cos(tilt)), float(np.sin(tilt))
    size_px = (round(width_px * cos + height_px * abs(sin)), round(width_px * abs(sin) + height_px * cos))
    turn = np.array([[cos, sin], [-sin, cos]])
    shift = np.array(size_px) / 2 - turn @ (width_px / 2, height_px / 2)
    level = cv2.warpAffine(pixels, np.column_stack([turn, shift]), size_px, borderValue=_edge_colour(pixels))
    return np.asarray((_detect(networks, np.asarray(level, np.uint8)) - shift) @ turn, np.float32)


def _turn_quarter(pixels: Pixels, boxes: Boxes) -> tuple[Pixels, Boxes]:
    """Turn a picture and its boxes by 90 degrees against the clock; each box's top right becomes its top left."""
    turned = np.stack([boxes[:, :, 1], pixels.shape[1] - 1 - boxes[:, :, 0]], axis=-1)
    return np.ascontiguousarray(np.rot90(pixels)), np.roll(turned, -1, axis=1)


def _sides(box: Boxes) -> tuple[float, float]:
    """Measure the longer of each pair of opposite sides: (width, height), at least one pixel."""
    edges = np.linalg.norm(box - np.roll(box, -1, axis=0), axis=1)
    return float(max(edges[0], edges[2], 1.0)), float(max(edges[1], edges[3], 1.0))
