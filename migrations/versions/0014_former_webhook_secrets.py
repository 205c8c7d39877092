"""Several previous secrets of a webhook, each with its own end of validity."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    for name, kind in (
        ("old_secrets", sa.LargeBinary()),
        ("old_secrets_until", sa.DateTime(timezone=True)),
    ):
        column: sa.Column[Any] = sa.Column(
            name, postgresql.ARRAY(kind), nullable=False, server_default="{}"
        )
        op.add_column("webhooks", column)
    op.execute(
        "UPDATE webhooks SET old_secrets = ARRAY[old_secret], "
        "old_secrets_until = ARRAY[old_secret_until] "
        "WHERE old_secret IS NOT NULL AND old_secret_until IS NOT NULL"
    )
    op.drop_column("webhooks", "old_secret")
    op.drop_column("webhooks", "old_secret_until")


def downgrade() -> None:
    op.add_column("webhooks", sa.Column("old_secret", sa.LargeBinary(), nullable=True))
    op.add_column(
        "webhooks", sa.Column("old_secret_until", sa.DateTime(timezone=True), nullable=True)
    )
    op.execute(
        "UPDATE webhooks SET old_secret = old_secrets[1], old_secret_until = old_secrets_until[1]"
    )
    op.drop_column("webhooks", "old_secrets_until")
    op.drop_column("webhooks", "old_secrets")
