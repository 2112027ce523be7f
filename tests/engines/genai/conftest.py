"""The bundled model, loaded once; and a fake of the pipeline underneath, for what a real one will not do on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from sightline.core import Delta, GenerateRequest, ImagePart, Message, Part, Pixels, SamplingParams, TextPart, Usage
from sightline.engines.genai.engine import GenAIEngine
from support.models import BUNDLED_FOLDER

FOLDER = BUNDLED_FOLDER


class Bench:
    """A started engine and the loop it lives on."""

    def __init__(self, engine: GenAIEngine, runner: asyncio.Runner) -> None:
        self.engine = engine
        self.runner = runner
        info = engine.models()[0]
        assert info.image is not None
        self.info = info
        self.image = info.image

    @property
    def steps(self) -> int:
        """How many steps the pipeline has begun."""
        assert self.engine._engine_loop is not None
        return self.engine._engine_loop.steps

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def picture(self, seed: int = 0) -> Pixels:
        shape = (self.image.size_px, self.image.size_px, 3)
        return np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8)

    def request(self, text: str = "What is this?", images: int = 1, seed: int = 0, **sampling: Any) -> GenerateRequest:
        parts: tuple[Part, ...] = (*(ImagePart(at) for at in range(images)), TextPart(text))
        pictures = tuple(self.picture(seed + at)[np.newaxis] for at in range(images))
        params = SamplingParams(**({"max_tokens": 16} | sampling))
        tokens = self.image.tokens * images
        return GenerateRequest(
            "request",
            self.info.id,
            (Message("user", parts),),
            pictures,
            image_tokens=tokens,
            sampling=params,
        )

    def answer(self, request: GenerateRequest) -> list[Delta]:
        deltas: list[Delta] = self.run(collect(self.engine.generate(request)))
        return deltas

    def count(self, request: GenerateRequest) -> Usage:
        usage: Usage = self.run(self.engine.count(request))
        return usage

    def text(self, request: GenerateRequest) -> str:
        return text_of(self.answer(request))


async def collect(deltas: AsyncGenerator[Delta, None]) -> list[Delta]:
    async with aclosing(deltas):
        return [delta async for delta in deltas]


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    if not (FOLDER / "openvino_language_model.xml").is_file():
        pytest.skip("the bundled model is not in this checkout")
    engine = GenAIEngine(FOLDER)
    with asyncio.Runner() as runner:
        runner.run(engine.start())
        yield Bench(engine, runner)
        runner.run(engine.stop())
