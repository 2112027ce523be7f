"""Values of a chart that are not printed, measured: where its bars and points end beside the numbers of an axis.

In: the pixels of an upright picture, the texts of a chart with their boxes. Out: the labels, each with its value and a
tilde before it, or nothing at all: what is no plain chart of bars or of one line (bars beside one another over a label,
bars in pieces, several lines, something written among them, an axis that is not even) is not measured. Values are to a
tenth of the axis's step, and one that is about a tenth off a number of the axis is taken for that. Of stacked bars it
is the whole. A chart that lies is turned until its axis stands.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pagetext.charts.axes import Axes
from pagetext.charts.scale import MIN_TICKS, Scale, fit_scale, format_value, parse_tick
from pagetext.layout.geometry import tilt_of
from pagetext.plain_text import ChartData
from pagetext.types import Floats, Pixels

_WORD = re.compile(r"\S+")
_LEAST_LABELS = 2
_MOST_TURN = math.radians(3.0)
# In steps of the axis.
_ABOVE = 0.9
"""How far above the last number values reach."""
_AFOOT = 0.3
"""How far the feet of bars are from the nought of the axis, or from its lowest number."""
# In steps from one label to the next.
_UNEVEN = 0.35
"""By how much more labels are apart in one place than in another."""
_BESIDE = 0.42
"""Where only the paper is seen, from the middle of a label; bars are narrower."""
_ACROSS = (0.0, -0.14, -0.07, 0.07, 0.14)
"""Where a bar is looked at, from its middle."""
_AGREEING = 4
"""Of these looks, those that see a bar equally high."""
_LEAST_CONTRAST = 20.0
_CONTRAST = 0.4
"""Of the largest difference from the paper: what is part of a bar or a line."""
_SPECK_PX = 2
_EVEN_PX = 3
_THIN = 0.2
"""How thick a line's points are at most, of the plot's height."""
_LEAST_PX = 8
_TURNS = np.linspace(-_MOST_TURN, _MOST_TURN, 61)
_SMALL_PX = 480
_AROUND = 0.15
"""How much of a chart's width is looked at on both sides of its texts."""


class Mark(NamedTuple):
    """A number of an axis, or a label: its text, the middle of it, its upper edge; pixels."""

    text: str
    x: float
    y: float
    top: float


def extract_data(pixels: Pixels, boxes: Floats, texts: Mapping[int, str], axes: Axes) -> ChartData | None:
    """Measure a chart; None if it is none that can be measured.

    Args:
        pixels: the whole picture, its text upright.
        boxes: (count, 4, 2), all texts of the picture.
        texts: what those of the chart say.
        axes: where these stand.
    """
    chart = [*axes.column, *axes.row]
    if not _may_be_measured(boxes, texts, axes) or abs(tilt_of(boxes[chart])) > _MOST_TURN:
        return None
    pixels, boxes = _level(*_cut_out(pixels, boxes, chart))
    ticks = [_whole(texts[box], boxes[box]) for box in [*axes.column, *axes.row[: axes.corner]]]
    labels = _labels([(texts[box], boxes[box]) for box in axes.row[axes.corner :]])
    if values := _measured(pixels, ticks, labels, _ceiling(boxes, axes)):
        return ChartData([label.text for label in labels], values, is_vertical=True)
    turned = np.stack([boxes[:, :, 1], pixels.shape[1] - 1 - boxes[:, :, 0]], axis=-1)
    ticks = [_turned(mark, pixels.shape[1]) for box in axes.row for mark in _words(texts[box], boxes[box])]
    labels = [_whole(texts[box], turned[box]) for box in axes.column]
    if values := _measured(np.rot90(pixels), ticks, labels, 0.0):
        return ChartData([label.text for label in labels], values, is_vertical=False)
    return None


def _may_be_measured(boxes: Floats, texts: Mapping[int, str], axes: Axes) -> bool:
    """Whether one side has numbers, and nothing is written among the bars: a value, a legend, a note.

    What stands left of the axis is its title.
    """
    column = [texts[box] for box in [*axes.column, *axes.row[: axes.corner]]]
    row = [word for box in axes.row for word in texts[box].split()]
    is_scale = any(sum(map(bool, map(parse_tick, side))) >= MIN_TICKS for side in (column, row))
    left = boxes[axes.column, :, 0].min()
    others = [box for box, text in texts.items() if text and box not in (*axes.column, *axes.row)]
    return is_scale and all(boxes[box, :, 0].max() <= left for box in others)


def _ceiling(boxes: Floats, axes: Axes) -> float:
    """Return the lower edge of what is written above a chart."""
    left, right = boxes[axes.row, :, 0].min(), boxes[axes.row, :, 0].max()
    top = boxes[axes.column[0], :2, 1].mean()
    others = np.delete(boxes, [*axes.column, *axes.row], axis=0)
    middles, ends = others[:, :, 1].mean(axis=1), others[:, 2:, 1].mean(axis=1)
    above = (middles < top) & (others[:, :, 0].min(axis=1) < right) & (others[:, :, 0].max(axis=1) > left)
    return float(ends[above].max(initial=0.0))


def _cut_out(pixels: Pixels, boxes: Floats, chart: Sequence[int]) -> tuple[Pixels, Floats]:
    """Cut a chart out, with what stands above it; its boxes with it."""
    corners = boxes[list(chart)].reshape(-1, 2)
    (left, _), (right, end) = corners.min(axis=0), corners.max(axis=0)
    around = _AROUND * (right - left)
    shift = max(0, math.floor(left - around))
    return pixels[: math.ceil(end) + 1, shift : math.ceil(right + around)], boxes - (shift, 0.0)


def _level(pixels: Pixels, boxes: Floats) -> tuple[Pixels, Floats]:
    """Turn a chart until its lines are level: then its rows of pixels differ most from one another."""
    scale = min(1.0, _SMALL_PX / max(pixels.shape[:2]))
    gray = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    edges = np.abs(np.diff(small.astype(np.float32), axis=0))
    turn = max(_TURNS, key=lambda turn: float(np.square(_turn(edges, _matrix(edges, turn)).sum(axis=1)).sum()))
    matrix = _matrix(pixels, turn)
    return np.asarray(_turn(pixels, matrix), np.uint8), boxes @ matrix[:, :2].T + matrix[:, 2]


def _matrix(pixels: npt.NDArray[np.generic], turn: float) -> Floats:
    """Return the matrix (2, 3) that turns a picture about its middle by so many radians against the clock."""
    middle = pixels.shape[1] / 2, pixels.shape[0] / 2
    return np.asarray(cv2.getRotationMatrix2D(middle, math.degrees(turn), 1.0), np.float64)


def _turn(pixels: npt.NDArray[np.generic], matrix: Floats) -> npt.NDArray[np.generic]:
    size_px = pixels.shape[1], pixels.shape[0]
    return np.asarray(cv2.warpAffine(np.ascontiguousarray(pixels), matrix, size_px, borderMode=cv2.BORDER_REPLICATE))


def _whole(text: str, box: Floats) -> Mark:
    x, y = box.mean(axis=0)
    return Mark(text, float(x), float(y), float(box[:, 1].min()))


def _labels(placed: Sequence[tuple[str, Floats]]) -> list[Mark]:
    """Return the labels in a row of texts: these, or their words where the detector has joined labels."""
    whole = [_whole(text, box) for text, box in placed]
    words = [mark for text, box in placed for mark in _words(text, box)]
    widest = max((float(np.ptp(box[:, 0])) for _, box in placed), default=0.0)
    steps = np.diff([mark.x for mark in whole])
    if len(steps) > 1 and _are_even(whole) and widest < steps.min():
        return whole
    return words if _are_even(words) else whole


def _are_even(marks: Sequence[Mark]) -> bool:
    steps = np.diff([mark.x for mark in marks])
    return bool(len(steps) and np.ptp(steps) < _UNEVEN * steps.mean())


def _words(text: str, box: Floats) -> list[Mark]:
    """Part a text at its blanks."""
    (left, top), (right, end) = box.min(axis=0), box.max(axis=0)
    middles = [(match.group(), (match.start() + match.end()) / 2 / len(text)) for match in _WORD.finditer(text)]
    return [
        Mark(word, float(left + (right - left) * share), float(top + end) / 2, float(top)) for word, share in middles
    ]


def _turned(mark: Mark, width_px: int) -> Mark:
    """Turn a mark with its picture by 90 degrees against the clock."""
    return Mark(mark.text, mark.y, width_px - 1 - mark.x, width_px - 1 - mark.x)


def _measured(pixels: Pixels, ticks: Sequence[Mark], labels: Sequence[Mark], ceiling: float) -> list[str]:
    """Return the value of each label of a chart whose axis stands; nothing is looked at above `ceiling`."""
    numbers = [parse_tick(tick.text) for tick in ticks]
    units = Counter((match[1], match[3]) for match in numbers if match and set(match[2]) - set("0.,-−"))
    if not units or len(labels) < _LEAST_LABELS or len({unit.upper() for _, unit in units} & {"", "K", "M"}) > 1:
        return []  # 800 below 1.2k
    known = [(tick.y, float(match[2].replace(",", ""))) for tick, match in zip(ticks, numbers, strict=True) if match]
    scale = fit_scale(np.array(sorted(known)))
    if scale is None:
        return []
    values = _values(pixels, scale, labels, ceiling)
    ((before, after), _) = units.most_common(1)[0]
    parted = any(match and "," in match[2] for match in numbers)
    return [
        "" if value is None else f"~{before}{format_value(value, scale.step, parted=parted)}{after}" for value in values
    ]


def _values(pixels: Pixels, scale: Scale, labels: Sequence[Mark], ceiling: float) -> Sequence[float | None]:
    middles = [label.x for label in labels]
    slot_px = float(np.diff(middles).mean())
    top = math.ceil(max(0.0, ceiling, scale.place_of(scale.high + _ABOVE * scale.step)))
    end = min(pixels.shape[0], round(min(label.top for label in labels)) - 1)
    if end - top < _LEAST_PX or slot_px < _LEAST_PX:
        return []
    plot = pixels[top:end]
    paper = np.median([_strip(plot, x + side * slot_px) for x in middles for side in (-_BESIDE, _BESIDE)], axis=0)
    apart = [[np.abs(_strip(plot, x + at * slot_px) - paper).max(axis=1) for at in _ACROSS] for x in middles]
    contrast = max(_LEAST_CONTRAST, _CONTRAST * float(np.max(apart)))
    runs = [[_runs(look > contrast) + top for look in looks] for looks in apart]
    if any(len(look) and look[0, 0] == top for looks in runs for look in looks):
        return []  # who knows how far it reaches
    return _bars(runs, scale) or _points([looks[0] for looks in runs], scale, end - top)


def _bars(runs: Sequence[Sequence[npt.NDArray[np.intp]]], scale: Scale) -> Sequence[float | None]:
    """Return the values of bars: single runs that rise from the axis's nought, or else its lowest number."""
    bars = [[look[0] for look in looks if len(look) == 1] for looks in runs]
    feet = [float(np.median([foot for _, foot in looks])) for looks in bars if looks]
    if not feet:
        return []
    foot_px = float(np.median(feet))
    foot, reach = scale.value_at(foot_px), _AFOOT * scale.step
    if abs(foot) > reach and (abs(foot - scale.low) > reach or scale.low <= 0.0 <= scale.high):
        return []
    values = [_bar(looks, foot_px, scale) for looks in bars]
    found = sum(value is not None for value in values)
    return values if found >= max(_LEAST_LABELS, 2 / 3 * len(values)) else []


def _bar(looks: Sequence[npt.NDArray[np.intp]], foot_px: float, scale: Scale) -> float | None:
    """Return the value of a bar whose single runs are these."""
    if len(looks) < _AGREEING:
        return None
    end_px, to_px = (float(edge) for edge in np.median(looks, axis=0))
    even = sum(abs(end - end_px) <= _EVEN_PX for end, _ in looks)
    if even < _AGREEING or abs(to_px - foot_px) > max(_EVEN_PX, _AFOOT * abs(scale.step / scale.rate)):
        return None
    return scale.value_at(end_px - (to_px - foot_px))


def _points(runs: Sequence[npt.NDArray[np.intp]], scale: Scale, height_px: int) -> Sequence[float | None]:
    """Return the values of a line's points; empty if these are no points, or of more than one line."""
    if any(len(one) != 1 or np.ptp(one) > _THIN * height_px for one in runs):
        return []
    return [scale.value_at(float(one.mean()) - 0.5) for one in runs]


def _strip(plot: Pixels, x: float) -> npt.NDArray[np.float32]:
    """Return the colours down a column: (height, 3), the median of three pixels."""
    left = min(max(0, round(x) - 1), plot.shape[1] - 3)
    return np.asarray(np.median(plot[:, left : left + 3], axis=1), np.float32)


def _runs(marked: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Return where marked pixels begin and end: (count, 2); specks and gaps of two pixels are none."""
    edges = np.flatnonzero(np.diff(marked.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    if not len(edges):
        return edges
    parted = np.flatnonzero(edges[1:, 0] - edges[:-1, 1] > _SPECK_PX)
    starts, ends = edges[np.r_[0, parted + 1], 0], edges[np.r_[parted, len(edges) - 1], 1]
    return np.asarray(np.column_stack([starts, ends])[ends - starts > _SPECK_PX], np.intp)
