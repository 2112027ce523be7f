"""Several answers to one request (`n`), run side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager

import msgspec
from msgspec.structs import replace

from sightline.core import Delta, GenerateRequest
from sightline.engines.base import Engine

_MOST_PIXEL_BYTES = 32 << 20
"""That the answers to one request may take to their engine at once."""


class Pieces(msgspec.Struct, frozen=True):
    """The next pieces of answer number `choice` (0-based): at least one, and those that came together with it."""

    choice: int
    deltas: Sequence[Delta]


class _Slots:
    """Which of several answers are made, a few at once; `all_made` is called when all are."""

    def __init__(self, answers: int, at_once: int, all_made: Callable[[], None]) -> None:
        self._unmade = answers
        self._slots = asyncio.Semaphore(at_once)
        self._all_made = all_made

    @asynccontextmanager
    async def next(self) -> AsyncIterator[Callable[[], None]]:
        """Wait until one more may be made; what this gives is to be called when it is, at the latest at the end."""
        await self._slots.acquire()
        is_made = False

        def made() -> None:
            nonlocal is_made
            if not is_made:
                is_made = True
                self._end()

        try:
            yield made
        finally:
            made()

    def _end(self) -> None:
        self._slots.release()
        self._unmade -= 1
        if not self._unmade:
            self._all_made()


async def fan_out(
    engine: Engine, request: GenerateRequest, n: int, all_made: Callable[[], None]
) -> AsyncGenerator[Pieces, None]:
    """Run `n` answers side by side and yield their pieces as they come; a seed gives each its own.

    Each takes the pixels along, so of large pictures few are made at once. Each is read no further than its pieces are
    taken: who reads slowly slows an engine that waits for its reader, and of one that does not, the pieces that wait
    are joined. `all_made` is called when all answers are made.
    """
    came: asyncio.Queue[Pieces | asyncio.Task[None]] = asyncio.Queue()
    room = asyncio.Semaphore(n)
    pixel_bytes = sum(view.nbytes for views_ in request.images for view in views_)
    slots = _Slots(n, max(1, min(n, _MOST_PIXEL_BYTES // max(1, pixel_bytes))), all_made)
    seed = request.sampling.seed
    samplings = [replace(request.sampling, seed=None if seed is None else seed + choice) for choice in range(n)]
    waiting = {choice: replace(request, sampling=sampling) for choice, sampling in enumerate(samplings)}
    del request

    async def answer(choice: int) -> None:
        async with slots.next() as made, aclosing(engine.generate(waiting.pop(choice))) as deltas:
            deltas.on_complete(made)
            async for delta in deltas:
                await room.acquire()
                came.put_nowait(Pieces(choice, (delta, *deltas.drain_ready())))

    tasks = [asyncio.create_task(answer(choice)) for choice in range(n)]
    for task in tasks:
        task.add_done_callback(came.put_nowait)
    try:
        left = n
        while left:
            pieces = await came.get()
            if isinstance(pieces, Pieces):
                yield pieces
                room.release()
            else:
                pieces.result()  # raises what ended this answer early
                left -= 1
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
