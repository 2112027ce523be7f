"""Vectors of how a file is put together: orientation, interlacing, scans, animation, extreme sizes, labels."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from vectors import scenes
from vectors.containers import RGB, animated_webp, exif, png, saved
from vectors.scenes import Array
from vectors.vector import Vector

_ACTIONS = {
    1: (),
    2: ("mirrored",),
    3: ("rotated 180°",),
    4: ("flipped",),
    5: ("mirrored and rotated 270°",),
    6: ("rotated 90°",),
    7: ("mirrored and rotated 90°",),
    8: ("rotated 270°",),
}


def orientations() -> Iterator[Vector]:
    """The eight orientations of EXIF in the three formats that have it; upright, all show the same."""
    for number, actions in _ACTIONS.items():
        stored = scenes.stored_for(number, scenes.quarters())
        note = exif(number, "<" if number % 2 else ">")
        name, seen = f"orientation-{number}", scenes.quarters()
        shows = f"the four quarters, stored for EXIF orientation {number}"
        jpeg = saved(stored, "JPEG", quality=95, subsampling=0, exif=b"Exif\0\0" + note)
        yield Vector(name, "jpeg", jpeg, seen, "quarters", shows, 2, 6, actions)
        webp = saved(stored, "WEBP", lossless=True, exif=note)
        yield Vector(name, "webp", webp, seen, "quarters", shows, actions=actions)
        data = png(stored, RGB, (b"eXIf", note))
        yield Vector(name, "png", data, seen, "quarters", shows, actions=actions)
    large = scenes.quarters(768, 1024)
    stored = scenes.stored_for(6, large)
    shows = "the four quarters, upright format, stored lying; too large to turn while it is read row by row"
    jpeg = saved(stored, "JPEG", quality=90, subsampling=0, exif=b"Exif\0\0" + exif(6))
    yield Vector("orientation-6-large", "jpeg", jpeg, large, "quarters-large", shows, 2, 8, _ACTIONS[6])
    data = png(stored, RGB, (b"eXIf", exif(6)))
    yield Vector("orientation-6-large", "png", data, large, "quarters-large", shows, actions=_ACTIONS[6])
    data = png(scenes.stored_for(6, scenes.quarters()), RGB, late=((b"eXIf", exif(6)),))
    shows = "the four quarters; the orientation stands behind the pixels"
    yield Vector("orientation-6-late", "png", data, scenes.quarters(), "quarters", shows, actions=_ACTIONS[6])
    data = png(scenes.quarters(), RGB, (b"eXIf", exif(9)))
    shows = "the four quarters and an orientation that does not exist"
    yield Vector("orientation-9", "png", data, scenes.quarters(), "quarters", shows)


def codings() -> Iterator[Vector]:
    """The same pixels, written in other ways."""
    ramp = scenes.ramp()
    interlaced = png(ramp, RGB, interlaced=True)
    yield Vector("interlaced", "png", interlaced, ramp, "ramp", "a ramp, interlaced (Adam7)")
    data = gif(scenes.quarters(), interlace=1)
    yield Vector("interlaced", "gif", data, scenes.quarters(), "quarters", "the four quarters, interlaced")
    data = gif(scenes.quarters(), interlace=0)
    yield Vector("plain", "gif", data, scenes.quarters(), "quarters", "the four quarters")
    yield Vector("lossless", "webp", saved(ramp, "WEBP", lossless=True), ramp, "ramp", "a ramp, lossless (VP8L)")
    yield Vector("lossy", "webp", saved(ramp, "WEBP", quality=95), ramp, "ramp", "a ramp, lossy (VP8)", 3, 24)
    data = saved(ramp, "JPEG", quality=95, subsampling=0)
    yield Vector("baseline-444", "jpeg", data, ramp, "ramp", "a ramp, colour at full size", 2, 10)
    data = saved(ramp, "JPEG", quality=95, subsampling=2)
    yield Vector("baseline-420", "jpeg", data, ramp, "ramp", "a ramp, colour at half size", 2, 16)
    data = saved(ramp, "JPEG", quality=95, subsampling=0, progressive=True)
    yield Vector("progressive", "jpeg", data, ramp, "ramp", "a ramp, progressive", 2, 10)


def animations() -> Iterator[Vector]:
    """More than one picture in a file: the first one counts."""
    first, blue = scenes.quarters(), np.full((32, 64, 3), scenes.COLOURS["blue"])
    shows = "three frames; the first is the four quarters, the others are blue"
    frames = [_image(blue), _image(blue[:, :, [1, 0, 2]])]
    note = ("frame 1 of 3",)
    data = gif(first, save_all=True, append_images=frames, duration=100, loop=0)
    yield Vector("animated", "gif", data, first, "quarters", shows, 0, 0, note)
    data = animated_webp([(0, 0, first), (0, 0, blue), (0, 0, first)], 64, 32)
    yield Vector("animated", "webp", data, first, "quarters", shows, 0, 0, note)
    data = saved(first, "PNG", save_all=True, append_images=frames, duration=100)
    yield Vector("animated", "png", data, first, "quarters", shows, 0, 0, note)
    small = scenes.quarters(32, 16)
    seen = np.full((32, 64, 3), 255)
    seen[8:24, 16:48] = small
    shows = "two frames; the first is smaller than the canvas and stands in its middle, around it is nothing"
    note = ("frame 1 of 2", "flattened on white")
    data = _moved_gif(small, 16, 8)
    yield Vector("offset-frame", "gif", data, seen, "offset-frame", shows, 0, 0, note)
    opaque = np.concatenate([small, np.full((16, 32, 1), 255)], axis=2)
    hidden = np.concatenate([blue, np.zeros((32, 64, 1))], axis=2).astype(int)
    data = animated_webp([(16, 8, opaque), (0, 0, hidden)], 64, 32)
    yield Vector("offset-frame", "webp", data, seen, "offset-frame", shows, 0, 0, note)
    file = io.BytesIO()
    _image(first).save(file, "MPO", save_all=True, append_images=[_image(blue)], quality=95, subsampling=0)
    shows = "a multi-picture JPEG of a two-eyed camera: the first is the four quarters"
    yield Vector("mpo", "jpeg", file.getvalue(), first, "quarters", shows, 2, 6)


def sizes() -> Iterator[Vector]:
    """As small and as stretched as a picture can be."""
    red = scenes.quarters()[:1, :1]
    shows = "one red pixel"
    yield Vector("one-pixel", "png", png(red, RGB), red, "one-pixel", shows)
    yield Vector("one-pixel", "gif", gif(red), red, "one-pixel", shows)
    yield Vector("one-pixel", "webp", saved(red, "WEBP", lossless=True), red, "one-pixel", shows)
    yield Vector("one-pixel", "jpeg", saved(red, "JPEG", quality=95), red, "one-pixel", shows, 2, 4)
    for name, width, height in (("wide", 4000, 8), ("tall", 8, 4000)):
        picture = scenes.bands(width, height)
        shows = f"{width} × {height}: red, green, blue, yellow, twice"
        yield Vector(name, "png", png(picture, RGB), picture, name, shows)
        data = saved(picture, "JPEG", quality=90, subsampling=0)
        yield Vector(name, "jpeg", data, picture, name, shows, 2, 40)


def labels() -> Iterator[Vector]:
    """Right bytes with something odd about them."""
    picture = scenes.quarters()
    jpeg = saved(picture, "JPEG", quality=95, subsampling=0)
    shows = "a JPEG that is declared image/png"
    actions = ("labelled image/png, is image/jpeg",)
    yield Vector("wrong-label", "jpeg", jpeg, picture, "quarters", shows, 2, 6, actions, "image/png")
    shows = "a JPEG that is declared image/jpg"
    yield Vector("jpg-label", "jpeg", jpeg, picture, "quarters", shows, 2, 6, (), "image/jpg")
    trailing = jpeg + b"bytes after the end, as some phones write\0" * 20
    yield Vector("trailing-bytes", "jpeg", trailing, picture, "quarters", "the four quarters and more bytes", 2, 6)
    trailing = png(picture, RGB) + bytes(1000)
    yield Vector("trailing-bytes", "png", trailing, picture, "quarters", "the four quarters and more bytes")


def gif(pixels: Array, **options: Any) -> bytes:
    """A GIF whose palette holds the picture's own colours."""
    file = io.BytesIO()
    colours, indices = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    image = Image.frombytes("P", (pixels.shape[1], pixels.shape[0]), indices.astype(np.uint8).tobytes())
    image.putpalette(colours.astype(np.uint8).tobytes())
    image.save(file, "GIF", **options)
    return file.getvalue()


def _moved_gif(pixels: Array, left: int, top: int) -> bytes:
    """A GIF of two frames, the first on a canvas twice its size; the frame's place is patched into its descriptor."""
    frame = gif(pixels, interlace=0)
    table = 13 + (3 << ((frame[10] & 7) + 1))
    height, width, _ = pixels.shape
    at = frame.index(b"\x2c" + struct.pack("<4H", 0, 0, width, height), table)
    picture = b"\x2c" + struct.pack("<4H", left, top, width, height) + frame[at + 9 : -1]
    canvas = b"GIF89a" + struct.pack("<HH", 2 * width, 2 * height) + frame[10:table]
    wait = b"\x21\xf9\x04\x00\x0a\x00\x00\x00"
    return canvas + wait + picture + wait + picture + b"\x3b"


def _image(pixels: Array) -> Image.Image:
    return Image.fromarray(pixels.astype(np.uint8))
