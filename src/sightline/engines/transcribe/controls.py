"""Check boxes and switches: where they stand on a page with text, and which of them are ticked or on.

In: the pixels of an upright picture, the quadrilaterals of its texts. Out: `Control`s. A check box is four straight
sides about as long as letters are high, beside a text or parted from its letters by blanks; a switch is a bar with
round ends and a knob in one of them. A box is ticked if anything in it is not of its colour. Radio buttons are not
found, nor boxes with round corners or larger than their text. Knows no text: what may be a letter the reader judges.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from sightline.core import Pixels
from sightline.engines.transcribe.layout import Floats

SIGNS = {True: "☑", False: "□"}
"""What a control is written as: ticked or on, open or off."""

_BOX_TEXT_PX, _SWITCH_TEXT_PX = 44.0, 24.0
"""How high text is, as the detector's boxes have it, on the copies that are looked at."""
_MOST_ENLARGED = 3.0
_MOST_PIXELS = 8e6
"""Of these copies."""
_MOST_LIKE = 1000
"""Where more looks like a box or a switch, the page is a pattern: nothing is found."""
# Shares of the height of text.
_SIDE = (0.36, 1.25)
_SWITCH_HEIGHT = (0.4, 1.3)
_SIDE_TO_TEXT = (0.25, 1.2)
_OFF_LINE = 0.5
_ASIDE = 1.6
"""How far a box stands from its text."""
_APART = 0.4
"""Of two findings that are one."""
_BLOCK = (1.02, 4.2)
"""What is ink is told by its surroundings: so much of them, for boxes and for switches."""
_DARKER = (8, 6)
# Shares of a box's side.
_STRAIGHT = 0.85
_CORNER = 0.1
_BORDER = 0.28
_BLANK, _BLANK_IN_TEXT = 0.25, 0.4
"""What is empty to the left and right of a box, and of one among letters."""
_LONE = 2.2
"""A text that is no longer is the box alone."""
_MOST_TURN = 15.0
_LEAST_TURN = 1.0
_LEAST_EDGE, _LEAST_TICK = 25.0, 18.0
_TICK = (0.2, 2.0)
"""By how much of the border's contrast a tick differs, and how many times as much as the paper from itself."""
_TICKED, _SPECKED = 0.05, 0.04
_SOLID = 0.7
# Shares of a switch: its width of its height, its knob of its area, where the knob's middle is along it.
_SWITCH_WIDTH = (1.5, 2.5)
_KNOB = (0.12, 0.5)
_KNOB_AT = (0.42, 0.58)
_LEAST_BODY, _LEAST_KNOB = 14.0, 40.0
_CHANNELS = 3


class Control(NamedTuple):
    """A check box or a switch: its corners, (4, 2) pixels clockwise from the upper left; whether it is ticked or on.

    `text` is the number of the text that it stands in, -1 if in none; `is_whole`, that this text is nothing else.
    `label` is the number of the text beside it.
    """

    corners: Floats
    is_on: bool
    text: int
    is_whole: bool
    label: int


class _Place(NamedTuple):
    text: int
    is_whole: bool
    label: int


class _Frame(NamedTuple):
    """Edges in pixels, each a part of what they frame."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def corners(self) -> Floats:
        return np.array([self[:2], (self.right, self.top), self[2:], (self.left, self.bottom)], np.float64)


def find_controls(pixels: Pixels, boxes: Floats) -> list[Control]:
    """Find the check boxes and switches of a page; `boxes` are its texts, (count, 4, 2)."""
    down = (boxes[:, 3] + boxes[:, 2] - boxes[:, 0] - boxes[:, 1]) / 2
    height_px = float(np.median(np.hypot(down[:, 0], down[:, 1])))
    found: list[Control] = []
    for control in (*_check_boxes(pixels, boxes, height_px), *_switches(pixels, boxes, height_px)):
        middle = control.corners.mean(axis=0)
        if all(np.abs(middle - other.corners.mean(axis=0)).max() > _APART * height_px for other in found):
            found.append(control)
    return found


def _scale(pixels: Pixels, height_px: float, wanted_px: float) -> float:
    most = math.sqrt(_MOST_PIXELS / (pixels.shape[0] * pixels.shape[1]))
    return min(wanted_px / height_px, _MOST_ENLARGED, most)


def _scaled(pixels: Pixels, scale: float) -> Pixels:
    way = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_CUBIC
    size_px = (max(1, round(scale * pixels.shape[1])), max(1, round(scale * pixels.shape[0])))
    return np.asarray(cv2.resize(np.ascontiguousarray(pixels), size_px, interpolation=way), np.uint8)


def _parts(
    channel: npt.NDArray[np.uint8], text_px: float, block: float, darker: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return what is darker than its surroundings, the number of the part each pixel belongs to, and the parts."""
    size_px = 2 * round(block * text_px / 2) + 1
    ink = cv2.adaptiveThreshold(
        np.ascontiguousarray(channel), 1, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, size_px, darker
    )
    _, numbers, parts, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    return np.asarray(ink, np.uint8), np.asarray(numbers, np.int32), np.asarray(parts, np.int32)


def _check_boxes(pixels: Pixels, boxes: Floats, height_px: float) -> Iterator[Control]:
    scale = _scale(pixels, height_px, _BOX_TEXT_PX)
    colours = _scaled(pixels, scale)
    gray = np.asarray(cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY), np.uint8)
    for channel in (gray, 255 - gray):
        ink, numbers, parts = _parts(channel, scale * height_px, _BLOCK[0], _DARKER[0])
        for number in _box_like(ink, parts, scale * height_px):
            x, y, width, height, _ = (int(value) for value in parts[number])
            sides = _sides(numbers[y : y + height, x : x + width] == number, scale * height_px)
            if sides is None:
                continue
            frame = _Frame(x + sides.left, y + sides.top, x + sides.right, y + sides.bottom)
            is_on = _is_ticked(colours, frame)
            place = _place(frame, boxes * scale, ink) if is_on is not None else None
            if is_on is not None and place is not None:
                yield Control(frame.corners / scale, is_on, *place)


def _box_like(ink: npt.NDArray[np.uint8], parts: npt.NDArray[np.int32], text_px: float) -> Sequence[int]:
    """Return the parts that are about square, of a fitting size, and have blanks to their left and right."""
    width, height = parts[:, 2], parts[:, 3]
    fitting = (height >= _SIDE[0] * text_px) & (height <= 1.3 * _SIDE[1] * text_px)
    fitting &= (width >= 0.75 * height) & (width <= 1.35 * height)
    fitting[0] = False  # the paper
    chosen = np.flatnonzero(fitting)
    left, top, width, height, _ = parts[chosen].T
    sums = cv2.integral(ink)
    gap = np.maximum(2, np.round(_BLANK * height)).astype(np.intp)

    def held(start: npt.NDArray[np.intp], end: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        start, end = np.clip(start, 0, ink.shape[1]), np.clip(end, 0, ink.shape[1])
        upper, lower = sums[top], sums[top + height]
        rows = np.arange(len(top))
        return np.asarray(lower[rows, end] - lower[rows, start] - upper[rows, end] + upper[rows, start], np.intp)

    beside = np.maximum(held(left - gap - 1, left - 1), held(left + width + 1, left + width + 1 + gap))
    found = chosen[beside <= 0.05 * gap * height]
    return [int(number) for number in found] if len(found) <= _MOST_LIKE else []


def _sides(part: npt.NDArray[np.bool_], text_px: float) -> _Frame | None:
    """Return where the four straight sides of a part are, once it is level; None if it has none."""
    margin = 2
    drawn = np.pad(part, margin)
    turn = cv2.minAreaRect(np.argwhere(drawn)[:, ::-1].astype(np.float32))[2]
    turn -= 90.0 if turn > 45.0 else 0.0
    if _LEAST_TURN < abs(turn) < _MOST_TURN:
        matrix = cv2.getRotationMatrix2D((drawn.shape[1] / 2, drawn.shape[0] / 2), turn, 1.0)
        drawn = np.asarray(cv2.warpAffine(drawn.astype(np.uint8) * 255, matrix, drawn.shape[::-1])) > 127
    down, across = _longest_runs(drawn), _longest_runs(drawn.T)
    xs, ys = (np.flatnonzero(runs >= _STRAIGHT * runs.max()) for runs in (down, across))
    left, right, top, bottom = int(xs[0]), int(xs[-1]), int(ys[0]), int(ys[-1])
    wide, high = right - left, bottom - top
    if not 0.8 * high < wide < 1.25 * high or not _SIDE[0] * text_px <= wide <= _SIDE[1] * text_px:
        return None
    if min(down[left], down[right]) < _STRAIGHT * high or min(across[top], across[bottom]) < _STRAIGHT * wide:
        return None
    inked = np.argwhere(drawn)
    for corner in ((top, left), (top, right), (bottom, left), (bottom, right)):  # letters have round ones
        if np.hypot(*(inked - corner).T).min() > max(2.0, _CORNER * wide):
            return None
    return _Frame(left - margin, top - margin, right - margin, bottom - margin)


def _longest_runs(drawn: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Return the longest run of ink down each column; one that passes to the next column goes on."""
    thick = drawn.copy()
    thick[:, 1:] |= drawn[:, :-1]
    run = longest = np.zeros(drawn.shape[1], np.intp)
    for row in thick:
        run = np.where(row, run + 1, 0)
        longest = np.maximum(longest, run)
    return longest


def _is_ticked(colours: Pixels, frame: _Frame) -> bool | None:
    """Say whether there is something in a box; None if it is none: without a border, or filled."""
    side = frame.right - frame.left
    around = 2 * max(2, round(0.1 * side))
    left, top, right, bottom = frame.left - around, frame.top - around, frame.right + around, frame.bottom + around
    if min(left, top) < 0 or right >= colours.shape[1] or bottom >= colours.shape[0]:
        return None
    part = colours[top : bottom + 1, left : right + 1].astype(np.int16)
    outside = np.ones(part.shape[:2], np.bool_)
    outside[around // 2 : -around // 2, around // 2 : -around // 2] = False
    paper = np.median(part[outside], axis=0)
    apart = np.abs(part - paper).max(axis=2)
    along = slice(around, -around)
    edge = min(
        max(float(np.median(turned[around + line, along])) for line in range(-1, 3))
        for turned in (apart, apart[::-1], apart.T, apart.T[::-1])
    )
    if edge < _LEAST_EDGE:
        return None
    inset = around + max(2, round(_BORDER * side))
    inner = part[inset:-inset, inset:-inset]
    fill = np.median(inner.reshape(-1, _CHANNELS), axis=0)
    noise = float(np.percentile(apart[outside], 90))
    ticks = np.abs(inner - fill).max(axis=2) > max(_LEAST_TICK, _TICK[0] * edge, _TICK[1] * noise)
    share = float(ticks.mean())
    if np.abs(fill - paper).max() > _SOLID * edge and share < _SPECKED:
        return None
    return share > _TICKED


def _place(frame: _Frame, boxes: Floats, ink: npt.NDArray[np.uint8]) -> _Place | None:
    """Say which text a box stands in and which beside; None if by none, or if it is a letter or frames a text."""
    side = frame.right - frame.left
    within, label, nearest = -1, -1, np.inf
    is_whole = False
    along, away, length, height = _from_texts(frame.corners.mean(axis=0), boxes)
    fitting = (side > _SIDE_TO_TEXT[0] * height) & (side < _SIDE_TO_TEXT[1] * height) & (away <= _OFF_LINE * height)
    for number in np.flatnonzero(fitting):
        gap_px = along[number] - length[number] / 2
        if gap_px > 0.1 * height[number]:
            if gap_px < _ASIDE * height[number] + side / 2 and gap_px < nearest:
                label, nearest = int(number), gap_px
        elif length[number] >= _LONE * side:
            return _Place(int(number), False, int(number)) if _is_parted(ink, frame) else None
        elif side > 0.95 * height[number]:
            return None
        else:
            within, is_whole = int(number), True
    return _Place(within, is_whole, label) if label >= 0 else None


def _from_texts(point: Floats, boxes: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return how far a point is from each text's middle, along it and away from its line, its length and height."""
    across = (boxes[:, 1] + boxes[:, 2] - boxes[:, 0] - boxes[:, 3]) / 2
    down = (boxes[:, 3] + boxes[:, 2] - boxes[:, 0] - boxes[:, 1]) / 2
    length, height = (np.maximum(np.hypot(*way.T), 1.0) for way in (across, down))
    off = point - boxes.mean(axis=1)
    along, away = (np.abs((off * way).sum(axis=1)) / size for way, size in ((across, length), (down, height)))
    return along, away, length, height


def _is_parted(ink: npt.NDArray[np.uint8], frame: _Frame) -> bool:
    """Whether there are wide blanks between a box and the letters to its left and right."""
    gap_px = max(3, round(_BLANK_IN_TEXT * (frame.right - frame.left)))
    rows = slice(max(0, frame.top - 1), frame.bottom + 2)
    left = ink[rows, max(0, frame.left - gap_px - 2) : max(0, frame.left - 2)]
    right = ink[rows, frame.right + 3 : frame.right + 3 + gap_px]
    return all(not strip.size or float(strip.mean()) < 0.03 for strip in (left, right))


def _switches(pixels: Pixels, boxes: Floats, height_px: float) -> Iterator[Control]:
    scale = _scale(pixels, height_px, _SWITCH_TEXT_PX)
    colours = _scaled(pixels, scale)
    text_px = scale * height_px
    for channel in range(_CHANNELS):
        for way in (colours[:, :, channel], 255 - colours[:, :, channel]):
            _, _, parts = _parts(way, text_px, _BLOCK[1], _DARKER[1])
            width, height = parts[:, 2], parts[:, 3]
            fitting = (height >= _SWITCH_HEIGHT[0] * text_px) & (height <= _SWITCH_HEIGHT[1] * text_px)
            fitting &= (width >= _SWITCH_WIDTH[0] * height) & (width <= _SWITCH_WIDTH[1] * height)
            fitting[0] = False
            for x, y, wide, high, _ in parts[fitting] if fitting.sum() <= _MOST_LIKE else ():
                frame = _Frame(int(x), int(y), int(x + wide), int(y + high))
                is_on = _is_switched_on(colours, frame)
                place = _row_of(frame, boxes * scale) if is_on is not None else None
                if is_on is not None and place is not None:
                    yield Control(frame.corners / scale, is_on, *place)


def _is_switched_on(colours: Pixels, frame: _Frame) -> bool | None:
    """Say whether the knob of a switch is at its right; None if it is no switch."""
    margin = 3
    left, top, right, bottom = frame
    if min(left, top) < margin or right + margin > colours.shape[1] or bottom + margin > colours.shape[0]:
        return None
    part = colours[top:bottom, left:right].astype(np.int16)
    high, wide = part.shape[:2]
    inside, outside = _round_ended(wide, high)
    body = np.median(part[inside], axis=0)
    around = np.concatenate(
        [colours[[top - margin, bottom + margin - 1], left:right].reshape(-1, _CHANNELS), part[outside]]
    )
    paper = np.median(around, axis=0)
    contrast = float(np.abs(body - paper).max())
    if contrast < _LEAST_BODY or float((np.abs(part[outside] - paper).max(axis=1) > 0.6 * contrast).mean()) > 0.35:
        return None
    apart = np.abs(part - body).max(axis=2)
    most = float(np.percentile(apart[inside], 95))
    knob = (apart > 0.5 * most) & inside
    if most < _LEAST_KNOB or not _KNOB[0] < knob.sum() / inside.sum() < _KNOB[1]:
        return None
    _, _, parts, _ = cv2.connectedComponentsWithStats(knob.astype(np.uint8))
    x, _, width, height, area = parts[1 + int(parts[1:, 4].argmax())]
    is_round = 0.7 < width / height < 1.4 and area >= 0.65 * width * height
    if area < 0.85 * knob.sum() or height < 0.5 * high or not is_round:
        return None
    at = float(x + width / 2) / wide
    return at > _KNOB_AT[1] if not _KNOB_AT[0] <= at <= _KNOB_AT[1] else None


def _round_ended(wide: int, high: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which pixels of (high, wide) lie well inside a bar with round ends, and which outside of it."""
    y, x = np.mgrid[:high, :wide] + 0.5
    radius = high / 2
    reach = np.hypot(np.maximum(np.abs(x - wide / 2) - (wide / 2 - radius), 0.0), y - radius)
    return np.asarray(reach < radius - 1.5), np.asarray(reach > radius + 0.5)


def _row_of(frame: _Frame, boxes: Floats) -> _Place | None:
    """Say which text on its line is nearest to a switch; None if there is none, or it is part of one."""
    along, away, length, height = _from_texts(frame.corners.mean(axis=0), boxes)
    on_line = away <= _OFF_LINE * height
    gap_px = along - length / 2
    around = np.flatnonzero(on_line & (gap_px < 0))
    beside = on_line & (gap_px >= 0)
    wide = frame.right - frame.left
    if not beside.any() or len(around) > 1 or (length[around] > _LONE / 1.5 * wide).any():
        return None
    label = int(np.where(beside, gap_px, np.inf).argmin())
    return _Place(int(around[0]), True, label) if len(around) else _Place(-1, False, label)
