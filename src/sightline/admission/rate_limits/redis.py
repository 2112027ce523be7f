"""Rate limits in a Redis that several processes share, by its clock: one script a call, which Redis runs atomically.

Source: https://redis.readthedocs.io/en/stable/lua_scripting.html
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from sightline.admission.rate_limits.base import RateLimitStatus
from sightline.errors import ConfigError, StoreUnavailable

ANSWER_S = 0.9
"""How long Redis may take, connecting and a second try on a fresh connection included."""
_PREFIX = "sightline:rate:"
# A value is the time of Redis, in seconds, at which the limit is whole again. Times of the same microsecond differ by
# rounding, which must not count as a request.
_NOW = """
local interval, limit, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call("TIME")
local now = time[1] + time[2] / 1000000
local full = math.max(now, tonumber(redis.call("GET", KEYS[1]) or now))
local function keep(at)
    if at > now then
        redis.call("SET", KEYS[1], string.format("%.6f", at), "EX", math.ceil(at - now))
    else
        redis.call("DEL", KEYS[1])
    end
end
"""
_TAKE = f"""{_NOW}
local remaining = limit - cost - math.ceil((full - now) / interval - 0.000001)
if remaining < 0 then
    local left = math.max(0, math.min(limit, cost + remaining))
    return {{1, left, tostring(full - now), tostring(full - now - (limit - cost) * interval)}}
end
keep(full + cost * interval)
return {{0, remaining, tostring(full + cost * interval - now), "0"}}
"""
_REFUND = f"""{_NOW}
keep(math.min(full - cost * interval, now + limit * interval))
"""


class RedisRateLimitStore:
    """See `RateLimitStore`."""

    def __init__(self, url: str) -> None:
        """Nothing is connected yet.

        Raises:
            ConfigError: the address is none.
        """
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=32,
                socket_timeout=ANSWER_S / 2,
                socket_connect_timeout=ANSWER_S / 2,
                retry=Retry(NoBackoff(), 1),  # once: Redis may have been restarted since the connection was made
            )
        except ValueError as error:  # the address is not repeated: it may hold a password
            raise ConfigError("The address of Redis cannot be read; it looks like redis://HOST:6379/0") from error
        self._redis = Redis.from_pool(pool)
        self._take = self._redis.register_script(_TAKE)
        self._refund = self._redis.register_script(_REFUND)

    async def take(self, name: str, limit: int, cost: int) -> RateLimitStatus:
        """See `RateLimitStore.take`."""
        async with _answer_in_time():
            refused, remaining, reset_s, retry_s = await self._take([_PREFIX + name], [60 / limit, limit, cost])
        return RateLimitStatus(limit, int(remaining), float(reset_s), bool(refused), float(retry_s))

    async def refund(self, name: str, limit: int, amount: int) -> None:
        """See `RateLimitStore.refund`."""
        async with _answer_in_time():
            await self._refund([_PREFIX + name], [60 / limit, limit, amount])

    async def close(self) -> None:
        """See `RateLimitStore.close`."""
        await self._redis.aclose()


@asynccontextmanager
async def _answer_in_time() -> AsyncIterator[None]:
    """A Redis that does not answer, or not in time, in our words."""
    try:
        async with asyncio.timeout(ANSWER_S):
            yield
    except (RedisError, OSError, TimeoutError) as error:
        raise StoreUnavailable("Rate limits cannot be checked at this moment; send the request again.") from error
