"""Pages stay right while rows come and go, in every order, at the root and under each parent."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from itertools import product
from typing import Any

import orjson
import pytest
from sqlalchemy import update

from db import models
from tests.accounts import Person
from tests.factories import ENGINES, Engine, World, gid

PAGE = """
query Page(
  $id: ID!, $order: [TaskOrder!], $first: Int, $after: String, $last: Int, $before: String
) {
  project(id: $id) {
    tasks(orderBy: $order, first: $first, after: $after, last: $last, before: $before) {
      edges { cursor node { title } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
}
"""

START = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
# Twelve tasks; every third has no due time, and due times and priorities repeat.
ROWS: list[dict[str, Any]] = [
    {
        "title": f"t{number:02}",
        "due_at": None if number % 3 == 0 else START + dt.timedelta(days=number // 4),
        "priority": number % 4 * 10,
        "estimate": None if number % 2 else number,
    }
    for number in range(12)
]
ORDERINGS: dict[str, list[dict[str, Any]]] = {
    "title": [{"title": "ASC"}],
    "due nulls last": [{"dueAt": "ASC"}],
    "due nulls first": [{"dueAt": "ASC_NULLS_FIRST"}],
    "due downward nulls last": [{"dueAt": "DESC"}],
    "due downward nulls first": [{"dueAt": "DESC_NULLS_FIRST"}],
    "priority then due then estimate": [
        {"priority": "DESC"},
        {"dueAt": "ASC_NULLS_FIRST"},
        {"estimate": "DESC"},
    ],
    "a person's name": [{"assignee": {"fullName": "ASC_NULLS_FIRST"}}, {"title": "ASC"}],
}


def expected(ordering: str) -> list[str]:
    """The titles in order, found without SQL. Ties keep the order of making, as ids do."""
    rows = [dict(row, place=place) for place, row in enumerate(ROWS)]
    descending = False
    for key in reversed(ORDERINGS[ordering]):
        ((name, how),) = key.items()
        if name == "assignee":
            continue
        column = {"dueAt": "due_at"}.get(name, name)
        descending = how.startswith("DESC")
        valued = [row for row in rows if row[column] is not None]
        empty = [row for row in rows if row[column] is None]
        valued.sort(key=lambda row: row[column], reverse=descending)
        rows = empty + valued if how.endswith("NULLS_FIRST") else valued + empty
    return [row["title"] for row in rows]


@pytest.fixture(scope="module")
async def owner(world: World) -> Person:
    return await world.person(full_name="Owner")


@pytest.fixture
async def project(world: World, owner: Person) -> models.Project:
    project = await world.project(owner)
    for row in ROWS:
        await world.many_tasks(owner, project, 1, **row)
    return project


async def pages(
    world: World, owner: Person, project: models.Project, **paging: Any
) -> AsyncIterator[dict[str, Any]]:
    """Page after page, forward (`first`) or backward (`last`)."""
    forward = "first" in paging
    while True:
        reply = await world.run(PAGE, owner, id=gid(project), **paging)
        page = reply.good["project"]["tasks"]
        yield page
        info = page["pageInfo"]
        if not info["hasNextPage" if forward else "hasPreviousPage"]:
            return
        if forward:
            paging["after"] = info["endCursor"]
        else:
            paging["before"] = info["startCursor"]


def titles(page: dict[str, Any]) -> list[str]:
    return [edge["node"]["title"] for edge in page["edges"]]


def ties_apart(found: Sequence[str], ordering: str) -> list[Any]:
    """The key values of rows, which is what an ordering promises."""
    by_title = {row["title"]: row for row in ROWS}
    columns = {"dueAt": "due_at"}
    names = [columns.get(name, name) for key in ORDERINGS[ordering] for name in key]
    return [[by_title[title].get(name) for name in names] for title in found]


@pytest.mark.parametrize("ordering", ORDERINGS)
async def test_forward_and_backward_give_each_row_once_in_order(
    world: World, owner: Person, project: models.Project, ordering: str
) -> None:
    order = ORDERINGS[ordering]
    forward: list[str] = []
    async for page in pages(world, owner, project, order=order, first=5):
        forward += titles(page)
    assert ties_apart(forward, ordering) == ties_apart(expected(ordering), ordering)
    assert sorted(forward) == [row["title"] for row in ROWS]

    backward: list[str] = []
    async for page in pages(world, owner, project, order=order, last=5):
        backward = titles(page) + backward
    assert backward == forward


@pytest.mark.parametrize("ordering", ["title", "due nulls last", "due downward nulls first"])
async def test_rows_that_come_and_go_neither_skip_nor_repeat_others(
    world: World, owner: Person, project: models.Project, ordering: str
) -> None:
    seen: list[str] = []
    fresh = 0
    async for page in pages(world, owner, project, order=ORDERINGS[ordering], first=2):
        seen += titles(page)
        # One that was seen goes, and one comes that stands before everything.
        async with world.database.session() as session, session.begin():
            await session.execute(
                update(models.Task)
                .where(models.Task.project_id == project.id, models.Task.title == seen[-1])
                .values(deleted_at=dt.datetime.now(dt.UTC))
            )
        due_at = None if "first" in ordering else START - dt.timedelta(days=1)
        await world.many_tasks(owner, project, 1, title=f"a{fresh}", due_at=due_at)
        fresh += 1
    old = [title for title in seen if title.startswith("t")]
    assert sorted(old) == [row["title"] for row in ROWS]
    assert len(seen) == len(set(seen))


async def test_a_row_put_after_the_cursor_is_found(
    world: World, owner: Person, project: models.Project
) -> None:
    first = await world.run(PAGE, owner, id=gid(project), order=[{"title": "ASC"}], first=3)
    cursor = first.good["project"]["tasks"]["pageInfo"]["endCursor"]
    await world.many_tasks(owner, project, 1, title="t02 and a half")
    second = await world.run(
        PAGE, owner, id=gid(project), order=[{"title": "ASC"}], first=2, after=cursor
    )
    assert titles(second.good["project"]["tasks"]) == ["t02 and a half", "t03"]


async def test_what_page_info_says_at_both_ends(
    world: World, owner: Person, project: models.Project
) -> None:
    async def info(**paging: Any) -> tuple[list[str], bool, bool]:
        reply = await world.run(PAGE, owner, id=gid(project), order=[{"title": "ASC"}], **paging)
        page = reply.good["project"]["tasks"]
        bounds = page["pageInfo"]
        cursors = [edge["cursor"] for edge in page["edges"]] or [None]
        assert (bounds["startCursor"], bounds["endCursor"]) == (cursors[0], cursors[-1])
        return titles(page), bounds["hasPreviousPage"], bounds["hasNextPage"]

    assert await info(first=12) == ([row["title"] for row in ROWS], False, False)
    assert (await info(first=11))[1:] == (False, True)
    assert await info(first=0) == ([], False, True)
    assert (await info(last=11))[1:] == (True, False)

    reply = await world.run(PAGE, owner, id=gid(project), order=[{"title": "ASC"}])
    cursors = [edge["cursor"] for edge in reply.good["project"]["tasks"]["edges"]]
    assert await info(first=2, after=cursors[9]) == (["t10", "t11"], True, False)
    assert await info(last=2, before=cursors[2]) == (["t00", "t01"], False, True)
    # Rows follow although `before` leaves them out.
    assert await info(first=1, after=cursors[2], before=cursors[4]) == (["t03"], True, True)
    assert (await info(before=cursors[2]))[0] == ["t00", "t01"]


@pytest.mark.parametrize("engine", ENGINES)
async def test_each_parent_has_its_own_page_under_each_alias(
    world: World, owner: Person, engine: Engine
) -> None:
    word = f"Parents{engine}"
    made = []
    for count in (0, 1, 3, 6):
        project = await world.project(owner, name=f"{word} {count}")
        made.append((project, count))
        if count:
            await world.many_tasks(owner, project, count)
    reply = await world.run(
        """query ($word: String!) {
          projects(filter: { search: $word }, orderBy: [{ name: ASC }]) {
            nodes {
              oldest: tasks(first: 2) { nodes { number } }
              latest: tasks(last: 2) { nodes { number } totalCount }
              second: tasks(filter: { number: { eq: 2 } }) { nodes { number } totalCount }
              down: tasks(first: 3, orderBy: [{ number: DESC }]) {
                nodes { number }
                pageInfo { hasNextPage }
              }
            }
          }
        }""",
        owner,
        engine=engine,
        word=word,
    )
    for (_, count), project in zip(made, reply.good["projects"]["nodes"], strict=True):
        numbers = list(range(1, count + 1))
        second = [2] if count > 1 else []

        def of(alias: str, project: Any = project) -> list[int]:
            return [node["number"] for node in project[alias]["nodes"]]

        assert of("oldest") == numbers[:2]
        assert of("latest") == numbers[-2:]
        assert of("second") == second
        assert of("down") == numbers[::-1][:3]
        assert project["down"]["pageInfo"]["hasNextPage"] is (count > 3)
        assert project["latest"]["totalCount"] == count
        assert project["second"]["totalCount"] == len(second)


async def test_a_total_is_counted_only_when_asked_for(
    world: World, owner: Person, project: models.Project
) -> None:
    plain = await world.run(
        "query ($id: ID!) { project(id: $id) { tasks(first: 1) { nodes { id } } } }",
        owner,
        id=gid(project),
    )
    assert not [text for text in plain.statements if "count(" in text.lower()]
    counted = await world.run(
        "query ($id: ID!) { project(id: $id) { tasks(first: 1) { totalCount } } }",
        owner,
        id=gid(project),
    )
    assert counted.good["project"]["tasks"]["totalCount"] == len(ROWS)
    tasks = [text for text in counted.statements if "FROM tasks" in text]
    assert len(tasks) == 1
    assert "count(" in tasks[0]


async def test_an_ordering_refuses_the_cursor_of_another(
    world: World, owner: Person, project: models.Project
) -> None:
    first = await world.run(PAGE, owner, id=gid(project), order=[{"title": "ASC"}], first=1)
    cursor = first.good["project"]["tasks"]["pageInfo"]["endCursor"]
    others: list[Any] = [[{"number": "ASC"}], [{"title": "DESC"}], None]
    for order in others:
        reply = await world.run(PAGE, owner, id=gid(project), order=order, after=cursor)
        assert reply.codes == ["BAD_USER_INPUT"]
        assert "ordering" in reply.errors[0]["message"]
        assert reply.errors[0]["extensions"]["argumentPath"] == ["after"]


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


@pytest.mark.parametrize(
    ("order", "mark"),
    [
        ({"title": "ASC"}, "bc830f3d"),
        ({"priority": "DESC"}, "7c578d5e"),
        ({"dueAt": "ASC_NULLS_FIRST"}, "fae60111"),
        ({"dueAt": "DESC_NULLS_FIRST"}, "10ffff34"),
        ({"assignee": {"fullName": "ASC"}}, "69d7cebe"),
        ({"project": {"owner": {"createdAt": "DESC"}}}, "5881185f"),
    ],
)
async def test_a_cursor_written_before_orderings_were_one_word_still_holds(
    order: dict[str, Any], mark: str, world: World, owner: Person, project: models.Project
) -> None:
    first = await world.run(PAGE, owner, id=gid(project), order=[order], first=1)
    cursor = first.good["project"]["tasks"]["pageInfo"]["endCursor"]
    assert orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))[0] == mark


async def test_malformed_cursors_are_the_clients_error(
    world: World, owner: Person, project: models.Project
) -> None:
    first = await world.run(PAGE, owner, id=gid(project), order=[{"dueAt": "ASC"}], first=1)
    cursor = first.good["project"]["tasks"]["pageInfo"]["endCursor"]
    mark, due_at, key = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    for malformed in (
        "x",
        "%%%",
        "ÿ",
        "\x00",
        cursor[:-3],
        cursor + "AAAA",
        encoded(None),
        encoded([]),
        encoded([mark]),
        encoded([mark, due_at]),
        encoded([mark, due_at, key, key]),
        encoded([mark, due_at, None]),
        encoded([mark, due_at, 1]),
        encoded([mark, due_at, "no id"]),
        encoded([mark, 5, key]),
        encoded([mark, "tomorrow", key]),
        encoded([mark, "2030-01-01T00:00:00", key]),
        encoded([mark, "0001-01-01T00:00:00+14:00", key]),
        encoded([mark, {"a": 1}, key]),
        encoded([1, due_at, key]),
        encoded({"mark": mark}),
    ):
        for name in ("after", "before"):
            place: dict[str, Any] = {name: malformed}
            reply = await world.run(PAGE, owner, id=gid(project), order=[{"dueAt": "ASC"}], **place)
            assert reply.codes == ["BAD_USER_INPUT"], malformed
            assert reply.errors[0]["extensions"]["argumentPath"] == [name]


async def test_a_number_in_a_cursor_that_no_column_holds(
    world: World, owner: Person, project: models.Project
) -> None:
    first = await world.run(PAGE, owner, id=gid(project), order=[{"priority": "ASC"}], first=1)
    cursor = first.good["project"]["tasks"]["pageInfo"]["endCursor"]
    mark, _, key = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    for value in (2**15, 2**31, -(2**40), 1.5, "1", True):
        reply = await world.run(
            PAGE,
            owner,
            id=gid(project),
            order=[{"priority": "ASC"}],
            after=encoded([mark, value, key]),
        )
        assert reply.codes == ["BAD_USER_INPUT"], value


@pytest.mark.parametrize(
    ("paging", "path"),
    [
        ({"first": 101}, ["first"]),
        ({"first": -1}, ["first"]),
        ({"last": 101}, ["last"]),
        ({"last": -1}, ["last"]),
        ({"first": 1, "last": 1}, ["last"]),
        ({"order": [{"title": "ASC"}, {"title": "DESC"}]}, ["orderBy", "1"]),
        (
            {
                "order": [
                    {name: "ASC"}
                    for name in ("title", "number", "status", "priority", "dueAt", "startAt")
                ]
            },
            ["orderBy"],
        ),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_limits_of_pages(
    world: World, owner: Person, project: models.Project, paging: dict[str, Any], path: list[str]
) -> None:
    reply = await world.run(PAGE, owner, id=gid(project), **paging)
    assert reply.codes == ["BAD_USER_INPUT"]
    assert reply.errors[0]["extensions"]["argumentPath"] == path


async def test_fifty_rows_unless_said_otherwise(world: World, owner: Person) -> None:
    project = await world.project(owner)
    await world.many_tasks(owner, project, 60)
    reply = await world.run(PAGE, owner, id=gid(project))
    assert len(reply.good["project"]["tasks"]["edges"]) == 50


INFO = """
query Info($ids: [ID!]!, $first: Int, $after: String, $last: Int, $before: String) {
  nodes(ids: $ids) {
    ... on Project {
      list: FIELD(orderBy: [{ LABEL: ASC }], first: $first, after: $after, last: $last,
                  before: $before) {
        edges { cursor node { label: LABEL } } pageInfo { hasNextPage hasPreviousPage }
      }
    }
  }
}
"""
SIZES = [{"first": 0}, {"first": 1}, {"first": 9}, {"last": 1}, {"last": 9}]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("field", "label"), [("tasks", "title"), ("tagUsage", "name")])
async def test_page_info_says_what_stands_before_and_after_in_each_list(
    world: World, owner: Person, field: str, label: str, engine: Engine
) -> None:
    """All windows by the cursors of one list, under three parents: of the others one has rows on
    both sides of each cursor, and one has none.
    """
    lists = ["bdf", "aceg", ""]
    projects = []
    for names in lists:
        project = await world.project(owner)
        projects.append(gid(project))
        for name in names:
            await world.task(owner, name, project_id=project.id, tags=[name])
    query = INFO.replace("FIELD", field).replace("LABEL", label)

    async def ask(**window: Any) -> list[Any]:
        reply = await world.run(query, owner, engine=engine, ids=projects, **window)
        return [node["list"] for node in reply.good["nodes"]]

    edges = (await ask())[0]["edges"]
    cursors = {edge["node"]["label"]: edge["cursor"] for edge in edges}
    for after, before, size in product(["", *cursors], ["", *cursors], SIZES):
        window = {"after": cursors.get(after), "before": cursors.get(before), **size}
        for names, found in zip(lists, await ask(**window), strict=True):
            inside = [each for each in names if each > after and (not before or each < before)]
            page = inside[-size["last"] :] if "last" in size else inside[: size["first"]]
            info = found["pageInfo"]
            assert [edge["node"]["label"] for edge in found["edges"]] == page
            if page:
                expected_info = (page[-1] != names[-1], page[0] != names[0])
                assert (info["hasNextPage"], info["hasPreviousPage"]) == expected_info, window


async def test_an_empty_text_is_the_beginning_and_the_end(
    world: World, owner: Person, project: models.Project
) -> None:
    first = await world.run(PAGE, owner, id=gid(project), first=3, after="")
    assert titles(first.good["project"]["tasks"]) == ["t00", "t01", "t02"]
    last = await world.run(PAGE, owner, id=gid(project), last=2, before="")
    assert titles(last.good["project"]["tasks"]) == ["t10", "t11"]
