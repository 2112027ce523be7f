"""Images of a request to what a model sees of them, with the receipt: from the cache, or decoded side by side."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

import msgspec
import numpy as np

from sightline.core import EncodedImage, ImageEncoding, ImageFile, ViewPixels
from sightline.errors import InvalidRequest
from sightline.images.cache import CacheKey, ImageCache
from sightline.images.decode import Decoded
from sightline.images.plain import is_plain
from sightline.images.pool import ImagePool
from sightline.images.receipt import ImageReceipt, write_receipt
from sightline.images.tokens import Views, views

_AS_SENT = ("forwarded as sent",)
_RESIZED = (*_AS_SENT, "resized")


class Seen(msgspec.Struct, frozen=True, eq=False):
    """One image: the pixels of its views for the model, or its file for a model elsewhere; the entry of the receipt."""

    shown: ViewPixels | ImageFile
    receipt: ImageReceipt


class Viewer:
    """Looks at pictures with a pool of decoders and a cache."""

    def __init__(self, pool: ImagePool, cache: ImageCache) -> None:
        self._pool = pool
        self._cache = cache

    async def look(
        self, images: Sequence[EncodedImage], encoding: ImageEncoding, owner: str, *, first: int = 1
    ) -> list[Seen]:
        """Look at `images`, in order, as a model with `encoding` does; `owner` keeps callers' caches apart.

        The first is image number `first` of its request.

        Raises:
            InvalidRequest: some of them do not decode; of several, `details` lists each.
        """
        looks = [self._one(image, encoding, owner, number) for number, image in enumerate(images, start=first)]
        if len(looks) == 1:
            return [await looks[0]]
        seen: list[Seen] = []
        refusals: list[InvalidRequest] = []
        for found in await asyncio.gather(*looks, return_exceptions=True):
            if isinstance(found, InvalidRequest):
                refusals.append(found)
            elif isinstance(found, BaseException):
                raise found
            else:
                seen.append(found)
        if refusals:
            raise InvalidRequest.together(refusals)
        return seen

    async def _one(self, image: EncodedImage, encoding: ImageEncoding, owner: str, number: int) -> Seen:
        seen = views(encoding, image.width, image.height, image.detail)
        key = CacheKey(hashlib.sha256(image.data).hexdigest(), encoding, seen.detail, owner)
        if encoding.forwarded and is_plain(image.data, image.type, image.width, image.height):
            decoded = _as_it_came(image, seen)
            return Seen(_file(image, decoded, key), write_receipt(image, decoded, encoding, sha256=key.sha256))
        held = self._cache.get(key)
        decoded = held or await self._pool.decode(image, encoding, number)
        shown = _file(image, decoded, key) if encoding.forwarded else _pixels(decoded)
        self._cache.put(key, decoded)  # only now: what cannot be shown would fail again from the cache
        receipt = write_receipt(image, decoded, encoding, sha256=key.sha256, cache_hit=held is not None)
        return Seen(shown, receipt)


def _pixels(decoded: Decoded) -> ViewPixels:
    return np.frombuffer(decoded.data, np.uint8).reshape(decoded.views, decoded.height, decoded.width, 3)


def _file(image: EncodedImage, decoded: Decoded, key: CacheKey) -> ImageFile:
    assert decoded.file_type is not None
    return ImageFile(
        decoded.file_type, decoded.data, key.sha256, image.detail, image.base64 if decoded.data is image.data else None
    )


def _as_it_came(image: EncodedImage, seen: Views) -> Decoded:
    width, height = seen.whole.width, seen.whole.height
    is_resized = width != image.width or height != image.height
    return Decoded(image.data, width, height, _RESIZED if is_resized else _AS_SENT, seen.count, image.type)
