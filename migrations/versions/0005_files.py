"""Stored files, attachments of tasks, and pictures of users as files."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table(
        "stored_files",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("uploader_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=True),
        sa.Column("filename", sa.Text(), nullable=True),
        sa.Column("size", sa.Integer(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("content_type", sa.Text(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("has_thumbnail", sa.Boolean(), nullable=True),
        sa.ForeignKeyConstraint(
            ["task_id"], ["tasks.id"], name="fk_stored_files_task_id_tasks", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["uploader_id"], ["users.id"], name="fk_stored_files_uploader_id_users"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_stored_files"),
    )
    for column in ("uploader_id", "expires_at", "task_id"):
        op.create_index(f"ix_stored_files_{column}", "stored_files", [column])

    op.create_table(
        "attachments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("uploader_id", sa.Uuid(), nullable=False),
        sa.Column("file_id", sa.Uuid(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("has_thumbnail", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["file_id"], ["stored_files.id"], name="fk_attachments_file_id_stored_files"
        ),
        sa.ForeignKeyConstraint(
            ["task_id"], ["tasks.id"], name="fk_attachments_task_id_tasks", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["uploader_id"], ["users.id"], name="fk_attachments_uploader_id_users"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_attachments"),
        sa.UniqueConstraint("file_id", name="uq_attachments_file_id"),
    )
    op.create_index(
        "ix_attachments_task_id_created_at_id", "attachments", ["task_id", "created_at", "id"]
    )
    op.create_index(
        "ix_attachments_uploader_id_created_at", "attachments", ["uploader_id", "created_at"]
    )

    # Nothing has ever been written into it.
    op.drop_column("users", "avatar_url")
    op.add_column("users", sa.Column("avatar_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        "fk_users_avatar_id_stored_files", "users", "stored_files", ["avatar_id"], ["id"]
    )
    op.create_index("ix_users_avatar_id", "users", ["avatar_id"])


def downgrade() -> None:
    op.drop_index("ix_users_avatar_id", "users")
    op.drop_constraint("fk_users_avatar_id_stored_files", "users", type_="foreignkey")
    op.drop_column("users", "avatar_id")
    op.add_column("users", sa.Column("avatar_url", sa.Text(), nullable=True))
    for table in ("attachments", "stored_files"):
        op.drop_table(table)
