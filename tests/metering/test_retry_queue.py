"""Outcomes that nobody waits for are written whatever the key's account has: one that is full must not keep them."""

from __future__ import annotations

import pytest

from sightline import failpoints
from sightline.core import SpendingLimit, Usage
from sightline.metering import ledger as ledger_module
from sightline.metering.audit import check
from sightline.metering.ledger import Outcome
from sightline.metering.prices import Cost
from sightline.metering.reservation import Reservation
from support.asgi import until
from support.ledgers import Process, entry

pytestmark = pytest.mark.anyio
LIMIT = SpendingLimit(1000, "total")
LEFT = Outcome("cancelled", 499, Usage(12, 5), Cost(600, 300))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is offered again soon, and one is as many as may wait."""
    monkeypatch.setattr(ledger_module, "RETRY_S", 0.01)
    monkeypatch.setattr(ledger_module, "MAX_RETRY_QUEUE", 1)


@pytest.mark.parametrize(("outcome", "cost_nanos"), [(LEFT, 900), (Outcome("failed", 500, error="engine_error"), 0)])
async def test_an_outcome_is_written_though_the_account_is_full(
    process: Process, outcome: Outcome, cost_nanos: int
) -> None:
    one = entry(limit=LIMIT)
    await process.ledger.reserve(one)
    failpoints.arm("store.write=error")
    process.ledger.settle_later(one, outcome)
    await until(lambda: process.ledger.is_behind)

    failpoints.arm("")
    await until(lambda: not process.ledger.is_behind)

    [row] = process.rows()
    assert (row.outcome, row.prompt_nanos + row.completion_nanos) == (outcome.name, cost_nanos)
    assert process.spent() == (0, cost_nanos)
    assert check(process.database, process.liveness).discrepancies == ()


async def test_one_that_costs_more_than_its_account_had_left_keeps_nobody_else_out(process: Process) -> None:
    """Tokens are counted, not estimated: the next request of the key finds that much less."""
    client = entry(limit=LIMIT)
    reservation = Reservation(process.ledger, client, streams=False)
    await reservation.begin()

    reservation.cancel(LEFT.usage, Cost(1200, 300), [])

    await until(lambda: process.rows()[0].outcome == "cancelled")
    await Reservation(process.ledger, entry(key_id="key_2"), streams=True).begin()
    assert process.spent() == (0, 1500)
    assert check(process.database, process.liveness).discrepancies == ()
