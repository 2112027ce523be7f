"""What is kept of pictures is bounded, however small they are."""

from __future__ import annotations

from sightline.core import ImageEncoding
from sightline.images.cache import CacheKey, ImageCache
from sightline.images.decode import Decoded

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
