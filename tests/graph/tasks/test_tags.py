"""Tags: one by one on a task, and counted over all that one sees."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from db import models
from tests.accounts import Person
from tests.factories import ENGINES, Engine, Reply, World, gid

CHANGE = """
mutation ($input: TaskTags%sInput!) {
  taskTags%s(input: $input) { task { tags version } errors { code path } replayed }
}
"""
TAGS = """
query ($search: String, $first: Int, $after: String, $last: Int, $before: String,
       $orderBy: [TagOrder!]) {
  tags(search: $search, first: $first, after: $after, last: $last, before: $before,
       orderBy: $orderBy) {
    nodes { name taskCount } edges { cursor } totalCount
    pageInfo { hasNextPage hasPreviousPage endCursor }
  }
}
"""


async def change(
    world: World, who: Person, verb: str, task: models.Task, tags: list[str], **given: Any
) -> Reply:
    document = CHANGE % (verb, verb)
    return await world.run(document, who, input={"id": gid(task), "tags": tags, **given})


async def test_adding_keeps_what_is_there_in_whatever_case(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada, tags=["Red"])
    reply = await change(world, ada, "Add", task, ["RED", "blue", "Blue"])
    assert reply.good["taskTagsAdd"]["task"] == {"tags": ["Red", "blue"], "version": 2}
    reply = await change(world, ada, "Add", task, ["blue"])
    assert reply.good["taskTagsAdd"]["task"] == {"tags": ["Red", "blue"], "version": 2}
    many = [f"tag {i}" for i in range(19)]
    assert (await change(world, ada, "Add", task, many)).user_errors == [
        {"code": "BAD_USER_INPUT", "path": ["input", "tags"]}
    ]
    assert (await change(world, ada, "Add", task, ["ok", " "])).user_errors == [
        {"code": "BAD_USER_INPUT", "path": ["input", "tags", "1"]}
    ]


async def test_an_absent_tag_is_not_found_and_the_others_go(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada, tags=["Red", "blue", "green"])
    given = {"idempotencyKey": "once"}
    for replayed in (False, True):
        reply = await change(world, ada, "Remove", task, ["red", "pink", "GREEN"], **given)
        assert reply.data["taskTagsRemove"] == {
            "task": {"tags": ["blue"], "version": 2},
            "errors": [{"code": "NOT_FOUND", "path": ["input", "tags", "1"]}],
            "replayed": replayed,
        }


async def test_two_who_add_at_once_both_have_their_way(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, editors=[bob])
    task = await world.task(ada, project_id=project.id)
    await asyncio.gather(
        *(change(world, (ada, bob)[i % 2], "Add", task, [f"tag {i}"]) for i in range(6))
    )
    found = await world.run("query ($id: ID!) { task(id: $id) { tags } }", ada, id=gid(task))
    assert sorted(found.good["task"]["tags"]) == [f"tag {i}" for i in range(6)]


async def test_who_may_tag(world: World) -> None:
    owner, editor, viewer, stranger = await world.people(4)
    project = await world.project(owner, editors=[editor], viewers=[viewer])
    task = await world.task(owner, project_id=project.id, tags=["x"])
    for verb in ("Add", "Remove"):
        assert (await change(world, viewer, verb, task, ["x"])).codes == ["FORBIDDEN"]
        assert (await change(world, stranger, verb, task, ["x"])).codes == ["NOT_FOUND"]
        assert (await change(world, editor, verb, task, ["x"])).codes == []
    stale = await change(world, editor, "Add", task, ["y"], ifVersion=1)
    assert stale.codes == ["CONFLICT"]


@pytest.mark.parametrize("engine", ENGINES)
async def test_tags_are_counted_over_what_one_sees(world: World, engine: Engine) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, viewers=[bob])
    for tags in (["Red", "blue"], ["red"], ["red", "Blue"], []):
        await world.task(ada, project_id=project.id, tags=tags)
    await world.task(ada, tags=["mine", "100% Ünder_wear"])
    found = (await world.run(TAGS, bob, engine=engine)).good["tags"]
    assert found["nodes"] == [{"name": "red", "taskCount": 3}, {"name": "Blue", "taskCount": 2}]
    assert found["totalCount"] == 2
    reply = await world.run(TAGS, ada, engine=engine, search="ünder_")
    assert reply.good["tags"]["nodes"] == [{"name": "100% Ünder_wear", "taskCount": 1}]
    for search in ("0%0", "x_y"):
        assert (await world.run(TAGS, ada, search=search)).good["tags"]["nodes"] == []
    query = "{ projects { nodes { tagUsage(first: 1) { nodes { name taskCount } totalCount } } } }"
    (node,) = (await world.run(query, ada, engine=engine)).good["projects"]["nodes"]
    assert node["tagUsage"] == {"nodes": [{"name": "red", "taskCount": 3}], "totalCount": 2}


@pytest.mark.parametrize(
    "order",
    [
        None,
        [{"name": "ASC"}],
        [{"name": "DESC"}],
        [{"taskCount": "ASC"}],
        [{"taskCount": "DESC"}, {"name": "DESC"}],
    ],
)
async def test_pages_of_tags_meet_without_gap(world: World, order: Any) -> None:
    ada = await world.person()
    for count in range(1, 5):
        await world.task(ada, tags=[f"{letter}{n}" for letter in "ab" for n in range(count)])
    whole = (await world.run(TAGS, ada, first=100, orderBy=order)).good["tags"]
    assert len(whole["nodes"]) == whole["totalCount"] == 8
    forward: list[Any] = []
    after = None
    while True:
        page = (await world.run(TAGS, ada, first=3, after=after, orderBy=order)).good["tags"]
        forward += page["nodes"]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert forward == whole["nodes"]
    before = whole["edges"][5]["cursor"]
    page = (await world.run(TAGS, ada, last=3, before=before, orderBy=order)).good["tags"]
    assert page["nodes"] == whole["nodes"][2:5]
    assert page["pageInfo"]["hasPreviousPage"]
