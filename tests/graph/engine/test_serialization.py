"""What PostgreSQL writes reads as what Python writes: of every row, failure and kind of value.

An operation is written once it has come a few times; so each is run until it is, and its first
answer compared with its last.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import text, update

from app import create_app
from db import models
from graph.engine.explain import Explanation
from graph.engine.planning import SERIALIZED_AFTER
from graph.engine.state import EngineState
from graph.request.preparation import GraphQLRequest
from tests.accounts import Person
from tests.factories import Reply, World, gid, missing, world_of

# What must be escaped in JSON, what looks like other JSON, and what looks like a moment of ours.
TEXTS = [
    'quotes " and \\ backslashes \\',
    '","id":"task_0","x":"',
    "line\nfeed, tab\tand control \x01\x1f\x7f",
    "at 2026-11-20 09:30:00+00:00",
    "\\u0000 is six characters",
    "snow \u2603, a face \U0001f600, a line separator \u2028",
    "{v0} {{ }} %s $1 :name",
]
ROWS = """
    nodes {
      id number title description notes status priority dueAt dueOn startAt estimate tags
      position completedAt createdAt updatedAt version isOverdue identifier commentCount
      viewerCanEdit
    }
"""


async def serialized(
    world: World, query: str, person: Person, /, *, more: int = 0, **variables: Any
) -> Reply:
    """The answer as PostgreSQL wrote it, which has to be the first one.

    `more`: statements, for lists that differ only in what is serialized of their rows.
    """
    replies = [await world.run(query, person, **variables) for _ in range(SERIALIZED_AFTER + 1)]
    first, last = replies[0], replies[-1]
    assert not any("concat(" in statement for statement in first.statements)
    assert any("concat(" in statement for statement in last.statements), "it was not written"
    assert len(last.statements) <= len(first.statements) + more
    assert last.data == first.data
    assert covered(last) == covered(first)
    assert list(record_scan(last.data)) == list(record_scan(first.data)), "keys in another order"
    return last


def covered(reply: Reply) -> list[Any]:
    """The errors, without the IDs of requests."""
    return [
        (error["message"], error["path"], error["extensions"]["code"]) for error in reply.errors
    ]


def record_scan(value: Any) -> Any:
    """All keys and leaves in their order."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from record_scan(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from record_scan(inner)
    else:
        yield value


CREATE = """mutation Create($input: TaskCreateInput!) { taskCreate(input: $input) {
    errors { code }
    task {
        id number title status dueAt tags notes
        assignee { fullName todo: __typename } project { name }
    }
} }"""
DUE = "2026-03-01T04:00:00.25Z"


async def create(world: World, person: Person, project: models.Project) -> Any:
    """A task, always the same."""
    values = {"title": TEXTS[1], "due": {"at": DUE}, "tags": ['"'], "assigneeId": gid(person)}
    reply = await world.run(CREATE, person, input={**values, "projectId": gid(project)})
    assert reply.good["taskCreate"]["errors"] == []
    return reply.data["taskCreate"]["task"]


@pytest.fixture(scope="module")
async def ada(world: World) -> Person:
    return await world.person(full_name='Ada "\\" Lovelace')


@pytest.fixture(scope="module")
async def project(world: World, ada: Person) -> models.Project:
    project = await world.project(ada, name="Bridges")
    first = dt.datetime(2026, 3, 1, 9, tzinfo=dt.timezone(dt.timedelta(hours=5)))
    for index, title in enumerate(TEXTS):
        values: dict[str, Any] = {}
        if index % 2:
            values = {
                "due_at": first + dt.timedelta(microseconds=10**index),
                "start_at": first - dt.timedelta(days=400 * index),
                "estimate": index,
                "tags": [f"tag {index}", '"', "b\\c"],
                "assignee_id": ada.id,
            }
        task = await world.task(ada, project_id=project.id, **values)
        # As it is, past the rules for what clients may send.
        async with world.database.session() as session, session.begin():
            await session.execute(
                update(models.Task)
                .where(models.Task.id == task.id)
                .values(title=title, notes=title if index % 2 else None, description=title)
            )
    await world.task(ada, "A day", project_id=project.id, due_on=dt.date(2026, 2, 28))
    return project


async def test_every_kind_of_value_is_written_as_python_writes_it(
    world: World, ada: Person, project: models.Project
) -> None:
    reply = await serialized(
        world,
        f"query Values($id: ID!) {{ project(id: $id) {{ name tasks {{ {ROWS} totalCount }} }} }}",
        ada,
        id=gid(project),
    )
    nodes = reply.good["project"]["tasks"]["nodes"]
    assert [node["title"] for node in nodes] == [*TEXTS, "A day"]
    assert nodes[3]["dueAt"] == "2026-03-01T04:00:00.001Z"
    assert nodes[3]["tags"] == ["tag 3", '"', "b\\c"]
    assert nodes[-1]["dueOn"] == "2026-02-28"


async def test_fields_between_others_and_under_other_names(
    world: World, ada: Person, project: models.Project
) -> None:
    long = "a" * 100
    reply = await serialized(
        world,
        f"""query Names($id: ID!, $no: Boolean = false) {{ project(id: $id) {{
            __typename
            tasks(first: 3) {{
                edges {{ cursor node {{
                    title kind: __typename {long}: title
                    assignee {{ fullName __typename id }}
                    ...on Task {{ status project {{ tasks(first: 1) {{ nodes {{ id }} }} }} }}
                    id gone: notes @include(if: $no) parent @include(if: $no) {{ title }} again: id
                }} }}
                pageInfo {{ hasNextPage endCursor }}
            }}
        }} }}""",
        ada,
        id=gid(project),
    )
    edge = reply.good["project"]["tasks"]["edges"][1]["node"]
    assert list(edge) == ["title", "kind", long, "assignee", "status", "project", "id", "again"]
    assert edge[long] == edge["title"] == TEXTS[1]
    assert edge["assignee"]["fullName"] == 'Ada "\\" Lovelace'


async def test_a_relation_under_many_names_makes_no_long_statement(
    world: World, ada: Person, project: models.Project
) -> None:
    names = [f"a{number}: project {{ name owner {{ username }} }}" for number in range(25)]
    longest = {}
    for count in (2, 25):
        nodes = f"{{ nodes {{ {' '.join(names[:count])} }} }}"
        query = f"query Many($id: ID!) {{ project(id: $id) {{ tasks {nodes} }} }}"
        reply = await serialized(world, query, ada, id=gid(project))
        node = reply.good["project"]["tasks"]["nodes"][0]
        assert len(node) == count
        assert node["a1"] == {"name": "Bridges", "owner": {"username": ada.username}}
        longest[count] = max(map(len, reply.statements))
    assert longest[25] < 3 * longest[2]


async def test_what_only_looks_like_a_failure_is_none(
    world: World, ada: Person, project: models.Project
) -> None:
    """The number of an unknown status follows a character that JSON escapes."""
    reply = await serialized(
        world,
        """query Looks($id: ID!) { project(id: $id) { tasks { nodes {
            status title assignee { username fullName } parent { title } notes
        } } } }""",
        ada,
        id=gid(project),
    )
    nodes = reply.good["project"]["tasks"]["nodes"]
    assert [node["title"] for node in nodes] == [*TEXTS, "A day"]
    assert nodes[1]["assignee"] == {"username": ada.username, "fullName": 'Ada "\\" Lovelace'}


async def test_objects_of_several_types_hold_written_ones(
    world: World, ada: Person, project: models.Project
) -> None:
    reply = await serialized(
        world,
        """query Kinds($ids: [ID!]!) { nodes(ids: $ids) {
            id
            ...on Project { tasks(first: 2) { nodes { title assignee { username } } } }
            ...on User { username }
        } }""",
        ada,
        ids=[gid(project), gid(ada)],
    )
    first, second = reply.good["nodes"]
    assert [node["title"] for node in first["tasks"]["nodes"]] == TEXTS[:2]
    assert second["username"] == ada.username


async def test_what_fails_is_told_where_it_failed(
    world: World, ada: Person, project: models.Project
) -> None:
    hidden = await world.task(await world.person(), "Not for Ada")
    reply = await serialized(
        world,
        """query Failing($id: ID!, $hidden: ID!) {
            project(id: $id) {
                name
                some: tasks(first: 2) { nodes { title comments(first: 1000) { totalCount } } }
                all: tasks(first: 1) { nodes { title } }
            }
            task(id: $hidden) { title }
        }""",
        ada,
        more=1,
        id=gid(project),
        hidden=gid(hidden),
    )
    assert reply.data == {
        "project": {
            "name": "Bridges",
            "some": {"nodes": [{"title": title, "comments": None} for title in TEXTS[:2]]},
            "all": {"nodes": [{"title": TEXTS[0]}]},
        },
        "task": None,
    }
    assert [path for _, path, _ in covered(reply)] == [
        ["project", "some", "nodes", 0, "comments"],
        ["project", "some", "nodes", 1, "comments"],
        ["task"],
    ]


async def test_a_failure_beside_what_is_written_takes_nothing_else_with_it(
    world: World, ada: Person, project: models.Project
) -> None:
    reply = await serialized(
        world,
        """query Beside($id: ID!, $missing: ID!) {
            one: project(id: $id) { name tasks(first: 1) { nodes { title } } }
            two: project(id: $missing) { name }
        }""",
        ada,
        id=gid(project),
        missing=missing(gid(project)),
    )
    assert reply.data == {
        "one": {"name": "Bridges", "tasks": {"nodes": [{"title": TEXTS[0]}]}},
        "two": None,
    }
    assert reply.codes == ["NOT_FOUND"]


async def test_a_number_that_the_enum_does_not_have_fails_its_own_field(
    world: World, ada: Person
) -> None:
    """As a newer version of the server may have written it."""
    project = await world.project(ada)
    tasks = await world.tasks(ada, ["good", "odd"], project_id=project.id)
    async with world.database.session() as session, session.begin():
        odd = text("UPDATE tasks SET status = 99, due_at = now() WHERE id = :id")
        await session.execute(odd, {"id": tasks[1].id})
    query = """query Odd($id: ID!) { task(id: $id) { project { tasks { nodes {
        title status dueAt assignee { username }
    } } } } }"""
    reply = await serialized(world, query, ada, id=gid(tasks[0]))
    assert reply.data == {"task": {"project": {"tasks": None}}}
    assert reply.errors[0]["path"] == ["task", "project", "tasks", "nodes", 1, "status"]


async def test_nobody_is_written_what_they_may_not_see(
    world: World, ada: Person, project: models.Project
) -> None:
    bob = await world.person()
    (shared, *_) = await world.tasks(ada, ["shown", "not shown"], project_id=project.id)
    await world.share(shared, bob)
    reply = await serialized(
        world,
        "query Shown { tasks { nodes { title project { name } owner { username } } totalCount } }",
        bob,
    )
    assert reply.good["tasks"] == {
        "nodes": [{"title": "shown", "project": None, "owner": {"username": ada.username}}],
        "totalCount": 1,
    }


async def test_the_same_fields_are_explained(
    world: World, ada: Person, project: models.Project
) -> None:
    query = """query Told($id: ID!) { project(id: $id) { name tasks { nodes {
        title status identifier assignee { username }
    } } } }"""
    executor = world.executors["batch"]
    turns: list[set[str]] = []
    for _ in range(SERIALIZED_AFTER + 1):
        context = world.context(ada)
        explanation = context.of(EngineState).explanation = Explanation()
        request = GraphQLRequest(query=query, variables={"id": gid(project)})
        prepared = await executor.prepare(request, request_id=context.request.id)
        assert not (await executor.execute(prepared, context)).errors
        turns.append({field.place for field in explanation.runs})
    assert "User.username" in turns[0]
    assert turns[-1] == turns[0]


async def test_a_session_of_another_time_zone_and_style_is_no_matter(
    world: World, ada: Person, project: models.Project
) -> None:
    """What the operator sets for the role holds for our connections too."""
    query = """query Zone($id: ID!) {
        project(id: $id) { createdAt tasks { nodes { dueAt dueOn status } } }
    }"""
    before = await serialized(world, query, ada, id=gid(project))
    personal = await world.project(ada)
    async with world.database.session() as session, session.begin():
        name = await session.scalar(text("SELECT current_database()"))
        for setting in (
            "datestyle = 'German'",
            "timezone = 'Asia/Kolkata'",
            "standard_conforming_strings = off",
        ):
            await session.execute(text(f'ALTER DATABASE "{name}" SET {setting}'))
    try:
        app = create_app(world.services.settings)
        async with app.lifespan(), world_of(app) as other:
            reply = await serialized(other, query, ada, id=gid(project))
            made = [await create(other, ada, personal) for _ in range(SERIALIZED_AFTER + 1)]
    finally:
        async with world.database.session() as session, session.begin():
            await session.execute(text(f'ALTER DATABASE "{name}" RESET ALL'))
    assert reply.data == before.data
    assert made[-1]["dueAt"] == made[0]["dueAt"] == DUE


async def test_what_a_mutation_made_is_written(
    world: World, ada: Person, project: models.Project
) -> None:
    made = [await create(world, ada, project) for _ in range(SERIALIZED_AFTER + 2)]
    assert len({task.pop("id") for task in made}) == len(made)
    numbers = [task.pop("number") for task in made]
    assert numbers == list(range(numbers[0], numbers[0] + len(made)))
    assert all(task == made[0] for task in made)
    assert made[0]["assignee"] == {"fullName": 'Ada "\\" Lovelace', "todo": "User"}
    assert made[0]["project"] == {"name": "Bridges"}


async def test_what_stands_in_the_way_of_a_mutation_is_told_beside_what_is_written(
    world: World, ada: Person
) -> None:
    task = await world.task(ada, "old")
    update = """mutation Two($id: ID!, $title: String!, $version: Int!) {
        one: taskUpdate(input: {id: $id, title: $title}) { task { title version } errors { code } }
        two: taskUpdate(input: {id: $id, title: "", ifVersion: $version}) {
            task { title } errors { code path }
        }
        three: taskUpdate(input: {id: $id, notes: "n", ifVersion: $version}) {
            task { title } errors { code }
        }
    }"""
    for turn in range(SERIALIZED_AFTER + 2):
        reply = await world.run(update, ada, id=gid(task), title=f"turn {turn}", version=99)
        data = reply.data
        assert data["one"]["task"]["title"] == f"turn {turn}"
        assert data["two"] == {
            "task": None,
            "errors": [{"code": "BAD_USER_INPUT", "path": ["input", "title"]}],
        }
        assert data["three"] == {
            "task": {"title": f"turn {turn}"}, "errors": [{"code": "CONFLICT"}]
        }  # fmt: skip
    assert any("concat(" in statement for statement in reply.statements)
