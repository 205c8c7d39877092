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
query ($filter: TagFilter, $first: Int, $after: String, $last: Int, $before: String,
       $orderBy: [TagOrder!]) {
  tags(filter: $filter, first: $first, after: $after, last: $last, before: $before,
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
    reply = await world.run(TAGS, ada, engine=engine, filter={"search": "ünder_"})
    assert reply.good["tags"]["nodes"] == [{"name": "100% Ünder_wear", "taskCount": 1}]
    for search in ("0%0", "x_y"):
        assert (await world.run(TAGS, ada, filter={"search": search})).good["tags"]["nodes"] == []
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


TAGGED = """
query ($first: Int, $after: String, $filter: TaskFilter) {
  tags { nodes { name taskCount tasks(first: $first, after: $after, filter: $filter) { ...Page } } }
  projects { nodes { id tagUsage { nodes { name taskCount tasks { ...Page } } }
                     stats { byTag { name taskCount tasks { ...Page } } } } }
  taskStats { byTag { name taskCount tasks { ...Page } } }
}
fragment Page on TaskConnection {
  totalCount nodes { id } pageInfo { endCursor hasNextPage hasPreviousPage }
}
"""


@pytest.mark.parametrize("engine", ENGINES)
async def test_the_tasks_of_a_tag_are_those_that_it_counts(world: World, engine: Engine) -> None:
    """Compared with the list of all tasks that each person sees."""
    ada, ben = await world.people(2)
    projects = [await world.project(ada, editors=[ben]), await world.project(ada)]
    for number in range(12):
        task = await world.task(
            ada,
            project_id=[None, *(project.id for project in projects)][number % 3],
            tags=[["Red", "blue"], ["RED"], ["red", "green"], []][number % 4],
        )
        if number in {1, 2, 3}:
            await world.share(task, ben)
    query = "{ tasks(first: 100) { nodes { id tags project { id } } } }"
    for who in (ada, ben):
        nodes = (await world.run(query, who)).good["tasks"]["nodes"]

        def tagged(name: str, project: str | None = None, nodes: Any = nodes) -> list[str]:
            return [
                node["id"]
                for node in nodes
                if name.lower() in {tag.lower() for tag in node["tags"]}
                and project in {None, node["project"] and node["project"]["id"]}
            ]

        found = (await world.run(TAGGED, who, engine=engine)).good
        assert {tag["name"].lower() for tag in found["tags"]["nodes"]} == {"red", "blue", "green"}
        lists = [(tag, None) for tag in found["tags"]["nodes"] + found["taskStats"]["byTag"]]
        for project in found["projects"]["nodes"]:
            tags = project["tagUsage"]["nodes"] + project["stats"]["byTag"]
            lists += [(tag, project["id"]) for tag in tags]
        assert len(lists) > 8
        for tag, project_id in lists:
            wanted = tagged(tag["name"], project_id)
            assert [node["id"] for node in tag["tasks"]["nodes"]] == wanted
            assert tag["taskCount"] == tag["tasks"]["totalCount"] == len(wanted)
    filter_ = {"project": {"key": {"eq": projects[0].key}}}
    page = (await world.run(TAGGED, ada, engine=engine, first=1, filter=filter_)).good
    (red,) = [tag["tasks"] for tag in page["tags"]["nodes"] if tag["name"].lower() == "red"]
    assert (red["totalCount"], len(red["nodes"]), red["pageInfo"]["hasNextPage"]) == (3, 1, True)
    after = red["pageInfo"]["endCursor"]
    reply = await world.run(TAGGED, ada, engine=engine, first=1, filter=filter_, after=after)
    (following,) = [
        tag["tasks"] for tag in reply.good["tags"]["nodes"] if tag["name"].lower() == "red"
    ]
    assert following["nodes"] != red["nodes"]
    assert following["pageInfo"]["hasPreviousPage"] is True


async def test_the_tasks_of_many_tags_take_one_statement(world: World) -> None:
    ada = await world.person()
    query = "{ tags(first: %d) { nodes { name tasks(first: 3) { nodes { id } totalCount } } } }"
    for number in range(6):
        await world.task(ada, tags=[f"tag {number}", "all"])
    few = await world.run(query % 1, ada)
    many = await world.run(query % 7, ada)
    assert [tag["tasks"]["totalCount"] for tag in many.good["tags"]["nodes"]] == [6, *[1] * 6]
    assert len(few.statements) == len(many.statements)
