"""Leases on spending accounts over both databases: granted at once, never overspent, given back."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from sightline.core import SpendingLimit
from sightline.errors import EngineError, QuotaExceeded, StoreUnavailable
from sightline.metering import leases
from sightline.metering.audit import check
from sightline.metering.booking import Booking
from sightline.metering.books import open_ledger
from sightline.metering.ledger import Once
from sightline.metering.prices import Cost
from sightline.store.database import Database
from support.asgi import until
from support.ledgers import DONE, FAILED, LIMIT, Process, crowd, entry, granted, promise_that_is_gone

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is given back unless a test says so."""
    monkeypatch.setattr(leases, "TICK_S", 1000)


def discrepancies(process: Process) -> tuple[str, ...]:
    return check(process.database, process.presence).discrepancies


async def test_a_request_by_itself_sets_aside_what_it_may_cost(process: Process) -> None:
    (alone,) = await crowd(process, 1)

    assert process.spent() == (1000, 0)
    await process.ledger.settle(alone, DONE)

    assert process.spent() == (0, 170)
    assert process.leased() == []


async def test_requests_that_come_together_spare_the_next_ones_the_asking(process: Process) -> None:
    together = await crowd(process, 3)
    assert process.leased() == [2000], "as much as came but one"
    assert process.spent() == (5000, 0)
    plain, stream, beyond = entry(limit=LIMIT), entry(limit=LIMIT), entry(limit=LIMIT)

    assert [process.ledger.grant(one) for one in (plain, stream, beyond)] == [True, True, False]
    await process.ledger.write(plain, DONE)
    await process.ledger.reserve(stream)
    assert discrepancies(process) == ()
    assert process.spent()[1] == 170
    await process.ledger.settle(stream, DONE)
    for one in together:
        await process.ledger.settle(one, FAILED)

    assert process.spent() == (sum(process.leased()), 340)
    assert [row.spend_period for row in process.rows()] == ["total"] * 5
    assert discrepancies(process) == ()


async def test_what_an_answer_did_not_cost_is_there_for_the_next(process: Process) -> None:
    one, *_ = await crowd(process, 3)
    await asyncio.gather(*(process.ledger.write(two, DONE) for two in granted(process, 2)))
    before = sum(process.leased())

    await process.ledger.settle(one, DONE)

    assert sum(process.leased()) == before + 830
    assert process.spent() == (2000 + sum(process.leased()), 510)


async def test_a_lease_takes_a_sixteenth_of_what_remains_at_most(process: Process) -> None:
    await crowd(process, 4, limit=SpendingLimit(4000 + 1600, "total"))

    assert process.leased() == [100]


async def test_nobody_is_refused_for_what_the_process_itself_has_free(process: Process) -> None:
    limit = SpendingLimit(20_000, "total")
    await crowd(process, 3, limit=limit)
    assert process.leased() == [1062]

    await process.ledger.reserve(entry(limit=limit, estimated_nanos=17_000))

    assert process.spent() == (20_000, 0)
    assert process.leased() == []
    with pytest.raises(QuotaExceeded) as caught:
        await process.ledger.reserve(entry(limit=limit, estimated_nanos=1))
    assert "$0.00002 of it is spent or set aside" in caught.value.message
    assert discrepancies(process) == ()


async def test_another_process_is_refused_until_what_idles_is_given_back(process: Process, other: Process) -> None:
    limit = SpendingLimit(20_000, "total")
    await crowd(process, 3, limit=limit)
    rest = entry(limit=limit, estimated_nanos=17_000)

    with pytest.raises(QuotaExceeded):
        await other.ledger.reserve(rest)
    process.tick()  # it was not idle before
    process.tick()
    await until(lambda: process.leased() == [])
    await other.ledger.reserve(rest)

    assert process.spent() == (20_000, 0)
    assert discrepancies(process) == ()


async def test_what_is_in_use_is_kept(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    together = await crowd(process, 10)
    lease = together[0].grant.lease
    assert lease is not None
    assert lease.held == 9000
    lease.idle()

    for one in granted(process, 2):
        await process.ledger.write(one, replace(DONE, cost=Cost(1000, 0)))

    assert lease.free == 7000
    assert lease.idle() == 2 * 7000 - 9000, "of what was free all the time, all but as much as was used"
    assert lease.idle() == 2000, "and then the rest"


async def test_a_stop_gives_back_all_leases(any_database: Database, process: Process) -> None:
    async with open_ledger(any_database) as ledger:
        together = [entry(limit=LIMIT) for _ in range(3)]
        await asyncio.gather(*(ledger.reserve(one) for one in together if not ledger.grant(one)))
        quick = entry(limit=LIMIT)
        assert ledger.grant(quick)
        await ledger.write(quick, DONE)
        for one in together:
            await ledger.settle(one, DONE)
        assert process.spent()[0] > 0

    assert process.spent() == (0, 4 * 170)
    assert discrepancies(process) == ()


async def test_a_lease_that_a_slow_commit_fills_after_it_was_forgotten_is_given_back(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    committing, go_on = threading.Event(), threading.Event()

    def wait_at_the_commit(point: str) -> None:
        if point == "store.commit":
            committing.set()
            go_on.wait(5)

    together = [entry(limit=LIMIT, estimated_nanos=30_000) for _ in range(3)]
    with monkeypatch.context() as patch:
        patch.setattr("sightline.store.database.failpoint", wait_at_the_commit)
        asked = [process.ledger.reserve(one) for one in together if not process.ledger.grant(one)]
        await asyncio.to_thread(committing.wait, 5)
        process.tick()
        process.tick()  # nothing was asked for since the first, and nothing is known to be held
        go_on.set()
        await asyncio.gather(*asked)
    await asyncio.gather(*(process.ledger.settle(one, DONE) for one in together))
    assert process.leased()
    del together, asked

    monkeypatch.setattr(leases, "TICK_S", 0.01)
    process.tick()

    await until(lambda: not process.leased())
    assert process.spent() == (0, 510)


async def test_a_stop_gives_back_what_a_commit_under_way_sets_aside(process: Process) -> None:
    together = [entry(limit=LIMIT, estimated_nanos=30_000) for _ in range(3)]
    for one in together:
        process.ledger.grant(one)
    asked = [process.ledger.reserve(one) for one in together]

    await process.ledger.close()
    await asyncio.gather(*asked)

    assert process.leased() == []


async def test_promise_of_a_request_whose_writing_failed_by_a_bug_is_ended(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    await crowd(process, 4, estimated_nanos=10_000)
    booking = Booking(process.ledger, entry(limit=LIMIT, estimated_nanos=10_000), streams=True)
    with monkeypatch.context() as patch:
        patch.setattr(process.database, "transaction", fail_by_a_bug)
        await booking.begin()
        lease = booking._entry.grant.lease
        assert lease is not None
        assert lease.promised == 10_000
        with pytest.raises(ValueError, match="bug"):
            await booking.confirm()

    booking.fail(EngineError("x"))

    await until(lambda: lease.promised == 0)


def fail_by_a_bug(_: object) -> None:
    raise ValueError("a bug")


async def test_answer_that_is_not_covered_any_more_is_nobody_elses_refusal(process: Process, other: Process) -> None:
    """A process that was taken for dead, its lease spent by another, has an answer to write beside others."""
    promised = await promise_that_is_gone(process, other)

    for at in range(2):  # the second time nothing is promised to it any more
        writes = [process.ledger.write(promised, DONE), process.ledger.reserve(entry(key_id=f"key_{at + 2}"))]
        late, beside = await asyncio.gather(*writes, return_exceptions=True)
        assert isinstance(late, StoreUnavailable)
        assert beside is None


async def test_after_the_stop_everybody_is_asked_for(process: Process) -> None:
    await crowd(process, 3)

    await process.ledger.close()

    assert process.leased() == []
    assert not process.ledger.grant(entry(limit=LIMIT))


async def test_the_lease_of_a_dead_process_is_given_back_with_its_rows(
    process: Process, any_database: Database
) -> None:
    dead = Process(any_database)
    dead.writer.start()
    await crowd(dead, 3)
    (running,) = granted(dead, 1)  # has no row yet
    mine = await crowd(process, 2)
    assert process.ledger.clear() == 0, "it lives"
    assert (sum(dead.leased()), process.leased()) == (2000, [1000])
    await dead.die()

    (*_, named) = discrepancies(process)
    assert named == (
        "$0.000002 of key key_1 in total are set aside by a process that is gone; a running service gives them back."
    )
    assert process.ledger.clear() == 3

    assert dead.leased() == []
    assert process.spent() == (len(mine) * 1000 + 1000, 0)
    assert running.id not in {row.id for row in process.rows()}
    assert discrepancies(process) == ()


async def test_a_dead_process_that_had_only_a_lease_is_cleared_away_too(
    process: Process, any_database: Database
) -> None:
    dead = Process(any_database)
    dead.writer.start()
    for one in await crowd(dead, 3):
        await dead.ledger.settle(one, FAILED)
    assert sum(dead.leased()) > 0
    await dead.die()

    assert process.ledger.clear() == 0

    assert dead.leased() == []
    assert process.spent() == (0, 0)


async def test_who_was_taken_for_dead_promises_nothing_that_is_gone(process: Process, other: Process) -> None:
    """Its lease was given back and another process has spent it: of its requests none may be charged."""
    quick = await promise_that_is_gone(process, other)

    with pytest.raises(StoreUnavailable):
        await process.ledger.write(quick, DONE)
    assert process.spent() == (19_500, 0)
    assert discrepancies(process) == ()


async def test_who_was_taken_for_dead_goes_on_where_there_is_enough(process: Process, other: Process) -> None:
    await crowd(process, 3)
    quick, stream = granted(process, 2)
    other.presence.dead = lambda numbers: {process.presence.number}  # type: ignore[method-assign]
    assert other.ledger.clear() == 3

    await process.ledger.write(quick, DONE)
    await process.ledger.reserve(stream)

    assert process.spent() == (1000, 170)
    await process.ledger.settle(stream, DONE)
    assert process.spent() == (sum(process.leased()), 340)
    assert discrepancies(process) == ()


async def test_a_new_day_has_a_lease_of_its_own(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "TICK_S", 0.05)
    limit = SpendingLimit(100_000, "day")
    night = datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)
    old = await crowd(process, 3, limit=limit, created_at=night)

    morning = entry(limit=limit, created_at=night + timedelta(seconds=2))
    assert not process.ledger.grant(morning), "the lease is of the day before"
    await process.ledger.reserve(morning)
    for one in (*old, morning):
        await process.ledger.settle(one, DONE)
    await until(lambda: process.leased() == [])

    assert [row.spend_period for row in process.rows()] == ["2026-11-20"] * 3 + ["2026-11-21"]
    assert discrepancies(process) == ()


async def test_a_limit_that_is_lowered_holds_at_once(process: Process) -> None:
    await crowd(process, 3)
    lowered = SpendingLimit(3500, "total")

    refused = entry(limit=lowered)
    assert not process.ledger.grant(refused), "what is leased was set aside under the old limit"
    with pytest.raises(QuotaExceeded):
        await process.ledger.reserve(refused)
    await process.ledger.reserve(entry(limit=lowered, estimated_nanos=500))

    assert process.spent() == (3500, 0)
    assert process.leased() == []


async def test_a_limit_that_is_raised_is_used(process: Process) -> None:
    few = SpendingLimit(3000, "total")
    await crowd(process, 3, limit=few)
    more = entry(limit=LIMIT)

    assert not process.ledger.grant(more)
    await process.ledger.reserve(more)

    assert process.spent()[0] == 4000 + sum(process.leased())
    granted(process, 1)


async def test_an_idempotency_key_is_always_asked_for(process: Process) -> None:
    await crowd(process, 3)
    held = process.leased()

    assert not process.ledger.grant(entry(limit=LIMIT, once=Once("k", b"x" * 32)))
    granted(process, 2)
    assert process.leased() == held


async def test_what_is_free_is_not_asked_for(process: Process) -> None:
    free = entry(limit=LIMIT, estimated_nanos=0)

    assert process.ledger.grant(free)
    await process.ledger.write(free, replace(DONE, cost=Cost(0, 0)))

    assert [row.spend_period for row in process.rows()] == ["total"]
    assert discrepancies(process) == ()


async def test_what_was_taken_to_be_free_and_is_not_is_charged(process: Process) -> None:
    free = entry(limit=LIMIT, estimated_nanos=0)

    await process.ledger.write(free, DONE)

    assert process.spent() == (0, 170)
    assert discrepancies(process) == ()
