"""Every table, one screen each: columns, units, keys. Times are UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
)

metadata = MetaData()


class UtcDateTime(TypeDecorator[datetime]):
    """A time that is UTC inside and out: SQLite forgets the zone, Postgres gives that of its session."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database: in UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database: in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


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
    Column("expires_at", UtcDateTime),
    # Names of permissions; see `admission.keys`.
    Column("permissions", JSON, nullable=False),
    # Ids of the models it may use; null is all.
    Column("models", JSON),
    # Limits; null is none.
    Column("requests_per_min", Integer),
    Column("tokens_per_min", Integer),
    Column("max_in_flight", Integer),
    Column("spend_limit_nanos", BigInteger),
    # What the spending limit is for: day, month (of UTC) or total.
    Column("spend_period", String(10), nullable=False),
)

# One row a request. Reserved before work begins, then settled once; after that no statement may change it.
ledger = Table(
    "ledger",
    metadata,
    # `row_` and what `ids.new_id` makes of the time of admission: sorts by it, and `metering.reports` seeks by it.
    Column("id", String(40), primary_key=True),
    Column("request_id", String(128), nullable=False),
    # The process that holds the request; see `store.liveness`.
    Column("server", BigInteger, nullable=False),
    Column("key_id", String(40), nullable=False),
    Column("model", String(200), nullable=False),
    # reserved, or how it ended: completed, failed, cancelled, interrupted.
    Column("outcome", String(12), nullable=False),
    # HTTP status of the answer, and the code of its error; null while reserved.
    Column("status", Integer),
    Column("error", String(64)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    # What was set aside for it at admission.
    Column("estimated_tokens", BigInteger, nullable=False),
    Column("estimated_nanos", BigInteger, nullable=False),
    # What it used, and what is charged for it.
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("image_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("prompt_nanos", BigInteger, nullable=False),
    Column("completion_nanos", BigInteger, nullable=False),
    # The period of its key's spending limit that it counts towards, as in `key_spend`; null is none.
    Column("spend_period", String(10)),
    # Of each image: sha256, width, height, bytes. Never pixels.
    Column("images", JSON, nullable=False),
    # Milliseconds: queue, image, prefill, decode.
    Column("timings", JSON(none_as_null=True)),
    Index("ledger_key_id", "key_id", "id"),
    Index("ledger_reserved", "outcome", "server"),
)

# What a key with a spending limit has spent in one period, and reserved for its rows that run.
key_spend = Table(
    "key_spend",
    metadata,
    Column("key_id", String(40), primary_key=True),
    # 2026-11-21, 2026-11 or total.
    Column("period", String(10), primary_key=True),
    Column("reserved_nanos", BigInteger, nullable=False),
    Column("settled_nanos", BigInteger, nullable=False),
)

# First answers of requests that carried an Idempotency-Key.
idempotency = Table(
    "idempotency",
    metadata,
    Column("key_id", String(40), primary_key=True),
    Column("idempotency_key", String(255), primary_key=True),
    Column("body_sha256", LargeBinary(32), nullable=False),
    Column("ledger_id", String(40), nullable=False, unique=True),
    Column("server", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # The whole answer as it was sent; null while its request runs.
    Column("media_type", String(100)),
    Column("answer", LargeBinary),
    Index("idempotency_created_at", "created_at"),
)
