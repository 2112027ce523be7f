"""Every table, one screen each: columns, units, keys. Times are UTC."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, LargeBinary, MetaData, String, Table

metadata = MetaData()

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(200), nullable=False),
    # SHA-256 of the whole key; the key itself is shown once and stored nowhere.
    Column("sha256", LargeBinary(32), nullable=False, unique=True),
    # The last four characters, so that a person can tell keys apart.
    Column("hint", String(4), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
)
