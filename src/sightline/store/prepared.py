"""Statements made once, that take any number of rows as one JSON parameter the database unfolds.

What SQLAlchemy does for each statement, and its driver for each row, takes Python's time, which every request waits
for: between two rows the writer's thread gives up the interpreter and has to get it back. One parameter is one step.
Written in SQLAlchemy Core all the same, and carried out over its connections.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Table,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import TypeEngine

from sightline.store.database import Database

Row = Sequence[Any]
"""The values of one row that a statement is carried out for."""

_json = msgspec.json.Encoder().encode
_WITHOUT_ZONE = len("2026-11-21 12:00:00.000000")


class Prepared:
    """A statement in the words of one database, for rows whose values come in the order of `names`."""

    def __init__(self, database: Database, statement: Executable, names: Sequence[str] = ()) -> None:
        assert isinstance(statement, ClauseElement)
        dialect = sqlite.dialect(paramstyle="named") if database.is_sqlite else database.engine.dialect
        self._words = str(statement.compile(dialect=dialect))
        self._names = () if database.is_sqlite else tuple(names)

    def each(self, connection: Connection, rows: Sequence[Row]) -> int:
        """Carry it out for all rows that `given` names; how many rows of the table it changed. Times by `moment_of`."""
        return connection.exec_driver_sql(self._words, self._given(rows)).rowcount

    def all(self, connection: Connection, rows: Sequence[Row]) -> Sequence[Any]:
        """As `each`, for a statement that returns something of each row."""
        return connection.exec_driver_sql(self._words, self._given(rows)).all()

    def scalar(self, connection: Connection, row: dict[str, Any]) -> Any:
        """Carry it out with named parameters; the first value it finds, or None."""
        return connection.exec_driver_sql(self._words, row).scalar()

    def _given(self, rows: Sequence[Row]) -> dict[str, str]:
        if self._names:
            return {"rows": _json([dict(zip(self._names, row, strict=True)) for row in rows]).decode()}
        return {"rows": _json(rows).decode()}


def given(database: Database, types: Mapping[str, TypeEngine[Any]]) -> dict[str, ColumnElement[Any]]:
    """Return the columns of the rows that a statement is carried out for, by name; values come in this order.

    SQLite finds a value by its place in half the time that it takes by its name.
    """
    if database.is_sqlite:
        value = func.json_each(bindparam("rows")).table_valued("value", name="given").c.value
        return {name: func.json_extract(value, literal_column(f"'$[{at}]'")) for at, name in enumerate(types)}
    typed = (column(name, kind) for name, kind in types.items())
    rows = func.json_to_recordset(cast(bindparam("rows"), JSON)).table_valued(*typed, name="given")
    return dict(rows.render_derived(with_types=True).c)


def inserting(database: Database, table: Table, row: Mapping[str, ColumnElement[Any]]) -> Executable:
    """Insert a row for each that is given, leaving alone what is there."""
    insert = sqlite.insert if database.is_sqlite else postgresql.insert
    # SQLite takes ON CONFLICT for part of a join unless there is a condition.
    rows = select(*row.values()).where(literal_column("1") == literal_column("1"))
    return insert(table).from_select(list(row), rows).on_conflict_do_nothing()


def moment_of(database: Database) -> Callable[[datetime], datetime | str]:
    """Return what turns a time into what the database takes and `tables.UtcDateTime` reads."""
    return _text_of if database.is_sqlite else _itself


def _text_of(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(" ", "microseconds")[:_WITHOUT_ZONE]


def _itself(time: datetime) -> datetime:
    return time
