"""Viewers who see the same share one execution of a delivery, and nobody gets another's answer.

The oracle is the list `events`, which reads for one viewer at a time, in SQL.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Awaitable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import orjson
import pytest
from sqlalchemy import delete, select, update

from db import models
from graph.core.context import Seen
from graph.core.sharing import compared_labels
from graph.request.answer import Answer
from graph.request.preparation import GraphQLRequest
from graph.request.shared_deliveries import Run, SharedDeliveries
from graph.schema import schema
from tests.accounts import Person
from tests.factories import World, gid
from tests.graph.engine.faults import BREAKS, bent
from tests.graph.events.listening import LISTEN, POLL, collect, listen, subscribed

SHARED = [
    "id kind at cursor matches task { id title isOverdue project { name } assignee { username } }",
    "__typename subjectId via subject { __typename ... on Task { title parent { title } } }",
    "actor { displayName } project { key owner { username } } task { status owner { fullName } }",
    "task { title viewerCanEdit }",
    "task { viewerCanComment viewerCanDelete viewerCanShare parent { viewerCanEdit identifier } }",
    "changes { field ... on TextChange { oldText newText } } task { title }",
    "changes { __typename field ... on NodeChange { oldId newId newNode { id __typename } } }",
    "actor { username } task { identifier } project { viewerCanArchive viewerCanCreateTasks }",
]
OWN = [
    "requestId task { title }",
    "task { comments(first: 1) { totalCount } }",
]
FILTERS: list[dict[str, Any] | None] = [
    None,
    {"project": {"id": {"eq": "HERE"}}},
    {"project": {"name": {"contains": "Here"}}},
    {"not": {"project": {"id": {"eq": "HERE"}}}},
    {"task": {"assignee": {"isMe": True}}},
    {"actor": {"isMe": True}, "task": {"title": {"startsWith": "shown"}}},
]
RENAME = """
mutation ($id: ID!, $title: String!) {
  taskUpdate(input: {id: $id, title: $title}) { errors { message } }
}
"""

MOVE = """
mutation ($id: ID!, $to: ID) {
  taskMove(input: {id: $id, projectId: $to, place: {edge: END}}) { errors { message } }
}
"""
REMOVE = """
mutation ($id: ID!) { projectMemberRemove(input: {id: $id}) { errors { message } } }
"""
_FOLLOW = "subscription ($after: String) { taskEvents(after: $after) { %s } }"


@pytest.mark.parametrize("given", FILTERS, ids=lambda given: orjson.dumps(given).decode())
async def test_everybody_gets_what_their_own_list_shows(
    given: dict[str, Any] | None, world: World
) -> None:
    ada, *people = await world.people(6)
    inside, outside, nobody = people[:3], people[3:], await world.person()
    project = await world.project(ada, name="Here", editors=inside[:1], viewers=inside[1:])
    top = await world.task(ada, "top", project_id=project.id)
    task = await world.task(
        ada, "a task", project_id=project.id, parent_id=top.id, assignee_id=inside[0].id
    )
    for person in outside:
        # They see the task, but neither its project nor its parent.
        await world.share(task, person)
    own = await world.task(nobody, "not shown")
    wanted = orjson.loads(orjson.dumps(given).decode().replace("HERE", gid(project)))
    # A subscription that names a project needs to see it.
    named = wanted is not None and "id" in wanted.get("project", {})
    listening = [ada, *inside, *([] if named else outside)]
    heard: dict[tuple[UUID, str], list[Any]] = {}
    async with contextlib.AsyncExitStack() as stack:
        reading = []
        for selection in SHARED + OWN:
            query = LISTEN % selection
            for person in listening:
                answers = await listen(world, stack, person, query, wanted)
                reading.append(asyncio.create_task(collect(heard, person, selection, answers)))
        await asyncio.sleep(0.2)
        for turn in range(3):
            since = (await world.run("{ eventCursor }", ada)).data["eventCursor"]
            heard.clear()
            renamed = await world.run(RENAME, ada, id=gid(task), title=f"shown {turn}")
            assert not renamed.data["taskUpdate"]["errors"]
            await world.run(RENAME, nobody, id=gid(own), title=f"other {turn}")
            expected = {}
            for selection in SHARED + OWN:
                for person in listening:
                    reply = await world.run(POLL % selection, person, filter=wanted, after=since)
                    if nodes := reply.data["events"]["nodes"]:
                        expected[person.id, selection] = nodes
            async with asyncio.timeout(20):
                while any(len(heard.get(key, ())) < len(expected[key]) for key in expected):
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.02)
            assert heard == expected
        for one in reading:
            one.cancel()
        await asyncio.wait(reading)


async def test_changes_name_only_what_each_can_see(world: World) -> None:
    """The task moves between projects that only some see; all see the task."""
    ada, *people = await world.people(9)
    first = await world.project(ada, name="First", viewers=people[:4])
    second = await world.project(ada, name="Second", editors=people[2:6])
    task = await world.task(ada, "a task", project_id=first.id)
    for person in people:
        await world.share(task, person)
    selection = (
        "kind changes { __typename field ... on NumberChange { oldNumber newNumber } "
        "... on NodeChange { oldId newId oldNode { id } newNode { id ... on Project { name } } } }"
        " task { identifier viewerCanEdit viewerCanShare }"
    )
    listening = [ada, *people]
    query = _FOLLOW % selection
    for to in (second, first, second):
        since = (await world.run("{ eventCursor }", ada)).data["eventCursor"]
        after = {"after": since}
        async with contextlib.AsyncExitStack() as stack:
            streams = [await subscribed(world, stack, one, query, after) for one in listening]
            heard: dict[UUID, list[Any]] = {one.id: [] for one in listening}

            async def read(
                person: Person, answers: AsyncGenerator[Answer, None], heard: Any = heard
            ) -> None:
                async for answer in answers:
                    heard[person.id].append(orjson.loads(answer.body())["data"]["taskEvents"])

            reading = [
                asyncio.create_task(read(person, stream))
                for person, stream in zip(listening, streams, strict=True)
            ]
            moved = await world.run(MOVE, ada, id=gid(task), to=gid(to))
            assert not moved.data["taskMove"]["errors"]
            expected: dict[UUID, list[Any]] = {}
            for person in listening:
                reply = await world.run(POLL % selection, person, filter=None, after=since)
                expected[person.id] = reply.data["events"]["nodes"]
            async with asyncio.timeout(20):
                while any(len(heard[one]) < len(expected[one]) for one in heard):
                    await asyncio.sleep(0.01)
            assert heard == expected
            for one in reading:
                one.cancel()
            await asyncio.wait(reading)
            seen = {orjson.dumps(nodes) for nodes in expected.values()}
            # Who sees the one, the other, both or none of the projects; those who may edit or not.
            assert len(seen) >= 4


async def test_it_is_known_which_operations_answer_all_alike(world: World) -> None:
    executor = world.executors["batch"]

    async def alike(selection: str) -> bool:
        query = f"subscription {{ taskEvents {{ {selection} }} }}"
        prepared = await executor.prepare(GraphQLRequest(query=query), request_id="test")
        return compared_labels(prepared.operation.selection_index) is not None

    assert [await alike(one) for one in SHARED] == [True] * len(SHARED)
    assert [await alike(one) for one in OWN] == [False] * len(OWN)


@pytest.mark.parametrize("selection", ["title", "title viewerCanEdit viewerCanShare identifier"])
async def test_a_shared_answer_is_read_once(selection: str, world: World) -> None:
    people = await world.people(10)
    project = await world.project(people[0], viewers=people[1:])
    task = await world.task(people[0], "old", project_id=project.id)
    query = LISTEN % f"task {{ {selection} }}"
    given = {"project": {"id": {"eq": gid(project)}}}
    async with contextlib.AsyncExitStack() as stack:
        streams = [await listen(world, stack, one, query, given) for one in people]
        read = filtered = 0
        for turn in range(10):
            waiting = [asyncio.create_task(anext(stream)) for stream in streams]
            # In the first turns some may still read what was before them.
            await asyncio.sleep(0.05)
            with world.heard() as statements:
                await world.run(RENAME, people[0], id=gid(task), title=f"turn {turn}")
                async with asyncio.timeout(20):
                    await asyncio.gather(*waiting)
            read += sum("FROM tasks" in one and "tasks.title" in one for one in statements)
            filtered += sum("AS person" in one for one in statements)
        assert 10 <= read < 40
        assert 10 <= filtered < 40


async def test_every_subscriber_gets_errors_as_requested(world: World) -> None:
    """Although all of them execute the same operation on the same event, at the same time."""
    people = await world.people(3)
    project = await world.project(people[0], viewers=people[1:])
    task = await world.task(people[0], "old", project_id=project.id)
    title, id_ = ["taskEvents", "task", "title"], gid(task)
    expected: dict[str | None, Any] = {
        None: {"taskEvents": {"task": None}},
        "PROPAGATE": {"taskEvents": {"task": None}},
        "NULL": {"taskEvents": {"task": {"id": id_, "title": None}}},
        "HALT": None,
    }
    variables = {"filter": {"project": {"id": {"eq": gid(project)}}}}
    query = f"# broken\n{LISTEN % 'task { id title }'}"
    async with contextlib.AsyncExitStack() as stack:
        listening = [
            (on_error, await subscribed(world, stack, person, query, variables, on_error=on_error))
            for person in people
            for on_error in expected
        ]
        stack.enter_context(bent(schema._schema, {"Task.title": BREAKS}, 0))
        for turn in range(3):
            waiting = [asyncio.create_task(anext(stream)) for _, stream in listening]
            await asyncio.sleep(0.05)
            renamed = await world.run(RENAME, people[0], id=id_, title=f"turn {turn}")
            assert renamed.good
            async with asyncio.timeout(20):
                answers = await asyncio.gather(*waiting)
            for (on_error, _), answer in zip(listening, answers, strict=True):
                found = orjson.loads(answer.body())
                assert found["data"] == expected[on_error]
                assert [error["path"] for error in found["errors"]] == [title]


@pytest.mark.parametrize("errs", [False, True])
async def test_who_loses_access_meanwhile_does_not_get_the_answer(errs: bool, world: World) -> None:
    ada, bob, eve = await world.people(3)
    project = await world.project(ada, viewers=[bob, eve])
    task = await world.task(ada, project_id=project.id)
    shared: SharedDeliveries[str] = SharedDeliveries(lambda _answer: not errs)
    reading, go = asyncio.Event(), asyncio.Event()

    async def lead(seen: Seen | None) -> str:
        assert seen is not None
        seen[models.Task] = {task.id: task}
        reading.set()
        await go.wait()
        return "ada's"

    def alone(whose: str) -> Run[str]:
        async def run(_: Seen | None) -> str:
            return whose

        return run

    reader = world.database.all_rows
    leader = asyncio.create_task(shared.answer("event", ada.id, reader, lead))
    await reading.wait()
    others = [
        asyncio.create_task(shared.answer("event", one.id, reader, alone(whose)))
        for one, whose in ((bob, "bob's"), (eve, "eve's"))
    ]
    await asyncio.sleep(0)
    async with world.database.session() as session, session.begin():
        member = models.ProjectMember
        await session.execute(
            delete(member).where(member.project_id == project.id, member.user_id == bob.id)
        )
    go.set()
    found = await asyncio.gather(leader, *others)
    assert found[:2] == ["ada's", "bob's"]
    assert found[2] == ("eve's" if errs else "ada's")


async def test_whose_role_changes_meanwhile_does_not_get_the_answer(world: World) -> None:
    ada, bob, eve = await world.people(3)
    project = await world.project(ada, editors=[bob, eve])
    task = await world.task(ada, project_id=project.id)
    shared: SharedDeliveries[str] = SharedDeliveries(lambda _answer: True)
    reading, go = asyncio.Event(), asyncio.Event()

    async def lead(seen: Seen | None) -> str:
        assert seen is not None
        seen[models.Task] = {task.id: SimpleNamespace(viewer_can_edit=True)}
        reading.set()
        await go.wait()
        return "as an editor"

    async def alone(_: Seen | None) -> str:
        return "own"

    reader = world.database.all_rows
    labels = {models.Task: ("viewer_can_edit",)}
    leader = asyncio.create_task(shared.answer("event", ada.id, reader, lead, labels))
    await reading.wait()
    others = [
        asyncio.create_task(shared.answer("event", one.id, reader, alone, labels))
        for one in (bob, eve)
    ]
    await asyncio.sleep(0)
    member = models.ProjectMember
    async with world.database.session() as session, session.begin():
        await session.execute(
            update(member).where(member.user_id == bob.id).values(role=models.Role.VIEWER)
        )
    go.set()
    assert await asyncio.gather(leader, *others) == ["as an editor", "own", "as an editor"]


@pytest.mark.parametrize("selection", ["title", "title viewerCanEdit"])
async def test_subscribers_leave_while_an_answer_is_shared(selection: str, world: World) -> None:
    """At any moment, whether they execute it for the others or wait; and with events waiting."""
    ada, *people = await world.people(9)
    project = await world.project(ada, editors=people[:4], viewers=people[4:])
    task = await world.task(ada, "old", project_id=project.id)
    chance = random.Random(selection)
    since = (await world.run("{ eventCursor }", ada)).data["eventCursor"]
    query = _FOLLOW % f"task {{ {selection} }}"
    written = 0
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(12):
            for _ in range(chance.randrange(1, 4)):
                await world.run(RENAME, ada, id=gid(task), title=f"turn {written}")
                written += 1
            # All that was written since the beginning waits for each of them.
            streams = [
                await subscribed(world, stack, one, query, {"after": since}) for one in people
            ]
            reading = [asyncio.create_task(anext(stream)) for stream in streams]
            await asyncio.sleep(chance.random() / 50)
            gone = set(chance.sample(range(len(people)), chance.randrange(1, 6)))
            for index in gone:
                reading[index].cancel()
            async with asyncio.timeout(20):
                found = await asyncio.gather(*reading, return_exceptions=True)
            for index, answer in enumerate(found):
                if index in gone and isinstance(answer, asyncio.CancelledError):
                    continue
                assert isinstance(answer, Answer), answer
                # Former events show the task as it is now.
                shown: dict[str, Any] = {"title": f"turn {written - 1}"}
                if "viewerCanEdit" in selection:
                    shown["viewerCanEdit"] = index < 4
                assert orjson.loads(answer.body())["data"] == {"taskEvents": {"task": shown}}


async def test_many_who_wait_go_on_in_several_turns_of_the_event_loop(world: World) -> None:
    ada = await world.person()
    shared: SharedDeliveries[str] = SharedDeliveries(lambda _answer: True)
    runs, go = [], asyncio.Event()

    async def run(_: Seen | None) -> str:
        runs.append(1)
        await go.wait()
        return "hers"

    def ask() -> Awaitable[str]:
        return shared.answer("event", ada.id, world.database.all_rows, run)

    waiting = [asyncio.ensure_future(ask()) for _ in range(200)]
    await asyncio.sleep(0)
    go.set()
    having = {0}
    while max(having) < len(waiting):
        # More come while the answer is about to be given.
        waiting += [asyncio.ensure_future(ask()) for _ in range(100 * (len(waiting) < 400))]
        await asyncio.sleep(0)
        having.add(sum(one.done() for one in waiting))
    assert len(having) > 3
    assert len(runs) == 1


async def test_who_led_may_leave(world: World) -> None:
    ada, bob = await world.people(2)
    shared: SharedDeliveries[str] = SharedDeliveries(lambda _answer: True)

    async def forever(_: Seen | None) -> str:
        await asyncio.Event().wait()
        return "never"

    async def now(_: Seen | None) -> str:
        return "bob's"

    reader = world.database.all_rows
    leader = asyncio.create_task(shared.answer("event", ada.id, reader, forever))
    await asyncio.sleep(0)
    follower = asyncio.create_task(shared.answer("event", bob.id, reader, now))
    await asyncio.sleep(0)
    leader.cancel()
    assert await follower == "bob's"


async def test_a_filter_is_evaluated_once_for_all_who_have_it(world: World) -> None:
    ada, *people = await world.people(5)
    project = await world.project(ada, name="Here", viewers=people)
    task = await world.task(ada, "old", project_id=project.id)
    guest = await world.person()
    # Sees the task, but not its project.
    await world.share(task, guest)
    wanted = {"project": {"name": {"contains": "Here"}}}
    heard: dict[tuple[UUID, str], list[Any]] = {}
    async with contextlib.AsyncExitStack() as stack:
        reading = []
        for person in (*people, guest):
            answers = await listen(world, stack, person, LISTEN % "task { title }", wanted)
            reading.append(asyncio.create_task(collect(heard, person, "", answers)))
        await asyncio.sleep(0.3)
        with world.heard() as statements:
            await world.run(RENAME, ada, id=gid(task), title="new")
            async with asyncio.timeout(20):
                while len(heard) < len(people):
                    await asyncio.sleep(0.01)
        assert set(heard) == {(one.id, "") for one in people}
        evaluated = [one for one in statements if "AS person" in one and "JOIN events" in one]
        assert len(evaluated) == 1
        for one in reading:
            one.cancel()
        await asyncio.wait(reading)


@pytest.mark.parametrize("selection", ["task { title }", "task { title viewerCanEdit }"])
async def test_waiting_events_are_executed_together(selection: str, world: World) -> None:
    ada = await world.person()
    project = await world.project(ada)
    made = await world.tasks(ada, [f"task {n}" for n in range(60)], project_id=project.id)
    since = (await world.run("{ eventCursor }", ada)).data["eventCursor"]
    for task in made:
        await world.run(RENAME, ada, id=gid(task), title=f"new {task.title}")
    query = f"subscription ($after: String) {{ taskEvents(after: $after) {{ {selection} }} }}"
    executor = world.executors["batch"]
    request = GraphQLRequest(query=query, variables={"after": since})
    prepared = await executor.prepare(request, request_id="test")
    answers = await executor.subscribe(
        prepared, world.context(ada), lambda: world.current_viewer(ada)
    )
    with world.heard() as statements:
        async with contextlib.aclosing(answers), asyncio.timeout(20):
            heard = [orjson.loads((await anext(answers)).body())["data"] for _ in made]
    titles = [one["taskEvents"]["task"]["title"] for one in heard]
    assert titles == [f"new task {n}" for n in range(60)]
    assert sum("FROM tasks" in one and "tasks.title" in one for one in statements) <= 6


async def test_a_slow_reader_does_not_get_what_it_can_no_longer_see(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, viewers=[bob])
    task = await world.task(ada, "a task", project_id=project.id)
    since = (await world.run("{ eventCursor }", bob)).data["eventCursor"]
    for turn in range(5):
        await world.run(RENAME, ada, id=gid(task), title=f"turn {turn}")
    query = "subscription ($after: String) { taskEvents(after: $after) { kind task { title } } }"
    executor = world.executors["batch"]
    request = GraphQLRequest(query=query, variables={"after": since})
    prepared = await executor.prepare(request, request_id="test")
    answers = await executor.subscribe(
        prepared, world.context(bob), lambda: world.current_viewer(bob)
    )
    async with contextlib.aclosing(answers), asyncio.timeout(20):
        first = orjson.loads((await anext(answers)).body())["data"]["taskEvents"]
        assert first["kind"] == "TASK_UPDATED"
        # As long as what was read for the other four may still be sent.
        await asyncio.sleep(1.1)
        async with world.database.session() as session:
            member_id = await session.scalar(
                select(models.ProjectMember.id).where(models.ProjectMember.user_id == bob.id)
            )
        assert member_id is not None
        removed = await world.run(REMOVE, ada, id=f"member_{member_id.hex}")
        assert not removed.data["projectMemberRemove"]["errors"]
        second = orjson.loads((await anext(answers)).body())["data"]["taskEvents"]
    assert second == {"kind": "ACCESS_LOST", "task": None}
