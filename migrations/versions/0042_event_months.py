"""The event log is about to be partitioned by month: what can be done beside its use."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.models.event import Xid8

revision: str = "0042"
down_revision: str | None = "0040"
branch_labels: str | None = None
depends_on: str | None = None
oldest_code: str = "0039"


def upgrade() -> None:
    op.create_table(
        "event_months",
        sa.Column("month", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first_position", sa.BigInteger(), nullable=False),
        sa.Column("first_xid", Xid8(), nullable=True),
        sa.PrimaryKeyConstraint("month", name=op.f("pk_event_months")),
    )
    op.add_column("log_epoch", sa.Column("pruned_xid", Xid8(), nullable=True))
    op.add_column("log_epoch", sa.Column("pruned_position", sa.BigInteger(), nullable=True))
    # Once it is validated, the table becomes a partition without being read (0044). Positions so
    # far count from 1, those of months begin far beyond.
    op.execute(
        "ALTER TABLE events ADD CONSTRAINT ck_events_first CHECK (position < 1000000000000)"
        " NOT VALID"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE events DROP CONSTRAINT IF EXISTS ck_events_first")
    op.drop_column("log_epoch", "pruned_position")
    op.drop_column("log_epoch", "pruned_xid")
    op.drop_table("event_months")
