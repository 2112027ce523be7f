"""The ledger over both databases: durable, settled once, never changed, nothing left by the dead."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, delete, select, text, update

from sightline import failpoints
from sightline.core import SpendingLimit, Usage
from sightline.errors import IdempotencyConflict, QuotaExceeded, StoreUnavailable
from sightline.ids import new_id
from sightline.metering.ledger import KEPT, Entry, IdempotencyKey, Outcome, Replay, period_of
from sightline.metering.prices import Cost
from sightline.store.database import Database
from sightline.store.tables import idempotency, key_spend, ledger
from support.asgi import until
from support.ledgers import Process

pytestmark = pytest.mark.anyio
DONE = Outcome("completed", 200, Usage(12, 5, 8, 1), Cost(120, 50), images=[{"sha256": "ab", "width": 3}])


def entry(**values: Any) -> Entry:
    base = Entry(new_id("row_"), "req_1", "key_1", "a/model", datetime.now(UTC), 100, 1000)
    return replace(base, **values)


LONG_AGO = KEPT + timedelta(minutes=1)


@pytest.fixture
async def process(any_database: Database) -> AsyncIterator[Process]:
    process = Process(any_database)
    process.committer.start()
    yield process
    failpoints.arm("")
    await process.stop()


async def test_a_row_is_there_before_and_after(process: Process) -> None:
    one = entry()

    await process.ledger.reserve(one)
    (before,) = process.rows()
    await process.ledger.settle(one, DONE)
    (after,) = process.rows()

    assert (before.outcome, before.ended_at, before.prompt_tokens, before.estimated_nanos) == (
        "reserved",
        None,
        0,
        1000,
    )
    assert (after.outcome, after.status, after.prompt_tokens, after.completion_tokens) == ("completed", 200, 12, 5)
    assert (after.image_tokens, after.cached_tokens, after.prompt_nanos, after.completion_nanos) == (8, 1, 120, 50)
    assert after.images == [{"sha256": "ab", "width": 3}]
    assert after.ended_at >= after.created_at == before.created_at


async def test_many_at_once_are_few_transactions(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = []
    whole = process.database.transaction
    monkeypatch.setattr(process.database, "transaction", lambda work: (commits.append(1), whole(work))[1])
    entries = [entry(request_id=f"req_{at}") for at in range(200)]
    await asyncio.gather(*(process.ledger.reserve(one) for one in entries))
    await asyncio.gather(*(process.ledger.settle(one, DONE) for one in entries))

    assert [row.outcome for row in process.rows()] == ["completed"] * 200
    assert len(commits) < 40


async def test_a_row_is_settled_once(process: Process) -> None:
    one, other = entry(), entry()
    await process.ledger.reserve(one)
    await process.ledger.reserve(other)
    await process.ledger.settle(one, DONE)

    again, first = await asyncio.gather(
        process.ledger.settle(one, Outcome("failed", 500)),
        process.ledger.settle(other, DONE),
        return_exceptions=True,
    )

    assert isinstance(again, StoreUnavailable)
    assert first is None
    assert [row.outcome for row in process.rows()] == ["completed", "completed"]


async def test_settled_twice_at_once_is_charged_once(process: Process) -> None:
    """What others asked for in the same group stays right, too."""
    limit = SpendingLimit(5000, "total")
    one, other = entry(limit=limit), entry(limit=limit)
    await asyncio.gather(process.ledger.reserve(one), process.ledger.reserve(other))

    first, again, beside, new = await asyncio.gather(
        process.ledger.settle(one, DONE),
        process.ledger.settle(one, DONE),
        process.ledger.settle(other, DONE),
        process.ledger.reserve(entry(limit=limit)),
        return_exceptions=True,
    )

    assert isinstance(again, StoreUnavailable)
    assert (first, beside, new) == (None, None, None)
    assert process.spent() == (1000, 340)
    assert [row.outcome for row in process.rows()] == ["completed", "completed", "reserved"]


async def test_text_and_times_come_back_as_they_went_in(process: Process) -> None:
    created = datetime(2026, 11, 20, 23, 59, 59, 7, tzinfo=UTC)
    words = "ü'\"\\ {} 猫"
    one = entry(request_id=words, created_at=created, estimated_nanos=2**62)

    await process.ledger.reserve(one)
    await process.ledger.settle(one, replace(DONE, timings_ms={"decode": 0.1, "queue": 1e-7}))

    (row,) = process.rows()
    assert (row.request_id, row.created_at, row.estimated_nanos) == (words, created, 2**62)
    assert row.timings == {"decode": 0.1, "queue": 1e-7}


@pytest.mark.parametrize("statement", [update(ledger).values(prompt_nanos=0), delete(ledger)], ids=["change", "delete"])
async def test_the_database_keeps_what_has_ended(process: Process, statement: Any) -> None:
    one = entry()
    await process.ledger.reserve(one)
    await process.ledger.settle(one, DONE)

    with pytest.raises(StoreUnavailable):
        process.database.transaction(lambda c: c.execute(statement))

    assert process.rows()[0].prompt_nanos == 120


async def test_what_a_process_with_a_fast_clock_left_ends_no_sooner_than_it_began(
    process: Process, any_database: Database
) -> None:
    dead = Process(any_database)
    dead.committer.start()
    left = replace(entry(), created_at=datetime.now(UTC) + timedelta(hours=1))
    await dead.ledger.reserve(left)
    await dead.die()

    assert process.ledger.clear() == 1

    (row,) = process.rows()
    assert (row.outcome, row.ended_at) == ("interrupted", row.created_at)


async def test_what_a_dead_process_left_is_interrupted_and_free(process: Process, any_database: Database) -> None:
    dead = Process(any_database)
    dead.committer.start()
    limit = SpendingLimit(5000, "total")
    left, mine = entry(limit=limit, idempotency_key=IdempotencyKey("k", b"x" * 32)), entry(limit=limit)
    await dead.ledger.reserve(left)
    await process.ledger.reserve(mine)
    await process.ledger.reserve(entry())  # of a time when the key had no limit
    assert process.ledger.clear() == 0  # it lives
    assert process.spent() == (2000, 0)

    await dead.die()

    assert process.ledger.clear() == 1
    by_id = {row.id: row for row in process.rows()}
    assert (by_id[left.id].outcome, by_id[left.id].spend_period) == ("interrupted", "total")
    assert by_id[left.id].prompt_nanos + by_id[left.id].completion_nanos == 0
    assert by_id[mine.id].outcome == "reserved"
    assert process.spent() == (1000, 0)
    with pytest.raises(StoreUnavailable):
        await process.ledger.settle(left, DONE)
    await process.ledger.reserve(entry(idempotency_key=IdempotencyKey("k", b"x" * 32)))


async def test_spending_is_set_aside_settled_and_given_back(process: Process) -> None:
    limit = SpendingLimit(2500, "month")
    first, second = entry(limit=limit), entry(limit=limit)
    await process.ledger.reserve(first)
    await process.ledger.reserve(second)

    with pytest.raises(QuotaExceeded) as caught:
        await process.ledger.reserve(entry(limit=limit))
    assert "$0.0000025" in caught.value.message
    assert len(process.rows()) == 2

    await process.ledger.settle(first, DONE)
    assert process.spent() == (1000, 170)
    await process.ledger.settle(second, Outcome("failed", 503))
    assert process.spent() == (0, 170)
    await process.ledger.reserve(entry(limit=limit))


async def test_a_refused_request_does_not_hurt_those_of_its_transaction(process: Process) -> None:
    limit = SpendingLimit(1500, "total")
    results = await asyncio.gather(
        *(process.ledger.reserve(entry()) for _ in range(5)),
        process.ledger.reserve(entry(limit=limit)),
        process.ledger.reserve(entry(limit=limit)),
        *(process.ledger.reserve(entry()) for _ in range(5)),
        return_exceptions=True,
    )

    assert [type(result) for result in results].count(QuotaExceeded) == 1
    assert len(process.rows()) == 11


async def test_an_idempotency_key_gives_the_first_answer_again(process: Process) -> None:
    once = IdempotencyKey("k-1", b"b" * 32)
    one = entry(idempotency_key=once)
    await process.ledger.reserve(one)

    with pytest.raises(IdempotencyConflict, match="still running"):
        await process.ledger.reserve(entry(idempotency_key=once))
    await process.ledger.settle(one, replace(DONE, answer=b'{"a": 1}', media_type="application/json"))

    with pytest.raises(Replay) as caught:
        await process.ledger.reserve(entry(idempotency_key=once))
    assert (caught.value.answer, caught.value.media_type) == (b'{"a": 1}', "application/json")
    with pytest.raises(IdempotencyConflict, match="another body"):
        await process.ledger.reserve(entry(idempotency_key=IdempotencyKey("k-1", b"c" * 32)))
    await process.ledger.reserve(entry(idempotency_key=once, key_id="key_2"))
    assert len(process.rows()) == 2


async def test_a_failed_request_leaves_its_idempotency_key_free(process: Process) -> None:
    one = entry(idempotency_key=IdempotencyKey("k", b"b" * 32))
    await process.ledger.reserve(one)
    await process.ledger.settle(one, Outcome("failed", 503))

    await process.ledger.reserve(entry(idempotency_key=IdempotencyKey("k", b"c" * 32)))


async def test_clearing_beside_a_settlement_leaves_nothing_set_aside(process: Process, any_database: Database) -> None:
    """The settlement is not committed when the clearing adds up what the key has set aside."""
    dead = Process(any_database)
    dead.committer.start()
    mine = entry(limit=SpendingLimit(5000, "total"))
    await dead.ledger.reserve(entry(limit=SpendingLimit(5000, "total")))
    await process.ledger.reserve(mine)
    await dead.die()
    has_written, may_commit = threading.Event(), threading.Event()

    def settle(connection: Connection) -> None:
        ended = {"outcome": "completed", "status": 200, "ended_at": datetime.now(UTC), "prompt_nanos": 170}
        connection.execute(update(ledger).where(ledger.c.id == mine.id).values(ended))
        reserved, settled = key_spend.c.reserved_nanos - 1000, key_spend.c.settled_nanos + 170
        connection.execute(update(key_spend).values(reserved_nanos=reserved, settled_nanos=settled))
        has_written.set()
        assert may_commit.wait(10)

    settling = asyncio.create_task(any_database.run(settle))
    await asyncio.to_thread(has_written.wait)
    clearing = asyncio.create_task(asyncio.to_thread(process.ledger.clear))
    await until(lambda: clearing.done() or is_waiting(any_database))
    may_commit.set()
    await settling

    assert await clearing == 1
    assert process.spent() == (0, 170)


def is_waiting(database: Database) -> bool:
    """Whether a transaction waits for another; of SQLite none can be asked, and none gets anywhere meanwhile."""
    if database.is_sqlite:
        return True
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    return bool(database.read(lambda connection: connection.execute(waiting).scalar()))


async def test_an_answer_is_kept_for_a_day(process: Process) -> None:
    old = entry(idempotency_key=IdempotencyKey("k", b"b" * 32), created_at=datetime.now(UTC) - LONG_AGO)
    await process.ledger.reserve(old)
    await process.ledger.settle(old, replace(DONE, answer=b"old", media_type="x"))

    await process.ledger.reserve(entry(idempotency_key=IdempotencyKey("k", b"b" * 32)))

    young = entry(idempotency_key=IdempotencyKey("young", b"b" * 32))
    await process.ledger.reserve(young)
    await process.ledger.settle(young, replace(DONE, answer=b"young", media_type="x"))
    process.ledger.clear()
    left = process.database.read(lambda c: c.execute(select(idempotency.c.idempotency_key)).scalars().all())
    assert set(left) == {"k", "young"}


@pytest.mark.parametrize(("times", "expected"), [(1, [3, 1, 0]), (2, [1, 0, 0]), (9, [0, 0, 0])])
async def test_old_answers_are_dropped_some_at_a_time(
    process: Process, monkeypatch: pytest.MonkeyPatch, times: int, expected: list[int]
) -> None:
    """A database that ends long statements would else drop none of them, and end every start."""
    monkeypatch.setattr("sightline.metering.ledger.MAX_FORGOTTEN", 2)
    monkeypatch.setattr("sightline.metering.ledger.MAX_ROUNDS", times)
    for number in range(5):
        old = entry(
            idempotency_key=IdempotencyKey(f"k{number}", b"b" * 32),
            created_at=datetime.now(UTC) - LONG_AGO,
        )
        await process.ledger.reserve(old)
        await process.ledger.settle(old, replace(DONE, answer=b"old", media_type="x"))

    left = []
    for _ in range(3):
        process.ledger.clear()
        left.append(len(process.database.read(lambda c: c.execute(select(idempotency.c.ledger_id)).all())))

    assert left == expected


async def test_one_fault_is_got_over_a_lasting_one_is_a_503(process: Process) -> None:
    one, other = entry(), entry()
    failpoints.arm("seed=1 store.commit=error@0.5")  # of this seed's first two rolls the first is a fault
    await process.ledger.reserve(one)

    failpoints.arm("store.commit=error")
    with pytest.raises(StoreUnavailable):
        await process.ledger.reserve(other)
    with pytest.raises(StoreUnavailable):
        await process.ledger.settle(one, DONE)

    failpoints.arm("")
    await process.ledger.settle(one, DONE)
    assert [(row.id, row.outcome) for row in process.rows()] == [(one.id, "completed")]


async def test_a_commit_that_went_through_and_seemed_lost_is_not_done_twice(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection may break after the database has committed and before we hear of it."""
    one = entry(limit=SpendingLimit(5000, "total"))
    whole = process.database.transaction
    lost = [True, False, True, False]

    def transaction(work: Any) -> None:
        whole(work)
        if lost and lost.pop(0):
            raise StoreUnavailable()

    monkeypatch.setattr(process.database, "transaction", transaction)

    await process.ledger.reserve(one)
    await process.ledger.settle(one, DONE)

    assert process.spent() == (0, 170)
    assert len(process.rows()) == 1


async def test_many_processes_share_a_database(any_database: Database) -> None:
    processes = [Process(any_database) for _ in range(3)]
    for process in processes:
        process.committer.start()
    limit = SpendingLimit(30_000, "total")

    async def one(process: Process) -> str:
        row = entry(limit=limit)
        try:
            await process.ledger.reserve(row)
        except QuotaExceeded:
            return "refused"
        await process.ledger.settle(row, replace(DONE, cost=Cost(1000, 0)))
        return "done"

    results = await asyncio.gather(*(one(processes[at % 3]) for at in range(60)))

    assert results.count("done") == len(processes[0].rows()) <= 30
    assert processes[0].spent() == (0, 1000 * results.count("done"))
    for process in processes:
        await process.stop()


def test_periods_are_of_utc() -> None:
    late = datetime.fromisoformat("2026-12-31T23:30:00-02:00")

    assert [period_of(kind, late) for kind in ("day", "month", "total")] == ["2027-01-01", "2027-01", "total"]


async def test_old_keys_and_a_blank_database_have_the_same_tables(any_database: Database) -> None:
    def columns(connection: Connection) -> set[str]:
        return set(connection.execute(text("SELECT * FROM api_keys")).keys())

    assert {"spend_limit_nanos", "permissions"} <= any_database.read(columns)
