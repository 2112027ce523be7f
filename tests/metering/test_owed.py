"""Endings that nobody waits for are written whatever the key's account has: one that is full must not owe for ever."""

from __future__ import annotations

import asyncio

import pytest

from sightline.core import Usage
from sightline.errors import StoreUnavailable
from sightline.metering import leases
from sightline.metering import ledger as ledger_module
from sightline.metering.audit import check
from sightline.metering.booking import Booking
from sightline.metering.ledger import Ending
from sightline.metering.prices import Cost
from support.asgi import until
from support.ledgers import DONE, FEW, Process, crowd, entry, promise_that_is_gone

pytestmark = pytest.mark.anyio
LEFT = Ending("cancelled", 499, Usage(12, 5), Cost(600, 300))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases are given back only where a test says so, quick requests stay so, and what is owed is offered soon."""
    monkeypatch.setattr(leases, "TICK_S", 1000)
    monkeypatch.setattr(ledger_module, "AGAIN_S", 0.02)
    monkeypatch.setattr(ledger_module, "MOST_OWED", 1)
    monkeypatch.setattr(ledger_module, "SOON_S", 1000)


def row_of(process: Process, row_id: str) -> tuple[str, int]:
    [row] = [row for row in process.rows() if row.id == row_id]
    return row.outcome, row.prompt_nanos + row.completion_nanos


@pytest.mark.parametrize(("ending", "cost_nanos"), [(LEFT, 900), (Ending("failed", 500, error="engine_error"), 0)])
async def test_an_ending_is_written_though_the_account_is_full(
    process: Process, other: Process, ending: Ending, cost_nanos: int
) -> None:
    """The lease that covered it was given back by another process, and is spent."""
    promised = await promise_that_is_gone(process, other)

    process.ledger.settle_later(promised, ending, is_whole=True)

    await until(lambda: promised.id in {row.id for row in process.rows()})
    await until(lambda: not process.ledger._owed)
    assert row_of(process, promised.id) == (ending.outcome, cost_nanos)
    assert process.spent() == (19_500, cost_nanos)
    assert check(process.database, process.presence).discrepancies == ()


async def test_a_leaver_on_a_full_account_does_not_keep_others_out(process: Process, other: Process) -> None:
    """Its quick answer has no row yet when its process is taken for dead."""
    await crowd(process, 3, limit=FEW)
    leaver = entry(limit=FEW)
    booking = Booking(process.ledger, leaver, streams=False)
    await booking.begin()
    other.presence.dead = lambda numbers: {process.presence.number}  # type: ignore[method-assign]
    other.ledger.clear()
    await other.ledger.reserve(entry(limit=FEW, estimated_nanos=19_500))

    booking.cancel(LEFT.usage, LEFT.cost, [])

    await until(lambda: leaver.id in {row.id for row in process.rows()})
    await until(lambda: not process.ledger.is_behind)
    await Booking(process.ledger, entry(key_id="key_2"), streams=True).begin()
    assert row_of(process, leaver.id) == ("cancelled", 900)
    assert check(process.database, process.presence).discrepancies == ()


async def test_who_is_asked_for_after_it_finds_that_much_less(process: Process, other: Process) -> None:
    promised = await promise_that_is_gone(process, other)
    before, after = entry(limit=FEW, estimated_nanos=200), entry(limit=FEW, estimated_nanos=200)

    written = [process.ledger.write(before, DONE)]
    process.ledger.settle_later(promised, LEFT, is_whole=True)
    written.append(process.ledger.write(after, DONE))
    results = await asyncio.gather(*written, return_exceptions=True)  # in either order: all are one group

    assert [type(result) for result in results if result is not None] == [StoreUnavailable]
    assert row_of(process, promised.id) == ("cancelled", 900)
    assert process.spent() == (19_500, 900 + 170)
    assert check(process.database, process.presence).discrepancies == ()
