"""Every table, one screen each: columns, units, keys. Times are UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Column, DateTime, Dialect, LargeBinary, MetaData, String, Table, TypeDecorator

metadata = MetaData()


class UtcDateTime(TypeDecorator[datetime]):
    """A time that is UTC inside and out; SQLite forgets the zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database: in UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database: with its zone."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(200), nullable=False),
    # SHA-256 of the whole key; the key itself is shown once and stored nowhere.
    Column("sha256", LargeBinary(32), nullable=False, unique=True),
    # The last four characters, so that a person can tell keys apart.
    Column("hint", String(4), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
)
