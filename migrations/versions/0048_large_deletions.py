"""Deleting a webhook or an integration changes no other rows, of which there can be many."""

from __future__ import annotations

from alembic import op

revision: str = "0048"
down_revision: str | None = "0047"
branch_labels: str | None = None
depends_on: str | None = None
# The code before leaves deliveries without a webhook, which nobody sees and which end by their age.
oldest_code: str = "0039"

_DELIVERIES = "fk_webhook_deliveries_webhook_id_webhooks"
_LINKS = "fk_external_links_integration_id_integrations"


def upgrade() -> None:
    op.drop_constraint(_DELIVERIES, "webhook_deliveries", type_="foreignkey")
    op.drop_constraint(_LINKS, "external_links", type_="foreignkey")


def downgrade() -> None:
    op.execute(
        "DELETE FROM webhook_deliveries WHERE NOT EXISTS"
        " (SELECT FROM webhooks WHERE webhooks.id = webhook_deliveries.webhook_id)"
    )
    op.execute(
        "UPDATE external_links SET integration_id = NULL WHERE NOT EXISTS"
        " (SELECT FROM integrations WHERE integrations.id = external_links.integration_id)"
    )
    op.create_foreign_key(
        _DELIVERIES, "webhook_deliveries", "webhooks", ["webhook_id"], ["id"], ondelete="CASCADE"
    )
    op.create_foreign_key(
        _LINKS, "external_links", "integrations", ["integration_id"], ["id"], ondelete="SET NULL"
    )
