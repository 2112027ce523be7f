"""What the vision encoder made of the images of the last requests, bounded in bytes.

The key holds the full digest of the prepared pixels and their shape, and whose request it was: two askers never share
an entry, so that nobody can learn by a faster answer what another has sent. A cache lives as long as the model that
filled it: model, precision and device are the same for all it holds. Used by the stepping thread alone.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from cachetools import LRUCache

from sightline.core import Pixels

if TYPE_CHECKING:
    import openvino


class FeatureKey(NamedTuple):
    """Which pixels (SHA-256 of their shape and bytes), sent by the owner of which key."""

    sha256: bytes
    owner: str


def feature_key(pixels: Pixels, owner: str) -> FeatureKey:
    """Return the key of a view, shape (height, width, 3), that `owner` sent."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(pixels.data)
    return FeatureKey(digest.digest(), owner)


class EncoderCache(LRUCache[FeatureKey, "openvino.Tensor"]):
    """Least recently used first out, once what is held passes `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes, getsizeof=lambda features: features.byte_size)

    def put(self, key: FeatureKey, features: openvino.Tensor) -> None:
        """Hold features, never written to again; older ones make room. Larger than the whole cache are not held."""
        with suppress(ValueError):
            self[key] = features
