"""Webhooks and integrations remember the API key that made them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | None = None
depends_on: str | None = None

# The event that records the creation of each.
_MADE = (("webhooks", "WEBHOOK_CREATED"), ("integrations", "INTEGRATION_CONNECTED"))


def upgrade() -> None:
    for table, kind in _MADE:
        op.add_column(table, sa.Column("api_key_id", sa.Uuid(), nullable=True))
        op.create_foreign_key(
            op.f(f"fk_{table}_api_key_id_api_keys"),
            table,
            "api_keys",
            ["api_key_id"],
            ["id"],
            ondelete="CASCADE",
        )
        op.create_index(f"ix_{table}_api_key_id", table, ["api_key_id"])
        # An event may refer to a key that no longer exists, and may be missing for an old webhook.
        op.execute(
            f"UPDATE {table} SET api_key_id = api_keys.id FROM events, api_keys "  # noqa: S608 - names of ours
            f"WHERE events.kind = '{kind}' AND events.subject_id = {table}.id "
            "AND api_keys.id = events.api_key_id"
        )
    op.add_column(
        "webhook_deliveries", sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=True)
    )


def downgrade() -> None:
    op.drop_column("webhook_deliveries", "scopes")
    for table, _ in _MADE:
        op.drop_index(f"ix_{table}_api_key_id", table)
        op.drop_constraint(op.f(f"fk_{table}_api_key_id_api_keys"), table)
        op.drop_column(table, "api_key_id")
