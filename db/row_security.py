"""Row-level security: PostgreSQL itself hides the rows that the viewer may not see.

`auth.access` adds the access rules to each statement. With TASKLOOM_ROW_SECURITY, policies of the
tables repeat the part of them that is about people, so that a statement without its rule finds
nothing of others. The two share no code. The policies know neither the trash, nor archived
projects, nor the scopes of API keys.

Who reads is the parameter `taskloom.viewer`: `*` for the server's own work, a user's ID (and the
projects to which their API key is restricted), or nothing, which sees nothing. A change runs as
`*`, except for the look-up of the objects it is about (`domain.work`). A read brings its viewer
along as a value of the type `taskloom_viewer`, a domain whose check sets the parameter for the
transaction: PostgreSQL converts a statement's values before it runs the statement. So this takes no
round trip, and nothing is left on the connection.

Superusers and roles with BYPASSRLS ignore policies, so their connections read as the role
`taskloom_reader`. An owner without these rights needs no other role, since the policies are forced.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Final

from sqlalchemy import Connection, text

PARAMETER: Final = "taskloom.viewer"
READER_ROLE: Final = "taskloom_reader"
EVERYTHING: Final = "*"
"""The viewer of the server's own work."""

_viewer: ContextVar[str | Callable[[], str]] = ContextVar("row_viewer", default="")


def viewed_by() -> str:
    """Who reads now; empty for nobody."""
    who = _viewer.get()
    return who if isinstance(who, str) else who()


class _Viewing:
    """A generator would take three times as long, for each delivery of a subscription."""

    __slots__ = ("_token", "_who")

    def __init__(self, who: str | Callable[[], str]) -> None:
        self._who = who

    def __enter__(self) -> None:
        self._token = _viewer.set(self._who)

    def __exit__(self, *_: object) -> None:
        _viewer.reset(self._token)


def viewing(who: str | Callable[[], str]) -> contextlib.AbstractContextManager[None]:
    """Reads in this block, and in the tasks that it starts, are those of `who`: a function is asked
    at each read, for an operation in which somebody signs in.
    """
    return _Viewing(who)


# --- what is seen --------------------------------------------------------------------------------

# A policy becomes a part of every statement on its table, so it is short: what is the same for all
# rows is an array or an ID, found once; and the most frequent reason comes first.
_ALL: Final = "taskloom_sees_all()"
_ME: Final = "(SELECT taskloom_viewer_id())"
_MY_PROJECTS: Final = "ANY ((SELECT taskloom_my_projects(10))::uuid[])"
_MANAGED: Final = "ANY ((SELECT taskloom_my_projects(30))::uuid[])"
_SHARED: Final = "ANY ((SELECT taskloom_my_shares())::uuid[])"

_MINE: Final = f"user_id = {_ME} OR {_ALL}"
_MINE_OR_ADMIN: Final = f"{_MINE} OR (SELECT taskloom_is_admin())"
_ON_TASK: Final = "EXISTS (SELECT FROM tasks seen WHERE seen.id = {table}.task_id)"
_OF: Final = f"{_ALL} OR EXISTS (SELECT FROM {{0}} seen WHERE seen.id = {{1}})"
_ON_SEEN_TASK: Final = f"{_ALL} OR {_ON_TASK}"
_OWN_LIST: Final = (
    f"list_id = {_MY_PROJECTS} OR {_ALL} OR (list_id = {_ME} AND taskloom_key_allows(list_id))"
)

POLICIES: Final[Mapping[str, str]] = {
    "tasks": f"""
        project_id = {_MY_PROJECTS} OR {_ALL}
        OR (taskloom_key_allows(project_id)
            AND (assignee_id = {_ME} OR (owner_id = {_ME} AND project_id IS NULL)
                OR id = {_SHARED}
                OR (parent_id IS NOT NULL AND (parent_id = {_SHARED} OR root_id = {_SHARED}
                    OR taskloom_is_given(parent_id, root_id)))))""",
    # Of a task that was assigned or shared, the project says whether it is archived.
    "projects": f"""
        id = {_MY_PROJECTS} OR {_ALL}
        OR (taskloom_key_allows(id) AND id = ANY ((SELECT taskloom_projects_of_given())::uuid[]))
        """,
    "project_members": f"""
        CASE WHEN user_id = {_ME} THEN taskloom_key_allows(project_id)
            ELSE {_ALL} OR project_id = {_MY_PROJECTS} END""",
    "task_shares": f"""
        CASE WHEN user_id = {_ME} THEN taskloom_is_listed(task_id, expires_at)
            ELSE {_ALL} OR taskloom_is_managed(task_id)
                OR (shared_by_id = {_ME} AND {_ON_TASK.format(table="task_shares")}) END""",
    "comments": _ON_SEEN_TASK.format(table="comments"),
    "attachments": _ON_SEEN_TASK.format(table="attachments"),
    "task_external_references": _ON_SEEN_TASK.format(table="task_external_references"),
    "task_counters": _ON_SEEN_TASK.format(table="task_counters"),
    "comment_revisions": _OF.format("comments", "comment_revisions.comment_id"),
    "comment_mentions": _OF.format("comments", "comment_mentions.comment_id"),
    "stored_files": f"""
        uploader_id = {_ME} OR {_ALL}
        OR EXISTS (SELECT FROM attachments seen WHERE seen.file_id = stored_files.id)""",
    # A key's projects do not count: an entry that is hidden would seem to have stayed.
    "time_entries": f"{_MINE} OR project_id = {_MANAGED}",
    "notifications": f"recipient_id = {_ME} OR {_ALL}",
    "notification_preferences": f"id = {_ME} OR {_ALL}",
    "events": f"""
        {_ALL} OR (SELECT taskloom_is_admin())
        OR (taskloom_key_allows(project_id)
            AND ({_ME} = ANY (audience)
                OR (kind <> 'ACCESS_LOST' AND CASE
                    WHEN kind IN ('TIME_ENTRY_CREATED', 'TIME_ENTRY_UPDATED', 'TIME_ENTRY_DELETED',
                        'TIMER_STARTED', 'TIMER_STOPPED') THEN project_id = {_MANAGED}
                    WHEN task_id IS NULL THEN project_id = {_MY_PROJECTS}
                    ELSE {_ON_TASK.format(table="events")} END)))""",
    # The audit log says what an event was caused with.
    "sessions": _MINE_OR_ADMIN,
    "api_keys": _MINE_OR_ADMIN,
    "report_exports": _MINE,
    "reminders": _MINE,
    "devices": _MINE,
    "integrations": _MINE_OR_ADMIN,
    "webhooks": _MINE,
    "webhook_deliveries": _OF.format("webhooks", "webhook_deliveries.webhook_id"),
    "webhook_attempts": _OF.format("webhook_deliveries", "webhook_attempts.delivery_id"),
    # What is wrong with a task shows to all who see it.
    "external_links": (
        _OF.format("integrations", "external_links.integration_id")
        + " OR EXISTS (SELECT FROM tasks seen WHERE seen.id = external_links.local_id)"
    ),
    "list_counts": _OWN_LIST,
    "list_count_changes": _OWN_LIST,
    "tag_counts": _OWN_LIST,
    "tag_count_changes": _OWN_LIST,
    "jobs": f"{_ALL} OR (SELECT taskloom_is_admin())",
    # The server reads these for itself.
    "refresh_tokens": _ALL,
    "used_stream_tokens": _ALL,
    "account_codes": _ALL,
    "email_undos": _ALL,
    "idempotency_keys": _ALL,
    "due_notices": _ALL,
}
"""By table, the rows that a viewer sees."""

WITHOUT: Final[Mapping[str, str]] = {
    "users": "profiles are public, and a policy cannot hide single columns",
    "registered_documents": "texts of the operator",
    "log_epoch": "one row about the log itself",
    "event_months": "when each month of the log begins",
    "log_consumers": "how far the workers have read the log",
    "workers": "which workers run",
}
"""The tables without a policy, and why."""

_PARAMETER: Final = f"current_setting('{PARAMETER}', true)"
_UNEXPIRED: Final = "(expires_at IS NULL OR expires_at > now())"

# Expressions, which PostgreSQL copies into the statement.
_EXPRESSIONS: Final[Mapping[str, tuple[str, str]]] = {
    "taskloom_sees_all()": ("boolean", f"coalesce({_PARAMETER} = '{EVERYTHING}', false)"),
    "taskloom_viewer_id()": (
        "uuid",
        f"nullif(left(nullif({_PARAMETER}, '{EVERYTHING}'), 36), '')::uuid",
    ),
    "taskloom_key_allows(project uuid)": (
        "boolean",
        (
            f"nullif(substr({_PARAMETER}, 38), '') IS NULL"
            f" OR coalesce(project = ANY (substr({_PARAMETER}, 38)::uuid[]), false)"
        ),
    ),
}
# These read tables, as the tables' owner. If the owner obeys the policies as well, each statement
# finds its rows by a condition that its own policy decides without calling the function again:
# `me` is compared before the policy, since that is cheap and reveals nothing of the row.
_FUNCTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "taskloom_is_admin()": (
        "boolean",
        ("RETURN EXISTS (SELECT FROM {schema}.users WHERE id = me AND is_admin);"),
    ),
    "taskloom_my_projects(at_least integer)": (
        "uuid[]",
        (
            "RETURN ARRAY(SELECT project_id FROM {schema}.project_members"
            " WHERE user_id = me AND role >= at_least"
            " AND {schema}.taskloom_key_allows(project_id));"
        ),
    ),
    "taskloom_my_shares()": (
        "uuid[]",
        (
            "RETURN ARRAY(SELECT task_id FROM {schema}.task_shares"
            f" WHERE user_id = me AND {_UNEXPIRED});"
        ),
    ),
    "taskloom_is_given(VARIADIC ancestors uuid[])": (
        "boolean",
        (
            "RETURN EXISTS (SELECT FROM {schema}.tasks WHERE id = ANY (ancestors)"
            " AND (me = assignee_id"
            " OR (project_id IS NULL AND owner_id = me)));"
        ),
    ),
    "taskloom_projects_of_given()": (
        "uuid[]",
        (
            "RETURN ARRAY(SELECT project_id FROM {schema}.tasks"
            " WHERE assignee_id = me AND project_id IS NOT NULL"
            " UNION SELECT project_id FROM {schema}.tasks"
            " WHERE id = ANY ({schema}.taskloom_my_shares()) AND project_id IS NOT NULL);"
        ),
    ),
    "taskloom_is_managed(task uuid)": (
        "boolean",
        (
            "RETURN EXISTS (SELECT FROM {schema}.tasks WHERE id = task"
            " AND (project_id = ANY ({schema}.taskloom_my_projects(30))"
            " OR (owner_id = me AND (project_id IS NULL"
            " OR project_id = ANY ({schema}.taskloom_my_projects(10))))));"
        ),
    ),
    # Of an expired share the task is hidden, but the share is listed until the task is in the
    # trash. To set the parameter is allowed to no parallel plan.
    "taskloom_is_listed(task uuid, expires_at timestamptz)": (
        "boolean",
        f"""
DECLARE
    viewer text := {_PARAMETER};
    found boolean;
BEGIN
    IF expires_at IS NULL OR expires_at > now() THEN
        RETURN true;
    END IF;
    PERFORM set_config('{PARAMETER}', '{EVERYTHING}', true);
    SELECT deleted_at IS NULL INTO found FROM {{schema}}.tasks WHERE id = task;
    PERFORM set_config('{PARAMETER}', viewer, true);
    RETURN found;
END""",
    ),
}

_DOMAIN: Final = (
    "CREATE DOMAIN taskloom_viewer AS text"
    f" CHECK (set_config('{PARAMETER}', VALUE, true) IS NOT NULL)"
)


def _definitions(schema: str) -> list[str]:
    made = [
        f"CREATE FUNCTION {signature} RETURNS {returns} LANGUAGE sql STABLE PARALLEL SAFE"
        f" AS $$ SELECT {expression} $$"
        for signature, (returns, expression) in _EXPRESSIONS.items()
    ]
    for signature, (returns, text_) in _FUNCTIONS.items():
        body = text_.format(schema=schema)
        safety = "UNSAFE" if "set_config" in body else "SAFE"
        block = (
            body
            if body.endswith("END")
            else f"DECLARE me uuid := {schema}.taskloom_viewer_id(); BEGIN {body} END"
        )
        made.append(
            f"CREATE FUNCTION {signature} RETURNS {returns} LANGUAGE plpgsql STABLE"
            f" PARALLEL {safety} SECURITY DEFINER AS $$ {block} $$"
        )
    for table, seen in POLICIES.items():
        made += _secured(table, seen)
    return made


def _secured(table: str, seen: str) -> list[str]:
    return [
        f"CREATE POLICY taskloom_seen ON {table} USING ({seen})",
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    ]


IS_SECURED: Final = "SELECT relforcerowsecurity FROM pg_class WHERE oid = $1::regclass"
"""Whether the policies of a table apply."""


def of_partition(table: str) -> str:
    """SQL for a partition of a table whose policies apply: those are for statements on the table,
    so the partition itself is for the server alone.
    """
    return "; ".join(_secured(table, _ALL))


def _digest() -> str:
    return hashlib.sha256("".join(_definitions("")).encode()).hexdigest()[:16]


IGNORES_POLICIES: Final = (
    "(SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user)"
)
"""SQL for whether the connection's role ignores policies."""

# --- within a transaction of a change ------------------------------------------------------------

# A role that ignores policies is left for the look-up.
BEGIN_VIEWING: Final = f"""
SELECT set_config('{PARAMETER}', $1, true),
    CASE WHEN {IGNORES_POLICIES}
        AND to_regrole('{READER_ROLE}') IS NOT NULL
    THEN set_config('role', '{READER_ROLE}', true) END
"""
END_VIEWING: Final = f"""
SELECT set_config('role', 'none', true), set_config('{PARAMETER}', '{EVERYTHING}', true)
"""


_PARTITIONS: Final = """
SELECT c.relname FROM pg_class c
WHERE c.relispartition AND c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
"""

# --- turning it on and off -----------------------------------------------------------------------


STATE: Final = (
    "SELECT to_regtype('taskloom_viewer') IS NOT NULL,"
    " obj_description(to_regtype('taskloom_viewer')::oid, 'pg_type')"
)
"""Whether the type exists, and the version of the policies that apply; see `suits`."""


def suits(wanted: str, *, prepared: bool, version: str | None) -> bool:
    """Whether nothing is left to do for the setting TASKLOOM_ROW_SECURITY."""
    if wanted == "off":
        return version is None
    return prepared and (version == _digest() if wanted == "on" else True)


def is_on(connection: Connection) -> bool:
    """Whether the policies apply."""
    return connection.execute(text(STATE)).one()[1] is not None


def prepare(connection: Connection) -> None:
    """Create the type by which statements say who reads."""
    if connection.scalar(text("SELECT to_regtype('taskloom_viewer')")) is None:
        connection.execute(text(_DOMAIN))


def turn_on(connection: Connection) -> None:
    """Let the policies apply, in this transaction; those of another version are replaced."""
    prepare(connection)
    if connection.execute(text(STATE)).one()[1] != _digest():
        turn_off(connection)
        schema = connection.scalar(text("SELECT quote_ident(current_schema())"))
        for definition in _definitions(schema):
            connection.exec_driver_sql(definition)
        for partition in connection.scalars(text(_PARTITIONS)):
            for definition in _secured(partition, _ALL):
                connection.exec_driver_sql(definition)
        connection.exec_driver_sql(f"COMMENT ON DOMAIN taskloom_viewer IS '{_digest()}'")
    _allow_reader(connection)


def turn_off(connection: Connection) -> None:
    """Let the policies apply no longer, in this transaction."""
    present = set(
        connection.scalars(
            text(
                "SELECT c.relname FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid"
                " WHERE p.polname = 'taskloom_seen'"
                " AND c.relnamespace = current_schema()::regnamespace"
            )
        )
    )
    for table in sorted(present):
        connection.exec_driver_sql(
            f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY"
        )
        connection.exec_driver_sql(f"DROP POLICY taskloom_seen ON {table}")
    for signature in (*_FUNCTIONS, *_EXPRESSIONS):
        connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS {signature}")
    prepare(connection)
    connection.exec_driver_sql("COMMENT ON DOMAIN taskloom_viewer IS NULL")


def _allow_reader(connection: Connection) -> None:
    """Create the role as which superusers read, and let it read all tables."""
    if not connection.scalar(text(f"SELECT {IGNORES_POLICIES}")):
        return
    # Roles belong to the whole server: another database may create it at the same time.
    connection.exec_driver_sql(
        f"DO $$ BEGIN CREATE ROLE {READER_ROLE} NOLOGIN;"
        " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    )
    schema = connection.scalar(text("SELECT quote_ident(current_schema())"))
    for grant in (
        f"GRANT {READER_ROLE} TO CURRENT_USER",
        f"GRANT USAGE ON SCHEMA {schema} TO {READER_ROLE}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {READER_ROLE}",
    ):
        connection.exec_driver_sql(grant)
