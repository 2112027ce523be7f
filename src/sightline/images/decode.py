"""Encoded bytes to RGB as a person sees it, at the size the model sees. Runs in a pool process, never on the loop.

Orientation applied, colours in sRGB, transparency laid on white, 16 bits scaled to 8, the first frame of an
animation. libvips reads a row at a time and shrinks while it reads, so that 25 megapixels take tens of megabytes
and not hundreds; only the reader that the header named is ever asked. Everything after the shrinking works on
the small picture.

Source: contract.md section 2; EXIF 2.32 section 4.6.4 (orientation).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

import numpy as np
from PIL import Image

from sightline.core import ImageEncoding, Pixels
from sightline.images.header import Broken, gif_frame
from sightline.images.png import count_frames, without_ancillary
from sightline.images.tokens import View, view

os.environ.setdefault("VIPS_CONCURRENCY", "1")  # the pool's processes are the parallelism; read when libvips loads
import pyvips

pyvips.cache_set_max(0)

_ORIENTATIONS = {
    2: "mirrored",
    3: "rotated 180°",
    4: "flipped",
    5: "mirrored and rotated 270°",
    6: "rotated 90°",
    7: "mirrored and rotated 90°",
    8: "rotated 270°",
}
_UNREADABLE = (pyvips.Error, Broken, IndexError, struct.error)
_SRGB_NAMES = (b"sRGB", b"\x00s\x00R\x00G\x00B")
_LYING = 5  # from this orientation on, width and height change places
_PROFILE_SPACES = {"cmyk": b"CMYK", "b-w": b"GRAY", "grey16": b"GRAY"}
# Reduced by more than this, pixels are averaged first: the filter's rounded weights would darken the picture.
_MOST_BY_FILTER = 4
_LARGE_WEBP_PX = 8_000_000
_WIDE_PX = 6_000  # rows of such are many bytes each: eight bits a sample are enough, and soon fewer samples
_BAND_ROWS = 64


@dataclass(frozen=True, slots=True)
class Decoded:
    """RGB bytes of `height` rows of `width` pixels, and what was done to get them."""

    rgb: bytes
    width: int
    height: int
    actions: tuple[str, ...]


class Undecodable(Exception):
    """The picture's bytes do not decode. Carries no text of a library, so that none can leak."""


def decode(data: bytes, image_type: str, encoding: ImageEncoding) -> Decoded:
    """Decode one picture and bring it to the size that `encoding` asks for.

    Raises:
        Undecodable: cut short, damaged, or not what its header said.
    """
    try:
        return _decode(data, image_type, encoding)
    except _UNREADABLE as error:
        raise Undecodable(type(error).__name__) from None


def is_lying(data: bytes, image_type: str) -> bool:
    """Whether a picture's orientation exchanges its width and height; reads up to the pixels, decodes none."""
    try:
        image = _open(without_ancillary(data) if image_type == "png" else data, image_type)
    except _UNREADABLE:
        return False
    return _field(image, "orientation", 1) >= _LYING


def _decode(data: bytes, image_type: str, encoding: ImageEncoding) -> Decoded:
    actions: list[str] = []
    frames = 1
    if image_type == "png":
        frames, data = count_frames(data), without_ancillary(data)
    image = _open(data, image_type)
    stored_width, stored_height = image.width, image.height
    frames = _field(image, "n-pages", frames)
    if frames > 1:
        actions.append(f"frame 1 of {frames}")
    if image.format == "ushort":
        actions.append("16-bit to 8-bit")
    orientation = _field(image, "orientation", 1)
    seen = view(encoding, stored_width, stored_height)
    image = _shrink(_open(data, image_type, _reduction(image_type, stored_width, stored_height, seen)), seen)
    image = _to_srgb(image, actions)
    if orientation > 1:
        image = image.copy_memory().autorot()  # turning needs rows out of order, which readers do not give
    pixels = image.numpy()
    del image  # and with it what a decoder held of a large picture
    pixels = _on_white(pixels, actions)
    if orientation in _ORIENTATIONS:
        actions.append(_ORIENTATIONS[orientation])
    if (stored_width, stored_height) != (seen.width, seen.height):
        actions.append("resized")
    seen = view(encoding, *_turned(stored_width, stored_height, orientation))
    if pixels.shape[:2] != (seen.height, seen.width):
        # What is left is to enlarge, where libvips and the models' own processors differ by half a pixel.
        larger = Image.fromarray(pixels).resize((seen.width, seen.height), Image.Resampling.BILINEAR)
        return Decoded(larger.tobytes(), seen.width, seen.height, tuple(actions))
    return Decoded(pixels.tobytes(), seen.width, seen.height, tuple(actions))


def _open(data: bytes, image_type: str, reduction: float = 1) -> pyvips.Image:
    options = {"access": "sequential", "fail_on": "truncated"}
    match image_type:
        case "png":
            return pyvips.Image.pngload_buffer(data, **options)
        case "jpeg":
            return pyvips.Image.jpegload_buffer(data, shrink=reduction, **options)
        case "webp":
            return pyvips.Image.webpload_buffer(data, scale=1 / reduction, **options)
    return _clear_around(pyvips.Image.gifload_buffer(data, **options), gif_frame(data))


def _clear_around(image: pyvips.Image, frame: tuple[int, int, int, int]) -> pyvips.Image:
    """Make a GIF's canvas transparent where its first frame does not reach, as browsers do; libvips makes it black."""
    left, top, width, height = frame
    if image.hasalpha() or (left, top, width, height) == (0, 0, image.width, image.height):
        return image
    inside = image.addalpha().crop(left, top, width, height)
    return inside.embed(left, top, image.width, image.height, extend="background", background=[255, 255, 255, 0])


def _reduction(image_type: str, width: int, height: int, seen: View) -> float:
    """How far a reader may shrink by itself and still leave twice the pixels that are needed: 1, 2, 4 or 8.

    WebP is decoded whole, and beside that a large one leaves room only for the pixels that are needed.
    """
    spare = min(width / seen.width, height / seen.height)
    if image_type == "webp" and spare < 4 and width * height > _LARGE_WEBP_PX:
        return max(1.0, spare)
    return next((step for step in (8, 4, 2) if spare / 2 >= step), 1)


def _shrink(image: pyvips.Image, seen: View) -> pyvips.Image:
    """Reduce with the triangle filter of the models' own processors. Colours weigh as much as they are opaque."""
    if image.width > _WIDE_PX and image.format == "ushort":
        image = (image >> 8).cast("uchar").copy(interpretation="b-w" if image.bands < 3 else "srgb")
    if image.hasalpha():
        kind, interpretation = image.format, image.interpretation
        small = _resize(image.premultiply(), seen)
        return small.unpremultiply().cast(kind).copy(interpretation=interpretation)
    return _resize(image, seen)


def _resize(image: pyvips.Image, seen: View) -> pyvips.Image:
    if image.width > _WIDE_PX:
        image = image.shrinkh(max(1, image.width // (seen.width * 2)))
    across, down = min(1.0, seen.width / image.width), min(1.0, seen.height / image.height)
    return image.resize(across, vscale=down, kernel="linear", gap=_MOST_BY_FILTER)


def _to_srgb(image: pyvips.Image, actions: list[str]) -> pyvips.Image:
    profile = image.get("icc-profile-data") if "icc-profile-data" in image.get_fields() else b""
    if image.interpretation == "cmyk":
        actions.append("CMYK to RGB")
    if profile and not any(name in profile for name in _SRGB_NAMES):
        try:
            if profile[16:20] != _PROFILE_SPACES.get(image.interpretation, b"RGB ") or profile[36:40] != b"acsp":
                raise pyvips.Error("not a profile of this picture's colours")
            converted = image.icc_transform("srgb", embedded=True).copy_memory()
        except pyvips.Error:
            actions.append("colour profile unreadable, ignored")
        else:
            actions.append("colour profile to sRGB")
            return converted
    if image.interpretation == "cmyk":
        # Without a profile of its own, as browsers and Pillow do it; libvips would take some press's inks.
        light = image.invert()
        rgb = light.extract_band(0, n=3) * light.extract_band(3) / 255
        return rgb.rint().cast("uchar").copy(interpretation="srgb")
    return image.colourspace("srgb")


def _on_white(pixels: Pixels, actions: list[str]) -> Pixels:
    """Lay (height, width, 4) on white; (height, width, 3) is returned as it is."""
    if pixels.shape[2] == 3:
        return pixels
    if pixels[:, :, 3].min() == 255:
        return np.ascontiguousarray(pixels[:, :, :3])
    actions.append("flattened on white")
    laid = np.empty((*pixels.shape[:2], 3), np.uint8)
    for top in range(0, len(pixels), _BAND_ROWS):  # the wider numbers in between are not to be as many as the pixels
        band = pixels[top : top + _BAND_ROWS]
        alpha = band[:, :, 3:].astype(np.uint16)
        laid[top : top + _BAND_ROWS] = (band[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return laid


def _turned(width: int, height: int, orientation: int) -> tuple[int, int]:
    return (height, width) if orientation >= _LYING else (width, height)


def _field(image: pyvips.Image, name: str, default: int) -> int:
    return int(image.get(name)) if name in image.get_fields() else default
