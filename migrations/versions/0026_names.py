"""What is stored by the schema's names has the names of the first release."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision: str = "0026"
down_revision: str | None = "0025"
branch_labels: str | None = None
depends_on: str | None = None

_KINDS = {
    "MEMBER_ADDED": "PROJECT_MEMBER_ADDED",
    "MEMBER_UPDATED": "PROJECT_MEMBER_UPDATED",
    "MEMBER_REMOVED": "PROJECT_MEMBER_REMOVED",
    "SHARE_CREATED": "TASK_SHARE_CREATED",
    "SHARE_UPDATED": "TASK_SHARE_UPDATED",
    "SHARE_DELETED": "TASK_SHARE_DELETED",
    "USER_REGISTERED": "USER_CREATED",
    "INTEGRATION_CONNECTED": "INTEGRATION_CREATED",
    "INTEGRATION_DISCONNECTED": "INTEGRATION_DELETED",
}
_CODES = {"ARCHIVED": "PROJECT_ARCHIVED", "LOCKED": "TIME_LOCKED", "OVERLAP": "TIME_OVERLAP"}
_COLUMNS = {
    "time_entries": {"billable": "is_billable"},
    "projects": {"allow_overlaps": "is_overlap_allowed"},
    "reminders": {"enabled": "is_enabled"},
    "notification_preferences": {"email_enabled": "is_email_enabled"},
    "report_exports": {"state": "status", "reason": "failure_reason", "size": "byte_size"},
}
# The fields of changes in the log, by the type of the subject.
_CHANGES = [
    ("TimeEntry", "billable", "is_billable"),
    ("Project", "allow_overlaps", "is_overlap_allowed"),
    ("Reminder", "enabled", "is_enabled"),
    ("User", "notification_email_enabled", "notification_is_email_enabled"),
    ("ReportExport", "state", "status"),
    ("ReportExport", "reason", "failure_reason"),
    ("ReportExport", "size", "byte_size"),
]
# The fields of stored filters. Within these filters, none has a second meaning.
_WEBHOOK_FILTER = {
    "trackedSeconds": "tracked",
    "durationSeconds": "duration",
    "billable": "isBillable",
    "overlaps": "hasOverlap",
    "size": "byteSize",
}
_REPORT_FILTER = {**_WEBHOOK_FILTER, "from": "firstDay", "to": "lastDay"}


_SETTINGS = {"comments": "hasComments"}


def upgrade() -> None:
    for table, columns in _COLUMNS.items():
        for old, new in columns.items():
            op.alter_column(table, old, new_column_name=new)
    _rename(dict)


def downgrade() -> None:
    _rename(lambda names: {new: old for old, new in names.items()})
    for table, columns in _COLUMNS.items():
        for old, new in columns.items():
            op.alter_column(table, new, new_column_name=old)


def _rename(direction: Callable[[Mapping[str, str]], dict[str, str]]) -> None:
    """Rename what is stored; `direction` makes a table of names one to read from old to new."""
    kinds, codes = direction(_KINDS), direction(_CODES)
    webhook_filter, report_filter = direction(_WEBHOOK_FILTER), direction(_REPORT_FILTER)
    integration = direction(_SETTINGS)
    changes = [
        (subject, *next(iter(direction({old: new}).items()))) for subject, old, new in _CHANGES
    ]
    connection = op.get_bind()
    old_kinds = sa.bindparam("old", list(kinds), ARRAY(sa.Text()))
    renamed = sa.bindparam("renamed", dict(kinds), JSONB())
    connection.execute(
        sa.text("UPDATE events SET kind = CAST(:renamed AS jsonb) ->> kind WHERE kind = ANY(:old)")
        .bindparams(old_kinds, renamed)
    )  # fmt: skip
    connection.execute(
        sa.text(
            "UPDATE webhooks SET events = ARRAY("
            "  SELECT coalesce(CAST(:renamed AS jsonb) ->> kind, kind)"
            "  FROM unnest(events) WITH ORDINALITY AS one(kind, n) ORDER BY n)"
            " WHERE events && :old"
        ).bindparams(old_kinds, renamed)
    )
    subjects, old_fields, new_fields = zip(*changes, strict=True)
    connection.execute(
        sa.text(
            "WITH renamed AS ("
            "  SELECT * FROM unnest(:subjects, :old, :new) AS one(subject, old, new))"
            " UPDATE events SET changes = ("
            "  SELECT jsonb_agg(CASE WHEN renamed.new IS NULL THEN item"
            "   ELSE jsonb_set(item, '{field}', to_jsonb(renamed.new)) END ORDER BY n)"
            "  FROM jsonb_array_elements(events.changes) WITH ORDINALITY AS one(item, n)"
            "  LEFT JOIN renamed ON subject = events.subject_type AND old = item ->> 'field')"
            " WHERE EXISTS ("
            "  SELECT FROM jsonb_array_elements(events.changes) AS one(item)"
            "  JOIN renamed ON subject = events.subject_type AND old = item ->> 'field')"
        ).bindparams(
            sa.bindparam("subjects", list(subjects), ARRAY(sa.Text())),
            sa.bindparam("old", list(old_fields), ARRAY(sa.Text())),
            sa.bindparam("new", list(new_fields), ARRAY(sa.Text())),
        )
    )

    def kinds_of(names: Any) -> Any:
        return [kinds.get(name, name) for name in names]

    def webhook(stored: Any) -> Any:
        renamed = _keys(stored, webhook_filter)
        if renamed.get("kinds") is not None:
            renamed["kinds"] = kinds_of(renamed["kinds"])
        return renamed

    def settings(stored: Any) -> Any:
        renamed = {integration.get(key, key): value for key, value in stored.items()}
        if renamed.get("events"):
            renamed["events"] = kinds_of(renamed["events"])
        return renamed

    def result(stored: Any) -> Any:
        failures = stored.get("_failures")
        if not failures:
            return stored
        return {**stored, "_failures": [[codes.get(code, code), *more] for code, *more in failures]}

    _each("webhooks", "filter", webhook)
    _each("report_exports", "filter", lambda stored: _keys(stored, report_filter))
    _each("integrations", "settings", settings)
    _each("idempotency_keys", "result", result)


def _keys(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_keys(item, names) for item in value]
    if isinstance(value, dict):
        return {names.get(key, key): _keys(item, names) for key, item in value.items()}
    return value


def _each(table: str, column: str, rename: Callable[[Any], Any]) -> None:
    """Rewrite a JSON column where something in it has another name."""
    connection = op.get_bind()
    stored = sa.table(table, sa.column("ctid", sa.String()), sa.column(column, JSONB()))
    value = stored.c[column]
    place = sa.cast(stored.c.ctid, sa.Text())
    rows = connection.execute(sa.select(place, value).where(value.is_not(None))).all()
    for ctid, before in rows:
        after = rename(before)
        if after != before:
            connection.execute(
                sa.update(stored)
                .where(place == ctid)
                .values({column: sa.bindparam("after", after, JSONB())})
            )
