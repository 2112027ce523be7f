"""What is kept of pictures is bounded, however small they are."""

from __future__ import annotations

import pytest

from sightline.core import EncodedImage, ImageEncoding
from sightline.images.cache import CacheKey, ImageCache
from sightline.images.decode import Decoded
from sightline.images.pool import ImagePool
from sightline.images.preprocessor import Preprocessor

PAGE = ImageEncoding("page", 64)


def key(number: int) -> CacheKey:
    return CacheKey(f"{number:064x}", PAGE, "low", "key_1")


def test_pictures_of_one_pixel_make_room_for_one_another() -> None:
    cache = ImageCache(50_000)
    for number in range(1_000):
        cache.put(key(number), Decoded(b"\0\0\0", 1, 1, ()))

    assert sum(cache.get(key(number)) is not None for number in range(1_000)) < 50
    assert cache.get(key(999)) is not None


def test_what_is_larger_than_the_whole_is_not_kept_and_pushes_nothing_out() -> None:
    cache = ImageCache(10_000)
    cache.put(key(1), Decoded(bytes(3_000), 1, 1, ()))
    cache.put(key(2), Decoded(bytes(9_500), 1, 1, ()))

    assert cache.get(key(1)) is not None
    assert cache.get(key(2)) is None


@pytest.mark.anyio
async def test_what_cannot_be_shown_is_not_held() -> None:
    """The next request would fail at it too, without a word of the decoder."""

    class Amiss(ImagePool):
        """Its decoder gives pixels of another number than it says."""

        def __init__(self) -> None: ...

        async def decode(self, image: EncodedImage, encoding: ImageEncoding, number: int) -> Decoded:
            return Decoded(b"12", 1, 1, ())

    cache = ImageCache(1_000_000)
    image = EncodedImage(b"x", "image/png", "png", 1, 1, "low", "messages", "1", is_passthrough_safe=False)

    with pytest.raises(ValueError, match="reshape"):
        await Preprocessor(Amiss(), cache).prepare([image], PAGE, "key")

    assert cache.get(CacheKey("1", PAGE, "low", "key")) is None
