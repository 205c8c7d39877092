"""Comments store their rendered Markdown; existing ones are rendered when first read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: str | None = None
depends_on: str | None = None

_COLUMNS = ("body_html", "body_text")


def upgrade() -> None:
    for name in _COLUMNS:
        op.add_column("comments", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    op.add_column(
        "comments",
        sa.Column("rendered_version", sa.SmallInteger(), nullable=False, server_default="0"),
    )


def downgrade() -> None:
    for name in (*_COLUMNS, "rendered_version"):
        op.drop_column("comments", name)
