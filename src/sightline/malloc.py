"""When glibc's allocator gives freed memory back to the system; elsewhere nothing happens.

Source: mallopt(3).
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8


def configure_malloc_trim(*, trim_bytes: int, mmap_bytes: int, arenas: int) -> None:
    """Keep up to `trim_bytes` that are free at the heap's end; blocks of `mmap_bytes` or more are given back.

    Both stay as they are set here, where glibc would let them grow with use. `arenas` bounds how many threads have a
    heap of their own.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_TRIM_THRESHOLD, trim_bytes)
    mallopt(_MMAP_THRESHOLD, mmap_bytes)
    mallopt(_ARENA_MAX, arenas)
