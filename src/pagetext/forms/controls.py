"""What stands on a page beside its texts, and says something: check boxes and switches.

In: the pixels of an upright picture, the quadrilaterals of its texts. Out: a `GroupedPage`: texts and
controls, those that belong together in one group. Knows no text: a caller says what of it is a letter after all.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from pagetext.forms.check_boxes import find_check_boxes
from pagetext.forms.regions import OFF_LINE, TextGeometry, scale_for
from pagetext.forms.switches import find_switches
from pagetext.types import Floats, Pixels

SYMBOLS = {True: "☑", False: "□"}
"""What a control is written as: ticked or on, open or off."""

_LEAST_TEXT_PX, _LEAST_SCALED_PX = 6.0, 10.0
"""Text that is lower, on the page or on a copy of it, has no controls that could be told from it."""
_MOST_CONTROLS = 200
"""A page with more is a pattern, or would be read for minutes."""
# In text heights.
_APART = 0.4
"""Findings that are nearer are one."""
_LABEL = 1.6
"""How far a check box stands from what it is read with."""
_LEAST_PART = 0.3
"""How long what is left of a text beside a check box is at least."""
_BEYOND = 0.15
"""Of a control's side: how far beyond it text begins."""


class Control(NamedTuple):
    """A check box or a switch: its corners, (4, 2) pixels clockwise from the upper left; whether it is ticked or on.

    `text` is the number of the text that it stands in, -1 if in none; `is_whole`, that this text is nothing else.
    `is_near` says that it is read with what stands beside it, as check boxes are; a switch is a cell of its own.
    """

    corners: Floats
    is_on: bool
    text: int
    is_whole: bool
    is_near: bool


class Group(NamedTuple):
    """What stands in one place, from left to right: quadrilaterals (count, 4, 2), each with its symbol, "" for text."""

    boxes: Floats
    symbols: tuple[str, ...]


class GroupedPage(NamedTuple):
    """Everything on a page: a quadrilateral (count, 4, 2) around each group, and what the groups hold."""

    boxes: Floats
    groups: tuple[Group, ...]

    def of(self, chosen: Sequence[int]) -> Group:
        """Return what several groups hold, one after the other."""
        groups = [self.groups[number] for number in chosen]
        boxes = np.array([box for group in groups for box in group.boxes]).reshape(-1, 4, 2)
        return Group(boxes, tuple(sign for group in groups for sign in group.symbols))


def find_controls(pixels: Pixels, boxes: Floats) -> list[Control]:
    """Find the check boxes and switches of a page; `boxes` are its texts, (count, 4, 2)."""
    height_px = float(np.median(TextGeometry(boxes).height)) if len(boxes) else 0.0
    if height_px < _LEAST_TEXT_PX or height_px * scale_for(pixels, height_px, height_px) < _LEAST_SCALED_PX:
        return []
    found: list[Control] = []
    middles = np.empty((0, 2))
    ticks = (Control(*one[:2], *one[2], is_near=True) for one in find_check_boxes(pixels, boxes, height_px))
    knobs = (Control(*one[:2], *one[2], is_near=False) for one in find_switches(pixels, boxes, height_px))
    for control in chain(ticks, knobs):
        middle = control.corners.mean(axis=0)
        if not (np.abs(middles - middle).max(axis=1) <= _APART * height_px).any():
            found.append(control)
            middles = np.vstack([middles, middle])
    return found if len(found) <= _MOST_CONTROLS else []


def merge_controls(boxes: Floats, controls: Sequence[Control]) -> GroupedPage:
    """Put texts and controls together; a text in which a control stands ends there and goes on behind it."""
    if not controls:
        return GroupedPage(boxes, tuple(Group(box[None], ("",)) for box in boxes))
    middles = np.array([control.corners.mean(axis=0) for control in controls])
    wholes = {control.text for control in controls if control.is_whole}
    texts = []
    for box in (box for number, box in enumerate(boxes) if number not in wholes):
        text = TextGeometry(box[None])
        near = np.hypot(*(middles - text.middle[0]).T) < text.length[0] / 2 + 2 * text.height[0]
        texts += _around(box, [control for control, is_near in zip(controls, near, strict=True) if is_near])
    labels = _labels(np.array(texts).reshape(-1, 4, 2), controls)
    hulls, groups = [], []
    for number, box in enumerate(texts):
        beside = [control for control, label in zip(controls, labels, strict=True) if label == number]
        hull, group = _joined(box, beside)
        hulls.append(hull)
        groups.append(group)
    for control, label in zip(controls, labels, strict=True):
        if label < 0:
            hulls.append(control.corners)
            groups.append(Group(control.corners[None], (SYMBOLS[control.is_on],)))
    return GroupedPage(np.array(hulls, np.float64), tuple(groups))


def _shares(box: Floats, corners: Floats) -> Floats:
    """Return from where to where something stands along a text, as shares of its length."""
    across = box[1] - box[0]
    shares = (corners - box[0]) @ across / max(float(across @ across), 1.0)
    return np.array([shares.min(), shares.max()])


def _around(box: Floats, controls: Sequence[Control]) -> list[Floats]:
    """Return what is left of a text to the left and right of those of some controls that reach into it."""
    text = TextGeometry(box[None])
    length, height = float(text.length[0]), float(text.height[0])
    on_line = [one.corners for one in controls if text.off(one.corners.mean(axis=0))[1][0] <= OFF_LINE * height]
    shares = sorted((float(left), float(right)) for left, right in (_shares(box, corners) for corners in on_line))
    start, parts = 0.0, []
    for left, right in shares:
        beyond = _BEYOND * (right - left)
        if right + beyond > 0.0 and left - beyond < 1.0:
            parts.append((start, left - beyond))
            start = max(start, right + beyond)
    if not parts:
        return [box]
    parts.append((start, 1.0))
    return [_stretch(box, left, right) for left, right in parts if (right - left) * length > _LEAST_PART * height]


def _labels(boxes: Floats, controls: Sequence[Control]) -> list[int]:
    """Return the number of the text that each control is read with, -1 for none: the nearest on its line."""
    if not len(boxes):
        return [-1] * len(controls)
    texts, labels = TextGeometry(boxes), []
    for control in controls:
        gap, away = texts.off(control.corners.mean(axis=0))
        side = float(np.ptp(control.corners[:, 0]))
        fits = (away <= OFF_LINE * texts.height) & (gap < _LABEL * texts.height + side / 2)
        labels.append(int(np.where(fits, gap, np.inf).argmin()) if control.is_near and fits.any() else -1)
    return labels


def _joined(box: Floats, controls: Sequence[Control]) -> tuple[Floats, Group]:
    """Return a quadrilateral around a text and its controls, and these from left to right."""
    if not controls:
        return box, Group(box[None], ("",))
    shares = [_shares(box, control.corners) for control in controls]
    placed = [
        (0.5, box, ""),
        *((float(s.mean()), c.corners, SYMBOLS[c.is_on]) for s, c in zip(shares, controls, strict=True)),
    ]
    placed.sort(key=lambda one: one[0])
    ends = np.array([(0.0, 1.0), *shares])
    hull = _stretch(box, float(ends.min()), float(ends.max()))
    return hull, Group(np.array([corners for _, corners, _ in placed]), tuple(sign for _, _, sign in placed))


def _stretch(box: Floats, start: float, end: float) -> Floats:
    """Return a quadrilateral that begins and ends elsewhere along its text, as shares of its length."""
    upper, lower = ([left + share * (right - left) for share in (start, end)] for left, right in (box[:2], box[:1:-1]))
    return np.array([*upper, *lower[::-1]])
