"""Colour profiles: what a file stores is shown as its profile says, unless that is sRGB or cannot be read."""

from __future__ import annotations

import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from sightline.core import ImageEncoding
from sightline.images.decode import decode
from support.pictures import BLUE, GREEN, RED, WHITE, Colour, assert_close, corners, encoded, png, quarters
from vectors.containers import grey_profile, rgb_profile
from vectors.scenes import DISPLAY_P3

PAGE = ImageEncoding("page", 64)
QUARTERS = [RED, GREEN, BLUE, WHITE]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def shown(data: bytes, kind: str) -> tuple[list[Colour], tuple[str, ...]]:
    decoded = decode(data, kind, PAGE)
    pixels = np.frombuffer(decoded.data, np.uint8).reshape(decoded.height, decoded.width, 3)
    return corners(pixels), decoded.actions


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_colour_profile_is_converted_to_srgb(kind: str) -> None:
    """A profile like sRGB but with red and blue in each other's place."""
    named = SRGB.replace(b"\0s\0R\0G\0B", b"\0x\0R\0G\0B").replace(b"sRGB", b"xRGB")
    swapped = named.replace(b"rXYZ", b"tXYZ").replace(b"bXYZ", b"rXYZ").replace(b"tXYZ", b"bXYZ")

    colours, actions = shown(encoded(quarters(), kind, icc_profile=swapped), kind)

    assert_close(colours, [BLUE, GREEN, RED, WHITE], tolerance=5)
    assert actions == ("colour profile to sRGB",)


def test_srgb_profile_is_not_worth_a_word() -> None:
    colours, actions = shown(encoded(quarters(), "png", icc_profile=SRGB), "png")

    assert_close(colours, QUARTERS)
    assert actions == ()


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_profile_is_not_srgb_by_its_name(kind: str) -> None:
    """A linear one that has the name in its own: what is stored as 55 is shown as 128."""
    linear = bytearray(SRGB)
    at = linear.index(b"para")
    linear[at : at + 16] = b"para" + bytes(8) + (1 << 16).to_bytes(4, "big")  # a power of 1
    grey = Image.new("RGB", (64, 64), (55, 55, 55))

    decoded = decode(encoded(grey, kind, icc_profile=bytes(linear)), kind, PAGE)

    assert abs(decoded.data[-1] - 128) <= 3
    assert decoded.actions == ("colour profile to sRGB",)


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
@pytest.mark.parametrize(
    "profile",
    [
        b"nonsense",
        b"x" * 200,
        ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
        SRGB[:12] + bytes(200),
    ],
)
def test_profile_of_no_use_is_ignored_and_said_so(kind: str, profile: bytes) -> None:
    colours, actions = shown(encoded(quarters(), kind, icc_profile=profile), kind)

    assert_close(colours, QUARTERS, tolerance=4)
    assert actions == ("colour profile unreadable, ignored",)


@pytest.mark.parametrize(("colour_type", "samples"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_16_bits_with_a_profile_are_seen_as_8_bits_are(colour_type: int, samples: int) -> None:
    stored = np.random.default_rng(1).integers(0, 256, (16, 16, samples))
    if colour_type >= 4:
        stored[:8, :, -1], stored[8:, :, -1] = 255, 128
    profile = rgb_profile("Display P3", DISPLAY_P3) if samples >= 3 else grey_profile("Gamma 1.8", 1.8)
    chunk = (b"iCCP", b"profile\0\0" + zlib.compress(profile))

    eight = decode(png(16, 16, 8, colour_type, stored.astype(np.uint8).tobytes(), chunk), "png", PAGE)
    sixteen = decode(png(16, 16, 16, colour_type, (stored * 257).astype(">u2").tobytes(), chunk), "png", PAGE)

    assert len(sixteen.data) == len(eight.data) == 16 * 16 * 3
    differences = np.frombuffer(sixteen.data, np.uint8).astype(int) - np.frombuffer(eight.data, np.uint8)
    assert np.abs(differences).max() <= 3
    assert sixteen.actions == ("16-bit to 8-bit", *eight.actions)
    assert "colour profile to sRGB" in sixteen.actions


def test_large_profiles_are_not_kept() -> None:
    """Nothing of a picture stays behind in the process that decodes it."""
    files = [encoded(quarters(), "webp", icc_profile=SRGB + bytes([at]) * 1_000_000) for at in range(4)]
    decode(files[0], "webp", PAGE)

    tracemalloc.start()
    try:
        for file in files:
            decode(file, "webp", PAGE)
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held_bytes < 500_000
