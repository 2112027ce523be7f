"""Images of a request to what a model sees of them, with the receipt: from the cache, or decoded side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence

import msgspec
import numpy as np

from sightline.core import EncodedImage, ImageEncoding, ImageFile, ViewPixels
from sightline.errors import InvalidRequest
from sightline.images.cache import CacheKey, ImageCache
from sightline.images.decode import Decoded
from sightline.images.pool import ImagePool
from sightline.images.receipt import ImageReceipt, write_receipt
from sightline.images.tokens import Views, views

_AS_SENT = ("forwarded as sent",)
_RESIZED = (*_AS_SENT, "resized")


class PreparedImage(msgspec.Struct, frozen=True, eq=False):
    """One image: the pixels of its views for the model, or its file for a model elsewhere; the entry of the receipt."""

    shown: ViewPixels | ImageFile
    receipt: ImageReceipt


class _New(msgspec.Struct, frozen=True, eq=False):
    """An image that has to be decoded."""

    image: EncodedImage
    key: CacheKey


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
        known = [self._known(image, encoding, owner) for image in images]
        decodes = [
            self._decoded(one, encoding, number)
            for number, one in enumerate(known, start=first)
            if isinstance(one, _New)
        ]
        decoded = iter(await _each(decodes))
        return [next(decoded) if isinstance(one, _New) else one for one in known]

    def _known(self, image: EncodedImage, encoding: ImageEncoding, owner: str) -> PreparedImage | _New:
        """What is seen of an image that need not be decoded; most wait for nothing and are not worth a task."""
        seen = views(encoding, image.width, image.height, image.detail)
        key = CacheKey(image.sha256, encoding, seen.detail, owner)
        if encoding.forwarded and image.is_passthrough_safe:
            decoded = _as_it_came(image, seen)
            return PreparedImage(_file(image, decoded, key), write_receipt(image, decoded, encoding, sha256=key.sha256))
        held = self._cache.get(key)
        return _New(image, key) if held is None else _seen(image, held, key, is_hit=True)

    async def _decoded(self, new: _New, encoding: ImageEncoding, number: int) -> PreparedImage:
        decoded = await self._pool.decode(new.image, encoding, number)
        seen = _seen(new.image, decoded, new.key)
        self._cache.put(new.key, decoded)  # only now: what cannot be shown would fail again from the cache
        return seen


async def _each(decodes: Sequence[Coroutine[None, None, PreparedImage]]) -> list[PreparedImage]:
    """What comes of all of them, side by side.

    Raises:
        InvalidRequest: some do not decode; of several, `details` lists each.
    """
    if len(decodes) < 2:
        return [await one for one in decodes]
    seen: list[PreparedImage] = []
    refusals: list[InvalidRequest] = []
    for found in await asyncio.gather(*decodes, return_exceptions=True):
        if isinstance(found, InvalidRequest):
            refusals.append(found)
        elif isinstance(found, BaseException):
            raise found
        else:
            seen.append(found)
    if refusals:
        raise InvalidRequest.together(refusals)
    return seen


def _seen(image: EncodedImage, decoded: Decoded, key: CacheKey, *, is_hit: bool = False) -> PreparedImage:
    shown = _file(image, decoded, key) if key.encoding.forwarded else _pixels(decoded)
    return PreparedImage(shown, write_receipt(image, decoded, key.encoding, sha256=key.sha256, cache_hit=is_hit))


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
