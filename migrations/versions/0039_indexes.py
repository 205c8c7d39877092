"""An index for each ordering that lists offer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0039"
down_revision: str | None = "0038"
branch_labels: str | None = None
depends_on: str | None = None

# Each ends with the ID, the last key of every ordering.
_COLUMNS = {
    "tasks": (
        "updated_at",
        "status",
        "priority",
        "number",
        "position",
        "assignee_id",
        "owner_id",
        "project_id",
    ),
    "projects": ("updated_at", "archived_at", "owner_id"),
    "users": ("updated_at", "email_verified_at"),
    "time_entries": ("ended_at", "created_at", "updated_at", "user_id", "project_id"),
}
# Of columns that are usually null when a row is created.
_PARTIAL = ("start_at", "estimate", "completed_at")


def upgrade() -> None:
    for table, columns in _COLUMNS.items():
        for column in columns:
            op.create_index(f"ix_{table}_{column}_id", table, [column, "id"])
    for column in _PARTIAL:
        where = sa.text(f"{column} IS NOT NULL")
        op.create_index(f"ix_tasks_{column}_id", "tasks", [column, "id"], postgresql_where=where)
    op.create_index("ix_users_inactive", "users", ["id"], postgresql_where=sa.text("NOT is_active"))
    op.create_index("ix_users_admins", "users", ["id"], postgresql_where=sa.text("is_admin"))
    op.create_index(
        "ix_notifications_recipient_id_read_at_id",
        "notifications",
        ["recipient_id", "read_at", "id"],
    )
    op.drop_index("ix_projects_owner_id", "projects")
    # The planner knows nothing of columns that were computed again (0038), of indexes on
    # expressions (0036) and of new tables (0035), and autovacuum sees no change of their rows.
    op.execute(
        "ANALYZE tasks, comments, projects, users, time_entries, notifications, task_counters, "
        "list_counts, tag_counts"
    )


def downgrade() -> None:
    op.create_index("ix_projects_owner_id", "projects", ["owner_id"])
    op.drop_index("ix_notifications_recipient_id_read_at_id", "notifications")
    op.drop_index("ix_users_admins", "users")
    op.drop_index("ix_users_inactive", "users")
    for column in _PARTIAL:
        op.drop_index(f"ix_tasks_{column}_id", "tasks")
    for table, columns in _COLUMNS.items():
        for column in columns:
            op.drop_index(f"ix_{table}_{column}_id", table)
