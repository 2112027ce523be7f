"""Where rate limits are counted: by name, each fills at `limit` a minute and holds at most as much.

Nothing runs between requests: of a name only the time is kept at which its limit will be whole again (GCRA).

Source: https://brandur.org/rate-limiting
"""

from __future__ import annotations

from typing import Protocol

import msgspec


class RateLimitStatus(msgspec.Struct, frozen=True):
    """How a limit stands: `reset_s` seconds from now all of it is there again.

    After a request that was `refused`, `retry_s` says when there will be as much as it asked for.
    """

    limit: int
    remaining: int
    reset_s: float
    refused: bool = False
    retry_s: float = 0.0


class RateLimitStore(Protocol):
    """Counts by name. Every call is atomic."""

    async def take(self, name: str, limit: int, cost: int) -> RateLimitStatus:
        """Take `cost` if there is as much.

        Raises:
            StoreUnavailable: Redis did not answer; it is tried again with the next call.
        """
        ...

    async def refund(self, name: str, limit: int, amount: int) -> None:
        """Give `amount` back, or take it where it is negative; stops where all or nothing is left.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        ...

    async def close(self) -> None:
        """Close the connections, where there are any."""
        ...
