"""Check boxes of a page, and which of them are ticked.

In: pixels, texts. Out: frames with what they stand in. A check box is four straight sides with square corners, about as
long as letters are high, beside a text or parted from its letters by blanks. It is open if it is of the colour of the
paper or white, and ticked if one thing stands in it that is not. Radio buttons are not found, nor boxes with round
corners, larger than their text or turned by more than 15 degrees. Letters may look like that: they are for the reader.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from pagetext.forms.regions import (
    OFF_LINE,
    Place,
    Rect,
    TextGeometry,
    connected_components,
    filter_by_size,
    largest_component,
    rescale,
    scale_for,
)
from pagetext.types import Floats, Pixels

_TEXT_PX = 44.0
"""How high text is on the copy that is looked at, as the detector's quadrilaterals have it."""
_AROUND, _DARKER = 1.02, 8
"""What is ink is told by a square around it, in text heights; of 255."""
_VOTERS, _FEW = 60, 0.1
"""So many texts tell whether ink is dark or light; a share of them that does not count."""
_MOST_LIKE = 200
"""Where more looks like a box, the page is a pattern and has none."""
# In text heights.
_SIDE = (0.36, 1.25)
_SIDE_TO_TEXT = (0.25, 1.2)
"""Of the text that it stands beside."""
_ASIDE = 1.6
_REACH = 0.1
"""How far the detector's quadrilaterals reach beyond what they hold, at least."""
# Of the box's height or side.
_WIDE = (0.75, 1.35)
_TICK_OVER = 1.3
"""How much higher than itself a box is with a tick that leaves it."""
_SQUARE = (0.8, 1.25)
_STRAIGHT = 0.85
"""How long a run of ink is that is a side."""
_CORNER = 0.1
_RIM = 0.28
"""How much at the edge is not looked into."""
_BLANK, _BLANK_IN_TEXT = 0.25, 0.4
"""What is empty to the left and right, and among the letters of a text."""
_SPECKS, _SPECKS_IN_TEXT = 0.05, 0.03
"""Share of ink in what counts as empty."""
_LONE = 2.2
"""A text that is no longer may be the box alone."""
_WHOLE = 1.15
"""Of a text's height: a larger box frames that text."""
# Degrees.
_LEAST_TURN, _MOST_TURN = 1.0, 15.0
# Contrast, of 255 or of that between border and paper.
_LEAST_EDGE, _LEAST_TICK = 25.0, 18.0
_TICK, _FILLED = 0.2, 0.5
_PAPER = 75
"""Percentile of what is around a box, the rest of which may be letters."""
_NOISE = 3.0
"""How many times as much as the paper differs from itself a tick differs from its box."""
_WHITE = (255, 255, 255)
_TICKED = (0.05, 0.85)
"""Shares of the inside that a tick takes."""
_ONE = 0.8
"""Share of a tick that hangs together."""
_COLOURS = 64
"""Of so many pixels the commonest colour is one."""


def find_check_boxes(pixels: Pixels, boxes: Floats, height_px: float) -> Iterator[tuple[Floats, bool, Place]]:
    """Find corners (4, 2), whether it is ticked and where it stands; `boxes` are texts, `height_px` high mostly."""
    scale = scale_for(pixels, height_px, _TEXT_PX)
    text_px = scale * height_px
    colours, texts = rescale(pixels, scale), TextGeometry(boxes * scale)
    gray = np.asarray(cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY), np.uint8)
    for channel in _as_dark_ink(gray, boxes * scale):
        ink, numbers, parts = connected_components(channel, _AROUND * text_px, _DARKER)
        alike = filter_by_size(parts, (_SIDE[0] * text_px, _TICK_OVER * _SIDE[1] * text_px), _WIDE)
        alike = _standing_apart(ink, parts, alike)
        for number in alike if len(alike) <= _MOST_LIKE else ():
            x, y, width, height, _ = (int(value) for value in parts[number])
            frame = _frame(numbers[y : y + height, x : x + width] == number, text_px, (x, y))
            place = _place(frame, texts, ink) if frame is not None else None
            if frame is None or place is None:
                continue
            is_ticked = _is_ticked(colours, frame)
            if is_ticked is not None:
                yield frame.corners / scale, is_ticked, place


def _as_dark_ink(gray: npt.NDArray[np.uint8], boxes: Floats) -> list[npt.NDArray[np.uint8]]:
    """Return the page so that its ink is dark: as it is, inverted, or both where texts differ."""
    step = max(1, len(boxes) // _VOTERS)
    votes = []
    for box in boxes[::step]:
        (left, top), (right, end) = (
            np.maximum(box.min(axis=0), 0).astype(int),
            np.maximum(box.max(axis=0), 0).astype(int),
        )
        text = gray[top : end + 1, left : right + 1]
        votes.append(text.size == 0 or float(np.median(text)) >= float(text.mean()))  # most of a text is paper
    dark = sum(votes) / len(votes)
    both = [(gray, dark > _FEW), (255 - gray, dark < 1 - _FEW)]
    return [channel for channel, is_wanted in both if is_wanted]


def _standing_apart(ink: npt.NDArray[np.uint8], parts: npt.NDArray[np.int32], chosen: list[int]) -> list[int]:
    """Return those of the chosen parts that have blanks to their left and right."""
    left, top, width, height, _ = parts[chosen].T
    sums = cv2.integral(ink)
    gap = np.maximum(2, np.round(_BLANK * height)).astype(np.intp)

    def held(start: npt.NDArray[np.intp], end: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        start, end = np.clip(start, 0, ink.shape[1]), np.clip(end, 0, ink.shape[1])
        below, above = top + height, top
        return np.asarray(sums[below, end] - sums[below, start] - sums[above, end] + sums[above, start], np.intp)

    beside = np.maximum(held(left - gap - 1, left - 1), held(left + width + 1, left + width + 1 + gap))
    return [chosen[number] for number in np.flatnonzero(beside <= _SPECKS * gap * height)]


def _frame(part: npt.NDArray[np.bool_], text_px: float, at: tuple[int, int]) -> Rect | None:
    """Return where the four straight sides of a part are, once it is level; None if it has none. It begins `at`."""
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
    if not _SQUARE[0] * high < wide < _SQUARE[1] * high or not _SIDE[0] * text_px <= wide <= _SIDE[1] * text_px:
        return None
    if min(down[left], down[right]) < _STRAIGHT * high or min(across[top], across[bottom]) < _STRAIGHT * wide:
        return None
    inked = np.argwhere(drawn)
    for corner in ((top, left), (top, right), (bottom, left), (bottom, right)):  # letters have round ones
        if np.hypot(*(inked - corner).T).min() > max(2.0, _CORNER * wide):
            return None
    x, y = at[0] - margin, at[1] - margin
    return Rect(left + x, top + y, right + x, bottom + y)


def _longest_runs(drawn: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Return the longest run of ink down each column; one that passes to the next column goes on."""
    thick = drawn.copy()
    thick[:, 1:] |= drawn[:, :-1]
    run = longest = np.zeros(drawn.shape[1], np.intp)
    for row in thick:
        run = np.where(row, run + 1, 0)
        longest = np.maximum(longest, run)
    return longest


def _place(frame: Rect, texts: TextGeometry, ink: npt.NDArray[np.uint8]) -> Place | None:
    """Say which text a box stands in; None if in none and beside none, or if it is a letter or frames a text."""
    side = frame.right - frame.left
    gap, away = texts.off(frame.corners.mean(axis=0))
    fits = (side > _SIDE_TO_TEXT[0] * texts.height) & (side < _SIDE_TO_TEXT[1] * texts.height)
    fits &= (away <= OFF_LINE * texts.height) & (gap < _ASIDE * texts.height + side / 2)
    near = np.flatnonzero(fits)
    around = [int(number) for number in near if gap[number] <= _REACH * texts.height[number]]
    if not around:
        return Place(-1, False) if len(near) else None
    text = min(around, key=lambda number: gap[number])
    if texts.length[text] < _LONE * side and not _has_more(frame, texts, text, ink):
        is_label_beside = len(near) > len(around)
        return Place(text, True) if is_label_beside and side <= _WHOLE * texts.height[text] else None
    return Place(text, False) if _is_parted(ink, frame) else None


def _has_more(frame: Rect, texts: TextGeometry, text: int, ink: npt.NDArray[np.uint8]) -> bool:
    """Whether there is something in a text beside the box."""
    middle, reach = float(texts.middle[text, 0]), float(texts.length[text]) / 2
    margin = 3
    rows = slice(frame.top, frame.bottom + 1)
    left = ink[rows, max(0, round(middle - reach)) : max(0, frame.left - margin)]
    right = ink[rows, frame.right + margin + 1 : max(0, round(middle + reach))]
    return any(strip.size and float(strip.mean()) > _SPECKS for strip in (left, right))


def _is_parted(ink: npt.NDArray[np.uint8], frame: Rect) -> bool:
    """Whether there are wide blanks between a box and the letters to its left and right."""
    gap_px = max(3, round(_BLANK_IN_TEXT * (frame.right - frame.left)))
    rows = slice(max(0, frame.top - 1), frame.bottom + 2)
    left = ink[rows, max(0, frame.left - gap_px - 2) : max(0, frame.left - 2)]
    right = ink[rows, frame.right + 3 : frame.right + 3 + gap_px]
    return all(not strip.size or float(strip.mean()) < _SPECKS_IN_TEXT for strip in (left, right))


def _is_ticked(colours: Pixels, frame: Rect) -> bool | None:
    """Say whether something stands in a box; None if it is none: without a border, filled, or with a pattern in it."""
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
    edge = _edge(apart, around)
    inset = around + max(2, round(_RIM * side))
    inner = part[inset:-inset, inset:-inset]
    if edge < _LEAST_EDGE or not inner.size:
        return None
    noise = float(np.percentile(apart[outside], _PAPER))
    least = max(_LEAST_TICK, _TICK * edge, _NOISE * noise)
    for fill in (paper, np.array(_WHITE)):
        ticks = np.abs(inner - fill).max(axis=2) > least
        if ticks.mean() <= _TICKED[0]:
            return False
        if _is_one(ticks):
            return True
    fill = _commonest(inner, paper, least)
    ticks = np.abs(inner - fill).max(axis=2) > least
    if ticks.mean() <= _TICKED[0] or not _is_one(ticks):
        return None
    off_paper = float(np.abs(np.median(inner[ticks], axis=0) - paper).max())
    return True if off_paper <= _FILLED * np.abs(fill - paper).max() else None


def _commonest(inner: npt.NDArray[np.int16], paper: Floats, least: float) -> npt.NDArray[np.int16]:
    """Return the colour that most of the inside has, but for that of the paper."""
    pixels = inner.reshape(-1, inner.shape[2])
    pixels = pixels[np.abs(pixels - paper).max(axis=1) > least]
    some = pixels[:: max(1, len(pixels) // _COLOURS)]
    alike = (np.abs(some[:, None] - pixels[None]).max(axis=2) < least).sum(axis=1)
    return np.asarray(some[alike.argmax()], np.int16)


def _is_one(ticks: npt.NDArray[np.bool_]) -> bool:
    """Whether what differs hangs together and leaves something of the box: a bold tick takes most of the middle."""
    return float(ticks.mean()) <= _TICKED[1] and largest_component(ticks)[1] >= _ONE * ticks.sum()


def _edge(apart: npt.NDArray[np.int16], around: int) -> float:
    """Return how much the faintest side of a box differs from the paper; each is looked for within a few lines."""
    along = slice(around, -around)
    sides = (apart, apart[::-1], apart.T, apart.T[::-1])
    return min(max(float(np.median(side[around + line, along])) for line in range(-1, 3)) for side in sides)
