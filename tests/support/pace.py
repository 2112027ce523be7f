"""How fast this machine is at the moment: other work on it must not fail a test about seconds."""

from __future__ import annotations

import time

_WORK_S = 0.02


def within(waits_s: float, work_s: float) -> float:
    """How long something may take that waits `waits_s` and works for `work_s`, beside what else runs here."""
    return waits_s + work_s * max(_slowness() for _ in range(3))


def _slowness() -> float:
    began, began_cpu = time.perf_counter(), time.process_time()
    while time.process_time() - began_cpu < _WORK_S:
        pass
    return max((time.perf_counter() - began) / _WORK_S, 1.0)
