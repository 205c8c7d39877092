"""Filters by a part of a text use an index, of the pieces of three characters that a text has.

`pg_trgm` does the same, but not every server has it. The pieces are those of the folded text, so
that they serve filters that regard accents and those that do not. The index of words takes new
rows from a list that is searched row by row; it becomes shorter, since searches waited for it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0036"
down_revision: str | None = "0035"
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
    fold = _folding()
    for table, joined in _INDEXED.items():
        columns = ", ".join(_COLUMNS[table])
        arguments = ", ".join(f"{column} text" for column in _COLUMNS[table])
        # In PL/pgSQL, since PostgreSQL prepares the expressions of an index for each statement, and
        # would copy the body of a function in SQL into them. It refers only to `pg_catalog`.
        definition = (
            f"CREATE FUNCTION taskloom_pieces_{table}({arguments}) RETURNS text[] "
            f"LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $function$ "
            f"DECLARE words text := {joined}; folded text; "
            f"BEGIN folded := {fold}; "
            f"RETURN string_to_array({_PIECES}, U&'\\001F'); END $function$"
        )
        # Nothing in it is a parameter.
        op.execute(sa.text(definition.replace(":", r"\:")))
        op.execute(
            f"CREATE INDEX ix_{table}_pieces ON {table} "
            f"USING gin (taskloom_pieces_{table}({columns})) WITH (gin_pending_list_limit = 256)"
        )
    for table in _SEARCHED:
        op.execute(f"ALTER INDEX ix_{table}_search SET (gin_pending_list_limit = 256)")


def _folding() -> str:
    """The expression of `taskloom_fold(words)`."""
    asked = sa.text(
        "SELECT pg_get_functiondef(oid) FROM pg_proc"
        " WHERE proname = 'taskloom_fold' AND pronamespace = current_schema()::regnamespace"
    )
    definition: str = op.get_bind().execute(asked).scalar_one()
    return definition.partition("\nRETURN ")[2].strip()


def downgrade() -> None:
    for table in _SEARCHED:
        op.execute(f"ALTER INDEX ix_{table}_search RESET (gin_pending_list_limit)")
    for table in _INDEXED:
        op.execute(f"DROP INDEX ix_{table}_pieces")
        op.execute(f"DROP FUNCTION taskloom_pieces_{table}")
