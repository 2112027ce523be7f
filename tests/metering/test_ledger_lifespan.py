"""Opening the ledger: what the dead left is cleared away first, however busy the database is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from sightline.errors import IdempotencyConflict, StoreUnavailable
from sightline.metering import ledger_lifespan as lifespan_module
from sightline.metering.ledger import Entry, IdempotencyKey, Ledger, ReserveWrite
from sightline.metering.ledger_lifespan import ledger_lifespan
from sightline.store.database import Database
from support.ledgers import FAILED, LIMIT, Process, entry

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifespan_module, "_PAUSES_S", (0.001, 0.001, 0.001))


def fail_at_first(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Have the first `times` clearings fail as those that wait too long for a lock."""
    clear, failed = Ledger.clear, iter(range(times))

    def clear_late(ledger: Ledger) -> int:
        if next(failed, None) is not None:
            raise StoreUnavailable
        return clear(ledger)

    monkeypatch.setattr(Ledger, "clear", clear_late)


async def test_a_lock_that_others_hold_for_a_while_does_not_end_a_start(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = Process(any_database)
    dead.committer.start()
    await dead.ledger.reserve(entry())
    await dead.die()
    fail_at_first(monkeypatch, 3)

    async with ledger_lifespan(any_database):
        assert [row.outcome for row in dead.rows()] == ["interrupted"]


async def test_a_database_that_stays_away_does(any_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_at_first(monkeypatch, 4)

    with pytest.raises(StoreUnavailable):
        async with ledger_lifespan(any_database):
            pass


async def test_what_a_process_holds_is_not_cleared_while_it_lives(
    any_database: Database,
) -> None:
    process = Process(any_database)
    process.committer.start()
    await process.ledger.reserve(entry())

    async with ledger_lifespan(any_database):
        assert [row.outcome for row in process.rows()] == ["reserved"]

    await process.stop()


async def give_up_and_commit(process: Process, one: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse a reservation, and settle the failure, before the database carries it out after all."""
    with monkeypatch.context() as patch:
        patch.setattr(process.database, "transaction", lambda work: raise_unavailable())
        with pytest.raises(StoreUnavailable):
            await process.ledger.reserve(one)
    await process.ledger.settle(one, FAILED, can_wait=True)
    await process.committer.write(ReserveWrite(entry=one))
    assert process.spent() == (1000, 0)


def raise_unavailable() -> None:
    raise StoreUnavailable


async def test_a_reservation_that_was_given_up_and_came_after_all_keeps_no_idempotency_key(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database carries out a commit whose connection was lost, after its asker has been refused."""
    key, process = IdempotencyKey("k", b"b" * 32), Process(any_database)
    process.committer.start()
    await give_up_and_commit(process, entry(idempotency_key=key, limit=LIMIT), monkeypatch)

    await process.ledger.reserve(entry(idempotency_key=key, limit=LIMIT))
    with pytest.raises(IdempotencyConflict, match="still running"):
        await process.ledger.reserve(entry(idempotency_key=key))

    assert [row.outcome for row in process.rows()] == ["interrupted", "reserved"]
    assert process.spent() == (1000, 0)
    await process.stop()


async def test_a_reservation_that_came_after_all_is_cleared(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(any_database)
    process.committer.start()
    await give_up_and_commit(process, entry(limit=LIMIT), monkeypatch)
    await process.ledger.reserve(entry())

    assert process.ledger.clear() == 1

    assert [row.outcome for row in process.rows()] == ["interrupted", "reserved"]
    assert process.spent() == (0, 0)
    await process.stop()


async def test_of_twins_whose_commit_was_lost_one_runs(any_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    key, process = IdempotencyKey("k", b"b" * 32), Process(any_database)
    transaction, lost = any_database.transaction, iter([True])

    def commit_and_lose(work: Callable[[Connection], Any]) -> Any:
        done = transaction(work)
        if next(lost, False):
            raise StoreUnavailable
        return done

    process.committer.start()
    monkeypatch.setattr(any_database, "transaction", commit_and_lose)
    twins = [process.ledger.reserve(entry(idempotency_key=key)) for _ in range(2)]

    outcomes = await asyncio.gather(*twins, return_exceptions=True)

    assert sorted(type(one).__name__ for one in outcomes) == ["IdempotencyConflict", "NoneType"]
    assert len(process.rows()) == 1
    await process.stop()
