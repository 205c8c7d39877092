"""Deletion that a client can follow, and the trash: what `trash` lists and in which order.

`tests/rights` compares who sees what of it with the model.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import pytest_asyncio

from auth.viewer import Viewer
from tests.accounts import Person
from tests.factories import ENGINES, Engine, World, gid

TRASH = """
query ($kinds: [TrashKind!], $first: Int, $after: String, $last: Int, $before: String) {
  trash(kinds: $kinds, first: $first, after: $after, last: $last, before: $before) {
    totalCount
    edges { cursor node { ...Item } }
    nodes { ...Item }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
fragment Item on TrashItem {
  ... on Task { id title deletedAt identifier project { id } parent { id } viewerCanDelete }
  ... on Project { id name deletedAt owner { username } viewerCanDelete }
}
"""
FIND = "query ($id: ID!) { task(id: $id) { id } }"
DELETED = "deletedIds task { id version } parent { id title } project { id stats { total } }"


async def do(world: World, who: Person, name: str, fields: str, /, **values: Any) -> Any:
    """Run a mutation; its payload."""
    query = (
        f"mutation ($input: {name[0].upper()}{name[1:]}Input!) "
        f"{{ {name}(input: $input) {{ {fields} errors {{ code path conflictingFields }} }} }}"
    )
    reply = await world.run(query, who, input=values)
    assert reply.errors == []
    return reply.data[name]


async def trash(world: World, who: Person | Viewer, **values: Any) -> Any:
    page = (await world.run(TRASH, who, **values)).good["trash"]
    assert [edge["node"] for edge in page["edges"]] == page["nodes"]
    return page


def names(page: Any) -> list[str]:
    return [node.get("title") or node["name"] for node in page["nodes"]]


@pytest_asyncio.fixture
async def ada(world: World) -> Person:
    return await world.person()


async def test_a_deletion_returns_all_that_a_client_must_update(world: World, ada: Person) -> None:
    project = await world.project(ada)
    top = await world.task(ada, "top", project_id=project.id)
    middle = await world.task(ada, "middle", parent_id=top.id)
    low = await world.task(ada, "low", parent_id=middle.id)
    conflict = await do(world, ada, "taskDelete", DELETED, id=gid(middle), ifVersion=9)
    assert [error["code"] for error in conflict["errors"]] == ["CONFLICT"]
    assert conflict["task"] == {"id": gid(middle), "version": 1}
    assert (conflict["deletedIds"], conflict["parent"], conflict["project"]) == ([], None, None)
    first = {"id": gid(middle), "idempotencyKey": "delete"}
    payload = await do(world, ada, "taskDelete", DELETED, **first)
    assert payload == {
        "deletedIds": [gid(middle), gid(low)],
        "task": None,
        "parent": {"id": gid(top), "title": "top"},
        "project": {"id": gid(project), "stats": {"total": 1}},
        "errors": [],
    }
    assert await do(world, ada, "taskDelete", DELETED, **first) == payload
    lone = await world.task(ada, "lone")
    payload = await do(world, ada, "taskDelete", DELETED, id=gid(lone))
    assert payload["deletedIds"] == [gid(lone)]
    assert (payload["parent"], payload["project"]) == (None, None)


async def test_a_project_that_changed_is_returned_and_not_deleted(
    world: World, ada: Person
) -> None:
    project = await world.project(ada)
    fields = "deletedId project { id version deletedAt }"
    stale = await do(world, ada, "projectDelete", fields, id=gid(project), ifVersion=7)
    assert stale == {
        "deletedId": None,
        "project": {"id": gid(project), "version": 1, "deletedAt": None},
        "errors": [{"code": "CONFLICT", "path": ["input", "ifVersion"], "conflictingFields": []}],
    }
    gone = await do(world, ada, "projectDelete", fields, id=gid(project), ifVersion=1)
    assert (gone["deletedId"], gone["project"]) == (gid(project), None)


@pytest.mark.parametrize("engine", ENGINES)
async def test_the_last_deleted_comes_first(world: World, ada: Person, engine: Engine) -> None:
    project, other = await world.project(ada), await world.project(ada, name="Other")
    parent = await world.task(ada, "parent", project_id=project.id)
    await world.task(ada, "child", parent_id=parent.id)
    inside = await world.task(ada, "inside", project_id=other.id)
    back = await world.task(ada, "back")
    await do(world, ada, "taskDelete", "deletedIds", id=gid(back))
    await do(world, ada, "taskRestore", "task { id }", id=gid(back))
    await do(world, ada, "taskDelete", "deletedIds", id=gid(parent))
    await do(world, ada, "projectDelete", "deletedId", id=gid(other))
    page = (await world.run(TRASH, ada, engine=engine)).good["trash"]
    # IDs begin with their time, so of what went together the newest is first.
    assert names(page) == ["inside", "Other", "child", "parent"]
    assert page["totalCount"] == 4
    found = {node.get("title") or node["name"]: node for node in page["nodes"]}
    assert found["parent"]["project"] == {"id": gid(project)}
    assert found["parent"]["identifier"] == f"{project.key}-{parent.number}"
    # Its project and parent are in the trash themselves, and not to be seen through it.
    assert (found["inside"]["project"], found["child"]["parent"]) == (None, None)
    assert found["Other"]["owner"] == {"username": ada.username}
    assert found["inside"]["deletedAt"] == found["Other"]["deletedAt"] is not None
    # What is in the trash can only be restored.
    assert not any(node["viewerCanDelete"] for node in page["nodes"])
    assert found["inside"]["id"] == gid(inside)


async def test_kinds_and_pages_in_both_directions(world: World, ada: Person) -> None:
    for title in ("a", "b", "c", "d"):
        task = await world.task(ada, title)
        await do(world, ada, "taskDelete", "deletedIds", id=gid(task))
    project = await world.project(ada, name="P")
    await do(world, ada, "projectDelete", "deletedId", id=gid(project))
    everything = ["P", "d", "c", "b", "a"]
    assert names(await trash(world, ada)) == everything
    assert names(await trash(world, ada, kinds=["TASK"])) == everything[1:]
    assert names(await trash(world, ada, kinds=["PROJECT"])) == ["P"]
    nothing = await trash(world, ada, kinds=[])
    assert (nothing["nodes"], nothing["totalCount"]) == ([], 0)
    seen, after = [], None
    while True:
        page = await trash(world, ada, first=2, after=after)
        seen += names(page)
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == everything
    seen, before = [], None
    while True:
        page = await trash(world, ada, last=2, before=before)
        seen = names(page) + seen
        assert page["pageInfo"]["hasNextPage"] is (before is not None)
        before = page["pageInfo"]["startCursor"]
        if not page["pageInfo"]["hasPreviousPage"]:
            break
    assert seen == everything
    # A cursor of the trash is a place in it, whatever the kinds.
    after = (await trash(world, ada, first=1))["pageInfo"]["endCursor"]
    assert names(await trash(world, ada, kinds=["TASK"], after=after)) == everything[1:]


async def test_a_task_of_an_archived_project_is_listed_as_it_is_found(
    world: World, ada: Person
) -> None:
    project = await world.project(ada)
    task = await world.task(ada, "gone", project_id=project.id)
    await do(world, ada, "taskDelete", "deletedIds", id=gid(task))
    await do(world, ada, "projectArchive", "project { id }", id=gid(project))
    assert names(await trash(world, ada)) == ["gone"]
    refused = await do(world, ada, "taskRestore", "task { id }", id=gid(task))
    assert [error["code"] for error in refused["errors"]] == ["PROJECT_ARCHIVED"]


async def test_a_key_sees_the_trash_of_its_projects(world: World, ada: Person) -> None:
    mine, other = await world.project(ada), await world.project(ada, name="Other")
    for project in (mine, other):
        task = await world.task(ada, f"in {project.name}", project_id=project.id)
        await do(world, ada, "taskDelete", "deletedIds", id=gid(task))
    await do(world, ada, "taskDelete", "deletedIds", id=gid(await world.task(ada, "personal")))
    key = Viewer(
        user_id=ada.id,
        scopes=frozenset({"tasks:read", "projects:read"}),
        projects=(mine.id,),
    )
    page = await trash(world, key)
    assert (names(page), page["totalCount"]) == ([f"in {mine.name}"], 1)


FILTERED = """
query ($task: TaskFilter, $project: ProjectFilter) {
  tasks(filter: $task) { totalCount nodes { title deletedAt comments { totalCount } } }
  projects(filter: $project) { totalCount nodes { name tasks(filter: $task) { totalCount } } }
  taskStats(filter: $task) { total }
}
"""


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_filter_reaches_the_trash_if_it_says_so(
    world: World, ada: Person, engine: Engine
) -> None:
    project = await world.project(ada, name="Here")
    gone = await world.task(ada, "gone", project_id=project.id)
    await world.task(ada, "there", project_id=project.id)
    await world.task(ada, "mine")
    other = await world.project(ada, name="Other")
    await do(world, ada, "taskDelete", "deletedIds", id=gid(gone))
    await do(world, ada, "projectDelete", "deletedId", id=gid(other))

    async def found(filter_: Any, who: Person = ada) -> list[str]:
        reply = await world.run(FILTERED, who, engine=engine, task=filter_)
        tasks, stats = reply.good["tasks"], reply.good["taskStats"]
        assert tasks["totalCount"] == len(tasks["nodes"]) == stats["total"]
        assert all(
            (node["deletedAt"] is None) == (node["title"] != "gone") for node in tasks["nodes"]
        )
        return [node["title"] for node in tasks["nodes"]]

    living = ["mine", "there"]
    present: tuple[Any, ...] = (None, {}, {"isDeleted": False}, {"not": {"isDeleted": True}})
    for filter_ in present:
        assert await found(filter_) == living, filter_
    deleted: tuple[Any, ...] = (
        {"isDeleted": True},
        {"not": {"isDeleted": False}},
        {"and": [{"isDeleted": True}, {"project": {"key": {"eq": project.key}}}]},
    )
    for filter_ in deleted:
        assert await found(filter_) == ["gone"], filter_
    either = {"or": [{"isDeleted": True}, {"isDeleted": False, "project": {"isNull": True}}]}
    assert await found(either) == ["mine", "gone"]
    # A related object is never one in the trash.
    assert await found({"project": {"isDeleted": True}}) == []
    assert await found({"project": {"isDeleted": False}}) == ["there"]
    assert await found({"isDeleted": True}, await world.person()) == []

    reply = await world.run(
        FILTERED, ada, engine=engine, task={"isDeleted": True}, project={"isDeleted": True}
    )
    assert reply.good["projects"] == {
        "totalCount": 1,
        "nodes": [{"name": "Other", "tasks": {"totalCount": 0}}],
    }
    reply = await world.run(FILTERED, ada, engine=engine, task={"isDeleted": True})
    assert [node["tasks"]["totalCount"] for node in reply.good["projects"]["nodes"]] == [1]


async def test_nothing_is_restored_once_its_time_is_over(world: World, ada: Person) -> None:
    """The worker deletes a large project in steps, which may have begun: it would be restored in
    part.
    """
    project = await world.project(ada)
    tasks = await world.tasks(ada, ["Gone", "Left"], project_id=project.id)
    alone = await world.task(ada, "Alone")
    await do(world, ada, "projectDelete", "project { id }", id=gid(project))
    await do(world, ada, "taskDelete", "deletedIds", id=gid(alone))
    later = world.house.clock() + dt.timedelta(days=30)
    for mutation, row in (("projectRestore", project), ("taskRestore", alone)):
        query = (
            f"mutation ($id: ID!) {{ {mutation}(input: {{ id: $id }}) {{ errors {{ code }} }} }}"
        )
        reply = await world.run(query, ada, id=gid(row), at=later)
        assert reply.codes == ["NOT_FOUND"]
    for row in tasks:
        assert (await world.run(FIND, ada, id=gid(row))).codes == ["NOT_FOUND"]
