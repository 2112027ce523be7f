"""Requests that hold a permit until they are told to end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sightline.admission.admit import Admission, Permit


@asynccontextmanager
async def admitted(
    admission: Admission, model: str = "model", key: str = "key", permits: int = 1
) -> AsyncIterator[Permit]:
    """A request that runs in `model`."""
    with admission.admit(key) as permit:
        await permit.acquire(model, permits)
        yield permit


class Request:
    """A request in a task of its own, which runs until it is told to end."""

    def __init__(self, admission: Admission, key: str = "key", model: str = "model", permits: int = 1) -> None:
        self.key = key
        self.has_permit = False
        self.permits = permits
        self._end = asyncio.Event()
        self._failure: Exception | None = None
        self.task = asyncio.create_task(self._run(admission, model))

    async def _run(self, admission: Admission, model: str) -> None:
        async with admitted(admission, model, self.key, self.permits):
            self.has_permit = True
            try:
                await self._end.wait()
                if self._failure:
                    raise self._failure
            finally:
                self.has_permit = False

    def end(self, failure: Exception | None = None) -> None:
        self._failure = failure
        self._end.set()


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def end_all(admission: Admission, requests: list[Request]) -> None:
    for request in requests:
        request.end()
    await asyncio.gather(*(request.task for request in requests), return_exceptions=True)
    assert admission.in_flight == 0
    assert all(queue.running == queue.waiting == 0 for queue in admission._queues.values())
    assert not admission._of_key
