"""Whether every decoder reads a picture's file alike, so that it can go to a model elsewhere as it came.

Runs on the event loop: reads headers, decodes nothing, and is bounded in steps. A doubtful file is not plain; it is
decoded here and written anew, which costs time and nothing else.

Source: ITU-T T.81 annex B; PNG 3rd edition, section 11; EXIF 2.32 section 4.6.
"""

from __future__ import annotations

import struct
from itertools import islice

from sightline.images.orientation import UPRIGHT
from sightline.images.png import chunks

_SHORTEST_SIDE_PX = 28
_LARGEST_RATIO = 130
"""Of the sides. Qwen's code refuses 200; a shorter side of 1.5 patches that becomes one takes it half as far again."""
_MOST_SEGMENTS = 200
_MOST_CHUNKS = 2_000
_MOST_TAGS = 200
_ORIENTATION = 0x0112
_BASELINE, _PROGRESSIVE, _START_OF_SCAN = 0xC0, 0xC2, 0xDA
# Those that have a length. Behind a fill byte or one without, decoders go on where this would not: and read there, say,
# which way up the picture is.
_MARKERS = frozenset({_BASELINE, _PROGRESSIVE, _START_OF_SCAN, 0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})
_END = b"\xff\xd9"
_EXIF, _OTHER_APP1, _APP2, _ADOBE = b"Exif\x00\x00", 0xE1, 0xE2, 0xEE
_RGB_IDS = b"RGB"
_YCBCR_BY_ADOBE = 1
_USUAL_GAMMA = struct.pack(">I", 45_455)
_HEADER = struct.pack(">I4s", 13, b"IHDR")  # once: Pillow would take the size from the last of several
# What says nothing of a picture's colours or its way up.
_HARMLESS = frozenset({b"pHYs", b"tIME", b"sRGB"})
_XMP_TURN, _RAW_EXIF = b"rientation", b"Raw profile"  # Pillow finds XMP, and EXIF in hexadecimal digits, in texts too


def is_passthrough_safe(data: bytes, image_type: str, width: int, height: int) -> bool:
    """Whether a file is a JPEG of 8 bits (grey, or YCbCr) or a PNG of 8 bits (grey, or RGB), and nothing else.

    No orientation but upright, no colour profile, no transparency, no animation, no interlacing, no text to inflate,
    not cut short as far as its last marker tells, and of a size that no engine chokes on.
    """
    if min(width, height) < _SHORTEST_SIDE_PX or max(width, height) >= _LARGEST_RATIO * min(width, height):
        return False
    try:
        return (image_type == "jpeg" and _is_plain_jpeg(data)) or (image_type == "png" and _is_plain_png(data))
    except (struct.error, IndexError):
        return False


def _is_plain_jpeg(data: bytes) -> bool:
    at, has_frame, has_exif = 2, False, False
    for _ in range(_MOST_SEGMENTS):
        marker = data[at + 1]
        if data[at] != 0xFF or marker not in _MARKERS:
            return False  # among others lossless, arithmetic, 12 bits
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        body = data[at + 4 : end]
        if marker == _START_OF_SCAN:
            return has_frame and data.rfind(_END, end) > 0
        if marker in (_BASELINE, _PROGRESSIVE):
            if has_frame or not _is_plain_frame(body):
                return False
            has_frame = True
        elif marker >= 0xE0:
            is_exif = marker == _OTHER_APP1 and body.startswith(_EXIF)
            if (is_exif and has_exif) or not _is_harmless_segment(marker, body):
                return False  # of two EXIF blocks some take the first, Pillow both as one
            has_exif = has_exif or is_exif
        at = end
    return False


def _is_plain_frame(body: bytes) -> bool:
    precision, height, _, components = struct.unpack_from(">BHHB", body)
    ids = body[6 : 6 + 3 * components : 3]
    return precision == 8 and height > 0 and (components == 1 or (components == 3 and ids != _RGB_IDS))


def _is_harmless_segment(marker: int, body: bytes) -> bool:
    if marker == _OTHER_APP1:
        if body.startswith(_EXIF):
            return _orientation(body[len(_EXIF) :]) == UPRIGHT
        return _XMP_TURN not in body  # XMP can name one too
    if marker == _APP2:
        return not body.startswith((b"ICC_PROFILE", b"MPF"))
    if marker == _ADOBE:
        return not body.startswith(b"Adobe") or body[11] == _YCBCR_BY_ADOBE
    return True


def _orientation(tiff: bytes) -> int:
    """Read an EXIF block's orientation; 0, which is none, for a block that is damaged."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 0
    start = struct.unpack_from(order + "I", tiff, 4)[0]
    tags = struct.unpack_from(order + "H", tiff, start)[0]
    if tags > _MOST_TAGS:
        return 0  # it may stand behind them
    for number in range(tags):
        tag, kind, count, value = struct.unpack_from(order + "HHIH", tiff, start + 2 + 12 * number)
        if tag == _ORIENTATION and (kind, count, value) != (3, 1, UPRIGHT):
            return int(value) if (kind, count) == (3, 1) else 0
    return UPRIGHT


def _is_plain_png(data: bytes) -> bool:
    depth, colours, _, _, interlaced = struct.unpack_from(">BBBBB", data, 24)
    if depth != 8 or colours not in (0, 2) or interlaced or data[8:16] != _HEADER:
        return False
    before, has_pixels = b"IHDR", False
    for name, start, end in islice(chunks(data), 1, _MOST_CHUNKS):
        if name == b"IEND":
            return len(data) >= end
        if name == b"gAMA":
            if data[start + 8 : end - 4] != _USUAL_GAMMA:
                return False
        elif name == b"tEXt":
            if data.find(_XMP_TURN, start + 8, end - 4) >= 0 or data.find(_RAW_EXIF, start + 8, end - 4) >= 0:
                return False
        elif name == b"IDAT":
            if has_pixels and before != b"IDAT":
                return False  # to some the picture ends where its pixels are interrupted
            has_pixels = True
        elif name not in _HARMLESS:
            return False
        before = name
    return False
