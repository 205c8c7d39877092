"""Filters by a part of a text use an index, of the pieces of three characters that a text has.

`pg_trgm` does the same, but not every server has it. The pieces are those of the folded text, so
that they serve filters that regard accents and those that do not. The index of words takes new
rows from a list that is searched row by row; it becomes shorter, since searches waited for it.
"""

from __future__ import annotations

from alembic import op

revision: str = "0036"
down_revision: str | None = "0033"
branch_labels: str | None = None
depends_on: str | None = None

_BETWEEN = " || U&'\\001F' || "
# Each text three times, without its first characters and cut after every third. The separator is a
# control character.
_PIECES = _BETWEEN.join(
    f"regexp_replace({text}, '(...)', U&'\\\\1\\001F', 'g')"
    for text in ("folded", "substr(folded, 2)", "substr(folded, 3)")
)
_INDEXED = {
    "tasks": _BETWEEN.join(("title", "coalesce(description, '')", "coalesce(notes, '')")),
    "users": _BETWEEN.join(("username", "coalesce(full_name, '')")),
}
_COLUMNS = {"tasks": ("title", "description", "notes"), "users": ("username", "full_name")}
_SEARCHED = ("tasks", "comments", "projects")


def upgrade() -> None:
    kind = "LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN"
    op.execute(
        "CREATE FUNCTION taskloom_pieces(folded text) RETURNS text[] "
        f"{kind} string_to_array({_PIECES}, U&'\\001F')"
    )
    for table, joined in _INDEXED.items():
        columns = ", ".join(_COLUMNS[table])
        arguments = ", ".join(f"{column} text" for column in _COLUMNS[table])
        op.execute(
            f"CREATE FUNCTION taskloom_pieces_{table}({arguments}) RETURNS text[] "
            f"{kind} taskloom_pieces(taskloom_fold({joined}))"
        )
        op.execute(
            f"CREATE INDEX ix_{table}_pieces ON {table} "
            f"USING gin (taskloom_pieces_{table}({columns})) WITH (gin_pending_list_limit = 256)"
        )
    for table in _SEARCHED:
        op.execute(f"ALTER INDEX ix_{table}_search SET (gin_pending_list_limit = 256)")


def downgrade() -> None:
    for table in _SEARCHED:
        op.execute(f"ALTER INDEX ix_{table}_search RESET (gin_pending_list_limit)")
    for table in _INDEXED:
        op.execute(f"DROP INDEX ix_{table}_pieces")
        op.execute(f"DROP FUNCTION taskloom_pieces_{table}")
    op.execute("DROP FUNCTION taskloom_pieces")
