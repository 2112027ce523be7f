"""Limits of keys, the ledger, spending, idempotency."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TIME = sa.DateTime(timezone=True)
# The database itself refuses to change or delete a row that has ended.
SQLITE = (
    """CREATE TRIGGER ledger_is_append_only BEFORE UPDATE ON ledger WHEN OLD.outcome <> 'reserved'
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    """CREATE TRIGGER ledger_keeps_rows BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
)
POSTGRES = (
    """CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$""",
    """CREATE TRIGGER ledger_is_append_only BEFORE UPDATE ON ledger FOR EACH ROW
    WHEN (OLD.outcome <> 'reserved') EXECUTE FUNCTION ledger_is_append_only()""",
    """CREATE TRIGGER ledger_keeps_rows BEFORE DELETE ON ledger FOR EACH ROW
    EXECUTE FUNCTION ledger_is_append_only()""",
)


def upgrade() -> None:
    """Give every key of before full use without limits; make the other tables."""
    with op.batch_alter_table("api_keys") as table:
        table.add_column(sa.Column("expires_at", TIME))
        table.add_column(sa.Column("permissions", sa.JSON, nullable=False, server_default='["inference", "usage"]'))
        table.add_column(sa.Column("models", sa.JSON))
        table.add_column(sa.Column("requests_per_min", sa.Integer))
        table.add_column(sa.Column("tokens_per_min", sa.Integer))
        table.add_column(sa.Column("max_in_flight", sa.Integer))
        table.add_column(sa.Column("spend_limit_nanos", sa.BigInteger))
        table.add_column(sa.Column("spend_period", sa.String(10), nullable=False, server_default="total"))
    op.create_table(
        "ledger",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("server", sa.BigInteger, nullable=False),
        sa.Column("key_id", sa.String(40), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("outcome", sa.String(12), nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("error", sa.String(64)),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("ended_at", TIME),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in (
                *("estimated_tokens", "estimated_nanos"),
                *("prompt_tokens", "completion_tokens", "image_tokens", "cached_tokens"),
                *("prompt_nanos", "completion_nanos"),
            )
        ),
        sa.Column("images", sa.JSON, nullable=False),
        sa.Column("timings", sa.JSON),
        sa.Index("ledger_key_id", "key_id", "id"),
        sa.Index("ledger_reserved", "outcome", "server"),
    )
    op.create_table(
        "key_spend",
        sa.Column("key_id", sa.String(40), primary_key=True),
        sa.Column("period", sa.String(10), primary_key=True),
        sa.Column("reserved_nanos", sa.BigInteger, nullable=False),
        sa.Column("settled_nanos", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "idempotency",
        sa.Column("key_id", sa.String(40), primary_key=True),
        sa.Column("idempotency_key", sa.String(255), primary_key=True),
        sa.Column("body_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("ledger_id", sa.String(40), nullable=False, unique=True),
        sa.Column("server", sa.BigInteger, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("media_type", sa.String(100)),
        sa.Column("answer", sa.LargeBinary),
        sa.Index("idempotency_created_at", "created_at"),
    )
    for statement in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRES:
        op.execute(statement)
