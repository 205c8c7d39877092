"""One gap again and again: ranks stay short, the order right, and events tell a client of it."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from db import models
from domain.tasks import ranks
from tests.accounts import Person
from tests.factories import World, gid
from tests.graph.tasks.test_placement import listed, move

MOST = 64
POSITIONS = """query ($since: String!, $id: ID!) {
  events(after: $since, first: 100, filter: { project: { id: { eq: $id } } }) {
    nodes { kind subjectId changes { field ... on TextChange { newText } } }
    pageInfo { hasNextPage endCursor }
  }
}"""


@given(
    st.text("0az", max_size=6), st.text("0az", max_size=6), st.integers(min_value=1, max_value=90)
)
def test_rows_are_spread_between_any_two(one: str, other: str, count: int) -> None:
    low, high = sorted(("0000000z" + one.rstrip("0"), "0000000z" + other.rstrip("0")))
    if low == high:
        return
    found = ranks.spread(low, high, count)
    assert len(found) == count
    assert [low, *found, high] == sorted({low, *found, high})
    assert not any(len(rank) > 8 and rank.endswith("0") for rank in found)


async def _order(world: World, project: models.Project) -> dict[str, str]:
    """The ids of a project's tasks by position, past the API."""
    async with world.database.session() as session:
        rows = await session.execute(
            select(models.Task.id, models.Task.position)
            .where(models.Task.project_id == project.id)
            .order_by(models.Task.position)
        )
        return {f"task_{row.id.hex}": row.position for row in rows}


async def _follow(world: World, person: Person, project: Any, since: str, kept: Any) -> str:
    """A client's positions after the events since a cursor."""
    more = True
    while more:
        reply = await world.run(POSITIONS, person, since=since, id=gid(project))
        page = reply.good["events"]
        for event in page["nodes"]:
            for change in event["changes"]:
                if change["field"] == "position":
                    kept[event["subjectId"]] = change["newText"]
        since, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    return since


@pytest.mark.parametrize("moves", [40, pytest.param(30_000, marks=pytest.mark.nightly)])
async def test_a_gap_takes_any_number_of_moves(world: World, moves: int) -> None:
    owner, chance = await world.person(), random.Random(3)
    project = await world.project(owner)
    titles = [f"t{number}" for number in range(45)]
    tasks = await world.tasks(owner, titles, project_id=project.id)
    # As after a thousand moves behind the first task: few digits are left.
    low = tasks[0].position
    async with world.database.session() as session, session.begin():
        for place in range(1, 21):
            near = low + "0" * (40 - place) + "1"
            await session.execute(
                update(models.Task).where(models.Task.id == tasks[place].id).values(position=near)
            )
    cursor = (await world.run("{ eventCursor }", owner)).good["eventCursor"]
    kept = await _order(world, project)
    expected = [title.removeprefix("t") for title in await listed(world, owner, project)]
    longest = 0
    for _ in range(moves):
        task = tasks[chance.randrange(30, 45)]
        moved = await move(world, owner, task, place={"after": gid(tasks[0])})
        longest = max(longest, len(moved["position"]))
        number = str(tasks.index(task))
        expected.remove(number)
        expected.insert(1, number)
    assert longest <= MOST
    assert await listed(world, owner, project) == [f"t{number}" for number in expected]
    await _follow(world, owner, project, cursor, kept)
    assert kept == await _order(world, project)
    async with world.database.session() as session:
        most = await session.scalar(
            select(func.max(func.length(models.Task.position))).where(
                models.Task.project_id == project.id
            )
        )
    assert most <= MOST


async def test_subtasks_keep_their_place_in_the_new_list(world: World) -> None:
    owner = await world.person()
    here, there = await world.project(owner), await world.project(owner)
    first = await world.task(owner, "a1", project_id=here.id)
    one = await world.task(owner, "a1.1", project_id=here.id, parent_id=first.id)
    await world.task(owner, "a1.1.1", project_id=here.id, parent_id=one.id)
    await world.task(owner, "a1.2", project_id=here.id, parent_id=first.id)
    others = await world.tasks(owner, ["b0", "b1", "b2"], project_id=there.id)
    family = ["a1", "a1.1", "a1.1.1", "a1.2"]
    await move(world, owner, first, projectId=gid(there))
    assert await listed(world, owner, there) == ["b0", "b1", "b2", *family]
    await move(world, owner, first, projectId=gid(here))
    await move(world, owner, first, projectId=gid(there), place={"before": gid(others[1])})
    assert await listed(world, owner, there) == ["b0", *family, "b1", "b2"]
    await move(world, owner, first, projectId=gid(here))
    await move(world, owner, first, projectId=gid(there), place={"before": gid(others[0])})
    assert await listed(world, owner, there) == [*family, "b0", "b1", "b2"]
