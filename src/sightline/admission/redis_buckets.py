"""Rate limits in a Redis that several processes share, by its clock and by throttled's GCRA.

What the library lacks is added as an action of its own, atomic as its own are: give back, or take more than there is.
It reads and writes what `throttled/rate_limiter/gcra.py` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from throttled.asyncio import BaseStore, RateLimiterType, RedisStore, per_min
from throttled.asyncio.rate_limiter.gcra import GCRARateLimiter
from throttled.asyncio.store import BaseRedisAtomicAction
from throttled.exceptions import StoreUnavailableError
from throttled.types import KeyT, StoreValueT

from sightline.admission.buckets import Window
from sightline.errors import ConfigError, StoreUnavailable

ANSWER_S = 0.9
"""How long Redis may take, connecting and a second try on a fresh connection included."""

_NAMESPACE = "sightline"
_PREFIX = f"{_NAMESPACE}:{GCRARateLimiter.KEY_SCHEMA_VERSION}:{RateLimiterType.GCRA.value}:"


class RedisBuckets:
    """See `buckets.Buckets`."""

    def __init__(self, url: str) -> None:
        """Nothing is connected yet.

        Raises:
            ConfigError: the address is none.
        """
        self._limiters: dict[int, GCRARateLimiter] = {}
        self._store, self._adjust = _open_redis(url)

    async def take(self, name: str, limit: int, cost: int) -> Window:
        """See `Buckets.take`."""
        limiter = self._limiters.get(limit)
        if limiter is None:
            limiter = self._limiters[limit] = GCRARateLimiter(per_min(limit), self._store, key_prefix=_NAMESPACE)
        async with _answer_in_time():
            result = await limiter.limit(name, cost)
        state = result.state
        return Window(limit, state.remaining, state.reset_after, result.limited, state.retry_after)

    async def adjust(self, name: str, limit: int, cost: int) -> None:
        """See `Buckets.adjust`."""
        async with _answer_in_time():
            await self._adjust.do([_PREFIX + name], [60 / limit, limit, cost])

    async def close(self) -> None:
        """See `Buckets.close`."""
        await self._adjust.close()


class RedisAdjust(BaseRedisAtomicAction):
    """Moves the time at which a bucket is full, within what a bucket can be."""

    TYPE = "adjust"
    # Times are seconds since the library's own zero, for its script reads them.
    SCRIPT = """
    local interval, capacity, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
    local time = redis.call("TIME")
    local now = (time[1] - 1735660800) + (time[2] / 1000000)
    local full_at = math.max(now, tonumber(redis.call("GET", KEYS[1]) or now)) + cost * interval
    full_at = math.min(full_at, now + capacity * interval)
    if full_at > now then
        redis.call("SET", KEYS[1], full_at, "EX", math.ceil(full_at - now))
    else
        redis.call("DEL", KEYS[1])
    end
    return {tostring(full_at - now)}
    """

    def __init__(self, backend: Any) -> None:
        super().__init__(backend)
        self._script = self._register_script(self.SCRIPT)

    async def do(self, keys: Sequence[KeyT], args: Sequence[StoreValueT] | None) -> tuple[float]:
        """Run the script; a Redis that has forgotten it is given it again."""
        return (float((await self._script(keys, args))[0]),)

    async def close(self) -> None:
        """Close the pool, which the library leaves open."""
        await cast(Any, self._backend.get_client()).aclose(close_connection_pool=True)


def _open_redis(url: str) -> tuple[BaseStore, RedisAdjust]:
    pool = {
        "retry": Retry(NoBackoff(), 1),  # once: Redis may have been restarted since the connection was made
        "socket_timeout": ANSWER_S / 2,
        "socket_connect_timeout": ANSWER_S / 2,
        "max_connections": 32,
    }
    try:
        options = {"CONNECTION_POOL_CLASS": "redis.asyncio.BlockingConnectionPool", "CONNECTION_POOL_KWARGS": pool}
        store = RedisStore(url, options)
        return store, cast(RedisAdjust, store.make_atomic(RedisAdjust))
    except ValueError as error:  # the address is not repeated: it may hold a password
        raise ConfigError("The address of Redis cannot be read; it looks like redis://HOST:6379/0") from error


@asynccontextmanager
async def _answer_in_time() -> AsyncIterator[None]:
    """A store that does not answer, or not in time, in our words."""
    try:
        async with asyncio.timeout(ANSWER_S):
            yield
    except (StoreUnavailableError, TimeoutError) as error:
        raise StoreUnavailable("Rate limits cannot be checked at this moment; send the request again.") from error
