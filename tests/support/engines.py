"""Requests for engines, and their answers collected."""

from __future__ import annotations

from contextlib import aclosing

import numpy as np

from sightline.core import (
    Delta,
    GenerateRequest,
    ImageEncoding,
    ImagePart,
    Message,
    ModelInfo,
    Part,
    SamplingParams,
    TextPart,
    ViewPixels,
)
from sightline.engines.base import Engine
from sightline.images.tokens import views


def request(model: ModelInfo, text: str = "Is this red?", images: int = 0, **sampling: object) -> GenerateRequest:
    """A request that `model` can take: some text after some pictures."""
    parts: tuple[Part, ...] = (*(ImagePart(at) for at in range(images)), TextPart(text))
    pixels = tuple(_pixels(model.image, at) for at in range(images)) if model.image else ()
    tokens = sum(views(model.image, one.shape[2], one.shape[1], "low").tokens for one in pixels) if model.image else 0
    params = SamplingParams(**({"max_tokens": 8} | sampling))  # type: ignore[arg-type]
    if "max_tokens" not in model.supported_parameters:
        params = SamplingParams()
    return GenerateRequest(f"req_{text[:8]}", model.id, (Message("user", parts),), pixels, params, tokens)


def _pixels(encoding: ImageEncoding, seed: int) -> ViewPixels:
    side = encoding.size_px if encoding.kind == "square" else 96
    return np.random.default_rng(seed).integers(0, 255, (1, side, side, 3), dtype=np.uint8)


async def answer(engine: Engine, work: GenerateRequest) -> list[Delta]:
    """Every delta of an answer."""
    async with aclosing(engine.generate(work)) as deltas:
        return [delta async for delta in deltas]


def said(deltas: list[Delta]) -> str:
    """The text of an answer."""
    return "".join(delta.text for delta in deltas)
