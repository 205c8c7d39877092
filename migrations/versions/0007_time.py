"""Time entries, and the settings of projects for them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column("projects", sa.Column("time_locked_before", sa.Date(), nullable=True))
    op.add_column(
        "projects",
        sa.Column("allow_overlaps", sa.Boolean(), server_default=sa.text("true"), nullable=False),
    )

    seconds = postgresql.TIMESTAMP(timezone=True, precision=0)
    op.create_table(
        "time_entries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=True),
        sa.Column("task_id", sa.Uuid(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("started_at", seconds, nullable=False),
        sa.Column("ended_at", seconds, nullable=True),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("billable", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("tags", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("tag_keys", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("ended_at >= started_at", name="ck_time_entries_ends_after_start"),
        sa.CheckConstraint(
            "day IS NULL OR ended_at IS NOT NULL", name="ck_time_entries_day_is_over"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_time_entries_user_id_users"),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name="fk_time_entries_project_id_projects",
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["task_id"], ["tasks.id"], name="fk_time_entries_task_id_tasks", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_time_entries"),
    )
    op.create_index(
        "uq_time_entries_running",
        "time_entries",
        ["user_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("ix_time_entries_started_at_id", "time_entries", ["started_at", "id"])
    for owner in ("user_id", "project_id", "task_id"):
        op.create_index(
            f"ix_time_entries_{owner}_started_at_id", "time_entries", [owner, "started_at", "id"]
        )
    op.create_index(
        "ix_time_entries_long",
        "time_entries",
        ["user_id", "started_at"],
        postgresql_where=sa.text("ended_at - started_at > interval '24 hours'"),
    )
    op.create_index(
        "ix_time_entries_tag_keys", "time_entries", ["tag_keys"], postgresql_using="gin"
    )


def downgrade() -> None:
    op.drop_table("time_entries")
    op.drop_column("projects", "allow_overlaps")
    op.drop_column("projects", "time_locked_before")
