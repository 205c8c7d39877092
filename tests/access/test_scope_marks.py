"""Texts and numbers of a noun never appear in answers to an API key that may not read the noun.

All objects of a user carry a mark of their noun: unique words and unique numbers. The whole schema
is then read with keys that lack one noun, and with keys that have only one noun, as deeply as they
are allowed to. No mark of another noun may appear in the answers or their cursors. The table of the
scope walk says what a key may read, so a field that is open by mistake is read here too.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from graphql import (
    GraphQLObjectType,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    is_required_argument,
)

import graph.engine
from auth.scopes import NOUNS, SCOPES
from auth.viewer import Viewer
from db import models
from domain.accounts import api_key as api_keys
from graph.core import ids
from graph.request.document_limits import DocumentLimits
from graph.request.execution import Executor
from graph.request.preparation import GraphQLRequest
from graph.schema import schema
from tests.access.test_scope_walk import SCHEMA, missing, needs_of
from tests.accounts import Person
from tests.factories import Reply, World, fresh_id, gid

SECONDS, BYTES, COMMENTS, MINUTES = 48_611, 48_619, 37, 48_623
DUE = "2031-03-07T01:02:03"
ADDRESS = "203.0.113.77"
# By noun: words, in any letter case, and numbers. The account's address is added below.
MARKS: dict[str, list[Any]] = {
    "tasks": ["mark-tasks", DUE.lower(), MINUTES],
    "projects": ["mark-projects", "mrkprj"],
    "comments": ["mark-comments", COMMENTS],
    "files": ["mark-files", BYTES],
    "time": ["mark-time", SECONDS],
    "people": [],
    "reminders": ["mark-reminders"],
    "webhooks": ["mark-webhooks"],
    "integrations": ["mark-integrations"],
    "events": [],
    "notifications": [],
    "admin": [ADDRESS],
    "a session": ["mark-keys", "mark-sessions"],
}
DEPTH = 1
LIMITS = DocumentLimits(*[10**9] * len(dataclasses.fields(DocumentLimits)))


@dataclass(slots=True)
class Scene:
    """The user, and values for required arguments, by root field."""

    world: World
    executor: Executor
    ada: Person
    arguments: dict[str, dict[str, Any]]
    marks: dict[str, list[Any]]


async def _does(world: World, ada: Person, mutation: str, gives: str, **values: Any) -> Any:
    type_ = mutation[0].upper() + mutation[1:] + "Input"
    below = f"{mutation}(input: $input) {{ {gives} errors {{ code message }} }}"
    text = f"mutation ($input: {type_}!) {{ {below} }}"
    return (await world.run(text, ada, input=values)).good[mutation]


@pytest_asyncio.fixture(scope="module")
async def scene(world: World) -> Scene:
    ada, bob = await world.people(2)
    since = (await world.run("{ eventCursor }", ada)).good["eventCursor"]
    project = (
        await _does(
            world, ada, "projectCreate", "project { id }",
            name="mark-projects name", description="mark-projects text", key="MRKPRJ",
        )
    )["project"]["id"]  # fmt: skip
    await _does(
        world, ada, "projectMemberAdd", "projectMember { id }",
        projectId=project, userId=f"@{bob.username}", role="EDITOR",
    )  # fmt: skip
    task = (
        await _does(
            world, ada, "taskCreate", "task { id }",
            projectId=project, title="mark-tasks first", description="mark-tasks text",
            notes="mark-tasks notes", tags=["mark-tasks"], due={"at": f"{DUE}Z"},
            estimate=MINUTES,
        )
    )["task"]["id"]  # fmt: skip
    await _does(world, ada, "taskUpdate", "task { id }", id=task, title="mark-tasks title")
    comment = (
        await _does(
            world, bob, "commentCreate", "comment { id }", taskId=task, body="mark-comments a"
        )
    )["comment"]["id"]
    await _does(world, bob, "commentUpdate", "comment { id }", id=comment, body="mark-comments b")
    start = dt.datetime(2026, 1, 5, 8, tzinfo=dt.UTC)
    entry = (
        await _does(
            world, ada, "timeEntryCreate", "timeEntry { id }",
            projectId=project, taskId=task, description="mark-time", tags=["mark-time"],
            time={"start": {"startedAt": start.isoformat(), "duration": SECONDS}},
        )
    )["timeEntry"]["id"]  # fmt: skip
    reminder = (
        await _does(
            world, ada, "reminderCreate", "reminder { id }",
            taskId=task, rule={"due": {"offset": 0}}, message="mark-reminders",
        )
    )["reminder"]["id"]  # fmt: skip
    webhook = (
        await _does(
            world, ada, "webhookCreate", "webhook { id }", url="https://mark-webhooks.example/x"
        )
    )["webhook"]["id"]
    integration = (
        await _does(
            world, ada, "integrationCreate", "integration { id }",
            projectId=project,
            config={"github": {"repository": "mark-integrations/repo", "token": "x"}},
        )
    )["integration"]["id"]  # fmt: skip
    await _does(world, ada, "apiKeyCreate", "apiKey { id }", name="mark-keys", scopes=["READ"])
    ids_ = await _more_rows(world, ada, bob, _key(task), _key(webhook))
    event = (
        await world.run(
            "query ($id: ID!) { task(id: $id) { activity { nodes { id } } } }", ada, id=task
        )
    ).good["task"]["activity"]["nodes"]
    everything = [task, project, comment, entry, reminder, webhook, integration, *ids_]
    arguments: dict[str, dict[str, Any]] = {
        "task": {"id": task},
        "project": {"id": project},
        "comment": {"id": comment},
        "timeEntry": {"id": entry},
        "attachment": {"id": ids_[0]},
        "reportExport": {"id": ids_[1]},
        "reminder": {"id": reminder},
        "reminderPreview": {"rule": {"daily": {"time": "09:00", "timezone": "UTC"}}},
        "webhook": {"id": webhook},
        "integration": {"id": integration},
        "user": {"id": f"@{ada.username}"},
        "users": {"filter": {"search": ada.username}},
        "search": {"query": "mark"},
        "events": {"after": since},
    }
    for index, one in enumerate([*everything, *(node["id"] for node in event)]):
        arguments[f"node {index}"] = {"id": one}
    marks = {**MARKS, "people": [ada.email.lower()]}
    executor = Executor(schema, engine=graph.engine.execute, limits=LIMITS)
    return Scene(world, executor, ada, arguments, marks)


def _key(id_: str) -> Any:
    return ids.split(id_, ("id",))[1]


async def _more_rows(
    world: World, ada: Person, bob: Person, task_id: Any, webhook_id: Any
) -> list[str]:
    """Rows that would need a worker or many requests: comments, a file, notifications and more."""
    now = dt.datetime.now(dt.UTC)
    both = {"created_at": now, "updated_at": now, "version": 1}
    stored = models.StoredFile(
        id=fresh_id(), uploader_id=ada.id, created_at=now, expires_at=now, task_id=task_id,
        filename="mark-files.txt", size=BYTES, stored_at=now, content_type="text/plain",
        sha256="0" * 64, has_thumbnail=False,
    )  # fmt: skip
    attachment = models.Attachment(
        id=fresh_id(), task_id=task_id, uploader_id=ada.id, file_id=stored.id,
        filename="mark-files.txt", content_type="text/plain", size=BYTES, sha256="0" * 64,
        has_thumbnail=False, created_at=now,
    )  # fmt: skip
    export = models.ReportExport(
        id=fresh_id(), user_id=ada.id, group_by=[], timezone="UTC", filter=None,
        format=models.ExportFormat.CSV, status=models.ExportState.FAILED, **both,
    )  # fmt: skip
    delivery = models.WebhookDelivery(
        id=fresh_id(), webhook_id=webhook_id, event_id=fresh_id(), is_test=False,
        state=models.DeliveryState.DELIVERED, created_at=now, attempt=1, tries=1,
        request_body="mark-comments mark-tasks mark-projects",
        response_body="you sent mark-comments mark-tasks mark-projects",
        scopes=["events:read", "comments:read", "tasks:read", "projects:read"],
    )  # fmt: skip
    older = models.WebhookDelivery(
        id=fresh_id(), webhook_id=webhook_id, event_id=fresh_id(), is_test=False,
        state=models.DeliveryState.DELIVERED, created_at=now, attempt=1, tries=1,
        request_body=" ".join(str(mark) for marks in MARKS.values() for mark in marks[:1]),
    )  # fmt: skip
    attempt = models.WebhookAttempt(
        id=fresh_id(), delivery_id=delivery.id, number=1, attempted_at=now,
        response_body=delivery.response_body, scopes=delivery.scopes,
    )  # fmt: skip
    kinds = models.NotificationKind
    notices = [
        models.Notification(
            id=fresh_id(), recipient_id=ada.id, kind=kind, message=message, task_id=task_id,
            created_at=now, in_app=True, email=False,
        )
        for kind, message in (
            (kinds.REMINDER, "mark-reminders"),
            (kinds.WEBHOOK_DISABLED, "mark-webhooks"),
            (kinds.INTEGRATION_FAILED, "mark-integrations of mark-projects"),
            (kinds.COMMENT_ON_MY_TASK, None),
        )
    ]  # fmt: skip
    session = models.Session(
        id=fresh_id(), user_id=ada.id, created_at=now, updated_at=now, last_used_at=now,
        expires_at=now + dt.timedelta(days=1), device_name="mark-sessions",
    )  # fmt: skip
    event = models.Event(
        id=fresh_id(), at=now, kind="TASK_UPDATED", actor_id=ada.id, subject_type="Task",
        subject_id=task_id, task_id=task_id, project_id=None, audience=[], ip=ADDRESS,
        changes=[{"field": "title", "from": "mark-tasks", "to": "mark-tasks"}],
    )  # fmt: skip
    comments = [
        models.Comment(
            id=fresh_id(), task_id=task_id, author_id=bob.id, body=f"mark-comments {n}", **both
        )
        for n in range(COMMENTS - 1)
    ]
    await world.rows(stored)
    rows = [attachment, export, delivery, attempt, older, session, event, *notices, *comments]
    await world.rows(*rows)
    return [
        gid(attachment),
        gid(export),
        gid(delivery),
        gid(attempt),
        gid(older),
        *map(gid, notices),
    ]


# --- reading -------------------------------------------------------------------------------------


def selection(type_: Any, scopes: set[str], depth: int) -> str:
    """Everything below a type that the table of the walk allows."""
    if is_abstract_type(type_):
        parts = [
            f"... on {one.name} {{ {selection(one, scopes, depth)} }}"
            for one in SCHEMA.get_possible_types(type_)
            if not missing(scopes, needs_of(one.name, "__typename"))
            and one.name != "MutationPayload"
        ]
        return " ".join(["__typename", *parts])
    assert isinstance(type_, GraphQLObjectType)
    listed = type_.name.endswith(("Connection", "Edge")) or type_.name == "PageInfo"
    found = ["__typename"]
    for name, field in type_.fields.items():
        inner = get_named_type(field.type)
        if missing(scopes, needs_of(type_.name, name)) or any(
            is_required_argument(argument) for argument in field.args.values()
        ):
            continue
        if is_leaf_type(inner):
            # Lists and unions have fields of the same name with different types.
            found.append(f"{type_.name}_{name}: {name}")
        elif (listed or depth) and name != "edges":
            if not is_abstract_type(inner) and missing(scopes, needs_of(inner.name, "__typename")):
                continue
            below = selection(inner, scopes, depth if listed else depth - 1)
            found.append(f"{type_.name}_{name}: {name} {{ {below} }}")
        elif name == "edges":
            found.append("edges { cursor }")
    return " ".join(found)


def reads(scene: Scene, scopes: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A document for each root field that a key may read, and for each ordering of its lists."""
    query, viewer = SCHEMA.query_type, SCHEMA.type_map["Viewer"]
    assert query is not None
    assert isinstance(viewer, GraphQLObjectType)
    for document, values in _reads_of(scene, query, scopes):
        yield document, values
    for document, values in _reads_of(scene, viewer, scopes):
        head, _, body = document.partition("{")
        yield f"{head}{{ viewer {{{body} }}", values


def _reads_of(
    scene: Scene, root: GraphQLObjectType, scopes: set[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in root.fields.items():
        if missing(scopes, needs_of(root.name, name)) or name == "nodes":
            continue
        inner = get_named_type(field.type)
        below = "" if is_leaf_type(inner) else f" {{ {selection(inner, scopes, DEPTH)} }}"
        named = scene.arguments if root is SCHEMA.query_type else {}
        given = [values for key, values in named.items() if key.split()[0] == name]
        for values in given:
            yield _asking(name, field, below, values)
        if not given and not any(is_required_argument(one) for one in field.args.values()):
            yield f"{{ {name}{below} }}", {}
        order = field.args.get("orderBy")
        if order is None:
            continue
        type_: Any = get_named_type(order.type)
        for key in type_.fields:
            if not missing(scopes, needs_of(type_.name, key)):
                plain = get_named_type(type_.fields[key].type).name == "SortOrder"
                if plain:
                    pages = "edges { cursor } pageInfo { startCursor endCursor }"
                    yield f"{{ {name}(orderBy: [{{{key}: ASC}}]) {{ {pages} }} }}", {}


def _asking(
    name: str, field: Any, below: str, values: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    variables = ", ".join(f"${key}: {field.args[key].type}" for key in values)
    given = ", ".join(f"{key}: ${key}" for key in values)
    return f"query ({variables}) {{ {name}({given}){below} }}", values


def said(value: Any) -> Iterator[Any]:
    """Every text and number of an answer, including the content of its cursors."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from said(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from said(inner)
    elif isinstance(value, str):
        yield value.lower()
        # Cursors, which are JSON in base64.
        if re.fullmatch(r"WyI[\w-]{10,}", value):
            body = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
            yield from said(json.loads(body)[1:])
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value


def leaks(scene: Scene, answer: Any, scopes: set[str]) -> list[tuple[str, Any]]:
    """The marks in an answer of nouns that the key may not read."""
    forbidden = {
        noun: marks
        for noun, marks in scene.marks.items()
        if noun == "a session" or missing(scopes, frozenset({f"{noun}:read"}))
    }
    found = []
    for one in said(answer):
        for noun, marks in forbidden.items():
            for mark in marks:
                same = (
                    mark in one if isinstance(one, str) and isinstance(mark, str) else one == mark
                )
                if same:
                    found.append((noun, mark))
    return found


async def ask(
    scene: Scene, document: str, person: Person | Viewer, values: dict[str, Any]
) -> Reply:
    """Execute a document that may exceed the limits for clients."""
    context = scene.world.context(person)
    request = GraphQLRequest(query=document, variables=values)
    prepared = await scene.executor.prepare(request, request_id="marks")
    return Reply.of((await scene.executor.execute(prepared, context)).body())


async def viewer_with(scene: Scene, scopes: set[str]) -> Viewer:
    house = scene.world.house
    made = await house.do(scene.ada.viewer, api_keys.create, name="A key", scopes=sorted(scopes))
    viewer = await scene.world.services.authenticator.viewer(f"Bearer {made.key.text}")
    await house.do(scene.ada.viewer, api_keys.revoke, auth=house.auth, key_id=made.row.id)
    return viewer


def all_but(noun: str) -> set[str]:
    return {f"{one}:read" for one in NOUNS if one not in {noun, "admin"}}


# Other nouns refer to these the most; the nightly run tries keys that lack one of the others.
TOLD = {"tasks", "comments"}
KEYS = [
    *({f"{noun}:read"} for noun in NOUNS if noun != "admin"),
    *(all_but(noun) for noun in sorted(TOLD)),
    *(
        pytest.param(all_but(noun), marks=pytest.mark.nightly)
        for noun in (*NOUNS, "nothing")
        if noun not in {*TOLD, "admin"}
    ),
]


@pytest.mark.parametrize("scopes", KEYS, ids=lambda scopes: " ".join(sorted(scopes))[:60])
async def test_no_mark_of_another_noun(scene: Scene, scopes: set[str]) -> None:
    viewer = await viewer_with(scene, scopes)
    count = 0
    for document, values in reads(scene, scopes):
        reply = await ask(scene, document, viewer, values)
        codes = set(reply.codes) - {"FORBIDDEN", "NOT_FOUND"}
        assert not codes, (document, reply.errors[:2])
        body = {"data": reply.data, "errors": reply.errors}
        assert not leaks(scene, body, scopes), document
        count += 1
    assert count > 2


async def test_a_session_finds_all_marks(scene: Scene) -> None:
    """A signed-in user finds every mark; otherwise the test above would pass for another reason."""
    found: set[tuple[str, Any]] = set()
    for document, values in reads(scene, set(SCOPES)):
        if "{ node(" in document:
            continue
        reply = await ask(scene, document, scene.ada, values)
        found.update(leaks(scene, reply.data, set()))
    text = "{ viewer { sessions { nodes { deviceName } } apiKeys { nodes { name } } } }"
    found.update(leaks(scene, (await scene.world.run(text, scene.ada)).data, set()))
    assert {mark for _, mark in found} == {mark for marks in scene.marks.values() for mark in marks}
