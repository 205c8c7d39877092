"""Tasks know their counterparts in other systems."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0031"
down_revision: str | None = "0030"
branch_labels: str | None = None
depends_on: str | None = None

# A transfer to a user who has a task with the same counterpart keeps that user's, since nobody
# could be asked. All other changes of the scope are checked before.
_FOLLOW = """
CREATE FUNCTION taskloom_references_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM task_external_references moved
  USING task_external_references kept
  WHERE moved.task_id = NEW.id AND NEW.project_id IS NULL AND kept.task_id <> NEW.id
    AND kept.scope_id = NEW.owner_id AND kept.source = moved.source
    AND kept.external_id = moved.external_id;
  UPDATE task_external_references SET scope_id = coalesce(NEW.project_id, NEW.owner_id)
  WHERE task_id = NEW.id AND scope_id <> coalesce(NEW.project_id, NEW.owner_id);
  RETURN NULL;
END $$
"""
_TRIGGER = """
CREATE TRIGGER references_follow AFTER UPDATE OF project_id, owner_id ON tasks FOR EACH ROW
WHEN (coalesce(OLD.project_id, OLD.owner_id) <> coalesce(NEW.project_id, NEW.owner_id))
EXECUTE FUNCTION taskloom_references_follow()
"""


def upgrade() -> None:
    op.create_table(
        "task_external_references",
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("scope_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["tasks.id"],
            name="fk_task_external_references_task_id_tasks",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "task_id", "source", "external_id", name="pk_task_external_references"
        ),
        sa.UniqueConstraint(
            "scope_id", "source", "external_id", name="uq_task_external_references_scope"
        ),
    )
    op.create_index(
        "ix_task_external_references_source_external_id",
        "task_external_references",
        ["source", "external_id"],
    )
    op.execute(_FOLLOW)
    op.execute(_TRIGGER)


def downgrade() -> None:
    op.execute("DROP TRIGGER references_follow ON tasks")
    op.execute("DROP FUNCTION taskloom_references_follow()")
    op.drop_table("task_external_references")
