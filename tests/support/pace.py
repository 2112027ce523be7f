"""How fast this machine is at the moment: other work on it must not fail a test about seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_WORK_S = 0.02
_NAP_S = 0.01


def within(waits_s: float, work_s: float) -> float:
    """How long something may take that waits `waits_s` and works for `work_s`, beside what else runs here."""
    return waits_s + work_s * max(_slowness() for _ in range(3))


@dataclass(slots=True)
class Stalls:
    """What the machine took from us: seconds for which nothing of this process ran although it was due."""

    total_s: float = 0.0


@contextmanager
def stalls() -> Iterator[Stalls]:
    """Gather the machine's stalls meanwhile.

    A thread that only sleeps tells them: our own code cannot hold it up for longer than the interpreter takes to switch
    threads, so that what the service loses by its own fault does not count.
    """
    found, over = Stalls(), threading.Event()

    def nap() -> None:
        while True:
            began = time.perf_counter()
            if over.wait(_NAP_S):
                return
            late_s = time.perf_counter() - began - _NAP_S
            if late_s > _NAP_S:
                found.total_s += late_s

    thread = threading.Thread(target=nap, name="stalls")
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def _slowness() -> float:
    began, began_cpu = time.perf_counter(), time.process_time()
    while time.process_time() - began_cpu < _WORK_S:
        pass
    return max((time.perf_counter() - began) / _WORK_S, 1.0)
