"""Files by hand, for variants that image libraries do not write: PNG of every kind, animated WebP, profiles, EXIF.

Sources: PNG 3rd edition; RFC 9649 (WebP); ICC.1:2022; EXIF 2.32; ITU-T T.81.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from vectors.scenes import Array

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_D50 = (0.9642, 1.0, 0.8249)


def saved(pixels: Array, kind: str, mode: str | None = None, **options: Any) -> bytes:
    """A file as Pillow writes it."""
    pixels = pixels.astype(np.uint8)
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels, mode=None)
    if mode:
        image = Image.frombytes(mode, image.size, pixels.tobytes())
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(
    pixels: Array,
    colour: int,
    *chunks: tuple[bytes, bytes],
    depth: int = 8,
    interlaced: bool = False,
    late: tuple[tuple[bytes, bytes], ...] = (),
) -> bytes:
    """A PNG; `chunks` stand between the header and the pixels, `late` ones behind them."""
    height, width = pixels.shape[:2]
    passes = [pixels[y::down, x::right] for x, y, right, down in _ADAM7] if interlaced else [pixels]
    raw = b"".join(_rows(part, depth) for part in passes if part.size)
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(raw, 9)), *late, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(name, data) for name, data in parts)


def _rows(pixels: Array, depth: int) -> bytes:
    flat = pixels.reshape(pixels.shape[0], -1)
    if depth == 16:
        return b"".join(b"\0" + row.astype(">u2").tobytes() for row in flat)
    if depth == 8:
        return b"".join(b"\0" + row.astype(np.uint8).tobytes() for row in flat)
    bits = (flat[:, :, None] >> np.arange(depth - 1, -1, -1)) & 1
    packed = np.packbits(bits.reshape(flat.shape[0], -1).astype(np.uint8), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in packed)


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def exif(orientation: int, order: str = "<") -> bytes:
    """EXIF with nothing but an orientation, in either byte order."""
    magic = b"II" if order == "<" else b"MM"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return magic + struct.pack(order + "HIH", 42, 8, 1) + entry + struct.pack(order + "I", 0)


def rgb_profile(name: str, primaries: Array, gamma: float | None = None) -> bytes:
    """A display profile of three primaries (at D50, as columns) and one curve; `gamma` None is sRGB's."""
    xyz = [(tag, _xyz(*primaries[:, at])) for at, tag in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))]
    curves = [(tag, _curve(gamma)) for tag in (b"rTRC", b"gTRC", b"bTRC")]
    return _profile(name, b"RGB ", [*xyz, *curves])


def grey_profile(name: str, gamma: float) -> bytes:
    """A profile for grey pictures."""
    return _profile(name, b"GRAY", [(b"kTRC", _curve(gamma))])


def _profile(name: str, space: bytes, tags: list[tuple[bytes, bytes]]) -> bytes:
    words = [(b"desc", _words(name)), (b"cprt", _words("CC0")), (b"wtpt", _xyz(*_D50))]
    table, body = b"", b""
    tags = [*words, *tags]
    for tag, data in tags:
        table += tag + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(body), len(data))
        body += data
    rest = struct.pack(">I", len(tags)) + table + body
    head = struct.pack(">I4xI", 128 + len(rest), 0x04200000) + b"mntr" + space + b"XYZ "
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(*_D50)
    return head.ljust(128, b"\0") + rest


def _words(text: str) -> bytes:
    data = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">IIIII", 0, 1, 12, 0x656E5553, len(data)) + struct.pack(">I", 28) + _padded(data)


def _xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*values)


def _curve(gamma: float | None) -> bytes:
    if gamma is not None:
        return b"para\0\0\0\0\0\0\0\0" + _fixed(gamma)
    return b"para\0\0\0\0\0\x03\0\0" + _fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def animated_webp(frames: list[tuple[int, int, Array]], width: int, height: int) -> bytes:
    """An animation of lossless frames, each at its own place (left, top), both even."""
    alpha = any(pixels.shape[2] == 4 for _, _, pixels in frames)
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = _riff(b"VP8X", bytes([0x02 | (0x10 if alpha else 0), 0, 0, 0]) + size) + _riff(b"ANIM", bytes(6))
    for left, top, pixels in frames:
        place = (left // 2).to_bytes(3, "little") + (top // 2).to_bytes(3, "little")
        extent = (pixels.shape[1] - 1).to_bytes(3, "little") + (pixels.shape[0] - 1).to_bytes(3, "little")
        picture = saved(pixels, "WEBP", lossless=True, exact=True)[12:]
        body += _riff(b"ANMF", place + extent + (100).to_bytes(3, "little") + b"\0" + picture)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _riff(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def four_component_jpeg(components: Array, adobe_transform: int | None) -> bytes:
    """A JPEG whose four stored components are these; `adobe_transform` is its Adobe marker's, None for no marker."""
    data = saved(255 - components, "JPEG", "CMYK", quality=97)  # Pillow stores them inverted
    at = data.index(b"\xff\xee\x00\x0eAdobe")
    if adobe_transform is None:
        return data[:at] + data[at + 16 :]
    return data[: at + 15] + bytes([adobe_transform]) + data[at + 16 :]
