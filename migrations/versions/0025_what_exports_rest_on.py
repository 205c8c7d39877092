"""Exports store the rights that their file depends on; earlier files can no longer be fetched."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0025"
down_revision: str | None = "0024"
branch_labels: str | None = None
depends_on: str | None = None

_COLUMNS = ("managed_project_ids", "seen_project_ids", "seen_task_ids")


def upgrade() -> None:
    # Without a default: the rights of a file that an older worker finishes meanwhile are unknown,
    # and with NULL nobody can fetch it.
    for name in _COLUMNS:
        op.add_column("report_exports", sa.Column(name, sa.ARRAY(sa.Uuid()), nullable=True))
    # DONE becomes EXPIRED.
    op.execute(
        "UPDATE report_exports SET state = 60, version = version + 1, updated_at = now()"
        " WHERE state = 30"
    )


def downgrade() -> None:
    for name in _COLUMNS:
        op.drop_column("report_exports", name)
