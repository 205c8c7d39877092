"""Whatever a client may send when it makes or changes something is stored, shown and recorded.

Each field of the input of each such mutation is set, and then found in the row (read by a plain
statement), in the payload's object and, where something changed, in the event. A field that is
added to an input fails `test_each_field_is_tried` until it has a value here.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from graphql import GraphQLInputObjectType, get_named_type
from sqlalchemy import select

from db import models
from graph.core import ids
from graph.core.errors import camel
from graph.schema import schema
from tests.factories import World, gid
from tests.graph.input_cases import CASES, KINDS, Case, Stage

_MAKES_OR_CHANGES = re.compile(r"(Create|Update|Add|Assign|Register)$|^timerStart$")
_OF_EVERY_MUTATION = {"idempotencyKey", "ifVersion"}

# Fields that are kept nowhere by themselves.
NOT_KEPT = {
    "taskBulkCreate.onError": "says what is done with the other items",
    "taskBulkCreate.dryRun": "says whether it is done at all",
    "taskBulkUpdate.onError": "says what is done with the other items",
    "taskBulkUpdate.dryRun": "says whether it is done at all",
    "timeEntryBulkCreate.onError": "says what is done with the other items",
    "timeEntryBulkCreate.dryRun": "says whether it is done at all",
    "timeEntryBulkUpdate.onError": "says what is done with the other items",
    "timeEntryBulkUpdate.dryRun": "says whether it is done at all",
    "timeEntryCreate.allowOver24Hours": "permits a long entry",
    "timeEntryBulkCreate.items.allowOver24Hours": "permits a long entry",
    "timeEntryUpdate.allowOver24Hours": "permits a long entry",
    "timeEntryBulkUpdate.items.allowOver24Hours": "permits a long entry",
    "webhookUpdate.takeOver": "needs a webhook of an API key",
    "integrationUpdate.takeOver": "needs an integration of an API key",
    "userRegister.password": "a secret: only its hash is kept",
    "sessionCreate.login": "says whose session it is",
    "sessionCreate.password": "a secret: compared and not kept",
    **{
        f"integration{verb}.config.{secret}": "a secret: encrypted and never shown"
        for verb in ("Create", "Update")
        for secret in ("github.token", "slack.webhookUrl")
    },
    **{
        f"deviceCreate.target.{secret}": "a secret of the device: never shown"
        for secret in (
            "webPush",
            "webPush.endpoint",
            "webPush.keys",
            "webPush.keys.p256dh",
            "webPush.keys.auth",
        )
    },
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a field is found: the column, the selection, and the name in the event's changes. None:
    not there.
    """

    column: str | None
    shown: str | None
    change: str | None


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


# Fields that are found elsewhere than under their own name.
# A time is kept as a start, an end and a day; `test_time.py` says which.
_TIME = Place(None, None, None)
# Due is a time or a day; `test_task.py` says which.
_DUE = Place(None, None, None)
# Rows and events have a rule in a form of their own, from which the answer is made.
_RULE = Place(
    None,
    "rule { ... on ReminderDue { offset } ... on ReminderStart { offset } "
    "... on ReminderOnce { at } ... on ReminderDaily { time timezone } "
    "... on ReminderWeekly { days time timezone } ... on ReminderMonthly { day time timezone } }",
    None,
)
# `test_integrations` looks at it.
_STATUS = Place(None, None, None)
ELSEWHERE = {
    "timeEntryCreate.time": _TIME,
    "timeEntryBulkCreate.items.time": _TIME,
    "timeEntryUpdate.time": _TIME,
    "timeEntryBulkUpdate.items.time": _TIME,
    "taskCreate.due": _DUE,
    "taskUpdate.due": _DUE,
    "taskBulkCreate.items.due": _DUE,
    "taskBulkUpdate.items.due": _DUE,
    # Kept in a table of their own; `test_external_references.py` says how they are recorded.
    **{
        f"{name}.externalReferences": Place(
            None, "externalReferences { source externalId url }", None
        )
        for name in ("taskCreate", "taskUpdate", "taskBulkCreate.items", "taskBulkUpdate.items")
    },
    # Of the public profile.
    **{
        f"{name}.{field}": Place(_snake(field), f"user {{ {field} }}", _snake(field))
        for name in ("userRegister", "accountUpdate", "adminUserUpdate")
        for field in ("username", "fullName")
    },
    # A secret of the device: stored, but never shown.
    "deviceCreate.target": Place("token", None, None),
    "apiKeyCreate.projectIds": Place("project_ids", "projects { id }", None),
    # What a comment said before is kept as a revision of it.
    "commentUpdate.body": Place("body", "body", None),
    # Of an address the log keeps the host alone, since many carry a secret.
    "webhookUpdate.url": Place("url", "url", None),
    # What a file shows is not told by the object.
    "reportExportCreate.filter": Place("filter", None, None),
    "reportExportCreate.includeBom": Place("bom", None, None),
    "reminderCreate.rule": _RULE,
    "reminderUpdate.rule": _RULE,
    **{
        f"integration{verb}.config": Place(
            "settings",
            "settings { ... on GitHubSettings { repository baseUrl hasComments "
            "assignees { login userId: user { id } } } ... on SlackSettings { events } }",
            "settings",
        )
        for verb in ("Create", "Update")
    },
    "integrationUpdate.isPaused": _STATUS,
    "notificationPreferencesUpdate.isEmailEnabled": Place(
        "is_email_enabled", "isEmailEnabled", "notification_is_email_enabled"
    ),
    **{
        f"notificationPreferencesUpdate.{kind}": Place(
            "choices", f"{kind} {{ inApp email push }}", None
        )
        for kind in KINDS
    },
}


def _writes() -> Iterator[tuple[str, GraphQLInputObjectType]]:
    """The mutations that make or change something, and their inputs."""
    mutations = schema._schema.mutation_type
    assert mutations is not None
    for name, root in mutations.fields.items():
        if _MAKES_OR_CHANGES.search(name):
            yield name, get_named_type(root.args["input"].type)


def _fields(name: str, input_type: GraphQLInputObjectType) -> Iterator[str]:
    """`mutation.field` of all its fields, and of those of the inputs inside it (items of a bulk,
    say). A filter counts as one, since it is kept as it is.
    """
    for field, declared in input_type.fields.items():
        of = get_named_type(declared.type)
        # An id that must be given says what is changed.
        if field in _OF_EVERY_MUTATION or (field, str(declared.type)) == ("id", "ID!"):
            continue
        if field != "items":
            yield f"{name}.{field}"
        if isinstance(of, GraphQLInputObjectType) and not of.name.endswith("Filter"):
            yield from _fields(f"{name}.{field}", of)


def _given(name: str, value: Any) -> Iterator[str]:
    """The same of a value that is sent."""
    yield name
    for item in value if isinstance(value, list) else [value]:
        for field, inner in item.items() if isinstance(item, dict) else ():
            yield from _given(f"{name}.{field}", inner)


def _tried(case: Case, input_: dict[str, Any]) -> list[str]:
    """The fields of an input that are looked for."""
    return [
        name
        for name in input_
        if name in (case.only or input_)
        and name not in case.but
        and _full(case, name) not in NOT_KEPT
    ]


def _full(case: Case, name: str) -> str:
    return f"{case.mutation}.items.{name}" if case.items else f"{case.mutation}.{name}"


async def test_each_field_is_tried(world: World) -> None:
    stage = await _stage(world)
    tried = {
        given
        for case in CASES
        for one in case.inputs(stage)
        for name, value in one.items()
        for given in _given(_full(case, name), value)
    }
    fields = {field for name, input_type in _writes() for field in _fields(name, input_type)}
    assert fields - tried - NOT_KEPT.keys() == set()
    assert NOT_KEPT.keys() - fields == set()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.mutation}-{case.path}")
async def test_each_field_is_stored_shown_and_recorded(world: World, case: Case) -> None:
    stage = await _stage(world)
    person = None if case.mutation == "userRegister" else stage.ada
    for wanted in case.inputs(stage):
        made = {} if case.start is None else {"id": await _made(stage, case.start(stage))}
        input_ = wanted | made
        tried = _tried(case, wanted)
        places = {name: _place(case, name) for name in tried}
        reply = await world.run(_document(case, places), person, input=_sent(case, input_))
        shown = _object(case, reply.good[case.mutation])
        row_id = UUID(shown["id"].rpartition("_")[2])
        row = await _row(world, case, row_id)
        events = await _changes(world, row_id)
        for name in tried:
            place, sent = places[name], _plain(_kept(_full(case, name), input_[name]))
            if place.shown is not None:
                assert _plain(shown[name]) == sent, f"{name} in the answer"
            if place.column is not None:
                stored = row[place.column]
                if place.column == "choices":
                    # Those alone that are not as they are by default.
                    choices = stored[_snake(name).upper()]
                    assert choices
                    stored = sent | {camel(channel): on for channel, on in choices.items()}
                if place.column == "scopes":
                    # `tasks:read` is the schema's `TASKS_READ`.
                    stored = [scope.replace(":", "_").upper() for scope in stored]
                assert _plain(stored) == sent, f"{name} in the row"
            if place.change is not None and case.changes:
                assert _plain(events.get(place.change)) == sent, f"{name} in the event"


def _kept(name: str, value: Any) -> Any:
    """A value without its fields that are kept nowhere."""
    if isinstance(value, list):
        return [_kept(name, item) for item in value]
    if not isinstance(value, dict):
        return value
    inner = {field: f"{name}.{field}" for field in value}
    return {
        field: _kept(full, value[field]) for field, full in inner.items() if full not in NOT_KEPT
    }


async def _stage(world: World) -> Stage:
    """Two people who see each other's project, and what they make in it."""
    ada, bob = await world.person(is_admin=True), await world.person()
    project = await world.project(ada, editors=[bob])
    task = await world.task(ada, project_id=project.id)
    above = await world.task(ada, project_id=project.id)
    stage = Stage(world, ada, bob, gid(project), gid(task), gid(above))
    for name in ("p1", "p2"):
        stage.made[name] = gid(await world.project(ada))
    for name in ("t1", "t2"):
        stage.made[name] = gid(await world.task(ada))
    session_id = ada.viewer.session_id
    assert session_id is not None
    stage.made["session"] = ids.encode(models.Session, session_id)
    comment = {"commentCreate": {"taskId": stage.task, "body": "Well?"}}
    stage.made["c1"] = await _made(stage, comment)
    return stage


async def _made(stage: Stage, start: dict[str, Any]) -> str:
    """The id of an object that is made by a mutation."""
    ((mutation, input_),) = start.items()
    case = next(case for case in CASES if case.mutation == mutation)
    reply = await stage.world.run(_document(case, {}), stage.ada, input=input_)
    id_: str = _object(case, reply.good[mutation])["id"]
    return id_


def _sent(case: Case, input_: dict[str, Any]) -> dict[str, Any]:
    return {"items": [input_]} if case.items else input_


def _place(case: Case, name: str) -> Place:
    """Where a field is, unless `ELSEWHERE` says it: `projectId` is `project { id }`."""
    found = ELSEWHERE.get(_full(case, name))
    if found is not None:
        return found
    if name.endswith("Id"):
        relation = name.removesuffix("Id")
        return Place(_snake(name), f"{relation} {{ id }}", relation)
    return Place(_snake(name), name, None if name == "id" else _snake(name))


def _document(case: Case, places: dict[str, Place]) -> str:
    shown = " ".join(f"{name}: {place.shown}" for name, place in places.items() if place.shown)
    selection = f"{{ id {shown} }}"
    for part in reversed(case.path.split(".")):
        selection = f"{{ errors {{ code path message }} {part} {selection} }}"
    input_type = f"{case.mutation[0].upper()}{case.mutation[1:]}Input"
    return f"mutation ($input: {input_type}!) {{ {case.mutation}(input: $input) {selection} }}"


def _object(case: Case, payload: dict[str, Any]) -> dict[str, Any]:
    found: Any = payload
    for part in case.path.split("."):
        found = found[part]
        found = found[0] if isinstance(found, list) else found
    assert isinstance(found, dict)
    return found


async def _row(world: World, case: Case, row_id: UUID) -> dict[str, Any]:
    table = case.model.__table__
    async with world.database.session() as session:
        result = await session.execute(select(table).where(table.c.id == row_id))
        return dict(result.one()._mapping)


async def _changes(world: World, subject_id: UUID) -> dict[str, Any]:
    """What the latest event of a row says it became, by field."""
    async with world.database.session() as session:
        event = await session.scalar(
            select(models.Event)
            .where(models.Event.subject_id == subject_id)
            .order_by(models.Event.position.desc())
            .limit(1)
        )
    return {} if event is None else {change["field"]: change["to"] for change in event.changes}


def _plain(value: Any) -> Any:
    """A value as sent, stored, recorded and shown alike: ids in hexadecimal, moments in UTC, enums
    by name; an object without what is null, and one of one field as that field's value.
    """
    if isinstance(value, str):
        if re.fullmatch(r"[a-z_]+_[0-9a-f]{32}", value):
            return value.rpartition("_")[2]
        is_moment = re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", value)
        return dt.datetime.fromisoformat(value).isoformat() if is_moment else value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        plain = {name: _plain(item) for name, item in value.items() if item is not None}
        return next(iter(plain.values())) if len(plain) == 1 else plain
    for kind, form in _FORMS.items():
        if isinstance(value, kind):
            return form(value)
    return value


_FORMS: dict[type[Any], Callable[[Any], str]] = {
    Enum: lambda value: value.name,
    UUID: lambda value: value.hex,
    dt.datetime: lambda value: value.astimezone(dt.UTC).isoformat(),
    dt.date: lambda value: value.isoformat(),
}
