"""Vectors of how a picture holds its colours: transparency, depth, grey, CMYK, profiles, gamma."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np

from vectors import scenes
from vectors.containers import (
    GREY,
    GREY_ALPHA,
    PALETTE,
    RGB,
    RGBA,
    four_component_jpeg,
    grey_profile,
    png,
    rgb_profile,
    saved,
)
from vectors.scenes import Array
from vectors.vector import Vector

_FLATTENED = ("flattened on white",)
_16_BIT = ("16-bit to 8-bit",)
_ON_WHITE = "red, green at half strength, white where nothing is (noise hides there), yellow"


def transparent() -> Iterator[Vector]:
    """Transparency, in each way a format has for it."""
    picture = scenes.see_through()
    seen = scenes.on_white(picture)
    yield Vector("rgba", "png", png(picture, RGBA), seen, "see-through", _ON_WHITE, 0.5, 1, _FLATTENED)
    deep = png(picture * 257, RGBA, depth=16)
    yield Vector("rgba-16", "png", deep, seen, "see-through", _ON_WHITE, 0.5, 1, _16_BIT + _FLATTENED)
    lossless = saved(picture, "WEBP", lossless=True, exact=True)
    yield Vector("alpha-lossless", "webp", lossless, seen, "see-through", _ON_WHITE, 0.5, 1, _FLATTENED)
    smooth = np.concatenate([scenes.ramp(), scenes.in_quarters([[255], [128], [64], [255]])], axis=2)
    lossy = saved(smooth, "WEBP", quality=95)
    shows = "a ramp, its quarters opaque, half, a quarter, opaque"
    yield Vector("alpha-lossy", "webp", lossy, scenes.on_white(smooth), "see-through-ramp", shows, 3, 24, _FLATTENED)
    grey = np.concatenate([scenes.grey_ramp(), scenes.in_quarters([[255], [128], [0], [255]])], axis=2)
    seen = scenes.as_rgb(scenes.on_white(grey))
    shows = "a grey ramp: opaque, half, nothing, opaque"
    yield Vector("grey-alpha", "png", png(grey, GREY_ALPHA), seen, "grey-alpha", shows, 0.5, 1, _FLATTENED)
    deep = png(grey * 257, GREY_ALPHA, depth=16)
    yield Vector("grey-alpha-16", "png", deep, seen, "grey-alpha", shows, 0.5, 1, _16_BIT + _FLATTENED)
    opaque = np.concatenate([scenes.quarters(), np.full((32, 64, 1), 255)], axis=2)
    shows = "an alpha channel in which everything is opaque"
    yield Vector("rgba-opaque", "png", png(opaque, RGBA), scenes.quarters(), "quarters", shows)


def keyed() -> Iterator[Vector]:
    """Transparency by a colour or an entry of a palette: tRNS, and GIF's."""
    indices = scenes.in_quarters([[0], [1], [2], [3]])
    palette = (b"PLTE", np.array(list(scenes.COLOURS.values()), np.uint8).tobytes())
    alpha = np.array([255, 128, 0, 255])[indices]
    seen = scenes.on_white(np.concatenate([scenes.quarters(), alpha], axis=2))
    data = png(indices, PALETTE, palette, (b"tRNS", bytes([255, 128, 0])), depth=2)
    yield Vector("palette-trns", "png", data, seen, "see-through", _ON_WHITE, 0.5, 1, _FLATTENED)
    yield Vector("palette", "png", png(indices, PALETTE, palette, depth=2), scenes.quarters(), "quarters", "a palette")
    shows = "blue stands for transparent, so it is white"
    white = [[220, 40, 40], [40, 170, 60], [255, 255, 255], [250, 210, 40]]
    seen = scenes.in_quarters(white)
    data = png(scenes.quarters(), RGB, (b"tRNS", struct.pack(">3H", *scenes.COLOURS["blue"])))
    yield Vector("rgb-trns", "png", data, seen, "blue-is-white", shows, 0, 0, _FLATTENED)
    data = saved(indices, "GIF", "P", transparency=2, palette=palette[1])
    yield Vector("transparent", "gif", data, seen, "blue-is-white", shows, 0, 0, _FLATTENED)
    steps = scenes.in_quarters([[0], [85], [170], [255]])
    seen = scenes.as_rgb(scenes.in_quarters([[255], [85], [170], [255]]))
    data = png(steps, GREY, (b"tRNS", struct.pack(">H", 0)))
    yield Vector("grey-trns", "png", data, seen, "black-is-white", "black stands for transparent", 0, 0, _FLATTENED)
    data = png(indices, GREY, (b"tRNS", struct.pack(">H", 0)), depth=2)
    shows = "black stands for transparent, 2 bits a pixel"
    yield Vector("grey-2-trns", "png", data, seen, "black-is-white", shows, 0, 0, _FLATTENED)


def depths() -> Iterator[Vector]:
    """One to sixteen bits a channel, and grey."""
    ramp = scenes.grey_ramp(65535)
    shows = "a grey ramp over all 65,536 values; clipped, all but its start is white"
    seen = scenes.as_rgb(scenes.from_16_bits(ramp))
    yield Vector("grey-16", "png", png(ramp, GREY, depth=16), seen, "grey-ramp", shows, 1, 1, _16_BIT)
    ramp = scenes.ramp() * 257
    shows = "a ramp in 16 bits a channel"
    seen = scenes.from_16_bits(ramp)
    yield Vector("rgb-16", "png", png(ramp, RGB, depth=16), seen, "ramp", shows, 1, 1, _16_BIT)
    ramp = scenes.grey_ramp()
    seen = scenes.as_rgb(ramp)
    yield Vector("grey", "png", png(ramp, GREY), seen, "grey-ramp", "a grey ramp")
    yield Vector("grey", "jpeg", saved(ramp, "JPEG", quality=95), seen, "grey-ramp", "a grey ramp", 1, 4)
    checks = (np.indices((32, 64)).sum(axis=0) // 8 % 2)[:, :, None]
    seen = scenes.as_rgb(checks * 255)
    yield Vector("one-bit", "png", png(checks, GREY, depth=1), seen, "checks", "black and white fields, black first")
    steps = scenes.in_quarters([[0], [5], [10], [15]])
    seen = scenes.as_rgb(steps * 17)
    yield Vector("grey-4", "png", png(steps, GREY, depth=4), seen, "grey-steps", "black, dark, light, white")


def cmyk() -> Iterator[Vector]:
    """Four inks without a profile, as JPEG holds them; browsers let each ink take its share of the light."""
    inks = scenes.to_cmyk(scenes.quarters())
    seen = scenes.from_cmyk(inks)
    note = ("CMYK to RGB",)
    shows = "the four quarters in inks, inverted as Adobe writes them"
    adobe = four_component_jpeg(255 - inks, 0)
    yield Vector("cmyk-adobe", "jpeg", adobe, seen, "quarters", shows, 2, 6, note)
    shows = "the same inks without Adobe's marker: browsers take them as inverted all the same"
    yield Vector("cmyk-no-marker", "jpeg", four_component_jpeg(255 - inks, None), seen, "quarters", shows, 2, 6, note)
    stored = np.concatenate([scenes.to_ycc(inks[:, :, :3]), 255 - inks[:, :, 3:]], axis=2)
    shows = "the four quarters as YCCK, the CMYK that Photoshop writes"
    yield Vector("ycck-adobe", "jpeg", four_component_jpeg(stored, 2), seen, "quarters", shows, 2, 8, note)


def profiles() -> Iterator[Vector]:
    """Colours that are only right when the profile is used; the last ones swap red and green without it."""
    note = ("colour profile to sRGB",)
    shows = "the four quarters, as {} stores them"
    p3 = rgb_profile("Display P3", scenes.DISPLAY_P3)
    stored = scenes.encode_in(scenes.quarters(), scenes.DISPLAY_P3)
    seen = scenes.decode_from(stored, scenes.DISPLAY_P3)
    yield from _in_three("icc-p3", stored, p3, seen, shows.format("Display P3"))
    adobe = rgb_profile("Adobe RGB compatible", scenes.ADOBE_RGB, scenes.ADOBE_GAMMA)
    stored = scenes.encode_in(scenes.quarters(), scenes.ADOBE_RGB, scenes.ADOBE_GAMMA)
    seen = scenes.decode_from(stored, scenes.ADOBE_RGB, scenes.ADOBE_GAMMA)
    yield from _in_three("icc-adobe-rgb", stored, adobe, seen, shows.format("Adobe RGB"))
    swapped = rgb_profile("Red and green swapped", scenes.SWAPPED)
    stored = scenes.quarters()[:, :, [1, 0, 2]]
    shows = "the four quarters; red and green are swapped for who ignores the profile"
    yield from _in_three("icc-swapped", stored, swapped, scenes.quarters(), shows)
    ramp = scenes.grey_ramp()
    seen = scenes.as_rgb(np.rint(scenes.linear_to_srgb(ramp / 255) * 255).astype(int))
    chunk = _iccp(grey_profile("Linear grey", 1.0))
    shows = "a grey ramp in linear light; too dark for who ignores the profile"
    yield Vector("icc-linear-grey", "png", png(ramp, GREY, chunk), seen, "linear-grey", shows, 1, 10, note)


def _in_three(name: str, stored: Array, profile: bytes, seen: Array, shows: str) -> Iterator[Vector]:
    note = ("colour profile to sRGB",)
    yield Vector(name, "png", png(stored, RGB, _iccp(profile)), seen, name, shows, 1, 2, note)
    jpeg = saved(stored, "JPEG", quality=97, subsampling=0, icc_profile=profile)
    yield Vector(name, "jpeg", jpeg, seen, name, shows, 2, 6, note)
    webp = saved(stored, "WEBP", lossless=True, icc_profile=profile)
    yield Vector(name, "webp", webp, seen, name, shows, 1, 2, note)


def _iccp(profile: bytes) -> tuple[bytes, bytes]:
    return b"iCCP", b"profile\0\0" + zlib.compress(profile, 9)


def gamma() -> Iterator[Vector]:
    """PNG's own words about colour: nothing to do for sRGB's, whose curve other gammas are brought to."""
    picture, seen = scenes.ramp(), scenes.ramp()
    usual, srgb = (b"gAMA", struct.pack(">I", 45455)), (b"sRGB", b"\0")
    yield Vector("gama", "png", png(picture, RGB, usual), seen, "ramp", "a ramp that says its gamma is the usual one")
    yield Vector("srgb", "png", png(picture, RGB, srgb, usual), seen, "ramp", "a ramp that says it is sRGB")
    wrong = (b"gAMA", struct.pack(">I", 100_000))
    shows = "a ramp that says it is sRGB and also a gamma of 1: sRGB counts"
    yield Vector("srgb-over-gama", "png", png(picture, RGB, wrong, srgb), seen, "ramp", shows)
    done = ("gamma to sRGB",)
    for name, said, shows in (("linear", 100_000, "as light itself"), ("old-mac", 55_556, "with a gamma of 1.8")):
        lit, file = _lit(picture, 255, said), png(picture, RGB, (b"gAMA", struct.pack(">I", said)))
        yield Vector(f"gama-{name}", "png", file, lit, f"ramp-{name}", f"a ramp stored {shows}", 1, 1, done)
    fine = scenes.grey_ramp(65535)
    lit = scenes.as_rgb(scenes.from_16_bits(_lit(fine, 65535, 100_000)))
    shows = "a grey ramp over all 65,536 values, stored as light itself"
    yield Vector("gama-16", "png", png(fine, GREY, wrong, depth=16), lit, "gama-16", shows, 1, 1, (*_16_BIT, *done))


def _lit(stored: Array, most: int, gamma: int) -> Array:
    """What is stored with a gamma of so many 100,000ths, on sRGB's curve."""
    light = (stored.astype(float) / most) ** (100_000 / gamma)
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(most * curve).astype(stored.dtype if most > 255 else np.uint8)
