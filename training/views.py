"""A picture → what the model sees of it: the whole squashed to a square and, where asked for, closer views.

In: an image of any size. Out: boxes in its pixels, and square uint8 arrays as the server makes them. The rules are
Gemma 3's pan and scan, as src/sightline/images/tokens.py has them (tests/training compares the two; training must run
without the service installed).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
LEAST_CROP_PX = 256
MOST_CROPS = 4
LEAST_RATIO = 1.2
WHOLE = "Here is the original image "
CROPS = " and here are some crops to help you see better"


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a picture, in its pixels."""

    left: int
    top: int
    width: int
    height: int


def crop_boxes(width: int, height: int) -> list[Box]:
    """Return the closer views of a picture, none where it is nearly square or small."""
    longer, shorter = max(width, height), min(width, height)
    if longer / shorter < LEAST_RATIO:
        return []
    number = min(MOST_CROPS, max(2, min(int(longer / shorter + 0.5), longer // LEAST_CROP_PX)))
    length = -(-longer // number)
    if min(length, shorter) < LEAST_CROP_PX:
        return []
    spans = [(start, min(length, longer - start)) for start in range(0, longer, length)]
    if width >= height:
        return [Box(start, 0, span, height) for start, span in spans]
    return [Box(0, start, width, span) for start, span in spans]


def see(image: Image.Image, box: Box, side: int) -> Pixels:
    """Return a part of an image as the model sees it: (side, side, 3), squashed with the server's bilinear filter."""
    part = image
    if (box.width, box.height) != image.size:
        part = image.crop((box.left, box.top, box.left + box.width, box.top + box.height))
    return np.asarray(part if part.size == (side, side) else part.resize((side, side), Image.Resampling.BILINEAR))


def spell_views(tags: Sequence[str]) -> str:
    """Return how one image stands in the prompt, given what stands for each of its views, the whole first."""
    if len(tags) == 1:
        return tags[0]
    return WHOLE + tags[0] + CROPS + "".join(f" {tag}" for tag in tags[1:])
