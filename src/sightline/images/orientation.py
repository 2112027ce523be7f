"""Which way up a picture is stored: its EXIF orientation as names, as boxes and as pixels.

Source: EXIF 2.32 section 4.6.4.
"""

from __future__ import annotations

import numpy as np

from sightline.core import Pixels
from sightline.images.tokens import Box

UPRIGHT = 1
NAMES = {
    2: "mirrored",
    3: "rotated 180°",
    4: "flipped",
    5: "mirrored and rotated 270°",
    6: "rotated 90°",
    7: "mirrored and rotated 90°",
    8: "rotated 270°",
}
_FROM_RIGHT = frozenset({2, 3, 7, 8})
_FROM_BELOW = frozenset({3, 4, 6, 7})
_LYING = frozenset({5, 6, 7, 8})


def is_lying(orientation: int) -> bool:
    """Whether width and height change places."""
    return orientation in _LYING


def turned(width: int, height: int, orientation: int) -> tuple[int, int]:
    """The size of a picture once it is turned upright, or of an upright one as it is stored."""
    return (height, width) if is_lying(orientation) else (width, height)


def stored_box(box: Box, width: int, height: int, orientation: int) -> Box:
    """Where a part of the upright picture lies in the stored one, which is `width` × `height`."""
    left, top, across, down = box
    if is_lying(orientation):
        left, top, across, down = top, left, down, across
    if orientation in _FROM_RIGHT:
        left = width - left - across
    if orientation in _FROM_BELOW:
        top = height - top - down
    return Box(left, top, across, down)


def turn(pixels: Pixels, orientation: int) -> Pixels:
    """Turn stored pixels upright; a view of them, not a copy."""
    if orientation in _FROM_RIGHT:
        pixels = pixels[:, ::-1]
    if orientation in _FROM_BELOW:
        pixels = pixels[::-1]
    return np.swapaxes(pixels, 0, 1) if is_lying(orientation) else pixels
