"""Browsers among devices, jobs that are held by a key for as long as they are unfinished."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0021"
down_revision: str | None = "0014"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    for name in ("p256dh", "auth"):
        op.add_column("devices", sa.Column(name, sa.String(), nullable=True))
    # A job for each device, where there was one for all of them.
    op.execute(
        "INSERT INTO jobs (id, name, payload, state, created_at, due_at, attempts) "
        "SELECT gen_random_uuid(), 'push.device', jsonb_build_object('notification', n.id, "
        "'device', d.id), 1, j.created_at, j.due_at, 0 FROM jobs j "
        "JOIN notifications n ON n.id = (j.payload ->> 'notification')::uuid "
        "JOIN devices d ON d.user_id = n.recipient_id "
        "WHERE j.name = 'push.notification' AND j.state <= 2"
    )
    op.execute("DELETE FROM jobs WHERE name = 'push.notification' AND state <= 2")


def downgrade() -> None:
    op.execute("DELETE FROM jobs WHERE name = 'push.device' AND state <= 2")
    for name in ("auth", "p256dh"):
        op.drop_column("devices", name)
