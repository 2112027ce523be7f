"""One request's row, whatever happens to the request or to the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
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
from sightline.metering.booking import Booking
from sightline.metering.ledger import Ending, Entry, Ledger, SpendingLimit
from sightline.metering.posting import Posting
from sightline.metering.prices import Cost
from sightline.store.database import Database
from sightline.store.tables import ledger
from sightline.store.writer import Writer
from support.asgi import until

pytestmark = pytest.mark.anyio
DONE = Ending("completed", 200, Usage(12, 5), Cost(120, 50))


@pytest.fixture
async def books(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ledger]:
    monkeypatch.setattr(ledger_module, "AGAIN_S", 0.02)
    presence = database.presence()
    writer = Writer(database, Posting(database, presence))
    writer.start()
    ledger = Ledger(database, presence, writer)
    yield ledger
    failpoints.arm("")
    await ledger.close()
    await writer.stop()
    presence.close()


def entry(**values: Any) -> Entry:
    return replace(Entry(new_id("row_"), "req_1", "key_1", "a/model", datetime.now(UTC), 100, 1000), **values)


async def leave(booking: Booking, completing: asyncio.Task[None]) -> None:
    """What a client's leaving comes to while its answer is being written down."""
    completing.cancel()
    await asyncio.wait([completing])
    booking.cancel(DONE.usage, DONE.cost, [])


def outcomes(database: Database) -> list[tuple[str, int | None, int]]:
    query = select(ledger.c.outcome, ledger.c.status, ledger.c.prompt_nanos)
    return [(row.outcome, row.status, row.prompt_nanos) for row in database.read(lambda c: c.execute(query).all())]


async def test_an_answer_has_its_row_before_its_first_and_before_its_last_byte(
    books: Ledger, database: Database
) -> None:
    booking = Booking(books, entry(), streams=True)

    await booking.begin()
    await booking.confirm()
    assert outcomes(database) == [("reserved", None, 0)]
    await booking.complete(DONE)

    assert outcomes(database) == [("completed", 200, 120)]


async def test_a_plain_answer_that_is_there_at_once_takes_one_commit(
    books: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it goes out before it is settled, so that its reservation need not be waited for."""
    commits = []
    whole = database.transaction
    monkeypatch.setattr(database, "transaction", lambda work: (commits.append(1), whole(work))[1])
    booking = Booking(books, entry(), streams=False)

    await booking.begin()
    await booking.confirm()
    await booking.complete(DONE)

    assert outcomes(database) == [("completed", 200, 120)]
    assert len(commits) == 1


async def test_a_plain_answer_that_its_keys_lease_covers_takes_one_commit(
    books: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = SpendingLimit(1_000_000, "day")
    asked = [Booking(books, entry(limit=limit), streams=False) for _ in range(3)]
    await asyncio.gather(*(booking.begin() for booking in asked))
    assert outcomes(database) == [("reserved", None, 0)] * 3
    commits = []
    whole = database.transaction
    monkeypatch.setattr(database, "transaction", lambda work: (commits.append(1), whole(work))[1])
    booking = Booking(books, entry(limit=limit), streams=False)

    await booking.begin()
    assert commits == []
    await booking.complete(DONE)

    assert sorted(outcomes(database))[0] == ("completed", 200, 120)
    assert len(commits) == 1


async def test_a_plain_answer_that_takes_longer_is_reserved_meanwhile(books: Ledger, database: Database) -> None:
    booking = Booking(books, entry(), streams=False)

    await booking.begin()
    assert outcomes(database) == []
    await asyncio.sleep(0.2)
    assert outcomes(database) == [("reserved", None, 0)]
    await booking.complete(DONE)

    assert outcomes(database) == [("completed", 200, 120)]


async def test_a_quick_failure_and_a_quick_leaver_have_rows(books: Ledger, database: Database) -> None:
    failing, leaving = (
        Booking(books, entry(id="row_1"), streams=False),
        Booking(books, entry(id="row_2"), streams=False),
    )
    for booking in (failing, leaving):
        await booking.begin()

    failing.fail(EngineError("no"))
    leaving.cancel(Usage(12, 1), Cost(120, 10), [])

    await until(lambda: len(outcomes(database)) == 2)
    assert sorted(outcomes(database)) == [("cancelled", 499, 120), ("failed", 500, 0)]


@pytest.mark.parametrize("limit", [None, SpendingLimit(1_000_000, "day")])
async def test_who_leaves_a_quick_answer_that_a_busy_disk_was_too_late_for_has_a_row(
    books: Ledger, database: Database, limit: SpendingLimit | None
) -> None:
    """Its write waits behind a group that takes longer than anybody waits, and is refused."""
    if limit is not None:  # so that the lease grants the next one
        first = Booking(books, entry(limit=limit), streams=False)
        await first.begin()
        await first.complete(DONE)
        await asyncio.gather(*(Booking(books, entry(limit=limit), streams=False).begin() for _ in range(3)))
    before = len(outcomes(database))
    failpoints.arm("store.write=slow:1.1")
    busy = asyncio.ensure_future(books.reserve(entry()))
    await asyncio.sleep(0.05)
    booking = Booking(books, entry(limit=limit), streams=False)
    await booking.begin()

    completing = asyncio.create_task(booking.complete(DONE))
    await asyncio.sleep(0.05)
    await leave(booking, completing)
    await busy
    failpoints.arm("")

    await until(lambda: len(outcomes(database)) == before + 2)
    assert ("cancelled", 499, 120) in outcomes(database)


@pytest.mark.parametrize("behind", [True, False])
async def test_a_leaver_whose_answer_is_written_meanwhile_has_one_row(
    books: Ledger, database: Database, behind: bool
) -> None:
    """Both writes are in one group behind another, or the answer's is under way when its client leaves."""
    failpoints.arm("store.write=slow:0.4")
    if behind:
        books.reserve(entry(id="row_0"))
        await asyncio.sleep(0.05)
    booking = Booking(books, entry(id="row_1"), streams=False)
    await booking.begin()
    completing = asyncio.create_task(booking.complete(DONE))
    await asyncio.sleep(0.1)

    await leave(booking, completing)
    await until(lambda: len(outcomes(database)) == 1 + behind)
    failpoints.arm("")
    await books.reserve(entry(id="row_2"))

    row = ("reserved", None, 0)
    assert outcomes(database) == [row] * behind + [("completed", 200, 120), row]


async def test_a_plain_answer_without_a_row_is_given_up_at_its_next_piece(books: Ledger, database: Database) -> None:
    failpoints.arm("store.write=error")
    booking = Booking(books, entry(), streams=False)
    await booking.begin()
    await booking.confirm()  # not known yet

    await asyncio.sleep(0.2)
    with pytest.raises(StoreUnavailable):
        await booking.confirm()
    with pytest.raises(StoreUnavailable):
        await booking.complete(DONE)
    failpoints.arm("")

    await asyncio.sleep(0.1)
    assert outcomes(database) == []


@pytest.mark.parametrize("confirmed", [True, False])
async def test_a_failure_and_a_leaver_have_rows(books: Ledger, database: Database, confirmed: bool) -> None:
    failing, leaving = Booking(books, entry(id="row_1"), streams=True), Booking(books, entry(id="row_2"), streams=True)
    for booking in (failing, leaving):
        await booking.begin()
        if confirmed:
            await booking.confirm()

    failing.fail(EngineError("no"))
    leaving.cancel(Usage(12, 1), Cost(120, 10), [])

    await until(lambda: outcomes(database) == [("failed", 500, 0), ("cancelled", 499, 120)])


async def test_a_request_that_never_began_has_no_row(books: Ledger, database: Database) -> None:
    Booking(books, entry(), streams=True).fail(EngineError("no"))

    await asyncio.sleep(0.05)
    assert outcomes(database) == []


async def test_a_refused_request_has_no_row_and_is_refused_before_work(books: Ledger, database: Database) -> None:
    booking = Booking(books, entry(limit=SpendingLimit(10, "day")), streams=True)

    with pytest.raises(QuotaExceeded) as caught:
        await booking.begin()
    booking.fail(caught.value)

    await asyncio.sleep(0.05)
    assert outcomes(database) == []


async def test_an_answer_that_cannot_be_settled_fails_and_is_written_down_when_that_is_possible_again(
    books: Ledger, database: Database
) -> None:
    booking = Booking(books, entry(), streams=True)
    await booking.begin()
    await booking.confirm()
    failpoints.arm("store.commit=error")

    with pytest.raises(StoreUnavailable):
        await booking.complete(DONE)
    await asyncio.sleep(0.1)
    failpoints.arm("")

    await until(lambda: outcomes(database) == [("failed", 503, 0)])


async def test_a_database_that_takes_nothing_for_long_is_owed_a_bounded_number_of_endings(
    books: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "MOST_OWED", 5)
    failpoints.arm("store.write=error")
    refused = 0
    for _ in range(20):
        booking = Booking(books, entry(), streams=True)
        try:
            await booking.begin()
            await booking.confirm()
        except StoreUnavailable as error:
            refused += 1
            booking.fail(error)
            await asyncio.sleep(0.02)

    owed = len(books._owed)
    failpoints.arm("")
    await until(lambda: not books.is_behind)
    booking = Booking(books, entry(), streams=True)
    await booking.begin()
    await booking.complete(DONE)

    assert refused == 20
    assert owed == 5
    assert outcomes(database) == [("completed", 200, 120)]


async def test_endings_that_are_owed_are_written_before_the_ledger_closes(books: Ledger, database: Database) -> None:
    booking = Booking(books, entry(), streams=True)
    await booking.begin()
    await booking.confirm()
    failpoints.arm("store.write=error")
    booking.cancel(Usage(12, 1), Cost(100, 10), [])
    await until(lambda: bool(books._owed))
    failpoints.arm("")

    await books.close()

    assert outcomes(database) == [("cancelled", 499, 100)]


async def test_without_a_row_nothing_may_go_out(books: Ledger, database: Database) -> None:
    failpoints.arm("store.write=error")
    booking = Booking(books, entry(), streams=True)
    await booking.begin()

    with pytest.raises(StoreUnavailable) as caught:
        await booking.confirm()
    booking.fail(caught.value)
    failpoints.arm("")

    assert caught.value.retry_after_s
    assert outcomes(database) == []
