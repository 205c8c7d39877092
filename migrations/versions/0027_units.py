"""Estimates and offsets of reminders are in seconds, as every length of time is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0027"
down_revision: str | None = "0026"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.alter_column("tasks", "estimate_minutes", new_column_name="estimate")
    op.execute("UPDATE tasks SET estimate = estimate * 60 WHERE estimate <> 0")
    _convert("* 60", "estimate_minutes", "estimate", "offset_minutes", "offset")
    _filters("estimateMinutes", "estimate", lambda minutes: minutes * 60)
    op.execute(
        "UPDATE idempotency_keys SET result = (result - 'expires_in') || jsonb_build_object("
        " 'expires_at', created_at + make_interval(secs => (result ->> 'expires_in')::int))"
        " WHERE result ? 'expires_in'"
    )


def downgrade() -> None:
    op.execute(
        "UPDATE idempotency_keys SET result = (result - 'expires_at') || jsonb_build_object("
        " 'expires_in', extract(epoch FROM (result ->> 'expires_at')::timestamptz - created_at)"
        "::int) WHERE result ? 'expires_at'"
    )
    _filters("estimate", "estimateMinutes", lambda seconds: seconds // 60)
    _convert("/ 60", "estimate", "estimate_minutes", "offset", "offset_minutes")
    op.execute("UPDATE tasks SET estimate = estimate / 60 WHERE estimate <> 0")
    op.alter_column("tasks", "estimate", new_column_name="estimate_minutes")


def _convert(times: str, estimate: str, new_estimate: str, offset: str, new_offset: str) -> None:
    """The rules of reminders, and what the log says of estimates and rules."""

    def number(value: str) -> str:
        return (
            f"CASE jsonb_typeof({value}) WHEN 'number'"
            f" THEN to_jsonb(({value})::bigint {times}) ELSE {value} END"
        )

    def rule(value: str) -> str:
        inner = number(f"({value} -> '{offset}')")
        return (
            f"CASE WHEN {value} ? '{offset}' THEN ({value} - '{offset}')"
            f" || jsonb_build_object('{new_offset}', {inner}) ELSE {value} END"
        )

    op.execute(f"UPDATE reminders SET rule = {rule('rule')} WHERE rule ? '{offset}'")  # noqa: S608 - names of this file
    for subject, field, new_field, converted in (
        ("Task", estimate, new_estimate, number("value")),
        ("Reminder", "rule", "rule", rule("value")),
    ):
        op.execute(
            "UPDATE events SET changes = ("  # noqa: S608 - the same
            f" SELECT jsonb_agg(CASE item ->> 'field' WHEN '{field}' THEN ("
            "   SELECT jsonb_object_agg(key, CASE key"
            f"   WHEN 'field' THEN to_jsonb('{new_field}'::text) ELSE {converted} END)"
            "   FROM jsonb_each(item)) ELSE item END ORDER BY n)"
            "  FROM jsonb_array_elements(changes) WITH ORDINALITY AS one(item, n))"
            f" WHERE subject_type = '{subject}' AND changes @> '[{{\"field\": \"{field}\"}}]'"
        )


def _filters(name: str, new_name: str, convert: Callable[[int], int]) -> None:
    """The filters that webhooks and exports of reports keep."""

    def converted(value: Any) -> Any:
        if isinstance(value, list):
            return [converted(item) for item in value]
        if isinstance(value, dict):
            return {key: converted(item) for key, item in value.items()}
        # `isNull` is a boolean, which is an int too.
        return convert(value) if type(value) is int else value

    def renamed(value: Any) -> Any:
        if isinstance(value, list):
            return [renamed(item) for item in value]
        if isinstance(value, dict):
            return {
                new_name if key == name else key: converted(item) if key == name else renamed(item)
                for key, item in value.items()
            }
        return value

    connection = op.get_bind()
    for table in ("webhooks", "report_exports"):
        stored = sa.table(table, sa.column("id", sa.Uuid()), sa.column("filter", JSONB()))
        mentions = sa.cast(stored.c.filter, sa.Text()).contains(f'"{name}"')
        for id_, before in connection.execute(sa.select(stored).where(mentions)).all():
            change = sa.update(stored).where(stored.c.id == id_)
            connection.execute(change.values(filter=renamed(before)))
