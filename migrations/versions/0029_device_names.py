"""Every device has a name."""

from __future__ import annotations

from alembic import op

revision: str = "0029"
down_revision: str | None = "0028"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.execute(
        "UPDATE devices SET name = CASE platform WHEN 'ANDROID' THEN 'Android'"
        " WHEN 'IOS' THEN 'iOS' ELSE 'Web browser' END WHERE name IS NULL"
    )
    op.alter_column("devices", "name", nullable=False)


def downgrade() -> None:
    op.alter_column("devices", "name", nullable=True)
