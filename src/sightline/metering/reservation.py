"""One request's row, from admission to its end: reserved, confirmed before the first byte, settled before the last.

Comes in: an `Entry`. Goes out: its row in the ledger, whatever happens: an answer, a failure, a client that leaves, a
database that is away for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from sightline.core import Usage
from sightline.errors import ServiceError, StoreUnavailable
from sightline.metering.ledger import REFUSALS, Entry, Ledger, Outcome
from sightline.metering.prices import Cost

CLIENT_LEFT = 499
_UNKNOWN = (
    "The service's database failed while the answer was written down, so it is withheld. Send the request again. This "
    "one is not charged unless it was written all the same: the usage report shows it under its x-request-id."
)


class Reservation:
    """One request. `begin`, then `confirm` before each piece, then exactly one of the other three.

    One that `streams` sends its pieces as they come. Of a plain answer nothing goes out before it is settled, so that
    its row need not be durable before.
    """

    def __init__(self, ledger: Ledger, entry: Entry, *, streams: bool) -> None:
        self._ledger = ledger
        self._entry = entry
        self._streams = streams
        self._reserving: asyncio.Future[None] | None = None
        self.is_confirmed = False

    async def begin(self) -> None:
        """Reserve the row; waits for it only where it may be refused, otherwise work may begin meanwhile.

        Raises: as `Ledger.reserve`.
        """
        if self._ledger.is_behind:
            raise StoreUnavailable
        must_wait = self._entry.may_be_refused
        self._reserving = self._ledger.reserve(self._entry, can_wait=not (must_wait or self._streams))
        if must_wait:
            await self._reserved(self._reserving)

    async def confirm(self) -> None:
        """Return once a piece may go out: the row of a stream is durable, that of a plain answer not refused.

        Raises: as `Ledger.reserve`.
        """
        reserving = self._reserving
        if not self.is_confirmed and reserving is not None and (self._streams or reserving.done()):
            await self._reserved(reserving)

    async def _reserved(self, reserving: asyncio.Future[None]) -> None:
        # Shielded: who leaves while waiting has a row all the same, and it is settled when it is there.
        await (reserving if reserving.done() else asyncio.shield(reserving))
        self.is_confirmed = True

    async def complete(self, outcome: Outcome) -> None:
        """Settle an answer that was made; its last byte may go out when this returns.

        Raises:
            StoreUnavailable: it could not be settled, or nobody knows whether it was: the answer must not go out.
        """
        try:
            await self.confirm()
            await self._ledger.settle(self._entry, outcome)
        except StoreUnavailable as error:
            self.fail(error)
            raise StoreUnavailable(_UNKNOWN) from error

    def fail(self, error: ServiceError) -> None:
        """Settle a request that came to nothing; it costs nothing."""
        self._close(Outcome("failed", error.status, error=error.code or error.type))

    def cancel(self, usage: Usage, cost: Cost, images: Sequence[Mapping[str, Any]]) -> None:
        """Settle a request whose client left: what was made for it until then is charged."""
        self._close(Outcome("cancelled", CLIENT_LEFT, usage, cost, images=images))

    def _close(self, outcome: Outcome) -> None:
        reserving = self._reserving
        if reserving is None or (reserving.done() and isinstance(reserving.exception(), REFUSALS)):
            return  # no row, and nothing to settle
        self._ledger.settle_later(self._entry, replace(outcome, answer=None))
