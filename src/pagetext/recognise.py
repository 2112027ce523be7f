"""From a quadrilateral to its text: cut out, levelled, fitted to a width that the recogniser knows, read.

In: pixels of an upright page, one quadrilateral. Out: text with its confidence. Knows neither rows nor tables.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from pagetext.layout.geometry import is_vertical, sides
from pagetext.networks import LINE_HEIGHT_PX, Networks, Recognition
from pagetext.types import Floats, Pixels, Quads

MIN_CONFIDENCE = 0.5
_MAX_LINE_PX = 3200
"""Of one look at a line: beyond it, it is cut."""
_MAX_CROP_PX = 4 * _MAX_LINE_PX
_NEAR_END = 0.2
_BLANK_CONTRAST = 48
_BETWEEN_WORDS = 1.8
_RULE = 0.9
"""Of a row of pixels: one with more ink is a rule."""
_MARGIN = 0.12
"""Of a line's ink above and below it: letters reach further up and down than most figures do."""
_MAX_SQUEEZE = 0.85
"""Down to 0.9 no page was read worse, at 0.8 small text was, by 5 characters in 10,000."""


def recognise_quad(networks: Networks, pixels: Pixels, quad: Floats) -> tuple[Recognition, Floats]:
    """Read one quadrilateral; return its text, and the corners around that, clockwise from where it begins.

    One that stands beside level text is read both ways up, and the better one counts.
    """
    corners = np.asarray(quad, np.float32)
    crop = crop_line(pixels, corners, _MAX_CROP_PX)
    read = recognise_line(networks, crop)
    if is_vertical(*sides(corners)):
        corners = np.roll(corners, -1, axis=0)
        other = recognise_line(networks, crop[::-1, ::-1])
        if other.confidence > read.confidence:
            read, crop, corners = other, crop[::-1, ::-1], np.roll(corners, -2, axis=0)
    left, top, right, bottom = _ink(crop)
    centres = tuple(min(1.0, max(0.0, (centre - left) / (right - left))) for centre in read.centres)
    return replace(read, centres=centres), _part(corners, left, top, right, bottom)


def _part(quad: Quads, left: float, top: float, right: float, bottom: float) -> Floats:
    """The corners of a part of a quadrilateral, which is given in shares of its sides."""
    upper_left, upper_right, lower_right, lower_left = np.asarray(quad, np.float64)
    upper, lower = upper_right - upper_left, lower_right - lower_left
    begins, ends = (
        (upper_left + left * upper, lower_left + left * lower),
        (upper_left + right * upper, lower_left + right * lower),
    )
    down, further = begins[1] - begins[0], ends[1] - ends[0]
    return np.array(
        [begins[0] + top * down, ends[0] + top * further, ends[0] + bottom * further, begins[0] + bottom * down]
    )


def recognise_line(networks: Networks, crop: Pixels) -> Recognition:
    """Read a line; one that is too long for one look in pieces: squeezed into it, equal letters become one."""
    cuts = _cuts(crop)
    edges = [0, *(column for column, _ in cuts), crop.shape[1]]
    pieces = [_stripped(recognise_crop(networks, crop[:, start:end])) for start, end in pairwise(edges)]
    text, centres = "", list[float]()
    for piece, start, end, gap in zip(pieces, edges[:-1], edges[1:], ["", *(gap for _, gap in cuts)], strict=True):
        if gap and text and piece.text:
            text, centres = text + gap, [*centres, start / edges[-1]]
        text += piece.text
        centres += [(start + centre * (end - start)) / edges[-1] for centre in piece.centres]
    return Recognition(text, float(np.mean([piece.confidence for piece in pieces])), tuple(centres))


def _stripped(read: Recognition) -> Recognition:
    text = read.text.strip()
    begin = read.text.find(text)
    return replace(read, text=text, centres=read.centres[begin : begin + len(text)])


def recognise_crop(networks: Networks, crop: Pixels) -> Recognition:
    """Read a crop in one look."""
    fitted = _fit_width(np.ascontiguousarray(crop))
    read = networks.recognise(fitted)
    padded = max(1.0, fitted.shape[1] / crop.shape[1])  # a squeezed line is still the whole of it
    return replace(read, centres=tuple(min(1.0, centre * padded) for centre in read.centres))


def crop_line(pixels: Pixels, quad: Quads, max_width_px: int = _MAX_LINE_PX) -> Pixels:
    """Cut one quadrilateral out, level, `LINE_HEIGHT_PX` high; one far taller than wide is laid on its side."""
    width_px, height_px = sides(quad)
    if is_vertical(width_px, height_px):
        quad, width_px, height_px = np.roll(quad, -1, axis=0), height_px, width_px
    size_px = (min(max_width_px, max(8, round(width_px))), max(8, round(height_px)))
    corners = np.array([(0, 0), (size_px[0], 0), size_px, (0, size_px[1])], np.float32)
    transform = cv2.getPerspectiveTransform(np.ascontiguousarray(quad, np.float32), corners)
    line = cv2.warpPerspective(pixels, transform, size_px, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    # Reduced in a second step when the text is larger than the line: one cubic step would alias.
    target_px = (min(max_width_px, max(8, round(size_px[0] * LINE_HEIGHT_PX / size_px[1]))), LINE_HEIGHT_PX)
    filter_ = cv2.INTER_AREA if height_px > LINE_HEIGHT_PX else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(line, target_px, interpolation=filter_), np.uint8)


def _ink(crop: Pixels) -> tuple[float, float, float, float]:
    """Where the text lies on a crop: what differs from its background, but for rules and neighbours at its edges."""
    grey = crop.max(axis=2).astype(np.int16)
    differs = np.abs(grey - np.median(grey))
    is_ink = differs > max(_BLANK_CONTRAST / 2, differs.max() / 2)
    is_ink[is_ink.mean(axis=1) > _RULE] = False
    top, bottom = _run(is_ink.any(axis=1), LINE_HEIGHT_PX // 8)
    left, right = _run(is_ink[top:bottom].any(axis=0), crop.shape[1])
    margin = _MARGIN * (bottom - top)
    height, width = crop.shape[:2]
    return (left / width, max(0.0, top - margin) / height, right / width, min(height, bottom + margin) / height)


def _run(is_ink: npt.NDArray[np.bool_], gap: int) -> tuple[int, int]:
    """Begin and end of the longest run with gaps of at most `gap`; everything where nothing is ink."""
    at = np.flatnonzero(is_ink)
    if not len(at):
        return 0, len(is_ink)
    runs = np.split(at, np.flatnonzero(np.diff(at) > gap + 1) + 1)
    longest = max(runs, key=lambda run: int(run[-1] - run[0]))
    return int(longest[0]), int(longest[-1]) + 1


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
