"""Devices know the session that registered them, and are deleted when it is revoked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0047"
down_revision: str | None = "0046"
branch_labels: str | None = None
depends_on: str | None = None
# The code before knows nothing of the column, and leaves it empty.
oldest_code: str = "0039"


def upgrade() -> None:
    op.add_column("devices", sa.Column("session_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        "fk_devices_session_id_sessions",
        "devices",
        "sessions",
        ["session_id"],
        ["id"],
        ondelete="SET NULL",
    )
    op.create_index("ix_devices_session_id", "devices", ["session_id"])


def downgrade() -> None:
    op.drop_index("ix_devices_session_id", "devices")
    op.drop_constraint("fk_devices_session_id_sessions", "devices", type_="foreignkey")
    op.drop_column("devices", "session_id")
