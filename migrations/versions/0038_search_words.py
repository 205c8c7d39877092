"""Words end at every punctuation mark, so that search finds `js` in `node.js` and `src/app.py`.

PostgreSQL's parser takes host names, paths, URLs, e-mail addresses, versions and hyphenated words
as one word each, which none of their parts finds. Now punctuation becomes spaces before the parser
sees it. The computed columns are computed again; each table is rewritten once.
"""

from __future__ import annotations

from alembic import op

revision: str = "0038"
down_revision: str | None = "0036"
branch_labels: str | None = None
depends_on: str | None = None

# The punctuation and symbols of ASCII and Latin-1 (not its letters and raised digits), and those
# that other scripts use. `domain.folding` has them too.
_MARKS = (
    r"\0001-\002F\003A-\0040\005B-\0060\007B-\00A9\00AB-\00B1\00B4\00B6-\00B8\00BB\00BF\00D7\00F7"
    r"\2010-\205E\3001-\3003\3008-\301F\FF01-\FF0F\FF1A-\FF20\FF3B-\FF40\FF5B-\FF65"
)
_COLUMNS = {
    "tasks": "taskloom_search_task(title, tags, description)",
    "projects": "taskloom_search_project(name, key, description)",
    "comments": "taskloom_search_comment(body)",
}


def _search_by(words: str) -> None:
    """Have the computed columns contain the words that this expression makes of a text."""

    def vector(text: str, weight: str) -> str:
        found = words.format(f"coalesce({text}, '')")
        return f"setweight(to_tsvector('pg_catalog.simple', {found}), '{weight}')"

    for signature, parts in (
        (
            "taskloom_search_task(title text, tags text[], description text)",
            (("title", "A"), ("CAST(tags AS text)", "B"), ("description", "C")),
        ),
        (
            "taskloom_search_project(name text, key text, description text)",
            (("name", "A"), ("key", "A"), ("description", "C")),
        ),
        ("taskloom_search_comment(body text)", (("body", "C"),)),
    ):
        body = " || ".join(vector(text, weight) for text, weight in parts)
        op.execute(
            f"CREATE OR REPLACE FUNCTION {signature} RETURNS tsvector "
            f"LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN {body}"
        )
    for table, call in _COLUMNS.items():
        op.drop_column(table, "search")
        op.execute(f"ALTER TABLE {table} ADD search tsvector GENERATED ALWAYS AS ({call}) STORED")
        op.execute(
            f"CREATE INDEX ix_{table}_search ON {table} USING gin (search) "
            "WITH (gin_pending_list_limit = 256)"
        )


def upgrade() -> None:
    op.execute(
        "CREATE FUNCTION taskloom_spaced(words text) RETURNS text "
        "LANGUAGE sql IMMUTABLE PARALLEL SAFE "
        f"RETURN regexp_replace(words, U&'[{_MARKS}]+', ' ', 'g')"
    )
    _search_by("taskloom_words(taskloom_spaced({0}))")


def downgrade() -> None:
    _search_by("taskloom_words({0})")
    op.execute("DROP FUNCTION taskloom_spaced")
