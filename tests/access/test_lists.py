"""Lists, counts, filters and orderings reveal nothing that the viewer may not see."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from db import models
from tests.accounts import Person
from tests.factories import World, gid

TASKS = """
query ($filter: TaskFilter, $order: [TaskOrder!]) {
  tasks(filter: $filter, orderBy: $order, first: 100) {
    totalCount
    edges { cursor node { id title identifier number project { id } parent { id } viewerCanEdit } }
  }
}
"""


@dataclass(slots=True)
class Scene:
    """A user who can see single tasks of projects that are hidden from them."""

    owner: Person
    helper: Person
    hidden: models.Project
    other_hidden: models.Project
    own: models.Project
    secret_parent: models.Task


@pytest_asyncio.fixture(scope="module")
async def scene(world: World) -> Scene:
    owner, helper = await world.people(2)
    hidden = await world.project(owner, name="zzz hidden", description="launchpad")
    other = await world.project(owner, name="aaa hidden")
    own = await world.project(helper, name="mmm own")
    parent = await world.task(owner, "secret parent", project_id=hidden.id)
    below = {"project_id": hidden.id, "parent_id": parent.id, "assignee_id": helper.id}
    await world.task(owner, "in zzz", **below)
    await world.task(owner, "in aaa", project_id=other.id, assignee_id=helper.id)
    await world.task(helper, "in mmm", project_id=own.id)
    await world.task(owner, "unseen", project_id=hidden.id)
    return Scene(owner, helper, hidden, other, own, parent)


async def tasks(
    world: World, person: Person, filter_: dict[str, Any] | None = None, **more: Any
) -> Any:
    variables = dict(more) if filter_ is None else {"filter": filter_, **more}
    reply = await world.run(TASKS, person, **variables)
    return reply.good["tasks"]


def titles(page: Any) -> list[str]:
    return [edge["node"]["title"] for edge in page["edges"]]


async def test_only_visible_tasks_are_listed_and_counted(world: World, scene: Scene) -> None:
    page = await tasks(world, scene.helper)
    assert sorted(titles(page)) == ["in aaa", "in mmm", "in zzz"]
    assert page["totalCount"] == 3
    projects = await world.run("{ projects { nodes { id } totalCount } }", scene.helper)
    assert projects.good["projects"] == {"nodes": [{"id": gid(scene.own)}], "totalCount": 1}


async def test_the_relations_of_a_visible_task_stay_hidden(world: World, scene: Scene) -> None:
    page = await tasks(world, scene.helper)
    nodes = {edge["node"]["title"]: edge["node"] for edge in page["edges"]}
    assert nodes["in mmm"]["identifier"] == f"{scene.own.key}-1"
    for title in ("in aaa", "in zzz"):
        assert nodes[title]["identifier"] is None
        assert nodes[title]["project"] is None
        assert nodes[title]["parent"] is None
        assert nodes[title]["viewerCanEdit"] is True


RIGHT_AND_WRONG: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"project": {"name": {"eq": "zzz hidden"}}}, {"project": {"name": {"eq": "no such"}}}),
    ({"project": {"name": {"startsWith": "zzz"}}}, {"project": {"name": {"startsWith": "qqq"}}}),
    ({"project": {"search": "launchpad"}}, {"project": {"search": "nothing"}}),
    (
        {"not": {"project": {"name": {"contains": "zzz"}}}},
        {"not": {"project": {"name": {"contains": "qqq"}}}},
    ),
    (
        {"project": {"not": {"name": {"eq": "zzz hidden"}}}},
        {"project": {"not": {"name": {"eq": "no such"}}}},
    ),
    ({"project": {"isArchived": False}}, {"project": {"description": {"isNull": True}}}),
    ({"parent": {"title": {"eq": "secret parent"}}}, {"parent": {"title": {"eq": "no such"}}}),
    (
        {"parent": {"subtasks": {"some": {"title": {"eq": "in zzz"}}}}},
        {"parent": {"subtasks": {"some": {"title": {"eq": "no such"}}}}},
    ),
    (
        {"owner": {"username": {"startsWith": "p"}}, "project": {"key": {"contains": "Q"}}},
        {"owner": {"username": {"startsWith": "p"}}, "project": {"key": {"startsWith": "Q"}}},
    ),
]


@pytest.mark.parametrize(("right", "wrong"), RIGHT_AND_WRONG, ids=str)
async def test_a_filter_cannot_probe_hidden_objects(
    world: World, scene: Scene, right: dict[str, Any], wrong: dict[str, Any]
) -> None:
    guessed, missed = (
        await tasks(world, scene.helper, right),
        await tasks(world, scene.helper, wrong),
    )
    assert guessed == missed
    # The same filter matches for a user with access, so it does not just match nothing.
    assert await tasks(world, scene.owner, right) != {"edges": [], "totalCount": 0}


async def test_a_filter_cannot_probe_members_of_hidden_projects(world: World, scene: Scene) -> None:
    filter_ = {
        "project": {"members": {"some": {"user": {"username": {"eq": scene.owner.username}}}}}
    }
    assert titles(await tasks(world, scene.helper, filter_)) == []
    assert len(titles(await tasks(world, scene.owner, filter_))) == 4


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
async def test_an_order_reveals_nothing_about_hidden_relations(
    world: World, scene: Scene, direction: str
) -> None:
    """Tasks with a hidden project are sorted together, as if they had none, whatever its name."""
    order = [{"project": {"name": direction}}, {"createdAt": "ASC"}]
    page = await tasks(world, scene.helper, order=order)
    assert titles(page) == ["in mmm", "in zzz", "in aaa"]
    for edge in page["edges"]:
        cursor = edge["cursor"]
        assert b"hidden" not in base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    seen = await tasks(world, scene.owner, order=order)
    by_name = ["in aaa", "secret parent", "in zzz", "unseen"]
    assert titles(seen) == (by_name if direction == "ASC" else by_name[1:] + by_name[:1])


async def test_assigned_tasks_of_another_user_are_the_visible_ones(
    world: World, scene: Scene
) -> None:
    query = """query ($id: ID!) {
      user(id: $id) { assignedTasks { nodes { title } totalCount } }
    }"""
    stranger = await world.person()
    of_helper = gid(scene.helper)
    reply = await world.run(query, stranger, id=of_helper)
    nothing = {"nodes": [], "totalCount": 0}
    assert reply.good["user"] == {"assignedTasks": nothing}
    reply = await world.run(query, scene.owner, id=of_helper)
    assert reply.good["user"]["assignedTasks"]["totalCount"] == 2


async def test_owned_tasks_and_projects_of_another_user_are_the_visible_ones(
    world: World,
) -> None:
    owner, member, stranger = await world.people(3)
    shown = await world.project(owner, viewers=[member])
    await world.project(owner)
    await world.task(owner, "shown", project_id=shown.id)
    await world.task(owner, "personal")
    query = """query ($id: ID!) {
      user(id: $id) {
        ownedTasks(orderBy: [{title: ASC}]) { nodes { title } totalCount }
        ownedProjects { nodes { id } totalCount }
      }
    }"""
    for person, tasks_, projects in (
        (owner, ["personal", "shown"], 2),
        (member, ["shown"], 1),
        (stranger, [], 0),
    ):
        seen = (await world.run(query, person, id=gid(owner))).good["user"]
        assert [node["title"] for node in seen["ownedTasks"]["nodes"]] == tasks_
        assert seen["ownedTasks"]["totalCount"] == len(tasks_)
        assert seen["ownedProjects"]["totalCount"] == len(seen["ownedProjects"]["nodes"])
        assert seen["ownedProjects"]["totalCount"] == projects


async def test_sessions_and_keys_are_ones_own_even_to_administrators(world: World) -> None:
    ada, ben = await world.people(2)
    admin = await world.house.admin()
    await world.house.login(ben)
    query = "{ viewer { sessions { totalCount nodes { user { username } } } } }"
    for person in (ada, ben, admin):
        sessions = (await world.run(query, person)).good["viewer"]["sessions"]
        assert {node["user"]["username"] for node in sessions["nodes"]} == {person.username}
        assert sessions["totalCount"] == len(sessions["nodes"])


async def test_a_signed_out_client_lists_nothing(world: World) -> None:
    for query in ("{ tasks { nodes { id } } }", "{ projects { totalCount } }"):
        reply = await world.run(query, None)
        assert reply.codes == ["UNAUTHENTICATED"]
