"""Lists by tracked time: pages in both directions and filters, beside the sums of single tasks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from db import models
from tests.accounts import Person
from tests.factories import World, fresh_id

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
PAGE = """
query ($filter: %(of)sFilter, $order: [%(of)sOrder!], $first: Int, $after: String, $last: Int,
  $before: String) {
  list: %(field)s(filter: $filter, orderBy: $order, first: $first, after: $after, last: $last,
    before: $before) {
    totalCount nodes { id tracked }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
KINDS = {"Task": "tasks", "Project": "projects"}
FILTERS: dict[str, tuple[dict[str, Any], Callable[[int], bool]]] = {
    "eq 0": ({"eq": 0}, lambda n: n == 0),
    "eq": ({"eq": 60}, lambda n: n == 60),
    "not 0": ({"notEq": 0}, lambda n: n != 0),
    "not": ({"notEq": 60}, lambda n: n != 60),
    "in": ({"in": [0, 60]}, lambda n: n in {0, 60}),
    "in some": ({"in": [60, 180]}, lambda n: n in {60, 180}),
    "not in": ({"notIn": [0, 60]}, lambda n: n not in {0, 60}),
    "not in some": ({"notIn": [60]}, lambda n: n != 60),
    "less": ({"lt": 120}, lambda n: n < 120),
    "at most": ({"lte": 0}, lambda n: n <= 0),
    "more": ({"gt": 0}, lambda n: n > 0),
    "between": ({"gte": 60, "lt": 180}, lambda n: 60 <= n < 180),
    "from 0": ({"gte": 0}, lambda n: n >= 0),
    "more than any": ({"gt": 10**9}, lambda n: n > 10**9),
    "null": ({"isNull": True}, lambda n: n < 0),
    "not null": ({"isNull": False, "lt": 60}, lambda n: n < 60),
}


@pytest.fixture(scope="module")
async def people(world: World) -> dict[str, Person]:
    """An admin, an editor and the assignee of two tasks, with time in two projects and outside."""
    random = Random("tracked")
    admin, editor, assignee = await world.people(3)
    one = await world.project(admin, editors=[editor])
    two = await world.project(admin, editors=[editor])
    tasks: list[models.Task] = []
    for n in range(12):
        project = (one, two, None)[n % 3]
        tasks.append(
            await world.task(
                admin,
                project_id=project and project.id,
                assignee_id=assignee.id if n < 3 else None,
            )
        )
    for _ in range(24):
        task = random.choice(tasks)
        person = random.choice([admin, editor, assignee])
        length = dt.timedelta(seconds=random.choice([0, 60, 60, 120]))
        await world.rows(
            models.TimeEntry(
                id=fresh_id(), created_at=NOW, updated_at=NOW, user_id=person.id, task_id=task.id,
                project_id=random.choice([task.project_id, one.id, None]),
                started_at=NOW - dt.timedelta(days=1), ended_at=NOW - dt.timedelta(days=1) + length,
                is_billable=False, tags=[], tag_keys=[],
            )
        )  # fmt: skip
    # Timers, as long as they have run by `NOW`.
    for person, task in ((editor, tasks[0]), (admin, tasks[5])):
        await world.rows(
            models.TimeEntry(
                id=fresh_id(), created_at=NOW, updated_at=NOW, user_id=person.id, task_id=task.id,
                project_id=task.project_id, started_at=NOW - dt.timedelta(hours=person is admin,
                minutes=20), is_billable=False, tags=[], tag_keys=[],
            )
        )  # fmt: skip
    return {"admin": admin, "editor": editor, "assignee": assignee}


async def _all(world: World, person: Person, of: str) -> dict[str, int]:
    query = PAGE % {"of": of, "field": KINDS[of]}
    nodes = (await world.run(query, person, at=NOW, first=100)).good["list"]["nodes"]
    return {node["id"]: node["tracked"] for node in nodes}


@pytest.mark.parametrize("of", KINDS)
@pytest.mark.parametrize("name", ["admin", "editor", "assignee"])
async def test_pages_are_in_order(
    world: World, people: dict[str, Person], name: str, of: str
) -> None:
    person, query = people[name], PAGE % {"of": of, "field": KINDS[of]}
    tracked = await _all(world, person, of)
    if name != "assignee":
        assert len(set(tracked.values())) > 1
    for direction in ("ASC", "DESC", "ASC_NULLS_FIRST"):
        expected = sorted(tracked, key=lambda id_: (tracked[id_], id_), reverse=direction == "DESC")
        order = [{"tracked": direction}]
        for size in (1, 2, 5):
            for forward in (True, False):
                found: list[str] = []
                cursor = None
                while True:
                    window: dict[str, Any] = (
                        {"first": size, "after": cursor}
                        if forward
                        else {"last": size, "before": cursor}
                    )
                    page = (await world.run(query, person, at=NOW, order=order, **window)).good[
                        "list"
                    ]
                    ids = [node["id"] for node in page["nodes"]]
                    found = found + ids if forward else ids + found
                    info = page["pageInfo"]
                    if not info["hasNextPage" if forward else "hasPreviousPage"]:
                        break
                    cursor = info["endCursor" if forward else "startCursor"]
                assert found == expected, (direction, size, forward)


@pytest.mark.parametrize("of", KINDS)
@pytest.mark.parametrize("name", ["admin", "editor", "assignee"])
async def test_filters_compare_the_sum(
    world: World, people: dict[str, Person], name: str, of: str
) -> None:
    person, query = people[name], PAGE % {"of": of, "field": KINDS[of]}
    tracked = await _all(world, person, of)
    for label, (wanted, matches) in FILTERS.items():
        for filter_, right in (
            ({"tracked": wanted}, matches),
            ({"not": {"tracked": wanted}}, lambda n, matches=matches: not matches(n)),
        ):
            page = (await world.run(query, person, at=NOW, filter=filter_, first=100)).good["list"]
            found = {node["id"] for node in page["nodes"]}
            assert found == {id_ for id_, n in tracked.items() if right(n)}, (label, filter_)
            assert page["totalCount"] == len(found)
