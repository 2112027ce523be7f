"""One request's row, from admission to its end: begun, confirmed before the first byte, closed before the last.

Comes in: an `Entry`. Goes out: its row in the ledger, whatever happens: an answer, a failure, a client that leaves, a
database that is away for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sightline.core import Usage
from sightline.errors import ServiceError, StoreUnavailable
from sightline.metering.ledger import Ending, Entry, Ledger
from sightline.metering.prices import Cost

CLIENT_LEFT = 499


class Booking:
    """One request. `begin`, then `confirm` before anything goes out, then exactly one of the other three."""

    def __init__(self, ledger: Ledger, entry: Entry) -> None:
        self._ledger = ledger
        self._entry = entry
        self._reserving: asyncio.Task[None] | None = None
        self.is_confirmed = False

    async def begin(self) -> None:
        """Reserve the row; waits for it only where it may be refused, otherwise work may begin meanwhile.

        Raises: as `Ledger.reserve`.
        """
        self._reserving = asyncio.create_task(self._ledger.reserve(self._entry))
        if self._entry.must_be_asked:
            await self.confirm()

    async def confirm(self) -> None:
        """Return once the row is durable.

        Raises: as `Ledger.reserve`.
        """
        if not self.is_confirmed:
            assert self._reserving is not None
            await asyncio.shield(self._reserving)
            self.is_confirmed = True

    async def complete(self, ending: Ending) -> None:
        """Settle an answer that was made; its last byte may go out when this returns.

        Raises:
            StoreUnavailable: it could not be settled: the answer must not go out, and nothing is charged.
        """
        try:
            await self._ledger.settle(self._entry, ending)
        except StoreUnavailable as error:
            self.fail(error)
            raise

    def fail(self, error: ServiceError) -> None:
        """Settle a request that came to nothing; it costs nothing."""
        self._close(Ending("failed", error.status, error=error.code or error.type))

    def cancel(self, usage: Usage, cost: Cost, images: Sequence[Mapping[str, Any]]) -> None:
        """Settle a request whose client left: what was made for it until then is charged."""
        self._close(Ending("cancelled", CLIENT_LEFT, usage, cost, images=images))

    def _close(self, ending: Ending) -> None:
        if self._reserving is None:
            return
        if not self._reserving.done():
            self._reserving.add_done_callback(lambda _: self._close(ending))
        elif isinstance(self._reserving.exception(), StoreUnavailable | None):
            # Where the database failed, the row may be there all the same.
            self._ledger.settle_later(self._entry, replace(ending, answer=None))
