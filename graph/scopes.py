"""Which scope of an API key each field needs.

Root fields are named noun first, so that a table of what their names begin with says it for all
of them, the longest match first. Below the roots the types say it: who asks `task { comments }`
needs `tasks:read` and `comments:read`, and so does who filters tasks by their comments. All that an
operation asks for is looked at before it runs, and what is missing is said by name; nothing runs in
part.

A root field that stands in no table is not for keys at all; `tests/graph/test_scopes.py` demands
that there is none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from graphql import (
    FieldNode,
    GraphQLNamedType,
    InlineFragmentNode,
    OperationType,
    SelectionSetNode,
    get_named_type,
)

from auth.scopes import holds
from auth.viewer import Viewer
from errors import Forbidden
from graph.scoped_inputs import in_document, in_variables
from graph.selection import Outline, fields_of

# For everybody, whatever their key is good for.
FREE: Final = ""
# What only a session may do: whatever is about the account and its credentials.
SESSION: Final = "session"

_QUERIES: Final[Mapping[str, str]] = {
    "serverInfo": FREE,
    "rateLimit": FREE,
    "viewer": FREE,
    "node": "read",
    "search": "read",
    "task": "tasks:read",
    "tag": "tasks:read",
    "project": "projects:read",
    "comment": "comments:read",
    "attachment": "files:read",
    "time": "time:read",
    "timer": "time:read",
    "report": "time:read",
    "runningTimer": "time:read",
    "user": "people:read",
    "activity": "events:read",
    "changes": "events:read",
    "event": "events:read",
    "notification": "notifications:read",
    "unreadNotification": "notifications:read",
    "device": SESSION,
    "reminder": "reminders:read",
    "webhook": "webhooks:read",
    "integration": "integrations:read",
    "admin": "admin:read",
    "audit": "admin:read",
    "job": "admin:read",
}
_MUTATIONS: Final[Mapping[str, str]] = {
    "task": "tasks:write",
    "project": "projects:write",
    "comment": "comments:write",
    "attachment": "files:write",
    "time": "time:write",
    "timer": "time:write",
    "report": "time:write",
    "notification": "notifications:write",
    "reminder": "reminders:write",
    "webhook": "webhooks:write",
    "integration": "integrations:write",
    "job": "admin:write",
    "userUpdate": "admin:write",
    "userActivate": "admin:write",
    "userDeactivate": "admin:write",
    "userSessionsRevoke": "admin:write",
    "userRegister": SESSION,
    "userDelete": SESSION,
    "session": SESSION,
    "streamToken": SESSION,
    "profile": SESSION,
    "password": SESSION,
    "email": SESSION,
    "avatar": SESSION,
    "apiKey": SESSION,
    "device": SESSION,
    "notificationPreferences": "notifications:write",
}
_SUBSCRIPTIONS: Final[Mapping[str, str]] = {
    "task": "events:read",
    "notification": "notifications:read",
    "timer": "time:read",
    "report": "time:read",
}
ROOTS: Final[Mapping[OperationType, Mapping[str, str]]] = {
    OperationType.QUERY: _QUERIES,
    OperationType.MUTATION: _MUTATIONS,
    OperationType.SUBSCRIPTION: _SUBSCRIPTIONS,
}

# Types that show what is somebody's: whoever asks for one of them anywhere needs this.
TYPES: Final[Mapping[str, str]] = {
    "Task": "tasks:read",
    "TaskShare": "tasks:read",
    "TaskStats": "tasks:read",
    "Project": "projects:read",
    "ProjectMember": "projects:read",
    "Comment": "comments:read",
    "CommentRevision": "comments:read",
    "Attachment": "files:read",
    "TimeEntry": "time:read",
    "TimeReport": "time:read",
    "ReportExport": "time:read",
    "Reminder": "reminders:read",
    "Notification": "notifications:read",
    "NotificationPreferences": "notifications:read",
    "Webhook": "webhooks:read",
    "WebhookDelivery": "webhooks:read",
    "Integration": "integrations:read",
    "Job": "admin:read",
    "Session": SESSION,
    "ApiKey": SESSION,
    "Device": SESSION,
}
# Fields of those types that show something else as well.
_FIELDS: Final[Mapping[tuple[str, str], str]] = {("Task", "activity"): "events:read"}
# What is its owner's alone, and in no project: not for keys that are restricted to projects.
_OF_NO_PROJECT: Final = frozenset({"notifications", "reminders", "webhooks", "integrations"})
_ROWS: Final = ("Connection", "Edge")


def scope_of(kind: OperationType, name: str) -> str | None:
    """What a root field needs; None where no table says it."""
    table = ROOTS[kind]
    matches = [start for start in table if _begins(name, start)]
    return table[max(matches, key=len)] if matches else None


def _begins(name: str, start: str) -> bool:
    """Whether a name is of this noun: `taskStats`, `tasks` and `task` are of `task`."""
    rest = name.removeprefix(start)
    return name.startswith(start) and (not rest or rest[0].isupper() or rest[0] == "s")


def scopes_of(outline: Outline) -> tuple[str, ...]:
    """All that an operation's document needs, with `@skip` and `@include` disregarded; in its
    order.
    """
    operation = outline.operation
    root = outline.schema.get_root_type(operation.operation)
    if root is None:
        return (SESSION,)
    needed: dict[str, None] = {}
    for node in fields_of(outline, root, [operation.selection_set]):
        name = node.name.value
        if name.startswith("__"):
            continue
        scope = scope_of(operation.operation, name)
        needed[SESSION if scope is None else scope] = None
        field = root.fields[name]
        needed.update(dict.fromkeys(_named(in_document(field, node))))
        if node.selection_set is not None:
            needed.update(dict.fromkeys(_type(get_named_type(field.type))))
            needed.update(dict.fromkeys(_below(outline, get_named_type(field.type), node)))
    needed.pop(FREE, None)
    return tuple(needed)


def scopes_of_variables(outline: Outline, values: Mapping[str, Any]) -> tuple[str, ...]:
    """What the filters and orderings need that come in variables."""
    return tuple(dict.fromkeys(_named(in_variables(outline, values))))


def _below(outline: Outline, type_: GraphQLNamedType, node: FieldNode) -> Iterator[str]:
    if node.selection_set is not None:
        yield from _within(outline, type_, node.selection_set, set())


def _within(
    outline: Outline, type_: GraphQLNamedType, selections: SelectionSetNode, seen: set[str]
) -> Iterator[str]:
    """What is needed by the fields of a set, and by the types that its fragments are on."""
    fields = getattr(type_, "fields", {})
    for node in selections.selections:
        if isinstance(node, FieldNode):
            field = fields.get(node.name.value)
            if field is None:
                continue
            more = _FIELDS.get((type_.name, node.name.value))
            if more is not None:
                yield more
            yield from _named(in_document(field, node))
            if node.selection_set is None:
                continue
            inner = get_named_type(field.type)
            yield from _type(inner)
            yield from _within(outline, inner, node.selection_set, seen)
            continue
        if isinstance(node, InlineFragmentNode):
            condition, below = node.type_condition, node.selection_set
        else:
            name = node.name.value  # type: ignore[attr-defined]  # a spread is what is left
            fragment = outline.fragments.get(name)
            if fragment is None or name in seen:
                continue
            seen.add(name)
            condition, below = fragment.type_condition, fragment.selection_set
        on = type_ if condition is None else outline.schema.get_type(condition.name.value)
        if on is not None:
            yield from _type(on)
            yield from _within(outline, on, below, seen)


def _type(type_: GraphQLNamedType) -> Iterator[str]:
    name = type_.name
    for suffix in _ROWS:
        name = name.removesuffix(suffix)
    yield from _named([name])


def _named(names: Iterable[str]) -> Iterator[str]:
    return (TYPES[name] for name in names if name in TYPES)


def demand(viewer: Viewer, needed: Collection[str]) -> None:
    """Raise `Forbidden`, with the scope in `extensions`, where a key is not good for all of it."""
    granted = viewer.scopes
    if granted is None:
        return
    for scope in needed:
        if scope == SESSION:
            raise Forbidden(
                "This is done with a session, and not with an API key.",
                extra={"scope": None},
            )
        if not holds(granted, scope):
            raise Forbidden(
                f"This needs the scope `{scope}`, which the API key does not have.",
                extra={"scope": scope},
            )
        if viewer.restricted and scope.partition(":")[0] in _OF_NO_PROJECT:
            raise Forbidden("This API key is restricted to projects, and this is in none of them.")
