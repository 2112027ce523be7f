"""Images of a request to what a model sees of them, with the receipt: from the cache, or decoded side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import numpy as np

from sightline.core import EncodedImage, ImageEncoding, ImageFile, ViewPixels
from sightline.errors import InvalidRequest
from sightline.images.cache import CacheKey, ImageCache
from sightline.images.decode import Decoded
from sightline.images.pool import ImagePool
from sightline.images.receipt import ImageReceipt, write_receipt
from sightline.images.tokens import Views, views

_AS_SENT = "forwarded as sent"


class PreparedImage(msgspec.Struct, frozen=True, eq=False):
    """One image: the pixels of its views for the model, or its file for a model elsewhere; the entry of the receipt."""

    shown: ViewPixels | ImageFile
    receipt: ImageReceipt


class Preprocessor:
    """Prepares images with a pool of decoders and a cache."""

    def __init__(self, pool: ImagePool, cache: ImageCache) -> None:
        self._pool = pool
        self._cache = cache

    async def prepare(
        self, images: Sequence[EncodedImage], encoding: ImageEncoding, owner: str, *, first: int = 1
    ) -> list[PreparedImage]:
        """Prepare `images`, in order, for a model with `encoding`; `owner` keeps callers' caches apart.

        The first is image number `first` of its request.

        Raises:
            InvalidRequest: some of them do not decode; of several, `details` lists each.
        """
        prepared: list[PreparedImage] = []
        refusals: list[InvalidRequest] = []
        each = (self._prepare(image, encoding, owner, number) for number, image in enumerate(images, start=first))
        for found in await asyncio.gather(*each, return_exceptions=True):
            if isinstance(found, InvalidRequest):
                refusals.append(found)
            elif isinstance(found, BaseException):
                raise found
            else:
                prepared.append(found)
        if refusals:
            raise InvalidRequest.together(refusals)
        return prepared

    async def _prepare(self, image: EncodedImage, encoding: ImageEncoding, owner: str, number: int) -> PreparedImage:
        seen = views(encoding, image.width, image.height, image.detail)
        if encoding.forwarded and image.is_passthrough_safe:
            return _prepared(image, _as_it_came(image, seen), encoding)
        key = CacheKey(image.sha256, encoding, seen.detail, owner)
        held = self._cache.get(key)
        decoded = held or await self._pool.decode(image, encoding, number)
        prepared = _prepared(image, decoded, encoding, cache_hit=held is not None)
        self._cache.put(key, decoded)  # only now: what cannot be shown would fail again from the cache
        return prepared


def _prepared(
    image: EncodedImage, decoded: Decoded, encoding: ImageEncoding, *, cache_hit: bool = False
) -> PreparedImage:
    shown = _file(image, decoded) if encoding.forwarded else _pixels(decoded)
    return PreparedImage(shown, write_receipt(image, decoded, encoding, cache_hit=cache_hit))


def _pixels(decoded: Decoded) -> ViewPixels:
    return np.frombuffer(decoded.data, np.uint8).reshape(decoded.views, decoded.height, decoded.width, 3)


def _file(image: EncodedImage, decoded: Decoded) -> ImageFile:
    assert decoded.file_type is not None
    return ImageFile(decoded.file_type, decoded.data, image.sha256, image.detail)


def _as_it_came(image: EncodedImage, seen: Views) -> Decoded:
    width, height = seen.whole.width, seen.whole.height
    is_resized = (width, height) != (image.width, image.height)
    actions = (_AS_SENT, "resized") if is_resized else (_AS_SENT,)
    return Decoded(image.data, width, height, actions, seen.count, image.type)
