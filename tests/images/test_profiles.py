"""Colour profiles: what a file stores is shown as its profile says, unless that is sRGB or cannot be read."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageCms

from sightline.core import ImageEncoding
from sightline.images.decode import decode
from support.pictures import BLUE, GREEN, RED, WHITE, Colour, assert_close, corners, encoded, quarters

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
