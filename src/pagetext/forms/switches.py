"""Switches of a page of settings, and which of them are on.

In: pixels, texts. Out: frames with what they stand in. A switch is a bar with round ends on the line of a text, with a
round knob of another colour in one of them: at the right it is on. Pages that are turned lose some.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

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

_TEXT_PX = 24.0
"""How high text is on the copy that is looked at, as the detector's quadrilaterals have it."""
_AROUND, _DARKER = 4.2, 6
"""What is ink is told by a square around it, in text heights; of 255."""
_MOST_LIKE = 100
"""Where more looks like a switch, the page is a pattern and has none."""
_HEIGHT = (0.4, 1.3)
"""In text heights."""
# Of the switch's height, width or area.
_WIDE = (1.5, 2.5)
_KNOB = (0.12, 0.46)
_KNOB_HIGH = 0.5
_RING = 0.05
"""How much of the body is around the knob, at least."""
_KNOB_OFF = 0.25
"""How far its middle is from that of the round end, in heights."""
_ROUND = (0.75, 1.33)
_ROUND_FULL = (0.68, 0.87)
"""Of the square around a disc, its share is 0.79."""
_ONE = 0.85
"""Share of what differs from the body that the knob is."""
_CLOSE_PX, _MARGIN = 44.0, 0.15
"""How high what looks like one is when it is looked at closely, and the share of that around it."""
_ALONE = 1.5
"""A text that is no longer is the switch alone."""
_LEAST_BODY, _LEAST_KNOB = 14.0, 40.0
"""Contrast with the paper and with the body, of 255."""
_CORNERS = (0.6, 0.35)
"""Of this share of the body's contrast, at most that share of the corners."""


def find_switches(pixels: Pixels, boxes: Floats, height_px: float) -> Iterator[tuple[Floats, bool, Place]]:
    """Find corners (4, 2), whether it is on and where it stands; `boxes` are texts, `height_px` high mostly."""
    scale = scale_for(pixels, height_px, _TEXT_PX)
    text_px = scale * height_px
    colours, texts = rescale(pixels, scale), TextGeometry(boxes * scale)
    red, green, blue = np.moveaxis(colours, 2, 0)
    channels = [red] if np.array_equal(red, green) and np.array_equal(green, blue) else [red, green, blue]
    for light in (way for channel in channels for way in (channel, 255 - channel)):
        _, _, parts = connected_components(light, _AROUND * text_px, _DARKER)
        alike = filter_by_size(parts, (_HEIGHT[0] * text_px, _HEIGHT[1] * text_px), _WIDE)
        for left, top, width, height, _ in parts[alike] if len(alike) <= _MOST_LIKE else ():
            frame = Rect(int(left), int(top), int(left + width), int(top + height))
            place = _place(frame, texts)
            if place is None:
                continue
            is_on = _is_on(*_close_up(pixels, frame, scale))
            if is_on is not None:
                yield frame.corners / scale, is_on, place


def _place(frame: Rect, texts: TextGeometry) -> Place | None:
    """Say which text a switch is taken for; None if no other is on its line, or it is part of one."""
    gap, away = texts.off(frame.corners.mean(axis=0))
    on_line = away <= OFF_LINE * texts.height
    around = np.flatnonzero(on_line & (gap < 0))
    if len(around) == on_line.sum() or len(around) > 1:
        return None
    if (texts.length[around] > _ALONE * (frame.right - frame.left)).any():
        return None
    return Place(int(around[0]), True) if len(around) else Place(-1, False)


def _close_up(pixels: Pixels, frame: Rect, scale: float) -> tuple[Pixels, Rect]:
    """Cut a switch that was found on a copy out of the page, `_CLOSE_PX` high, with its surroundings."""
    left, top, right, bottom = (edge / scale for edge in frame)
    around = _MARGIN * (bottom - top) + 1
    x, y = max(0, math.floor(left - around)), max(0, math.floor(top - around))
    part = pixels[y : math.ceil(bottom + around), x : math.ceil(right + around)]
    closer = _CLOSE_PX / (bottom - top)
    edges = (closer * edge for edge in (left - x, top - y, right - x, bottom - y))
    return rescale(part, closer), Rect(*(round(edge) for edge in edges))


def _is_on(colours: Pixels, frame: Rect) -> bool | None:
    """Say whether the knob of a switch is at its right; None if it is no switch."""
    left, top, right, bottom = frame
    margin = math.floor(_MARGIN * (bottom - top))
    if min(left, top) < margin or right + margin > colours.shape[1] or bottom + margin > colours.shape[0]:
        return None
    part = colours[top:bottom, left:right].astype(np.int16)
    high, wide = part.shape[:2]
    inside, outside = _round_ended(wide, high)
    body = np.median(part[inside], axis=0)
    rows = colours[[top - margin, bottom + margin - 1], left:right].reshape(-1, part.shape[2])
    paper = np.median(np.concatenate([rows, part[outside]]), axis=0)
    contrast = float(np.abs(body - paper).max())
    corners = np.abs(part[outside] - paper).max(axis=1) > _CORNERS[0] * contrast
    if contrast < _LEAST_BODY or float(corners.mean()) > _CORNERS[1]:
        return None
    apart = np.abs(part - body).max(axis=2)
    most = float(np.percentile(apart[inside], 95))
    knob = (apart > most / 2) & inside
    if most < _LEAST_KNOB or not _KNOB[0] < knob.sum() / inside.sum() < _KNOB[1]:
        return None
    at, pixels = largest_component(knob)
    width, height = at.right - at.left, at.bottom - at.top
    if min(at.left, at.top, wide - at.right, high - at.bottom) < _RING * high:
        return None
    full = pixels / (width * height)
    is_round = _ROUND[0] < width / height < _ROUND[1] and _ROUND_FULL[0] < full < _ROUND_FULL[1]
    middle = (at.left + at.right) / 2
    off = min(abs(middle - high / 2), abs(wide - middle - high / 2))
    if not is_round or pixels < _ONE * knob.sum() or height < _KNOB_HIGH * high or off > _KNOB_OFF * high:
        return None
    return bool(middle > wide / 2)


def _round_ended(wide: int, high: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which pixels of (high, wide) lie well inside a bar with round ends, and which outside of it."""
    y, x = np.mgrid[:high, :wide] + 0.5
    radius = high / 2
    reach = np.hypot(np.maximum(np.abs(x - wide / 2) - (wide / 2 - radius), 0.0), y - radius)
    return np.asarray(reach < radius - 0.75), np.asarray(reach > radius + 0.75)
