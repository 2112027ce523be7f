"""The memory of a service with all its processes, watched from outside."""

from __future__ import annotations

import contextlib
import threading

import psutil


class MemoryWatch:
    """`with MemoryWatch(pid) as watch:` then `watch.growth_bytes`: the most it grew over its level at the beginning.

    Resident memory of the process and all its descendants, summed every 10 ms. Pages that they share count more than
    once, so that the truth is never above this.
    """

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._tree = [self._process, *self._process.children(recursive=True)]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.level_bytes = self._resident()
        self.highest_bytes = self.level_bytes

    @property
    def growth_bytes(self) -> int:
        """How far it grew at most."""
        return self.highest_bytes - self.level_bytes

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        rounds = 0
        while not self._done.wait(0.01):
            rounds += 1
            if rounds % 20 == 0:  # a process may have been replaced
                self._tree = [self._process, *self._process.children(recursive=True)]
            self.highest_bytes = max(self.highest_bytes, self._resident())

    def _resident(self) -> int:
        total = 0
        for process in self._tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total
