"""Tasks are in the project of their parent, and foreign keys no longer delete tasks.

First repairs rows that earlier versions could leave behind: tasks that are not deleted in a deleted
project or below a deleted task, tasks in another project than their parent, and other users' tasks
below a personal task, whose access followed from their own owner. Then foreign keys between tasks,
and to projects, no longer delete the rows that refer to them.
"""

from __future__ import annotations

from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: str | None = None
depends_on: str | None = None

_KEYS = (("project_id", "projects"), ("parent_id", "tasks"), ("root_id", "tasks"))


def upgrade() -> None:
    op.execute(
        "UPDATE tasks AS task SET parent_id = NULL, root_id = NULL FROM tasks AS parent "
        "WHERE parent.id = task.parent_id AND task.deleted_at IS NULL "
        "AND (parent.deleted_at IS NOT NULL "
        "OR parent.project_id IS DISTINCT FROM task.project_id)"
    )
    # Compute the roots again from the top: a task detached above is the root of its subtasks.
    op.execute(
        "UPDATE tasks AS task SET root_id = coalesce(parent.parent_id, parent.id) "
        "FROM tasks AS parent WHERE parent.id = task.parent_id "
        "AND task.root_id IS DISTINCT FROM coalesce(parent.parent_id, parent.id)"
    )
    op.execute(
        "UPDATE tasks AS task SET owner_id = root.owner_id FROM tasks AS root "
        "WHERE root.id = task.root_id AND task.project_id IS NULL "
        "AND task.owner_id <> root.owner_id"
    )
    op.execute(
        "UPDATE tasks AS task SET deleted_at = project.deleted_at, deleted_with = project.id "
        "FROM projects AS project WHERE project.id = task.project_id "
        "AND project.deleted_at IS NOT NULL AND task.deleted_at IS NULL"
    )
    # Shares that will expire get the job that notifies their recipients.
    op.execute(
        "INSERT INTO jobs (id, name, payload, state, created_at, due_at, attempts) "
        "SELECT gen_random_uuid(), 'share.end', jsonb_build_object('share_id', id::text), 1, "
        "now(), expires_at, 0 FROM task_shares WHERE expires_at > now()"
    )
    for column, target in _KEYS:
        _refer(column, target, None)


def downgrade() -> None:
    for column, target in _KEYS:
        _refer(column, target, "CASCADE")


def _refer(column: str, target: str, ondelete: str | None) -> None:
    name = op.f(f"fk_tasks_{column}_{target}")
    op.drop_constraint(name, "tasks", type_="foreignkey")
    op.create_foreign_key(name, "tasks", target, [column], ["id"], ondelete=ondelete)
