"""What a picture's bytes say: its header, its SHA-256, whether it is plain. Known at once where they came before.

A conversation sends its pictures again with every question. That they are the same is told by their BLAKE3, in a
quarter of the time of SHA-256 and a sixth of that of everything. As everywhere, senders share nothing, so that nobody
can learn from how long it takes what another has sent.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import msgspec
from blake3 import blake3

from sightline.images.header import Header, read_header
from sightline.images.passthrough import is_passthrough_safe

MOST_KNOWN = 4_096
"""Some 450 bytes each: nothing of a picture itself is kept."""


class ImageMetadata(msgspec.Struct, frozen=True):
    """Of one picture. `is_passthrough_safe`: it can go to a model elsewhere as it came."""

    header: Header
    sha256: str
    is_passthrough_safe: bool


def read_metadata(data: bytes) -> ImageMetadata | None:
    """Read all of it; None where the bytes are no format that is taken.

    Raises:
        Broken: one of the formats, cut short or inconsistent.
    """
    header = read_header(data)
    if header is None:
        return None
    plain = is_passthrough_safe(data, header.type, header.width, header.height)
    return ImageMetadata(header, hashlib.sha256(data).hexdigest(), plain)


class ImageMetadataCache:
    """The facts of the pictures that came last."""

    def __init__(self) -> None:
        self._facts: OrderedDict[tuple[str, bytes], ImageMetadata] = OrderedDict()

    def facts(self, data: bytes, owner: str) -> ImageMetadata | None:
        """As `read_metadata`, for a picture that `owner` sends."""
        key = (owner, blake3(data).digest())
        facts = self._facts.get(key)
        if facts is not None:
            self._facts.move_to_end(key)
            return facts
        facts = read_metadata(data)
        if facts is not None:
            self._facts[key] = facts
            if len(self._facts) > MOST_KNOWN:
                self._facts.popitem(last=False)
        return facts
