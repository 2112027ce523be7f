"""Decoded pictures of the last requests, bounded in bytes.

The key holds the full digest of the bytes, what they were decoded for, the detail taken, and whose request it was:
two senders never share an entry, so that nobody can learn from a cache hit what another has sent.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Literal, NamedTuple

from cachetools import LRUCache

from sightline.core import ImageEncoding
from sightline.images.decode import Decoded

_ENTRY_BYTES = 1_024
"""Of an entry itself: a picture of one pixel takes three bytes, and its entry five hundred."""


class CacheKey(NamedTuple):
    """Which picture (SHA-256 of its bytes), decoded for which encoding, how closely, sent by the owner of which key."""

    sha256: str
    encoding: ImageEncoding
    detail: Literal["low", "high"]
    owner: str


class ImageCache(LRUCache[CacheKey, Decoded]):
    """Least recently used first out, once the pixels held pass `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes, getsizeof=lambda decoded: len(decoded.data) + _ENTRY_BYTES)

    def put(self, key: CacheKey, decoded: Decoded) -> None:
        """Hold a picture; older ones make room. One larger than the whole cache is not held."""
        with suppress(ValueError):
            self[key] = decoded
