"""Decoded pictures of the last requests, bounded in bytes.

The key holds the full digest of the bytes, what they were decoded for, the detail taken, and whose request it was:
two senders never share an entry, so that nobody can learn from a cache hit what another has sent.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal, NamedTuple

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


class ImageCache:
    """Least recently used first out, once the pixels held pass `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[CacheKey, Decoded] = OrderedDict()

    def get(self, key: CacheKey) -> Decoded | None:
        """The picture as it was decoded before, if it is still held."""
        decoded = self._entries.get(key)
        if decoded is not None:
            self._entries.move_to_end(key)
        return decoded

    def put(self, key: CacheKey, decoded: Decoded) -> None:
        """Hold a picture; older ones make room. One larger than the whole cache is not held."""
        if key in self._entries or _size(decoded) > self._max_bytes:
            return
        self._entries[key] = decoded
        self._bytes += _size(decoded)
        while self._bytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= _size(oldest)


def _size(decoded: Decoded) -> int:
    return len(decoded.data) + _ENTRY_BYTES
