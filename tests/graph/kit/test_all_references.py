"""Every reference of an input that leads nowhere is said at once, together with bad values.

The inputs are generated from the schema: every field of the type ID, and every username, names
something that is not there, or that somebody else alone may see. What each field names is written
down here by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from graphql import get_named_type, is_input_object_type, is_list_type, is_non_null_type

from db import models
from graph.core import ids
from tests.accounts import Person
from tests.factories import World, fresh_id, gid
from tests.graph.kit.test_all_problems import (
    BAD_BY_NAME,
    BAD_BY_TYPE,
    BULK,
    LEFT_OUT,
    MUTATIONS,
)

# What a field names, by its own name or by its input's as well; `id` by the mutation's noun.
NAMED: dict[str, type[Any]] = {
    "projectId": models.Project,
    "projectIds": models.Project,
    "parentId": models.Task,
    "CommentCreateInput.parentId": models.Comment,
    "taskId": models.Task,
    "TaskPlacementInput.before": models.Task,
    "TaskPlacementInput.after": models.Task,
    "assigneeId": models.User,
    "userId": models.User,
    "transferToId": models.User,
    "uploadId": models.StoredFile,
    "ids": models.Notification,
}
NOUNS: dict[str, type[Any]] = {
    "taskShare": models.TaskShare,
    "task": models.Task,
    "timeEntry": models.TimeEntry,
    "timer": models.TimeEntry,
    "reportExport": models.ReportExport,
    "comment": models.Comment,
    "attachment": models.Attachment,
    "projectMember": models.ProjectMember,
    "project": models.Project,
    "adminUser": models.User,
    "user": models.User,
    "session": models.Session,
    "apiKey": models.ApiKey,
    "device": models.Device,
    "reminder": models.Reminder,
    "webhookDelivery": models.WebhookDelivery,
    "webhook": models.Webhook,
    "integration": models.Integration,
    "adminJob": models.Job,
}
# Here `id` is that of what is made.
MAKES = {
    "taskCreate",
    "taskBulkCreate",
    "timerStart",
    "timeEntryCreate",
    "timeEntryBulkCreate",
    "commentCreate",
    "attachmentUploadFinish",
    "projectCreate",
    "reminderCreate",
}
# An export's file comes in another way, and a job is an administrator's.
APART = {"attachmentUpload"}
GOOD: dict[str, Any] = {
    "title": "A title",
    "name": "A name",
    "body": "Some words",
    "filename": "a.txt",
    "byteSize": 1,
    "tags": ["a"],
    "role": "EDITOR",
    "scopes": ["TASKS_READ"],
    "password": "not their Password 5",
    "rule": {"daily": {"time": "10:00", "timezone": "UTC"}},
    "after": "2026-01-01T00:00:00Z",
    "before": "2026-01-02T00:00:00Z",
    "message": "Some words",
    "repository": "octocat/hello",
    "login": "octocat",
    "config": {
        "github": {
            "repository": "octocat/hello",
            "token": "a-token",
            "assignees": [{"login": "octocat", "userId": f"user_{fresh_id().hex}"}],
        }
    },
}
# No value of these breaks a rule by itself.
LOOKED_UP = {"password", "token"}
# What another value of the input cannot be judged without.
GIVEN = {"from", "to"}
Place = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """An input whose references lead nowhere, and where these and its bad values are."""

    mutation: str
    type: str
    value: dict[str, Any]
    references: list[Place]
    places: list[Place]

    @property
    def document(self) -> str:
        asked = "{ errors { code path message } }"
        return f"mutation ($input: {self.type}!) {{ it: {self.mutation}(input: $input) {asked} }}"


def named(mutation: str, owner: str, field: str) -> type[Any] | None:
    """What a field of the type ID names; None for something new."""
    if field != "id":
        return NAMED.get(f"{owner}.{field}", NAMED.get(field))
    if mutation in MAKES:
        return None
    return next(model for noun, model in NOUNS.items() if mutation.startswith(noun))


def missing(model: type[Any]) -> str:
    return ids.encode(model, fresh_id())


def filled(mutation: str, type_: Any, dropped: set[str], *, bad: bool) -> Case:
    """An input whose references lead nowhere; its other values are bad, or left out if they may."""
    case = Case(mutation, type_.name, {}, [], [])
    for name, field in type_.fields.items():
        if name in dropped or name in LEFT_OUT or name == "ifVersion":
            continue
        kind = get_named_type(field.type)
        required = is_non_null_type(field.type)
        is_list = is_list_type(field.type.of_type if required else field.type)
        is_id = kind.name == "ID"
        model = named(mutation, type_.name, name) if is_id else None
        at: Place = (name, "0") if is_list else (name,)
        if model is not None:
            value = missing(model)
            case.value[name] = [value] if is_list else value
            case.references.append(at)
        elif name == "items":
            inner = filled(mutation, kind, dropped, bad=bad)
            case.value[name] = [inner.value]
            case.references.extend((*at, *place) for place in inner.references)
            case.places.extend((*at, *place) for place in inner.places)
            continue
        elif name == "place":
            inner = filled(mutation, kind, dropped, bad=bad)
            case.value[name] = inner.value
            case.references.extend((name, *place) for place in inner.references)
            case.places.extend((name, *place) for place in inner.places)
            continue
        elif name == "config":
            case.value[name] = GOOD[name]
            case.references.append((name, "github", "assignees", "0", "userId"))
            at = case.references[-1]
        elif bad and name == "idempotencyKey":
            if mutation in BULK:
                # It is about the whole, which is refused before any item is looked at.
                continue
            case.value[name] = ""
        elif bad and name not in LOOKED_UP | GIVEN and kind.name in BAD_BY_TYPE and not is_list:
            case.value[name] = BAD_BY_NAME.get(name, BAD_BY_TYPE[kind.name])
        elif name == "time" and (bad or required):
            case.value[name] = {"day": {"day": "2026-01-05", "duration": -1 if bad else 60}}
            if not bad:
                continue
            at = (name, "day", "duration")
        elif required and name in GOOD:
            case.value[name] = GOOD[name]
            continue
        else:
            continue
        case.places.append(at)
    return case


def has_references(type_: Any) -> bool:
    return any(
        get_named_type(field.type).name == "ID"
        or (
            is_input_object_type(get_named_type(field.type))
            and name not in LEFT_OUT
            and has_references(get_named_type(field.type))
        )
        for name, field in type_.fields.items()
    )


def cases() -> Iterator[Any]:
    for name, field in MUTATIONS.items():
        type_ = get_named_type(field.args["input"].type)
        if name in APART or not has_references(type_):
            continue
        either = [{"taskId", "projectId"}] if name == "reminderCreate" else []
        items = type_.fields.get("items")
        fields = set(get_named_type(items.type).fields if items else type_.fields)
        if "place" in fields:
            fields |= {"before", "after"}
            either.append({"before", "after"})
        pairs = [pair for pair in either if pair <= fields]
        for bad in (False, True):
            for number, choice in enumerate((min, max) if pairs else (min,)):
                dropped = {choice(pair) for pair in pairs}
                case = filled(name, type_, dropped, bad=bad)
                if case.references:
                    yield pytest.param(case, id=f"{name}-{number}{'-and-values' if bad else ''}")


@pytest_asyncio.fixture(scope="module")
async def admin(world: World) -> Person:
    return await world.person(is_admin=True)


@pytest.mark.parametrize("case", list(cases()))
async def test_every_reference_that_leads_nowhere_is_reported(
    world: World, admin: Person, case: Case
) -> None:
    reply = await world.post(case.document, admin, input=case.value)
    assert not reply.errors, reply.errors
    errors = reply.data["it"]["errors"]
    found = [tuple(error["path"][1:]) for error in errors]
    # What else is wrong with what was left out is of no matter here.
    assert [place for place in found if place in case.places] == case.places, errors
    for error in errors:
        if tuple(error["path"][1:]) in case.references:
            assert error["code"] == "NOT_FOUND", error


@pytest_asyncio.fixture(scope="module")
async def eve(world: World) -> Person:
    return await world.person()


@pytest_asyncio.fixture(scope="module")
async def hidden(world: World) -> dict[str, str]:
    """Ids of somebody's own things, by prefix."""
    ada = await world.person()
    bob = await world.person()
    project = await world.project(ada, editors=[bob])
    task = await world.task(ada, project_id=project.id)
    share = await world.share(task, bob)
    made = await world.post(MADE, ada, task=gid(task), project=gid(project))
    data = made.good
    return {
        "project": gid(project),
        "task": gid(task),
        "share": gid(share),
        "member": data["project"]["project"]["members"]["nodes"][0]["id"],
        "comment": data["comment"]["comment"]["id"],
        "time_entry": data["entry"]["timeEntry"]["id"],
        "reminder": data["reminder"]["reminder"]["id"],
        "upload": data["upload"]["upload"]["id"],
    }


MADE = """
mutation ($task: ID!, $project: ID!) {
  comment: commentCreate(input: {taskId: $task, body: "x"}) { comment { id } errors { code } }
  entry: timerStart(input: {taskId: $task}) { timeEntry { id } errors { code } }
  reminder: reminderCreate(
    input: {taskId: $task, rule: {daily: {time: "10:00", timezone: "UTC"}}}
  ) { reminder { id } errors { code } }
  upload: attachmentUploadStart(
    input: {taskId: $task, filename: "a.txt", byteSize: 1}
  ) { upload { id } errors { code } }
  project: projectUpdate(input: {id: $project}) {
    project { id members(first: 1) { nodes { id } } } errors { code }
  }
}
"""


@pytest.mark.parametrize("case", [case for case in cases() if "-0" in str(case.id)])
async def test_what_is_hidden_is_answered_as_what_is_not_there(
    world: World, eve: Person, hidden: dict[str, str], case: Case
) -> None:
    text = re.sub(
        r"\b([a-z_]+)_[0-9a-f]{32}",
        lambda found: hidden.get(found[1], found[0]),
        json.dumps(case.value),
    )
    unknown = await world.post(case.document, eve, input=case.value)
    invisible = await world.post(case.document, eve, input=json.loads(text))
    assert not unknown.errors, unknown.errors
    assert invisible.data == unknown.data


# --- beside the generated ones -------------------------------------------------------------------

BULK_CREATE = """
mutation ($input: TaskBulkCreateInput!) { it: taskBulkCreate(input: $input) {
  doneCount replayed errors { code path } } }
"""


async def test_an_id_that_is_taken_is_said_with_the_rest(world: World, eve: Person) -> None:
    task = await world.task(eve)
    given = {
        "id": gid(task),
        "title": "",
        "assigneeId": missing(models.User),
        "projectId": missing(models.Project),
    }
    create = "mutation ($input: TaskCreateInput!) { it: taskCreate(input: $input) { %s } }"
    reply = await world.post(create % "errors { code path }", eve, input=given)
    assert [(error["code"], error["path"][-1]) for error in reply.data["it"]["errors"]] == [
        ("BAD_USER_INPUT", "title"),
        ("ALREADY_EXISTS", "id"),
        ("NOT_FOUND", "projectId"),
        ("NOT_FOUND", "assigneeId"),
    ]


@pytest.mark.parametrize("on_error", ["ROLLBACK", "CONTINUE"])
async def test_items_of_a_bulk_are_judged_by_themselves(
    world: World, eve: Person, on_error: str
) -> None:
    project = await world.project(eve)
    good = missing(models.Task)
    items = [
        {"title": "good", "id": good, "projectId": gid(project)},
        # It names the one before, which is not there yet.
        {"title": "", "parentId": good, "assigneeId": missing(models.User)},
        {"title": "good", "projectId": gid(project), "assigneeId": missing(models.User)},
        {"title": "", "projectId": gid(project)},
    ]
    given = {"items": items, "onError": on_error, "idempotencyKey": fresh_id().hex}
    expected = [
        ("BAD_USER_INPUT", ["input", "items", "1", "title"]),
        ("NOT_FOUND", ["input", "items", "1", "assigneeId"]),
        ("NOT_FOUND", ["input", "items", "2", "assigneeId"]),
        ("BAD_USER_INPUT", ["input", "items", "3", "title"]),
    ]
    for replayed in (False, on_error == "CONTINUE"):
        reply = await world.post(BULK_CREATE, eve, input=given)
        data = reply.data["it"]
        assert [(error["code"], error["path"]) for error in data["errors"]] == expected
        assert (data["doneCount"], data["replayed"]) == (int(on_error == "CONTINUE"), replayed)


async def test_a_list_that_is_too_long_is_one_problem(world: World, eve: Person) -> None:
    ids_ = [missing(models.Notification) for _ in range(101)]
    mark = "mutation ($ids: [ID!]!) { it: notificationMarkRead(input: {ids: $ids}) { %s } }"
    reply = await world.post(mark % "errors { code path }", eve, ids=ids_)
    assert reply.data["it"]["errors"] == [{"code": "BAD_USER_INPUT", "path": ["input", "ids"]}]


async def test_who_may_not_do_it_at_all_is_told_that_alone(world: World, eve: Person) -> None:
    retry = "mutation ($id: ID!) { it: adminJobRetry(input: {id: $id}) { errors { code path } } }"
    reply = await world.post(retry, eve, id=missing(models.Job))
    assert [error["code"] for error in reply.data["it"]["errors"]] == ["FORBIDDEN"]
