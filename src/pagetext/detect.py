"""Where text is on an image, and which way up the image stands.

In: pixels. Out: the image turned upright, and quadrilaterals of its texts. The way back to the image that was given is
`UprightImage.to_source`. Knows no text, but for its confidence: what reads better stands the right way up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pagetext.layout.geometry import VERTICAL_RATIO, sides, tilt_of
from pagetext.networks import Networks
from pagetext.recognise import MIN_CONFIDENCE, crop_line, recognise_crop
from pagetext.types import Floats, Pixels, Quads

_DETECT_MIN_PX = 640
_DETECT_MAX_PX = 1600
_STRIP_RATIO = 8
_VOTERS = 5
_DOUBT = 0.35
_READS_BETTER = 0.5
"""Characters. Of 80 displays and sheets of handwritten digits, all upright, 1 is turned then, 20 by the orienter; of 78
words and signs on their heads 2 are not turned, of longer texts all are."""
_MAX_TILT = math.radians(1.5)
"""Less is levelled a line at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class UprightImage:
    """An image with its text upright: given a border `(left, top)`, then turned by quarters against the clock."""

    pixels: Pixels
    border: tuple[int, int]
    quarter_turns: int

    def to_source(self, quads: Floats) -> Floats:
        """Return corners, (..., 2), in pixels of the image that was given."""
        height, width = self.pixels.shape[:2]
        for _ in range(self.quarter_turns):
            quads = np.stack([height - 1 - quads[..., 1], quads[..., 0]], axis=-1)
            height, width = width, height
        return quads - self.border


def detect(networks: Networks, image: Pixels) -> tuple[UprightImage, Quads]:
    """Find text, turning the image by any multiple of 90 degrees; a tilt of the page stays in the quadrilaterals."""
    pixels, border = _pad_strip(image)
    quads = _detect(networks, pixels)
    turns = 0
    if len(quads):
        pixels, quads, turns = _turn_upright(networks, pixels, quads)
    return UprightImage(pixels, border, turns), quads


def _pad_strip(pixels: Pixels) -> tuple[Pixels, tuple[int, int]]:
    """Give a very long or tiny image a border of its own edge colour: the detector needs room around text."""
    height_px, width_px = pixels.shape[:2]
    above = max(0, max(32, width_px // _STRIP_RATIO) - height_px + 1) // 2
    beside = max(0, max(32, height_px // _STRIP_RATIO) - width_px + 1) // 2
    if not above and not beside:
        return pixels, (0, 0)
    padded = cv2.copyMakeBorder(pixels, above, above, beside, beside, cv2.BORDER_CONSTANT, value=_edge_colour(pixels))
    return np.asarray(padded, np.uint8), (beside, above)


def _detect(networks: Networks, pixels: Pixels) -> Quads:
    """Run the detector: small images enlarged, large ones reduced, to multiples of 32 pixels."""
    height_px, width_px = pixels.shape[:2]
    longer_px = max(width_px, height_px)
    scale = min(max(longer_px, _DETECT_MIN_PX), _DETECT_MAX_PX) / longer_px
    width, height = (max(32, round(side * scale / 32) * 32) for side in (width_px, height_px))
    return networks.detect(pixels, (width, height))


def _turn_upright(networks: Networks, pixels: Pixels, quads: Quads) -> tuple[Pixels, Quads, int]:
    """Turn the image until its text is level and not on its head, its quadrilaterals with it; count the quarters."""
    turns = 0
    lengths = np.array([sides(quad) for quad in quads])
    area = lengths.prod(axis=1)
    lying = lengths[:, 1] >= VERTICAL_RATIO * lengths[:, 0]
    if area[lying].sum() > area.sum() / 2 and _are_text(networks, _longest(pixels, quads[lying], lengths[lying, 1])):
        pixels, quads, turns = *_turn_quarter(pixels, quads), 1
    tilt = tilt_of(np.asarray(quads, np.float64))
    if turns or abs(tilt) > _MAX_TILT:
        quads = _detect_level(networks, pixels, tilt)
    if not len(quads):
        return pixels, quads, turns
    lines = _longest(pixels, quads, np.array([sides(quad)[0] for quad in quads]))
    if _is_upside_down(networks, lines, min_gain=0.0 if turns else _READS_BETTER):
        pixels, quads = _turn_quarter(*_turn_quarter(pixels, quads))
        turns += 2
    return pixels, quads, turns


def _edge_colour(pixels: Pixels) -> list[int]:
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return [int(value) for value in np.median(edge, axis=0)]


def _longest(pixels: Pixels, quads: Quads, lengths: npt.NDArray[np.float64]) -> list[Pixels]:
    """Cut out the longest lines, which vote for all."""
    return [crop_line(pixels, quads[voter]) for voter in np.argsort(-lengths)[:_VOTERS]]


def _are_text(networks: Networks, lines: list[Pixels]) -> bool:
    """Whether most of these can be read one way or the other: the bars of a chart, taken for lying text, cannot."""
    best = [max(recognise_crop(networks, way).confidence for way in (line, line[::-1, ::-1])) for line in lines]
    return float(np.median(best)) >= MIN_CONFIDENCE


def _is_upside_down(networks: Networks, lines: list[Pixels], *, min_gain: float) -> bool:
    """Whether lines stand on their heads: the orienter suspects it, and turned they read `min_gain` characters better.

    Alone it is mistaken in one of five displays or handwritten numbers: their digits are digits on their heads, too.
    """
    if float(np.mean(networks.upside_down(lines))) < 0.5 - _DOUBT:
        return False
    gain = 0.0
    for line in lines:
        turned = recognise_crop(networks, line[::-1, ::-1])
        gain += (turned.confidence - recognise_crop(networks, line).confidence) * len(turned.text)
    return gain > min_gain


def _detect_level(networks: Networks, pixels: Pixels, tilt: float) -> Quads:
    """Find quadrilaterals on a copy that is turned back by `tilt` radians, in coordinates of `pixels`.

    The detector was trained on level text; of other text it cuts letters off, of short words most. Lines are read
    from the image itself: turned twice, small text blurs.
    """
    height_px, width_px = pixels.shape[:2]
    cos, sin = float(np.cos(tilt)), float(np.sin(tilt))
    size_px = (round(width_px * cos + height_px * abs(sin)), round(width_px * abs(sin) + height_px * cos))
    turn = np.array([[cos, sin], [-sin, cos]])
    shift = np.array(size_px) / 2 - turn @ (width_px / 2, height_px / 2)
    level = cv2.warpAffine(pixels, np.column_stack([turn, shift]), size_px, borderValue=_edge_colour(pixels))
    return np.asarray((_detect(networks, np.asarray(level, np.uint8)) - shift) @ turn, np.float32)


def _turn_quarter(pixels: Pixels, quads: Quads) -> tuple[Pixels, Quads]:
    """Turn an image and its quadrilaterals by 90 degrees against the clock; top right corners become top left."""
    turned = np.stack([quads[:, :, 1], pixels.shape[1] - 1 - quads[:, :, 0]], axis=-1)
    return np.ascontiguousarray(np.rot90(pixels)), np.roll(turned, -1, axis=1)
