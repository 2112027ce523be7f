"""Evidence drawn on a picture: a box around each value, in a colour that says how it was found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps

_COLOURS = {"exact": "#0a7d32", "normalised": "#0a7d32", "close": "#b36b00", "computed": "#0b5cad", "seen": "#6b2fa0"}
_TEXT_SHARE = 60
"""The picture's longer side is so many times as long as its captions are high."""


def draw_boxes(path: Path, entries: Sequence[dict[str, Any]], image: int) -> Image.Image:
    """Return the picture at `path`, upright, with the evidence (`sightline.evidence`) that is of image `image`.

    Raises:
        OSError: it cannot be read.
    """
    with Image.open(path) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    size_px = max(12, max(picture.size) // _TEXT_SHARE)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size_px)
    for entry in entries:
        for place in [entry] if "box" in entry else entry.get("parts", ()):
            if place["image"] == image:
                _draw(draw, font, entry, place, max(2, size_px // 8))
    return picture


def _draw(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    entry: dict[str, Any],
    place: dict[str, Any],
    width_px: int,
) -> None:
    colour = _COLOURS.get(entry["status"], "#444444")
    corners = [tuple(point) for point in place["quad"]]
    draw.line([*corners, corners[0]], colour, width_px, joint="curve")
    caption = entry["path"].removeprefix("/") or entry["status"]
    left, top = place["box"][0], place["box"][1] - width_px
    box = draw.textbbox((left, top), caption, font, anchor="ld")
    draw.rectangle((box[0] - 2, box[1] - 1, box[2] + 2, box[3] + 1), "white")
    draw.text((left, top), caption, colour, font, anchor="ld")
