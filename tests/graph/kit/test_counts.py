"""`totalCount` is exact up to a bound, and one more than it beyond; here the bound is seven."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import pytest_asyncio
from graphql import GraphQLObjectType, build_schema

from graph.kit import counting, mixed_pages, page_rows
from graph.schema import schema
from graph.types.events import activity, event_feed, event_list
from settings import Settings
from tests.accounts import Person
from tests.factories import ENGINES, Engine, World, gid, own_world

BOUND = 7
_STATEMENTS = (
    page_rows._count_statement,
    mixed_pages._count_statement,
    event_feed._feed_count,
    event_list._log_count,
    activity._stats_statement,
)


@pytest.fixture
def low(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The bound is low, in statements too."""
    monkeypatch.setattr(counting, "EXACT_UP_TO", BOUND)
    for statement in _STATEMENTS:
        statement.cache_clear()
    yield
    monkeypatch.undo()
    for statement in _STATEMENTS:
        statement.cache_clear()


def _said(number: int) -> int:
    return number if number <= BOUND else BOUND + 1


class Scene:
    """Projects with different numbers of tasks, and who sees them."""

    def __init__(self, world: World, member: Person, guest: Person) -> None:
        self.world, self.member, self.guest = world, member, guest
        self.tasks: dict[str, int] = {}


@pytest_asyncio.fixture(scope="module")
async def scene(settings: Settings) -> Any:
    async with own_world(settings) as world:
        member, guest = await world.people(2)
        scene = Scene(world, member, guest)
        for number in (0, 3, BOUND, BOUND + 1, 12):
            project = await world.project(member, name=f"With {number}")
            if number:
                await world.many_tasks(member, project, number)
            scene.tasks[gid(project)] = number
        for number in range(5):
            await world.share(await world.task(member, f"shared {number}"), guest)
        yield scene


COUNTS = """
query ($few: StringFilter, $many: StringFilter) {
  all: tasks { totalCount }
  few: tasks(filter: { title: $few }) { totalCount }
  many: tasks(filter: { title: $many }) { totalCount }
  projects(first: 20) { totalCount nodes { id tasks(first: 1) { totalCount } } }
  users { totalCount }
}
"""


@pytest.mark.parametrize("engine", ENGINES)
async def test_lists_are_counted_up_to_the_bound(scene: Scene, low: None, engine: Engine) -> None:
    few, many = {"startsWith": "shared"}, {"contains": ""}
    reply = await scene.world.run(COUNTS, scene.member, engine=engine, few=few, many=many)
    found = reply.good
    assert found["all"]["totalCount"] == found["many"]["totalCount"] == BOUND + 1
    assert found["few"]["totalCount"] == 5
    assert found["projects"]["totalCount"] == len(scene.tasks)
    totals = {node["id"]: node["tasks"]["totalCount"] for node in found["projects"]["nodes"]}
    assert totals == {id_: _said(number) for id_, number in scene.tasks.items()}
    reply = await scene.world.run(COUNTS, scene.guest, engine=engine, few=few, many=many)
    found = reply.good
    assert {found[name]["totalCount"] for name in ("all", "few", "many")} == {5}
    assert found["projects"] == {"totalCount": 0, "nodes": []}


@pytest.mark.parametrize("engine", ENGINES)
async def test_comments_and_events_are_counted_up_to_the_bound(
    scene: Scene, low: None, engine: Engine
) -> None:
    world = scene.world
    person = await world.person()
    tasks = [await world.task(person, f"{engine} {number}") for number in range(3)]
    comment = (
        'mutation ($id: ID!) { commentCreate(input: { taskId: $id, body: "x" }) '
        "{ errors { code } } }"
    )
    for task, number in zip(tasks, (2, BOUND, 11), strict=True):
        for _ in range(number):
            assert not (await world.run(comment, person, id=gid(task))).user_errors
    query = """{
      tasks { nodes { comments { totalCount } activity { totalCount } } }
      viewer { activity { totalCount nodes { kind } } activityStats { total } }
      events { totalCount }
    }"""
    found = (await world.run(query, person, engine=engine)).good
    nodes = found["tasks"]["nodes"]
    assert sorted(node["comments"]["totalCount"] for node in nodes) == [2, BOUND, BOUND + 1]
    # One event more, that of the task itself.
    assert sorted(node["activity"]["totalCount"] for node in nodes) == [3, BOUND + 1, BOUND + 1]
    assert found["viewer"]["activity"]["totalCount"] == BOUND + 1
    assert len(found["viewer"]["activity"]["nodes"]) > BOUND + 1
    assert found["viewer"]["activityStats"]["total"] == BOUND
    assert found["events"]["totalCount"] == BOUND + 1


@pytest.mark.parametrize("engine", ENGINES)
async def test_search_and_trash_are_counted_up_to_the_bound(
    scene: Scene, low: None, engine: Engine
) -> None:
    world = scene.world
    person = await world.person()
    word = f"zebra{engine}"
    for number in range(BOUND + 3):
        await world.task(person, f"{word} {number}")
    found = (await world.run(f'{{ search(query: "{word}") {{ totalCount }} }}', person)).good
    assert found["search"]["totalCount"] == BOUND + 1


def test_every_connection_says_how_far_it_counts() -> None:
    types = build_schema(schema.as_str()).type_map.values()
    for type_ in types:
        if isinstance(type_, GraphQLObjectType) and type_.name.endswith("Connection"):
            description = type_.fields["totalCount"].description or ""
            assert "Exact up to 10,000; 10,001 means more." in description, type_.name
