"""Pictures beside the pipeline: packed features come out as they went in, batches form, failures reach their askers."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import numpy as np
import openvino
import pytest

from sightline.core import Pixels
from sightline.engines.genai.vision import MOST_AT_ONCE, Floats, VisionEncoder, pack, unpacking_model
from sightline.errors import EngineError, EngineUnavailable

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


def test_pictures_that_come_together_are_encoded_together() -> None:
    batches: list[int] = []

    def infer(pixels: Floats) -> Floats:
        batches.append(len(pixels))
        return pixels[:, :1, 0, :]

    async def scene() -> list[list[Pixels]]:
        encoder = VisionEncoder(infer, SETTINGS)
        results = await asyncio.gather(*(encoder.encode([picture(at), picture(at)]) for at in range(MOST_AT_ONCE)))
        encoder.close()
        return results

    results = asyncio.run(scene())

    assert batches == [MOST_AT_ONCE, MOST_AT_ONCE]
    for at, pair in enumerate(results):
        alone = pack(((np.full((1, 2), at, np.float32) / 255) - 0.5) / 0.5)
        assert all(np.array_equal(one, alone) for one in pair)


def test_a_failure_reaches_its_askers_and_no_later_one() -> None:
    failing = [True]

    def infer(pixels: Floats) -> Floats:
        if failing:
            failing.clear()
            raise RuntimeError("at src/secret.cpp")
        return pixels[:, :1, 0, :]

    async def scene() -> None:
        encoder = VisionEncoder(infer, SETTINGS)
        with pytest.raises(EngineError) as caught:
            await encoder.encode([picture(1)])
        assert "secret" not in caught.value.message
        assert len(await encoder.encode([picture(1)])) == 1
        encoder.close()
        with pytest.raises(EngineUnavailable):
            await encoder.encode([picture(1)])

    asyncio.run(scene())


def test_a_picture_whose_asker_left_is_not_encoded() -> None:
    seen: list[int] = []

    def infer(pixels: Floats) -> Floats:
        seen.append(len(pixels))
        return pixels[:, :1, 0, :]

    async def scene() -> None:
        encoder = VisionEncoder(infer, SETTINGS)
        leaving = asyncio.create_task(encoder.encode([picture(1)]))
        staying = asyncio.create_task(encoder.encode([picture(2)]))
        await asyncio.sleep(0)
        leaving.cancel()
        await staying
        encoder.close()

    asyncio.run(scene())

    assert sum(seen) <= 2


def test_no_pictures_need_no_thread() -> None:
    async def scene() -> list[Pixels]:
        encoder = VisionEncoder(lambda pixels: pixels, SETTINGS)
        packed = await encoder.encode([])
        encoder.close()
        return packed

    assert asyncio.run(scene()) == []
