"""No concurrent change can come between a check and its change.

Every operation on tasks runs concurrently with every operation that removes what it depends on: the
project, the parent, the membership. Either may come first. Afterwards plain SQL checks that the
tables are consistent, and no client gets a deadlock error.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from db import models
from domain.accounts import api_key
from domain.integrations import webhook
from domain.notifications import device
from domain.tasks import reminder
from domain.time import export
from tests.accounts import Person
from tests.factories import Reply, World, gid

# Refusals that are possible in either order.
FINE = {
    "NOT_FOUND",
    "FORBIDDEN",
    "PROJECT_ARCHIVED",
    "BAD_USER_INPUT",
    "CONFLICT",
    "LIMIT_EXCEEDED",
}


@dataclass(frozen=True)
class Cast:
    """The two users whose operations run concurrently."""

    owner: Person
    editor: Person


@dataclass
class Scene:
    """Two projects of the owner in which the editor creates tasks, and tasks in the first."""

    world: World
    cast: Cast
    project: models.Project
    other: models.Project
    member: str
    parent: models.Task
    child: models.Task
    single: models.Task
    there: models.Task
    trashed: models.Task

    async def run(self, who: Person, mutation: str, /, **fields: Any) -> Reply:
        """A mutation."""
        type_ = mutation[0].upper() + mutation[1:] + "Input"
        payload = (
            "results { errors { code } } errors { code }"
            if "Bulk" in mutation
            else ("errors { code }")
        )
        document = f"mutation ($i: {type_}!) {{ {mutation}(input: $i) {{ {payload} }} }}"
        return await self.world.run(document, who, i=fields)


Act = Callable[[Scene], Awaitable[Reply]]


def _as(who: str, mutation: str, **fields: Callable[[Scene], Any]) -> Act:
    async def act(s: Scene) -> Reply:
        given = {name: value(s) for name, value in fields.items()}
        return await s.run(getattr(s.cast, who), mutation, **given)

    return act


def _key(_: Scene) -> str:
    return secrets.token_hex(8)


def _items(item: Callable[[Scene], dict[str, Any]]) -> Callable[[Scene], Any]:
    return lambda s: [item(s), {"title": "personal"}]


OPERATIONS: dict[str, Act] = {
    "create with a key": _as(
        "editor",
        "taskCreate",
        title=lambda _: "x",
        projectId=lambda s: gid(s.project),
        idempotencyKey=_key,
    ),
    "create for oneself": _as(
        "editor",
        "taskCreate",
        title=lambda _: "x",
        projectId=lambda s: gid(s.project),
        assigneeId=lambda s: gid(s.cast.editor),
    ),
    "create below": _as(
        "editor", "taskCreate", title=lambda _: "x", parentId=lambda s: gid(s.parent)
    ),
    "create in bulk": _as(
        "editor",
        "taskBulkCreate",
        items=_items(lambda s: {"title": "x", "projectId": gid(s.project)}),
        onError=lambda _: "CONTINUE",
    ),
    "create below in bulk": _as(
        "editor",
        "taskBulkCreate",
        items=_items(lambda s: {"title": "x", "parentId": gid(s.parent)}),
        onError=lambda _: "CONTINUE",
    ),
    "nest": _as(
        "editor", "taskUpdate", id=lambda s: gid(s.single), parentId=lambda s: gid(s.parent)
    ),
    "edit": _as("editor", "taskUpdate", id=lambda s: gid(s.child), title=lambda _: "y"),
    "edit in bulk": _as(
        "editor",
        "taskBulkUpdate",
        items=lambda s: [
            {"id": gid(s.child), "assigneeId": gid(s.cast.editor)},
            {"id": gid(s.single), "title": "y"},
        ],
    ),
    "assign": _as(
        "owner", "taskAssign", id=lambda s: gid(s.child), assigneeId=lambda s: gid(s.cast.editor)
    ),
    "move in": _as(
        "editor", "taskMove", id=lambda s: gid(s.there), projectId=lambda s: gid(s.project)
    ),
    "restore": _as("owner", "taskRestore", id=lambda s: gid(s.trashed)),
    "comment": _as("editor", "commentCreate", taskId=lambda s: gid(s.child), body=lambda _: "x"),
    "track time": _as(
        "editor",
        "timeEntryCreate",
        taskId=lambda s: gid(s.child),
        time=lambda _: {"start": {"startedAt": "2026-01-05T09:00:00Z", "duration": 3600}},
    ),
    "remind": _as(
        "editor",
        "reminderCreate",
        taskId=lambda s: gid(s.child),
        rule=lambda _: {"once": {"at": "2099-01-01T00:00:00Z"}},
        channels=lambda _: ["IN_APP"],
    ),
    "share": _as(
        "owner",
        "taskShareCreate",
        taskId=lambda s: gid(s.child),
        userId=lambda s: gid(s.cast.editor),
    ),
}

STRUCTURAL: dict[str, Act] = {
    "projectDelete": _as("owner", "projectDelete", id=lambda s: gid(s.project)),
    "projectArchive": _as("owner", "projectArchive", id=lambda s: gid(s.project)),
    "taskDelete": _as("owner", "taskDelete", id=lambda s: gid(s.parent)),
    "taskBulkDelete": _as(
        "owner",
        "taskBulkDelete",
        items=lambda s: [{"id": gid(s.single)}, {"id": gid(s.parent), "subtasks": "MOVE_UP"}],
    ),
    "taskMove": _as(
        "owner", "taskMove", id=lambda s: gid(s.parent), projectId=lambda s: gid(s.other)
    ),
    "taskUpdate": _as(
        "owner", "taskUpdate", id=lambda s: gid(s.parent), parentId=lambda s: gid(s.single)
    ),
    "projectMemberRemove": _as("owner", "projectMemberRemove", id=lambda s: s.member),
}

# What the tables must not contain, in either order.
IMPOSSIBLE = {
    "an undeleted task in a deleted project": """
        SELECT task.id FROM tasks task JOIN projects project ON project.id = task.project_id
        WHERE project.id = ANY(:projects)
          AND project.deleted_at IS NOT NULL AND task.deleted_at IS NULL
    """,
    "an undeleted task below a deleted one": """
        SELECT task.id FROM tasks task JOIN tasks parent ON parent.id = task.parent_id
        WHERE task.project_id = ANY(:projects)
          AND parent.deleted_at IS NOT NULL AND task.deleted_at IS NULL
    """,
    "a task in another project than its parent": """
        SELECT task.id FROM tasks task JOIN tasks parent ON parent.id = task.parent_id
        WHERE task.project_id = ANY(:projects) AND parent.project_id <> task.project_id
    """,
    "a root that is not the topmost task": """
        SELECT task.id FROM tasks task JOIN tasks parent ON parent.id = task.parent_id
        WHERE task.project_id = ANY(:projects)
          AND task.root_id <> coalesce(parent.root_id, parent.id)
    """,
    "four levels": """
        SELECT task.id FROM tasks task
        JOIN tasks a ON a.id = task.parent_id JOIN tasks b ON b.id = a.parent_id
        JOIN tasks c ON c.id = b.parent_id WHERE task.project_id = ANY(:projects)
    """,
    "something that happened in a project after it was archived": """
        SELECT late.id FROM events late JOIN events end_ ON end_.project_id = late.project_id
        WHERE late.project_id = ANY(:projects) AND end_.kind = 'PROJECT_ARCHIVED'
          AND late.position > end_.position
          -- It can still be deleted, and its members can still go, with their assignments.
          AND late.kind NOT IN ('PROJECT_DELETED', 'PROJECT_MEMBER_REMOVED', 'ACCESS_LOST')
          AND NOT (late.kind = 'TASK_ASSIGNED' AND late.changes -> 0 ->> 'to' IS NULL)
    """,
    "something that happened in a project after it was deleted": """
        SELECT late.id FROM events late JOIN events end_ ON end_.project_id = late.project_id
        WHERE late.project_id = ANY(:projects) AND end_.kind = 'PROJECT_DELETED'
          AND late.position > end_.position AND late.kind <> 'ACCESS_LOST'
          -- Its tasks go with it.
          AND NOT (late.kind = 'TASK_DELETED' AND late.xid = end_.xid)
    """,
    "an act of a member after they were removed": """
        SELECT late.id FROM events late JOIN events end_ ON end_.project_id = late.project_id
        WHERE late.project_id = ANY(:projects) AND end_.kind = 'PROJECT_MEMBER_REMOVED'
          AND late.position > end_.position AND late.actor_id = :editor
    """,
    "a task that is assigned to a removed member and not shared with them": """
        SELECT task.id FROM tasks task JOIN events end_ ON end_.project_id = task.project_id
        WHERE task.project_id = ANY(:projects) AND end_.kind = 'PROJECT_MEMBER_REMOVED'
          AND task.assignee_id = :editor
          AND NOT EXISTS (
            SELECT FROM events again WHERE again.task_id = task.id
              AND again.position > end_.position AND again.kind = 'TASK_ASSIGNED'
              AND again.actor_id = :owner)
    """,
}


@pytest_asyncio.fixture(scope="module")
async def cast(world: World) -> Cast:
    return Cast(*await world.people(2))


async def _scene(world: World, cast: Cast) -> Scene:
    owner, editor = cast.owner, cast.editor
    project = await world.project(owner, editors=[editor])
    other = await world.project(owner, editors=[editor])
    parent = await world.task(owner, "parent", project_id=project.id)
    child = await world.task(owner, "child", project_id=project.id, parent_id=parent.id)
    single = await world.task(owner, "single", project_id=project.id)
    there = await world.task(owner, "there", project_id=other.id)
    trashed = await world.task(owner, "trashed", project_id=project.id, parent_id=parent.id)
    async with world.database.session() as session:
        member = await session.scalar(
            text("SELECT id FROM project_members WHERE project_id = :p AND user_id = :u"),
            {"p": project.id, "u": editor.id},
        )
    made = Scene(
        world, cast, project, other, f"member_{member.hex}", parent, child, single, there, trashed
    )
    assert (await made.run(owner, "taskDelete", id=gid(trashed))).codes == []
    return made


async def _meet(s: Scene, operation: Act, structural: Act, seed: int) -> None:
    """Run both concurrently, and then check the tables."""
    chance = random.Random(seed)

    async def soon(act: Act) -> Reply:
        await asyncio.sleep(chance.random() * 0.006)
        return await act(s)

    replies = await asyncio.gather(soon(operation), soon(structural))
    for reply in replies:
        assert reply.errors == [], reply.errors
        assert set(reply.codes) <= FINE, reply.codes
    params = {
        "projects": [s.project.id, s.other.id],
        "editor": s.cast.editor.id,
        "owner": s.cast.owner.id,
    }
    async with s.world.database.session() as session:
        for what, query in IMPOSSIBLE.items():
            rows = (await session.execute(text(query), params)).all()
            assert not rows, what


async def _rounds(world: World, cast: Cast, name: str, rounds: int) -> None:
    for seed in range(rounds):
        for operation, act in OPERATIONS.items():
            try:
                await _meet(await _scene(world, cast), act, STRUCTURAL[name], seed)
            except AssertionError as error:
                raise AssertionError(f"{operation} beside {name}: {error}") from error


@pytest.mark.parametrize("name", STRUCTURAL)
async def test_concurrent_pairs_of_operations(world: World, cast: Cast, name: str) -> None:
    await _rounds(world, cast, name, 1)


@pytest.mark.nightly
@pytest.mark.parametrize("name", STRUCTURAL)
async def test_concurrent_pairs_of_operations_many_times(
    world: World, cast: Cast, name: str
) -> None:
    await _rounds(world, cast, name, 40)


@pytest.mark.nightly
@pytest.mark.parametrize("name", STRUCTURAL)
async def test_concurrent_structural_operations(world: World, cast: Cast, name: str) -> None:
    for seed in range(20):
        for act in STRUCTURAL.values():
            await _meet(await _scene(world, cast), act, STRUCTURAL[name], seed)


MOST = 2
LIMITED: dict[str, tuple[Any, str, str, Callable[[int], dict[str, Any]]]] = {
    "apiKeyCreate": (
        api_key,
        "MOST_KEYS",
        "api_keys",
        lambda n: {"name": f"key {n}", "scopes": ["READ"]},
    ),
    "deviceCreate": (
        device,
        "MAX_DEVICES",
        "devices",
        lambda n: {"target": {"token": f"{secrets.token_hex(16)}{n}"}, "platform": "ANDROID"},
    ),
    "webhookCreate": (
        webhook,
        "MAX_WEBHOOKS",
        "webhooks",
        lambda n: {"url": f"https://example.com/{n}"},
    ),
    "reminderCreate": (
        reminder,
        "MAX_REMINDERS",
        "reminders",
        lambda n: {
            "message": f"{n}",
            "rule": {"once": {"at": "2099-01-01T00:00:00Z"}},
            "channels": ["IN_APP"],
        },
    ),
    "reportExportCreate": (
        export,
        "MAX_UNFINISHED",
        "report_exports",
        lambda _: {"format": "CSV"},
    ),
}


@pytest.mark.parametrize("mutation", LIMITED)
async def test_limits_hold_for_concurrent_requests(
    world: World, mutation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, limit, table, fields = LIMITED[mutation]
    monkeypatch.setattr(module, limit, MOST)
    person = await world.person()
    type_ = mutation[0].upper() + mutation[1:] + "Input"
    document = f"mutation ($i: {type_}!) {{ {mutation}(input: $i) {{ errors {{ code }} }} }}"
    replies = await asyncio.gather(
        *(world.run(document, person, i=fields(n)) for n in range(MOST + 4))
    )
    codes = sorted(code for reply in replies for code in reply.codes)
    assert codes == ["LIMIT_EXCEEDED"] * 4
    async with world.database.session() as session:
        count = await session.scalar(
            text(f"SELECT count(*) FROM {table} WHERE user_id = :id"),
            {"id": person.id},
        )
    assert count == MOST
