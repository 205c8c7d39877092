"""Reminders, and the due dates that users were notified of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table(
        "reminders",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=True),
        sa.Column("project_id", sa.Uuid(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("rule", postgresql.JSONB(), nullable=False),
        sa.Column("channels", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("next_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("task_id IS NULL OR project_id IS NULL", name="ck_reminders_one_target"),
        sa.CheckConstraint("kind > 2 OR task_id IS NOT NULL", name="ck_reminders_task_of_relative"),
        sa.CheckConstraint("enabled OR next_run_at IS NULL", name="ck_reminders_off_has_no_run"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_reminders_user_id_users", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["task_id"], ["tasks.id"], name="fk_reminders_task_id_tasks", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name="fk_reminders_project_id_projects",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_reminders"),
    )
    op.create_index(
        "ix_reminders_user_id_created_at_id", "reminders", ["user_id", "created_at", "id"]
    )
    op.create_index(
        "ix_reminders_user_id_next_run_at_id", "reminders", ["user_id", "next_run_at", "id"]
    )
    op.create_index("ix_reminders_task_id", "reminders", ["task_id"])
    op.create_index("ix_reminders_project_id", "reminders", ["project_id"])
    op.create_index(
        "ix_reminders_next_run_at",
        "reminders",
        ["next_run_at"],
        postgresql_where=sa.text("next_run_at IS NOT NULL"),
    )
    op.create_table(
        "due_notices",
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["task_id"], ["tasks.id"], name="fk_due_notices_task_id_tasks", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("task_id", name="pk_due_notices"),
    )
    # Reminders follow changes of their tasks' dates from here on, even before a worker first runs.
    op.execute(
        "INSERT INTO log_consumers (name, xid, position)"
        " VALUES ('reminders', pg_snapshot_xmin(pg_current_snapshot()), 0)"
    )


def downgrade() -> None:
    op.execute("DELETE FROM log_consumers WHERE name = 'reminders'")
    op.drop_table("due_notices")
    op.drop_table("reminders")
