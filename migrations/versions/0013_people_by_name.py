"""An index to find users by the beginning of their full name."""

from __future__ import annotations

from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.execute(
        "CREATE INDEX ix_users_full_name_prefix ON users (lower(full_name) text_pattern_ops)"
    )


def downgrade() -> None:
    op.drop_index("ix_users_full_name_prefix", "users")
