"""Many tasks at once: a result for each, few statements, and nothing half done."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest

from db import models
from tests.accounts import Person
from tests.factories import ENGINES, Engine, Reply, World, fresh_id, gid, missing

RESULTS = """
    doneCount
    results { index task { id title number status tags position version assignee { username }
                           parent { title } project { key } }
              errors { code path conflictingFields } }
    errors { code path }
    replayed
"""
CREATE = f"""
mutation ($input: TaskBulkCreateInput!) {{ taskBulkCreate(input: $input) {{ {RESULTS} }} }}
"""
UPDATE = f"""
mutation ($input: TaskBulkUpdateInput!) {{ taskBulkUpdate(input: $input) {{ {RESULTS} }} }}
"""
DELETE = """
mutation ($input: TaskBulkDeleteInput!) {
  taskBulkDelete(input: $input) {
    doneCount results { index deletedIds task { id } errors { code path } }
    errors { code path } replayed
  }
}
"""
TITLES = "{ tasks(first: 100, orderBy: [{number: ASC}]) { nodes { title } totalCount } }"


async def bulk(world: World, who: Person, document: str, items: list[Any], **given: Any) -> Reply:
    return await world.run(document, who, input={"items": items, **given})


def payload(reply: Reply) -> Any:
    """The payload, errors in it or not."""
    assert reply.errors == []
    (found,) = reply.data.values()
    return found


def places(found: Any) -> list[tuple[str, str]]:
    return [(error["code"], ".".join(error["path"][1:])) for error in found["errors"]]


async def total(world: World, who: Person) -> int:
    return int((await world.run(TITLES, who)).good["tasks"]["totalCount"])


# --- making --------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
async def test_two_hundred_tasks_are_made_in_few_statements(world: World, engine: Engine) -> None:
    ada, bob = await world.people(2)
    web, app = await world.project(ada), await world.project(ada)
    parent = await world.task(ada, "above", project_id=web.id)
    items: list[dict[str, Any]] = []
    for number in range(200):
        item: dict[str, Any] = {"title": f"t{number}", "tags": [f"tag {number % 7}"]}
        kind = number % 5
        if kind == 0:
            item |= {"projectId": gid(web), "assigneeId": gid(bob), "due": {"on": "2027-01-31"}}
        elif kind == 1:
            item |= {"projectId": gid(app), "status": "COMPLETED", "id": f"task_{fresh_id().hex}"}
        elif kind == 2:
            item |= {"parentId": gid(parent), "description": "x"}
        elif kind == 3:
            item |= {"due": {"at": "2027-01-31T10:00:00Z"}, "estimate": number}
        items.append(item)
    reply = await world.run(CREATE, ada, engine=engine, input={"items": items})
    found = payload(reply)
    assert found["errors"] == []
    assert found["doneCount"] == 200
    tasks = [result["task"] for result in found["results"]]
    assert [task["title"] for task in tasks] == [item["title"] for item in items]
    for project, first in ((web, 2), (app, 1)):
        made = [task for task in tasks if (task["project"] or {}).get("key") == project.key]
        assert [task["number"] for task in made] == list(range(first, first + len(made)))
        positions = [task["position"] for task in made]
        assert positions == sorted(set(positions))
    # All that was read back included: tasks, people, parents, projects.
    assert len(reply.statements) <= 18, reply.statements
    assert len([text for text in reply.statements if text.startswith("INSERT INTO tasks")]) == 1


async def test_the_statements_do_not_grow_with_the_items(world: World) -> None:
    ada = await world.person()
    project = await world.project(ada)
    brief = (
        "mutation ($input: TaskBulkCreateInput!) { taskBulkCreate(input: $input) "
        "{ results { task { id } } errors { code } } }"
    )
    counts = []
    for size in (1, 200):
        items = [{"title": f"t{i}", "projectId": gid(project)} for i in range(size)]
        reply = await bulk(world, ada, brief, items, idempotencyKey=f"of {size}")
        assert payload(reply)["errors"] == []
        counts.append(len(reply.statements))
    assert counts[0] == counts[1] <= 12


async def test_a_tree_can_be_made_at_once(world: World) -> None:
    ada = await world.person()
    project = await world.project(ada)
    ids = [f"task_{fresh_id().hex}" for _ in range(4)]
    items = [
        {"title": "root", "id": ids[0], "projectId": gid(project)},
        {"title": "branch", "id": ids[1], "parentId": ids[0]},
        {"title": "leaf", "id": ids[2], "parentId": ids[1]},
        {"title": "too deep", "id": ids[3], "parentId": ids[2]},
        {"title": "orphan", "parentId": ids[3]},
    ]
    found = payload(await bulk(world, ada, CREATE, items, onError="CONTINUE"))
    assert places(found) == [
        ("LIMIT_EXCEEDED", "items.3.parentId"),
        ("NOT_FOUND", "items.4.parentId"),
    ]
    parents = [result["task"] and result["task"]["parent"] for result in found["results"]]
    assert parents == [None, {"title": "root"}, {"title": "branch"}, None, None]
    leaf = "query ($id: ID!) { task(id: $id) { project { key } } }"
    assert (await world.run(leaf, ada, id=ids[2])).good["task"]["project"]["key"] == project.key


async def test_where_no_item_is_good_nothing_is_made(world: World) -> None:
    ada = await world.person()
    items = [{"title": "hidden", "projectId": missing("project_")}, {"title": ""}]
    reply = await bulk(world, ada, CREATE, items, onError="CONTINUE")
    assert places(payload(reply)) == [
        ("NOT_FOUND", "items.0.projectId"),
        ("BAD_USER_INPUT", "items.1.title"),
    ]
    assert await total(world, ada) == 0


async def bad_items(world: World, ada: Person) -> tuple[list[Any], list[tuple[str, str]]]:
    """Two good items among all that can be wrong with one."""
    other, viewer_of = await world.people(2)
    seen = await world.project(viewer_of, viewers=[ada])
    hidden = await world.project(other)
    mine = await world.project(ada)
    task = await world.task(ada, project_id=mine.id)
    read_only = await world.task(viewer_of, project_id=seen.id)
    archived = await world.project(ada)
    async with world.database.session() as session, session.begin():
        (await session.get_one(models.Project, archived.id)).archived_at = dt.datetime.now(dt.UTC)
    own = f"task_{fresh_id().hex}"
    cases: list[tuple[dict[str, Any], tuple[str, str] | None]] = [
        ({"title": "good", "id": own, "projectId": gid(mine)}, None),
        ({"title": " "}, ("BAD_USER_INPUT", "title")),
        ({"title": "x" * 201}, ("BAD_USER_INPUT", "title")),
        ({"title": "x", "projectId": gid(hidden)}, ("NOT_FOUND", "projectId")),
        ({"title": "x", "projectId": missing(gid(hidden))}, ("NOT_FOUND", "projectId")),
        ({"title": "x", "projectId": gid(seen)}, ("FORBIDDEN", "projectId")),
        ({"title": "x", "projectId": gid(archived)}, ("PROJECT_ARCHIVED", "projectId")),
        ({"title": "x", "projectId": gid(task)}, ("BAD_USER_INPUT", "projectId")),
        ({"title": "x", "parentId": gid(read_only)}, ("FORBIDDEN", "parentId")),
        (
            {"title": "x", "parentId": gid(task), "projectId": gid(archived)},
            ("BAD_USER_INPUT", "projectId"),
        ),
        ({"title": "x", "assigneeId": missing(gid(ada))}, ("NOT_FOUND", "assigneeId")),
        ({"title": "x", "id": gid(task)}, ("ALREADY_EXISTS", "id")),
        ({"title": "x", "id": own}, ("ALREADY_EXISTS", "id")),
        ({"title": "x", "tags": ["ok", "\x07"]}, ("BAD_USER_INPUT", "tags.1")),
        (
            {"title": "x", "due": {"on": "2200-01-01"}},
            ("BAD_USER_INPUT", "due.on"),
        ),
        ({"title": "good too"}, None),
    ]
    wanted = [
        (error[0], f"items.{index}.{error[1]}")
        for index, (_, error) in enumerate(cases)
        if error is not None
    ]
    return [item for item, _ in cases], wanted


async def test_bad_items_fail_alone_where_the_rest_is_to_go_on(world: World) -> None:
    ada = await world.person()
    items, wanted = await bad_items(world, ada)
    before = await total(world, ada)
    given = {"onError": "CONTINUE", "idempotencyKey": "k"}
    found = payload(await bulk(world, ada, CREATE, items, **given))
    assert places(found) == wanted
    assert found["doneCount"] == 2
    for index, result in enumerate(found["results"]):
        assert result["index"] == index
        assert (result["task"] is None) == bool(result["errors"])
        assert all(error["path"][2] == str(index) for error in result["errors"])
    assert await total(world, ada) == before + 2
    again = payload(await bulk(world, ada, CREATE, items, **given))
    assert again == found | {"replayed": True}
    assert await total(world, ada) == before + 2


async def test_nothing_is_done_where_an_item_fails_unless_asked_for(world: World) -> None:
    ada = await world.person()
    items, wanted = await bad_items(world, ada)
    before = await total(world, ada)
    since = (await world.run("{ eventCursor }", ada)).good["eventCursor"]
    given = {"idempotencyKey": "k"}
    for _ in range(2):
        found = payload(await bulk(world, ada, CREATE, items, **given))
        assert places(found) == wanted
        assert found["doneCount"] == 0
        assert not found["replayed"]
        assert all(result["task"] is None for result in found["results"])
    assert await total(world, ada) == before
    changes = "query ($s: String!) { events(after: $s) { nodes { kind } } }"
    assert (await world.run(changes, ada, s=since)).good["events"]["nodes"] == []
    # The key was not used up by the failures.
    good = payload(await bulk(world, ada, CREATE, [{"title": "good"}], **given))
    assert (good["doneCount"], good["replayed"]) == (1, False)


async def test_a_dry_run_finds_the_same_and_does_nothing(world: World) -> None:
    ada = await world.person()
    project = await world.project(ada)
    items, wanted = await bad_items(world, ada)
    before = await total(world, ada)
    given = {"dryRun": True, "onError": "CONTINUE", "idempotencyKey": "dry"}
    found = payload(await bulk(world, ada, CREATE, items, **given))
    assert places(found) == wanted
    assert found["doneCount"] == 0
    assert await total(world, ada) == before
    fine = [{"title": "x", "projectId": gid(project)}] * 3
    found = payload(await bulk(world, ada, CREATE, fine, dryRun=True))
    assert found["errors"] == []
    assert await total(world, ada) == before
    # No number was spent either.
    found = payload(await bulk(world, ada, CREATE, fine))
    assert [result["task"]["number"] for result in found["results"]] == [1, 2, 3]


@pytest.mark.parametrize("document", [CREATE, UPDATE, DELETE])
async def test_there_is_a_number_of_items(world: World, document: str) -> None:
    ada = await world.person()
    item = {"title": "x"} if document is CREATE else {"id": f"task_{fresh_id().hex}"}
    found = payload(await bulk(world, ada, document, [item] * 300))
    assert places(found) == [("LIMIT_EXCEEDED", "items")]
    assert found["results"] == []
    found = payload(await bulk(world, ada, document, []))
    assert places(found) == [("BAD_USER_INPUT", "items")]


async def test_bulks_at_once_share_out_numbers_and_places(world: World) -> None:
    ada, bob = await world.people(2)
    projects = [await world.project(ada, editors=[bob]) for _ in range(2)]
    items = [{"title": f"t{i}", "projectId": gid(projects[i % 2])} for i in range(40)]
    replies = await asyncio.gather(
        *(bulk(world, (ada, bob)[i % 2], CREATE, items[:: 1 if i % 2 else -1]) for i in range(6))
    )
    made = [r["task"] for reply in replies for r in payload(reply)["results"]]
    for project in projects:
        own = [task for task in made if task["project"]["key"] == project.key]
        assert sorted(task["number"] for task in own) == list(range(1, 121))
        assert len({task["position"] for task in own}) == 120


# --- changing ------------------------------------------------------------------------------------


async def test_two_hundred_changes_take_few_statements(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, editors=[bob])
    await world.many_tasks(ada, project, 200)
    page = (
        "query ($a: String) { tasks(first: 100, after: $a, orderBy: [{number: ASC}])"
        " { nodes { id } pageInfo { endCursor } } }"
    )
    first = (await world.run(page, ada)).good["tasks"]
    second = (await world.run(page, ada, a=first["pageInfo"]["endCursor"])).good["tasks"]
    ids = [node["id"] for node in (*first["nodes"], *second["nodes"])]
    items: list[dict[str, Any]] = []
    for index, id_ in enumerate(ids):
        item: dict[str, Any] = {"id": id_}
        if index % 2:
            item["title"] = f"changed {index}"
        if index % 3 == 0:
            item |= {"status": "COMPLETED", "tags": ["a"]}
        if index % 5 == 0:
            item |= {"assigneeId": gid(bob), "due": {"on": "2027-02-03"}}
        if index % 7 == 0:
            item |= {"description": None, "priority": "HIGH"}
        items.append(item)
    brief = (
        "mutation ($input: TaskBulkUpdateInput!) { taskBulkUpdate(input: $input) "
        "{ doneCount results { task { title status version } } errors { code } } }"
    )
    reply = await bulk(world, ada, brief, items, idempotencyKey="changes")
    found = payload(reply)
    assert found["errors"] == []
    assert found["doneCount"] == 200
    assert len(reply.statements) <= 18, reply.statements
    for index, result in enumerate(found["results"]):
        task = result["task"]
        if index % 2:
            assert task["title"] == f"changed {index}"
        assert task["status"] == ("COMPLETED" if index % 3 == 0 else "TODO")
        # One that changed nothing has its version still.
        assert task["version"] == (2 if len(items[index]) > 1 else 1)


async def test_changes_are_judged_one_by_one(world: World) -> None:
    ada, bob, outsider = await world.people(3)
    project = await world.project(bob, editors=[ada])
    seen = await world.project(bob, viewers=[ada])
    task, stale, twice, theirs = await world.tasks(
        bob, ["task", "stale", "twice", "theirs"], project_id=project.id
    )
    read_only = await world.task(bob, project_id=seen.id)
    hidden = await world.task(bob)
    items: list[dict[str, Any]] = [
        {"id": gid(task), "title": "new", "ifVersion": 1},
        {"id": gid(stale), "title": "new", "ifVersion": 7},
        {"id": gid(twice), "title": "once"},
        {"id": gid(twice), "title": "again"},
        {"id": gid(read_only), "title": "x"},
        {"id": gid(hidden), "title": "x"},
        {"id": gid(theirs), "assigneeId": gid(outsider)},
        {"id": gid(project), "title": "x"},
        {"id": missing(gid(task)), "title": "x"},
        {"id": gid(ada), "title": None},
    ]
    found = payload(await bulk(world, ada, UPDATE, items, onError="CONTINUE"))
    assert places(found) == [
        ("CONFLICT", "items.1.ifVersion"),
        ("BAD_USER_INPUT", "items.3.id"),
        ("FORBIDDEN", "items.4.id"),
        ("NOT_FOUND", "items.5.id"),
        ("FORBIDDEN", "items.6.assigneeId"),
        ("BAD_USER_INPUT", "items.7.id"),
        ("NOT_FOUND", "items.8.id"),
        ("BAD_USER_INPUT", "items.9.id"),
        ("BAD_USER_INPUT", "items.9.title"),
    ]
    results = found["results"]
    assert [results[0]["task"]["title"], results[2]["task"]["title"]] == ["new", "once"]
    # A conflict comes with the task as it is, and the fields that differ.
    assert results[1]["task"]["title"] == "stale"
    assert results[1]["errors"][0]["conflictingFields"] == ["title"]
    assert found["doneCount"] == 2
    undone = payload(await bulk(world, ada, UPDATE, [items[8], {**items[0], "ifVersion": 2}]))
    assert [code for code, _ in places(undone)] == ["NOT_FOUND"]
    title = "query ($id: ID!) { task(id: $id) { title version } }"
    now = (await world.run(title, ada, id=gid(task))).good["task"]
    assert now == {"title": "new", "version": 2}


async def test_who_loses_a_task_by_a_bulk_is_told(world: World) -> None:
    ada, bob, cy = await world.people(3)
    tasks = await world.tasks(ada, ["a", "b"], assignee_id=bob.id)
    await world.share(tasks[1], bob)
    since = (await world.run("{ eventCursor }", bob)).good["eventCursor"]
    items = [{"id": gid(task), "assigneeId": gid(cy)} for task in tasks]
    assert payload(await bulk(world, ada, UPDATE, items))["doneCount"] == 2
    changes = "query ($s: String!) { events(after: $s) { nodes { kind subjectId } } }"
    events = (await world.run(changes, bob, s=since)).good["events"]["nodes"]
    # The second is still shared with him.
    assert sorted((event["kind"], event["subjectId"]) for event in events) == [
        ("ACCESS_LOST", gid(tasks[0])),
        ("TASK_ASSIGNED", gid(tasks[1])),
    ]


# --- deleting ------------------------------------------------------------------------------------


async def test_tasks_go_to_the_trash_together_and_come_back(world: World) -> None:
    ada = await world.person()
    project = await world.project(ada)
    common = {"project_id": project.id}
    root = await world.task(ada, "root", **common)
    branch = await world.task(ada, "branch", parent_id=root.id)
    leaf = await world.task(ada, "leaf", parent_id=branch.id)
    twig = await world.task(ada, "twig", parent_id=branch.id)
    lone = await world.task(ada, "lone", **common)
    items = [{"id": gid(task)} for task in (leaf, root, lone)]
    reply = await bulk(world, ada, DELETE, items)
    found = payload(reply)
    assert [result["deletedIds"] for result in found["results"]] == [
        [gid(leaf)],
        [gid(root), *sorted([gid(branch), gid(twig)])],
        [gid(lone)],
    ]
    assert len(reply.statements) <= 11
    assert await total(world, ada) == 0
    restore = "mutation ($id: ID!) { taskRestore(input: {id: $id}) { errors { code path } } }"
    # The leaf went with its root, and comes back with it.
    assert (await world.run(restore, ada, id=gid(leaf))).codes == ["BAD_USER_INPUT"]
    assert (await world.run(restore, ada, id=gid(root))).codes == []
    assert await total(world, ada) == 4
    assert twig.parent_id == branch.id
    assert (await world.run(restore, ada, id=gid(lone))).codes == []
    assert await total(world, ada) == 5


async def test_deletions_are_judged_one_by_one(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(bob, editors=[ada])
    theirs = await world.task(bob, project_id=project.id)
    mine = await world.task(ada, project_id=project.id)
    stale = await world.task(ada)
    items: list[dict[str, Any]] = [
        {"id": gid(theirs)},
        {"id": gid(mine), "ifVersion": 1},
        {"id": gid(stale), "ifVersion": 9},
        {"id": gid(mine)},
        {"id": missing(gid(mine))},
    ]
    wanted = [
        ("FORBIDDEN", "items.0.id"),
        ("CONFLICT", "items.2.ifVersion"),
        ("BAD_USER_INPUT", "items.3.id"),
        ("NOT_FOUND", "items.4.id"),
    ]
    before = await total(world, ada)
    found = payload(await bulk(world, ada, DELETE, items))
    assert places(found) == wanted
    assert await total(world, ada) == before
    dry = payload(await bulk(world, ada, DELETE, items, onError="CONTINUE", dryRun=True))
    assert places(dry) == wanted
    assert await total(world, ada) == before
    given = {"onError": "CONTINUE", "idempotencyKey": "delete"}
    for replayed in (False, True):
        found = payload(await bulk(world, ada, DELETE, items, **given))
        assert places(found) == wanted
        assert [result["deletedIds"] for result in found["results"]] == [
            [], [gid(mine)], [], [], [],
        ]  # fmt: skip
        assert found["replayed"] is replayed
    assert await total(world, ada) == before - 1


async def test_two_hundred_deletions_are_few_statements(world: World) -> None:
    ada = await world.person()
    project = await world.project(ada)
    ids = [fresh_id() for _ in range(200)]
    now = dt.datetime.now(dt.UTC)
    async with world.database.session() as session, session.begin():
        session.add_all(
            models.Task(
                id=id_, project_id=project.id, number=n, title="x", position=f"{n:08}",
                owner_id=ada.id, created_at=now, updated_at=now, version=1,
            )
            for n, id_ in enumerate(ids, 1)
        )  # fmt: skip
    items = [{"id": f"task_{id_.hex}"} for id_ in ids]
    reply = await bulk(world, ada, DELETE, items)
    assert payload(reply)["doneCount"] == 200
    assert len(reply.statements) <= 11, reply.statements
