"""Read the event log once, while it is written, to know that it can be a partition."""

from __future__ import annotations

from alembic import op

revision: str = "0043"
down_revision: str | None = "0042"
branch_labels: str | None = None
depends_on: str | None = None
oldest_code: str = "0039"


def upgrade() -> None:
    # Blocks neither readers nor writers, and has no transaction ID while it reads, for which
    # readers of events would wait.
    op.execute("ALTER TABLE events VALIDATE CONSTRAINT ck_events_first")


def downgrade() -> None:
    pass
