"""`ledger check` over both databases: says so when all adds up, and names what does not, damage by damage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from sightline.metering.audit import IMPOSSIBLE, check
from sightline.metering.ledger import IdempotencyKey, Ledger, SpendingLimit
from sightline.store.database import Database
from sightline.store.liveness import Liveness
from support.ledgers import DONE, FAILED, entry, keeping

pytestmark = pytest.mark.anyio
LIMIT = SpendingLimit(10_000, "month")
COMPLETED, RUNNING = f"row_{1:028x}", f"row_{2:028x}"


@pytest.fixture
async def running(any_database: Database) -> AsyncIterator[Ledger]:
    """A ledger with rows of every kind, whose process runs."""
    async with keeping(any_database) as dead:
        await dead.reserve(entry(limit=LIMIT, idempotency_key=IdempotencyKey("left", b"x" * 32)))
    async with keeping(any_database) as ledger:
        ledger.clear()
        completed = entry(id=COMPLETED, limit=LIMIT, idempotency_key=IdempotencyKey("kept", b"x" * 32))
        unlimited, failed, cancelled = entry(), entry(limit=LIMIT), entry(key_id="key_2")
        for one in (completed, unlimited, failed, cancelled, entry(id=RUNNING, limit=LIMIT)):
            await ledger.reserve(one)
        await ledger.settle(completed, replace(DONE, answer=b"{}", media_type="application/json"))
        await ledger.settle(unlimited, DONE)
        await ledger.settle(failed, FAILED)
        await ledger.settle(cancelled, replace(DONE, name="cancelled", status=499))
        yield ledger


@pytest.fixture
def liveness(any_database: Database) -> Iterator[Liveness]:
    liveness = any_database.liveness()
    yield liveness
    liveness.close()


def damage(database: Database, *statements: str) -> None:
    """Change what the triggers would keep."""

    def drop_and_change(connection: object) -> None:
        for name in ("ledger_is_append_only", "ledger_keeps_rows"):
            on = "" if database.is_sqlite else " ON ledger"
            connection.execute(text(f"DROP TRIGGER {name}{on}"))  # type: ignore[attr-defined]
        for statement in statements:
            assert connection.execute(text(statement)).rowcount != 0  # type: ignore[attr-defined]

    database.transaction(drop_and_change)


async def test_a_ledger_in_use_adds_up(running: Ledger, any_database: Database, liveness: Liveness) -> None:
    audit = check(any_database, liveness)

    assert audit.discrepancies == ()
    assert audit.by_outcome == {"cancelled": 1, "completed": 2, "failed": 1, "interrupted": 1, "reserved": 1}
    assert (audit.rows, audit.tokens, audit.nanos) == (6, 51, 510)
    assert check(any_database, liveness) == audit, "looking changes nothing"


def test_an_empty_ledger_adds_up(any_database: Database, liveness: Liveness) -> None:
    assert check(any_database, liveness).discrepancies == ()


def gone(database: Database) -> int:
    """The number of a server that was there and is not any more."""
    with closing(database.liveness()) as dead:
        return dead.number


DAMAGES = {
    "an outcome that there is not": ("UPDATE ledger SET outcome = 'lost' WHERE id = '{row}'", "has an outcome"),
    "a foreign id": ("UPDATE ledger SET id = 'x' WHERE id = '{row}'", "Row x has an id that does not begin with row_"),
    "failed": ("UPDATE ledger SET outcome = 'failed' WHERE id = '{row}'", "failed and costs something"),
    "interrupted": ("UPDATE ledger SET outcome = 'interrupted' WHERE id = '{row}'", "was interrupted and costs"),
    "no prompt": ("UPDATE ledger SET prompt_tokens = 0 WHERE id = '{row}'", "is completed without prompt tokens"),
    "status": ("UPDATE ledger SET status = 503 WHERE id = '{row}'", "with a status that is not 200"),
    "no status": ("UPDATE ledger SET status = NULL WHERE id = '{row}'", "has ended without a status"),
    "no end": ("UPDATE ledger SET ended_at = NULL WHERE id = '{row}'", "has ended at no time"),
    "times": ("UPDATE ledger SET ended_at = '2020-01-01 00:00:00' WHERE id = '{row}'", "ended before it began"),
    "reserved": ("UPDATE ledger SET outcome = 'reserved' WHERE id = '{row}'", "is reserved and has an end"),
    "images": ("UPDATE ledger SET image_tokens = 13 WHERE id = '{row}'", "has more image tokens than prompt tokens"),
    "cached": ("UPDATE ledger SET cached_tokens = 13 WHERE id = '{row}'", "has more cached tokens than prompt"),
    "negative": ("UPDATE ledger SET completion_tokens = -1 WHERE id = '{row}'", "a count or a cost below zero"),
    "cost": (
        "UPDATE ledger SET prompt_nanos = 119 WHERE id = '{row}'",
        "Key key_1 has settled $0.00000017 in 2026-11 by its account, $0.000000169 by its rows.",
    ),
    "row deleted": (
        "DELETE FROM ledger WHERE id = '{row}'",
        "Key key_1 has settled $0.00000017 in 2026-11 by its account, $0 by its rows.",
    ),
    "its idempotency record": (
        "DELETE FROM ledger WHERE id = '{row}'",
        "An Idempotency-Key of key key_1 belongs to row {row}, which is not there.",
    ),
    "settled": ("UPDATE key_spend SET settled_nanos = 0", "Key key_1 has settled $0 in 2026-11 by its account"),
    "set aside": (
        "UPDATE key_spend SET reserved_nanos = 0",
        "Key key_1 has reserved $0 in 2026-11 by its account, $0.000001 by its rows.",
    ),
    "no account": ("DELETE FROM key_spend", "Key key_1 has settled $0 in 2026-11 by its account"),
    "account of nothing": (
        "INSERT INTO key_spend VALUES ('key_9', 'total', 0, 7)",
        "Key key_9 has settled $0.000000007 in total by its account, $0 by its rows.",
    ),
    "dead": (
        "UPDATE ledger SET server = {gone} WHERE outcome = 'reserved'",
        f"Row {RUNNING} is reserved by a process that is gone",
    ),
    "changed": ("UPDATE ledger SET model = 'b/model' WHERE id = '{row}'", "A row that has ended can be changed"),
    "deleted": ("DELETE FROM ledger WHERE key_id = 'key_2'", "A row that has ended can be deleted"),
}


@pytest.mark.parametrize(("statement", "sentence"), DAMAGES.values(), ids=DAMAGES.keys())
async def test_each_damage_is_named(
    running: Ledger, any_database: Database, liveness: Liveness, statement: str, sentence: str
) -> None:
    damage(any_database, statement.format(row=COMPLETED, gone=gone(any_database)))

    found = check(any_database, liveness).discrepancies

    assert any(sentence.format(row=COMPLETED) in one for one in found), found


async def test_all_discrepancies_of_all_rows_are_named(
    running: Ledger, any_database: Database, liveness: Liveness
) -> None:
    damage(any_database, "UPDATE ledger SET image_tokens = 999, prompt_nanos = -1 WHERE outcome <> 'reserved'")

    found = check(any_database, liveness).discrepancies

    assert sum("more image tokens" in one for one in found) == 5
    assert sum("below zero" in one for one in found) == 5


def test_every_condition_is_damaged_above() -> None:
    sentences = [sentence for _, sentence in DAMAGES.values()]

    missed = [words for _, words in IMPOSSIBLE if not any(one[:18] in words or words in one for one in sentences)]
    assert missed == []


async def test_a_process_that_stopped_meanwhile_is_no_discrepancy(
    any_database: Database, liveness: Liveness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It held a row when the check looked, and had settled it before it stopped."""
    loop = asyncio.get_running_loop()
    async with keeping(any_database) as ledger:
        one = entry()
        await ledger.reserve(one)

        async def settle() -> None:
            await ledger.settle(one, DONE)

        def dead(numbers: set[int]) -> set[int]:
            asyncio.run_coroutine_threadsafe(settle(), loop).result()
            return numbers

        monkeypatch.setattr(liveness, "dead", dead)
        audit = await asyncio.to_thread(check, any_database, liveness)

    assert audit.by_outcome == {"reserved": 1}
    assert audit.discrepancies == ()
