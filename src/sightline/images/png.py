"""A PNG without the chunks that no picture needs. A kilobyte of compressed text can inflate to a megabyte and more.

Source: PNG 3rd edition, sections 4.3 (colour spaces), 5.3 (chunk layout) and 11.3 (ancillary chunks).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

_SIGNATURE_BYTES = 8
_FIRST = {b"IHDR": 0, b"eXIf": 1}
_KEPT = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf"})
_LARGEST_PROFILE_BYTES = 1 << 20
_SAYS_MORE = frozenset({b"sRGB", b"iCCP", b"cICP"})
_USUAL_GAMMA, _AS_USUAL = 45_455, 1_000
_GAMMAS = range(10_000, 1_000_001)
"""Beyond these it is a mistake: no screen or camera has such."""


def without_ancillary(data: bytes) -> bytes:
    """Keep what makes the picture, and a colour profile of at most 1 MiB; nothing else is ever inflated."""
    kept = []
    profiles = 0
    for name, start, end in chunks(data):
        profiles += name == b"iCCP"  # the first alone counts; a thousand would each have to be inflated
        if name in _KEPT or (name == b"iCCP" and profiles == 1 and _is_small_profile(data[start + 8 : end - 4])):
            kept.append((name, data[start:end]))
    # An orientation may stand behind the pixels, where a reader that goes row by row would come upon it too late.
    kept.sort(key=lambda chunk: _FIRST.get(chunk[0], len(_FIRST)))
    return b"".join((data[:_SIGNATURE_BYTES], *(chunk for _, chunk in kept)))


def gamma(data: bytes) -> int | None:
    """Return the gamma that a PNG's pixels are stored with, in 100,000ths, where a person would see it.

    None for sRGB's, as nearly all have it, and where something else in the file says what its colours are.
    """
    said = None
    for name, start, end in chunks(data):
        if name in _SAYS_MORE:
            return None
        if name == b"gAMA" and end - start == 16:
            said = int.from_bytes(data[start + 8 : start + 12], "big")
        if name == b"IDAT":
            break
    if said is None or said not in _GAMMAS or abs(said - _USUAL_GAMMA) <= _AS_USUAL:
        return None
    return said


def count_frames(data: bytes) -> int:
    """Count the frames that an animated PNG announces; 1 for a still picture."""
    for name, start, _ in chunks(data):
        if name == b"acTL":
            return max(1, int.from_bytes(data[start + 8 : start + 12], "big"))
        if name == b"IDAT":
            break
    return 1


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each chunk; the last one may reach beyond a file that was cut short."""
    start = _SIGNATURE_BYTES
    while start + 8 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        yield data[start + 4 : start + 8], start, end
        start = end


def _is_small_profile(body: bytes) -> bool:
    name_end = body.find(b"\x00")
    if name_end < 0:
        return False
    inflate = zlib.decompressobj()
    try:
        inflate.decompress(body[name_end + 2 :], _LARGEST_PROFILE_BYTES)
    except zlib.error:
        return False
    return inflate.eof
