"""Users who lose access to a task are notified, and their statistics are correct at once.

Every case is a change after which a user sees fewer tasks (or more). Before it, statistics are read
until they are cached. After it, they must agree with the list, the log must name each lost task,
and an open subscription must have delivered it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import func, select, update

from auth.request import RequestInfo
from auth.viewer import NOBODY
from db import models
from db.models import Permission
from domain import trash
from domain.tasks import share as shares
from tests.access.test_structure import (
    BULK_DELETE,
    BULK_UPDATE,
    DELETE,
    MOVE,
    RESTORE,
    UPDATE,
    codes,
    remove,
)
from tests.accounts import PASSWORD, Person
from tests.factories import World, gid

STATS = """
{ taskStats { total byTag { name taskCount } } tasks { totalCount nodes { id tags } } }
"""
LISTEN = "subscription { taskEvents { kind subject { ... on Task { id } } } }"


@dataclass
class Scene:
    """A project of `owner` with a tree of three tasks, and users who see parts of it."""

    world: World
    owner: Person
    member: Person
    guest: Person
    project: models.Project
    other: models.Project
    top: models.Task
    middle: models.Task
    leaf: models.Task


async def scene(world: World) -> Scene:
    """The guest sees the middle task by a share, and so the leaf; the member sees everything."""
    owner, member, guest = await world.people(3)
    project = await world.project(owner, editors=[member])
    other = await world.project(owner)
    top = await world.task(owner, "top", project_id=project.id, tags=["top"])
    middle = await world.task(owner, "middle", project_id=project.id, parent_id=top.id, tags=["m"])
    leaf = await world.task(owner, "leaf", project_id=project.id, parent_id=middle.id, tags=["l"])
    await world.share(middle, guest, Permission.EDIT)
    return Scene(world, owner, member, guest, project, other, top, middle, leaf)


async def numbers(world: World, person: Person, at: dt.datetime | None = None) -> tuple[Any, Any]:
    """The totals and tags according to the statistics and to the list."""
    found = (await world.run(STATS, person, at=at)).good
    tags = sorted(tag for node in found["tasks"]["nodes"] for tag in node["tags"])
    shown = sorted(
        bar["name"] for bar in found["taskStats"]["byTag"] for _ in range(bar["taskCount"])
    )
    return (found["taskStats"]["total"], shown), (found["tasks"]["totalCount"], tags)


async def told(world: World, person: Person, since: str) -> list[tuple[str, str]]:
    """What the log tells the user to remove: kinds of events and ids, sorted."""
    query = "query ($c: String!) { events(after: $c) { nodes { kind subjectId } } }"
    events = (await world.run(query, person, c=since)).good["events"]["nodes"]
    return sorted(
        (event["kind"], event["subjectId"])
        for event in events
        if event["kind"] in {"ACCESS_LOST", "TASK_DELETED"}
    )


def deleted(*names: str) -> set[tuple[str, str]]:
    return {("TASK_DELETED", name) for name in names}


def lost(*names: str) -> set[tuple[str, str]]:
    return {("ACCESS_LOST", name) for name in names}


Act = Callable[[Scene], Awaitable[Any]]


async def _project(s: Scene, name: str) -> None:
    document = f"mutation ($id: ID!) {{ {name}(input: {{id: $id}}) {{ errors {{ code }} }} }}"
    assert (await s.world.run(document, s.owner, id=gid(s.project))).good[name]["errors"] == []


def _do(document: str, **fields: Callable[[Scene], Any]) -> Act:
    async def act(s: Scene) -> None:
        made = {name: value(s) for name, value in fields.items()}
        assert await codes(s.world, s.owner, document, **made) == []

    return act


async def _end_share(s: Scene) -> None:
    query = "query ($id: ID!) { task(id: $id) { shares { nodes { id } } } }"
    found = (await s.world.run(query, s.owner, id=gid(s.middle))).good["task"]["shares"]["nodes"]
    document = """
    mutation ($input: TaskShareDeleteInput!) { taskShareDelete(input: $input) { errors { code } } }
    """
    assert await codes(s.world, s.owner, document, id=found[0]["id"]) == []


async def _give_up(s: Scene) -> None:
    """The guest, who may edit the leaf, moves it out of the tree that is shared with them."""
    assert await codes(s.world, s.guest, UPDATE, id=gid(s.leaf), parentId=None) == []


LOSSES: dict[str, tuple[Act, set[tuple[str, str]], set[tuple[str, str]]]] = {
    # The change; what the member has to remove; what the guest has to remove.
    "the task above is deleted": (
        _do(DELETE, id=lambda s: gid(s.top)),
        deleted("top", "middle", "leaf"),
        deleted("middle", "leaf"),
    ),
    "the task above is deleted in bulk": (
        _do(BULK_DELETE, items=lambda s: [{"id": gid(s.top)}]),
        deleted("top", "middle", "leaf"),
        deleted("middle", "leaf"),
    ),
    "the middle is deleted, the leaf moves up": (
        _do(DELETE, id=lambda s: gid(s.middle), subtasks=lambda _: "MOVE_UP"),
        deleted("middle"),
        deleted("middle") | lost("leaf"),
    ),
    "the project is deleted": (
        lambda s: _project(s, "projectDelete"),
        deleted("top", "middle", "leaf"),
        deleted("middle", "leaf"),
    ),
    "the leaf gets no parent": (
        _do(UPDATE, id=lambda s: gid(s.leaf), parentId=lambda _: None),
        set(),
        lost("leaf"),
    ),
    "the leaf gets another parent": (
        _do(UPDATE, id=lambda s: gid(s.leaf), parentId=lambda s: gid(s.top)),
        set(),
        lost("leaf"),
    ),
    "the leaf moves to another project": (
        _do(MOVE, id=lambda s: gid(s.leaf), projectId=lambda s: gid(s.other)),
        lost("leaf"),
        lost("leaf"),
    ),
    "the tree moves to another project": (
        _do(MOVE, id=lambda s: gid(s.top), projectId=lambda s: gid(s.other)),
        lost("top", "middle", "leaf"),
        set(),
    ),
    "the tree becomes personal": (
        _do(MOVE, id=lambda s: gid(s.top), projectId=lambda _: None),
        lost("top", "middle", "leaf"),
        set(),
    ),
    "the share ends": (_end_share, set(), lost("middle", "leaf")),
    "the guest takes it out": (_give_up, set(), lost("leaf")),
    "the member is removed": (
        lambda s: remove(s.world, s.owner, s.project, s.member),
        lost("project", "top", "middle", "leaf"),
        set(),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
async def test_users_who_lose_access_are_notified(world: World, name: str) -> None:
    act, *expected = LOSSES[name]
    s = await scene(world)
    cursor = (await world.run("{ eventCursor }", s.owner)).good["eventCursor"]
    for person in (s.owner, s.member, s.guest):
        for _ in range(2):
            kept, listed = await numbers(world, person)
            assert kept == listed
    await act(s)
    for person in (s.owner, s.member, s.guest):
        kept, listed = await numbers(world, person)
        assert kept == listed, person
    for person, names in zip((s.member, s.guest), expected, strict=True):
        wanted = sorted((kind, gid(getattr(s, one))) for kind, one in names)
        assert await told(world, person, cursor) == wanted


async def test_a_stream_notifies_the_actor_too(world: World) -> None:
    s = await scene(world)
    task = await world.task(s.owner, project_id=s.project.id, assignee_id=s.guest.id)
    async with (
        asyncio.timeout(30),
        aclosing(world.deliveries(LISTEN, s.guest)) as replies,
    ):
        waiting = asyncio.ensure_future(anext(replies))
        await asyncio.sleep(0.3)
        # The guest reassigns it: their other devices still show it.
        assign = {"id": gid(task), "assigneeId": gid(s.member)}
        assert await codes(world, s.guest, UPDATE, **assign) == []
        assert await codes(world, s.owner, DELETE, id=gid(s.top)) == []
        received: list[Any] = []
        while len(received) < 3:
            event = (await waiting).good["taskEvents"]
            if event["kind"] in {"ACCESS_LOST", "TASK_DELETED"}:
                received.append(event)
            waiting = asyncio.ensure_future(anext(replies))
        waiting.cancel()
        kinds = [event["kind"] for event in received]
        assert kinds == ["ACCESS_LOST", "TASK_DELETED", "TASK_DELETED"]
        assert all(event["subject"] is None for event in received)
    kept, listed = await numbers(world, s.guest)
    assert kept == listed == (0, [])


async def test_a_restore_notifies_users_who_see_a_part_of_it(world: World) -> None:
    s = await scene(world)
    query = "query ($c: String!) { events(after: $c) { nodes { kind subjectId } } }"

    async def restored(since: str) -> set[str]:
        found = (await world.run(query, s.guest, c=since)).good["events"]["nodes"]
        return {event["subjectId"] for event in found if event["kind"] == "TASK_RESTORED"}

    for away, back in (
        (_do(DELETE, id=lambda s: gid(s.top)), _do(RESTORE, id=lambda s: gid(s.top))),
        (lambda s: _project(s, "projectDelete"), lambda s: _project(s, "projectRestore")),
    ):
        await away(s)
        assert await numbers(world, s.guest) == ((0, []), (0, []))
        cursor = (await world.run("{ eventCursor }", s.owner)).good["eventCursor"]
        await back(s)
        assert await restored(cursor) == {gid(s.middle), gid(s.leaf)}
        assert await numbers(world, s.guest) == ((2, ["l", "m"]), (2, ["l", "m"]))


async def test_bulk_changes_of_assignees_notify(world: World) -> None:
    s = await scene(world)
    task = await world.task(s.owner, project_id=s.project.id, assignee_id=s.guest.id)
    await numbers(world, s.guest)
    cursor = (await world.run("{ eventCursor }", s.owner)).good["eventCursor"]
    items = [{"id": gid(task), "assigneeId": None}]
    assert await codes(world, s.guest, BULK_UPDATE, items=items) == []
    assert await told(world, s.guest, cursor) == [("ACCESS_LOST", gid(task))]
    kept, listed = await numbers(world, s.guest)
    assert kept == listed


async def test_the_expiry_of_a_share_notifies(world: World) -> None:
    owner, guest = await world.people(2)
    task = await world.task(owner)
    below = await world.task(owner, parent_id=task.id)
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=3)
    create = """
    mutation ($input: TaskShareCreateInput!) {
      taskShareCreate(input: $input) { taskShare { id } errors { code } }
    }
    """
    fields = {"taskId": gid(task), "userId": gid(guest), "expiresAt": soon.isoformat()}
    assert await codes(world, owner, create, **fields) == []
    cursor = (await world.run("{ eventCursor }", owner)).good["eventCursor"]
    kept, _ = await numbers(world, guest)
    while dt.datetime.now(dt.UTC) < soon + dt.timedelta(seconds=0.1):
        await asyncio.sleep(0.1)
    kept, listed = await numbers(world, guest)
    assert kept == listed == (0, [])
    async with world.database.session() as session:
        job = await session.scalar(
            select(models.Job.id).where(
                models.Job.name == shares.END_JOB, models.Job.due_at == soon
            )
        )
        assert job is not None
        share_id = await session.scalar(
            select(models.TaskShare.id).where(models.TaskShare.task_id == task.id)
        )
        assert share_id is not None
    async with world.services.transactions.begin(
        NOBODY, now=dt.datetime.now(dt.UTC), request=RequestInfo(id="job")
    ) as work:
        await shares.end(work, share_id)
    assert await told(world, guest, cursor) == sorted(
        ("ACCESS_LOST", gid(one)) for one in (task, below)
    )


async def test_emptying_the_trash_deletes_nothing_that_a_user_can_see(world: World) -> None:
    owner, helper = await world.people(2)
    top = await world.task(owner)
    await world.share(top, helper, Permission.EDIT)
    create = "mutation ($input: TaskCreateInput!) { taskCreate(input: $input) { errors { code } } }"
    assert await codes(world, helper, create, title="below", parentId=gid(top)) == []
    mine = await world.task(helper, "mine")
    leave = (
        "mutation ($input: AccountDeleteInput!) "
        "{ accountDelete(input: $input) { errors { code } } }"
    )
    assert await codes(world, owner, leave, password=PASSWORD, confirm=True) == []
    # A row that an earlier version left undeleted below a deleted one: both stay.
    gone = await world.task(helper, "gone")
    alive = await world.task(helper, "alive", parent_id=gone.id)
    async with world.database.session() as session, session.begin():
        now = dt.datetime.now(dt.UTC)
        await session.execute(
            update(models.Task)
            .where(models.Task.id == gone.id)
            .values(deleted_at=now, deleted_with=gone.id)
        )
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=31)
    while True:
        async with world.services.transactions.begin(
            NOBODY, now=later, request=RequestInfo(id="sweep")
        ) as work:
            if not any(await trash.purge(work)):
                break
    async with world.database.session() as session:
        rows = await session.scalars(
            select(models.Task.id).where(models.Task.owner_id.in_([owner.id, helper.id]))
        )
        assert set(rows) == {mine.id, gone.id, alive.id}
        assert await session.scalar(select(func.count()).where(models.Task.id == top.id)) == 0
