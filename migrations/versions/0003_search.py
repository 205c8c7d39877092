"""Full-text search: folded, weighted vectors of tasks, comments and projects.

Uses only PostgreSQL's own functions, since the embedded server has no `unaccent`. Folding removes
accents (Unicode decomposition without the combining marks) and lowers the case. The functions refer
only to `pg_catalog` and inline their helper, so that they work under any search path, as generated
columns require when a dump is restored.
"""

from __future__ import annotations

from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | None = None
depends_on: str | None = None

# U+0300 to U+036F are the combining marks that decomposition leaves.
_FOLDED = "lower(regexp_replace(normalize({}, NFD), U&'[\\0300-\\036F]', '', 'g'))"


def _vector(text: str, weight: str) -> str:
    folded = _FOLDED.format(f"coalesce({text}, '')")
    return f"setweight(to_tsvector('pg_catalog.simple', {folded}), '{weight}')"


def _function(signature: str, body: str) -> str:
    return (
        f"CREATE FUNCTION {signature} RETURNS tsvector "
        f"LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN {body}"
    )


def upgrade() -> None:
    op.execute(
        f"CREATE FUNCTION taskloom_fold(words text) RETURNS text "
        f"LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN {_FOLDED.format('words')}"
    )
    # PostgreSQL declares joining an array as stable, because the output of some types may change.
    # The output of text cannot, so the tags are joined one by one.
    op.execute(
        _function(
            "taskloom_search_task(title text, tags text[], description text)",
            f"{_vector('title', 'A')} || {_vector('CAST(tags AS text)', 'B')} || "
            f"{_vector('description', 'C')}",
        )
    )
    op.execute(
        _function(
            "taskloom_search_project(name text, key text, description text)",
            f"{_vector('name', 'A')} || {_vector('key', 'A')} || {_vector('description', 'C')}",
        )
    )
    op.execute(_function("taskloom_search_comment(body text)", _vector("body", "C")))
    for table, call in (
        ("tasks", "taskloom_search_task(title, tags, description)"),
        ("projects", "taskloom_search_project(name, key, description)"),
        ("comments", "taskloom_search_comment(body)"),
    ):
        op.execute(f"ALTER TABLE {table} ADD search tsvector GENERATED ALWAYS AS ({call}) STORED")
        op.create_index(f"ix_{table}_search", table, ["search"], postgresql_using="gin")


def downgrade() -> None:
    for table in ("tasks", "projects", "comments"):
        op.drop_column(table, "search")
    for function in (
        "taskloom_search_task",
        "taskloom_search_project",
        "taskloom_search_comment",
        "taskloom_fold",
    ):
        op.execute(f"DROP FUNCTION {function}")
