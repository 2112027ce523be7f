"""How many tokens a picture is, which views of it a model takes, at which size. The one place that knows.

The meter, the receipt, the preview and the decoder all ask here, so that their figures cannot differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sightline.core import Detail, ImageEncoding, PanAndScan, documented_estimate

_LONGEST = 199
"""Times the shorter side, in patches: Qwen's code refuses a picture of 200."""


class Box(NamedTuple):
    """A part of a picture, in its own pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class View:
    """One look at a picture: `box` is what of it is shown, `width` and `height` the pixels a model sees of that."""

    box: Box
    width: int
    height: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Views:
    """All looks that a model takes at one picture: the whole, then crops, from left to right or top to bottom."""

    whole: View
    crops: tuple[View, ...] = ()

    @property
    def count(self) -> int:
        """How many they are."""
        return 1 + len(self.crops)

    @property
    def tokens(self) -> int:
        """Exact tokens of all of them."""
        return self.whole.tokens + sum(crop.tokens for crop in self.crops)

    @property
    def detail(self) -> Literal["low", "high"]:
        """What was taken, whatever was asked: `high` where there are closer views."""
        return "high" if self.crops else "low"


def views(encoding: ImageEncoding, width: int, height: int, detail: Detail) -> Views:
    """Say how a model with this encoding sees a picture of `width` × `height` (orientation applied).

    Number, size and tokens of the views are the same with width and height exchanged.
    """
    whole = Box(0, 0, width, height)
    if encoding.kind == "square":
        shown = [whole, *_crops(encoding.pan_and_scan, width, height, detail)]
        first, *crops = (View(box, encoding.size_px, encoding.size_px, encoding.tokens) for box in shown)
        return Views(first, tuple(crops))
    if encoding.kind == "patches":
        across, down = _patches(encoding, width, height)
        return Views(View(whole, across * encoding.size_px, down * encoding.size_px, across * down))
    seen_width, seen_height = _within(encoding.size_px, width, height)
    return Views(View(whole, seen_width, seen_height, documented_estimate(seen_width, seen_height)))


def useful_size(encoding: ImageEncoding, width: int, height: int) -> tuple[int, int]:
    """Say how small a sender can make a picture, its shape kept, before a model with this encoding sees less: (w, h).

    Larger ones buy neither tokens nor detail, `high` included. Twice the pixels seen are left to a square, for its
    filter to work on.
    """
    seen = views(encoding, width, height, "high")
    if encoding.kind != "square":
        return seen.whole.width, seen.whole.height
    smallest = min(min(view.box.width, view.box.height) for view in (seen.whole, *seen.crops))
    # A pixel more than the least part, so that rounding does not lose the closer views.
    needed = max(2 * encoding.size_px, encoding.pan_and_scan.min_crop_px + 1 if encoding.pan_and_scan else 0)
    longest = max(width, height)
    # Whole pixels are not quite the picture's shape, and a ratio at which the closer views become others may lie in
    # between: the next larger size of the same views is taken.
    for longer in range(max(1, round(longest * min(1.0, needed / smallest))), longest):
        size = _within(longer, width, height)
        if views(encoding, *size, "high").count == seen.count:
            return size
    return width, height


def _within(longest_px: int, width: int, height: int) -> tuple[int, int]:
    """Reduce a size, its shape kept, until its longer side is at most `longest_px`."""
    scale = min(1.0, longest_px / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _patches(encoding: ImageEncoding, width: int, height: int) -> tuple[int, int]:
    """Say how many patches a picture becomes, across and down: a strip that models refuse, fewer along than it has.

    Source: Transformers' Qwen2VLImageProcessor, `smart_resize`.
    """
    across, down = _resized(encoding, width, height)
    return min(across, _LONGEST * down), min(down, _LONGEST * across)


def _resized(encoding: ImageEncoding, width: int, height: int) -> tuple[int, int]:
    side = encoding.size_px
    across, down = max(1, round(width / side)), max(1, round(height / side))
    pixels = across * down * side * side
    if encoding.min_pixels <= pixels <= encoding.max_pixels:
        return across, down
    if pixels > encoding.max_pixels:
        # Divided as the source divides: a product rounds to another whole number where sides come out even.
        beta = math.sqrt(width * height / encoding.max_pixels)
        return max(1, math.floor(width / beta / side)), max(1, math.floor(height / beta / side))
    scale = math.sqrt(encoding.min_pixels / (width * height))
    return math.ceil(width * scale / side), math.ceil(height * scale / side)


def _crops(rules: PanAndScan | None, width: int, height: int, detail: Detail) -> list[Box]:
    """Cut a picture along its longer side into parts that are as square as can be.

    Source: Transformers' Gemma3ImageProcessor, `pan_and_scan`.
    """
    longer, shorter = max(width, height), min(width, height)
    if rules is None or detail == "low" or (detail == "auto" and not rules.by_default):
        return []
    if longer / shorter < rules.min_ratio:
        return []
    wanted = min(int(longer / shorter + 0.5), longer // rules.min_crop_px)
    number = min(rules.max_crops, max(2, wanted))
    length = -(-longer // number)
    if min(length, shorter) < rules.min_crop_px:
        return []
    # The last one is shorter where the parts do not come out even.
    spans = [(start, min(length, longer - start)) for start in range(0, longer, length)]
    if width >= height:
        return [Box(start, 0, span, height) for start, span in spans]
    return [Box(0, start, width, span) for start, span in spans]
