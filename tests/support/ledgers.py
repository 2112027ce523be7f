"""Rows of a ledger for tests, written as the service writes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace
from sqlalchemy import select

from sightline.core import SpendingLimit, Usage
from sightline.ids import first_id
from sightline.metering.ledger import Entry, Ledger, Outcome
from sightline.metering.ledger_lifespan import compose
from sightline.metering.prices import Cost
from sightline.metering.reports import ROW
from sightline.store.database import Database
from sightline.store.liveness import Liveness
from sightline.store.tables import key_spend, ledger

DONE = Outcome("completed", 200, Usage(12, 5, 8, 1), Cost(120, 50), images=[{"sha256": "ab", "width": 3}])
FAILED = Outcome("failed", 500, error="engine_error")
LIMIT = SpendingLimit(1_000_000, "total")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
_numbers = iter(range(1_000_000))


def entry(at: datetime = NOON, **values: Any) -> Entry:
    """A request that was admitted at `at`."""
    number = next(_numbers)
    base = Entry(f"{first_id(ROW, at)}{number:016x}", f"req_{number}", "key_1", "a/model", at, 100, 1000)
    return replace(base, **values)


class Process:
    """What one process of the service has of the ledger."""

    def __init__(self, database: Database, liveness: Liveness | None = None) -> None:
        self.database = database
        self.liveness = liveness or database.liveness()
        self.ledger, self.committer = compose(database, self.liveness)

    def rows(self) -> list[Any]:
        return list(self.database.read(lambda c: c.execute(select(ledger).order_by(ledger.c.id)).all()))

    def spent_by(self) -> dict[tuple[str, str], tuple[int, int]]:
        """What each account has reserved and settled."""
        rows = self.database.read(lambda c: c.execute(select(key_spend)).all())
        return {(row.key_id, row.period): (row.reserved_nanos, row.settled_nanos) for row in rows}

    def spent(self) -> tuple[int, int]:
        """What its one account has reserved and settled."""
        (spent,) = self.spent_by().values()
        return spent

    async def stop(self) -> None:
        """End it in order."""
        await self.ledger.close()
        await self.committer.stop()
        self.liveness.close()

    async def die(self) -> None:
        """End it as if it were killed: what it holds it does not give back."""
        await self.committer.stop()
        self.liveness.close()


@asynccontextmanager
async def keeping(database: Database) -> AsyncIterator[Ledger]:
    """The ledger of one process."""
    process = Process(database)
    process.committer.start()
    try:
        yield process.ledger
    finally:
        await process.stop()


async def fill(database: Database, rows: Iterable[tuple[Entry, Outcome]]) -> None:
    """Write rows that have ended."""
    async with keeping(database) as ledger:
        for one, ending in rows:
            await ledger.reserve(one)
            await ledger.settle(one, ending)
