"""Opens the ledger of a database for as long as a service runs, and keeps it tidy meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count

from sightline.errors import StoreUnavailable
from sightline.log import get_logger
from sightline.metering.ledger import Ledger
from sightline.metering.posting import Posting
from sightline.store.database import Database
from sightline.store.presence import Presence
from sightline.store.writer import Writer

ALIVE_EVERY_S = 5.0
_ROUNDS_A_TIDYING = 6
_PAUSES_S = (0.1, 0.3, 1.0)

log = get_logger(__name__)


@asynccontextmanager
async def open_ledger(database: Database) -> AsyncIterator[Ledger]:
    """Write into the ledger of `database` under a presence of its own; what the dead left is cleared away first.

    Raises:
        StoreUnavailable: the database failed.
    """
    presence = await asyncio.to_thread(database.presence)
    writer = Writer(database, Posting(database, presence))
    ledger = Ledger(database, presence, writer)
    writer.start()
    tidying = None
    try:
        await _tidy_first(ledger)
        tidying = asyncio.create_task(_keep_tidy(ledger, presence))
        yield ledger
    finally:
        if tidying is not None:
            tidying.cancel()
        await ledger.close()
        await writer.stop()
        await asyncio.to_thread(presence.close)


async def _tidy_first(ledger: Ledger) -> None:
    """Others may hold what the dead had locked for longer than a statement may wait: that must not end a start."""
    for pause_s in _PAUSES_S:
        try:
            return await _tidy(ledger)
        except StoreUnavailable:
            await asyncio.sleep(pause_s)
    await _tidy(ledger)


async def _tidy(ledger: Ledger) -> None:
    interrupted = await asyncio.to_thread(ledger.clear)
    if interrupted:
        log.warning("requests_interrupted", rows=interrupted, charged=0)


async def _keep_tidy(ledger: Ledger, presence: Presence) -> None:
    """Show others that this process lives, much more often than they look for the dead; and look for them."""
    for round_ in count(1):
        await asyncio.sleep(ALIVE_EVERY_S)
        with suppress(StoreUnavailable):  # logged where it failed; the next round comes
            await asyncio.to_thread(presence.renew)
            if round_ % _ROUNDS_A_TIDYING == 0:
                await _tidy(ledger)
