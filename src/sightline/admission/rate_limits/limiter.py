"""May this key send another request this minute, and use so many tokens?

Two limits a key, for requests and for tokens; each fills at its limit a minute and holds at most one minute's worth,
so that a burst up to the limit passes and the rest comes evenly. Tokens are reserved before the work by an estimate,
and settled after it by what was used. Refusals say the limit, the value and when to come back.
"""

from __future__ import annotations

import math

from sightline.admission.rate_limits.base import RateLimitStatus, RateLimitStore
from sightline.admission.rate_limits.memory import MemoryRateLimitStore
from sightline.core import KeyLimits
from sightline.errors import ConfigError, RateLimitExceeded, StoreUnavailable
from sightline.log import get_logger

log = get_logger(__name__)

_HALF_A_US = 0.0005  # of a millisecond: what is less is the arithmetic's own


class LimitReached(RateLimitExceeded):
    """Too little of a limit is left; `limit_status` is how it stands, for the answer's headers."""

    def __init__(self, message: str, status: RateLimitStatus) -> None:
        super().__init__(message, retry_after_s=_seconds(status))
        self.limit_status = status


class RateLimits:
    """Counts requests and tokens by key in `store`."""

    def __init__(self, store: RateLimitStore) -> None:
        self._store = store

    @classmethod
    def open(cls, redis_url: str = "") -> RateLimits:
        """Count in the Redis at `redis_url`, or without one in memory; nothing is connected yet.

        Raises:
            ConfigError: no Redis client is installed, or the address is none.
        """
        if not redis_url:
            return cls(MemoryRateLimitStore())
        try:
            from sightline.admission.rate_limits.redis import RedisRateLimitStore
        except ImportError as error:
            message = "Rate limits in Redis need its client, the extra 'redis' of this package: install it with that."
            raise ConfigError(message) from error
        return cls(RedisRateLimitStore(redis_url))

    async def take_request(self, key_id: str, limits: KeyLimits) -> RateLimitStatus | None:
        """Count a request; None where the key has no such limit.

        Raises:
            LimitReached: the key has none left; `retry_after_s`, whole seconds, is when it has.
            StoreUnavailable: Redis did not answer.
        """
        limit = limits.requests_per_min
        if limit is None:
            return None
        if limit < 1:
            raise RateLimitExceeded("This key may make no requests; ask whoever runs this service to raise its limit.")
        status = await self._store.take(f"requests:{key_id}", limit, 1)
        if status.refused:
            seconds = _seconds(status)
            message = (
                f"This key's limit is {limit:,} requests a minute, and none is left; send it again in {seconds} s."
            )
            raise LimitReached(message, status)
        return status

    async def reserve_tokens(self, key_id: str, limits: KeyLimits, estimate: int) -> RateLimitStatus | None:
        """Set `estimate` tokens aside for a request; None where the key has no such limit.

        Raises:
            LimitReached: fewer are left; `retry_after_s` is when there will be enough.
            RateLimitExceeded: the estimate is more than a minute's worth: waiting does not help.
            StoreUnavailable: Redis did not answer.
        """
        limit = limits.tokens_per_min
        if limit is None:
            return None
        if estimate > limit or limit < 1:
            raise RateLimitExceeded(
                f"{_needs(estimate, limit)}, so that it can never pass; lower max_completion_tokens, shorten the "
                "prompt, send fewer images, or have the key's limit raised."
            )
        status = await self._store.take(f"tokens:{key_id}", limit, estimate)
        if status.refused:
            seconds = _seconds(status)
            message = (
                f"{_needs(estimate, limit)}, and {status.remaining:,} are left; send it again in {seconds} s, "
                "or lower max_completion_tokens."
            )
            raise LimitReached(message, status)
        return status

    async def settle_tokens(self, key_id: str, limits: KeyLimits, reserved: int, used: int) -> None:
        """Give back what was reserved and not used, or take what was used beyond it, down to nothing left.

        Never fails: the answer is there, and a limit that could not be settled is right again within a minute.
        In memory it never waits, so that it is safe in the clean-up of a cancelled task.
        """
        if limits.tokens_per_min and reserved != used:
            try:
                await self._store.refund(f"tokens:{key_id}", limits.tokens_per_min, reserved - used)
            except StoreUnavailable as error:
                log.warning("tokens_not_settled", reason=str(error.__cause__))

    async def close(self) -> None:
        """Close the connections to Redis, where there are any."""
        await self._store.close()


def rate_headers(requests: RateLimitStatus | None, tokens: RateLimitStatus | None) -> list[tuple[bytes, bytes]]:
    """The limits in OpenAI's headers; a limit that the key does not have gives none.

    Source: https://platform.openai.com/docs/guides/rate-limits, "Rate limits in headers"
    """
    headers: list[tuple[bytes, bytes]] = []
    if requests is not None:
        headers += (
            (b"x-ratelimit-limit-requests", b"%d" % requests.limit),
            (b"x-ratelimit-remaining-requests", b"%d" % requests.remaining),
            (b"x-ratelimit-reset-requests", duration(requests.reset_s).encode()),
        )
    if tokens is not None:
        headers += (
            (b"x-ratelimit-limit-tokens", b"%d" % tokens.limit),
            (b"x-ratelimit-remaining-tokens", b"%d" % tokens.remaining),
            (b"x-ratelimit-reset-tokens", duration(tokens.reset_s).encode()),
        )
    return headers


def duration(seconds: float) -> str:
    """OpenAI's spelling, rounded up to a millisecond: `12ms`, `1s`, `8.64s`, `6m0s`."""
    whole_ms = math.ceil(seconds * 1000 - _HALF_A_US)
    if 0 < whole_ms < 1000:
        return f"{whole_ms}ms"
    minutes, rest_ms = divmod(whole_ms, 60_000)
    return (f"{minutes}m" if minutes else "") + f"{rest_ms / 1000:g}s"


def _needs(estimate: int, limit: int) -> str:
    return f"This request needs up to {estimate:,} tokens, this key's limit is {limit:,} a minute"


def _seconds(status: RateLimitStatus) -> int:
    return max(1, math.ceil(status.retry_s))
