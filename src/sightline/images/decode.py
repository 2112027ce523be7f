"""Encoded bytes to RGB as a person sees it, as the views that a model takes. Runs in a pool process, not on the loop.

Orientation applied, colours in sRGB, transparency laid on white, 16 bits scaled to 8, the first frame of an
animation. libvips reads a row at a time and shrinks while it reads, so that 25 megapixels take tens of megabytes
and not hundreds; only the reader that the header named is ever asked. Everything after the shrinking works on
the small picture. Closer views are cut out of a second reading: their rows are not those of the whole, and a
picture read once for both would have to be held in between.

Source: contract.md sections 2 and 4.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from PIL import Image

from sightline.core import Detail, ImageEncoding, Pixels
from sightline.images import orientation
from sightline.images.header import Broken, gif_frame, gif_screen, read_header
from sightline.images.png import count_frames, without_ancillary
from sightline.images.png import gamma as png_gamma
from sightline.images.tokens import Box, View, views

os.environ.setdefault("VIPS_CONCURRENCY", "1")  # the pool's processes are the parallelism; read when libvips loads
import pyvips

pyvips.cache_set_max(0)

_UNREADABLE = (pyvips.Error, Broken, IndexError, struct.error)
_SRGB_NAMES = (b"sRGB", b"\x00s\x00R\x00G\x00B")
_PROBE = np.array([[0, 0, 0], [55, 55, 55], [128, 64, 32], [40, 200, 90], [230, 20, 160], [255, 255, 255]], np.uint8)
_AS_GOOD_AS_EQUAL = 3
"""By so much of 255 the usual profiles of sRGB differ from one another."""
_PROFILE_SPACES = {"cmyk": b"CMYK", "b-w": b"GRAY", "grey16": b"GRAY"}
# Reduced by more than this, pixels are averaged first: the filter's rounded weights would darken the picture.
_MOST_BY_FILTER = 4
_LARGE_WEBP_PX = 8_000_000
_WIDE_PX = 6_000  # rows of such are many bytes each: eight bits a sample are enough, and soon fewer samples
_BAND_ROWS = 64


class Decoded(msgspec.Struct, frozen=True):
    """RGB bytes of `views` pictures one after the other, each `height` rows of `width` pixels, and what was done.

    The first shows the whole, the others its closer views. Where `file_type` is named, `data` is a file of that type
    instead, for a model elsewhere that will see it so.
    """

    data: bytes
    width: int
    height: int
    actions: tuple[str, ...]
    views: int = 1
    file_type: str | None = None


class Undecodable(Exception):
    """The picture's bytes do not decode. Carries no text of a library, so that none can leak."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """A picture as it is stored: size in pixels, EXIF orientation, a PNG's gamma if it is not the usual one."""

    data: bytes
    type: str
    width: int
    height: int
    orientation: int
    gamma: int | None


@dataclass(frozen=True, slots=True)
class _Part:
    """What a view shows, as it lies in the stored picture or in one that its reader has shrunk; the size it is to have.

    Where it is larger than that it is reduced to it; enlarging comes later.
    """

    box: Box
    width: int
    height: int

    def of(self, image: pyvips.Image) -> pyvips.Image:
        """Cut it out."""
        return image if self.box == (0, 0, image.width, image.height) else image.crop(*self.box)

    def scaled(self, across: float, down: float) -> _Part:
        """The same part of a smaller copy, to the nearest pixel."""
        left, right = round(self.box.left * across), round((self.box.left + self.box.width) * across)
        top, bottom = round(self.box.top * down), round((self.box.top + self.box.height) * down)
        return _Part(Box(left, top, right - left, bottom - top), self.width, self.height)


def decode(data: bytes, image_type: str, encoding: ImageEncoding, detail: Detail = "low") -> Decoded:
    """Decode one picture and bring it to the views that `encoding` takes of it for `detail`.

    Raises:
        Undecodable: cut short, damaged, or not what its header said.
    """
    try:
        return _decode(data, image_type, encoding, detail)
    except _UNREADABLE as error:
        raise Undecodable(type(error).__name__) from None


def is_lying(data: bytes, image_type: str) -> bool:
    """Whether a picture's orientation exchanges its width and height; reads up to the pixels, decodes none."""
    try:
        image = _open(without_ancillary(data) if image_type == "png" else data, image_type)
    except _UNREADABLE:
        return False
    return orientation.is_lying(_field(image, "orientation", orientation.UPRIGHT))


def _decode(data: bytes, image_type: str, encoding: ImageEncoding, detail: Detail) -> Decoded:
    actions: list[str] = []
    frames, header, gamma = 1, read_header(data), None
    if image_type == "png":
        frames, gamma, data = count_frames(data), png_gamma(data), without_ancillary(data)
    image = _open(data, image_type)
    if header is None or (image.width, image.height) != (header.width, header.height):
        raise Broken  # all limits and counts are of the header
    turn = _field(image, "orientation", orientation.UPRIGHT)
    stored = _Stored(data, image_type, image.width, image.height, turn, gamma)
    frames = _field(image, "n-pages", frames)
    if frames > 1:
        actions.append(f"frame 1 of {frames}")
    if image.format == "ushort":
        actions.append("16-bit to 8-bit")
    del image
    width, height = orientation.turned(stored.width, stored.height, turn)
    seen = views(encoding, width, height, detail)
    pixels = _read(stored, [seen.whole], actions)
    if turn in orientation.NAMES:
        actions.append(orientation.NAMES[turn])
    if (width, height) != (seen.whole.width, seen.whole.height):
        actions.append("resized")
    if seen.crops:
        pixels += _read(stored, seen.crops, [])
    rgb = b"".join(one.tobytes() for one in pixels)
    return Decoded(rgb, seen.whole.width, seen.whole.height, tuple(actions), seen.count)


def _read(stored: _Stored, wanted: Sequence[View], actions: list[str]) -> list[Pixels]:
    """Read a picture once, from top to bottom, and return these views of it."""
    parts = {view: _part(stored, view) for view in wanted}
    downward = sorted(wanted, key=lambda view: (parts[view].box.top, parts[view].box.left))
    small = _small(stored, [parts[view] for view in downward], actions)
    found = dict(zip(downward, small, strict=True))
    return [_upright(found[view], stored.orientation, view) for view in wanted]


def _part(stored: _Stored, view: View) -> _Part:
    box = orientation.stored_box(view.box, stored.width, stored.height, stored.orientation)
    return _Part(box, *orientation.turned(view.width, view.height, stored.orientation))


def _small(stored: _Stored, parts: Sequence[_Part], actions: list[str]) -> list[Pixels]:
    """Return these parts of the stored picture, all in one row or one column, reduced as far as they are to be."""
    image = _open(stored.data, stored.type, _reduction(stored, parts))
    parts = [part.scaled(image.width / stored.width, image.height / stored.height) for part in parts]
    small = _shrink(image, parts)
    if stored.gamma is not None:
        actions.append("gamma to sRGB")
        small = _with_usual_gamma(small, stored.gamma)
    colours = _to_srgb(small, actions).numpy()
    assert colours.dtype == np.uint8  # of other samples white is another number, and their bytes are no pixels
    pixels = _on_white(colours, actions)
    if _is_column(parts):
        return np.split(pixels, np.cumsum([min(part.box.height, part.height) for part in parts])[:-1], axis=0)
    return np.split(pixels, np.cumsum([min(part.box.width, part.width) for part in parts])[:-1], axis=1)


def _is_column(parts: Sequence[_Part]) -> bool:
    return len(parts) > 1 and parts[0].box.top != parts[1].box.top


def _upright(pixels: Pixels, stored_orientation: int, view: View) -> Pixels:
    pixels = orientation.turn(pixels, stored_orientation)
    if pixels.shape[:2] == (view.height, view.width):
        return pixels
    # What is left is to enlarge, where libvips and the models' own processors differ by half a pixel.
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(picture.resize((view.width, view.height), Image.Resampling.BILINEAR))


def _open(data: bytes, image_type: str, reduction: float = 1) -> pyvips.Image:
    options = {"access": "sequential", "fail_on": "truncated"}
    match image_type:
        case "png":
            return pyvips.Image.pngload_buffer(data, **options)
        case "jpeg":
            return pyvips.Image.jpegload_buffer(data, shrink=reduction, **options)
        case "webp":
            return pyvips.Image.webpload_buffer(data, scale=1 / reduction, **options)
    return _on_screen(pyvips.Image.gifload_buffer(data, **options), Box(*gif_frame(data)), gif_screen(data))


def _on_screen(image: pyvips.Image, frame: Box, screen: tuple[int, int]) -> pyvips.Image:
    """Make a GIF's screen transparent where its first frame does not reach, as browsers do.

    Libvips makes it black, and cuts off what is right of and below the frame on screens of certain sizes.
    """
    if frame == (0, 0, *screen):
        return image
    inside = image if image.hasalpha() else image.addalpha()
    clear = [255] * (inside.bands - 1) + [0]
    return inside.crop(*frame).embed(frame.left, frame.top, *screen, extend="background", background=clear)


def _reduction(stored: _Stored, parts: Sequence[_Part]) -> float:
    """How far a reader may shrink by itself and still leave twice the pixels that are needed: 1, 2, 4 or 8.

    WebP is decoded whole, and beside that a large one leaves room only for the pixels that are needed.
    """
    spare = min(min(part.box.width / part.width, part.box.height / part.height) for part in parts)
    if stored.type == "webp" and spare < 4 and stored.width * stored.height > _LARGE_WEBP_PX:
        return max(1.0, spare)
    return next((step for step in (8, 4, 2) if spare / 2 >= step), 1)


def _shrink(image: pyvips.Image, parts: Sequence[_Part]) -> pyvips.Image:
    """Reduce with the triangle filter of the models' own processors. Colours weigh as much as they are opaque."""
    if image.width > _WIDE_PX and image.format == "ushort":
        image = (image >> 8).cast("uchar").copy(interpretation="b-w" if image.bands < 3 else "srgb")
    if image.hasalpha():
        kind, interpretation = image.format, image.interpretation
        small = _reduce(image.premultiply(), parts)
        return small.unpremultiply().cast(kind).copy(interpretation=interpretation)
    return _reduce(image, parts)


def _reduce(image: pyvips.Image, parts: Sequence[_Part]) -> pyvips.Image:
    """Reduce parts, and join them: along their row or column each by itself, across it all at once.

    So each row that a reader gives is used up for every part before the next one is asked for.
    """
    first, *others = parts
    if not others:
        return _resize(first.of(image), first.width, first.height)
    if _is_column(parts):
        joined = _resize(first.of(image), first.box.width, first.height)
        for part in others:
            joined = joined.join(_resize(part.of(image), part.box.width, part.height), "vertical")
        return _resize(joined, first.width, joined.height)
    joined = _resize(first.of(image), first.width, first.box.height)
    for part in others:
        joined = joined.join(_resize(part.of(image), part.width, part.box.height), "horizontal")
    return _resize(joined, joined.width, first.height)


def _resize(image: pyvips.Image, width: int, height: int) -> pyvips.Image:
    """Reduce to `width` × `height`; never enlarge."""
    if image.width > _WIDE_PX:
        image = image.shrinkh(max(1, image.width // (width * 2)))
    across, down = min(1.0, width / image.width), min(1.0, height / image.height)
    return image.resize(across, vscale=down, kernel="linear", gap=_MOST_BY_FILTER)


def _to_srgb(image: pyvips.Image, actions: list[str]) -> pyvips.Image:
    profile = image.get("icc-profile-data") if "icc-profile-data" in image.get_fields() else b""
    if image.interpretation == "cmyk":
        actions.append("CMYK to RGB")
    if profile and not _is_srgb(profile):
        try:
            if profile[16:20] != _PROFILE_SPACES.get(image.interpretation, b"RGB ") or profile[36:40] != b"acsp":
                raise pyvips.Error("not a profile of this picture's colours")
            converted = _converted(image).copy_memory()
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


def _converted(image: pyvips.Image) -> pyvips.Image:
    """Bring a picture from its profile's colours to sRGB's, at 8 bits a sample."""
    if image.format != "ushort":
        return image.icc_transform("srgb", embedded=True)
    # In one step it would stay at 16 bits, and be read from a coarse table that is 15 of 255 off for strong colours.
    return image.icc_import(embedded=True, pcs="xyz").icc_export(output_profile="srgb", pcs="xyz", depth=8)


def _is_srgb(profile: bytes) -> bool:
    """Whether a profile calls itself sRGB and changes no colour: some that have the name have another curve."""
    if not any(name in profile for name in _SRGB_NAMES):
        return False
    probe = pyvips.Image.new_from_array(_PROBE[np.newaxis], interpretation="srgb").copy()
    probe.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    try:
        seen = probe.icc_transform("srgb", embedded=True).numpy()
    except pyvips.Error:
        return True  # its name is all that can be read of it
    return bool(np.abs(seen[0].astype(int) - _PROBE).max() <= _AS_GOOD_AS_EQUAL)


def _with_usual_gamma(image: pyvips.Image, gamma: int) -> pyvips.Image:
    """Bring a PNG's picture that is stored with a gamma of so many 100,000ths to sRGB's curve, at its own depth."""
    most, kind = (65_535, np.uint16) if image.format == "ushort" else (255, np.uint8)
    light = (np.arange(most + 1) / most) ** (100_000 / gamma)
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    table = pyvips.Image.new_from_array(np.rint(most * curve).astype(kind)[np.newaxis])
    colours = image.bands - 1 if image.hasalpha() else image.bands
    seen = image.extract_band(0, n=colours).maplut(table)
    if image.hasalpha():
        seen = seen.bandjoin(image.extract_band(colours))
    return seen.copy(interpretation=image.interpretation)


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


def _field(image: pyvips.Image, name: str, default: int) -> int:
    return int(image.get(name)) if name in image.get_fields() else default
