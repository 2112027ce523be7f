"""The cache of features: bounded, the oldest goes first, and no two pictures or owners share an entry."""

from __future__ import annotations

import numpy as np
from openvino import Tensor

from sightline.core import Pixels
from sightline.engines.genai.encoder_cache import EncoderCache, FeatureKey, feature_key


def key(number: int) -> FeatureKey:
    return FeatureKey(bytes([number]), "owner")


def features(size_bytes: int) -> Tensor:
    return Tensor(np.zeros(size_bytes, np.uint8))


def pixels(*shape: int) -> Pixels:
    return np.zeros(shape, np.uint8)


def test_what_was_put_comes_back() -> None:
    cache, one = EncoderCache(100), features(10)

    cache.put(key(1), one)

    assert cache.get(key(1)) is one
    assert cache.get(key(2)) is None


def test_the_least_recently_used_makes_room() -> None:
    cache = EncoderCache(30)
    for number in (1, 2, 3):
        cache.put(key(number), features(10))
    cache.get(key(1))

    cache.put(key(4), features(15))

    assert [number for number in (1, 2, 3, 4) if cache.get(key(number))] == [1, 4]
    assert cache.currsize == 25


def test_what_is_larger_than_the_cache_is_not_held_and_drives_nothing_out() -> None:
    cache = EncoderCache(30)
    cache.put(key(1), features(10))

    cache.put(key(2), features(31))

    assert cache.get(key(1)) is not None
    assert cache.currsize == 10


def test_the_same_twice_is_held_once() -> None:
    cache = EncoderCache(30)

    for _ in range(3):
        cache.put(key(1), features(10))

    assert cache.currsize == 10


def test_pictures_differ_by_every_byte_their_shape_and_their_sender() -> None:
    """Bytes alone are not enough: a picture lying on its side has the same ones (vLLM's PYSEC-2025-43)."""
    changed = pixels(2, 3, 3)
    changed[1, 2, 2] = 1

    keys = [feature_key(one, "a") for one in (pixels(2, 3, 3), pixels(3, 2, 3), changed)]
    keys.append(feature_key(pixels(2, 3, 3), "b"))

    assert len(set(keys)) == 4
    assert all(len(one.sha256) == 32 for one in keys)
    assert feature_key(pixels(2, 3, 3), "a") == keys[0]
