"""What a mutation changes beside its object is in its payload: clients need not ask again."""

from __future__ import annotations

from typing import Any

import pytest

from db import models
from tests.accounts import Person
from tests.factories import ENGINES, Engine, World, fresh_id, gid
from tests.graph.time.time_calls import created


async def do(world: World, person: Person, name: str, selection: str, **given: Any) -> Any:
    document = f"""mutation ($input: {name[0].upper()}{name[1:]}Input!) {{
      {name}(input: $input) {{ {selection} errors {{ code path }} }}
    }}"""
    return (await world.run(document, person, input=given)).good[name]


async def test_the_timer_that_a_start_stops(world: World) -> None:
    ada = await world.person()
    selection = "timeEntry { id isRunning } stoppedTimeEntry { id isRunning duration }"
    first = await do(world, ada, "timerStart", selection, description="one")
    assert first["stoppedTimeEntry"] is None
    again = await do(world, ada, "timerStart", selection, description="one")
    assert (again["timeEntry"], again["stoppedTimeEntry"]) == (first["timeEntry"], None)
    keyed = {"description": "two", "idempotencyKey": "start two"}
    second = await do(world, ada, "timerStart", f"{selection} replayed", **keyed)
    stopped = second["stoppedTimeEntry"]
    assert (stopped["id"], stopped["isRunning"]) == (first["timeEntry"]["id"], False)
    assert second["timeEntry"]["isRunning"]
    repeated = await do(world, ada, "timerStart", f"{selection} replayed", **keyed)
    assert repeated == {**second, "replayed": True}


async def test_what_a_deleted_time_entry_was_spent_on(world: World) -> None:
    ada = await world.person()
    project = await world.project(ada)
    task = await world.task(ada, project_id=project.id)
    day = "2026-11-16T"
    entries = [
        await created(world, ada, f"{day}0{n}:00:00Z", f"{day}0{n}:30:00Z", taskId=gid(task))
        for n in (1, 3)
    ]
    selection = "deletedId task { id tracked } project { id tracked }"
    for entry, left in zip(entries, (1800, 0), strict=True):
        gone = await do(world, ada, "timeEntryDelete", selection, id=entry["id"])
        assert gone == {
            "deletedId": entry["id"],
            "task": {"id": gid(task), "tracked": left},
            "project": {"id": gid(project), "tracked": left},
            "errors": [],
        }
    alone = await created(world, ada, f"{day}05:00:00Z", f"{day}05:30:00Z")
    gone = await do(world, ada, "timeEntryDelete", selection, id=alone["id"])
    assert (gone["task"], gone["project"]) == (None, None)


async def test_a_new_member_comes_with_the_project(world: World) -> None:
    ada, ben = await world.people(2)
    project = await world.project(ada)
    given = {"projectId": gid(project), "userId": gid(ben)}
    selection = "project { id members { totalCount } }"
    added = await do(world, ada, "projectMemberAdd", selection, role="VIEWER", **given)
    assert added["project"] == {"id": gid(project), "members": {"totalCount": 2}}


async def test_what_a_removed_member_had_to_do(world: World) -> None:
    ada, ben, cleo = await world.people(3)
    project = await world.project(ada, editors=[ben, cleo])
    titles = ("one", "two", "gone")
    given = {"project_id": project.id, "assignee_id": ben.id}
    tasks = [await world.task(ada, title, **given) for title in titles]
    await world.task(ada, "another's", project_id=project.id, assignee_id=cleo.id)
    await do(world, ada, "taskDelete", "deletedIds", id=gid(tasks[2]))
    query = """query ($id: ID!) { project(id: $id) {
      members(filter: {role: {eq: EDITOR}}) { nodes { id user { username } } }
      tasks { nodes { title assignee { username } } }
    } }"""
    seen = (await world.run(query, ada, id=gid(project))).good["project"]["members"]["nodes"]
    members = {one["user"]["username"]: one["id"] for one in seen}
    selection = "deletedId unassignedTaskCount projectMember { id } project { id }"
    removed = await do(world, ada, "projectMemberRemove", selection, id=members[ben.username])
    assert removed == {
        "deletedId": members[ben.username],
        "unassignedTaskCount": 2,
        "projectMember": None,
        "project": {"id": gid(project)},
        "errors": [],
    }
    # Who leaves no longer sees the project.
    left = await do(world, cleo, "projectMemberRemove", selection, id=members[cleo.username])
    assert (left["unassignedTaskCount"], left["project"]) == (1, None)
    after = (await world.run(query, ada, id=gid(project))).good["project"]
    assert after["members"]["nodes"] == []
    assert [one["assignee"] for one in after["tasks"]["nodes"]] == [None] * 3


@pytest.mark.parametrize("engine", ENGINES)
async def test_how_many_notifications_are_left(world: World, engine: Engine) -> None:
    ada = await world.person()
    now = world.services.clock()
    await world.rows(
        *(
            models.Notification(
                id=fresh_id(),
                recipient_id=ada.id,
                kind=models.NotificationKind.TASK_COMPLETED,
                created_at=now.replace(hour=0, minute=minute),
                in_app=True,
                email=False,
            )
            for minute in (1, 2, 3)
        )
    )
    mark = """mutation ($input: NotificationMarkAllReadInput!) {
      notificationMarkAllRead(input: $input) { markedCount unreadCount errors { code } }
    }"""
    until = now.replace(hour=0, minute=2).isoformat()
    for given, marked, unread in (({"until": until}, 2, 1), ({}, 1, 0), ({}, 0, 0)):
        reply = await world.run(mark, ada, engine=engine, input=given)
        assert reply.good["notificationMarkAllRead"] == {
            "markedCount": marked,
            "unreadCount": unread,
            "errors": [],
        }
