"""Words end at every punctuation mark, so that search finds `js` in `node.js` and `src/app.py`.

PostgreSQL's parser takes host names, paths, URLs, e-mail addresses, versions and hyphenated words
as one word each, which none of their parts finds. Now punctuation becomes spaces before the parser
sees it. The computed columns are computed again; each table is rewritten once.
"""

from __future__ import annotations

import re

import sqlalchemy as sa
from alembic import op

revision: str = "0038"
down_revision: str | None = "0037"
branch_labels: str | None = None
depends_on: str | None = None

# The punctuation and symbols of ASCII and Latin-1 (not its letters and raised digits), and those
# that other scripts use. `domain.folding` has them too.
_MARKS = (
    r"\0001-\002F\003A-\0040\005B-\0060\007B-\00A9\00AB-\00B1\00B4\00B6-\00B8\00BB\00BF\00D7\00F7"
    r"\2010-\205E\3001-\3003\3008-\301F\FF01-\FF0F\FF1A-\FF20\FF3B-\FF40\FF5B-\FF65"
)
# By table: its function and the function's arguments.
_SEARCHED = {
    "tasks": "taskloom_search_task(title, tags, description)",
    "projects": "taskloom_search_project(name, key, description)",
    "comments": "taskloom_search_comment(body)",
}
# In the function's body, as the server writes it: each text that is searched.
_TEXT = re.compile(r"COALESCE\((?:\w+|\(\w+\)::text), ''::text\)")
_BEGIN = " BEGIN RETURN "
_DECLARED = re.compile(r"text_(\d) text := regexp_replace\((.*?), U&'\[.*?\]\+', ' ', 'g'\);")


def upgrade() -> None:
    for table, call in _SEARCHED.items():
        head, found, body = _definition(call).partition(_BEGIN)
        assert found, call
        texts = list(dict.fromkeys(_TEXT.findall(body)))
        assert texts, call
        declared = ""
        for number, text in enumerate(texts):
            body = body.replace(text, f"text_{number}")
            declared += f"text_{number} text := regexp_replace({text}, U&'[{_MARKS}]+', ' ', 'g'); "
        _replace(table, call, f"{head} DECLARE {declared}{_BEGIN}{body}")


def downgrade() -> None:
    for table, call in _SEARCHED.items():
        head, _, body = _definition(call).partition(_BEGIN)
        for number, text in _DECLARED.findall(head):
            body = body.replace(f"text_{number}", text)
        _replace(table, call, f"{head.partition(' DECLARE ')[0]}{_BEGIN}{body}")


def _definition(call: str) -> str:
    asked = sa.text(
        "SELECT pg_get_functiondef(oid) FROM pg_proc"
        " WHERE proname = :name AND pronamespace = current_schema()::regnamespace"
    )
    name = call.partition("(")[0]
    definition: str = op.get_bind().execute(asked, {"name": name}).scalar_one()
    return definition


def _replace(table: str, call: str, definition: str) -> None:
    # Nothing in it is a parameter.
    op.execute(sa.text(definition.replace(":", r"\:")))
    op.drop_column(table, "search")
    op.execute(f"ALTER TABLE {table} ADD search tsvector GENERATED ALWAYS AS ({call}) STORED")
    op.execute(
        f"CREATE INDEX ix_{table}_search ON {table} USING gin (search) "
        "WITH (gin_pending_list_limit = 256)"
    )
