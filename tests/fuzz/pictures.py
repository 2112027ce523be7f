"""Picture files with something wrong with them: tiny valid ones of each format, then changed byte by byte."""

from __future__ import annotations

import struct
from functools import cache
from random import Random

from PIL import Image

from support.pictures import FORMATS, encoded, quarters

_NUMBERS = (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x01", b"\x80\x00\x00\x00")
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF\x10\x00\x00\x00WEBPVP8X", b"<svg>", b"BM", b"%PDF")


@cache
def seeds() -> tuple[bytes, ...]:
    """Valid pictures of all four formats in several kinds each."""
    image = quarters(24, 16)
    found = [encoded(image, kind) for kind in FORMATS]
    found += [encoded(image.convert(mode)) for mode in ("1", "L", "LA", "P", "RGBA", "I;16")]
    found += [encoded(image.convert("CMYK"), "jpeg"), encoded(image, "jpeg", progressive=True)]
    found += [
        encoded(image.convert("L"), "jpeg"),
        encoded(image, "webp", quality=50),
        encoded(image.convert("RGBA"), "webp"),
    ]
    exif = Image.Exif()
    exif[0x0112] = 6
    found += [encoded(image, kind, exif=exif) for kind in ("jpeg", "png", "webp")]
    frames = [image.convert("P"), image.rotate(90).convert("P")]
    found += [encoded(frames[0], kind, save_all=True, append_images=frames[1:]) for kind in ("gif", "webp")]
    return tuple(found)


def broken(random: Random) -> bytes:
    """One picture with one to four changes; now and then none."""
    data = bytearray(random.choice(seeds()))
    for _ in range(random.choice((0, 1, 1, 1, 2, 4))):
        random.choice(_CHANGES)(random, data)
    return bytes(data)


def _cut_short(random: Random, data: bytearray) -> None:
    del data[random.randrange(len(data) + 1) :]


def _flip(random: Random, data: bytearray) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _flip_early(random: Random, data: bytearray) -> None:
    """In the header, where formats and sizes stand."""
    if data:
        data[random.randrange(min(len(data), 64))] = random.randrange(256)


def _repeat(random: Random, data: bytearray) -> None:
    start = random.randrange(len(data) + 1)
    piece = data[start : start + random.randrange(1, 200)]
    data[start:start] = piece * random.randrange(1, 4)


def _drop(random: Random, data: bytearray) -> None:
    start = random.randrange(len(data) + 1)
    del data[start : start + random.randrange(1, 32)]


def _number(random: Random, data: bytearray) -> None:
    """Overwrite four bytes with a number at the edge of what fits."""
    at = random.randrange(len(data) + 1)
    number = random.choice((*_NUMBERS, struct.pack(random.choice("<>") + "I", random.randrange(1 << 17))))
    data[at : at + 4] = number


def _noise(random: Random, data: bytearray) -> None:
    at = random.randrange(len(data) + 1)
    data[at:at] = random.randbytes(random.randrange(1, 64))


def _another_start(random: Random, data: bytearray) -> None:
    magic = random.choice(_MAGIC)
    data[: len(magic)] = magic


_CHANGES = (_cut_short, _flip, _flip_early, _flip_early, _repeat, _drop, _number, _noise, _another_start)
