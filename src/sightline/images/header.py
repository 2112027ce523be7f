"""What the first bytes of a picture say: its format and its size. Reads bytes, decodes nothing.

It runs on the event loop, so no picture may take it long: what is walked a step at a time is bounded in steps, and what
goes through every byte does so in C.

Sources: PNG 3rd edition section 5; GIF89a; ITU-T T.81 annex B; RFC 9649 (WebP).
"""

from __future__ import annotations

import struct

import msgspec
import numpy as np

_WIDE_PX = 8_192
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BEGINS_SEGMENT = np.ones(256, np.bool_)
_BEGINS_SEGMENT[[0x00, 0x01, 0xFF, *range(0xD0, 0xD8)]] = False  # a stuffed byte, TEM, a fill byte, restarts
_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_SIZE, _FRAME = struct.Struct(">H"), struct.Struct(">HHB")
_MOST_GIF_BLOCKS = 5_000  # before the first frame; a whole body of full ones are 4,096
_MOST_JPEG_SEGMENTS = 600  # files of cameras have some twenty, a JPEG of 100 scans at most so many
MOST_SCANS = 10_000  # told apart

_OTHERS = (
    (0, b"BM", "bmp"),
    (0, b"II*\x00", "tiff"),
    (0, b"MM\x00*", "tiff"),
    (0, b"%PDF", "pdf"),
    (0, b"\x00\x00\x01\x00", "ico"),
    (0, b"8BPS", "psd"),
    (0, b"\x00\x00\x00\x0cjP  ", "jpeg 2000"),
    (0, b"\xff\x0a", "jpeg xl"),
    (0, b"\x00\x00\x00\x0cJXL ", "jpeg xl"),
    (4, b"ftypavif", "avif"),
    (4, b"ftypavis", "avif"),
    (4, b"ftyphe", "heic"),
    (4, b"ftypmif1", "heic"),
    (4, b"ftyp", "video"),
    (0, b"%!PS", "eps"),
    (0, b"\xc5\xd0\xd3\xc6", "eps"),
)


class Header(msgspec.Struct, frozen=True):
    """Format (`png`, `jpeg`, `webp`, `gif`), stored size in pixels, and the number of JPEG scans, up to 10,001.

    `scans` is never too low; of a JPEG of more than 600 segments it may be too high.
    `kept_bytes` is what a decoder has to keep of a picture whose rows are complete only at its end (interlaced,
    progressive), or very wide; 0 for one that comes row by row.
    """

    type: str
    width: int
    height: int
    scans: int = 1
    kept_bytes: int = 0


class Broken(ValueError):
    """The bytes begin like a supported format and its header cannot be read."""


def read_header(data: bytes) -> Header | None:
    """Read the header of a png, jpeg, webp or gif; None for anything else.

    Raises:
        Broken: one of the four, cut short or inconsistent.
    """
    read = next((read for magic, read in _READERS if data.startswith(magic)), None)
    if read is None or (read is _webp and data[8:12] != b"WEBP"):
        return None
    try:
        header = read(data)
    except (struct.error, IndexError) as error:
        raise Broken from error
    if header.width < 1 or header.height < 1:
        raise Broken
    return header


def name_format(data: bytes) -> str:
    """Name what some bytes are, for a message about a format that is not supported."""
    for offset, magic, name in _OTHERS:
        if data.startswith(magic, offset):
            return name
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<svg", b"<?xml")):
        return "svg"
    if start.startswith((b"<!doctype html", b"<html")):
        return "html"
    if not data:
        return "empty"
    return "text" if _is_text(data[:512]) else "not a known image format"


def _is_text(start: bytes) -> bool:
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:
            return False
        text = start[: error.start].decode()
    return all(char.isprintable() or char.isspace() for char in text)


def _png(data: bytes) -> Header:
    if data[12:16] != b"IHDR":
        raise Broken
    width, height, depth, colours, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    kept = width * height * depth * _PNG_CHANNELS.get(colours, 4) // 8
    if not interlaced:
        # Libvips holds hundreds of rows of 16 bits; where they are very wide, twice the picture and more.
        kept = 2 * kept if depth == 16 and width > _WIDE_PX else 0
    return Header("png", width, height, kept_bytes=kept)


def _gif(data: bytes) -> Header:
    return Header("gif", *gif_screen(data))


def gif_screen(data: bytes) -> tuple[int, int]:
    """Say how large the screen is that a GIF is drawn on: width, height in pixels, as browsers take it.

    A first frame may be larger than the screen, which grows; a screen without width or height is the frame's.

    Raises: as `gif_frame`.
    """
    width, height = struct.unpack_from("<HH", data, 6)
    left, top, frame_width, frame_height = gif_frame(data)
    if not (width and height):
        width = height = 0
    return max(width, left + frame_width), max(height, top + frame_height)


def gif_frame(data: bytes) -> tuple[int, int, int, int]:
    """Say where a GIF's first frame stands on its screen: left, top, width, height in pixels.

    Raises:
        Broken, IndexError, struct.error: there is no frame to be found.
    """
    flags = data[10]
    at = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    blocks = 0
    while blocks < _MOST_GIF_BLOCKS:
        if data[at] == 0x2C:
            left, top, width, height = struct.unpack_from("<HHHH", data, at + 1)
            if not (width and height):
                raise Broken
            return left, top, width, height
        if data[at] != 0x21:
            raise Broken
        at += 2
        blocks += 1
        while data[at] and blocks < _MOST_GIF_BLOCKS:
            at += data[at] + 1
            blocks += 1
        at += 1
    raise Broken


def _jpeg(data: bytes) -> Header:
    bytes_ = np.frombuffer(data, np.uint8)
    # All at once: a search for each would go through a long run of fill bytes a byte at a time.
    markers = np.flatnonzero(bytes_[2:-3] == 0xFF) + 3  # such as may have a length behind them
    markers = markers[_BEGINS_SEGMENT[bytes_[markers]]]
    frame, scans = None, 0
    for _ in range(_MOST_JPEG_SEGMENTS):
        if not len(markers) or data[at := int(markers[0])] == _END_OF_IMAGE:
            markers = markers[:0]
            break
        if frame is None and data[at] in _JPEG_SIZES:
            frame = _FRAME.unpack_from(data, at + 4)
        scans += data[at] == _SCAN
        markers = markers[markers.searchsorted(at + 2 + _SIZE.unpack_from(data, at + 1)[0]) :]
    if frame is None:
        raise Broken
    scans = min(scans + int(np.count_nonzero(bytes_[markers] == _SCAN)), MOST_SCANS + 1)
    height, width, channels = frame
    # Coefficients of two bytes, kept until the last scan.
    return Header("jpeg", width, height, scans, width * height * channels * 2 if scans > 1 else 0)


def _webp(data: bytes) -> Header:
    kind = data[12:16]
    if kind == b"VP8 ":
        if data[23:26] != b"\x9d\x01\x2a":
            raise Broken
        width, height = struct.unpack_from("<HH", data, 26)
        return Header("webp", width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L":
        if data[20] != 0x2F:
            raise Broken
        bits = struct.unpack_from("<I", data, 21)[0]
        return Header("webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8X":
        wide, high = data[24:27], data[27:30]
        if len(high) < 3:
            raise Broken
        return Header("webp", int.from_bytes(wide, "little") + 1, int.from_bytes(high, "little") + 1)
    raise Broken


_READERS = (
    (b"\xff\xd8\xff", _jpeg),
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"RIFF", _webp),
    (b"GIF87a", _gif),
    (b"GIF89a", _gif),
)
