"""The first bytes of a picture: format, size and scans, and nothing decoded."""

from __future__ import annotations

import io
import struct
import sys
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sightline.images.header import MOST_SCANS, Broken, Header, name_format, read_header
from support import bombs
from support.pictures import FORMATS, encoded, picture, png_header, quarters


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("size", [(1, 1), (3, 1), (4000, 8), (8, 4000), (257, 129)])
def test_size_and_format_are_those_of_pillow(kind: str, size: tuple[int, int]) -> None:
    data = picture(kind, *size)

    header = read_header(data)

    assert header is not None
    assert (header.type, header.width, header.height) == (kind, *size)


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 50},
        {"lossless": True},
        {"lossless": True, "exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"},
        {"save_all": True, "append_images": [quarters(50, 40).rotate(90)]},
    ],
)
def test_every_kind_of_webp_has_its_size(options: dict[str, object]) -> None:
    header = read_header(encoded(quarters(50, 40), "webp", **options))

    assert header == Header("webp", 50, 40)


def test_first_frame_larger_than_its_gif_screen_counts() -> None:
    data = bytearray(picture("gif", 40, 30))
    data[6:10] = struct.pack("<HH", 5, 5)

    assert read_header(bytes(data)) == Header("gif", 40, 30)


@pytest.mark.parametrize("screen", [(0, 0), (0, 50), (50, 0)])
def test_gif_screen_of_no_size_is_its_first_frame(screen: tuple[int, int]) -> None:
    data = bytearray(picture("gif", 40, 30))
    data[6:10] = struct.pack("<HH", *screen)

    assert read_header(bytes(data)) == Header("gif", 40, 30)


@pytest.mark.parametrize("options", [{"comment": b"x" * 700}, {"save_all": True, "loop": 0}])
def test_gif_with_extensions_has_its_size(options: dict[str, object]) -> None:
    assert read_header(encoded(quarters(40, 30), "gif", **options)) == Header("gif", 40, 30)


def test_scans_of_a_progressive_jpeg_are_counted() -> None:
    baseline = read_header(encoded(quarters(64, 64), "jpeg"))
    progressive = read_header(encoded(quarters(64, 64), "jpeg", progressive=True))

    assert baseline is not None
    assert baseline.scans == 1
    assert progressive is not None
    assert progressive.scans == 10


def _jpeg_of_scans(scans: int, *, between: bytes = b"") -> bytes:
    data = encoded(quarters(64, 64), "jpeg", progressive=True)
    start = data.rindex(b"\xff\xda")
    scan, end = data[start:-2], data[-2:]
    return data[:start] + (scan + between) * scans + end


@pytest.mark.parametrize("between", [b"", b"\xff\xfe\0\x06\xff\xda\xff\xda", b"\xff\xff\xff", b"\xff\xd0"])
def test_many_scans_are_counted_exactly(between: bytes) -> None:
    header = read_header(_jpeg_of_scans(150, between=between))

    assert header is not None
    assert header.scans == 159


@pytest.mark.parametrize("end", [b"\xff\xda", b"\xff\xda\0", b"\xff\xfe\0"])
def test_picture_that_ends_in_the_middle_of_a_segment_has_its_size(end: bytes) -> None:
    header = read_header(picture("jpeg", 40, 30).removesuffix(b"\xff\xd9") + end)

    assert header == Header("jpeg", 40, 30, scans=1, kept_bytes=0)


def test_scan_markers_in_a_comment_are_no_scans() -> None:
    data = picture("jpeg")
    comment = b"\xff\xfe" + struct.pack(">H", 2 + 400) + b"\xff\xda" * 200

    header = read_header(data[:2] + data[2:].replace(b"\xff\xda", comment + b"\xff\xda", 1))

    assert header is not None
    assert header.scans == 1


def test_thumbnail_inside_exif_does_not_give_the_size() -> None:
    thumbnail = picture("jpeg", 8, 8)
    app1 = b"\xff\xe1" + struct.pack(">H", 2 + len(thumbnail)) + thumbnail
    data = picture("jpeg", 640, 480)

    header = read_header(data[:2] + app1 + data[2:])

    assert header is not None
    assert (header.width, header.height) == (640, 480)


@pytest.mark.parametrize(
    "data",
    [
        png_header(0, 5),
        png_header(5, 5)[:20],
        b"\x89PNG\r\n\x1a\n\0\0\0\rIDAT",
        b"GIF89a",
        picture("gif")[:13],
        b"GIF89a\x05\0\x05\0\0\0\0;",
        b"GIF89a\x05\0\x05\0\0\0\0,\0\0\0\0\0\0\5\0",
        b"GIF89a\x05\0\x05\0\0\0\0" + b"!\xfe\0" * 20_001,
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8" + b"\xff\xe0\0\x02" * 50,
        b"RIFF\x10\0\0\0WEBPXXXX",
        b"RIFF\x10\0\0\0WEBPVP8 \0\0\0\0\0\0\0\0\0\0",
        b"RIFF\x10\0\0\0WEBPVP8L\0\0\0\0\0\0\0\0\0\0",
        b"RIFF\x10\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\1",
        picture("jpeg")[:30],
    ],
)
def test_cut_or_damaged_header_is_broken(data: bytes) -> None:
    with pytest.raises(Broken):
        read_header(data)


def test_run_of_fill_bytes_is_passed_over_in_linear_time() -> None:
    data = picture("jpeg")

    assert read_header(data[:2] + b"\xff" * 700_000 + data[2:]) == read_header(data)
    with pytest.raises(Broken):
        read_header(data[:2] + b"\xff" * 700_000 + b"\0")


def _lines_run(data: bytes) -> int:
    """How many lines of Python the header of `data` takes: its work, whatever else the machine does."""
    lines = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with suppress(Broken):
            read_header(data)
    finally:
        sys.settrace(before)
    return lines


_JPEG, _GIF = picture("jpeg"), picture("gif")
_BEHIND_SCREEN = 13 + (3 << ((_GIF[10] & 7) + 1))
_SCANS = b"\xff\xda\0\2" * 21


def _full(piece: bytes) -> bytes:
    return piece * (750_000 // len(piece))


@pytest.mark.parametrize(
    "data",
    [
        *(_JPEG[:2] + _full(piece) + _JPEG[2:] for piece in (b"\xff", b"\xff\0", b"\xff\xd0", b"\xff\xfe\0\2", b"\0")),
        *(
            _JPEG[:-2] + _SCANS + _full(piece) + _JPEG[-2:]
            for piece in (b"\xff\xda\0\2", b"\xff\xfe\0\2", b"\xff", b"\xff\0", b"\xff\1", b"\xff\xff\xfe\0\2")
        ),
        bombs.jpeg_of_scans(9_999, 500, 500),
        _GIF[:_BEHIND_SCREEN] + b"!\xfe" + _full(b"\1a") + b"\0" + _GIF[_BEHIND_SCREEN:],
        _GIF[:_BEHIND_SCREEN] + _full(b"!\xfe\0") + _GIF[_BEHIND_SCREEN:],
    ],
    ids=range(14),
)
def test_no_header_takes_much_work(data: bytes) -> None:
    """It is read on the event loop, which nothing may hold up over 5 ms; a line takes some 0.1 µs."""
    assert _lines_run(data) < 40_000


def test_more_segments_than_a_camera_writes_are_broken() -> None:
    with pytest.raises(Broken):
        read_header(b"\xff\xd8" + b"\xff\xe0\0\2" * 5_000 + picture("jpeg")[2:])


def test_more_scans_than_anyone_allows_are_not_counted_to_the_end() -> None:
    header = read_header(_jpeg_of_scans(11_000))

    assert header is not None
    assert header.scans == MOST_SCANS + 1


def test_scans_beyond_those_that_are_walked_are_never_too_few() -> None:
    header = read_header(_jpeg_of_scans(700, between=b"\xff\xfe\0\2"))

    assert header is not None
    assert header.scans == 709


@pytest.mark.parametrize(
    ("data", "kept_bytes"),
    [
        (bombs.png_claim(100, 10), 0),
        (bombs.png_claim(100, 10, interlaced=True), 3_000),
        (bombs.png_claim(100, 10, depth=16, colour_type=6, interlaced=True), 8_000),
        (bombs.png_claim(9_000, 10, depth=16, colour_type=6), 2 * 720_000),
        (bombs.jpeg_claim(100, 10, channels=4), 8_000),
        (picture("jpeg", 100, 10), 0),
    ],
)
def test_pictures_that_must_be_kept_whole_are_known(data: bytes, kept_bytes: int) -> None:
    header = read_header(data)

    assert header is not None
    assert header.kept_bytes == kept_bytes


def test_jpeg_without_a_height_is_broken() -> None:
    """A height of 0 is told later, by a DNL marker, which few decoders read."""
    data = picture("jpeg")
    at = data.index(b"\xff\xc0")

    with pytest.raises(Broken):
        read_header(data[: at + 5] + b"\0\0" + data[at + 7 :])


def _saved(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (_saved("BMP"), "bmp"),
        (_saved("TIFF"), "tiff"),
        (b"MM\0*\0\0", "tiff"),
        (_saved("ICO"), "ico"),
        (b"%PDF-1.7", "pdf"),
        (b"\0\0\0\x1cftypavif", "avif"),
        (b"\0\0\0\x18ftypheic", "heic"),
        (b"\0\0\0\x18ftypmif1", "heic"),
        (b"\0\0\0\x18ftypisom", "video"),
        (b" \n<?xml version='1.0'?><svg/>", "svg"),
        (b"\xef\xbb\xbf<SVG>", "svg"),
        (b"<!DOCTYPE html>", "html"),
        (b"8BPS", "psd"),
        (b"\0\0\0\x0cjP  \r\n", "jpeg 2000"),
        (b"\xff\x0a", "jpeg xl"),
        (b"%!PS", "eps"),
        (b"RIFF\x10\0\0\0WAVE", "not a known image format"),
        (b"\xc5\xd0\xd3\xc6", "eps"),
        (b"", "empty"),
        (b"hello", "text"),
        ("häß ".encode() * 200, "text"),
        (b"\x93NUMPY", "not a known image format"),
        (b"\0\1\2", "not a known image format"),
    ],
)
def test_other_formats_are_named(data: bytes, name: str) -> None:
    assert read_header(data) is None
    assert name_format(data) == name


@given(st.sampled_from(FORMATS), st.data())
def test_damage_anywhere_gives_a_header_or_broken(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(picture(kind))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(0, len(damaged)))]

    try:
        header = read_header(bytes(damaged))
    except Broken:
        return

    assert header is None or (header.width >= 1 and header.height >= 1)
