"""Small pictures in every format, drawn on the spot."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
FORMATS = ("png", "jpeg", "webp", "gif")
Colour = tuple[int, int, int]


def quarters(width: int = 32, height: int = 32) -> Image.Image:
    """Red top left, green top right, blue bottom left, white bottom right."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(GREEN, (width // 2, 0, width, height))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    image.paste(WHITE, (width // 2, height // 2, width, height))
    return image


def encoded(image: Image.Image, kind: str = "png", **options: Any) -> bytes:
    """The bytes of a picture file."""
    file = io.BytesIO()
    if kind == "webp" and "quality" not in options:
        options["lossless"] = True
    image.save(file, kind.upper(), **options)
    return file.getvalue()


def picture(kind: str = "png", width: int = 32, height: int = 32) -> bytes:
    """A small picture file of one format."""
    return encoded(quarters(width, height), kind)


def data_uri(data: bytes, media_type: str = "image/png") -> str:
    """As a client sends it."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def corners(pixels: npt.NDArray[np.uint8]) -> list[Colour]:
    """The colours in the middle of each quarter, in reading order."""
    height, width, _ = pixels.shape
    places = [(height // 4, width // 4), (height // 4, 3 * width // 4)]
    places += [(3 * height // 4, width // 4), (3 * height // 4, 3 * width // 4)]
    return [tuple(int(value) for value in pixels[place]) for place in places]  # type: ignore[misc]


def assert_close(seen: Sequence[Colour], expected: Sequence[Colour], tolerance: int = 3) -> None:
    """Colours are equal but for what rounding and lossy formats do."""
    furthest = np.abs(np.array(seen, int) - np.array(expected, int)).max()
    assert furthest <= tolerance, f"{seen} is not {expected}"


def png(width: int, height: int, depth: int, colour_type: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG by hand, for kinds that Pillow does not write. `rows` without filter bytes; `chunks` before IDAT."""
    row_bytes = len(rows) // height
    raw = b"".join(b"\0" + rows[at : at + row_bytes] for at in range(0, len(rows), row_bytes))
    head = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in parts)


def png_header(width: int, height: int) -> bytes:
    """The first bytes of a PNG that claims a size, and nothing else."""
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def page(*lines: str) -> bytes:
    """A picture of some lines of print."""
    paper = Image.new("RGB", (480, 40 + 50 * len(lines)), "white")
    pen = ImageDraw.Draw(paper)
    for number, line in enumerate(lines):
        pen.text((20, 20 + 50 * number), line, "black", ImageFont.load_default(30))
    return encoded(paper)
