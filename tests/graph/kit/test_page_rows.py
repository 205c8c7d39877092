"""Lists that differ in values alone come from one statement, and nothing of them is mixed up."""

from __future__ import annotations

from typing import Any

import pytest

from db import models
from tests.accounts import Person
from tests.factories import World, gid

STATUSES = {"open": "TODO", "doing": "IN_PROGRESS", "review": "CANCELLED", "done": "COMPLETED"}

BOARD = """
query Board($id: ID!) {
  project(id: $id) {
    open: tasks(filter: { status: { eq: TODO } }, first: 3) { ...rows }
    doing: tasks(filter: { status: { eq: IN_PROGRESS } }, first: 2) { ...rows }
    review: tasks(filter: { status: { eq: CANCELLED } }) { ...rows }
    done: tasks(filter: { status: { eq: COMPLETED } }, first: 0) { ...rows }
  }
}
fragment rows on TaskConnection {
  nodes { title status } pageInfo { hasNextPage hasPreviousPage endCursor }
}
"""

PROJECTS = """
query Projects($words: String!) {
  projects(filter: { search: $words }, orderBy: [{ name: ASC }]) {
    nodes {
      name
      urgent: tasks(filter: { priority: { eq: URGENT } }, first: 1) { nodes { title } }
      low: tasks(filter: { priority: { eq: LOW } }, first: 2) { nodes { title } }
    }
  }
}
"""

WINDOWS = """
query Windows($id: ID!, $a: String!, $b: String!, $c: String!) {
  project(id: $id) {
    a: tasks(first: 2, after: $a) { nodes { title } }
    b: tasks(first: 2, after: $b) { nodes { title } }
    c: tasks(first: 2, after: $c) { nodes { title } }
  }
}
"""

CHOSEN = """
query Chosen($id: ID!) {
  project(id: $id) {
    some: tasks(filter: { status: { in: [TODO, COMPLETED] } }) { nodes { status } totalCount }
    same: tasks(filter: { status: { in: [TODO, COMPLETED] } }, first: 1) { nodes { status } }
    others: tasks(filter: { status: { in: [CANCELLED] } }) { nodes { status } totalCount }
  }
}
"""


def pages(statements: list[str]) -> list[str]:
    """The statements that read pages of tasks, without those that count them."""
    read = [text for text in statements if "FROM tasks AS item" in text and "LATERAL" in text]
    return [text for text in read if "count(*)" not in text]


@pytest.fixture(scope="module")
async def ada(world: World) -> Person:
    return await world.person()


@pytest.fixture(scope="module")
async def project(world: World, ada: Person) -> models.Project:
    """Five tasks of each status, the numbers of one status four apart."""
    made = await world.project(ada)
    for number in range(20):
        status = list(STATUSES.values())[number % 4]
        await world.task(ada, f"t{number:02}", project_id=made.id, status=models.TaskStatus[status])
    return made


async def both(world: World, query: str, person: Person, **variables: Any) -> Any:
    """The data, which the standard engine, a statement a field, gives as well."""
    reply = await world.run(query, person, **variables)
    plain = await world.run(query, person, engine="standard", **variables)
    assert reply.good == plain.good
    assert len(pages(plain.statements)) > len(pages(reply.statements))
    return reply


async def test_the_columns_of_a_board_take_one_statement(
    world: World, ada: Person, project: models.Project
) -> None:
    reply = await both(world, BOARD, ada, id=gid(project))
    found = reply.good["project"]
    for alias, status in STATUSES.items():
        assert {node["status"] for node in found[alias]["nodes"]} <= {status}
    assert {alias: len(page["nodes"]) for alias, page in found.items()} == {
        "open": 3, "doing": 2, "review": 5, "done": 0
    }  # fmt: skip
    more = {alias for alias, page in found.items() if page["pageInfo"]["hasNextPage"]}
    assert more == {"open", "doing", "done"}
    assert len(pages(reply.statements)) == 1, reply.statements


async def test_so_do_lists_under_many_parents(world: World, ada: Person) -> None:
    words = "Windmill"
    for name in ("b", "a", "empty"):
        made = await world.project(ada, name=f"{words} {name}")
        if name == "empty":
            continue
        for number in range(4):
            priority = models.TaskPriority.URGENT if number % 2 else models.TaskPriority.LOW
            await world.task(ada, f"{name}{number}", project_id=made.id, priority=priority)
    reply = await both(world, PROJECTS, ada, words=words)
    assert reply.good["projects"]["nodes"] == [
        {
            "name": f"{words} {name}",
            "urgent": {"nodes": [{"title": title} for title in urgent]},
            "low": {"nodes": [{"title": title} for title in low]},
        }
        for name, urgent, low in [
            ("a", ["a1"], ["a0", "a2"]),
            ("b", ["b1"], ["b0", "b2"]),
            ("empty", [], []),
        ]
    ]
    assert len(pages(reply.statements)) == 1, reply.statements


async def test_and_so_do_windows_of_one_list(
    world: World, ada: Person, project: models.Project
) -> None:
    cursors = "query($id: ID!) { project(id: $id) { tasks { edges { cursor node { title } } } } }"
    reply = await world.run(cursors, ada, id=gid(project))
    edges = reply.good["project"]["tasks"]["edges"]
    titles = [edge["node"]["title"] for edge in edges]
    places = {"a": 3, "b": 9, "c": 18}
    after = {alias: edges[place]["cursor"] for alias, place in places.items()}
    reply = await both(world, WINDOWS, ada, id=gid(project), **after)
    for alias, place in places.items():
        nodes = reply.good["project"][alias]["nodes"]
        assert [node["title"] for node in nodes] == titles[place + 1 : place + 3]
    assert len(pages(reply.statements)) == 1, reply.statements


async def test_lists_of_values_are_kept_apart(
    world: World, ada: Person, project: models.Project
) -> None:
    reply = await both(world, CHOSEN, ada, id=gid(project))
    found = reply.good["project"]
    assert {node["status"] for node in found["some"]["nodes"]} == {"TODO", "COMPLETED"}
    assert len(found["same"]["nodes"]) == 1
    assert [node["status"] for node in found["others"]["nodes"]] == ["CANCELLED"] * 5
    assert (found["some"]["totalCount"], found["others"]["totalCount"]) == (10, 5)
    # Two that ask for the same statuses share a statement.
    assert len(pages(reply.statements)) == 2, reply.statements


async def test_a_place_that_fails_fails_alone(
    world: World, ada: Person, project: models.Project
) -> None:
    query = """query($id: ID!) { project(id: $id) {
      good: tasks(first: 2) { nodes { title } }
      bad: tasks(first: 2, after: "nonsense") { nodes { title } }
      more: tasks(first: 3) { nodes { title } }
    } }"""
    reply = await world.run(query, ada, id=gid(project))
    plain = await world.run(query, ada, engine="standard", id=gid(project))
    assert reply.data == plain.data
    assert [error["path"] for error in reply.errors] == [["project", "bad"]]


# Selections of nothing but objects: no column of the row says what to read from.
OBJECTS = [
    "{ projects(first: 5) { nodes { owner { username } } } }",
    '{ projects(filter: {key: {eq: "NOPE"}}) { totalCount nodes { owner { username } } } }',
    "{ tasks(first: 5) { totalCount nodes { assignee { username } } } }",
    "{ tasks(first: 3) { edges { node { __typename owner { __typename username } } } } }",
    "{ tasks(first: 3) { nodes { one: project { key } two: project { key owner { id } } } } }",
    "{ viewer { receivedShares(first: 5) { nodes { user { id } task { project { name } } } } } }",
    "{ viewer { notifications(first: 5) { nodes { actor { username } task { title } } } } }",
    "{ viewer { reminders(first: 3) { nodes { task { title } project { key } } } } }",
    "{ viewer { integrations(first: 3) { nodes { project { key } } } } }",
    "{ timeEntries(first: 3) { nodes { user { username } project { key } } } }",
    "{ projects { nodes { tasks(first: 2) { nodes { assignee { username } } } } } }",
]


@pytest.mark.parametrize("query", OBJECTS)
async def test_rows_of_objects_alone_are_the_same_on_every_run(
    world: World, ada: Person, project: models.Project, query: str
) -> None:
    """Few runs are by columns, and the others serialized; both must find the same rows."""
    nobody = await world.person()
    friend = await world.person()
    shared = await world.task(ada, "shared", project_id=project.id, assignee_id=friend.id)
    await world.share(shared, nobody)
    for person in (ada, nobody):
        expected = (await world.run(query, person, engine="standard")).good
        for _ in range(6):
            assert (await world.run(query, person)).good == expected
