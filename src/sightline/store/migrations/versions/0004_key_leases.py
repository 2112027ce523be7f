"""What processes set aside of spending accounts for requests to come."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table; what is reserved before is that of rows."""
    op.create_table(
        "key_leases",
        sa.Column("key_id", sa.String(40), primary_key=True),
        sa.Column("period", sa.String(10), primary_key=True),
        sa.Column("server", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("nanos", sa.BigInteger, nullable=False),
    )
