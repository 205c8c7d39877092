"""Lists of those who see few of many rows: another way to them, and the same rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from auth import access
from auth.viewer import Viewer
from db import models
from db.models import Permission
from graph.core import access_paths
from graph.kit import page_rows
from graph.types.tasks import stats, tag
from tests.accounts import Person
from tests.factories import Engine, World, gid
from tests.graph.engine.access_paths import Counting

PAGES = """
query ($after: String, $before: String) {
  byAge: tasks(first: 3) { totalCount nodes { title } pageInfo { hasNextPage endCursor } }
  next: tasks(first: 3, after: $after) { nodes { title } pageInfo { hasPreviousPage } }
  last: tasks(last: 2) { edges { cursor node { title project { name } } } }
  previous: tasks(first: 2, before: $before) { nodes { title } }
}
"""
MORE = """
query ($filter: TaskFilter) {
  byDue: tasks(first: 50, orderBy: [{ dueAt: DESC }, { title: ASC }]) {
    nodes { title viewerCanEdit commentCount }
  }
  byTime: tasks(first: 4, orderBy: [{ tracked: ASC }]) { nodes { title } }
  some: tasks(filter: $filter, first: 5) { totalCount nodes { title assignee { username } } }
  none: tasks(first: 0) { totalCount nodes { title } }
}
"""
GATHERED = """
query ($filter: TaskFilter) {
  taskStats(filter: $filter) {
    total overdue sharedWithMe byStatus { status count } byTag { name taskCount }
  }
  tags(first: 2) { totalCount nodes { name taskCount } pageInfo { hasNextPage } }
  byName: tags(orderBy: [{ name: ASC }], filter: { search: "e" }) { nodes { name taskCount } }
}
"""
TIMES = "{ timeEntries(first: 3) { totalCount nodes { duration user { username } } } }"
LIST = "{ tasks(first: 2) { nodes { title } } }"
# The words by which a statement that counts first is known.
COUNTS = "WITH candidates AS"

NAMES = ("owner", "member", "assignee", "friend", "heir", "stranger")


@dataclass(slots=True)
class Scene:
    """People who come to what they see by different paths."""

    everybody: dict[str, Person]
    project: models.Project


@pytest_asyncio.fixture(scope="module")
async def scene(world: World) -> Scene:
    everybody = dict(zip(NAMES, await world.people(len(NAMES)), strict=True))
    owner, assignee, friend = (everybody[name] for name in ("owner", "assignee", "friend"))
    project = await world.project(owner, viewers=[everybody["member"]])
    other = await world.project(owner)
    whole = await world.task(owner, "whole", project_id=project.id)
    part = await world.task(owner, "part", project_id=project.id, parent_id=whole.id)
    await world.task(owner, "piece", project_id=project.id, parent_id=part.id, tags=["red", "x"])
    given = await world.task(owner, "given", project_id=other.id, assignee_id=assignee.id)
    await world.task(owner, "below given", project_id=other.id, parent_id=given.id)
    await world.share(whole, friend)
    await world.share(part, everybody["heir"], Permission.EDIT)
    for person in everybody.values():
        for number in range(3):
            await world.task(person, f"own {number}", tags=["Red", "even"][: number + 1])
    gone = await world.task(friend, "gone")
    delete = "mutation ($id: ID!) { taskDelete(input: {id: $id}) { errors { code } } }"
    assert not (await world.run(delete, friend, id=gid(gone))).codes
    worked = (
        "mutation ($id: ID!) { timeEntryCreate(input: {taskId: $id, "
        'time: {start: {startedAt: "2026-01-05T09:00:00Z", duration: 3600}}}) { errors { code } } }'
    )
    for person in (owner, assignee):
        for task in (given, given):
            assert not (await world.run(worked, person, id=gid(task))).codes
    return Scene(everybody, project)


@pytest.fixture
def take(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Have lists read by this way: `walk`, or counted first and found to be `few` or `many`."""

    def way(name: str) -> None:
        paths = access_paths.AccessPaths(slow_seconds=math.inf) if name == "walk" else Counting()
        monkeypatch.setattr(world.services, "access_paths", paths)
        monkeypatch.setattr(access_paths, "MOST", 0 if name == "many" else 1_000)
        forget()

    def forget() -> None:
        page_rows._statement.cache_clear()
        page_rows._count_statement.cache_clear()
        for module in (stats, tag):
            for name in ("_statement", "_page_statement", "_count_statement"):
                if hasattr(module, name):
                    getattr(module, name).cache_clear()

    yield way
    monkeypatch.undo()
    forget()


async def _requested(world: World, person: Person, engine: Engine, filter_: dict[str, Any]) -> Any:
    """All that the lists say, the last pages by the cursors of the first."""
    first = (await world.run(PAGES, person, engine=engine)).good
    more = (await world.run(MORE, person, engine=engine, filter=filter_)).good
    places = {
        "after": first["byAge"]["pageInfo"]["endCursor"],
        "before": first["last"]["edges"][0]["cursor"],
    }
    again = await world.run(PAGES, person, engine=engine, **places)
    by_access_path = await world.run(GATHERED, person, engine=engine, filter=filter_)
    times = await world.run(TIMES, person, engine=engine)
    return first, again.good, more, by_access_path.good, times.good


@pytest.mark.parametrize(
    ("engine", "names"),
    [
        ("batch", NAMES),
        ("standard", ["heir"]),
        pytest.param("standard", NAMES[:4], marks=pytest.mark.nightly),
    ],
)
async def test_each_way_leads_to_the_same_rows(
    world: World,
    scene: Scene,
    take: Callable[[str], None],
    engine: Engine,
    names: Sequence[str],
) -> None:
    owner = scene.everybody["owner"]
    filter_ = {"or": [{"assignee": {"isNull": True}}, {"owner": {"id": {"eq": gid(owner)}}}]}
    found: dict[str, dict[str, Any]] = {}
    for way in ("walk", "few", "many"):
        # Compiles all statements anew, which takes far longer than to run them as everybody.
        take(way)
        found[way] = {
            name: await _requested(world, scene.everybody[name], engine, filter_) for name in names
        }
    assert found["few"] == found["walk"]
    assert found["many"] == found["walk"]
    assert all(told[0]["byAge"]["totalCount"] >= 3 for told in found["walk"].values())


async def test_everything_that_is_seen_is_within_reach(world: World, scene: Scene) -> None:
    """A new way to see a row must be in both."""
    for model in (models.Task, models.TimeEntry):
        for name, person in scene.everybody.items():
            paths = access.candidate_ids(person.viewer, model, most=1_000)
            assert paths is not None
            seen = select(model.id).where(access.read(person.viewer, model))
            async with world.database.session() as session:
                reached = set(await session.scalars(paths))
                assert set(await session.scalars(seen)) <= reached, (model, name)


async def test_a_restricted_key_sees_no_more(
    world: World, scene: Scene, take: Callable[[str], None]
) -> None:
    owner = scene.everybody["owner"].viewer
    viewer = Viewer(user_id=owner.user_id, projects=(scene.project.id,))
    for way in ("walk", "few", "many"):
        take(way)
        reply = await world.run("{ tasks { totalCount nodes { title } } }", viewer)
        assert reply.good["tasks"]["totalCount"] == 3
        titles = {node["title"] for node in reply.good["tasks"]["nodes"]}
        assert titles == {"whole", "part", "piece"}


async def test_whoever_waited_is_counted_until_they_see_many(
    world: World, scene: Scene, take: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger, owner = scene.everybody["stranger"], scene.everybody["owner"]
    take("walk")
    paths = world.services.access_paths
    assert COUNTS not in (await world.run(LIST, stranger)).statements[0]
    assert COUNTS not in (await world.run(LIST, stranger)).statements[0]

    # From now on every walk is a slow one.
    paths.slow_seconds = 0
    for person in (stranger, owner):
        assert COUNTS not in (await world.run(LIST, person)).statements[0]
    monkeypatch.setattr(access_paths, "MOST", 5)
    page_rows._statement.cache_clear()
    for person in (stranger, owner):
        assert COUNTS in (await world.run(LIST, person)).statements[0]
    # The stranger's three own tasks are few, the owner's are not.
    for _ in range(2):
        assert COUNTS in (await world.run(LIST, stranger)).statements[0]
        assert COUNTS not in (await world.run(LIST, owner)).statements[0]
    # Another model of the same person is another matter.
    assert COUNTS not in (await world.run(TIMES, stranger)).statements[0]

    monkeypatch.setattr(access_paths, "REMEMBERED_SECONDS", -1)
    paths.record_lookup(owner.viewer, models.Task, few=False)
    assert COUNTS not in (await world.run(LIST, owner)).statements[0]
    assert COUNTS in (await world.run(LIST, owner)).statements[0]
