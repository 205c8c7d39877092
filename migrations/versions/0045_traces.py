"""Events have the trace of the request that made them, if traces are exported."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0045"
down_revision: str | None = "0044"
branch_labels: str | None = None
depends_on: str | None = None
# The code before knows nothing of the column, and leaves it empty.
oldest_code: str = "0039"


def upgrade() -> None:
    op.add_column("events", sa.Column("trace", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("events", "trace")
