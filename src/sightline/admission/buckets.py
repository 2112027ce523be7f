"""Where rate limits are kept: buckets that fill at `limit` a minute and hold at most as much, by throttled's GCRA.

In this process's memory, by the monotonic clock, or in a Redis that several processes share, by its clock. Nothing
runs between requests: a bucket is the one time at which it will be full again. What the library lacks is added as an
action of its own, atomic in both: give back, or take more than there is.

Source: https://brandur.org/rate-limiting; throttled's `rate_limiter/gcra.py`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, cast

import msgspec
from throttled import utils
from throttled.asyncio import BaseStore, RateLimiterType, RedisStore, per_min
from throttled.asyncio.rate_limiter.gcra import GCRARateLimiter, MemoryLimitAtomicAction
from throttled.asyncio.store import BaseMemoryAtomicAction, BaseRedisAtomicAction
from throttled.asyncio.store.memory import MemoryStoreBackend
from throttled.exceptions import StoreUnavailableError
from throttled.store import BaseMemoryStoreBackend
from throttled.types import KeyT, StoreValueT

from sightline.errors import ConfigError, StoreUnavailable

ANSWER_S = 0.9
"""How long Redis may take, connecting and a second try on a fresh connection included."""

_NAMESPACE = "sightline"
_PREFIX = f"{_NAMESPACE}:{GCRARateLimiter.KEY_SCHEMA_VERSION}:{RateLimiterType.GCRA.value}:"
_MAX_KEYS = 1_000_000  # a store that is full forgets the oldest, whose bucket would be full again


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
    """Buckets by name. Every call is atomic."""

    async def take(self, name: str, limit: int, cost: int) -> Window:
        """Take `cost` if there is as much.

        Raises:
            StoreUnavailable: Redis did not answer; it is tried again with the next call.
        """
        ...

    async def adjust(self, name: str, limit: int, cost: int) -> None:
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
    return RedisBuckets(redis_url) if redis_url else MemoryBuckets()


class MemoryBuckets:
    """In this process. The library's actions are called without its lock and its layers: on one event loop nothing
    comes between two lines that do not wait, and a request passes here three times."""

    def __init__(self) -> None:
        times = Times(options={"MAX_SIZE": _MAX_KEYS})
        self._take, self._adjust = MemoryTake(times), MemoryAdjust(times)

    async def take(self, name: str, limit: int, cost: int) -> Window:
        """See `Buckets.take`."""
        refused, remaining, reset_s, retry_s = self._take.at_once(name, (60 / limit, limit, cost))
        return Window(limit, remaining, reset_s, refused == 1, retry_s)

    async def adjust(self, name: str, limit: int, cost: int) -> None:
        """See `Buckets.adjust`."""
        self._adjust.at_once(name, (60 / limit, limit, cost))

    async def close(self) -> None:
        """Nothing is open."""


class RedisBuckets:
    """In a Redis that processes share."""

    def __init__(self, url: str) -> None:
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


class Times(MemoryStoreBackend):
    """The library's memory, without its times to forget by: the time of a bucket that is full again says as much."""

    def get(self, key: KeyT) -> Any:
        """When the bucket is full; None where there is none."""
        return self._client.get(key)

    def set(self, key: KeyT, value: StoreValueT, timeout: int) -> None:
        """Keep it; whose bucket has been touched least lately makes room."""
        self._client[key] = value
        self._client.move_to_end(key)
        if len(self._client) > self.max_size:
            self._client.popitem(last=False)


class MemoryTake(MemoryLimitAtomicAction):
    """The library's taking."""

    def at_once(self, name: str, args: Sequence[StoreValueT]) -> tuple[int, int, float, float]:
        """Take without waiting for a lock; whether it was refused, what is left, when all is there, when enough is."""
        return self._do(self._backend, (name,), args)


class MemoryAdjust(BaseMemoryAtomicAction):
    """Moves the time at which a bucket is full, within what a bucket can be."""

    TYPE = "adjust"

    def at_once(self, name: str, args: Sequence[StoreValueT]) -> None:
        """Adjust without waiting for a lock."""
        self._do(self._backend, (name,), args)

    @classmethod
    def _do(
        cls, backend: BaseMemoryStoreBackend, keys: Sequence[KeyT], args: Sequence[StoreValueT] | None
    ) -> tuple[float]:
        assert args is not None
        interval_s, capacity, cost = args
        now = utils.now_mono_f()
        full_at = max(now, float(backend.get(keys[0]) or now)) + cost * interval_s
        full_at = min(full_at, now + capacity * interval_s)
        if full_at > now:
            backend.set(keys[0], full_at, math.ceil(full_at - now))
        else:
            backend.delete(keys[0])
        return (full_at - now,)


class RedisAdjust(BaseRedisAtomicAction):
    """The same within Redis."""

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
    try:
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise ConfigError("Rate limits in Redis need its client: pip install 'sightline[redis]'") from error
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
