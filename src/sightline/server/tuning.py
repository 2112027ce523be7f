"""How this process uses memory and threads while it answers requests."""

from __future__ import annotations

import gc
import sys

from sightline.malloc import configure_malloc_trim

GC_THRESHOLDS = (5_000, 3, 1000)
"""Requests leave next to no cycles behind; a collection still takes milliseconds at most."""
SWITCH_INTERVAL_S = 0.0005
"""How long a thread that wants the interpreter waits before the one that has it is asked for it. By Python's 5 ms a
commit would be waiting for most of its time."""
_TRIM_BYTES = 64 << 20
_MMAP_BYTES = 32 << 20  # glibc takes no more


def tune() -> None:
    """Call it once, when everything that stays for good has been loaded."""
    tune_gc()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    tune_malloc()


def tune_gc() -> None:
    """Keep the garbage collector from going through what stays for good, which was a sixth of a request's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def tune_malloc() -> None:
    """Keep the memory of one body for the next: else each large one has its pages taken away and zeroed anew."""
    configure_malloc_trim(trim_bytes=_TRIM_BYTES, mmap_bytes=_MMAP_BYTES, arenas=2)
