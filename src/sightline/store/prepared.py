"""Statements made once, that take any number of rows in one step.

What SQLAlchemy does for each statement, and its driver for each row, takes Python's time, which every request waits
for: between two rows the writer's thread gives up the interpreter and has to get it back. So all rows go as one list
of values (SQLite) or as one JSON parameter that the database unfolds (Postgres). Written in SQLAlchemy Core all the
same, and carried out over its connections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    CursorResult,
    Table,
    bindparam,
    cast,
    column,
    func,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import TypeEngine

from sightline.store.database import Database

Row = Sequence[Any]
"""The values of one row that a statement is carried out for."""
Types = Mapping[str, TypeEngine[Any]]
"""The names of a row's values, in their order, and what each is for the database."""

_json = msgspec.json.Encoder().encode
_WITHOUT_ZONE = len("2026-11-21 12:00:00.000000")
_ROWS = "VALUES (rows)"
_MOST_ROWS = 512
"""In one of SQLite's statements, which may have 32,766 values."""


class Prepared:
    """A statement in the words of one database, for rows of `types` that `given` names."""

    def __init__(self, database: Database, statement: Executable, types: Types | None = None) -> None:
        assert isinstance(statement, ClauseElement)
        dialect = sqlite.dialect(paramstyle="named") if database.is_sqlite else database.engine.dialect
        self._words = str(statement.compile(dialect=dialect))
        self._types = types or {}
        self._in_json = [at for at, kind in enumerate(self._types.values()) if isinstance(kind, JSON)]
        self._for_rows: dict[int, str] = {}
        self._carry_out = self._values if database.is_sqlite else self._parameter

    def each(self, connection: Connection, rows: Sequence[Row]) -> int:
        """Carry it out for all rows; how many rows of the table it changed. Times by `moment_of`."""
        return sum([result.rowcount for result in self._carry_out(connection, rows)])

    def all(self, connection: Connection, rows: Sequence[Row]) -> Sequence[Any]:
        """As `each`, for a statement that returns something of each row, as the driver gives it."""
        return [found for result in self._carry_out(connection, rows) for found in result.fetchall()]

    def scalar(self, connection: Connection, row: dict[str, Any]) -> Any:
        """Carry it out with named parameters; the first value it finds, or None."""
        return connection.exec_driver_sql(self._words, row).scalar()

    def _parameter(self, connection: Connection, rows: Sequence[Row]) -> Iterator[CursorResult[Any] | DBAPICursor]:
        named = [dict(zip(self._types, row, strict=True)) for row in rows]
        yield connection.exec_driver_sql(self._words, {"rows": _json(named).decode()})

    def _values(self, connection: Connection, rows: Sequence[Row]) -> Iterator[CursorResult[Any] | DBAPICursor]:
        cursor = connection.connection.cursor()  # SQLAlchemy's own way takes longer than all but the step
        for start in range(0, len(rows), _MOST_ROWS):
            some = rows[start : start + _MOST_ROWS]
            # 1, 2, 4 … rows, so that few statements have to be compiled and kept; those that are too many say nothing.
            room = 1 << (len(some) - 1).bit_length()
            nothing = (None,) * (len(self._types) * (room - len(some)))
            cursor.execute(self._words_for(room), self._flat(some) + nothing)
            yield cursor

    def _words_for(self, count: int) -> str:
        words = self._for_rows.get(count)
        if words is None:
            row = f"({', '.join('?' * len(self._types))})"
            words = self._for_rows[count] = self._words.replace(_ROWS, f"VALUES {', '.join([row] * count)}")
        return words

    def _flat(self, rows: Sequence[Row]) -> tuple[Any, ...]:
        values = [value for row in rows for value in row]
        for at in self._in_json:
            theirs = slice(at, None, len(self._types))
            values[theirs] = [None if value is None else _json(value).decode() for value in values[theirs]]
        return tuple(values)


def given(database: Database, types: Types) -> dict[str, ColumnElement[Any]]:
    """Return the columns of the rows that a statement is carried out for, by name.

    Some rows of SQLite's may be nothing but NULL, for which a statement is to do nothing.
    """
    if database.is_sqlite:
        columns = [column(f"column{at}", kind) for at, kind in enumerate(types.values(), 1)]
        rows = text(_ROWS).columns(*columns).subquery("given")
        return dict(zip(types, rows.c, strict=True))
    typed = (column(name, kind) for name, kind in types.items())
    unfolded = func.json_to_recordset(cast(bindparam("rows"), JSON)).table_valued(*typed, name="given")
    return dict(unfolded.render_derived(with_types=True).c)


def inserting(database: Database, table: Table, row: Mapping[str, ColumnElement[Any]]) -> Executable:
    """Insert a row for each that is given, leaving alone what is there. `row` begins with a value that is given."""
    insert = sqlite.insert if database.is_sqlite else postgresql.insert
    first, *_ = row.values()
    rows = select(*row.values()).where(first.is_not(None))
    return insert(table).from_select(list(row), rows).on_conflict_do_nothing()


def moment_of(database: Database) -> Callable[[datetime], datetime | str]:
    """Return what turns a time into what the database takes and `tables.UtcDateTime` reads."""
    return _text_of if database.is_sqlite else _itself


def _text_of(time: datetime) -> str:
    in_utc = time if time.tzinfo is UTC else time.astimezone(UTC)
    return in_utc.isoformat(" ", "microseconds")[:_WITHOUT_ZONE]


def _itself(time: datetime) -> datetime:
    return time
