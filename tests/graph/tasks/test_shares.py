"""Tasks shown to people outside of their project."""

from __future__ import annotations

import asyncio
import datetime as dt
from contextlib import aclosing
from typing import Any

import pytest

from db import models
from db.models import Permission
from tests.accounts import Person
from tests.factories import ENGINES, Engine, Reply, World, gid, missing

CREATE = """
mutation ($input: TaskShareCreateInput!) {
  taskShareCreate(input: $input) {
    taskShare { id permission expiresAt isExpired user { username }
            sharedBy { username } task { title } viewerCanEdit viewerCanDelete version }
    errors { code path message }
    replayed
  }
}
"""
UPDATE = """
mutation ($input: TaskShareUpdateInput!) {
  taskShareUpdate(input: $input) {
    taskShare { id permission expiresAt version } errors { code path conflictingFields }
  }
}
"""
DELETE = """
mutation ($input: TaskShareDeleteInput!) {
  taskShareDelete(input: $input) { deletedId task { id } errors { code path } }
}
"""
WITH_ME = """
query ($filter: TaskShareFilter) {
  viewer { receivedShares(filter: $filter) {
    nodes { permission expiresAt sharedBy { username } task { id title owner { username } } }
    totalCount
  } }
}
"""
SHARES = "query ($id: ID!) { task(id: $id) { shares { nodes { user { username } } totalCount } } }"
EVENTS = """
query ($since: String!) {
  events(after: $since) { nodes { kind
    changes { field ... on TextChange { oldText newText } ... on DateTimeChange { newTime } }
    subject { __typename } } }
}
"""


async def create(world: World, who: Person, task: models.Task, **given: Any) -> Reply:
    return await world.run(CREATE, who, input={"taskId": gid(task), **given})


def failures(reply: Reply) -> list[tuple[str, str]]:
    return [(error["code"], ".".join(error["path"])) for error in reply.user_errors]


async def cursor(world: World, who: Person) -> str:
    reply = await world.run("{ eventCursor }", who)
    return str(reply.good["eventCursor"])


async def kinds(world: World, who: Person, since: str) -> list[str]:
    reply = await world.run(EVENTS, who, since=since)
    return [event["kind"] for event in reply.good["events"]["nodes"]]


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_shared_task_is_seen_by_the_one_it_is_shared_with(
    world: World, engine: Engine
) -> None:
    ada, bob = await world.people(2)
    task = await world.task(ada, "Plan")
    reply = await create(world, ada, task, userId=f"@{bob.username}".upper(), permission="EDIT")
    share = reply.good["taskShareCreate"]["taskShare"]
    assert share["permission"] == "EDIT"
    assert share["user"]["username"] == bob.username
    assert share["viewerCanEdit"]
    found = await world.run(WITH_ME, bob, engine=engine)
    assert found.good["viewer"]["receivedShares"] == {
        "nodes": [
            {
                "permission": "EDIT",
                "expiresAt": None,
                "sharedBy": {"username": ada.username},
                "task": {"id": gid(task), "title": "Plan", "owner": {"username": ada.username}},
            }
        ],
        "totalCount": 1,
    }
    listed = await world.run(
        "{ tasks(filter: {shares: {some: {user: {isMe: true}}}}) { nodes { id viewerCanEdit } } }",
        bob,
        engine=engine,
    )
    assert listed.good["tasks"]["nodes"] == [{"id": gid(task), "viewerCanEdit": True}]
    mine = await world.run(
        "query ($u: ID!) {"
        " tasks(filter: {shares: {some: {user: {id: {eq: $u}}}}}) { nodes { id } } }",
        ada,
        engine=engine,
        u=gid(bob),
    )
    assert mine.good["tasks"]["nodes"] == [{"id": gid(task)}]


async def test_a_share_cannot_be_with_oneself_nor_with_the_owner(world: World) -> None:
    owner, admin = await world.people(2)
    project = await world.project(owner, admins=[admin])
    task = await world.task(owner, project_id=project.id)
    for who, name in ((owner, owner), (admin, admin), (admin, owner)):
        reply = await create(world, who, task, userId=gid(name))
        assert failures(reply) == [("SELF_SHARE", "input.userId")]


async def test_an_owner_who_has_left_can_be_given_a_share(world: World) -> None:
    owner, gone = await world.people(2)
    project = await world.project(owner, editors=[gone])
    task = await world.task(gone, project_id=project.id)
    leave = """
    mutation ($id: ID!) { projectMemberRemove(input: {id: $id}) { errors { code } } }
    """
    members = "query ($id: ID!) { project(id: $id) { members { nodes { id user { id } } } } }"
    found = (await world.run(members, owner, id=gid(project))).good["project"]["members"]["nodes"]
    member = next(one["id"] for one in found if one["user"]["id"] == gid(gone))
    (await world.run(leave, owner, id=member)).good  # noqa: B018 - fails on errors
    assert failures(await create(world, owner, task, userId=f"@{gone.username}")) == []
    seen = await world.run("query ($id: ID!) { task(id: $id) { id } }", gone, id=gid(task))
    assert seen.good["task"] == {"id": gid(task)}


async def test_what_a_share_needs(world: World) -> None:
    ada, bob, gone = await world.people(3)
    async with world.database.session() as session, session.begin():
        row = await session.get_one(models.User, gone.id)
        row.is_active = False
    task = await world.task(ada)
    other = await world.task(bob)
    yesterday = (dt.datetime.now(dt.UTC) - dt.timedelta(days=1)).isoformat()
    cases: list[tuple[models.Task, dict[str, Any], tuple[str, str]]] = [
        (task, {"userId": "@nobody-of-this-name"}, ("NOT_FOUND", "input.userId")),
        (task, {"userId": missing(gid(bob))}, ("NOT_FOUND", "input.userId")),
        (task, {"userId": gid(gone)}, ("BAD_USER_INPUT", "input.userId")),
        (
            task,
            {"userId": gid(bob), "expiresAt": yesterday},
            ("BAD_USER_INPUT", "input.expiresAt"),
        ),
        (other, {"userId": gid(gone)}, ("NOT_FOUND", "input.taskId")),
    ]
    for about, given, wanted in cases:
        assert failures(await create(world, ada, about, **given)) == [wanted], given
    assert (await world.run(SHARES, ada, id=gid(task))).good["task"]["shares"]["totalCount"] == 0


async def test_two_shares_at_once_are_one(world: World) -> None:
    owner, admin, bob = await world.people(3)
    project = await world.project(owner, admins=[admin])
    task = await world.task(owner, project_id=project.id)
    replies = await asyncio.gather(
        *(create(world, who, task, userId=f"@{bob.username}") for who in (owner, admin) * 3)
    )
    assert sorted(reply.codes for reply in replies) == [[], *[["ALREADY_EXISTS"]] * 5]


async def test_a_repeat_with_the_same_key_is_the_same_share(world: World) -> None:
    ada, bob = await world.people(2)
    task = await world.task(ada)
    given = {"userId": gid(bob), "idempotencyKey": "once"}
    first = (await create(world, ada, task, **given)).good["taskShareCreate"]
    again = (await create(world, ada, task, **given)).good["taskShareCreate"]
    assert again["replayed"]
    assert again["taskShare"] == first["taskShare"]


async def test_an_expired_share_gives_nothing_and_can_be_given_again(world: World) -> None:
    ada, bob = await world.people(2)
    task = await world.task(ada)
    past = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    await world.share(task, bob, expires_at=past)
    assert (await world.run(WITH_ME, bob)).good["viewer"]["receivedShares"]["totalCount"] == 0
    assert (await world.run("{ tasks { totalCount } }", bob)).good["tasks"]["totalCount"] == 0
    assert (await create(world, ada, task, userId=f"@{bob.username}")).codes == []
    assert (await world.run(WITH_ME, bob)).good["viewer"]["receivedShares"]["totalCount"] == 1


async def test_who_may_see_change_and_take_back_a_share(world: World) -> None:
    """The row of the table of rights, person by person."""
    owner, admin, editor, viewer, maker, bob, stranger = await world.people(7)
    project = await world.project(owner, admins=[admin], editors=[editor, maker], viewers=[viewer])
    task = await world.task(maker, project_id=project.id)
    share = await world.share(task, bob)
    seen = "query ($id: ID!) { node(id: $id) { id } }"
    for who in (owner, admin, maker, bob):
        assert (await world.run(seen, who, id=gid(share))).good["node"] == {"id": gid(share)}
    for who in (editor, viewer, stranger):
        assert (await world.run(seen, who, id=gid(share))).codes == ["NOT_FOUND"]
        change = {"id": gid(share), "permission": "EDIT"}
        assert (await world.run(UPDATE, who, input=change)).codes == ["NOT_FOUND"]
        assert (await world.run(DELETE, who, input={"id": gid(share)})).codes == ["NOT_FOUND"]
    change = {"id": gid(share), "permission": "EDIT"}
    assert (await world.run(UPDATE, bob, input=change)).codes == ["FORBIDDEN"]
    for who, permission in ((owner, "EDIT"), (admin, "VIEW"), (maker, "EDIT")):
        reply = await world.run(UPDATE, who, input={"id": gid(share), "permission": permission})
        assert reply.good["taskShareUpdate"]["taskShare"]["permission"] == permission
    for who in (editor, viewer, bob):
        reply = await create(world, who, task, userId=gid(stranger))
        assert failures(reply) == [("FORBIDDEN", "input.taskId")]
    hidden = (await world.run(SHARES, viewer, id=gid(task))).good["task"]["shares"]
    assert hidden == {"nodes": [], "totalCount": 0}
    reply = await world.run(DELETE, bob, input={"id": gid(share)})
    assert reply.good["taskShareDelete"] == {"deletedId": gid(share), "task": None, "errors": []}


async def test_an_archived_project_keeps_its_shares_as_they_are(world: World) -> None:
    ada, bob, cy = await world.people(3)
    project = await world.project(ada)
    task = await world.task(ada, project_id=project.id)
    share = await world.share(task, bob)
    async with world.database.session() as session, session.begin():
        (await session.get_one(models.Project, project.id)).archived_at = dt.datetime.now(dt.UTC)
    assert (await world.run(SHARES, ada, id=gid(task))).good["task"]["shares"]["totalCount"] == 1
    assert (await create(world, ada, task, userId=gid(cy))).codes == ["PROJECT_ARCHIVED"]
    change = {"id": gid(share), "permission": "EDIT"}
    assert (await world.run(UPDATE, ada, input=change)).codes == ["PROJECT_ARCHIVED"]
    assert (await world.run(DELETE, ada, input={"id": gid(share)})).codes == ["PROJECT_ARCHIVED"]
    assert (await world.run(DELETE, bob, input={"id": gid(share)})).codes == []


async def test_a_share_does_not_expire_at_the_moment_that_it_is_made(world: World) -> None:
    ada, bob = await world.people(2)
    task, now = await world.task(ada), dt.datetime.now(dt.UTC).replace(microsecond=0)
    for later, codes in ((0, ["BAD_USER_INPUT"]), (1, [])):
        expires = (now + dt.timedelta(seconds=later)).isoformat()
        given = {"taskId": gid(task), "userId": gid(bob), "expiresAt": expires}
        assert (await world.run(CREATE, ada, at=now, input=given)).codes == codes


async def test_a_change_names_its_version(world: World) -> None:
    ada, bob = await world.people(2)
    share = await world.share(await world.task(ada), bob)
    tomorrow = (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).isoformat()
    given = {"id": gid(share), "expiresAt": tomorrow, "ifVersion": 1}
    assert (await world.run(UPDATE, ada, input=given)).good["taskShareUpdate"]["taskShare"][
        "expiresAt"
    ]
    reply = await world.run(
        UPDATE, ada, input={"id": gid(share), "expiresAt": None, "ifVersion": 1}
    )
    assert reply.codes == ["CONFLICT"]
    assert reply.data["taskShareUpdate"]["taskShare"]["version"] == 2
    assert reply.data["taskShareUpdate"]["errors"][0]["conflictingFields"] == ["expiresAt"]
    reply = await world.run(UPDATE, ada, input={"id": gid(share), "expiresAt": None})
    assert reply.good["taskShareUpdate"]["taskShare"]["expiresAt"] is None


async def test_who_loses_sight_is_told_and_others_hear_nothing_of_shares(world: World) -> None:
    owner, viewer, bob, member = await world.people(4)
    project = await world.project(owner, viewers=[viewer, member])
    task = await world.task(owner, project_id=project.id)
    starts = {who.id: await cursor(world, who) for who in (owner, viewer, bob, member)}
    for who in (bob, member):
        share = (await create(world, owner, task, userId=gid(who))).good["taskShareCreate"]
        reply = await world.run(DELETE, owner, input={"id": share["taskShare"]["id"]})
        assert reply.codes == []
    told = ["TASK_SHARE_CREATED", "TASK_SHARE_DELETED"]
    assert await kinds(world, bob, starts[bob.id]) == [*told, "ACCESS_LOST"]
    # A member of the project sees the task all the same.
    assert await kinds(world, member, starts[member.id]) == told
    assert await kinds(world, owner, starts[owner.id]) == told * 2
    assert await kinds(world, viewer, starts[viewer.id]) == []


async def test_shares_of_many_tasks_are_one_statement(world: World) -> None:
    ada, bob, cy = await world.people(3)
    for task in await world.tasks(ada, [f"t{i}" for i in range(8)]):
        for who, permission in ((bob, Permission.VIEW), (cy, Permission.EDIT)):
            await world.share(task, who, permission)
    query = "{ tasks { nodes { shares(first: 5) { nodes { permission user { username } } } } } }"
    reply = await world.run(query, ada)
    shares = [task["shares"]["nodes"] for task in reply.good["tasks"]["nodes"]]
    assert [len(one) for one in shares] == [2] * 8
    assert len(reply.statements) == 3


LISTEN = """
subscription ($filter: EventFilter) { taskEvents(filter: $filter) { kind } }
"""


async def test_a_stream_on_the_task_ends_when_the_share_is_taken_back(world: World) -> None:
    ada, bob = await world.people(2)
    task = await world.task(ada)
    share = (await create(world, ada, task, userId=f"@{bob.username}")).good["taskShareCreate"]
    async with (
        asyncio.timeout(20),
        aclosing(
            world.deliveries(LISTEN, bob, filter={"task": {"id": {"eq": gid(task)}}})
        ) as replies,
    ):
        told = []
        waiting = asyncio.ensure_future(anext(replies))
        await asyncio.sleep(0.2)
        reply = await world.run(DELETE, ada, input={"id": share["taskShare"]["id"]})
        assert reply.codes == []
        while not (reply := await waiting).codes:
            told.append(reply.data["taskEvents"]["kind"])
            waiting = asyncio.ensure_future(anext(replies))
    assert "ACCESS_LOST" in told
    assert reply.codes == ["NOT_FOUND"]
