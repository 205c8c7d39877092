"""The counterparts of tasks in other systems, and imports that can be repeated by them."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import select

from db import models
from db.models import Permission
from tests.accounts import PASSWORD, Person
from tests.factories import World, fresh_id, gid

SHOWN = "externalReferences { source externalId url }"
CREATE = f"""
mutation ($input: TaskCreateInput!) {{
  taskCreate(input: $input) {{ task {{ id title {SHOWN} }} errors {{ code path }} }}
}}
"""
UPDATE = f"""
mutation ($input: TaskUpdateInput!) {{
  taskUpdate(input: $input) {{ task {{ id version {SHOWN} }} errors {{ code path }} }}
}}
"""
MOVE = """
mutation ($input: TaskMoveInput!) {
  taskMove(input: $input) { task { id } errors { code path } }
}
"""
BULK_CREATE = f"""
mutation ($input: TaskBulkCreateInput!) {{
  taskBulkCreate(input: $input) {{
    doneCount results {{ task {{ id {SHOWN} }} errors {{ code path }} }} errors {{ code path }}
  }}
}}
"""
BULK_UPDATE = f"""
mutation ($input: TaskBulkUpdateInput!) {{
  taskBulkUpdate(input: $input) {{
    doneCount results {{ task {{ id {SHOWN} }} }} errors {{ code path }}
  }}
}}
"""


def ref(id_: str, source: str = "jira", url: str | None = None) -> dict[str, Any]:
    return {"source": source, "externalId": id_, "url": url}


async def ask(world: World, who: Person, query: str, **values: Any) -> Any:
    reply = await world.run(query, who, input=values)
    assert not reply.errors, reply.errors
    (payload,) = reply.data.values()
    return payload


def problems(payload: Any) -> list[tuple[str, str]]:
    return [(error["code"], ".".join(error["path"][1:])) for error in payload["errors"]]


async def references(world: World, who: Person, task: str) -> Any:
    query = f"query ($id: ID!) {{ task(id: $id) {{ {SHOWN} }} }}"
    return (await world.run(query, who, id=task)).good["task"]["externalReferences"]


async def changes(world: World, task: str) -> list[Any]:
    async with world.database.session() as session:
        logged = await session.scalars(
            select(models.Event.changes)
            .where(models.Event.kind == "TASK_UPDATED", models.Event.task_id == UUID(task[5:]))
            .order_by(models.Event.position)
        )
        return list(logged)


@pytest_asyncio.fixture(scope="module")
async def owner(world: World) -> Person:
    return await world.person()


async def test_they_are_made_shown_changed_and_recorded(world: World, owner: Person) -> None:
    project = await world.project(owner)
    given = [ref("OLD-7", url="https://jira.example.com/OLD-7"), ref("12", "github")]
    payload = await ask(
        world, owner, CREATE, title="x", projectId=gid(project), externalReferences=given
    )
    task = payload["task"]["id"]
    assert payload["task"]["externalReferences"] == [given[1], given[0]]
    assert await references(world, owner, task) == [given[1], given[0]]
    same = await ask(world, owner, UPDATE, id=task, externalReferences=given)
    assert same["task"]["version"] == 1
    left_out = await ask(world, owner, UPDATE, id=task, title="y")
    assert len(left_out["task"]["externalReferences"]) == 2
    changed = await ask(world, owner, UPDATE, id=task, externalReferences=[ref("OLD-8")])
    assert changed["task"]["externalReferences"] == [ref("OLD-8")]
    assert changed["task"]["version"] == 3
    none = await ask(world, owner, UPDATE, id=task, externalReferences=None)
    assert none["task"]["externalReferences"] == []
    assert (await changes(world, task))[1:] == [
        [
            {
                "field": "external_references",
                "from": ["github:12", "jira:OLD-7 https://jira.example.com/OLD-7"],
                "to": ["jira:OLD-8"],
            }
        ],
        [{"field": "external_references", "from": ["jira:OLD-8"], "to": []}],
    ]


@pytest.mark.parametrize("where", ["project", "personal"])
async def test_an_import_can_be_repeated(world: World, owner: Person, where: str) -> None:
    project = await world.project(owner)
    own = fresh_id().hex
    at = {"projectId": gid(project)} if where == "project" else {}
    values = {"title": "one", "externalReferences": [ref(own)], **at}
    first = await ask(world, owner, CREATE, **values)
    again = await ask(world, owner, CREATE, **values)
    assert problems(again) == [("ALREADY_EXISTS", "externalReferences")]
    assert again["task"] == first["task"]
    # Elsewhere it is another task.
    elsewhere = await world.project(owner)
    other = await ask(
        world, owner, CREATE, title="two", projectId=gid(elsewhere), externalReferences=[ref(own)]
    )
    assert problems(other) == []
    stranger = await world.person()
    assert (
        problems(await ask(world, stranger, CREATE, title="x", externalReferences=[ref(own)])) == []
    )


async def test_many_imports_at_once_make_one_task(world: World, owner: Person) -> None:
    project = await world.project(owner)
    values = {"title": "x", "projectId": gid(project), "externalReferences": [ref("A")]}
    answers = await asyncio.gather(*(ask(world, owner, CREATE, **values) for _ in range(8)))
    assert sorted(problems(one) for one in answers) == [
        [],
        *[[("ALREADY_EXISTS", "externalReferences")]] * 7,
    ]
    assert len({one["task"]["id"] for one in answers}) == 1


async def test_a_bulk_import_can_be_repeated(world: World, owner: Person) -> None:
    project = await world.project(owner)
    parent = await world.task(owner, project_id=project.id)
    items: list[dict[str, Any]] = [
        {"title": str(n), "projectId": gid(project), "externalReferences": [ref(str(n))]}
        for n in range(5)
    ]
    items.append({"title": "below", "parentId": gid(parent), "externalReferences": [ref("b")]})
    first = await ask(world, owner, BULK_CREATE, items=items[:3])
    assert first["doneCount"] == 3
    # One of them twice in the same call.
    again = await ask(world, owner, BULK_CREATE, items=[*items, items[4]], onError="CONTINUE")
    assert again["doneCount"] == 3
    assert problems(again) == [
        ("ALREADY_EXISTS", f"items.{n}.externalReferences") for n in (0, 1, 2, 6)
    ]
    made = [result["task"] for result in first["results"]]
    found = [result["task"] for result in again["results"]]
    assert found[:3] == made
    assert found[6] == found[4]
    third = await ask(world, owner, BULK_CREATE, items=items)
    assert third["doneCount"] == 0
    assert [result["task"] for result in third["results"]] == found[:6]


async def test_a_bulk_changes_and_swaps_them(world: World, owner: Person) -> None:
    project = await world.project(owner)
    made = await ask(
        world,
        owner,
        BULK_CREATE,
        items=[
            {"title": str(n), "projectId": gid(project), "externalReferences": [ref(str(n))]}
            for n in range(3)
        ],
    )
    a, b, c = [result["task"]["id"] for result in made["results"]]
    # The first gives its own up for the second.
    moved = await ask(
        world,
        owner,
        BULK_UPDATE,
        items=[
            {"id": a, "externalReferences": None},
            {"id": b, "externalReferences": [ref("0"), ref("1")]},
            {"id": c, "title": "left"},
        ],
    )
    assert problems(moved) == []
    assert [result["task"]["externalReferences"] for result in moved["results"]] == [
        [],
        [ref("0"), ref("1")],
        [ref("2")],
    ]
    taken = await ask(
        world, owner, BULK_UPDATE, items=[{"id": a, "externalReferences": [ref("2")]}]
    )
    assert problems(taken) == [("ALREADY_EXISTS", "items.0.externalReferences")]
    single = await ask(world, owner, UPDATE, id=a, externalReferences=[ref("2")])
    assert problems(single) == [("ALREADY_EXISTS", "externalReferences")]


async def test_they_follow_the_task_into_another_project(world: World, owner: Person) -> None:
    here, there = await world.project(owner), await world.project(owner)
    top = await ask(
        world, owner, CREATE, title="x", projectId=gid(here), externalReferences=[ref("1")]
    )
    task = top["task"]["id"]
    below = await ask(world, owner, CREATE, title="y", parentId=task, externalReferences=[ref("2")])
    assert problems(below) == []
    assert problems(await ask(world, owner, MOVE, id=task, projectId=gid(there))) == []
    for id_ in ("1", "2"):
        values = {"title": "z", "externalReferences": [ref(id_)]}
        refused = await ask(world, owner, CREATE, projectId=gid(there), **values)
        assert problems(refused) == [("ALREADY_EXISTS", "externalReferences")]
        assert problems(await ask(world, owner, CREATE, projectId=gid(here), **values)) == []
    # Back it cannot go: there is another one with this name now, and one below.
    assert problems(await ask(world, owner, MOVE, id=task, projectId=gid(here))) == [
        ("ALREADY_EXISTS", "projectId")
    ]
    # Personal tasks of its owner are a place of their own.
    assert problems(await ask(world, owner, MOVE, id=task, projectId=None)) == []
    mine = await ask(world, owner, CREATE, title="z", externalReferences=[ref("2")])
    assert problems(mine) == [("ALREADY_EXISTS", "externalReferences")]


async def test_who_takes_tasks_over_keeps_their_own(world: World) -> None:
    ada, jun = await world.people(2)
    for who in (ada, jun):
        await ask(world, who, CREATE, title=f"of {who.username}", externalReferences=[ref("1")])
    given = await ask(
        world, ada, CREATE, title="both", externalReferences=[ref("1", "github"), ref("2")]
    )
    shared = given["task"]["id"]
    share = """
    mutation ($input: TaskShareCreateInput!) { taskShareCreate(input: $input) { errors { code } } }
    """
    first = (await world.run("{ tasks { nodes { id } } }", ada)).good["tasks"]["nodes"]
    for node in first:
        await ask(world, ada, share, taskId=node["id"], userId=gid(jun))
    leave = """
    mutation ($input: AccountDeleteInput!) { accountDelete(input: $input) {
      deletedId errors { code path } } }
    """
    gone = await ask(world, ada, leave, password=PASSWORD, transferToId=gid(jun), confirm=True)
    assert problems(gone) == []
    assert await references(world, jun, shared) == [ref("1", "github"), ref("2")]
    nodes = (await world.run(f"{{ tasks {{ nodes {{ title {SHOWN} }} }} }}", jun)).good["tasks"][
        "nodes"
    ]
    having = [one["title"] for one in nodes if ref("1") in one["externalReferences"]]
    assert having == [f"of {jun.username}"]


async def test_what_is_no_reference(world: World, owner: Person) -> None:
    for given, place in (
        ([ref("")], "0.externalId"),
        ([ref("x"), ref("y", "")], "1.source"),
        ([ref("x" * 201)], "0.externalId"),
        ([ref("x", "y" * 51)], "0.source"),
        ([ref("a\x00b")], "0.externalId"),
        ([ref("x", url="https://example.com/" + "y" * 2_000)], "0.url"),
        ([ref("x", url="javascript:x")], "0.url"),
        ([ref("x", url="/x")], "0.url"),
        ([ref("x", url="https://[x")], "0.url"),
        ([ref("x"), ref("x ", url="https://example.com/")], "1"),
        ([ref(str(n)) for n in range(21)], ""),
    ):
        where = f"externalReferences.{place}".rstrip(".")
        for payload, path in (
            (await ask(world, owner, CREATE, title="x", externalReferences=given), where),
            (
                await ask(
                    world, owner, BULK_CREATE, items=[{"title": "x", "externalReferences": given}]
                ),
                f"items.0.{where}",
            ),
        ):
            assert problems(payload) == [("BAD_USER_INPUT", path)], given


async def test_a_page_of_tasks_reads_them_at_once(world: World, owner: Person) -> None:
    project = await world.project(owner)
    items = [
        {"title": str(n), "projectId": gid(project), "externalReferences": [ref(str(n))]}
        for n in range(30)
    ]
    assert (await ask(world, owner, BULK_CREATE, items=items))["doneCount"] == 30
    page = (
        "query ($id: ID!, $n: Int!) { project(id: $id) "
        f"{{ tasks(first: $n) {{ nodes {{ title {SHOWN} }} }} }} }}"
    )
    counts = []
    for number in (2, 2, 30):
        reply = await world.run(page, owner, id=gid(project), n=number)
        nodes = reply.good["project"]["tasks"]["nodes"]
        assert all(node["externalReferences"] == [ref(node["title"])] for node in nodes)
        counts.append(len(reply.statements))
    assert counts[1] == counts[2]


async def test_tasks_are_found_by_them(world: World, owner: Person) -> None:
    project = await world.project(owner)
    source = fresh_id().hex
    items: list[dict[str, Any]] = [
        {"title": "one", "externalReferences": [ref("OLD-7", source, "https://x.example/1")]},
        {"title": "two", "externalReferences": [ref("OLD-8", source), ref("9", source)]},
        {"title": "none"},
    ]
    items = [{**item, "projectId": gid(project)} for item in items]
    assert (await ask(world, owner, BULK_CREATE, items=items))["doneCount"] == 3
    query = """
    query ($filter: TaskFilter) { tasks(filter: $filter, orderBy: [{number: ASC}]) {
      nodes { title } } }
    """

    async def titles(who: Person, wanted: dict[str, Any]) -> list[str]:
        mine = {"project": {"id": {"eq": gid(project)}}, "externalReferences": wanted}
        reply = await world.run(query, who, filter=mine)
        return [node["title"] for node in reply.good["tasks"]["nodes"]]

    exact = {"source": {"eq": source}, "externalId": {"eq": "OLD-7"}}
    assert await titles(owner, {"some": exact}) == ["one"]
    assert await titles(owner, {"none": exact}) == ["two", "none"]
    assert await titles(owner, {"some": {"externalId": {"startsWith": "OLD"}}}) == ["one", "two"]
    assert await titles(owner, {"every": {"url": {"isNull": True}}}) == ["two", "none"]
    assert await titles(await world.person(), {"some": exact}) == []


@pytest.mark.parametrize("where", ["project", "personal"])
async def test_who_sees_one_task_learns_nothing_of_the_others_references(
    world: World, where: str
) -> None:
    """Whether a counterpart is free tells of all tasks of the list, so outsiders add none."""
    owner, guest = await world.people(2)
    project_id = (await world.project(owner)).id if where == "project" else None
    task = gid(one := await world.task(owner, project_id=project_id))
    await world.share(one, guest, Permission.EDIT)
    hidden = gid(await world.task(owner, project_id=project_id))
    for id_, its in ((task, "OWN"), (hidden, "HIDDEN")):
        await ask(world, owner, UPDATE, id=id_, externalReferences=[ref(its)])
    refused = [("FORBIDDEN", "externalReferences")]
    in_bulk = [("FORBIDDEN", "items.0.externalReferences")]
    for its in ("HIDDEN", "FREE"):
        given = {"externalReferences": [ref("OWN"), ref(its)]}
        new = {"title": "x", "parentId": task, "externalReferences": [ref(its)]}
        assert problems(await ask(world, guest, UPDATE, id=task, **given)) == refused
        assert problems(await ask(world, guest, CREATE, **new)) == refused
        changed = await ask(world, guest, BULK_UPDATE, items=[{"id": task, **given}])
        assert problems(changed) == in_bulk
        assert problems(await ask(world, guest, BULK_CREATE, items=[new])) == in_bulk
    # They keep, change and remove what is there.
    moved = [ref("OWN", url="https://jira.example.com/OWN")]
    for kept in (moved, []):
        done = await ask(world, guest, UPDATE, id=task, externalReferences=kept)
        assert done["task"]["externalReferences"] == kept
