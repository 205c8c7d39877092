"""Counters are right after any mutations, and everything that is read from them is what the lists
of tasks say.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from auth.viewer import Viewer
from domain.tasks import counters
from settings import Settings
from tests.accounts import Person
from tests.counts import wrong_counters
from tests.factories import World, gid, own_world
from tests.plays import PRIORITIES, STATUSES, TAGS, Play, begun

TASKS = """
query ($after: String) { tasks(first: 100, after: $after) {
  pageInfo { hasNextPage endCursor }
  nodes {
    id status priority tags dueAt isOverdue commentCount attachmentCount
    project { id name } assignee { id } shares { nodes { user { id } } }
    comments(first: 100) { nodes { id isDeleted author { id } } }
    attachments(first: 100) { nodes { id } }
  }
} }
"""
STATS = """
  total completed open overdue
  byStatus { status count } byPriority { priority count } byTag { name taskCount }
"""
COUNTED = f"""
{{
  taskStats {{ {STATS} sharedWithMe commentsPosted }}
  grouped: taskStats(groupBy: [PROJECT, STATUS]) {{
    groups {{ project {{ id }} total open completed overdue groups {{ status total overdue }} }}
  }}
  tags(first: 100) {{ totalCount nodes {{ name taskCount }} }}
  projects(first: 100) {{
    nodes {{
      id
      stats {{ {STATS} commentsPosted }}
      tagUsage(first: 100) {{ totalCount nodes {{ name taskCount }} }}
    }}
  }}
  byComments: tasks(first: 100, orderBy: [{{commentCount: DESC}}]) {{ nodes {{ id }} }}
  byFiles: tasks(first: 100, orderBy: [{{attachmentCount: ASC}}]) {{ nodes {{ id }} }}
}}
"""

FILTERED = """
query ($filter: TaskFilter) { taskStats(filter: $filter) {
  total completed open overdue byStatus { status count } byPriority { priority count }
} }
"""


STEPS: tuple[Callable[[Play], Any], ...] = (
    *[Play.create] * 6,
    *[Play.update, Play.comment] * 4,
    *[Play.bulk_create, Play.bulk_update, Play.tag, Play.move, Play.delete, Play.restore] * 2,
    *[Play.attach, Play.detach, Play.uncomment, Play.assign, Play.share, Play.bulk_delete],
    *[Play.delete_project, Play.restore_project, Play.purge, Play.merge],
)


# --- the oracle ----------------------------------------------------------------------------------


async def _visible(world: World, person: Person | Viewer) -> list[Any]:
    """All tasks that somebody sees, by the pages of the list."""
    found: list[Any] = []
    after = None
    while True:
        page = (await world.run(TASKS, person, after=after)).good["tasks"]
        found += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


def _tags(tasks: list[Any], name: Callable[[Counter[str]], str]) -> list[tuple[str, int]]:
    spelled: dict[str, Counter[str]] = {}
    for task in tasks:
        for tag in task["tags"]:
            spelled.setdefault(tag.casefold(), Counter())[tag] += 1
    return sorted((name(counts), counts.total()) for counts in spelled.values())


def _numbers(tasks: list[Any]) -> dict[str, Any]:
    """What statistics say of these tasks."""
    status = Counter(task["status"] for task in tasks)
    priority = Counter(task["priority"] for task in tasks)
    return {
        "total": len(tasks),
        "completed": status["COMPLETED"],
        "open": status["TODO"] + status["IN_PROGRESS"],
        "overdue": sum(task["isOverdue"] for task in tasks),
        "byStatus": [{"status": one, "count": status[one]} for one in STATUSES],
        "byPriority": [{"priority": one, "count": priority[one]} for one in PRIORITIES],
    }


def _pairs(nodes: list[Any]) -> list[tuple[str, int]]:
    return [(node["name"], node["taskCount"]) for node in nodes]


async def _compare(world: World, person: Person | Viewer, user_id: str, order: Any) -> None:
    """Everything that comes from counters, beside a count of the visible tasks in Python."""
    tasks = await _visible(world, person)
    data = (await world.run(COUNTED, person)).good
    for task in tasks:
        living = [one for one in task["comments"]["nodes"] if not one["isDeleted"]]
        assert task["commentCount"] == len(living)
        assert task["attachmentCount"] == len(task["attachments"]["nodes"])
    own = sum(
        not comment["isDeleted"] and (comment["author"] or {}).get("id") == user_id
        for task in tasks
        for comment in task["comments"]["nodes"]
    )
    _same_stats(data["taskStats"], tasks, order)
    assert data["taskStats"]["commentsPosted"] == own
    assert _pairs(data["tags"]["nodes"]) == _most_frequent(tasks, order)
    assert data["tags"]["totalCount"] == len(data["tags"]["nodes"])
    for project in data["projects"]["nodes"]:
        inside = [task for task in tasks if (task["project"] or {}).get("id") == project["id"]]
        _same_stats(project["stats"], inside, order)
        assert _pairs(project["tagUsage"]["nodes"]) == _most_frequent(inside, order)
    for filter_, matches in _filters(data["projects"]["nodes"]):
        reply = await world.run(FILTERED, person, filter=filter_)
        assert reply.good["taskStats"] == _numbers([task for task in tasks if matches(task)])
        assert any("list_counts" in statement for statement in reply.statements), filter_
    groups = {
        ((group["project"] or {}).get("id"), inner["status"]): (inner["total"], inner["overdue"])
        for group in data["grouped"]["groups"]
        for inner in group["groups"]
    }
    seen = {project["id"] for project in data["projects"]["nodes"]}
    right: dict[Any, list[int]] = {}
    for task in tasks:
        project = (task["project"] or {}).get("id")
        sums = right.setdefault((project if project in seen else None, task["status"]), [0, 0])
        sums[0] += 1
        sums[1] += task["isOverdue"]
    assert groups == {key: tuple(sums) for key, sums in right.items()}
    assert [node["id"] for node in data["byComments"]["nodes"]] == [
        task["id"]
        for task in sorted(tasks, key=lambda t: (t["commentCount"], t["id"]), reverse=True)
    ][:100]
    assert [node["id"] for node in data["byFiles"]["nodes"]] == [
        task["id"] for task in sorted(tasks, key=lambda t: (t["attachmentCount"], t["id"]))
    ][:100]


def _filters(projects: list[Any]) -> list[tuple[Any, Callable[[Any], bool]]]:
    """Filters for which counters know the answer, and what they match."""
    seen = {project["id"] for project in projects}

    def project_of(task: Any) -> str | None:
        id_: str | None = (task["project"] or {}).get("id")
        return id_ if id_ in seen else None

    some = sorted(seen)[:1]
    is_open = ("TODO", "IN_PROGRESS")
    return [
        ({"isOpen": True}, lambda task: task["status"] in is_open),
        ({"project": {"isNull": True}}, lambda task: project_of(task) is None),
        ({"project": {"id": {"in": some}}}, lambda task: project_of(task) in some),
        (
            {"not": {"project": {"id": {"in": some}}}, "status": {"notEq": "TODO"}},
            lambda task: project_of(task) not in some and task["status"] != "TODO",
        ),
        (
            {"or": [{"priority": {"eq": "URGENT"}}, {"project": {"name": {"contains": "o"}}}]},
            lambda task: (
                task["priority"] == "URGENT"
                or (project_of(task) is not None and "o" in task["project"]["name"].lower())
            ),
        ),
    ]


def _same_stats(stats: Any, tasks: list[Any], order: dict[str, int]) -> None:
    expected = _numbers(tasks)
    assert {name: stats[name] for name in expected} == expected
    # The first of the spellings.
    tags = _tags(tasks, lambda counts: min(counts, key=order.__getitem__))
    assert sorted(_pairs(stats["byTag"])) == tags


def _most_frequent(tasks: list[Any], order: dict[str, int]) -> list[tuple[str, int]]:
    """The tags in their most frequent spelling; of equally frequent ones, the first."""
    tags = _tags(tasks, lambda counts: min(counts, key=lambda tag: (-counts[tag], order[tag])))
    return sorted(tags, key=lambda pair: (-pair[1], pair[0].casefold()))


# --- tests ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def alone(settings: Settings) -> Any:
    """A database of its own, since everything in it is counted."""
    async with own_world(settings) as made:
        yield made


async def _order(world: World) -> dict[str, int]:
    """The places of the tags in the database's order of texts."""
    async with world.database.session() as session:
        statement = text("SELECT tag FROM unnest(CAST(:tags AS text[])) AS tag ORDER BY tag")
        return {tag: n for n, tag in enumerate(await session.scalars(statement, {"tags": TAGS}))}


@pytest.mark.parametrize("seed", range(4))
async def test_counters_are_right_after_any_mutations(alone: World, seed: int) -> None:
    order = await _order(alone)
    play = await begun(alone, Random(f"counters {seed}"))
    for step in range(1, 61):
        await play.random.choice(STEPS)(play)
        if step % 20 == 0:
            assert await wrong_counters(alone.database) == {}, play.done
            for person in play.people:
                await _compare(alone, person, gid(person), order)
    await play.leave()
    assert await wrong_counters(alone.database) == {}, play.done
    for person in play.people:
        await _compare(alone, person, gid(person), order)
    assert [found async for found in counters.differences(alone.database)] == []


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(100, 160))
async def test_counters_are_right_after_many_mutations(alone: World, seed: int) -> None:
    await test_counters_are_right_after_any_mutations(alone, seed)


async def test_the_mutations_of_these_tests_are_done(alone: World) -> None:
    """Of each kind, some are not refused."""
    play = await begun(alone, Random("kinds"))
    for step in dict.fromkeys(STEPS):
        before = play.done.total()
        for _ in range(20):
            await step(play)
            if play.done.total() > before:
                break
    await play.leave()
    assert await wrong_counters(alone.database) == {}
    assert sorted(kind for kind, times in play.done.items() if not times) == []


async def test_a_restricted_key_counts_the_tasks_of_its_projects(alone: World) -> None:
    ada, ben = await alone.people(2)
    mine = await alone.project(ada)
    other = await alone.project(ada)
    theirs = await alone.project(ben)
    await alone.task(ada, project_id=mine.id, tags=["Red"])
    await alone.task(ada, project_id=other.id, tags=["red"])
    await alone.task(ada, tags=["RED"])
    shared = await alone.task(ben, project_id=theirs.id, tags=["Blue"])
    await alone.task(ben, project_id=theirs.id, parent_id=shared.id, tags=["Blue"])
    await alone.share(shared, ada)
    order = await _order(alone)
    for projects in ((mine.id,), (theirs.id,), (mine.id, theirs.id), None):
        viewer = Viewer(user_id=ada.id, projects=projects)
        await _compare(alone, viewer, gid(ada), order)


async def test_what_is_wrong_is_found_and_set_right(alone: World) -> None:
    ada = await alone.person()
    project = await alone.project(ada)
    tasks = [await alone.task(ada, project_id=project.id, tags=["Red"]) for _ in range(3)]
    strange = uuid4()
    wrong = [
        f"UPDATE task_counters SET comments = 7 WHERE task_id = '{tasks[0].id}'",
        f"DELETE FROM task_counters WHERE task_id = '{tasks[1].id}'",
        f"INSERT INTO task_counters VALUES ('{strange}', 1, 2)",
        f"INSERT INTO list_counts VALUES ('{project.id}', 40, 40, 5)",
        f"INSERT INTO tag_counts VALUES ('{strange}', 'blue', 'Blue', 1)",
        "UPDATE tag_count_changes SET tasks = 0 WHERE id = (SELECT max(id) FROM tag_count_changes)",
    ]
    async with alone.database.session() as session, session.begin():
        for statement in wrong:
            await session.execute(text(statement))
    found = [str(one) async for one in counters.differences(alone.database)]
    assert sorted(found) == sorted(
        [
            f"task_counters: task {tasks[0].id}, column comments: 7 instead of 0",
            f"task_counters: task {tasks[1].id}, column comments: nothing instead of 0",
            f"task_counters: task {tasks[1].id}, column attachments: nothing instead of 0",
            f"task_counters: task {strange}, column comments: 1 instead of nothing",
            f"task_counters: task {strange}, column attachments: 2 instead of nothing",
            f"list_counts: list_id {project.id}, status 40, priority 40: 5 instead of 0",
            f"tag_counts: list_id {project.id}, tag_key red, tag Red: 2 instead of 3",
            f"tag_counts: list_id {strange}, tag_key blue, tag Blue: 1 instead of 0",
        ]
    )
    async for difference in counters.differences(alone.database):
        await counters.repair(alone.database, difference)
    assert [one async for one in counters.differences(alone.database)] == []
    assert await wrong_counters(alone.database) == {}


async def test_many_changes_are_added_up_some_at_a_time(alone: World) -> None:
    """After a large import one transaction would take longer than a request may, each time."""
    limited = """
        CREATE FUNCTION limited() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF (SELECT count(*) > 2 FROM gone) THEN RAISE 'too many'; END IF;
            RETURN NULL;
        END $$;
        CREATE TRIGGER limited AFTER DELETE ON list_count_changes REFERENCING OLD TABLE AS gone
            FOR EACH STATEMENT EXECUTE FUNCTION limited();
    """
    await alone.tasks(await alone.person(), [f"task {n}" for n in range(5)])
    async with alone.database.connection() as connection:
        await connection.execute(limited)
    try:
        assert await counters.merge(alone.database, most=2)
    finally:
        async with alone.database.connection() as connection:
            await connection.execute("DROP FUNCTION limited CASCADE")
    async with alone.database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM list_count_changes")) == 0
    assert await wrong_counters(alone.database) == {}


async def test_writers_of_the_same_tasks_do_not_stop_each_other(alone: World) -> None:
    """Several at once, in both orders, beside those that add the counts up and repair them."""
    ada, ben = await alone.people(2)
    one = await alone.project(ada, editors=[ben])
    two = await alone.project(ada, editors=[ben])
    tasks = [
        gid(await alone.task(ada, project_id=(one, two)[n % 2].id, tags=["Red"])) for n in range(6)
    ]
    update = (
        "mutation ($items: [TaskBulkUpdateItem!]!) "
        "{ taskBulkUpdate(input: {items: $items}) { errors { code } } }"
    )
    write = (
        'mutation ($id: ID!) { commentCreate(input: {taskId: $id, body: "x"}) { errors { code } } }'
    )

    async def bulk(person: Person, n: int) -> None:
        named = tasks if n % 2 else tasks[::-1]
        items = [
            {"id": task, "status": STATUSES[(n + m) % 4], "tags": [TAGS[(n + m) % 7]]}
            for m, task in enumerate(named)
        ]
        reply = await alone.run(update, person, items=items)
        assert reply.good

    async def comment(person: Person, n: int) -> None:
        assert (await alone.run(write, person, id=tasks[n % 6])).good

    async def merge() -> None:
        for _ in range(10):
            await counters.merge(alone.database)
            async for difference in counters.differences(alone.database):
                raise AssertionError(difference)

    await asyncio.gather(
        merge(),
        *(bulk((ada, ben)[n % 2], n) for n in range(12)),
        *(comment((ada, ben)[n % 2], n) for n in range(24)),
    )
    assert await wrong_counters(alone.database) == {}


async def test_a_change_that_is_undone_is_not_counted(alone: World) -> None:
    ada = await alone.person()
    task = await alone.task(ada, tags=["Red"])
    async with alone.database.session() as session, session.begin():
        await session.execute(text("UPDATE tasks SET status = 30 WHERE id = :id"), {"id": task.id})
        await session.rollback()
    assert await wrong_counters(alone.database) == {}
