"""Closer views, pixel by pixel: what Pillow cuts from the upright picture and resizes, whatever the file."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from sightline.core import Detail, ImageEncoding, PanAndScan
from sightline.images.decode import decode
from sightline.images.tokens import views
from support.pictures import FORMATS, encoded

SIZE = 32
ENCODING = ImageEncoding("square", SIZE, 16, PanAndScan(min_crop_px=8))
UPRIGHT = {  # EXIF orientation to what turns the stored picture upright
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
Colours = npt.NDArray[np.uint8]


def slope(width: int, height: int) -> Image.Image:
    """Red grows to the right, green downward, blue along the diagonal: every place has a colour of its own."""
    down, across = np.mgrid[0:height, 0:width]
    channels = (across / width, down / height, (across + down) % 64 / 64)
    return Image.fromarray(
        np.stack([channel * 255 for channel in channels[:2]] + [channels[0] * 0], -1).astype("uint8")
    )


def shown(data: bytes, kind: str, detail: Detail = "high") -> Colours:
    decoded = decode(data, kind, ENCODING, detail)
    return np.frombuffer(decoded.data, np.uint8).reshape(decoded.views, decoded.height, decoded.width, 3)


def expected(upright: Image.Image) -> Colours:
    seen = views(ENCODING, *upright.size, "high")
    found = []
    for view in (seen.whole, *seen.crops):
        left, top, width, height = view.box
        part = upright.crop((left, top, left + width, top + height))
        found.append(np.asarray(part.resize((SIZE, SIZE), Image.Resampling.BILINEAR)))
    return np.stack(found)


def assert_same(found: Colours, wanted: Colours, tolerance: int = 3) -> None:
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted).max() <= tolerance


def stored(upright: Image.Image, orientation: int, kind: str, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = UPRIGHT[orientation]
    inverse = {
        Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270,
        Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90,
    }
    image = upright if turn is None else upright.transpose(inverse.get(turn, turn))
    return encoded(image, kind, exif=exif, **options)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("size", [(203, 100), (100, 203), (400, 90), (90, 400), (61, 25), (25, 61), (16, 9)])
def test_every_format_is_cut_in_the_right_places(kind: str, size: tuple[int, int]) -> None:
    image = slope(*size)
    options = {"quality": 100, "subsampling": 0} if kind == "jpeg" else {}

    found = shown(encoded(image, kind, **options), kind)

    # A GIF has no more than 256 colours.
    assert_same(found, expected(image), tolerance=24 if kind == "gif" else 4)


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("size", [(203, 100), (100, 203)])
def test_pictures_are_cut_upright(orientation: int, size: tuple[int, int]) -> None:
    upright = slope(*size)

    found = shown(stored(upright, orientation, "png"), "png")

    assert_same(found, expected(upright))


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("size", [(1700, 600), (600, 1700)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_large_pictures_that_readers_shrink_are_cut_to_a_fraction_of_a_pixel(
    kind: str, size: tuple[int, int], orientation: int
) -> None:
    upright = slope(*size)
    options = {"quality": 100, "subsampling": 0} if kind == "jpeg" else {}

    found = shown(stored(upright, orientation, kind, **options), kind)

    assert_same(found, expected(upright), tolerance=4)


def test_webp_so_large_that_its_reader_does_all_the_shrinking_is_cut_in_the_right_places() -> None:
    upright = slope(120, 90).resize((4000, 3000))
    large = ImageEncoding("square", 896, 256, PanAndScan())

    decoded = decode(encoded(upright, "webp", quality=95, method=0), "webp", large, "high")

    found = np.frombuffer(decoded.data, np.uint8).reshape(3, 896, 896, 3)
    parts = [upright, upright.crop((0, 0, 2000, 3000)), upright.crop((2000, 0, 4000, 3000))]
    wanted = np.stack([np.asarray(part.resize((896, 896), Image.Resampling.BILINEAR)) for part in parts])
    assert np.abs(found.astype(int) - wanted).mean() < 2


def test_nothing_of_one_crop_bleeds_into_the_next() -> None:
    image = Image.new("RGB", (400, 100), (255, 0, 0))
    image.paste((0, 0, 255), (100, 0, 200, 100))

    _, first, second, third, _ = shown(encoded(image), "png")

    assert (first == (255, 0, 0)).all()
    assert (second == (0, 0, 255)).all()
    assert (third == (255, 0, 0)).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "CMYK", "I;16"])
def test_every_kind_of_colour_is_cut(mode: str) -> None:
    image = slope(203, 100)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
        plain = image.point(lambda value: value / 257).convert("L").convert("RGB")
    else:
        image = image.convert(mode)
        plain = image.convert("RGB")
    kind = "jpeg" if mode == "CMYK" else "png"

    found = shown(encoded(image, kind, **({"quality": 100} if kind == "jpeg" else {})), kind)

    assert_same(found, expected(plain), tolerance=6)


def test_transparent_crops_are_laid_on_white() -> None:
    image = Image.new("RGBA", (300, 100), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (200, 0, 300, 100))

    decoded = decode(encoded(image), "png", ENCODING, "high")

    crops = np.frombuffer(decoded.data, np.uint8).reshape(4, SIZE, SIZE, 3)[1:]
    assert [tuple(crop[16, 16]) for crop in crops] == [(255, 0, 0), (255, 0, 0), (255, 255, 255)]
    assert decoded.actions == ("flattened on white", "resized")


@pytest.mark.parametrize("kind", FORMATS)
def test_the_whole_is_the_same_with_and_without_closer_views(kind: str) -> None:
    data = encoded(slope(203, 100), kind)

    low, high = shown(data, kind, "low"), shown(data, kind, "high")

    assert (len(low), len(high)) == (1, 3)
    assert np.array_equal(low[0], high[0])
