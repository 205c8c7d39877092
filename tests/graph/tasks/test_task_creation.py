"""A task in a project is one statement, which does all or nothing and says why not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select, update

from db import models
from tests.accounts import Person
from tests.factories import ENGINES, Engine, Reply, World, fresh_id, gid

CREATE = """mutation ($input: TaskCreateInput!) {
  taskCreate(input: $input) {
    task { id number identifier position title status priority tags version createdAt dueAt }
    errors { code path message }
  }
}"""
# What columns alone cannot answer is read in a statement of its own, by the viewer's rights.
WITH_MORE = """mutation ($input: TaskCreateInput!) {
  taskCreate(input: $input) {
    task { title viewerCanDelete project { name } assignee { username } subtasks { totalCount } }
    errors { code }
  }
}"""
MOVE = """mutation ($input: TaskMoveInput!) {
  taskMove(input: $input) { task { position } errors { code } }
}"""


@pytest.fixture(scope="module")
async def ada(world: World) -> Person:
    return await world.person()


@pytest.fixture
async def project(world: World, ada: Person) -> models.Project:
    return await world.project(ada, name="Bakery")


async def create(world: World, person: Person, /, **fields: Any) -> Reply:
    return await world.run(CREATE, person, input={"title": "Bread", **fields})


async def written(world: World, project: models.Project) -> tuple[int, int, int]:
    """The project's tasks, its events, and the last number given."""
    async with world.database.session() as session:
        tasks = await session.scalar(
            select(func.count())
            .select_from(models.Task)
            .where(models.Task.project_id == project.id)
        )
        events = await session.scalar(
            select(func.count())
            .select_from(models.Event)
            .where(models.Event.project_id == project.id, models.Event.kind == "TASK_CREATED")
        )
        number = await session.scalar(
            select(models.Project.last_number).where(models.Project.id == project.id)
        )
    return tasks or 0, events or 0, number or 0


@pytest.mark.parametrize("engine", ENGINES)
async def test_it_is_one_statement_with_its_answer(
    world: World, ada: Person, engine: Engine
) -> None:
    project = await world.project(ada)
    fields = {"projectId": gid(project), "title": "Bread", "tags": ["Rye"], "priority": "HIGH"}
    query = CREATE.replace(" identifier", "")
    reply = await world.run(
        query, ada, engine=engine, input={**fields, "due": {"on": "2030-01-02"}}
    )
    task = reply.good["taskCreate"]["task"]
    assert len(reply.statements) == 1, reply.statements
    again = await world.run(
        """query ($id: ID!) { task(id: $id) {
          id number position title status priority tags version createdAt dueAt
        } }""",
        ada,
        id=task["id"],
    )
    assert again.good["task"] == task
    assert (task["number"], task["priority"], task["tags"]) == (1, "HIGH", ["Rye"])
    assert await written(world, project) == (1, 1, 1)


async def test_what_is_no_column_is_read_by_the_rights(
    world: World, ada: Person, project: models.Project
) -> None:
    bob = await world.person()
    reply = await world.run(
        WITH_MORE,
        ada,
        input={"title": "Rolls", "projectId": gid(project), "assigneeId": gid(bob)},
    )
    assert reply.good["taskCreate"]["task"] == {
        "title": "Rolls",
        "viewerCanDelete": True,
        "project": {"name": "Bakery"},
        "assignee": {"username": bob.username},
        "subtasks": {"totalCount": 0},
    }


async def test_many_at_once_have_a_number_and_a_place_each(
    world: World, ada: Person, project: models.Project
) -> None:
    """Those made in one statement, those made step by step (with a key), and moves to the end."""
    moving = await world.task(ada, project_id=project.id)

    async def one(index: int) -> tuple[int, str] | None:
        if index % 8 == 7:
            fields: dict[str, Any] = {"id": gid(moving), "place": {"edge": "END"}}
            moved = await world.run(MOVE, ada, input=fields)
            assert moved.good["taskMove"]["errors"] == []
            return None
        keyed = {"idempotencyKey": f"one-{index}"} if index % 3 == 0 else {}
        reply = await create(world, ada, projectId=gid(project), **keyed)
        task = reply.good["taskCreate"]["task"]
        return task["number"], task["position"]

    made = [each for each in await asyncio.gather(*map(one, range(32))) if each is not None]
    assert sorted(number for number, _ in made) == list(range(2, 30))
    async with world.database.session() as session:
        places = list(
            await session.scalars(
                select(models.Task.position).where(models.Task.project_id == project.id)
            )
        )
    assert len(set(places)) == len(places) == 29


async def test_one_after_the_other_stand_in_that_order_and_others_fit_between(
    world: World, ada: Person, project: models.Project
) -> None:
    tasks = []
    for _ in range(5):
        reply = await create(world, ada, projectId=gid(project))
        tasks.append(reply.good["taskCreate"]["task"])
    places = [task["position"] for task in tasks]
    assert places == sorted(set(places))
    for anchor, low, high in ((1, 1, 2), (2, 2, 3)):
        fields = {"id": tasks[4]["id"], "place": {"after": tasks[anchor]["id"]}}
        moved = await world.run(MOVE, ada, input=fields)
        assert places[low] < moved.good["taskMove"]["task"]["position"] < places[high]
    last = (await create(world, ada, projectId=gid(project))).good["taskCreate"]["task"]
    assert last["position"] > places[3]


async def test_what_stands_in_the_way_is_told_and_nothing_is_written(
    world: World, ada: Person, project: models.Project
) -> None:
    viewer, stranger, gone = await world.people(3)
    project = await world.project(ada, viewers=[viewer])
    async with world.database.session() as session, session.begin():
        await session.execute(
            update(models.User).where(models.User.id == gone.id).values(is_active=False)
        )
    taken = f"task_{fresh_id().hex}"
    first = await create(world, ada, projectId=gid(project), id=taken)
    assert first.good["taskCreate"]["task"]["id"] == taken
    here = {"projectId": gid(project)}
    unknown = {"projectId": f"project_{fresh_id().hex}"}
    cases: list[tuple[Person, dict[str, Any], str, str]] = [
        (viewer, here, "FORBIDDEN", "projectId"),
        (stranger, here, "NOT_FOUND", "projectId"),
        (ada, unknown, "NOT_FOUND", "projectId"),
        (ada, {**here, "id": taken}, "ALREADY_EXISTS", "id"),
        (ada, {**here, "title": " "}, "BAD_USER_INPUT", "title"),
        (ada, {**here, "assigneeId": gid(gone)}, "BAD_USER_INPUT", "assigneeId"),
        (ada, {**here, "assigneeId": f"user_{fresh_id().hex}"}, "NOT_FOUND", "assigneeId"),
    ]
    for person, fields, code, field in cases:
        reply = await create(world, person, **fields)
        payload = reply.data["taskCreate"]
        assert payload["task"] is None
        (error,) = payload["errors"]
        assert (error["code"], error["path"]) == (code, ["input", field]), error
    assert await written(world, project) == (1, 1, 1)


async def test_who_listens_hears_of_it(world: World, ada: Person, project: models.Project) -> None:
    listen = "subscription { taskEvents { kind subject { ... on Task { title } } } }"
    async with asyncio.timeout(20):
        stream = world.deliveries(listen, ada)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.3)
        await create(world, ada, projectId=gid(project), title="Heard")
        reply = await waiting
    assert reply.good["taskEvents"] == {"kind": "TASK_CREATED", "subject": {"title": "Heard"}}
    await stream.aclose()
