"""Pixels as a person sees them, whatever the file: compared with what was drawn, within what formats lose."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sightline.core import ImageEncoding
from sightline.images import decode as decode_module
from sightline.images.decode import Decoded, Undecodable, decode
from sightline.images.header import Header, read_header
from support.pictures import (
    BLACK,
    BLUE,
    FORMATS,
    GREEN,
    RED,
    WHITE,
    Colour,
    assert_close,
    corners,
    encoded,
    picture,
    png,
    quarters,
)

PAGE = ImageEncoding("page", 64)
SQUARE = ImageEncoding("square", 32, 16)
QUARTERS = [RED, GREEN, BLUE, WHITE]


def pixels(decoded: Decoded) -> npt.NDArray[np.uint8]:
    return np.frombuffer(decoded.data, np.uint8).reshape(decoded.height, decoded.width, 3)


def seen(data: bytes, kind: str, encoding: ImageEncoding = PAGE) -> tuple[list[Colour], tuple[str, ...]]:
    decoded = decode(data, kind, encoding)
    return corners(pixels(decoded)), decoded.actions


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("encoding", [PAGE, SQUARE])
@pytest.mark.parametrize("size", [(32, 32), (64, 64), (640, 480), (480, 640)])
def test_colours_are_those_that_were_drawn(kind: str, encoding: ImageEncoding, size: tuple[int, int]) -> None:
    colours, actions = seen(picture(kind, *size), kind, encoding)

    assert_close(colours, QUARTERS, tolerance=4)
    assert set(actions) <= {"resized"}


@pytest.mark.parametrize("encoding", [PAGE, SQUARE])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16"])
def test_very_wide_picture_is_reduced_like_any_other(encoding: ImageEncoding, mode: str) -> None:
    image = quarters(6_400, 800) if mode != "I;16" else Image.new("I;16", (6_400, 800), 0x8080)

    colours, _ = seen(encoded(image.convert(mode) if mode == "RGBA" else image), "png", encoding)

    assert_close(colours, QUARTERS if mode != "I;16" else [(128, 128, 128)] * 4)


def test_page_keeps_its_shape_and_square_does_not() -> None:
    page, square = (decode(picture("png", 640, 320), "png", encoding) for encoding in (PAGE, SQUARE))

    assert (page.width, page.height, page.actions) == (64, 32, ("resized",))
    assert (square.width, square.height, square.actions) == (32, 32, ("resized",))


def test_small_page_is_left_as_it_is() -> None:
    decoded = decode(picture("png", 40, 30), "png", PAGE)

    assert (decoded.width, decoded.height, decoded.actions) == (40, 30, ())
    assert pixels(decoded).tobytes() == quarters(40, 30).tobytes()


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize(
    ("orientation", "action", "expected"),
    [
        (1, None, [RED, GREEN, BLUE, WHITE]),
        (2, "mirrored", [GREEN, RED, WHITE, BLUE]),
        (3, "rotated 180°", [WHITE, BLUE, GREEN, RED]),
        (4, "flipped", [BLUE, WHITE, RED, GREEN]),
        (5, "mirrored and rotated 270°", [RED, BLUE, GREEN, WHITE]),
        (6, "rotated 90°", [BLUE, RED, WHITE, GREEN]),
        (7, "mirrored and rotated 90°", [WHITE, GREEN, BLUE, RED]),
        (8, "rotated 270°", [GREEN, WHITE, RED, BLUE]),
    ],
)
def test_exif_orientation_is_applied(kind: str, orientation: int, action: str | None, expected: list[Colour]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(quarters(64, 32), kind, exif=exif)

    decoded = decode(data, kind, PAGE)

    assert_close(corners(pixels(decoded)), expected, tolerance=4)
    assert (decoded.width, decoded.height) == ((32, 64) if orientation >= 5 else (64, 32))
    assert decoded.actions == ((action,) if action else ())


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientation_that_does_not_exist_is_none(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation

    colours, actions = seen(encoded(quarters(), "jpeg", exif=exif), "jpeg")

    assert_close(colours, QUARTERS, tolerance=4)
    assert actions == ()


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_transparency_is_laid_on_white(kind: str) -> None:
    image = quarters(64, 64).convert("RGBA")
    image.putalpha(Image.new("L", (64, 64), 128))
    image.paste((0, 0, 0, 0), (0, 0, 32, 32))

    colours, actions = seen(encoded(image, kind), kind)

    assert_close(colours, [WHITE, (127, 255, 127), (127, 127, 255), WHITE])
    assert actions == ("flattened on white",)


def test_hidden_colours_do_not_bleed_when_a_picture_is_made_smaller() -> None:
    image = Image.new("RGBA", (256, 256), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 128, 256))

    decoded = decode(encoded(image), "png", SQUARE)

    assert_close([tuple(pixels(decoded)[16, 20])], [RED])
    assert pixels(decoded)[:, :, 0].min() >= 250


def test_opaque_alpha_is_not_worth_a_word() -> None:
    colours, actions = seen(encoded(quarters().convert("RGBA")), "png")

    assert_close(colours, QUARTERS)
    assert actions == ()


def test_transparent_palette_entry_is_white() -> None:
    image = quarters(64, 64).quantize(4)
    first = image.getpixel((0, 0))

    colours, actions = seen(encoded(image, "png", transparency=first), "png")

    assert_close(colours, [WHITE, GREEN, BLUE, WHITE])
    assert "flattened on white" in actions


def test_half_transparent_palette_is_laid_on_white() -> None:
    palette = bytes([*RED, *GREEN, *BLUE, *BLACK])
    rows = bytes([0, 1]) * 4 + bytes([2, 3]) * 4
    data = png(8, 2, 8, 3, rows, (b"PLTE", palette), (b"tRNS", bytes([255, 0, 128])))

    decoded = decode(data, "png", PAGE)

    assert_close([tuple(pixels(decoded)[0, at]) for at in (0, 1)], [RED, WHITE])
    assert_close([tuple(pixels(decoded)[1, at]) for at in (0, 1)], [(127, 127, 255), BLACK])


def test_transparent_gif_is_white_where_nothing_is() -> None:
    image = quarters(64, 64).convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 32, 32))

    colours, _ = seen(encoded(image, "gif"), "gif")

    assert_close(colours, [WHITE, GREEN, BLUE, WHITE])


@pytest.mark.parametrize("screen", [(0, 0), (0, 200), (20, 20), (100, 50), (640, 480), (3000, 10)])
@pytest.mark.parametrize("at", [(0, 0), (5, 7)])
def test_gif_is_seen_on_its_screen_as_browsers_show_it(screen: tuple[int, int], at: tuple[int, int]) -> None:
    """Sizes that some programs once wrote for every GIF, like 640 × 480, are sizes all the same."""
    data = bytearray(picture("gif", 64, 32))
    data[6:10] = struct.pack("<HH", *screen)
    frame = data.index(b",", 13 + (3 << ((data[10] & 7) + 1)))
    data[frame + 1 : frame + 5] = struct.pack("<HH", *at)
    header = read_header(bytes(data))
    assert header is not None

    decoded = decode(bytes(data), "gif", ImageEncoding("page", 4000))

    expected = Image.new("RGB", (header.width, header.height), WHITE)
    expected.paste(quarters(64, 32), at)
    assert np.array_equal(pixels(decoded), np.asarray(expected))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_palette_of_every_depth_is_resolved(depth: int) -> None:
    palette = bytes([*BLACK, *RED])
    row = {1: b"\x55", 2: b"\x11\x11", 4: b"\x01" * 4, 8: b"\x00\x01" * 4}[depth]

    decoded = decode(png(8, 8, depth, 3, row * 8, (b"PLTE", palette)), "png", PAGE)

    assert_close([tuple(pixels(decoded)[0, at]) for at in range(4)], [BLACK, RED, BLACK, RED])


@pytest.mark.parametrize(
    ("colour_type", "samples"), [(0, [0x8000]), (2, [0x8000, 0x00FF, 0xFFFF]), (4, [0x8000, 0xFFFF])]
)
def test_16_bits_are_scaled_not_clipped(colour_type: int, samples: list[int]) -> None:
    pixel = struct.pack(f">{len(samples)}H", *samples)

    decoded = decode(png(8, 8, 16, colour_type, pixel * 64), "png", PAGE)

    expected = (128, 1, 255) if colour_type == 2 else (128, 128, 128)
    assert_close([tuple(pixels(decoded)[4, 4])], [expected], tolerance=1)
    assert "16-bit to 8-bit" in decoded.actions


def test_16_bit_transparency_is_laid_on_white() -> None:
    pixel = struct.pack(">4H", 0xFFFF, 0, 0, 0x8000)

    decoded = decode(png(8, 8, 16, 6, pixel * 64), "png", PAGE)

    assert_close([tuple(pixels(decoded)[4, 4])], [(255, 127, 127)], tolerance=2)


def test_16_bit_grey_with_a_transparent_value_is_white_there() -> None:
    row = struct.pack(">8H", *[0x1234, 0x8000] * 4)

    decoded = decode(png(8, 8, 16, 0, row * 8, (b"tRNS", struct.pack(">H", 0x1234))), "png", PAGE)

    assert_close([tuple(pixels(decoded)[0, at]) for at in (0, 1)], [WHITE, (128, 128, 128)], tolerance=1)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_grey_of_every_depth_goes_from_black_to_white(depth: int) -> None:
    row = {1: b"\x55", 2: b"\x33\x33", 4: b"\x0f" * 4, 8: b"\x00\xff" * 4}[depth]

    decoded = decode(png(8, 8, depth, 0, row * 8), "png", PAGE)

    assert_close([tuple(pixels(decoded)[0, at]) for at in (0, 1)], [BLACK, WHITE])


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif"])
def test_grey_picture_is_grey_in_three_channels(mode: str, kind: str) -> None:
    image = Image.linear_gradient("L").convert(mode)
    if kind == "jpeg" and mode != "L":
        image = image.convert("L")
    if kind == "webp":
        image = image.convert("RGBA")

    found = pixels(decode(encoded(image, kind), kind, PAGE))

    assert (found[:, :, 0] == found[:, :, 1]).all()
    assert found[0].mean() < 10
    assert found[-1].mean() > 245


def test_cmyk_is_converted() -> None:
    data = encoded(quarters(64, 64).convert("CMYK"), "jpeg", quality=95)

    colours, actions = seen(data, "jpeg")

    assert "CMYK to RGB" in actions
    assert [int(np.argmax(colour)) for colour in colours[:3]] == [0, 1, 2]
    assert_close(colours[3:], [WHITE])


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_first_frame_of_an_animation_is_seen(kind: str) -> None:
    others = [Image.new("RGB", (64, 64), colour) for colour in (BLACK, RED, BLUE)]

    colours, actions = seen(encoded(quarters(64, 64), kind, save_all=True, append_images=others), kind)

    assert_close(colours, QUARTERS)
    assert actions == ("frame 1 of 4",)


def test_animated_png_is_its_first_frame() -> None:
    others = [Image.new("RGB", (64, 64), BLACK)]

    colours, _ = seen(encoded(quarters(64, 64), "png", save_all=True, append_images=others), "png")

    assert_close(colours, QUARTERS)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("encoding", [PAGE, SQUARE])
@pytest.mark.parametrize("size", [(1, 1), (4000, 8), (8, 4000), (1, 3000), (3, 2)])
def test_extreme_shapes_do_not_choke(kind: str, encoding: ImageEncoding, size: tuple[int, int]) -> None:
    decoded = decode(encoded(Image.new("RGB", size, BLUE), kind), kind, encoding)

    assert decoded.width >= 1
    assert decoded.height >= 1
    assert len(decoded.data) == decoded.width * decoded.height * 3
    assert_close([tuple(pixels(decoded)[0, 0]), tuple(pixels(decoded)[-1, -1])], [BLUE, BLUE], tolerance=4)


@pytest.mark.parametrize("hidden", [True, False])
def test_a_jpeg_has_one_size_for_all_who_read_it(hidden: bool) -> None:
    """A marker without a length (TEM) before two of the same length as bytes; a comment with another frame in it."""
    real = encoded(Image.new("L", (800, 600)), "jpeg")
    scan = real.index(b"\xff\xda")
    frame = b"\xff\xc0\0\x0b\x08\0\x10\0\x10\1\1\x11\0"
    comment = b"\xff\xfe" + (len(frame) + 2).to_bytes(2, "big")
    jump = (2 + scan - 2 + len(comment)).to_bytes(2, "big")
    data = b"\xff\xd8\xff\1" + jump * hidden + real[2:scan] + comment + frame + real[scan:]

    header = read_header(data)

    assert header is not None
    assert (header.width, header.height) == (800, 600)
    assert decode(data, "jpeg", ImageEncoding("page", 2000)).width == 800


def test_what_decodes_to_another_size_than_its_header_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_module, "read_header", lambda _: Header("png", 8, 8))

    with pytest.raises(Undecodable):
        decode(encoded(quarters()), "png", PAGE)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_picture_cut_short_is_undecodable(kind: str, kept: float) -> None:
    noise = Image.effect_noise((64, 64), 90).convert("RGB")
    data = encoded(noise, kind)

    with pytest.raises(Undecodable):
        decode(data[: int(len(data) * kept)], kind, PAGE)


@pytest.mark.parametrize("asked", FORMATS)
@pytest.mark.parametrize("kind", FORMATS)
def test_only_the_decoder_of_the_header_is_asked(kind: str, asked: str) -> None:
    if kind == asked:
        return

    with pytest.raises(Undecodable):
        decode(picture(kind), asked, PAGE)


def test_texts_of_a_png_are_not_inflated() -> None:
    bomb = b"key\0\0" + zlib.compress(bytes(50_000_000), 9)
    data = png(8, 8, 8, 2, bytes([*RED]) * 64, *[(b"zTXt", bomb)] * 10, (b"iCCP", bomb))

    colours, actions = seen(data, "png")

    assert_close(colours, [RED] * 4)
    assert actions == ()


def test_failure_carries_no_text_of_a_library() -> None:
    with pytest.raises(Undecodable) as caught:
        decode(b"not a picture", "png", PAGE)

    assert "not a" not in str(caught.value)
    assert caught.value.__cause__ is None


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=150)
@given(st.sampled_from(FORMATS), st.data())
def test_damage_anywhere_decodes_or_is_undecodable(kind: str, data: st.DataObject) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    quarters(16, 16).save(file, kind.upper(), exif=exif, icc_profile=b"x" * 128)
    damaged = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))

    try:
        decoded = decode(bytes(damaged), kind, SQUARE)
    except Undecodable:
        return

    assert len(decoded.data) == 32 * 32 * 3
