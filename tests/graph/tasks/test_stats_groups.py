"""Statistics by group, compared with sums over the list of tasks, in plain Python."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from itertools import permutations
from random import Random
from typing import Any

import pytest
import pytest_asyncio

from db import models
from db.models import TaskPriority, TaskStatus
from tests.accounts import Person
from tests.factories import ENGINES, Engine, World, gid

KEYS = ("STATUS", "PRIORITY", "ASSIGNEE", "PROJECT", "TAG")
ORDERS = {
    "STATUS": ["TODO", "IN_PROGRESS", "COMPLETED", "CANCELLED"],
    "PRIORITY": ["NONE", "LOW", "MEDIUM", "HIGH", "URGENT"],
}
TASKS = """
query ($filter: TaskFilter) {
  tasks(first: 100, filter: $filter) {
    totalCount nodes { status priority assignee { id } project { id } tags isOverdue }
  }
}
"""
GROUP = "by status priority assignee { id } project { id } tag total open completed overdue"
GROUPS = f"""
fragment Groups on TaskStats {{
  total
  groups {{ {GROUP} groups {{ {GROUP} groups {{ {GROUP} groups {{ total }} }} }} }}
}}
"""
STATS = f"""
query ($filter: TaskFilter, $groupBy: [TaskGroupBy!]) {{
  taskStats(filter: $filter, groupBy: $groupBy) {{ ...Groups }}
}}
{GROUPS}
"""
OF_PROJECTS = f"""
query ($filter: TaskFilter, $groupBy: [TaskGroupBy!]) {{
  projects {{ nodes {{ id stats(filter: $filter, groupBy: $groupBy) {{ ...Groups }} }} }}
}}
{GROUPS}
"""
LATE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


# --- the oracle ----------------------------------------------------------------------------------


def values(task: Any, by: str) -> list[Any]:
    """The groups that a task is in."""
    if by == "STATUS":
        return [task["status"]]
    if by == "PRIORITY":
        return [task["priority"]]
    if by == "TAG":
        return [tag.lower() for tag in task["tags"]] or [None]
    found = task[by.lower()]
    return [found and found["id"]]


def summed(tasks: Sequence[Any], keys: Sequence[str]) -> list[Any]:
    """The groups of these tasks: pairs of a value, and its counts with the groups below."""
    if not keys:
        return []
    by, *rest = keys
    groups: dict[Any, list[Any]] = {}
    for task in tasks:
        for value in values(task, by):
            groups.setdefault(value, []).append(task)
    return [(value, (counts(some), summed(some, rest))) for value, some in groups.items()]


def counts(tasks: Sequence[Any]) -> tuple[int, int, int, int]:
    statuses = [task["status"] for task in tasks]
    return (
        len(tasks),
        statuses.count("TODO") + statuses.count("IN_PROGRESS"),
        statuses.count("COMPLETED"),
        sum(task["isOverdue"] for task in tasks),
    )


def shown(groups: Sequence[Any], keys: Sequence[str]) -> list[Any]:
    """The answer's groups in the same form."""
    found = []
    for group in groups:
        by = group["by"]
        assert by == keys[0]
        named = {key: group[key.lower()] for key in KEYS}
        assert {key for key, value in named.items() if value is not None} <= {by}
        value = named[by]
        if isinstance(value, dict):
            value = value["id"]
        if by == "TAG" and value is not None:
            value = value.lower()
        numbers = tuple(group[name] for name in ("total", "open", "completed", "overdue"))
        found.append((value, (numbers, shown(group["groups"], keys[1:]))))
    if found and keys[0] in ORDERS:
        order = ORDERS[keys[0]]
        assert [value for value, _ in found] == sorted((v for v, _ in found), key=order.index)
    else:
        totals = [numbers[0] for _, (numbers, _) in found]
        assert totals == sorted(totals, reverse=True)
    return found


def ordered(groups: Sequence[Any]) -> list[Any]:
    return sorted(
        ((value, (numbers, ordered(below))) for value, (numbers, below) in groups),
        key=lambda pair: str(pair[0]),
    )


# --- tasks ---------------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module")
async def cast(world: World) -> tuple[Person, Person]:
    """Two people with random tasks: in projects of both, personal, shared, assigned."""
    ada, ben = await world.people(2)
    random = Random(11)
    projects = [
        None,
        await world.project(ada),
        await world.project(ada, editors=[ben]),
        await world.project(ben),
    ]
    for number in range(70):
        project = random.choice(projects)
        owner = ben if project is projects[3] else ada
        task = await world.task(
            owner,
            f"Task {number}",
            project_id=None if project is None else project.id,
            assignee_id=random.choice([None, owner.id, ada.id, ben.id]),
            status=random.choice(list(TaskStatus)),
            priority=random.choice(list(TaskPriority)),
            tags=random.sample(["Red", "red", "RED", "blue", "green", "No"], random.randint(0, 3)),
            due_at=random.choice([None, LATE]),
        )
        if random.random() < 0.2:
            await world.share(task, ada if owner is ben else ben, models.Permission.VIEW)
    return ada, ben


async def compare(world: World, who: Person, keys: Sequence[str], filter_: Any = None) -> int:
    page = (await world.run(TASKS, who, filter=filter_)).good["tasks"]
    assert page["totalCount"] == len(page["nodes"])
    reply = await world.run(STATS, who, filter=filter_, groupBy=list(keys))
    stats = reply.good["taskStats"]
    assert stats["total"] == page["totalCount"]
    assert ordered(shown(stats["groups"], keys)) == ordered(summed(page["nodes"], keys))
    return len(stats["groups"])


@pytest.mark.parametrize("length", [1, 2, 3])
async def test_groups_are_sums_of_the_list(
    world: World, cast: tuple[Person, Person], length: int
) -> None:
    random = Random(length)
    orders = list(permutations(KEYS, length))
    for keys in orders if length == 1 else random.sample(orders, 8):
        for who in cast:
            assert await compare(world, who, keys) > 1
    filter_ = {"isOverdue": True, "tags": {"some": {"eq": "red"}}}
    assert await compare(world, cast[0], orders[0], filter_)


@pytest.mark.parametrize("engine", ENGINES)
async def test_all_projects_of_a_page_are_grouped_in_one_statement(
    world: World, cast: tuple[Person, Person], engine: Engine
) -> None:
    ada, _ = cast
    keys = ["TAG", "PRIORITY"]
    filter_ = {"status": {"in": ["TODO", "COMPLETED"]}}
    reply = await world.run(OF_PROJECTS, ada, engine=engine, filter=filter_, groupBy=keys)
    tasks = (await world.run(TASKS, ada, filter=filter_)).good["tasks"]["nodes"]
    nodes = reply.good["projects"]["nodes"]
    assert len(nodes) == 2
    for node in nodes:
        inside = [task for task in tasks if task["project"] == {"id": node["id"]}]
        assert node["stats"]["total"] == len(inside) > 0
        assert ordered(shown(node["stats"]["groups"], keys)) == ordered(summed(inside, keys))
    assert len(reply.statements) == 2


async def test_hidden_projects_are_not_told_apart(world: World) -> None:
    ada, eve = await world.people(2)
    hidden = [await world.project(ada) for _ in range(2)]
    for project in hidden:
        await world.share(await world.task(ada, project_id=project.id), eve)
    await world.task(eve)
    own = await world.project(eve, name="Own")
    await world.task(eve, project_id=own.id)
    query = """
    { taskStats(groupBy: [PROJECT]) { groups { project { name key } total } } }
    """
    groups = (await world.run(query, eve)).good["taskStats"]["groups"]
    assert groups == [
        {"project": None, "total": 3},
        {"project": {"name": "Own", "key": own.key}, "total": 1},
    ]


async def test_a_change_is_in_the_groups_at_once(world: World) -> None:
    ada, ben = await world.people(2)
    project = await world.project(ada, editors=[ben])
    task = await world.task(ada, project_id=project.id, assignee_id=ben.id)
    query = "{ taskStats(groupBy: [ASSIGNEE]) { groups { assignee { username } total } } }"
    for who in (ada, ben):
        for _ in range(2):
            groups = (await world.run(query, who)).good["taskStats"]["groups"]
            assert groups == [{"assignee": {"username": ben.username}, "total": 1}]
    assert len((await world.run(query, ben)).statements) == 2, "checked, and the user"
    assign = "mutation ($id: ID!) { taskAssign(input: {id: $id}) { errors { code } } }"
    await world.run(assign, ada, id=gid(task))
    for who in (ada, ben):
        groups = (await world.run(query, who)).good["taskStats"]["groups"]
        assert groups == [{"assignee": None, "total": 1}]


@pytest.mark.parametrize("given", [None, []])
async def test_without_criteria_there_are_no_groups(world: World, given: Any) -> None:
    ada = await world.person()
    await world.task(ada)
    stats = (await world.run(STATS, ada, groupBy=given)).good["taskStats"]
    assert (stats["total"], stats["groups"]) == (1, [])


async def test_nothing_has_no_groups(world: World) -> None:
    ada = await world.person()
    await world.project(ada)
    stats = (await world.run(STATS, ada, groupBy=["TAG"])).good["taskStats"]
    assert (stats["total"], stats["groups"]) == (0, [])
    (node,) = (await world.run(OF_PROJECTS, ada, groupBy=["TAG"])).good["projects"]["nodes"]
    assert node["stats"] == {"total": 0, "groups": []}


async def test_a_criterion_given_twice_is_refused_with_the_rest(world: World) -> None:
    ada = await world.person()
    filter_ = {"id": {"eq": "x"}}
    reply = await world.run(STATS, ada, groupBy=["TAG", "STATUS", "TAG"], filter=filter_)
    assert reply.data == {"taskStats": None}
    paths = [error["extensions"].get("argumentPath") for error in reply.errors]
    assert reply.codes[0] == "BAD_USER_INPUT", paths
    assert "groupBy contains TAG twice." in str(reply.errors)


async def test_too_many_groups_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await world.person()
    await world.task(ada, tags=[f"tag {number}" for number in range(5)])
    monkeypatch.setattr("graph.types.tasks.stats_groups.MAX_GROUPS", 4)
    reply = await world.run(STATS, ada, groupBy=["TAG"])
    assert reply.codes == ["LIMIT_EXCEEDED"]
    assert (await world.run(STATS, ada, groupBy=["STATUS"])).codes == []
