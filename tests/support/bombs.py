"""Picture files, made on the spot, that are small to send and large to decode: hostile ones, and the largest legal."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable
from functools import cache

import pyvips
from PIL import Image

from support.pictures import encoded, quarters

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_MEGABYTE = bytes(1 << 20)


@cache
def webp(width: int, height: int, *, alpha: int | None = None) -> bytes:
    """A lossless WebP of one colour: 32 bytes, whatever its size."""
    return _riff(_chunk_of_webp(b"VP8L", _vp8l(width, height, alpha)))


@cache
def animated_webp(width: int, height: int, frames: int, *, alpha: int | None = None) -> bytes:
    """An animation of lossless frames, each as large as the canvas."""
    size = _int24(width - 1) + _int24(height - 1)
    frame = bytes(6) + size + _int24(40) + b"\0" + _chunk_of_webp(b"VP8L", _vp8l(width, height, alpha))
    head = _chunk_of_webp(b"VP8X", bytes([0x12 if alpha is not None else 0x02, 0, 0, 0]) + size)
    return _riff(head, _chunk_of_webp(b"ANIM", bytes(6)), *[_chunk_of_webp(b"ANMF", frame)] * frames)


@cache
def png(width: int, height: int, *, depth: int = 8, colour_type: int = 2, interlaced: bool = False) -> bytes:
    """A PNG whose samples are all 0: a thousandth of what it decodes to."""
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    bits = depth * _CHANNELS[colour_type]
    size = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        size += rows * (1 + (columns * bits + 7) // 8) if columns > 0 and rows > 0 else 0
    head = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    palette = [(b"PLTE", bytes(range(6)))] if colour_type == 3 else []
    return _png_of([(b"IHDR", head), *palette, (b"IDAT", zeros(size)), (b"IEND", b"")])


def png_claim(width: int, height: int, *, depth: int = 8, colour_type: int = 2, interlaced: bool = False) -> bytes:
    """A PNG whose header claims a size that its pixels do not have."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    return _png_of([(b"IHDR", head), (b"IDAT", zeros(1000)), (b"IEND", b"")])


@cache
def zeros(size: int) -> bytes:
    """So many zero bytes, compressed."""
    deflate = zlib.compressobj(6)
    pieces = [deflate.compress(_MEGABYTE) for _ in range(size >> 20)]
    return b"".join([*pieces, deflate.compress(bytes(size & 0xFFFFF)), deflate.flush()])


def png_with(name: bytes, body: bytes, *, times: int = 1) -> bytes:
    """A small PNG with another chunk before its pixels, once or often."""
    data = encoded(quarters(32, 32))
    return data[:33] + _png_chunk(name, body) * times + data[33:]


@cache
def jpeg(width: int, height: int, *, bands: int = 3) -> bytes:
    """A progressive JPEG with no channel reduced: the decoder keeps every coefficient until the last scan."""
    image = pyvips.Image.black(width, height, bands=bands)
    kind = {1: "b-w", 3: "srgb", 4: "cmyk"}[bands]
    data = image.copy(interpretation=kind).jpegsave_buffer(interlace=True, subsample_mode="off", Q=50)
    return bytes(data)


def jpeg_claim(width: int, height: int, *, channels: int) -> bytes:
    """A progressive JPEG whose header claims a size and channels that its scans do not have."""
    frame = struct.pack(">BHHB", 8, height, width, channels) + bytes([1, 0x11, 0]) * channels
    return b"\xff\xd8" + _segment(0xC2, frame) + _scan(0, 0, 0) * 2 + b"\xff\xd9"


@cache
def jpeg_of_scans(scans: int, width: int = 64, height: int = 64) -> bytes:
    """A grey progressive JPEG of so many scans: each coefficient by itself, then its last bit; beyond 127 over again.

    Nothing but zeros, so that the end of a band stands for up to 32,767 blocks and a scan takes 20 bytes.
    """
    blocks = -(-width // 8) * -(-height // 8)
    frame = struct.pack(">BHHB3B", 8, height, width, 1, 1, 0x11, 0)
    tables = _segment(0xDB, bytes([0]) + bytes([1] * 64)) + _segment(0xC4, _huffman(0x00, [0]))
    head = b"\xff\xd8" + tables + _segment(0xC2, frame) + _segment(0xC4, _huffman(0x10, range(0, 0xF0, 16)))
    first = _scan(0, 0, 0x00) + _bits("0" * blocks)
    zeros_of_band = _bits("".join(_end_of_bands(blocks)))
    bands = [_scan(at, at, 0x01) for at in range(1, 64)] + [_scan(at, at, 0x10) for at in range(1, 64)]
    rest = [bands[at % len(bands)] + zeros_of_band for at in range(scans - 1)]
    return b"".join([head, first, *rest, b"\xff\xd9"])


def _end_of_bands(blocks: int) -> Iterable[str]:
    while blocks:
        power = min(14, blocks.bit_length() - 1)
        run = min(blocks, (2 << power) - 1)
        yield f"{power:04b}" + (f"{run - (1 << power):0{power}b}" if power else "")
        blocks -= run


def _huffman(place: int, symbols: Iterable[int]) -> bytes:
    """Symbols of one bit, or of four bits each in their order."""
    symbols = bytes(symbols)
    counts = bytearray(16)
    counts[0 if len(symbols) == 1 else 3] = len(symbols)
    return bytes([place]) + bytes(counts) + symbols


def _scan(first: int, last: int, bits: int) -> bytes:
    return _segment(0xDA, bytes([1, 1, 0x00, first, last, bits]))


def _bits(text: str) -> bytes:
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


@cache
def gif(width: int, height: int, *, frames: int = 1, frame_side: int = 1) -> bytes:
    """A GIF whose first frame fills the canvas, followed by others."""
    file = io.BytesIO()
    Image.new("P", (width, height)).save(file, "GIF")
    first = file.getvalue()[:-1]
    more = b"," + struct.pack("<HHHHB", 0, 0, frame_side, frame_side, 0x80) + bytes(6) + b"\x02\x02\x44\x01\x00"
    return first + more * (frames - 1) + b";"


def gif_claim(width: int, height: int) -> bytes:
    """A GIF whose header claims a size."""
    data = encoded(quarters(32, 32), "gif")
    return data[:6] + struct.pack("<HH", width, height) + data[10:]


def gif_of_blocks(blocks: int) -> bytes:
    """A GIF with a comment in pieces of one byte before its first frame."""
    data = encoded(quarters(32, 32), "gif")
    at = 13 + (3 << ((data[10] & 7) + 1))
    return data[:at] + b"!\xfe" + b"\x01a" * blocks + b"\0" + data[at:]


def _vp8l(width: int, height: int, alpha: int | None) -> bytes:
    """No transform, no colour cache, and five codes of one symbol each, so that a pixel takes no bit."""
    bits: list[tuple[int, int]] = [(0x2F, 8), (width - 1, 14), (height - 1, 14), (alpha is not None, 1), (0, 3), (0, 3)]
    for symbol in (10, 20, 30, 255 if alpha is None else alpha):
        bits += [(0b101, 3), (symbol, 8)]
    bits.append((0b0001, 4))
    number = at = 0
    for value, width_bits in bits:
        number |= int(value) << at
        at += width_bits
    return number.to_bytes(-(-at // 8), "little")


def _riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _chunk_of_webp(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)


def _int24(value: int) -> bytes:
    return value.to_bytes(3, "little")


def _png_of(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(name, body) for name, body in chunks)


def _png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
