"""Totals and lines of the ledger over both databases: right sums, days of UTC, pages that neither repeat nor skip."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from sightline.auth.keys import Keys
from sightline.core import NewKey
from sightline.errors import InvalidRequest
from sightline.metering.ledger import Outcome
from sightline.metering.prices import Cost
from sightline.metering.reports import (
    Group,
    Page,
    RequestRecord,
    Selection,
    Total,
    _chosen,
    every,
    key_ids,
    requests,
    totals,
)
from sightline.store.database import Database
from sightline.store.tables import ledger
from support.ledgers import DONE, FAILED, NOON, entry, fill, keeping

pytestmark = pytest.mark.anyio
DAY = timedelta(days=1)
ALL = Selection()


def total(database: Database, by: tuple[Group, ...], selection: Selection = ALL, **page: Any) -> Page[Total]:
    return database.read(lambda connection: totals(connection, by, selection, **page))


def lines(database: Database, selection: Selection = ALL, **page: Any) -> Page[RequestRecord]:
    return database.read(lambda connection: requests(connection, selection, **page))


async def test_totals_add_up_by_day_key_and_model(any_database: Database) -> None:
    key, _ = Keys(any_database).create(NewKey("Ada"))
    await fill(
        any_database,
        [
            (entry(key_id=key.id), DONE),
            (entry(key_id=key.id), FAILED),
            (entry(NOON + DAY, model="b/model"), DONE),
            (entry(NOON + DAY), replace(DONE, name="cancelled", status=499)),
        ],
    )

    assert total(any_database, ()).rows == [Total(None, None, None, None, 4, 1, 36, 15, 24, 510)]
    assert total(any_database, ("day",)).rows == [
        Total("2026-11-20", None, None, None, 2, 1, 12, 5, 8, 170),
        Total("2026-11-21", None, None, None, 2, 0, 24, 10, 16, 340),
    ]
    assert total(any_database, ("key", "model")).rows == [
        Total(None, key.id, "Ada", "a/model", 2, 1, 12, 5, 8, 170),
        Total(None, "key_1", None, "a/model", 1, 0, 12, 5, 8, 170),
        Total(None, "key_1", None, "b/model", 1, 0, 12, 5, 8, 170),
    ]


async def test_selection_is_exact_at_its_ends(any_database: Database) -> None:
    moments = [NOON - timedelta(microseconds=1), NOON, NOON + timedelta(hours=1), NOON + timedelta(hours=2)]
    await fill(any_database, [(entry(moment, request_id=str(at)), DONE) for at, moment in enumerate(moments)])

    chosen = lines(any_database, Selection(since=NOON, until=moments[3])).rows

    assert [line.request_id for line in chosen] == ["2", "1"]
    assert total(any_database, (), Selection(key_ids=("key_2",))).rows == []
    assert total(any_database, (), Selection(model="b/model")).rows == []
    assert total(any_database, (), Selection(key_ids=("key_2", "key_1"), model="a/model")).rows[0].requests == 4


async def test_days_are_of_utc(any_database: Database) -> None:
    late = datetime(2026, 12, 31, 23, 30, tzinfo=timezone(-timedelta(hours=2)))
    await fill(any_database, [(entry(late), DONE)])

    assert [row.day for row in total(any_database, ("day",)).rows] == ["2027-01-01"]


async def test_running_requests_are_not_counted_yet(any_database: Database) -> None:
    async with keeping(any_database) as running:
        await running.reserve(entry())

    assert total(any_database, ("day",)).rows == total(any_database, ()).rows == lines(any_database).rows == []


async def test_pages_neither_repeat_nor_skip_while_rows_come_in(any_database: Database) -> None:
    written = [(entry(NOON + at * DAY, model=f"m/{at % 3}"), DONE) for at in range(7)]
    await fill(any_database, written)

    first = lines(any_database, limit=3)
    await fill(any_database, [(entry(NOON + 30 * DAY), DONE)])
    second = lines(any_database, limit=3, after=first.next)
    third = lines(any_database, limit=3, after=second.next)

    ids = [line.id for page in (first, second, third) for line in page.rows]
    assert ids == sorted((one.id for one, _ in written), reverse=True)
    assert third.next is None
    first_days = total(any_database, ("model", "day"), limit=5)
    rest = total(any_database, ("model", "day"), limit=5, after=first_days.next)
    assert [*first_days.rows, *rest.rows] == total(any_database, ("model", "day")).rows
    assert len(rest.rows) == 3
    assert rest.next is None


async def test_every_page_is_gone_through(any_database: Database) -> None:
    await fill(any_database, [(entry(NOON + at * DAY), DONE) for at in range(5)])

    days = every(any_database, lambda c, after: totals(c, ("day",), ALL, limit=2, after=after))
    ids = every(any_database, lambda c, after: requests(c, ALL, limit=2, after=after))

    assert len([row.day for row in days]) == len({line.id for line in ids}) == 5


async def test_a_line_has_the_whole_row(any_database: Database) -> None:
    key, _ = Keys(any_database).create(NewKey("Ada"))
    one = entry(key_id=key.id)
    ending = Outcome("completed", 200, DONE.usage, Cost(7, 8), images=DONE.images, timings_ms={"queue": 1.5})
    await fill(any_database, [(one, ending)])

    [line] = lines(any_database).rows

    assert line == RequestRecord(
        id=one.id,
        request_id=one.request_id,
        created_at=NOON,
        ended_at=line.ended_at,
        key_id=key.id,
        key_name="Ada",
        model="a/model",
        outcome="completed",
        status=200,
        error=None,
        prompt_tokens=12,
        completion_tokens=5,
        image_tokens=8,
        cached_tokens=1,
        nanos=15,
        images=[{"sha256": "ab", "width": 3}],
        timings={"queue": 1.5},
    )
    assert line.ended_at.tzinfo is UTC or line.ended_at.utcoffset() == timedelta()


@pytest.mark.parametrize("cursor", ["x", "!!", "W10", "WyJhIiwiYiJd", "WzFd", "WyJcdTAwMDAiXQ", "WyJcdWQ4MDAiXQ", "é"])
@pytest.mark.parametrize("by", [(), ("day",)])
def test_a_cursor_of_something_else_is_refused(database: Database, cursor: str, by: tuple[Group, ...]) -> None:
    with pytest.raises(InvalidRequest, match="after is no cursor"):
        total(database, by, after=cursor)


@pytest.mark.parametrize("selection", [Selection(since=NOON), Selection(since=NOON, key_ids=("key_1",))])
def test_a_span_of_time_reads_its_range_of_an_index(database: Database, selection: Selection) -> None:
    query = select(ledger.c.prompt_tokens).where(*_chosen(selection))
    compiled = query.compile(database.engine, compile_kwargs={"literal_binds": True})

    plan = database.read(lambda c: str(c.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}").all()))

    assert "SEARCH ledger USING INDEX" in plan
    assert "id>?" in plan


def test_keys_are_found_by_name_or_id(database: Database) -> None:
    keys = Keys(database)
    one, two = keys.create(NewKey("Ada"))[0], keys.create(NewKey("Ada"))[0]

    assert database.read(partial(key_ids, name_or_id="Ada")) == tuple(sorted((one.id, two.id)))
    assert database.read(partial(key_ids, name_or_id=two.id)) == (two.id,)
    assert database.read(partial(key_ids, name_or_id="Bob")) == ()
