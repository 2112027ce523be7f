"""Opening the ledger: what the dead left is cleared away first, however busy the database is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, text

from sightline.errors import IdempotencyConflict, StoreUnavailable
from sightline.metering import books
from sightline.metering.books import open_ledger
from sightline.metering.ledger import Ledger, Once
from sightline.metering.posting import Posting
from sightline.store.database import Database
from support.asgi import until
from support.ledgers import Process, entry

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "_PAUSES_S", (0.001, 0.001, 0.001))


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
    dead.writer.start()
    await dead.ledger.reserve(entry())
    await dead.die()
    fail_at_first(monkeypatch, 3)

    async with open_ledger(any_database):
        assert [row.outcome for row in dead.rows()] == ["interrupted"]


async def test_a_database_that_stays_away_does(any_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_at_first(monkeypatch, 4)

    with pytest.raises(StoreUnavailable):
        async with open_ledger(any_database):
            pass


async def test_a_sign_of_life_that_is_lost_is_given_again(empty_postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection does nothing else: a server or a network in between may end it while all else goes on."""
    monkeypatch.setattr(books, "ALIVE_EVERY_S", 0.1)
    database = Database.at(empty_postgres)
    other = database.presence()
    signs = "FROM pg_locks WHERE locktype = 'advisory' AND objid <> :other AND granted"

    def held(what: str) -> list[int]:
        query = text(f"SELECT {what} {signs}")
        return list(database.read(lambda c: c.execute(query, {"other": other.number}).scalars()))

    async with open_ledger(database):
        (number,), (pid,) = held("objid"), held("pid")
        assert other.dead([number]) == set()

        database.read(lambda c: c.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid}).all())
        await until(lambda: held("objid") == [number] and held("pid") != [pid])

        assert other.dead([number]) == set()
    other.close()
    database.close()


async def test_a_reservation_that_was_given_up_and_came_after_all_keeps_no_idempotency_key(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, process = Once("k", b"b" * 32), Process(any_database)
    process.writer.start()
    with monkeypatch.context() as patch:
        patch.setattr(Posting, "done", lambda posting, writes, carried_out: None)  # nobody hears of its commit
        await process.ledger.reserve(entry(once=once))

    await process.ledger.reserve(entry(once=once))
    with pytest.raises(IdempotencyConflict, match="still running"):
        await process.ledger.reserve(entry(once=once))
    await process.stop()


async def test_of_twins_whose_commit_was_lost_one_runs(any_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    once, process = Once("k", b"b" * 32), Process(any_database)
    transaction, lost = any_database.transaction, iter([True])

    def commit_and_lose(work: Callable[[Connection], Any]) -> Any:
        done = transaction(work)
        if next(lost, False):
            raise StoreUnavailable
        return done

    process.writer.start()
    monkeypatch.setattr(any_database, "transaction", commit_and_lose)
    twins = [process.ledger.reserve(entry(once=once)) for _ in range(2)]

    outcomes = await asyncio.gather(*twins, return_exceptions=True)

    assert sorted(type(one).__name__ for one in outcomes) == ["IdempotencyConflict", "NoneType"]
    assert len(process.rows()) == 1
    await process.stop()
