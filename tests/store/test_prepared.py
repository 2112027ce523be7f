"""Statements for any number of rows, over both databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import JSON, BigInteger, Column, Integer, MetaData, String, Table, delete, select, update

from sightline.store.database import Database
from sightline.store.prepared import Prepared, given, inserting

things = Table(
    "things",
    MetaData(),
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String),
    Column("size", BigInteger, nullable=False),
    Column("facts", JSON),
)
TYPES = {column.name: column.type for column in things.c}
COUNTS = (0, 1, 2, 3, 31, 32, 33, 511, 512, 513, 1100)


def row(at: int) -> tuple[Any, ...]:
    return (at, None if at % 3 else f"ü'{at}", 2**40 + at, None if at % 5 == 1 else {"at": [at, "a:b", "?"]})


@pytest.fixture
def database(any_database: Database) -> Database:
    any_database.transaction(things.create)
    return any_database


@pytest.mark.parametrize("count", COUNTS)
def test_every_row_is_carried_out_once(database: Database, count: int) -> None:
    of = given(database, TYPES)
    insert = Prepared(database, inserting(database, things, given(database, TYPES)), TYPES)
    change = Prepared(
        database,
        update(things).where(things.c.id == of["id"]).values(size=things.c.size + of["size"]).returning(things.c.id),
        TYPES,
    )
    gone = Prepared(database, delete(things).where(things.c.id.in_(select(of["id"]))), TYPES)
    rows = [row(at) for at in range(count)]
    database.transaction(lambda c: c.execute(things.insert().values(id=-1, size=7, facts=[1])))

    made = database.transaction(lambda c: insert.each(c, rows))
    again = database.transaction(lambda c: insert.each(c, rows))
    there = database.read(lambda c: c.execute(select(things).where(things.c.id >= 0).order_by(things.c.id)).all())
    changed = database.transaction(lambda c: change.all(c, rows))
    sizes = database.read(lambda c: c.execute(select(things.c.size).order_by(things.c.id)).scalars().all())
    ended = database.transaction(lambda c: gone.each(c, rows))
    left = database.read(lambda c: c.execute(select(things)).all())

    assert (made, again, ended) == (count, 0, count)
    assert [tuple(one) for one in there] == rows
    assert sorted(number for (number,) in changed) == list(range(count))
    assert sizes == [7, *(2 * (2**40 + at) for at in range(count))]
    assert [tuple(one) for one in left] == [(-1, None, 7, [1])]
