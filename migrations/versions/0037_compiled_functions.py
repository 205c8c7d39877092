"""The functions of computed columns are compiled once for each connection.

PostgreSQL prepares the expression of a computed column at each INSERT, and puts the body of a
function in SQL in its place: for a task, two tables of letters, several times, which took twice as
long as everything else that creates it. A function in PL/pgSQL is called. Its body is the same
expression, and like before it refers only to `pg_catalog`, which every search path includes.

`taskloom_fold` stays as it is: it is used in queries, for each row.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0037"
down_revision: str | None = "0036"
branch_labels: str | None = None
depends_on: str | None = None

_FUNCTIONS = (
    "taskloom_sort_key",
    "taskloom_search_task",
    "taskloom_search_project",
    "taskloom_search_comment",
)
_START, _END = "$ BEGIN RETURN ", "; END $"


def upgrade() -> None:
    for function in _FUNCTIONS:
        head, found, body = _definition(function).partition("\nRETURN ")
        assert found, function
        head = head.replace("LANGUAGE sql", "LANGUAGE plpgsql")
        # As the functions were first written: the server leaves out what it finds without.
        body = body.replace("'simple'::regconfig", "'pg_catalog.simple'::regconfig")
        op.execute(sa.text(_literal(f"{head}\nAS $function{_START}{body.strip()}{_END}function$")))


def downgrade() -> None:
    for function in _FUNCTIONS:
        head, _, body = _definition(function).partition(_START)
        head = head.replace("LANGUAGE plpgsql", "LANGUAGE sql").rpartition("AS $")[0]
        op.execute(sa.text(_literal(f"{head}RETURN {body.rpartition(_END)[0]}")))


def _definition(function: str) -> str:
    asked = sa.text(
        "SELECT pg_get_functiondef(oid) FROM pg_proc"
        " WHERE proname = :name AND pronamespace = current_schema()::regnamespace"
    )
    definition: str = op.get_bind().execute(asked, {"name": function}).scalar_one()
    return definition


def _literal(statement: str) -> str:
    # Nothing in it is a parameter.
    return statement.replace(":", r"\:")
