"""Images of a request to what a model sees of them, with the receipt: from the cache, or decoded side by side."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sightline.core import EncodedImage, ImageEncoding, ViewPixels
from sightline.images.cache import CacheKey, ImageCache
from sightline.images.pool import ImagePool
from sightline.images.receipt import ImageReceipt, write_receipt
from sightline.images.tokens import views


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One image: the pixels of its views for the model, and the entry of the receipt."""

    pixels: ViewPixels
    receipt: ImageReceipt


class Viewer:
    """Looks at pictures with a pool of decoders and a cache."""

    def __init__(self, pool: ImagePool, cache: ImageCache) -> None:
        self._pool = pool
        self._cache = cache

    async def look(self, images: Sequence[EncodedImage], encoding: ImageEncoding, owner: str) -> list[Seen]:
        """Look at `images`, in order, as a model with `encoding` does; `owner` keeps callers' caches apart.

        Raises:
            ImageUndecodable: one of them does not decode.
        """
        looks = [self._one(image, encoding, owner, number) for number, image in enumerate(images, start=1)]
        return [await looks[0]] if len(looks) == 1 else list(await asyncio.gather(*looks))

    async def _one(self, image: EncodedImage, encoding: ImageEncoding, owner: str, number: int) -> Seen:
        seen = views(encoding, image.width, image.height, image.detail)
        key = CacheKey(hashlib.sha256(image.data).hexdigest(), encoding, seen.detail, owner)
        held = self._cache.get(key)
        decoded = held or await self._pool.decode(image, encoding, number)
        self._cache.put(key, decoded)
        pixels = np.frombuffer(decoded.rgb, np.uint8).reshape(decoded.views, decoded.height, decoded.width, 3)
        return Seen(pixels, write_receipt(image, decoded, encoding, sha256=key.sha256, cache_hit=held is not None))
