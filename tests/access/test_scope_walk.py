"""Every field of the schema, requested with API keys that have too few scopes, exactly enough, and
each scope alone.

The scopes that a field needs are stated here independently, from the table of rights and not from
`graph.request.scope_table`: a noun for each type, and the fields that refer to another noun. The
test fails for a field, an argument or a filter's field that is in neither.
"""

from __future__ import annotations

import functools
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_abstract_type,
    is_input_object_type,
    is_leaf_type,
    is_object_type,
    is_required_argument,
)

from auth.scopes import SCOPES
from auth.viewer import Viewer
from graph.request.answer import Refused
from graph.request.preparation import GraphQLRequest, Prepared
from graph.schema import schema
from tests.factories import World

SCHEMA: GraphQLSchema = schema._schema
VIEWER_TYPE = SCHEMA.type_map["Viewer"]
NO_KEY = "a session"

# --- the oracle ----------------------------------------------------------------------------------
# The noun of each type (docs/access.md, "API keys"). "" needs no scope by itself.

NOUNS = {
    "tasks": (
        "Task TaskShare Tag TaskStats TaskStatsGroup TaskStatusCount TaskPriorityCount "
        "SubtaskProgress ExternalReference"
    ),
    "projects": "Project ProjectMember ProjectPresence Presence",
    "comments": "Comment CommentRevision",
    "files": "Attachment AttachmentUploadTarget",
    "time": ("TimeEntry TimeReport TimeReportGroup TimerEvent ReportExport ReportExportEvent"),
    "people": "User",
    "events": (
        "Event FieldChange TextChange NumberChange BooleanChange DateChange DateTimeChange "
        "NodeChange ListChange JSONChange EventStats EventKindCount EventSubjectTypeCount"
    ),
    "notifications": (
        "Notification NotificationEvent NotificationPreferences NotificationChannels"
    ),
    "reminders": (
        "Reminder ReminderRule ReminderDue ReminderStart ReminderOnce ReminderDaily ReminderWeekly "
        "ReminderMonthly"
    ),
    "webhooks": "Webhook WebhookDelivery WebhookAttempt",
    "integrations": (
        "Integration IntegrationProblem IntegrationSettings GitHubSettings GitHubAssignee "
        "SlackSettings"
    ),
    "admin": "Job JobQueue AdminUser",
    NO_KEY: "Session ApiKey Device",
    "": (
        "Viewer Credentials Node PageInfo UserError RateLimit ServerInfo EventSubject "
        "SearchSubject TrashItem"
    ),
    "tasks comments projects": "Search SearchResult SearchFragment",
    "tasks projects": "Trash",
    # Items of bulk mutations.
    "tasks ": "TaskBulkResult",
    "time ": "TimeEntryBulkResult TimeEntryImportResult TimeEntryImportNotice",
}
NOUN = {type_: nouns.split() for nouns, types in NOUNS.items() for type_ in types.split()}
NOUN |= {type_: [NO_KEY] for type_ in NOUNS[NO_KEY].split()}
# Everything that users do refers to their public profile.
PUBLIC = {
    "User": {"__typename", "id", "username", "fullName", "displayName", "avatarUrl"},
    # Lists: the types of their items determine the noun.
    "User ": {"assignedTasks", "ownedTasks", "ownedProjects"},
    "UserConnection": {"edges", "nodes", "pageInfo", "totalCount", "__typename"},
    "UserEdge": {"node", "cursor", "__typename"},
    "UserFilter": {
        *("and", "or", "not", "isNull", "isMe", "id", "username", "fullName", "search"),
    },
    "UserOrder": {"username", "fullName"},
}
# Fields that also refer to another noun.
ALSO = {
    "Task.identifier": "projects",
    "Task.commentCount": "comments",
    "Task.attachmentCount": "files",
    "Task.tracked": "time",
    "Task.syncProblem": "integrations",
    "Comment.url": "tasks",
    "TaskFilter.identifier": "projects",
    "TaskFilter.tracked": "time",
    "TaskOrder.commentCount": "comments",
    "TaskOrder.attachmentCount": "files",
    "TaskOrder.tracked": "time",
    "Project.tracked": "time",
    "ProjectFilter.tracked": "time",
    "ProjectOrder.tracked": "time",
    "TaskStats.commentsPosted": "comments",
    "ReportExport.downloadUrl": "projects tasks",
    "Reminder.nextRunAt": "tasks",
    "Reminder.nextRuns": "tasks",
    "Reminder.lastRunAt": "tasks",
    "ReminderFilter.nextRunAt": "tasks",
    "ReminderFilter.lastRunAt": "tasks",
    "ReminderOrder.nextRunAt": "tasks",
    "ReminderOrder.lastRunAt": "tasks",
    "Event.ip": "admin",
    "Event.session": "admin",
    "Event.apiKey": "admin",
    "Event.integration": "admin",
    "Query.reminderPreview(taskId)": "tasks",
    "Mutation.reportExportCreate": "projects tasks",
}
# Root fields by the noun of their result, if it is a plain value or belongs to another noun.
GIVES = {
    "viewer": "",
    "node": "",
    "nodes": "",
    "rateLimit": "",
    "serverInfo": "",
    "eventCursor": "events",
    # Of `Viewer`.
    "Viewer.__typename": "",
    "Viewer.id": "",
    "Viewer.user": "",
    "Viewer.credentials": "",
    "Viewer.email": "people",
    "Viewer.emailVerifiedAt": "people",
    "Viewer.timezone": "people",
    "Viewer.weekStart": "people",
    "Viewer.locale": "people",
    "Viewer.isAdmin": "people",
    "Viewer.unreadNotificationCount": "notifications",
    "reminderPreview": "reminders",
    "users": "people",
    "adminUsers": "admin",
    "adminAuditLog": "admin events",
    "taskEvents": "events",
}
# Mutations by the beginning of their names, the longest first.
WRITES = {
    "time": "time", "timer": "time", "report": "time", "task": "tasks", "project": "projects",
    "presence": "projects", "comment": "comments", "attachment": "files",
    "notification": "notifications",
    "reminder": "reminders", "webhook": "webhooks", "integration": "integrations",
    "admin": "admin", "userRegister": NO_KEY, "account": NO_KEY, "session": NO_KEY,
    "streamToken": NO_KEY, "password": NO_KEY,
    "email": NO_KEY, "avatar": NO_KEY, "apiKey": NO_KEY, "device": NO_KEY,
}  # fmt: skip

Needs = frozenset[str]


def read(nouns: Iterator[str] | list[str]) -> Needs:
    return frozenset(noun if noun == NO_KEY else f"{noun}:read" for noun in nouns)


def noun_of(type_name: str) -> list[str]:
    for ending in ("Connection", "Edge", "ListFilter", "Filter", "Order", ""):
        name = type_name.removesuffix(ending)
        if (not ending or name != type_name) and name in NOUN:
            return NOUN[name]
    raise AssertionError(f"NOUN has no entry for {type_name}")


def needs_of(type_name: str, field: str) -> Needs:
    """The scopes that a field of an object or an input type needs by itself."""
    if any(field in names for type_, names in PUBLIC.items() if type_.strip() == type_name):
        return frozenset()
    type_ = SCHEMA.type_map[type_name]
    more = read(ALSO.get(f"{type_name}.{field}", "").split())
    if type_ is SCHEMA.mutation_type:
        starts = [start for start in WRITES if field.startswith(start)]
        noun = WRITES[max(starts, key=len)]
        return more | {noun if noun == NO_KEY else f"{noun}:write"}
    if type_ in {SCHEMA.query_type, SCHEMA.subscription_type, VIEWER_TYPE}:
        gives = GIVES.get(f"Viewer.{field}" if type_name == "Viewer" else field)
        if gives is None:
            fields = type_.fields  # type: ignore[attr-defined]  # an object type
            return more | read(noun_of(get_named_type(fields[field].type).name))
        return more | read(gives.split())
    if is_object_type(type_) and SCHEMA.type_map["MutationPayload"] in type_.interfaces:
        return frozenset()
    if is_input_object_type(type_) and type_name.endswith(("Input", "Item")):
        return frozenset()
    if is_comparator(type_):
        return frozenset()
    return more | read(noun_of(type_name))


def is_comparator(type_: Any) -> bool:
    """Whether it is a comparator of plain values: `eq`, `some` and so on, but not `and`."""
    names = set(getattr(type_, "fields", {}))
    plain = all(
        is_leaf_type(get_named_type(field.type))
        or get_named_type(field.type).name == "StringFilter"
        for field in type_.fields.values()
    )
    return (
        is_input_object_type(type_)
        and "and" not in names
        and plain
        and bool(names & {"eq", "some"})
    )


# --- paths to every field ------------------------------------------------------------------------


@dataclass(frozen=True)
class Way:
    """A document that requests one field, and the scopes that it needs."""

    name: str
    document: str
    needs: Needs


@dataclass(frozen=True)
class Place:
    """An object type, and the path to it: the text around a selection."""

    before: str
    after: str
    needs: Needs
    variables: tuple[str, ...] = ()

    def ask(self, selection: str) -> str:
        return _framed(self, self.before + selection + self.after)


def _framed(place: Place, body: str, more: tuple[str, ...] = ()) -> str:
    kind, rest = body.split(" ", 1)
    variables = (*place.variables, *more)
    return f"{kind} ({', '.join(variables)}) {rest}" if variables else body


def _required(place: Place, arguments: dict[str, GraphQLArgument]) -> tuple[str, tuple[str, ...]]:
    """The text of the required arguments, with variables."""
    names: list[str] = []
    variables: list[str] = []
    for name, argument in arguments.items():
        if is_required_argument(argument):
            variable = f"$v{len(place.variables) + len(variables)}"
            names.append(f"{name}: {variable}")
            variables.append(f"{variable}: {argument.type}")
    return (f"({', '.join(names)})" if names else ""), tuple(variables)


@functools.cache
def places() -> dict[str, Place]:
    """The shortest path to each object type from the root fields."""
    found: dict[str, Place] = {}
    queue: deque[tuple[str, Place]] = deque()
    for kind, root in (
        ("query", SCHEMA.query_type),
        ("mutation", SCHEMA.mutation_type),
        ("subscription", SCHEMA.subscription_type),
    ):
        assert root is not None
        queue.append((root.name, Place(f"{kind} {{ ", " }", frozenset())))
    while queue:
        name, place = queue.popleft()
        if name in found:
            continue
        found[name] = place
        type_ = SCHEMA.type_map[name]
        assert isinstance(type_, GraphQLObjectType)
        for field_name, field in type_.fields.items():
            inner = get_named_type(field.type)
            # A key's own credentials are free for it; a test of their own reads them.
            if is_leaf_type(inner) or name == "Credentials":
                continue
            text, variables = _required(place, field.args)
            needs = place.needs | needs_of(name, field_name)
            for one in SCHEMA.get_possible_types(inner) if is_abstract_type(inner) else (inner,):
                on = f"... on {one.name} {{ " if is_abstract_type(inner) else ""
                below = Place(
                    f"{place.before}{field_name}{text} {{ {on}",
                    f"{' }' if on else ''} }}{place.after}",
                    needs,
                    (*place.variables, *variables),
                )
                queue.append((one.name, below))
    return found


def fields() -> Iterator[Way]:
    """Every field of every object type."""
    for name, place in places().items():
        type_ = SCHEMA.type_map[name]
        assert isinstance(type_, GraphQLObjectType)
        for field_name, field in type_.fields.items():
            inner = get_named_type(field.type)
            text, variables = _required(place, field.args)
            needs = place.needs | needs_of(name, field_name)
            below = ""
            if not is_leaf_type(inner):
                below = " { __typename }"
                free = is_abstract_type(inner) or name == "Credentials"
                needs |= frozenset() if free else needs_of(inner.name, "__typename")
            body = f"{place.before}{field_name}{text}{below}{place.after}"
            yield Way(f"{name}.{field_name}", _framed(place, body, variables), needs)


def arguments() -> Iterator[Way]:
    """Every argument of every field, and every field of every input, where it is first used."""
    inputs: set[str] = set()
    for name, place in places().items():
        type_ = SCHEMA.type_map[name]
        assert isinstance(type_, GraphQLObjectType)
        for field_name, field in type_.fields.items():
            inner = get_named_type(field.type)
            needs = place.needs | needs_of(name, field_name)
            below = ""
            if not is_leaf_type(inner):
                below = " { __typename }"
                if not is_abstract_type(inner):
                    needs |= needs_of(inner.name, "__typename")
            for argument_name, argument in field.args.items():
                others = {key: one for key, one in field.args.items() if key != argument_name}
                text, variables = _required(place, others)
                also = read(ALSO.get(f"{name}.{field_name}({argument_name})", "").split())
                for what, value, type_text, more in _values(argument.type, inputs):
                    given = f"{argument_name}: {value}"
                    texts = f"({text[1:-1]}, {given})" if text else f"({given})"
                    body = f"{place.before}{field_name}{texts}{below}{place.after}"
                    yield Way(
                        what or f"{name}.{field_name}({argument_name})",
                        _framed(place, body, (*variables, f"$given: {type_text}")),
                        needs | also | more,
                    )


def _values(argument: Any, done: set[str]) -> Iterator[tuple[str, str, str, Needs]]:
    """A plain value as a variable; for an input, each single field of each new type that it leads
    to: its name, its text, the variable's type, and the scopes that it needs.
    """
    named = get_named_type(argument)
    if not isinstance(named, GraphQLInputObjectType):
        yield "", "$given", str(argument), frozenset()
        return
    queue: deque[tuple[GraphQLInputObjectType, str, str, Needs]] = deque()
    queue.append((named, "", "", frozenset()))
    while queue:
        type_, before, after, needs = queue.popleft()
        if type_.name in done or type_.name.endswith(("Input", "Item")):
            continue
        done.add(type_.name)
        for name, field in type_.fields.items():
            more = needs | needs_of(type_.name, name)
            inner = get_named_type(field.type)
            what = f"{type_.name}.{name}"
            if isinstance(inner, GraphQLInputObjectType):
                if not is_comparator(inner) and inner.name not in PUBLIC:
                    more |= needs_of(inner.name, "")
                queue.append((inner, f"{before}{{{name}: ", f"}}{after}", more))
            text = str(field.type)
            text = f"{text.removesuffix('!')}!" if type_.is_one_of else text
            yield what, f"{before}{{{name}: $given}}{after}", text, more


@functools.cache
def ways() -> list[Way]:
    return [*fields(), *arguments()]


# --- the walk ------------------------------------------------------------------------------------


def includes(granted: str, needed: str) -> bool:
    """Whether one scope includes another, according to docs/access.md."""
    noun, colon, verb = needed.partition(":")
    if not colon:
        return False
    if granted in {"read", "write"}:
        return noun != "admin" and (granted == "write" or verb == "read")
    return granted in {needed, f"{noun}:write"}


def missing(scopes: set[str], needs: Needs) -> set[str]:
    return {need for need in needs if not any(includes(one, need) for one in scopes)}


VIEWER = Viewer(user_id=uuid4(), api_key_id=uuid4())
PREPARED: dict[str, Prepared] = {}


async def refused(world: World, way: Way, scopes: set[str]) -> str | None:
    """The missing scope that the server names for a key with these; None if it accepts the key."""
    executor = world.executors["batch"]
    context = world.context(replace(VIEWER, scopes=frozenset(scopes)))
    prepared = PREPARED.get(way.document)
    if prepared is None:
        # The presence of an input already needs its scope.
        given: dict[str, Any] = (
            {"given": {}} if re.search(r"\$given: \[?\w+(Filter|Order)\b", way.document) else {}
        )
        request = GraphQLRequest(query=way.document, variables=given)
        prepared = PREPARED[way.document] = await executor.prepare(request, request_id="walk")
    try:
        await executor.admit(prepared, context)
    except Refused as refusal:
        (error,) = refusal.answer.errors
        if error["extensions"]["code"] == "OPERATION_TOO_COMPLEX":
            return None
        assert error["extensions"]["code"] == "FORBIDDEN", (way.name, error)
        return error["extensions"]["scope"] or NO_KEY
    return None


def test_every_type_and_field_is_walked() -> None:
    walked = {way.name for way in ways()}
    for type_ in SCHEMA.type_map.values():
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
            for name in type_.fields:
                assert f"{type_.name}.{name}" in walked
        if isinstance(type_, GraphQLInputObjectType) and type_.name.endswith(("Filter", "Order")):
            for name in type_.fields:
                assert f"{type_.name}.{name}" in walked
    assert walked >= set(ALSO)


async def test_a_key_with_all_needed_scopes_is_accepted(world: World) -> None:
    for way in ways():
        if NO_KEY not in way.needs:
            assert await refused(world, way, set(way.needs)) is None, way


async def test_a_key_that_lacks_one_scope_gets_its_name(world: World) -> None:
    for way in ways():
        if NO_KEY in way.needs:
            assert await refused(world, way, set(SCOPES)) == NO_KEY, way
            continue
        for need in way.needs:
            # All other scopes, which shows that no broad or write scope includes it.
            others = {one for one in SCOPES if not includes(one, need)}
            assert await refused(world, way, others) in missing(others, way.needs), way


BY_DAY = {one for one in SCOPES if not one.endswith(":write")} | {"tasks:write"}


@pytest.mark.parametrize(
    "scope",
    [*sorted(BY_DAY), *(pytest.param(s, marks=pytest.mark.nightly) for s in SCOPES - BY_DAY)],
)
async def test_a_key_with_one_scope(world: World, scope: str) -> None:
    for way in ways():
        lacking = missing({scope}, way.needs)
        named = await refused(world, way, {scope})
        assert (named in lacking) if lacking else named is None, (way, named)


def test_a_filter_and_an_ordering_need_what_the_field_of_their_name_needs() -> None:
    for name, type_ in SCHEMA.type_map.items():
        for ending in ("Filter", "Order"):
            of = SCHEMA.type_map.get(name.removesuffix(ending))
            if not name.endswith(ending) or not isinstance(of, GraphQLObjectType):
                continue
            assert isinstance(type_, GraphQLInputObjectType)
            for field in type_.fields.keys() & of.fields.keys():
                more = ALSO.get(f"{of.name}.{field}")
                assert ALSO.get(f"{name}.{field}") == more, f"{name}.{field}"


def test_the_walk_covers_the_schema() -> None:
    assert len(ways()) > 1_000
