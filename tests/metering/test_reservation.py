"""One request's row, whatever happens to the request or to the database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from sightline import failpoints
from sightline.core import Usage
from sightline.errors import EngineError, QuotaExceeded, StoreUnavailable
from sightline.ids import new_id
from sightline.metering import ledger as ledger_module
from sightline.metering.ledger import Entry, Ledger, Outcome, SpendingLimit
from sightline.metering.prices import Cost
from sightline.metering.reservation import Reservation
from sightline.store import group_commit
from sightline.store.database import Database
from sightline.store.tables import ledger
from support.asgi import until
from support.ledgers import keeping

pytestmark = pytest.mark.anyio
DONE = Outcome("completed", 200, Usage(12, 5), Cost(120, 50))


@pytest.fixture
async def kept(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ledger]:
    monkeypatch.setattr(ledger_module, "RETRY_S", 0.02)
    async with keeping(database) as ledger:
        yield ledger
        failpoints.arm("")


def entry(**values: Any) -> Entry:
    return replace(Entry(new_id("row_"), "req_1", "key_1", "a/model", datetime.now(UTC), 100, 1000), **values)


async def leave(reservation: Reservation, completing: asyncio.Task[None]) -> None:
    """What a client's leaving comes to while its answer is being written down."""
    completing.cancel()
    await asyncio.wait([completing])
    reservation.cancel(DONE.usage, DONE.cost, [])


def outcomes(database: Database) -> list[tuple[str, int | None, int]]:
    query = select(ledger.c.outcome, ledger.c.status, ledger.c.prompt_nanos)
    return [(row.outcome, row.status, row.prompt_nanos) for row in database.read(lambda c: c.execute(query).all())]


def hold(database: Database, monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Have transactions wait: whether one does, and what lets all of them go on."""
    is_waiting, may_write = threading.Event(), threading.Event()
    whole = database.transaction

    def write_late(work: Any) -> Any:
        is_waiting.set()
        may_write.wait()
        return whole(work)

    monkeypatch.setattr(database, "transaction", write_late)
    return is_waiting, may_write


async def given_up(reservation: Reservation) -> None:
    """Return when its next piece may not go out."""
    with suppress(StoreUnavailable):
        while True:
            await reservation.confirm()
            await asyncio.sleep(0.001)


async def test_an_answer_has_its_row_before_its_first_and_before_its_last_byte(
    kept: Ledger, database: Database
) -> None:
    reservation = Reservation(kept, entry(), streams=True)

    await reservation.begin()
    await reservation.confirm()
    assert outcomes(database) == [("reserved", None, 0)]
    await reservation.complete(DONE)

    assert outcomes(database) == [("completed", 200, 120)]


async def test_a_request_with_a_spending_limit_is_reserved_before_work(kept: Ledger, database: Database) -> None:
    reservation = Reservation(kept, entry(limit=SpendingLimit(1_000_000, "day")), streams=False)

    await reservation.begin()
    assert outcomes(database) == [("reserved", None, 0)]
    await reservation.complete(DONE)

    assert outcomes(database) == [("completed", 200, 120)]


async def test_a_plain_answer_without_a_limit_waits_for_its_end_alone(
    kept: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it goes out before it is settled, so that its reservation need not be waited for."""
    _, may_write = hold(database, monkeypatch)
    reservation = Reservation(kept, entry(), streams=False)

    await reservation.begin()
    await reservation.confirm()
    completing = asyncio.create_task(reservation.complete(DONE))
    assert outcomes(database) == []
    may_write.set()
    await completing

    assert outcomes(database) == [("completed", 200, 120)]


async def test_who_leaves_a_plain_answer_that_a_busy_disk_was_too_late_for_has_a_row(
    kept: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reservation waits behind a group that takes longer than those wait whose answer is due."""
    monkeypatch.setattr(group_commit, "WAIT_S", 0.0)
    is_busy, may_write = hold(database, monkeypatch)
    busy = asyncio.ensure_future(kept.reserve(entry()))
    await asyncio.to_thread(is_busy.wait)
    reservation = Reservation(kept, entry(), streams=False)
    await reservation.begin()
    with pytest.raises(StoreUnavailable):
        await kept.reserve(entry())

    reservation.cancel(DONE.usage, DONE.cost, [])
    may_write.set()
    await busy

    await until(lambda: ("cancelled", 499, 120) in outcomes(database))
    assert len(outcomes(database)) == 2


@pytest.mark.parametrize("behind", [True, False])
async def test_a_leaver_whose_answer_is_written_meanwhile_has_one_row(
    kept: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch, behind: bool
) -> None:
    """Both writes are in one group behind another, or the answer's is under way when its client leaves."""
    is_waiting, may_write = hold(database, monkeypatch)
    if behind:
        kept.reserve(entry(id="row_0"))
        await asyncio.to_thread(is_waiting.wait)
    reservation = Reservation(kept, entry(id="row_1"), streams=False)
    await reservation.begin()
    completing = asyncio.create_task(reservation.complete(DONE))
    await asyncio.to_thread(is_waiting.wait)

    await leave(reservation, completing)
    may_write.set()
    await kept.reserve(entry(id="row_2"))

    row = ("reserved", None, 0)
    assert outcomes(database) == [row] * behind + [("completed", 200, 120), row]


async def test_a_plain_answer_without_a_row_is_given_up_at_its_next_piece(kept: Ledger, database: Database) -> None:
    failpoints.arm("store.write=error")
    reservation = Reservation(kept, entry(), streams=False)
    await reservation.begin()
    await reservation.confirm()  # not known yet

    await given_up(reservation)
    with pytest.raises(StoreUnavailable):
        await reservation.complete(DONE)
    failpoints.arm("")

    await kept.reserve(entry(id="row_2"))
    assert outcomes(database) == [("reserved", None, 0)]


@pytest.mark.parametrize("confirmed", [True, False])
async def test_a_failure_and_a_leaver_have_rows(kept: Ledger, database: Database, confirmed: bool) -> None:
    failing, leaving = (
        Reservation(kept, entry(id="row_1"), streams=True),
        Reservation(kept, entry(id="row_2"), streams=True),
    )
    for reservation in (failing, leaving):
        await reservation.begin()
        if confirmed:
            await reservation.confirm()

    failing.fail(EngineError("no"))
    leaving.cancel(Usage(12, 1), Cost(120, 10), [])

    await until(lambda: outcomes(database) == [("failed", 500, 0), ("cancelled", 499, 120)])


async def test_a_request_that_never_began_has_no_row(kept: Ledger, database: Database) -> None:
    Reservation(kept, entry(), streams=True).fail(EngineError("no"))

    await kept.reserve(entry(id="row_2"))
    assert outcomes(database) == [("reserved", None, 0)]


async def test_a_refused_request_has_no_row_and_is_refused_before_work(kept: Ledger, database: Database) -> None:
    reservation = Reservation(kept, entry(limit=SpendingLimit(10, "day")), streams=True)

    with pytest.raises(QuotaExceeded) as caught:
        await reservation.begin()
    reservation.fail(caught.value)

    await kept.reserve(entry(id="row_2"))
    assert outcomes(database) == [("reserved", None, 0)]


async def test_an_answer_that_cannot_be_settled_fails_and_is_written_down_when_that_is_possible_again(
    kept: Ledger, database: Database
) -> None:
    reservation = Reservation(kept, entry(), streams=True)
    await reservation.begin()
    await reservation.confirm()
    failpoints.arm("store.commit=error")

    with pytest.raises(StoreUnavailable):
        await reservation.complete(DONE)
    await until(lambda: bool(kept._retry_queue))
    failpoints.arm("")

    await until(lambda: outcomes(database) == [("failed", 503, 0)])


async def test_a_database_that_takes_nothing_for_long_keeps_a_bounded_number_of_outcomes(
    kept: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "MAX_RETRY_QUEUE", 5)
    failpoints.arm("store.write=error")
    refused = 0
    for _ in range(20):
        reservation = Reservation(kept, entry(), streams=True)
        try:
            await reservation.begin()
            await reservation.confirm()
        except StoreUnavailable as error:
            refused += 1
            reservation.fail(error)
            expected = min(refused, 5)
            await until(lambda expected=expected: len(kept._retry_queue) == expected)  # type: ignore[misc]

    owed = len(kept._retry_queue)
    failpoints.arm("")
    await until(lambda: not kept.is_behind)
    reservation = Reservation(kept, entry(), streams=True)
    await reservation.begin()
    await reservation.complete(DONE)

    assert refused == 20
    assert owed == 5
    assert outcomes(database) == [("completed", 200, 120)]


async def test_outcomes_that_wait_are_written_before_the_ledger_closes(kept: Ledger, database: Database) -> None:
    reservation = Reservation(kept, entry(), streams=True)
    await reservation.begin()
    await reservation.confirm()
    failpoints.arm("store.write=error")
    reservation.cancel(Usage(12, 1), Cost(100, 10), [])
    await until(lambda: bool(kept._retry_queue))
    failpoints.arm("")

    await kept.close()

    assert outcomes(database) == [("cancelled", 499, 100)]


async def test_without_a_row_nothing_may_go_out(kept: Ledger, database: Database) -> None:
    failpoints.arm("store.write=error")
    reservation = Reservation(kept, entry(), streams=True)
    await reservation.begin()

    with pytest.raises(StoreUnavailable) as caught:
        await reservation.confirm()
    reservation.fail(caught.value)
    failpoints.arm("")

    assert caught.value.retry_after_s
    assert outcomes(database) == []
