"""How many tokens a picture is, and at which size a model sees it. The one place that knows.

The meter, the receipt and the preview all ask here, so that their figures cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass

from sightline.core import ImageEncoding, documented_estimate


@dataclass(frozen=True, slots=True)
class View:
    """One picture as a model takes it: size in pixels, exact tokens."""

    width: int
    height: int
    tokens: int


def view(encoding: ImageEncoding, width: int, height: int) -> View:
    """Say how a model with this encoding sees a picture of `width` × `height` (orientation applied)."""
    if encoding.kind == "square":
        return View(encoding.size_px, encoding.size_px, encoding.tokens)
    scale = min(1.0, encoding.size_px / max(width, height))
    seen_width, seen_height = max(1, round(width * scale)), max(1, round(height * scale))
    return View(seen_width, seen_height, documented_estimate(seen_width, seen_height))


def useful_size(encoding: ImageEncoding, width: int, height: int) -> tuple[int, int]:
    """Say how small a sender can make a picture, its shape kept, before a model with this encoding sees less: (w, h).

    Larger ones buy neither tokens nor detail. Twice the pixels seen are left to a square, for its filter to work on.
    """
    if encoding.kind == "square":
        scale = min(1.0, 2 * encoding.size_px / min(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))
    seen = view(encoding, width, height)
    return seen.width, seen.height
