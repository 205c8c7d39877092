"""A notification leads to the reminder, webhook or integration that it is about."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0033"
down_revision: str | None = "0032"
branch_labels: str | None = None
depends_on: str | None = None

# The event that was recorded in the transaction of the notification, by the notification's kind.
_EVENTS = {8: ("WEBHOOK_UPDATED", "Webhook"), 9: ("INTEGRATION_UPDATED", "Integration")}


def upgrade() -> None:
    op.add_column("notifications", sa.Column("subject_type", sa.Text()))
    op.add_column("notifications", sa.Column("subject_id", sa.Uuid()))
    op.execute(
        "UPDATE notifications SET subject_type = 'Reminder', subject_id = events.subject_id"
        " FROM events WHERE events.id = notifications.event_id AND notifications.kind = 7"
        " AND events.subject_type = 'Reminder'"
    )
    for kind, (event, subject) in _EVENTS.items():
        # Not if several of them ended in one moment: which one it was is not known.
        op.get_bind().execute(
            sa.text(
                "UPDATE notifications SET subject_type = :subject, subject_id = found.subject_id"
                " FROM (SELECT notices.id, min(events.subject_id::text)::uuid AS subject_id"
                " FROM notifications notices JOIN events ON events.at = notices.created_at"
                " AND events.kind = :event AND notices.recipient_id = ANY(events.audience)"
                " WHERE notices.kind = :kind"
                " GROUP BY notices.id HAVING count(DISTINCT events.subject_id) = 1) found"
                " WHERE found.id = notifications.id"
            ),
            {"kind": kind, "event": event, "subject": subject},
        )


def downgrade() -> None:
    op.drop_column("notifications", "subject_id")
    op.drop_column("notifications", "subject_type")
