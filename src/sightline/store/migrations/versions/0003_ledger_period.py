"""Which spending period a row of the ledger counts towards, so that sums can be held against rows."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column; rows of before counted towards none."""
    op.add_column("ledger", sa.Column("spend_period", sa.String(10)))
