"""Events in the schema: live, since a cursor, and the cursor itself; under both engines."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from graphql import get_named_type, is_leaf_type

from auth.request import RequestInfo
from domain.accounts import api_key
from domain.accounts.user_deletion import delete_oneself
from events.cursor import Cursor
from events.kinds import KIND_DESCRIPTIONS, EventKind
from graph.request.answer import Answer, Refused
from graph.request.preparation import GraphQLRequest
from graph.schema import schema
from tests.accounts import PASSWORD, Person
from tests.factories import ENGINES, Engine, Reply, World, gid, missing

EVENT = """
  id kind requestId cursor at subjectId
  actor { username }
  subject { __typename ... on Task { id title } ... on Project { id name } }
  task { id } project { id }
  changes {
    field ... on TextChange { oldText newText } ... on NumberChange { oldNumber newNumber }
    ... on NodeChange { oldId newId }
  }
"""
LISTEN = f"""
subscription ($filter: EventFilter, $after: String) {{
  taskEvents(filter: $filter, after: $after) {{ {EVENT} }}
}}
"""
CHANGES = f"""
query ($since: String!, $first: Int, $filter: EventFilter) {{
  events(after: $since, first: $first, filter: $filter) {{
    nodes {{ {EVENT} }}
    edges {{ cursor node {{ id }} }}
    pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}
  }}
}}
"""
RENAME = """
mutation ($id: ID!, $title: String!) {
  taskUpdate(input: {id: $id, title: $title}) { task { id } errors { code message } }
}
"""


class Listener:
    """One open subscription, with the events taken out one after the other."""

    def __init__(self, answers: Any) -> None:
        self._answers = answers

    async def answer(self) -> Answer:
        async with asyncio.timeout(20):
            answer: Answer = await anext(self._answers)
            return answer

    async def event(self) -> Any:
        answer = await self.answer()
        assert not answer.errors, answer.errors
        assert answer.data is not None
        return Reply.of(answer.body()).data["taskEvents"]


@contextlib.asynccontextmanager
async def listening(
    world: World,
    person: Person | None,
    engine: Engine = "batch",
    *,
    document: str = LISTEN,
    **variables: Any,
) -> AsyncIterator[Listener]:
    executor = world.executors[engine]
    request = GraphQLRequest(query=document, variables=variables)
    prepared = await executor.prepare(request, request_id="test")
    answers = await executor.subscribe(
        prepared, world.context(person), lambda: world.current_viewer(person)
    )
    yield Listener(answers)
    await answers.aclose()


async def _refusal(world: World, person: Person | None, **variables: Any) -> dict[str, Any]:
    with pytest.raises(Refused) as caught:
        async with listening(world, person, **variables):
            pass
    (error,) = caught.value.answer.errors
    return error


async def _rename(world: World, person: Person, task: Any, title: str) -> str:
    """Change a task; returns the request's id."""
    reply = await world.run(RENAME, person, id=gid(task), title=title)
    assert reply.good
    request_id: str = reply.extensions["requestId"]
    return request_id


async def _cursor(world: World, person: Person) -> str:
    cursor: str = (await world.run("{ eventCursor }", person)).good["eventCursor"]
    return cursor


@pytest.mark.parametrize("engine", ENGINES)
async def test_an_event_tells_who_did_what_to_which_task(world: World, engine: Engine) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, editors=[bob])
    task = await world.task(ada, "old", project_id=project.id)
    async with listening(world, bob, engine) as listener:
        request_id = await _rename(world, ada, task, "new")
        event = await listener.event()
        assert event["kind"] == "TASK_UPDATED"
        assert event["requestId"] == f"{gid(ada)}/{request_id}"
        assert event["actor"] == {"username": ada.username}
        assert event["subject"] == {"__typename": "Task", "id": gid(task), "title": "new"}
        assert event["subjectId"] == event["task"]["id"] == gid(task)
        assert event["project"] == {"id": gid(project)}
        assert event["changes"] == [{"field": "title", "oldText": "old", "newText": "new"}]

        await world.run(
            "mutation ($t: ID!, $u: ID!) {"
            " taskAssign(input: {id: $t, assigneeId: $u}) { errors { code } } }",
            ada,
            t=gid(task),
            u=gid(bob),
        )
        event = await listener.event()
        assert event["kind"] == "TASK_ASSIGNED"
        assert event["changes"] == [{"field": "assignee", "oldId": None, "newId": gid(bob)}]


@pytest.mark.parametrize("engine", ENGINES)
async def test_every_leaf_of_an_event_is_told_live_and_since_a_cursor(
    world: World, engine: Engine
) -> None:
    ada, bob = await world.people(2)
    task = await world.task(ada, project_id=(await world.project(ada, editors=[bob])).id)
    fields: Any = schema._schema.type_map["Event"].fields  # type: ignore[attr-defined]
    leaves = " ".join(
        name for name, one in fields.items() if is_leaf_type(get_named_type(one.type))
    )
    listen = f"subscription {{ taskEvents {{ {leaves} }} }}"
    changes = f"query ($since: String!) {{ events(after: $since) {{ nodes {{ {leaves} }} }} }}"
    for person, knows in ((ada, True), (bob, False)):
        since = await _cursor(world, person)
        async with listening(world, person, engine, document=listen) as listener:
            await _rename(world, ada, task, f"as {person.username} sees it")
            live = await listener.event()
        reply = await world.run(changes, person, engine=engine, since=since)
        assert reply.good["events"]["nodes"] == [live]
        assert live["via"] == "SESSION"
        assert (live["ip"] is not None) is knows


@pytest.mark.parametrize("engine", ENGINES)
async def test_changes_since_a_cursor_come_in_pages_that_join(world: World, engine: Engine) -> None:
    ada, eve = await world.people(2)
    task = await world.task(ada, "0")
    since = await _cursor(world, ada)
    requests = [await _rename(world, ada, task, str(n)) for n in range(1, 6)]
    seen: list[str] = []
    cursor, more = since, True
    while more:
        reply = await world.run(CHANGES, ada, engine=engine, since=cursor, first=2)
        page = reply.good["events"]
        nodes, info = page["nodes"], page["pageInfo"]
        assert len(nodes) <= 2
        assert [edge["node"]["id"] for edge in page["edges"]] == [node["id"] for node in nodes]
        assert [edge["cursor"] for edge in page["edges"]] == [node["cursor"] for node in nodes]
        if nodes:
            assert info["startCursor"] == nodes[0]["cursor"]
        seen.extend(node["requestId"] for node in nodes)
        cursor, more = info["endCursor"], info["hasNextPage"]
    assert seen == requests
    # A single event's cursor goes on right after it.
    first = (await world.run(CHANGES, ada, since=since, first=1)).good["events"]["nodes"][0]
    rest = (await world.run(CHANGES, ada, since=first["cursor"])).good["events"]
    assert [node["requestId"] for node in rest["nodes"]] == requests[1:]
    # To a stranger nothing happened.
    nothing = (await world.run(CHANGES, eve, engine=engine, since=since)).good["events"]
    assert nothing["nodes"] == []
    assert nothing["pageInfo"]["hasNextPage"] is False
    # There is a cursor, from which nothing is delivered twice and nothing is missing.
    renamed = await _rename(world, ada, task, "again")
    end = nothing["pageInfo"]["endCursor"]
    later = (await world.run(CHANGES, ada, engine=engine, since=end)).good["events"]["nodes"]
    assert [node["requestId"] for node in later] == [renamed]


AFTER = """query ($after: String, $first: Int) {
  events(after: $after, first: $first) {
    nodes { requestId } pageInfo { endCursor hasNextPage }
  }
}"""


@pytest.mark.parametrize("engine", ENGINES)
async def test_changes_are_paged_as_every_connection_is(world: World, engine: Engine) -> None:
    ada = await world.person()
    task = await world.task(ada, "0")
    since = await _cursor(world, ada)
    requests = [await _rename(world, ada, task, str(n)) for n in range(1, 5)]
    seen: list[str] = []
    after, more = since, True
    while more:
        page = (await world.run(AFTER, ada, engine=engine, after=after, first=1)).good["events"]
        seen += [node["requestId"] for node in page["nodes"]]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    assert seen == requests
    # From the beginning, where no place is given; the person's own account is not work.
    everything = (await world.run(AFTER, ada, engine=engine, after="", first=100)).good["events"]
    assert [node["requestId"] for node in everything["nodes"]][1:] == requests
    async with listening(world, ada, engine, after="") as listener:
        live = [(await listener.event())["requestId"] for _ in range(5)]
    assert live[1:] == requests
    assert (await world.run(AFTER, ada, engine=engine, first=100)).good["events"] == everything


@pytest.mark.parametrize("engine", ENGINES)
async def test_the_cursor_is_taken_before_anything_is_read(world: World, engine: Engine) -> None:
    """Between the page of a request and a subscription from its cursor nothing may fall."""
    ada = await world.person()
    await world.task(ada)
    query = """
    query { tasks(first: 1) { nodes { id } } ...Here }
    fragment Here on Query { later: eventCursor eventCursor }
    """
    reply = await world.run(query, ada, engine=engine)
    assert reply.good["later"] == reply.data["eventCursor"]
    horizon = [n for n, text in enumerate(reply.statements) if "pg_snapshot_xmin" in text]
    assert horizon == [0]
    assert len(reply.statements) == 2


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_is_gone_is_null_and_what_it_was_is_still_told(
    world: World, engine: Engine
) -> None:
    ada = await world.person()
    task = await world.task(ada)
    since = await _cursor(world, ada)
    await world.run(
        "mutation ($id: ID!) { taskDelete(input: {id: $id}) { errors { code } } }",
        ada,
        id=gid(task),
    )
    (event,) = (await world.run(CHANGES, ada, engine=engine, since=since)).good["events"]["nodes"]
    assert event["kind"] == "TASK_DELETED"
    assert event["subject"] is None
    assert event["task"] is None
    assert event["subjectId"] == gid(task)
    # An event is a node like any other.
    query = "query ($id: ID!) { node(id: $id) { id ... on Event { kind cursor } } }"
    node = (await world.run(query, ada, engine=engine, id=event["id"])).good["node"]
    assert node == {"id": event["id"], "kind": "TASK_DELETED", "cursor": event["cursor"]}
    stranger = await world.person()
    hidden = await world.run(query, stranger, engine=engine, id=event["id"])
    assert hidden.codes == ["NOT_FOUND"]


async def test_who_is_removed_hears_of_the_loss_and_of_nothing_after(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, editors=[bob])
    task = await world.task(ada, project_id=project.id)
    members = await world.run(
        "query ($id: ID!) { project(id: $id) { members { nodes { id user { id } } } } }",
        ada,
        id=gid(project),
    )
    (member,) = [
        node["id"]
        for node in members.good["project"]["members"]["nodes"]
        if node["user"]["id"] == gid(bob)
    ]
    watched = {"project": {"id": {"eq": gid(project)}}, "kind": {"eq": "TASK_UPDATED"}}
    async with listening(world, bob, filter=watched) as listener:
        await _rename(world, ada, task, "before")
        assert (await listener.event())["kind"] == "TASK_UPDATED"
        await world.run(
            "mutation ($id: ID!) { projectMemberRemove(input: {id: $id}) { errors { code } } }",
            ada,
            id=member,
        )
        await _rename(world, ada, task, "after")
        event = await listener.event()
        assert event["kind"] == "ACCESS_LOST"
        assert event["subjectId"] == gid(project)
        assert event["subject"] is None
        assert event["project"] is None
        # The tasks in it are reported as lost too; then the subscription ends.
        event = await listener.event()
        assert (event["kind"], event["subjectId"]) == ("ACCESS_LOST", gid(task))
        end = await listener.answer()
        assert not end.executed
        assert end.code == "NOT_FOUND"


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_move_names_the_other_project_only_to_those_who_see_it(
    world: World, engine: Engine
) -> None:
    ada, old_member, new_member, assignee = await world.people(4)
    old = await world.project(ada, editors=[old_member])
    new = await world.project(ada, editors=[new_member])
    parent, task = await world.tasks(ada, ["parent", "task"], project_id=old.id)
    since = await _cursor(world, ada)
    for values in ({"parentId": gid(parent)}, {"assigneeId": gid(assignee)}):
        await world.run(
            "mutation ($input: TaskUpdateInput!) { taskUpdate(input: $input) { errors { code } } }",
            ada,
            input={"id": gid(task), **values},
        )
    moved = await world.run(
        "mutation ($input: TaskMoveInput!) {"
        " taskMove(input: $input) { task { number } errors { code } } }",
        ada,
        input={"id": gid(task), "projectId": gid(new)},
    )
    number = {"old": 2, "new": moved.good["taskMove"]["task"]["number"]}

    async def told(person: Person) -> list[dict[str, tuple[Any, Any]]]:
        filter_ = {"kind": {"eq": "TASK_MOVED"}}
        reply = await world.run(CHANGES, person, engine=engine, since=since, filter=filter_)
        return [
            {one["field"]: tuple(list(one.values())[1:]) for one in event["changes"]}
            for event in reply.good["events"]["nodes"]
            # Lost access is delivered regardless of the filter.
            if event["kind"] == "TASK_MOVED"
        ]

    for entry in await told(ada):
        assert entry["project"] == (gid(old), gid(new))
        assert entry["number"] == (number["old"], number["new"])
        assert entry["parent"] == (gid(parent), None)
    (left,) = await told(old_member)
    assert left["project"] == (gid(old), None)
    assert left["number"] == (number["old"], None)
    assert left["parent"] == (gid(parent), None)
    assert left["position"][0] is not None
    assert left["position"][1] is None
    (came,) = await told(new_member)
    assert came["project"] == (None, gid(new))
    assert came["number"] == (None, number["new"])
    assert came["parent"] == (None, None)
    # One who sees the task alone sees neither project.
    (alone,) = await told(assignee)
    assert alone["project"] == alone["number"] == alone["parent"] == (None, None)


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_parent_is_named_only_to_those_who_see_it(world: World, engine: Engine) -> None:
    ada, ben, admin = await world.person(), await world.person(), await world.person(is_admin=True)
    parent, task = await world.tasks(ada, ["parent", "task"])
    await world.share(task, ben)
    since = await _cursor(world, ada)
    await world.run(
        "mutation ($input: TaskUpdateInput!) { taskUpdate(input: $input) { errors { code } } }",
        ada,
        input={"id": gid(task), "parentId": gid(parent)},
    )
    for person, shown in ((ada, gid(parent)), (ben, None)):
        reply = await world.run(CHANGES, person, engine=engine, since=since)
        (event,) = reply.good["events"]["nodes"]
        assert event["changes"] == [{"field": "parent", "oldId": None, "newId": shown}]
    # The audit log hides nothing of what was written.
    audited = await world.run(
        "query ($task: ID!) {"
        " adminAuditLog(filter: {task: {id: {eq: $task}}, kind: {eq: TASK_UPDATED}}) {"
        " nodes { changes { ... on NodeChange { newId } } } } }",
        admin,
        engine=engine,
        task=gid(task),
    )
    (entry,) = audited.good["adminAuditLog"]["nodes"]
    assert entry["changes"] == [{"newId": gid(parent)}]


@pytest.mark.parametrize("engine", ENGINES)
async def test_nobody_can_send_somebody_elses_echo(world: World, engine: Engine) -> None:
    """A client drops the events that carry the ids of its own requests."""
    ada, bob = await world.people(2)
    project = await world.project(ada, editors=[bob])
    task = await world.task(ada, "old", project_id=project.id)
    made = await world.house.do(ada.viewer, api_key.create, name="x", scopes=["read", "write"])
    viewers = {
        "ada": ada.viewer,
        "ada elsewhere": (await world.house.login(ada)).viewer,
        "a key of ada's": await world.services.authenticator.viewer(f"Bearer {made.key.text}"),
        "bob": bob.viewer,
    }
    since = await _cursor(world, ada)
    # All of them with the same id, which the client is free to choose.
    request = RequestInfo(id="forged-0001")
    for number, viewer in enumerate(viewers.values()):
        context = world.services.context(viewer, request)
        prepared = await world.executors[engine].prepare(
            GraphQLRequest(RENAME, {"id": gid(task), "title": f"new {number}"}), request_id="x"
        )
        answer = await world.executors[engine].execute(prepared, context)
        assert answer.extensions["requestId"] == request.id
    for name, viewer in viewers.items():
        page = (await world.run(CHANGES, viewer, engine=engine, since=since)).good["events"]
        shown = {
            other: request.id if other == name else f"{gid(actor)}/{request.id}"
            for other, actor in zip(viewers, (ada, ada, ada, bob), strict=True)
        }
        assert [node["requestId"] for node in page["nodes"]] == list(shown.values()), name


async def test_ones_own_time_and_reminders_are_told_to_oneself(world: World) -> None:
    """Also if they belong to no task and no project; accounts and sessions are not."""
    ada, bob = await world.people(2)
    since = (await world.run("{ eventCursor }", ada)).good["eventCursor"]
    spend = """mutation { timeEntryCreate(input: {
      time: { start: { startedAt: "2026-01-01T00:00:00Z", duration: 60 } }
    }) { timeEntry { id } errors { code } } }"""
    entry = (await world.run(spend, ada)).good["timeEntryCreate"]["timeEntry"]["id"]
    remind = """mutation { reminderCreate(input: {
      message: "Stretch", rule: { once: { at: "2090-01-01T00:00:00Z" } }
    }) { reminder { id } errors { code message } } }"""
    reminder = (await world.run(remind, ada)).good["reminderCreate"]["reminder"]["id"]
    rename = 'mutation { accountUpdate(input: { fullName: "A" }) { errors { code } } }'
    (await world.run(rename, ada)).good  # noqa: B018
    query = "query ($c: String!) { events(after: $c) { nodes { kind subjectId } } }"
    told = (await world.run(query, ada, c=since)).good["events"]["nodes"]
    assert [(event["kind"], event["subjectId"]) for event in told] == [
        ("TIME_ENTRY_CREATED", entry),
        ("REMINDER_CREATED", reminder),
    ]
    assert (await world.run(query, bob, c=since)).good["events"]["nodes"] == []


async def test_a_deleted_actor_is_nobody_in_every_list(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, editors=[bob])
    await world.task(bob, project_id=project.id)
    await world.house.do(bob.viewer, delete_oneself, world.house.auth, password=PASSWORD)
    query = """query ($filter: EventFilter, $project: ID!) {
      events(after: "", first: 100, filter: $filter) { totalCount nodes { id actor { id } } }
      project(id: $project) { activity(first: 100, filter: $filter) { nodes { id } } }
    }"""
    here = {"project": {"id": {"eq": gid(project)}}}

    async def found(actor: dict[str, Any]) -> list[Any]:
        variables: dict[str, Any] = {
            "filter": {**here, "actor": actor},
            "project": gid(project),
        }
        data = (await world.run(query, ada, **variables)).good
        nodes = data["events"]["nodes"]
        assert data["events"]["totalCount"] == len(nodes), actor
        ids_ = {node["id"] for node in data["project"]["activity"]["nodes"]}
        assert ids_ == {node["id"] for node in nodes}, actor
        return [node["actor"] for node in nodes]

    assert set(map(str, await found({"isNull": True}))) == {"None"}
    for nobody in ({"id": {"eq": gid(bob)}}, {"id": {"notEq": gid(ada)}}, {"isMe": False}):
        assert await found(nobody) == []
    for mine in ({"isNull": False}, {"id": {"in": [gid(ada), gid(bob)]}}, {"isMe": True}):
        assert {actor["id"] for actor in await found(mine)} == {gid(ada)}


async def test_filters_narrow_what_is_heard_and_what_is_read_alike(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, editors=[bob])
    urgent = await world.task(ada, "urgent: roof", project_id=project.id)
    other = await world.task(ada, "other", project_id=project.id)
    since = await _cursor(world, ada)
    filters: dict[str, dict[str, Any]] = {
        "task": {"task": {"title": {"contains": "urgent"}}},
        "others": {"not": {"actor": {"id": {"eq": gid(ada)}}}},
        "mine": {"actor": {"id": {"in": [gid(ada)]}}},
        "one": {"task": {"id": {"in": [gid(other)]}}, "kind": {"in": ["TASK_UPDATED"]}},
        "both": {
            "project": {"id": {"eq": gid(project)}},
            "task": {"title": {"startsWith": "urgent"}},
        },
    }
    requests = {
        "a": await _rename(world, ada, urgent, "urgent: cellar"),
        "b": f"{gid(bob)}/{await _rename(world, bob, other, 'another')}",
        "c": await _rename(world, ada, other, "and another"),
    }
    expected = {"task": "a", "others": "b", "mine": "ac", "one": "bc", "both": "a"}
    for name, letters in expected.items():
        wanted = [requests[letter] for letter in letters]
        page = (await world.run(CHANGES, ada, since=since, filter=filters[name])).good["events"]
        assert [node["requestId"] for node in page["nodes"]] == wanted, name
        async with listening(world, ada, filter=filters[name], after=since) as listener:
            heard = [(await listener.event())["requestId"] for _ in letters]
        assert heard == wanted, name


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"project": None}, ["filter", "project"]),
        ({"or": []}, ["filter", "or"]),
        ({"task": {"id": {"in": ["task_1"]}}}, ["filter", "task", "id", "in", "0"]),
        (
            {"not": {"project": {"id": {"eq": f"task_{uuid4().hex}"}}}},
            ["filter", "not", "project", "id", "eq"],
        ),
        (
            {"actor": {"id": {"in": [f"user_{uuid4().hex}"] * 1001}}},
            ["filter", "actor", "id", "in"],
        ),
    ],
)
async def test_a_wrong_filter_is_refused_with_its_place(
    world: World, given: dict[str, Any], path: list[str]
) -> None:
    ada = await world.person()
    error = await _refusal(world, ada, filter=given)
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["extensions"]["argumentPath"] == path
    since = await _cursor(world, ada)
    assert (await world.run(CHANGES, ada, since=since, filter=given)).codes == ["BAD_USER_INPUT"]


async def test_a_wrong_cursor_is_refused_and_an_old_one_says_what_to_do(world: World) -> None:
    ada = await world.person()
    for text in ("nonsense", "💥"):
        error = await _refusal(world, ada, after=text)
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert error["extensions"]["argumentPath"] == ["after"]
        assert (await world.run(CHANGES, ada, since=text)).codes == ["BAD_USER_INPUT"]
    foreign = str(Cursor(uuid4(), 1, 1))
    error = await _refusal(world, ada, after=foreign)
    assert error["extensions"]["code"] == "CURSOR_EXPIRED"
    assert "eventCursor" in error["message"]
    assert (await world.run(CHANGES, ada, since=foreign)).codes == ["CURSOR_EXPIRED"]
    since = await _cursor(world, ada)
    for size in (-1, 101):
        assert (await world.run(CHANGES, ada, since=since, first=size)).codes == ["BAD_USER_INPUT"]
    assert (await world.run(CHANGES, ada, since=since, first=0)).good["events"]["nodes"] == []


async def test_hidden_and_missing_cannot_be_told_apart(world: World) -> None:
    ada, eve = await world.people(2)
    project = await world.project(ada)
    task = await world.task(ada, project_id=project.id)
    for field, there in (("project", gid(project)), ("task", gid(task))):
        hidden = await _refusal(world, eve, filter={field: {"id": {"eq": there}}})
        absent = await _refusal(world, eve, filter={field: {"id": {"eq": missing(there)}}})
        assert hidden == absent
        assert hidden["extensions"]["code"] == "NOT_FOUND"


async def test_the_signed_out_hear_and_read_nothing(world: World) -> None:
    assert (await _refusal(world, None))["extensions"]["code"] == "UNAUTHENTICATED"
    assert (await world.run("{ eventCursor }", None)).codes == ["UNAUTHENTICATED"]
    assert (await world.run(CHANGES, None, since="x")).codes == ["UNAUTHENTICATED"]


def test_every_kind_is_described() -> None:
    assert set(KIND_DESCRIPTIONS) == set(EventKind)
