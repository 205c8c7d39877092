"""A new task writes less: short ways for texts in ASCII, and no index entries for what it lacks.

PL/pgSQL prepares each expression that it runs once in each transaction. The expression for all
alphabets is long. It is now in a separate branch, which is skipped for a text in ASCII, like the
search for scripts without spaces; and nothing is done for a text that is empty. The values are the
same as before: nothing is computed again.

The tasks without a parent, and those without an assignee in the order of their creation, are found
by other indexes. While the three are built, changes of tasks wait: 2 s for 400,600 tasks on a busy
machine. Nobody waits to read.
"""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0046"
down_revision: str | None = "0045"
branch_labels: str | None = None
depends_on: str | None = None
# The functions are called as before, and the indexes found by the same conditions.
oldest_code: str = "0039"

_ASCII = "octet_length(words) = char_length(words)"
_TEST = re.escape(f"CASE WHEN ({_ASCII}) THEN ")
# In the functions of one expression: as it was, and as it is.
_CASE = re.compile(rf"(RETURN|folded :=) {_TEST}(.*?) ELSE (.*) END;", re.DOTALL)
_BRANCHES = re.compile(
    rf"IF {re.escape(_ASCII)} THEN (RETURN|folded :=) (.*?); ELSE \1 (.*); END IF;", re.DOTALL
)
_OF_ONE_EXPRESSION = (
    "taskloom_sort_key",
    "taskloom_pieces_tasks",
    "taskloom_pieces_users",
    "taskloom_pieces_comments",
)

# By function: each text that is searched, as the function gets it, and its weight.
_SEARCHED = {
    "taskloom_search_task": (("title", "A"), ("tags", "B"), ("description", "C")),
    "taskloom_search_project": (("name", "A"), ("key", "A"), ("description", "C")),
    "taskloom_search_comment": (("body", "C"),),
}
# What migration 0038 has, for all alphabets.
_MARKS = (
    r"[\0001-\002F\003A-\0040\005B-\0060\007B-\00A9\00AB-\00B1\00B4\00B6-\00B8\00BB\00BF\00D7\00F7"
    r"\2010-\205E\3001-\3003\3008-\301F\FF01-\FF0F\FF1A-\FF20\FF3B-\FF40\FF5B-\FF65]+"
)
_SIMPLE = "'pg_catalog.simple'::regconfig"

# What is left out of these indexes: rows without a value in the first column.
_INDEXES: tuple[tuple[str, list[str], dict[str, Any]], ...] = (
    ("ix_tasks_root_id", ["root_id"], {}),
    ("ix_tasks_parent_id_position_id", ["parent_id", "position", "id"], {}),
    (
        "ix_tasks_assignee_id_created_at_id",
        ["assignee_id", "created_at", "id"],
        {"postgresql_include": ["project_id", "owner_id"]},
    ),
)


def upgrade() -> None:
    for name, columns, options in _INDEXES:
        where = sa.text(f"{columns[0]} IS NOT NULL")
        op.create_index(f"{name}_new", "tasks", columns, postgresql_where=where, **options)
    for function in _OF_ONE_EXPRESSION:
        definition, count = _CASE.subn(
            rf"IF {_ASCII} THEN \g<1> \g<2>; ELSE \g<1> \g<3>; END IF;", _definition(function)
        )
        assert count == 1, function
        _execute(definition)
    in_words = _in_words()
    for function, texts in _SEARCHED.items():
        steps = "".join(
            f"IF {argument} <> '{'{}' if argument == 'tags' else ''}' THEN"
            f" words := {argument}; "
            f"IF {_ASCII} THEN"
            " words := lower(regexp_replace(words, '[^0-9A-Za-z ]+', ' ', 'g') COLLATE \"C\"); "
            f"ELSE words := regexp_replace(words, U&'{_MARKS}', ' ', 'g'); "
            f"words := {in_words}; END IF; "
            f"found := found || setweight(to_tsvector({_SIMPLE}, words), '{weight}'); END IF; "
            for argument, weight in texts
        )
        declared = "DECLARE found tsvector := ''; words text; "
        _replace_body(function, f" {declared}BEGIN {steps}RETURN found; END ")
    # At last, since readers wait from here on.
    for name, _, _ in _INDEXES:
        op.drop_index(name, "tasks")
        op.execute(f"ALTER INDEX {name}_new RENAME TO {name}")


def downgrade() -> None:
    for name, columns, options in _INDEXES:
        op.drop_index(name, "tasks")
        op.create_index(name, "tasks", columns, **options)
    for function in _OF_ONE_EXPRESSION:
        definition, count = _BRANCHES.subn(
            rf"\g<1> CASE WHEN ({_ASCII}) THEN \g<2> ELSE \g<3> END;", _definition(function)
        )
        assert count == 1, function
        _execute(definition)
    in_words = _in_words()
    for function, texts in _SEARCHED.items():
        declared, vectors = "", []
        for number, (argument, weight) in enumerate(texts):
            text = f"({argument})::text" if argument == "tags" else argument
            declared += (
                f"text_{number} text := "
                f"regexp_replace(COALESCE({text}, ''::text), U&'{_MARKS}', ' ', 'g'); "
            )
            words = re.sub(r"\bwords\b", f"text_{number}", in_words)
            vectors.append(f"setweight(to_tsvector({_SIMPLE}, {words}), '{weight}'::\"char\")")
        joined = vectors[0]
        for vector in vectors[1:]:
            joined = f"({joined} || {vector})"
        _replace_body(function, f" DECLARE {declared} BEGIN RETURN {joined}; END ")


def _in_words() -> str:
    """The expression of `taskloom_words(words)`, which folds a text and separates its words."""
    return _definition("taskloom_words").partition("\nRETURN ")[2].strip()


def _replace_body(function: str, body: str) -> None:
    head = _definition(function).partition("AS $function$")[0]
    _execute(f"{head}AS $function${body}$function$")


def _definition(function: str) -> str:
    asked = sa.text(
        "SELECT pg_get_functiondef(oid) FROM pg_proc"
        " WHERE proname = :name AND pronamespace = current_schema()::regnamespace"
    )
    definition: str = op.get_bind().execute(asked, {"name": function}).scalar_one()
    return definition


def _execute(statement: str) -> None:
    # Nothing in it is a parameter.
    op.execute(sa.text(statement.replace(":", r"\:")))
