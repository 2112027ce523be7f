"""Pictures beside the pipeline: packed features come out as they went in, batches are as long as answers can wait."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import openvino
import pytest

from sightline.core import Pixels
from sightline.engines.genai.vision import BATCH_S, MOST_AT_ONCE, Floats, VisionEncoder, pack, tag, unpacking_model

SETTINGS: Any = SimpleNamespace(pixel_mean=(0.5, 0.5, 0.5), pixel_std=(0.5, 0.5, 0.5))


def picture(value: int) -> Pixels:
    return np.full((2, 2, 3), value, np.uint8)


def unpack(picture: Pixels) -> Floats:
    """What the pipeline does with a packed picture: bytes over 255, channels first, then the model."""
    tokens, width = picture.shape[0] - 1, picture.shape[1]
    model = openvino.Core().compile_model(unpacking_model(tokens, width), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    values = np.ascontiguousarray((picture.astype(np.float32) / 255).transpose(2, 0, 1)[np.newaxis])
    result: Floats = model(values)[0][0]
    return result


@pytest.mark.engine
@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
def test_features_come_out_as_they_went_in(scale: float) -> None:
    features = (np.random.default_rng(1).standard_normal((5, 16)) * scale).astype(np.float32)

    difference = np.abs(unpack(pack(features)) - features).max()

    assert difference <= np.abs(features).max() * 2**-22


@pytest.mark.engine
def test_nothing_at_all_can_be_packed() -> None:
    assert not unpack(pack(np.zeros((2, 4), np.float32))).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_no_numbers_fail_like_the_model(value: float) -> None:
    """What the pipeline takes for a failure of these pictures alone; any other would end the engine."""
    encoder = VisionEncoder(lambda pixels: np.full((1, 2, 4), value, np.float32), SETTINGS)

    with pytest.raises(RuntimeError, match="feature"):
        encoder.encode([picture(1)])


def test_a_batch_is_each_of_its_pictures() -> None:
    encoder = VisionEncoder(lambda pixels: pixels[:, :1, 0, :], SETTINGS)

    packed = encoder.encode([picture(at) for at in range(3)])

    for at, one in enumerate(packed):
        assert np.array_equal(one, pack(((np.full((1, 2), at, np.float32) / 255) - 0.5) / 0.5))


def test_every_level_of_every_colour_is_what_working_it_out_gives() -> None:
    mean, std = np.array([0.48, 0.5, 0.41], np.float32), np.array([0.27, 0.26, 0.5], np.float32)
    settings: Any = SimpleNamespace(pixel_mean=tuple(mean), pixel_std=tuple(std))
    pixels = np.random.default_rng(2).integers(0, 256, (32, 24, 3), np.uint8)
    taken: list[Floats] = []

    VisionEncoder(lambda given: taken.append(given) or given[:, 0], settings).encode([pixels, pixels[::-1]])

    expected = (np.stack([pixels, pixels[::-1]]).astype(np.float32) / np.float32(255) - mean) / std
    assert np.array_equal(taken[0], expected.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(("seconds", "most"), [(0.0, MOST_AT_ONCE), (BATCH_S / 2.5, 2), (BATCH_S * 100, 1)])
def test_a_batch_takes_no_longer_than_running_answers_may_wait(
    seconds: float, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    batches: list[int] = []
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def infer(pixels: Floats) -> Floats:
        now[0] += max(seconds, 1e-9) * len(pixels)
        batches.append(len(pixels))
        return pixels[:, :1, 0, :]

    encoder = VisionEncoder(infer, SETTINGS)
    encoder.warm_up(2)

    assert encoder.most_at_once == most
    assert sorted(set(batches)) == list(range(1, most + 1))


def test_a_tag_tells_pictures_apart_and_changes_next_to_nothing() -> None:
    features = np.random.default_rng(1).standard_normal((36, 256)).astype(np.float32)
    one, other = pack(features), pack(features)

    tag(one, b"a" * 32)
    tag(other, b"b" * 32)

    assert not np.array_equal(one[:2], other[:2])
    assert np.abs(one.astype(int) - other.astype(int)).max() <= 3
    assert np.array_equal(one[-1], other[-1])
    assert np.array_equal(one[:, :, :2], other[:, :, :2])
