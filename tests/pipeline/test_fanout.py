"""Several answers to one request, side by side: their seeds, how many run at once, how far they are read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import numpy as np
import pytest

from sightline.core import Delta, GenerateRequest, Message, SamplingParams, TextPart, ViewPixels
from sightline.pipeline.fanout import fan_out
from sightline.testing.scripted_engine import ScriptedEngine
from support.bodies import SCRIPTED

pytestmark = pytest.mark.anyio


def nothing() -> None:
    """That all answers are made concerns nobody here."""


def work(views: tuple[ViewPixels, ...] = (), seed: int | None = None) -> GenerateRequest:
    return GenerateRequest("r", SCRIPTED, (Message("user", (TextPart("a"),)),), views, SamplingParams(seed=seed))


async def test_seed_differs_from_answer_to_answer() -> None:
    seeds: list[int | None] = []

    class Noting(ScriptedEngine):
        async def pieces(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
            seeds.append(request.sampling.seed)
            async for delta in super().pieces(request):
                yield delta

    engine = Noting()
    await engine.start()
    async with aclosing(fan_out(engine, work(seed=5), 3, nothing)) as pieces:
        found = [piece async for piece in pieces]

    assert sorted(seed for seed in seeds if seed is not None) == [5, 6, 7]
    assert {piece.choice for piece in found} == {0, 1, 2}


@pytest.mark.parametrize(("side_px", "most"), [(32, 4), (2048, 1)])
async def test_of_large_pictures_few_answers_run_at_once(side_px: int, most: int) -> None:
    class Counting(ScriptedEngine):
        now = highest = 0

        async def pieces(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
            self.now += 1
            self.highest = max(self.highest, self.now)
            await asyncio.sleep(0.01)
            self.now -= 1
            yield Delta("a", finish_reason="stop")

    engine = Counting()
    views = tuple(np.zeros((1, side_px, side_px, 3), np.uint8) for _ in range(2))
    async with aclosing(fan_out(engine, work(views), 4, nothing)) as pieces:
        found = [piece.choice async for piece in pieces]

    assert sorted(found) == [0, 1, 2, 3]
    assert engine.highest == most


class Made:
    """An answer that is made as soon as it is begun, in pieces that are taken one by one."""

    def __init__(self) -> None:
        self._left = 9

    def on_complete(self, call: Callable[[], None]) -> None:
        call()
        call()  # more than once does no harm

    def drain_ready(self) -> tuple[Delta, ...]:
        return ()

    def __aiter__(self) -> Made:
        return self

    async def __anext__(self) -> Delta:
        self._left -= 1
        if self._left < 0:
            raise StopAsyncIteration
        return Delta("a")

    async def aclose(self) -> None: ...


async def test_a_slow_reader_keeps_no_answer_about_large_pictures_from_being_made() -> None:
    class AtOnce(ScriptedEngine):
        begun = 0

        def generate(self, request: GenerateRequest) -> Made:  # type: ignore[override]
            self.begun += 1
            return Made()

    engine, made = AtOnce(), []
    views = (np.zeros((1, 4096, 4096, 3), np.uint8),)
    async with aclosing(fan_out(engine, work(views), 4, lambda: made.append(engine.begun))) as pieces:
        await anext(pieces)
        for _ in range(20):
            await asyncio.sleep(0)
        assert made == [4]
        assert len([piece async for piece in pieces]) == 4 * 9 - 1


async def test_answers_side_by_side_are_read_no_further_than_they_are_taken() -> None:
    class Endless(ScriptedEngine):
        given = 0

        async def pieces(self, request: GenerateRequest) -> AsyncGenerator[Delta, None]:
            while True:
                self.given += 1
                yield Delta("a")

    engine = Endless()
    async with aclosing(fan_out(engine, work(), 3, nothing)) as pieces:
        for _ in range(5):
            await anext(pieces)
        for _ in range(50):
            await asyncio.sleep(0)

    assert 5 <= engine.given <= 12
