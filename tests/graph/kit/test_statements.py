"""Statements grow with the shape of a query and never with its rows."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import column, select, table

from db import models
from db.statements import Plan, Statement
from domain import markdown
from tests.accounts import Person
from tests.factories import ENGINES, Engine, World, fresh_id, gid

BOARD = """
query Board($project: ID!) {
  tasks(filter: { project: { id: { eq: $project } } }, orderBy: [{ position: ASC }], first: 100) {
    nodes {
      id title status priority dueAt tags
      project { key name }
      owner { username }
      assignee { username fullName }
      parent { title }
    }
  }
}
"""

TEAMS = """
query Teams($words: String!) {
  projects(filter: { search: $words }, first: 20) {
    nodes { name tasks(first: 20) { nodes { title assignee { username } } } }
  }
}
"""


@pytest.fixture(scope="module")
async def people(world: World) -> list[Person]:
    return await world.people(5)


@pytest.mark.parametrize("engine", ENGINES)
async def test_the_board_takes_five_statements(
    world: World, people: list[Person], engine: Engine
) -> None:
    owner, *others = people
    project = await world.project(owner, editors=others)
    parent = await world.task(owner, project_id=project.id)
    below = {"parent_id": parent.id, "root_id": parent.id, "tags": ["red", "Blue"]}
    for person in others[:3]:
        await world.many_tasks(person, project, 33, assignee_id=owner.id, **below)
    reply = await world.run(BOARD, owner, engine=engine, project=gid(project))
    nodes = reply.good["tasks"]["nodes"]
    assert len(nodes) == 100
    assert {node["assignee"]["username"] for node in nodes if node["parent"]} == {owner.username}
    assert len({node["owner"]["username"] for node in nodes}) == 4
    assert {node["project"]["key"] for node in nodes} == {project.key}
    assert len(reply.statements) <= 5, reply.statements


@pytest.mark.parametrize("engine", ENGINES)
async def test_tasks_of_twenty_projects_take_five_statements(
    world: World, people: list[Person], engine: Engine
) -> None:
    owner, *others = people
    word = f"Team{engine}"
    for number in range(20):
        project = await world.project(owner, name=f"{word} {number}")
        assignee = others[number % len(others)]
        await world.many_tasks(owner, project, 22, assignee_id=assignee.id)
    reply = await world.run(TEAMS, owner, engine=engine, words=word)
    projects = reply.good["projects"]["nodes"]
    assert [len(project["tasks"]["nodes"]) for project in projects] == [20] * 20
    assert all(task["assignee"] for project in projects for task in project["tasks"]["nodes"])
    assert len(reply.statements) <= 5, reply.statements


@pytest.mark.parametrize("engine", ENGINES)
async def test_an_object_that_many_places_ask_for_is_read_once(
    world: World, people: list[Person], engine: Engine
) -> None:
    owner, other = people[:2]
    project = await world.project(owner, editors=[other])
    await world.tasks(other, ["one", "two"], project_id=project.id, assignee_id=owner.id)
    reply = await world.run(
        """query ($id: ID!) {
          project(id: $id) {
            owner { username }
            tasks { nodes { assignee { fullName } project { owner { id } } } }
          }
        }""",
        owner,
        engine=engine,
        id=gid(project),
    )
    assert reply.good["project"]["owner"]["username"] == owner.username
    # The project with its owner, and the page.
    assert len(reply.statements) == 2
    assert len([text for text in reply.statements if " users" in text]) == 1


ONE = """
query ($id: ID!) {
  task(id: $id) {
    title viewerCanEdit
    project { name viewerRole }
    owner { username }
    assignee { username }
    parent { title viewerCanEdit commentCount }
  }
}
"""


@pytest.mark.parametrize("engine", ENGINES)
async def test_one_task_comes_with_all_that_it_refers_to(
    world: World, people: list[Person], engine: Engine
) -> None:
    owner, other, friend = people[:3]
    project = await world.project(owner, editors=[other])
    parent = await world.task(owner, title="whole", project_id=project.id)
    task = await world.task(
        other, title="part", parent_id=parent.id, assignee_id=owner.id, project_id=project.id
    )
    await world.share(task, friend)

    reply = await world.run(ONE, other, engine=engine, id=gid(task))
    assert reply.good["task"] == {
        "title": "part",
        "viewerCanEdit": True,
        "project": {"name": project.name, "viewerRole": "EDITOR"},
        "owner": {"username": other.username},
        "assignee": {"username": owner.username},
        "parent": {"title": "whole", "viewerCanEdit": True, "commentCount": 0},
    }
    assert len(reply.statements) == 1, reply.statements

    # What a friend may not see hides neither the task nor the people.
    reply = await world.run(ONE, friend, engine=engine, id=gid(task))
    assert reply.good["task"] == {
        "title": "part",
        "viewerCanEdit": False,
        "project": None,
        "owner": {"username": other.username},
        "assignee": {"username": owner.username},
        "parent": None,
    }
    assert len(reply.statements) == 1, reply.statements

    reply = await world.run(ONE, people[3], engine=engine, id=gid(task))
    assert reply.codes == ["NOT_FOUND"]


AROUND = """
query Around($project: ID!) {
  project(id: $project) {
    tagUsage { nodes { name taskCount } }
    stats { total completed }
    tasks(first: 20) { nodes {
      tracked
      shares(first: 2) { totalCount nodes { permission user { username } sharedBy { username } } }
      comments(first: 2) { totalCount nodes {
        bodyHtml author { username } mentions { username } replies(first: 2) { nodes { body } }
      } }
      attachments(first: 2) { totalCount nodes { filename uploader { username } } }
      timeEntries(first: 2) { totalCount nodes { duration hasOverlap user { username } } }
      activity(first: 2) { nodes { summary } }
    } }
  }
}
"""


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_stands_around_tasks_is_read_in_as_many_statements_for_one_as_for_twelve(
    world: World, people: list[Person], engine: Engine
) -> None:
    owner, other, friend = people[:3]
    counts = []
    for size in (1, 12):
        project = await world.project(owner, editors=[other])
        tasks = await world.tasks(
            owner, [f"t{n}" for n in range(size)], project_id=project.id, tags=["red", "blue"]
        )
        for task in tasks:
            await world.share(task, friend)
            top = _comment(task, owner, None)
            await world.rows(top, _comment(task, other, None))
            await world.rows(_comment(task, other, top), _time(task, owner), _time(task, other))
        reply = await world.run(AROUND, owner, engine=engine, project=gid(project))
        nodes = reply.good["project"]["tasks"]["nodes"]
        assert [node["shares"]["totalCount"] for node in nodes] == [1] * size
        assert [len(node["comments"]["nodes"]) for node in nodes] == [2] * size
        assert [node["tracked"] for node in nodes] == [7200] * size
        counts.append(len(reply.statements))
    # People are asked for in several places, in one statement or two, as the moments fall.
    assert max(counts) <= 21, counts
    assert counts[1] - counts[0] <= 1, counts


def _comment(task: models.Task, author: Person, parent: models.Comment | None) -> models.Comment:
    return models.Comment(
        id=fresh_id(),
        task_id=task.id,
        author_id=author.id,
        parent_id=None if parent is None else parent.id,
        body="Well done",
        body_html="<p>Well done</p>\n",
        body_text="Well done",
        rendered_version=markdown.VERSION,
        created_at=task.created_at,
        updated_at=task.created_at,
        version=1,
    )


def _time(task: models.Task, person: Person) -> models.TimeEntry:
    start = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
    return models.TimeEntry(
        id=fresh_id(),
        user_id=person.id,
        project_id=task.project_id,
        task_id=task.id,
        started_at=start,
        ended_at=start + dt.timedelta(hours=1),
        created_at=start,
        updated_at=start,
        version=1,
    )


_MINE = "filter: {comments: {some: {author: {isMe: true}}}}"


@pytest.mark.parametrize(
    ("query", "part"),
    [
        (f"{{ tasks({_MINE}) {{ nodes {{ title }} }} }}", "author_id"),
        (f"{{ tasks({_MINE}) {{ totalCount }} }}", "author_id"),
        (
            f"{{ taskStats({_MINE}, groupBy: [ASSIGNEE]) {{ groups {{ total }} }} }}",
            "author_id",
        ),
        ("{ viewer { activityStats { total } } }", "latest.kind"),
        (
            '{ search(query: "x", filter: {project: {isNull: false}}) { nodes { rank } } }',
            "ts_rank",
        ),
    ],
)
async def test_what_varies_by_user_is_always_planned_for_the_values(
    world: World, people: list[Person], query: str, part: str
) -> None:
    """The average author has few comments, but the user may have written half of them."""
    for _ in range(9):
        assert (await world.run(query, people[0])).good
    prepared = table("pg_prepared_statements", *map(column, ("statement", "generic_plans")))
    plans = Statement(select(prepared.c.statement, prepared.c.generic_plans), plan=Plan.EACH)
    # The connection that was used last is used again.
    rows = await world.database.reader.fetch(plans, {})
    found = [row.generic_plans for row in rows if part in row.statement]
    assert found
    assert not any(found)
