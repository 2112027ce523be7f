"""Where rate limits are kept: buckets that fill at `limit` a minute and hold at most as much, by GCRA.

In this process's memory, by the monotonic clock, or in a Redis that several processes share (`redis_buckets`). Nothing
runs between requests: a bucket is the one time at which it will be full again.

Source: https://brandur.org/rate-limiting
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Awaitable
from typing import Protocol

import msgspec

from sightline.errors import ConfigError

_MAX_NAMES = 1_000_000
_clock = time.monotonic


class Window(msgspec.Struct, frozen=True):
    """How a limit stands: `reset_s` seconds from now all of it is there again.

    After a request that was `refused`, `retry_s` says when there will be as much as it asked for.
    """

    limit: int
    remaining: int
    reset_s: float
    refused: bool = False
    retry_s: float = 0.0


class Buckets(Protocol):
    """Buckets by name. Every call is atomic. What is elsewhere is awaited, what is here is there at once."""

    def take(self, name: str, limit: int, cost: int) -> Window | Awaitable[Window]:
        """Take `cost` if there is as much.

        Raises:
            StoreUnavailable: Redis did not answer; it is tried again with the next call.
        """
        ...

    def adjust(self, name: str, limit: int, cost: int) -> Awaitable[None] | None:
        """Take `cost`, or give it back where it is negative; stops at an empty and at a full bucket.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        ...

    async def close(self) -> None:
        """Close the connections, where there are any."""
        ...


def open_buckets(redis_url: str) -> Buckets:
    """Buckets in the Redis at `redis_url`, or without one in memory; nothing is connected yet.

    Raises:
        ConfigError: no Redis client is installed, or the address is none.
    """
    if not redis_url:
        return MemoryBuckets()
    try:
        from sightline.admission.redis_buckets import RedisBuckets
    except ImportError as error:
        message = "Rate limits in Redis need its client, the extra 'redis' of this package: install it with that."
        raise ConfigError(message) from error
    return RedisBuckets(redis_url)


class MemoryBuckets:
    """In this process: throttled's arithmetic without its layers, which take four times as long; a request passes here
    three times. On one event loop nothing comes between two lines that do not wait."""

    def __init__(self) -> None:
        self._full_s: OrderedDict[str, float] = OrderedDict()

    def take(self, name: str, limit: int, cost: int) -> Window:
        """See `Buckets.take`."""
        now_s, interval_s = _clock(), 60 / limit
        full_s = self._full_s.get(name, now_s)
        if full_s < now_s:
            full_s = now_s
        remaining = limit - cost - math.ceil((full_s - now_s) / interval_s)
        if remaining < 0:
            retry_s = full_s - now_s - (limit - cost) * interval_s
            left = max(0, min(limit, cost + remaining))
            return Window(limit, left, full_s - now_s, True, retry_s)
        full_s += cost * interval_s
        self._keep(name, full_s)
        return Window(limit, remaining, full_s - now_s)

    def adjust(self, name: str, limit: int, cost: int) -> None:
        """See `Buckets.adjust`."""
        now_s = _clock()
        full_s = max(self._full_s.get(name, now_s), now_s) + cost * 60 / limit
        self._keep(name, min(full_s, now_s + 60))

    async def close(self) -> None:
        """Nothing is open."""

    def _keep(self, name: str, full_s: float) -> None:
        by_name = self._full_s
        by_name[name] = full_s
        by_name.move_to_end(name)
        if len(by_name) > _MAX_NAMES:  # who has not come for longest begins anew
            by_name.popitem(last=False)
