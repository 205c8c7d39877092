"""Undoing a change of address, voiding pending codes, and single-use stream tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column("users", sa.Column("codes_voided_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "email_undos",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_email_undos"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_email_undos_user_id_users", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_email_undos_user_id", "email_undos", ["user_id"])
    op.create_index("ix_email_undos_expires_at", "email_undos", ["expires_at"])
    op.create_index("ix_email_undos_email_lower", "email_undos", [sa.text("lower(email)")])
    op.create_table(
        "used_stream_tokens",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_used_stream_tokens"),
    )
    op.create_index("ix_used_stream_tokens_expires_at", "used_stream_tokens", ["expires_at"])


def downgrade() -> None:
    op.drop_table("used_stream_tokens")
    op.drop_table("email_undos")
    op.drop_column("users", "codes_voided_at")
