"""Rate limits in this process's memory, by the monotonic clock."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from sightline.admission.rate_limits.base import RateLimitStatus

_MAX_NAMES = 1_000_000


class MemoryRateLimitStore:
    """See `RateLimitStore`. No call waits, so that on one event loop each is atomic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_s: OrderedDict[str, float] = OrderedDict()

    async def take(self, name: str, limit: int, cost: int) -> RateLimitStatus:
        """See `RateLimitStore.take`."""
        now_s, interval_s = self._clock(), 60 / limit
        full_s = max(self._full_s.get(name, now_s), now_s)
        remaining = limit - cost - math.ceil((full_s - now_s) / interval_s)
        if remaining < 0:
            retry_s = full_s - now_s - (limit - cost) * interval_s
            left = max(0, min(limit, cost + remaining))
            return RateLimitStatus(limit, left, full_s - now_s, True, retry_s)
        full_s += cost * interval_s
        self._keep(name, full_s)
        return RateLimitStatus(limit, remaining, full_s - now_s)

    async def refund(self, name: str, limit: int, amount: int) -> None:
        """See `RateLimitStore.refund`."""
        now_s = self._clock()
        full_s = max(self._full_s.get(name, now_s), now_s) - amount * 60 / limit
        self._keep(name, min(full_s, now_s + 60))

    async def close(self) -> None:
        """Nothing is open."""

    def _keep(self, name: str, full_s: float) -> None:
        self._full_s[name] = full_s
        self._full_s.move_to_end(name)
        if len(self._full_s) > _MAX_NAMES:  # who has not come for longest begins anew
            self._full_s.popitem(last=False)
