"""Exports store the day on which weeks begin, and whether the file has a byte order mark."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0022"
down_revision: str | None = "0021"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    # Until now, the weeks of all exports began on Monday (1).
    op.add_column(
        "report_exports",
        sa.Column("week_start", sa.SmallInteger(), nullable=False, server_default="1"),
    )
    op.alter_column("report_exports", "week_start", server_default=None)
    op.add_column(
        "report_exports",
        sa.Column("bom", sa.Boolean(), nullable=False, server_default=sa.text("false")),
    )


def downgrade() -> None:
    op.drop_column("report_exports", "bom")
    op.drop_column("report_exports", "week_start")
