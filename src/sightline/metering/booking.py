"""One request's row, from admission to its end: begun, confirmed before the first byte, closed before the last.

Comes in: an `Entry`. Goes out: its row in the ledger, whatever happens: an answer, a failure, a client that leaves, a
database that is away for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from sightline.core import Usage
from sightline.errors import IdempotencyConflict, QuotaExceeded, ServiceError, StoreUnavailable
from sightline.metering.ledger import Ending, Entry, Ledger, Replay
from sightline.metering.prices import Cost

CLIENT_LEFT = 499
_UNKNOWN = (
    "The service's database failed while the answer was written down, so it is withheld. Send the request again. This "
    "one is not charged unless it was written all the same: the usage report shows it under its x-request-id."
)
_REFUSED = (QuotaExceeded, IdempotencyConflict, Replay)  # which leave no row, and nothing promised


class Booking:
    """One request. `begin`, then `confirm` before each piece, then exactly one of the other three.

    One that `streams` sends its pieces as they come. Of a plain answer nothing goes out before it is settled, so that
    its row need not be durable before: it is reserved after `SOON_S`, and one that is over by then is written once.
    """

    def __init__(self, ledger: Ledger, entry: Entry, *, streams: bool) -> None:
        self._ledger = ledger
        self._entry = entry
        self._streams = streams
        self._is_quick = False  # so far: it has no row, and is to have one soon
        self._reserving: asyncio.Future[None] | None = None
        self._is_written = False
        self.is_confirmed = False

    async def begin(self) -> None:
        """Reserve the row; waits for it only where it may be refused, otherwise work may begin meanwhile.

        Raises: as `Ledger.reserve`.
        """
        if self._ledger.is_behind:
            raise StoreUnavailable
        if not self._ledger.grant(self._entry):
            await self._reserved(self._reserve())
        elif self._streams:
            self._reserve()
        else:
            self._is_quick = True
            self._ledger.soon.add(self._reserve_unless_over)

    def _reserve_unless_over(self) -> None:
        if self._is_quick:
            self._reserve()

    def _reserve(self) -> asyncio.Future[None]:
        self._is_quick = False
        self._reserving = self._ledger.reserve(self._entry)
        return self._reserving

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

    async def complete(self, ending: Ending) -> None:
        """Settle an answer that was made; its last byte may go out when this returns.

        Raises:
            StoreUnavailable: it could not be settled, or nobody knows whether it was: the answer must not go out.
        """
        try:
            if self._was_quick():
                self._is_written = True
                await self._ledger.write(self._entry, ending)
            else:
                await self.confirm()
                await self._ledger.settle(self._entry, ending)
        except StoreUnavailable as error:
            self.fail(error)
            raise StoreUnavailable(_UNKNOWN) from error

    def fail(self, error: ServiceError) -> None:
        """Settle a request that came to nothing; it costs nothing."""
        self._close(Ending("failed", error.status, error=error.code or error.type))

    def cancel(self, usage: Usage, cost: Cost, images: Sequence[Mapping[str, Any]]) -> None:
        """Settle a request whose client left: what was made for it until then is charged."""
        self._close(Ending("cancelled", CLIENT_LEFT, usage, cost, images=images))

    def _was_quick(self) -> bool:
        """Whether the request is over before it was to be reserved, which it then is no more."""
        was_quick, self._is_quick = self._is_quick, False
        return was_quick

    def _close(self, ending: Ending) -> None:
        if self._was_quick():
            self._ledger.settle_later(self._entry, ending, is_whole=True)
        elif self._is_written:
            # The row may be there all the same, and then stays as it is. Without it, who left is still to be charged.
            self._ledger.settle_later(self._entry, ending, is_whole=ending.outcome == "cancelled")
        elif self._reserving is not None and not self._reserving.done():
            self._reserving.add_done_callback(lambda _: self._close(ending))
        elif self._reserving is not None and not isinstance(self._reserving.exception(), _REFUSED):
            self._ledger.settle_later(self._entry, replace(ending, answer=None))  # likewise
