"""Rows of a ledger for tests, written as the service writes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace
from sqlalchemy import select

from sightline.core import SpendingLimit, Usage
from sightline.ids import first_id
from sightline.metering.ledger import Ending, Entry, Ledger
from sightline.metering.posting import Posting
from sightline.metering.prices import Cost
from sightline.metering.usage import ROW
from sightline.store.database import Database
from sightline.store.presence import Presence
from sightline.store.tables import key_leases, key_spend, ledger
from sightline.store.writer import Writer

DONE = Ending("completed", 200, Usage(12, 5, 8, 1), Cost(120, 50), images=[{"sha256": "ab", "width": 3}])
FAILED = Ending("failed", 500, error="engine_error")
LIMIT = SpendingLimit(1_000_000, "total")
FEW = SpendingLimit(20_000, "total")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
_numbers = iter(range(1_000_000))


def entry(at: datetime = NOON, **values: Any) -> Entry:
    """A request that was admitted at `at`."""
    number = next(_numbers)
    base = Entry(f"{first_id(ROW, at)}{number:016x}", f"req_{number}", "key_1", "a/model", at, 100, 1000)
    return replace(base, **values)


class Process:
    """What one process of the service has of the ledger."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.presence: Presence = database.presence()
        self.writer = Writer(database, Posting(database, self.presence))
        self.ledger = Ledger(database, self.presence, self.writer)

    def rows(self) -> list[Any]:
        return list(self.database.read(lambda c: c.execute(select(ledger).order_by(ledger.c.id)).all()))

    def spent(self) -> tuple[int, int]:
        """What its one account has reserved and settled."""
        query = select(key_spend.c.reserved_nanos, key_spend.c.settled_nanos)
        return tuple(self.database.read(lambda c: c.execute(query)).one())  # type: ignore[return-value]

    def leased(self) -> list[int]:
        """What it holds in leases."""
        query = select(key_leases.c.nanos).where(key_leases.c.server == self.presence.number)
        return list(self.database.read(lambda c: c.execute(query)).scalars())

    def tick(self) -> None:
        """Let it look now for what idles."""
        self._no_tick()
        self.ledger._leases._look()

    def _no_tick(self) -> None:
        tick = self.ledger._leases._tick
        if tick is not None:
            tick.cancel()

    async def stop(self) -> None:
        """End it in order."""
        await self.ledger.close()
        await self.writer.stop()
        self.presence.close()

    async def die(self) -> None:
        """End it as if it were killed: what it holds it does not give back."""
        self._no_tick()
        await self.writer.stop()
        self.presence.close()
        witness = self.database.presence()
        async with asyncio.timeout(10):
            while not witness.dead([self.presence.number]):  # Postgres frees a lock a moment after its connection
                await asyncio.sleep(0.01)
        witness.close()


async def crowd(process: Process, many: int = 3, **values: Any) -> list[Entry]:
    """Requests that come together and are asked for, so that a lease is taken for those that come next."""
    together = [entry(**{"limit": LIMIT, **values}) for _ in range(many)]
    assert [process.ledger.grant(one) for one in together] == [False] * many
    await asyncio.gather(*(process.ledger.reserve(one) for one in together))
    return together


def granted(process: Process, many: int, **values: Any) -> list[Entry]:
    """Requests that a lease grants at once."""
    some = [entry(**{"limit": LIMIT, **values}) for _ in range(many)]
    assert all(process.ledger.grant(one) for one in some)
    return some


async def promise_that_is_gone(process: Process, other: Process) -> Entry:
    """A request that `process` has granted; then `other` takes it for dead, and spends what its lease held."""
    await crowd(process, 3, limit=FEW)
    (promised,) = granted(process, 1, limit=FEW)
    other.presence.dead = lambda numbers: {process.presence.number}  # type: ignore[method-assign]
    other.ledger.clear()
    await other.ledger.reserve(entry(limit=FEW, estimated_nanos=19_500))
    return promised


@asynccontextmanager
async def keeping(database: Database) -> AsyncIterator[Ledger]:
    """The ledger of one process."""
    presence = database.presence()
    writer = Writer(database, Posting(database, presence))
    writer.start()
    ledger = Ledger(database, presence, writer)
    try:
        yield ledger
    finally:
        await ledger.close()
        await writer.stop()
        presence.close()


async def fill(database: Database, rows: Iterable[tuple[Entry, Ending]]) -> None:
    """Write rows that have ended."""
    async with keeping(database) as ledger:
        for one, ending in rows:
            await ledger.reserve(one)
            await ledger.settle(one, ending)
