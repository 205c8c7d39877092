"""The last value that a limit allows is accepted, and the next one is not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from db import models
from db.models import Connector, IntegrationStatus, RuleKind
from tests import uploads
from tests.accounts import Person
from tests.factories import World, fresh_id, gid, missing

# --- how many there may be -----------------------------------------------------------------------

NEW = {"created_at": dt.datetime.now(dt.UTC), "updated_at": dt.datetime.now(dt.UTC), "version": 1}


def device(ada: Person, number: int) -> models.Device:
    return models.Device(
        id=fresh_id(), user_id=ada.id, token=f"{ada.username}-{number}", platform="WEB",
        created_at=NEW["created_at"], seen_at=NEW["created_at"], name="Browser",
    )  # fmt: skip


def api_key(ada: Person, number: int) -> models.ApiKey:
    return models.ApiKey(
        **NEW, id=fresh_id(), user_id=ada.id, name="A key", prefix="tl_", scopes=["read"],
        hash=f"{ada.username}-{number}".encode(),
    )  # fmt: skip


def reminder(ada: Person, number: int) -> models.Reminder:
    return models.Reminder(
        **NEW, id=fresh_id(), user_id=ada.id, kind=RuleKind.DAILY, channels=["IN_APP"],
        rule={"time": "09:00", "timezone": "UTC"}, message=f"No. {number}", is_enabled=False,
    )  # fmt: skip


DEVICE = """mutation ($input: DeviceCreateInput!) {
  deviceCreate(input: $input) { device { id } errors { code } }
}"""
API_KEY = """mutation ($input: ApiKeyCreateInput!) {
  apiKeyCreate(input: $input) { apiKey { id } errors { code } }
}"""
REMINDER = """mutation ($input: ReminderCreateInput!) {
  reminderCreate(input: $input) { reminder { id } errors { code } }
}"""


@pytest.mark.parametrize(
    ("make", "most", "create", "values"),
    [
        (device, 50, DEVICE, {"platform": "WEB", "target": lambda: {"token": fresh_id().hex}}),
        (api_key, 50, API_KEY, {"name": "Another", "scopes": ["READ"]}),
        (
            reminder,
            1000,
            REMINDER,
            {"message": "One more", "rule": {"daily": {"time": "09:00", "timezone": "UTC"}}},
        ),
    ],
    ids=["devices", "keys", "reminders"],
)
async def test_there_are_so_many_and_no_more(
    world: World, make: Callable[[Person, int], Any], most: int, create: str, values: dict[str, Any]
) -> None:
    ada, ben = await world.people(2)
    # One too many were there if those of others were counted.
    await world.rows(*(make(ada, number) for number in range(most - 1)), make(ben, 0))
    codes = []
    for _ in range(2):
        given = {name: value() if callable(value) else value for name, value in values.items()}
        codes.append((await world.post(create, ada, input=given)).codes)
    assert codes == [[], ["LIMIT_EXCEEDED"]]


async def test_a_known_device_is_none_more(world: World) -> None:
    ada = await world.person()
    await world.rows(*(device(ada, number) for number in range(50)))
    values = {"platform": "WEB", "target": {"token": f"{ada.username}-7"}, "name": "renamed"}
    assert (await world.run(DEVICE, ada, input=values)).good


async def test_there_are_fifty_integrations_and_no_more(world: World) -> None:
    ada = await world.person()
    project = await world.project(ada)
    await world.rows(
        *(
            models.Integration(
                **NEW,
                id=fresh_id(),
                user_id=ada.id,
                project_id=project.id,
                settings={},
                connector=Connector.SLACK,
                credentials=b"",
                status=IntegrationStatus.ACTIVE,
            )
            for _ in range(49)
        )
    )
    connect = """mutation ($input: IntegrationCreateInput!) {
      integrationCreate(input: $input) { integration { id } errors { code } }
    }"""
    values = {
        "projectId": gid(project),
        "config": {"slack": {"webhookUrl": "https://hooks.example.com/x/y/z"}},
    }  # fmt: skip
    replies = [await world.run(connect, ada, input=values) for _ in range(2)]
    assert [reply.codes for reply in replies] == [[], ["LIMIT_EXCEEDED"]]


@pytest.mark.parametrize(("count", "codes"), [(200, []), (201, ["BAD_USER_INPUT"])])
async def test_people_of_a_repository(world: World, count: int, codes: list[str]) -> None:
    ada = await world.person()
    project = await world.project(ada)
    connect = """mutation ($input: IntegrationCreateInput!) {
      integrationCreate(input: $input) { integration { id } errors { code } }
    }"""
    people = [{"login": f"login-{number}", "userId": gid(ada)} for number in range(count)]
    github = {"repository": "octocat/hello-world", "token": "ghp_1", "assignees": people}
    values = {"projectId": gid(project), "config": {"github": github}}
    assert (await world.run(connect, ada, input=values)).codes == codes


async def attachments(world: World, ada: Person, task: models.Task, count: int) -> None:
    """A task with so many files, whose bytes nobody asks for."""
    files = [
        models.StoredFile(
            id=fresh_id(),
            uploader_id=ada.id,
            created_at=NEW["created_at"],
            expires_at=NEW["created_at"],
        )
        for _ in range(count)
    ]
    attached = [
        models.Attachment(
            id=fresh_id(),
            task_id=task.id,
            uploader_id=ada.id,
            file_id=file.id,
            filename="a.txt",
            content_type="text/plain",
            size=5,
            sha256="",
            has_thumbnail=False,
            created_at=NEW["created_at"],
        )
        for file in files
    ]
    await world.rows(*files, *attached)


async def test_a_task_has_200_files_and_no_more_by_either_way(world: World) -> None:
    ada = await world.person()
    full, nearly = [await world.task(ada) for _ in range(2)]
    await attachments(world, ada, full, 200)
    await attachments(world, ada, nearly, 199)
    replies = [
        await uploads.attach(world.http, ada, gid(task), "a.txt", b"words")
        for task in (full, nearly, nearly)
    ]
    assert [reply.codes for reply in replies] == [["LIMIT_EXCEEDED"], [], ["LIMIT_EXCEEDED"]]
    values = {"taskId": gid(full), "filename": "a.txt", "byteSize": 5}
    started = (await world.post(uploads.START, ada, input=values)).good["attachmentUploadStart"]
    await world.http.put(uploads.local(started["upload"]["url"]), content=b"words")
    reply = await world.post(uploads.FINISH, ada, input={"uploadId": started["upload"]["id"]})
    assert reply.codes == ["LIMIT_EXCEEDED"]


# --- how much may be asked for at once -----------------------------------------------------------


def tasks(count: int) -> list[str]:
    """Ids of tasks that there are not."""
    return [missing(f"task_{fresh_id().hex}") for _ in range(count)]


def wide(count: int) -> dict[str, Any]:
    """A filter of 100 or 101 criteria; a filter within another is one, and so is its comparison."""
    more = {"title": {"in": ["a"]}, "priority": {"in": ["LOW"]}}
    either = [{"title": {"eq": str(number)}} for number in range(49)]
    return {"or": either, **dict(list(more.items())[: count - 99])}


KEYS = ("createdAt", "updatedAt", "completedAt", "dueAt", "startAt", "title")


@pytest.mark.parametrize(
    ("most", "query", "variables"),
    [
        (100, "query ($x: [ID!]!) { nodes(ids: $x) { id } }", tasks),
        (100, "query ($x: Int) { tasks(first: $x) { totalCount } }", int),
        (100, "query ($x: Int) { tasks(last: $x) { totalCount } }", int),
        (100, "query ($x: Int) { events(after: $cursor, first: $x) { nodes { id } } }", int),
        (
            1000,
            """query ($x: [ID!]) {
              events(after: $cursor, filter: {task: {id: {in: $x}}}) { nodes { id } }
            }""",
            tasks,
        ),
        (
            1000,
            "query ($x: [String!]) { tasks(filter: {title: {in: $x}}) { totalCount } }",
            lambda count: [str(number) for number in range(count)],
        ),
        (100, "query ($x: TaskFilter) { tasks(filter: $x) { totalCount } }", wide),
        (
            5,
            "query ($x: [TaskOrder!]) { tasks(orderBy: $x) { totalCount } }",
            lambda count: [{key: "ASC"} for key in KEYS[:count]],
        ),
        (
            100,
            """query ($x: Int) {
              reminderPreview(rule: {daily: {time: "09:00", timezone: "UTC"}}, first: $x)
            }""",
            int,
        ),
        (
            10,
            "query ($x: String!) { search(query: $x) { nodes { __typename } } }",
            lambda count: " ".join(f"word{number}" for number in range(count)),
        ),
        (
            100,
            """mutation ($x: [ID!]!) {
              notificationMarkRead(input: {ids: $x}) { errors { code } }
            }""",
            lambda count: [missing(f"notification_{fresh_id().hex}") for _ in range(count)],
        ),
        (
            255,
            """mutation ($x: String!) {
              taskCreate(input: {title: "A task", idempotencyKey: $x}) { errors { code } }
            }""",
            lambda count: "k" * count,
        ),
    ],
    ids=[
        "nodes", "first", "last", "changes", "tasks of changes", "values", "criteria", "orderings",
        "runs of a reminder", "words", "notifications", "idempotency key",
    ],
)  # fmt: skip
async def test_so_much_is_asked_for_at_once_and_no_more(
    world: World, most: int, query: str, variables: Callable[[int], Any]
) -> None:
    ada = await world.person()
    cursor = (await world.run("{ eventCursor }", ada)).good["eventCursor"]
    document = query.replace("$cursor", f'"{cursor}"')
    allowed = await world.run(document, ada, x=variables(most))
    # Whether there is what is asked for is another matter.
    assert set(allowed.codes) <= {"NOT_FOUND"}, allowed
    assert (await world.run(document, ada, x=variables(most + 1))).codes == ["BAD_USER_INPUT"]
