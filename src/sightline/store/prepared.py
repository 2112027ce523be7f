"""Statements made once, for what every request writes: what SQLAlchemy does for each takes longer than SQLite does.

Written in SQLAlchemy Core all the same, and carried out over its connections. Values go to the driver as they are:
times by `moment`, JSON as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import ClauseElement

from sightline.store.database import Database


class Prepared:
    """A statement in the words of one database; its parameters are named."""

    def __init__(self, database: Database, statement: Executable, columns: Sequence[str] | None = None) -> None:
        """Make it; an insert takes a value for each of `columns`."""
        assert isinstance(statement, ClauseElement)
        dialect = sqlite.dialect(paramstyle="named") if database.is_sqlite else database.engine.dialect
        self._words = str(statement.compile(dialect=dialect, column_keys=columns))

    def each(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
        """Carry it out for each row, together; how many rows of the table it changed."""
        return connection.exec_driver_sql(self._words, list(rows)).rowcount

    def scalar(self, connection: Connection, row: dict[str, Any]) -> Any:
        """Carry it out for one row; the first value it finds, or None."""
        return connection.exec_driver_sql(self._words, row).scalar()


def moment(database: Database, time: datetime) -> datetime | str:
    """Return a time as the driver takes it and `tables.UtcDateTime` reads it."""
    time = time.astimezone(UTC)
    return time.replace(tzinfo=None).isoformat(" ", "microseconds") if database.is_sqlite else time
