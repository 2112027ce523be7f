"""One timer for many things that are due the same time after they came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Later(Generic[T]):
    """Calls `due` with each thing `after_s` seconds after it came, or up to a quarter of that later.

    A timer of its own would cost each request more than what it waits for: most are over by then, and `due` has to
    find that out. Everything is called on the event loop.
    """

    def __init__(self, after_s: float, due: Callable[[T], object]) -> None:
        self._after_s = after_s
        self._due = due
        self._things: deque[tuple[float, T]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, thing: T) -> None:
        """Have `due` called with `thing` in a while."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # what an earlier one left behind is over with it
            self._loop, self._timer = loop, None
            self._things.clear()
        self._things.append((loop.time() + self._after_s, thing))
        if self._timer is None:
            self._timer = loop.call_later(self._after_s, self._look)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        try:
            while self._things and self._things[0][0] <= now_s:
                self._due(self._things.popleft()[1])
        finally:
            self._timer = None
            if self._things:
                self._timer = loop.call_at(max(self._things[0][0], now_s + self._after_s / 4), self._look)
