"""Background work: browsers as devices, jobs that hold their key until they finish, the event from
which webhooks and integrations start, and the destinations that workers suspend.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    for name in ("p256dh", "auth"):
        op.add_column("devices", sa.Column(name, sa.Text(), nullable=True))
    for name in ("one_at_a_time", "again"):
        op.add_column(
            "jobs", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.text("false"))
        )
    op.add_column(
        "workers",
        sa.Column("circuits", postgresql.JSONB(), nullable=False, server_default=sa.text("'{}'")),
    )
    for table in ("webhooks", "integrations"):
        op.add_column(
            table,
            sa.Column(
                "since_position", sa.BigInteger(), nullable=False, server_default=sa.text("0")
            ),
        )
    # Deliveries that have several jobs keep the one that is due first.
    op.execute(
        "DELETE FROM jobs j USING (SELECT id, row_number() OVER (PARTITION BY key ORDER BY "
        "state DESC, due_at, id) AS place FROM jobs WHERE name = 'webhook.deliver' AND state <= 2 "
        "AND key IS NOT NULL) found WHERE found.id = j.id AND found.place > 1"
    )
    op.execute("UPDATE jobs SET one_at_a_time = true WHERE name = 'webhook.deliver' AND state <= 2")
    op.drop_index("uq_jobs_key", "jobs")
    op.create_index(
        "uq_jobs_key",
        "jobs",
        ["key"],
        unique=True,
        postgresql_where=sa.text("state = 1 AND attempts = 0 AND NOT one_at_a_time"),
    )
    op.create_index(
        "uq_jobs_key_one_at_a_time",
        "jobs",
        ["key"],
        unique=True,
        postgresql_where=sa.text("state <= 2 AND one_at_a_time"),
    )
    op.create_index(
        "ix_jobs_name_due_at_id",
        "jobs",
        ["name", "due_at", "id"],
        postgresql_where=sa.text("state <= 2"),
    )
    # One job per device, instead of one for all devices.
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
    for name in ("ix_jobs_name_due_at_id", "uq_jobs_key_one_at_a_time", "uq_jobs_key"):
        op.drop_index(name, "jobs")
    op.drop_column("workers", "circuits")
    for table in ("webhooks", "integrations"):
        op.drop_column(table, "since_position")
    for name in ("again", "one_at_a_time"):
        op.drop_column("jobs", name)
    op.create_index(
        "uq_jobs_key",
        "jobs",
        ["key"],
        unique=True,
        postgresql_where=sa.text("state = 1 AND attempts = 0"),
    )
    op.execute("DELETE FROM jobs WHERE name = 'push.device' AND state <= 2")
    for name in ("auth", "p256dh"):
        op.drop_column("devices", name)
