"""One filter gives the same events by a poll in either direction, by a stream and by a webhook.

The model reads what happened from the tables, and says in plain Python which events a filter wants.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import pytest
from sqlalchemy import select, text

from app import create_app
from db.engine import Database
from db.models import Task, WebhookDelivery
from settings import Settings
from tests.accounts import Person
from tests.databases import address_of
from tests.factories import World, gid, world_of
from tests.jobs.webhooks.conftest import Scene

KINDS = ["TASK_CREATED", "TASK_UPDATED", "TASK_MOVED", "TASK_ASSIGNED", "TASK_DELETED"]
PRIORITIES = ["NONE", "LOW", "MEDIUM", "HIGH", "URGENT"]
POLL = """
query ($filter: EventFilter, $order: [EventOrder!]!, $first: Int, $after: String,
       $last: Int, $before: String) {
  events(filter: $filter, orderBy: $order, first: $first, after: $after,
         last: $last, before: $before) {
    nodes { id matches cursor } totalCount
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
STREAM = """
subscription ($filter: EventFilter, $after: String) {
  taskEvents(filter: $filter, after: $after) { id matches }
}
"""


# --- the model -----------------------------------------------------------------------------------


def no(answer: bool | None) -> bool | None:
    return None if answer is None else not answer


def every(answers: list[bool | None]) -> bool | None:
    return False if False in answers else None if None in answers else True


class Model:
    """What happened, and the tasks as they were before each event and as they are."""

    def __init__(self, me: str, tasks: Mapping[str, Any], names: Mapping[str, str]) -> None:
        self.me, self.tasks, self.names = me, tasks, names

    def holds(self, kind: str, given: Any, thing: Any) -> bool | None:
        """A filter on something that there is, or on nothing (None), where most is unknown."""
        answers: list[bool | None] = []
        for field, value in given.items():
            if field == "and":
                answers.append(every([self.holds(kind, one, thing) for one in value]))
            elif field == "or":
                answers.append(no(every([no(self.holds(kind, one, thing)) for one in value])))
            elif field == "not":
                answers.append(no(self.holds(kind, value, thing)))
            elif field == "isNull":
                answers.append((thing is None) is value)
            elif thing is None:
                answers.append(None)
            else:
                answers.append(getattr(self, kind)(field, value, thing))
        return every(answers)

    def of(self, kind: str, given: Any, thing: Any) -> bool:
        return self.holds(kind, given, thing) is True

    def user(self, field: str, value: Any, user: str) -> bool:
        return (user == self.me) is value if field == "isMe" else self.compared(value, user)

    def project(self, field: str, value: Any, project: str) -> bool:
        return self.compared(value, project if field == "id" else self.names[project])

    def task(self, field: str, value: Any, task: Mapping[str, Any]) -> bool:
        if field == "assignee":
            return self.of("user", value, task["assignee"])
        if field == "project":
            return self.of("project", value, task["project"])
        return self.compared(value, task[field])

    def compared(self, given: Any, value: Any) -> bool:
        tests: dict[str, Any] = {
            "eq": lambda other: value == other,
            "notEq": lambda other: value != other,
            "in": lambda other: value in other,
            "notIn": lambda other: value not in other,
            "startsWith": str(value).startswith,
            "gte": lambda other: (
                PRIORITIES.index(value) >= PRIORITIES.index(other)
                if value in PRIORITIES
                else value >= other
            ),
        }
        return all(tests[name](other) for name, other in given.items())

    def event(self, given: Any, event: Mapping[str, Any], task: Any) -> bool:
        """Whether an event matches, with its task in this state."""
        answers: list[bool] = []
        for field, value in given.items():
            if field == "and":
                answers.append(all(self.event(one, event, task) for one in value))
            elif field == "or":
                answers.append(any(self.event(one, event, task) for one in value))
            elif field == "not":
                answers.append(not self.event(value, event, task))
            elif field == "subjectType":
                answers.append(event["subjectType"] in value)
            elif field == "task":
                answers.append(self.of("task", value, task))
            elif field == "actor":
                answers.append(self.of("user", value, event["actor"]))
            elif field == "project":
                answers.append(self.of("project", value, event["project"]))
            else:
                answers.append(self.compared(value, event[field]))
        return all(answers)

    def stopped(self, given: Any, event: Mapping[str, Any]) -> bool:
        """Whether an event matched with its task as it was before."""
        of_task = event["subjectType"] == "TASK" and event["changed"]
        return of_task and self.event(given, event, event["before"].get(event["task"]))

    def wanted(self, given: Any, events: list[Any]) -> list[tuple[str, bool]]:
        """The events that a stream delivers, each with its `matches`."""
        found = []
        for event in events:
            key = event["task"]
            if self.event(given, event, self.tasks.get(key)):
                left = of_projects(given) and event["left"]
                found.append((event["id"], not left and event["kind"] != "TASK_DELETED"))
            elif self.stopped(given, event):
                found.append((event["id"], False))
        return found


def of_projects(given: Any) -> bool:
    """Whether a filter says something about the events' projects, and not only the tasks'."""
    if isinstance(given, list):
        return any(map(of_projects, given))
    joined = (given[name] for name in ("and", "or", "not") if name in given)
    return "project" in given or any(map(of_projects, joined))


# --- random filters ------------------------------------------------------------------------------


class Filters:
    def __init__(self, seed: int, ids: Mapping[str, list[str]]) -> None:
        self.chance, self.ids = random.Random(seed), ids

    def one(self, *ways: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        return self.chance.choice(ways)()

    def some(self, of: str) -> list[str]:
        return self.chance.sample(self.ids[of], 2)

    def event(self, depth: int) -> dict[str, Any]:
        pick, sample = self.chance.choice, self.chance.sample
        if depth and self.chance.random() < 0.5:
            return self.one(
                lambda: {"and": [self.event(depth - 1), self.event(depth - 1)]},
                lambda: {"or": [self.event(depth - 1), self.event(depth - 1)]},
                lambda: {"not": self.event(depth - 1)},
                lambda: {**self.event(depth - 1), **self.event(0)},
            )
        return self.one(
            lambda: {"kind": {pick(["in", "notIn"]): sample(KINDS, 2)}},
            lambda: {"kind": {pick(["eq", "notEq"]): pick(KINDS)}},
            lambda: {"subjectType": sample(["TASK", "COMMENT", "TIME_ENTRY"], 2)},
            lambda: {"id": {"notIn": self.some("events")}},
            lambda: {"actor": self.end("users", depth)},
            lambda: {"project": self.end("projects", depth)},
            lambda: {"task": self.task(depth)},
            lambda: {"task": self.task(depth)},
        )

    def end(self, of: str, depth: int) -> dict[str, Any]:
        pick = self.chance.choice
        if depth and self.chance.random() < 0.3:
            return {"not": self.end(of, 0)}
        return self.one(
            lambda: {"id": {pick(["in", "notIn"]): self.some(of)}},
            lambda: {"isNull": pick([True, False])},
            lambda: (
                {"isMe": pick([True, False])} if of == "users" else {"id": {"eq": self.some(of)[0]}}
            ),
        )

    def task(self, depth: int) -> dict[str, Any]:
        pick = self.chance.choice
        if depth and self.chance.random() < 0.3:
            return {pick(["and", "or"]): [self.task(depth - 1), self.task(depth - 1)]}
        return self.one(
            lambda: {"id": {pick(["in", "notIn"]): self.some("tasks")}},
            lambda: {"isNull": pick([True, False])},
            lambda: {"title": {"startsWith": pick("ab")}},
            lambda: {"priority": {"gte": pick(PRIORITIES[1:])}},
            lambda: {"not": {"priority": {"in": ["LOW", "HIGH"]}}},
            lambda: {"assignee": self.end("users", 1)},
            lambda: {"project": self.end("projects", 1)},
        )


@pytest.fixture
async def world(settings: Settings, database: Database) -> AsyncIterator[World]:
    """An application on the database of the webhooks."""
    app = create_app(settings.with_database(await address_of(settings, database)))
    async with app.lifespan(), world_of(app) as made:
        yield made


# --- the test ------------------------------------------------------------------------------------


async def _tasks(scene: Scene) -> dict[str, Any]:
    async with scene.house.database.session() as session:
        rows = (await session.scalars(select(Task))).all()
    return {
        gid(row): {
            "id": gid(row),
            "title": row.title,
            "priority": row.priority.name,
            "assignee": row.assignee_id and f"user_{row.assignee_id.hex}",
            "project": row.project_id and f"project_{row.project_id.hex}",
        }
        for row in rows
    }


async def _happened(scene: Scene, after: int) -> list[Any]:
    columns = "position, id, kind, subject_type, subject_id, task_id, project_id, actor_id, changes"
    async with scene.house.database.session() as session:
        rows = await session.execute(
            text(f"SELECT {columns} FROM events WHERE position > :after ORDER BY xid, position"),
            {"after": after},
        )
        return list(rows)


def _event(row: Any, before: Mapping[str, Any]) -> dict[str, Any]:
    of_task = row.subject_type == "Task"
    task = row.subject_id if of_task else row.task_id
    words = {"Task": "TASK", "Comment": "COMMENT", "TimeEntry": "TIME_ENTRY"}
    return {
        "id": f"event_{row.id.hex}",
        "kind": row.kind,
        "subjectType": words.get(row.subject_type, row.subject_type),
        "task": task and f"task_{task.hex}",
        "project": row.project_id and f"project_{row.project_id.hex}",
        "actor": row.actor_id and f"user_{row.actor_id.hex}",
        "left": of_task and row.task_id is None,
        "changed": bool(row.changes),
        "before": before,
    }


async def _do(world: World, person: Person, name: str, **given: Any) -> None:
    title = name[0].upper() + name[1:]
    document = f"mutation ($i: {title}Input!) {{ {name}(input: $i) {{ errors {{ code }} }} }}"
    assert not (await world.run(document, person, i=given)).errors


async def test_a_filter_gives_the_same_events_by_every_way(scene: Scene, world: World) -> None:
    chance = random.Random(12)
    ada, ben = scene.ada, scene.ben
    here = await world.project(ada, name="apples", editors=[ben])
    there = await world.project(ada, name="berries")
    tasks = [gid(one) for one in await world.tasks(ada, ["a1", "b1", "a2"], project_id=here.id)]
    tasks.append(gid(await world.task(ada, "b personal")))
    since = (await world.run("{ eventCursor }", ada)).good["eventCursor"]
    async with scene.house.database.session() as session:
        position = (await session.execute(text("SELECT max(position) FROM events"))).scalar_one()
    ids = {
        "tasks": tasks,
        "projects": [gid(here), gid(there)],
        "users": [gid(ada), gid(ben)],
        "events": [f"event_{n:032x}" for n in range(3)],
    }
    filters = Filters(12, ids)
    given = [filters.event(3) for _ in range(40)]
    hooks = [(await scene.webhook(filter=one))[0] for one in given]
    events: list[Any] = []
    for step in range(30):
        before = await _tasks(scene)
        task, who = chance.choice(tasks), chance.choice([ada, ada, ben])
        what = chance.randrange(7)
        if what == 0:
            await _do(world, who, "taskUpdate", id=task, title=f"{chance.choice('ab')}{step}")
        elif what == 1:
            await _do(world, who, "taskUpdate", id=task, priority=chance.choice(PRIORITIES))
        elif what == 2:
            person = chance.choice([gid(ada), gid(ben), None])
            await _do(world, ada, "taskAssign", id=task, assigneeId=person)
        elif what == 3:
            to = gid(chance.choice([here, there]))
            await _do(world, ada, "taskMove", id=task, projectId=to)
        elif what == 4:
            await _do(world, ada, chance.choice(["taskDelete", "taskRestore"]), id=task)
        elif what == 5:
            await _do(world, who, "commentCreate", taskId=task, body="x")
        else:
            tasks.append(gid(await world.task(ada, f"a{step}", project_id=here.id)))
        for row in await _happened(scene, position):
            position = max(position, row.position)
            if row.kind != "ACCESS_LOST" and (row.task_id or row.project_id):
                events.append(_event(row, before))
    await scene.workshop.catch_up()
    names = {gid(here): "apples", gid(there): "berries"}
    model = Model(gid(ada), await _tasks(scene), names)
    for one, hook in zip(given, hooks, strict=True):
        wanted = model.wanted(one, events)
        assert await _polled(world, ada, one, since) == wanted, one
        assert await _polled_back(world, ada, one, since) == wanted, one
        async with aclosing(world.deliveries(STREAM, ada, filter=one, after=since)) as replies:
            streamed = [(await anext(replies)).good["taskEvents"] for _ in wanted]
        assert [(event["id"], event["matches"]) for event in streamed] == wanted, one
        matching = {
            key
            for key, _ in wanted
            for event in events
            if event["id"] == key and model.event(one, event, model.tasks.get(event["task"]))
        }
        assert await _sent(scene, hook) == matching, one


async def _polled(world: World, person: Person, given: Any, since: str) -> list[Any]:
    found: list[Any] = []
    after, more = since, True
    while more:
        variables = {"filter": given, "order": [{"at": "ASC"}], "first": 7, "after": after}
        page = (await world.run(POLL, person, **variables)).good["events"]
        found += [(node["id"], node["matches"]) for node in page["nodes"]]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    return found


async def _polled_back(world: World, person: Person, given: Any, since: str) -> list[Any]:
    """From the newest to the cursor, once downward and once by the last pages."""
    down: list[Any] = []
    after, more = "", True
    while more:
        variables = {"filter": given, "order": [{"at": "DESC"}], "first": 9, "after": after}
        page = (await world.run(POLL, person, **variables, before=since)).good["events"]
        down += [(node["id"], node["matches"]) for node in page["nodes"]]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    last: list[Any] = []
    before, more = "", True
    while more:
        variables = {"filter": given, "order": [{"at": "ASC"}], "last": 9, "before": before}
        page = (await world.run(POLL, person, **variables, after=since)).good["events"]
        last = [(node["id"], node["matches"]) for node in page["nodes"]] + last
        before, more = page["pageInfo"]["startCursor"], page["pageInfo"]["hasPreviousPage"]
    assert down[::-1] == last
    return last


async def _sent(scene: Scene, hook: Any) -> set[str]:
    async with scene.house.database.session() as session:
        found = await session.scalars(
            select(WebhookDelivery.event_id).where(WebhookDelivery.webhook_id == hook.id)
        )
        return {f"event_{key.hex}" for key in found}
