"""Opens the ledger of a database for as long as a service runs, and keeps it tidy meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sightline.errors import StoreUnavailable
from sightline.log import get_logger
from sightline.metering.ledger import Ledger
from sightline.metering.ledger_writer import LedgerWriter
from sightline.store.database import Database
from sightline.store.group_commit import GroupCommitter
from sightline.store.liveness import Liveness

CLEAR_EVERY_S = 5.0
_PAUSES_S = (0.1, 0.3, 1.0)

log = get_logger(__name__)


def compose(database: Database, liveness: Liveness) -> tuple[Ledger, GroupCommitter]:
    """Return a ledger and what commits its writes, which is not yet started."""
    writer = LedgerWriter(database.dialect, liveness)
    committer = GroupCommitter(database, writer)
    return Ledger(database, liveness, committer, writer.running), committer


@asynccontextmanager
async def ledger_lifespan(database: Database) -> AsyncIterator[Ledger]:
    """Write into the ledger of `database` as a server of its own; what the dead left is cleared away first.

    Raises:
        StoreUnavailable: the database failed.
    """
    liveness = await asyncio.to_thread(database.liveness)
    ledger, committer = compose(database, liveness)
    committer.start()
    clearing = None
    try:
        await _clear_first(ledger)
        clearing = asyncio.create_task(_keep_clearing(ledger))
        yield ledger
    finally:
        if clearing is not None:
            clearing.cancel()
        await ledger.close()
        await committer.stop()
        await asyncio.to_thread(liveness.close)


async def _clear_first(ledger: Ledger) -> None:
    """Others may hold what the dead had locked for longer than a statement may wait: that must not end a start."""
    for pause_s in _PAUSES_S:
        try:
            return await _clear(ledger)
        except StoreUnavailable:
            await asyncio.sleep(pause_s)
    await _clear(ledger)


async def _clear(ledger: Ledger) -> None:
    interrupted = await asyncio.to_thread(ledger.clear)
    if interrupted:
        log.warning("requests_interrupted", rows=interrupted, charged=0)


async def _keep_clearing(ledger: Ledger) -> None:
    while True:
        await asyncio.sleep(CLEAR_EVERY_S)
        with suppress(StoreUnavailable):  # logged where it failed; the next time comes
            await _clear(ledger)
