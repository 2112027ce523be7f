"""Commits whose answers get lost, a process that is killed, at random: money is not lost, not doubled, not overspent.

Source: reliability.md C1, C16, C21.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import pytest
from sqlalchemy import Connection, select

from sightline.core import SpendingLimit, Usage
from sightline.errors import EngineError, QuotaExceeded, StoreUnavailable
from sightline.metering import ledger as ledger_module
from sightline.metering.audit import check
from sightline.metering.ledger import Outcome
from sightline.metering.prices import Cost
from sightline.metering.reservation import Reservation
from sightline.store.database import Database
from sightline.store.tables import key_spend
from support.ledgers import Process, entry

T = TypeVar("T")
pytestmark = pytest.mark.anyio
PROCESSES, CLIENTS, REQUESTS = 3, 4, 12
LIMITS = {"key_1": SpendingLimit(9_000, "total"), "key_2": SpendingLimit(10**9, "month")}


class Flaky(Process):
    """A process whose commits fail at times, before or after they are durable, also twice; or that is killed."""

    def __init__(self, database: Database, dice: random.Random, loss: float) -> None:
        super().__init__(database)
        self.is_killed = False
        whole = database.transaction

        def transaction(work: Callable[[Connection], T]) -> T:
            if self.is_killed or dice.random() < loss:
                raise StoreUnavailable
            result = whole(work)
            if self.is_killed or dice.random() < loss:
                raise StoreUnavailable
            return result

        self.committer._database = _Transactions(transaction)  # type: ignore[assignment]


class _Transactions:
    """A database whose transactions are others."""

    def __init__(self, transaction: Callable[..., object]) -> None:
        self.transaction = transaction


@pytest.mark.parametrize(("seed", "loss"), [(1, 0.03), (2, 0.1), (3, 0.3)])
async def test_whatever_is_lost_it_adds_up(
    any_database: Database, monkeypatch: pytest.MonkeyPatch, seed: int, loss: float
) -> None:
    monkeypatch.setattr(ledger_module, "RETRY_S", 0.02)
    dice = random.Random(seed)
    processes = [Flaky(any_database, dice, loss) for _ in range(PROCESSES)]
    for process in processes:
        process.committer.start()
    counts: Counter[str] = Counter()
    answered: list[str] = []

    async def request(process: Flaky) -> None:
        key_id = dice.choice(list(LIMITS))
        reservation = Reservation(
            process.ledger, one := entry(key_id=key_id, limit=LIMITS[key_id]), streams=dice.random() < 0.5
        )
        try:
            await reservation.begin()
            await asyncio.sleep(dice.choice([0, 0, 0.001, 0.03]))
            await reservation.confirm()
            if dice.random() < 0.15:
                reservation.fail(EngineError("no"))
                return
            if dice.random() < 0.15:
                reservation.cancel(Usage(12, 1), Cost(100, 10), [])
                return
            await reservation.complete(Outcome("completed", 200, Usage(12, 5), Cost(dice.randrange(1000), 0)))
            answered.append(one.id)
        except QuotaExceeded:
            counts["refused"] += 1
        except StoreUnavailable as error:
            counts["unavailable"] += 1
            reservation.fail(error)

    async def client(number: int) -> None:
        for _ in range(REQUESTS):
            process = processes[number % PROCESSES]
            if process.is_killed:
                return
            await request(process)

    async def kill() -> None:
        """One of them, in the middle of it; its writer ends for this process's sake."""
        await asyncio.sleep(0.1)
        processes[0].is_killed = True
        await processes[0].die()

    watching = asyncio.create_task(_watch(any_database, processes[1]))
    await asyncio.gather(kill(), *(client(number) for number in range(CLIENTS * PROCESSES)))
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching  # raises what it has found wrong
    for process in processes[1:]:
        process.committer._database = any_database  # all is well again
    for process in processes[1:]:
        await process.stop()
    last = Process(any_database)
    last.ledger.clear()

    assert check(any_database, last.liveness).discrepancies == ()
    rows = {row.id: row.outcome for row in last.rows()}
    assert [rows[row_id] for row_id in answered] == ["completed"] * len(answered)
    assert "reserved" not in rows.values()
    spend = any_database.read(lambda connection: connection.execute(select(key_spend)).all())
    assert [row.reserved_nanos for row in spend] == [0] * len(spend)
    assert answered, counts
    last.liveness.close()


async def _watch(database: Database, process: Process) -> None:
    """While all this goes on: nothing is overspent, and the check finds nothing but what the killed one left."""
    while True:
        with suppress(StoreUnavailable):  # it waits for a lock that all of them want, and not for long
            found = await asyncio.to_thread(check, database, process.liveness)
            assert [one for one in found.discrepancies if "is gone" not in one] == []
        for row in await database.run_read(lambda connection: connection.execute(select(key_spend)).all()):
            assert row.settled_nanos + row.reserved_nanos <= LIMITS[row.key_id].nanos
            assert row.reserved_nanos >= 0
        await asyncio.sleep(0.005)
