"""How fast this machine is at the moment: other work on it must not fail a test about seconds."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_WORK_S = 0.02
_NAP_S = 0.01
_NAPS = """
import sys, time
nap_s = float(sys.argv[1])
print("naps", flush=True)
while True:
    began = time.monotonic()
    time.sleep(nap_s)
    ended = time.monotonic()
    if ended - began > 2 * nap_s:
        print(began + nap_s, ended, flush=True)
"""


def within(waits_s: float, work_s: float) -> float:
    """How long something may take that waits `waits_s` and works for `work_s`, beside what else runs here."""
    return waits_s + work_s * max(_slowness() for _ in range(3))


class Stalls:
    """When the machine ran nobody for a while, by the clock `time.monotonic`."""

    def __init__(self) -> None:
        self._found: list[tuple[float, float]] = []

    def during(self, began: float, ended: float) -> float:
        """Seconds of stall between two times, once it has been looked."""
        return sum(max(0.0, min(last, ended) - max(first, began)) for first, last in self._found)

    def read(self, lines: str) -> None:
        """Take what the one that naps has written."""
        for line in lines.splitlines():
            first, last = line.split()
            self._found.append((float(first), float(last)))


@contextmanager
def stalls() -> Iterator[Stalls]:
    """Gather the machine's stalls meanwhile; they are known afterwards.

    A process that only naps tells them: whatever the service does wrong, on its event loop or with the interpreter,
    does not hold that one up.
    """
    found = Stalls()
    with subprocess.Popen(
        [sys.executable, "-S", "-c", _NAPS, str(_NAP_S)], stdout=subprocess.PIPE, text=True
    ) as napper:
        assert napper.stdout is not None
        napper.stdout.readline()
        try:
            yield found
        finally:
            time.sleep(5 * _NAP_S)  # one that is not over yet is told, too
            napper.terminate()
            found.read(napper.stdout.read())


def _slowness() -> float:
    began, began_cpu = time.perf_counter(), time.process_time()
    while time.process_time() - began_cpu < _WORK_S:
        pass
    return max((time.perf_counter() - began) / _WORK_S, 1.0)
