"""Filters by a part of a comment use an index of pieces, as those of tasks do (0036)."""

from __future__ import annotations

import re

import sqlalchemy as sa
from alembic import op

revision: str = "0040"
down_revision: str | None = "0039"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    asked = sa.text(
        "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = 'taskloom_pieces_users'"
        " AND pronamespace = current_schema()::regnamespace"
    )
    of_users: str = op.get_bind().execute(asked).scalar_one()
    # The same, of another text.
    signature = r"taskloom_pieces_users\([^)]*\)"
    definition = re.sub(signature, "taskloom_pieces_comments(body text)", of_users, count=1)
    definition = re.sub(r"(DECLARE words text := ).*?(; folded text;)", r"\1body\2", definition)
    # Nothing in it is a parameter.
    op.execute(sa.text(definition.replace(":", r"\:")))
    op.execute(
        "CREATE INDEX ix_comments_pieces ON comments"
        " USING gin (taskloom_pieces_comments(body)) WITH (gin_pending_list_limit = 256)"
    )


def downgrade() -> None:
    op.execute("DROP INDEX ix_comments_pieces")
    op.execute("DROP FUNCTION taskloom_pieces_comments")
