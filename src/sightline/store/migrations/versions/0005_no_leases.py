"""Spending limits are reserved by rows alone: what processes had leased is given back."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Take what was leased off the accounts, and drop the table."""
    op.execute(
        """UPDATE key_spend SET reserved_nanos = reserved_nanos - (
            SELECT sum(nanos) FROM key_leases
            WHERE key_leases.key_id = key_spend.key_id AND key_leases.period = key_spend.period
        ) WHERE EXISTS (
            SELECT 1 FROM key_leases
            WHERE key_leases.key_id = key_spend.key_id AND key_leases.period = key_spend.period
        )"""
    )
    op.drop_table("key_leases")
