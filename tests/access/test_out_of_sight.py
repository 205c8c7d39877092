"""What happens out of a viewer's sight changes nothing of what they are answered.

Each viewer reads everything that the schema has: every field of every object that they see, lists
in each order with their cursors, counts, and filters by the words that hidden objects have. Then
others change what is hidden from all of these viewers, and everything is read again: the answers
are the same, byte for byte. So no rule is repeated here, and no way to a value is left out because
nobody thought of it. The worker acts on all events, so notifications, webhooks and reminders are
read too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from graphql import GraphQLInputObjectType, get_named_type, is_list_type

import graph.engine
from auth.scopes import SCOPES
from auth.viewer import Viewer
from db.models import LogConsumer, Permission
from domain.accounts import api_key as api_keys
from graph.request.execution import Executor
from graph.schema import schema
from jobs.consumer import CONSUMERS
from tests.access.test_scope_marks import LIMITS, Scene, ask, reads
from tests.access.test_scope_walk import SCHEMA
from tests.accounts import Person
from tests.factories import World, gid, new_key
from tests.jobs.conftest import Workshop
from tests.waiting import all_events_readable

# In the texts of what is hidden, and nowhere else.
WORD = "zebra"
# Where the log ends is the same for all: how far the server has come, not what happened. And time
# passes.
MOVING = {"EventConnection_pageInfo", "ServerInfo_now"}
# What the requests themselves use up.
SPENT = {"rateLimit", "eventCursor"}
# Conditions of one filter.
TOGETHER = 20
Document = tuple[str, dict[str, Any]]


class Play:
    """The project that is hidden, with who works in it, and the viewers who see parts of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.viewers: dict[str, Viewer | Person] = {}
        # What all of them can name.
        self.known: list[str] = []

    async def set(self) -> None:
        world = self.world
        self.ada, self.bob, guest, helper, former, member, stranger = await world.people(7)
        self.dan = await world.person()
        self.hidden = await world.project(self.ada, name="Vault", editors=[self.bob, former])
        self.shown = await world.project(self.ada, name="Street", viewers=[member])
        at = {"project_id": self.hidden.id}
        self.above = await world.task(self.ada, "Above", **at)
        self.seen = await world.task(self.ada, "Seen", parent_id=self.above.id, **at)
        below = await world.task(self.ada, "Below", parent_id=self.seen.id, **at)
        self.beside = await world.task(self.ada, "Beside", parent_id=self.above.id, **at)
        self.given = await world.task(self.bob, "Given", assignee_id=helper.id, **at)
        self.left = await world.task(former, "Left", **at)
        street = await world.task(self.ada, "In the street", project_id=self.shown.id)
        await world.share(self.seen, guest, Permission.EDIT)
        for person, task in ((guest, self.seen), (helper, self.given), (former, self.left)):
            await self._work_on(person, gid(task))
        await self._leave(former)
        for person in (guest, helper, former, member, stranger):
            await self.do(person, "webhookCreate", url=f"https://{person.username}.example/x")
        key = await world.house.do(
            self.ada.viewer,
            api_keys.create,
            name="Street",
            scopes=["read", "write"],
            project_ids=[self.shown.id],
        )
        header = f"Bearer {key.key.text}"
        self.viewers = {
            "shared": guest,
            "assigned": helper,
            "former member": former,
            "member of another project": member,
            "key of another project": await world.services.authenticator.viewer(header),
            "stranger": stranger,
            "owner": self.ada,
        }
        tasks = [gid(one) for one in (self.seen, below, self.given, self.left, street)]
        others = (self.above, self.beside, self.hidden, self.shown, self.ada, self.bob)
        self.known = [*tasks, *map(gid, others)]

    async def _work_on(self, person: Person, task: str) -> None:
        """A comment, a time entry and a reminder, as one has on a task."""
        await self.do(person, "commentCreate", taskId=task, body="Words")
        day = {"day": {"day": "2026-01-05", "duration": 600}}
        await self.do(person, "timeEntryCreate", taskId=task, time=day)
        rule = {"due": {"offset": -600}}
        await self.do(person, "reminderCreate", taskId=task, rule=rule)

    async def _leave(self, person: Person) -> None:
        members = "query ($id: ID!) { project(id: $id) { members { nodes { id user { id } } } } }"
        found = (await self.world.run(members, person, id=gid(self.hidden))).good
        (own,) = (
            node["id"]
            for node in found["project"]["members"]["nodes"]
            if node["user"]["id"] == gid(person)
        )
        await self.do(person, "projectMemberRemove", id=own)

    async def do(self, person: Person, mutation: str, gives: str = "", /, **values: Any) -> Any:
        """A mutation that must be done; what it gives."""
        type_ = f"{mutation[0].upper()}{mutation[1:]}Input"
        text = f"""mutation ($input: {type_}!) {{
          {mutation}(input: $input) {{ errors {{ code path message }} {gives} }}
        }}"""
        return (await self.world.run(text, person, input=values)).good[mutation]

    # --- what is hidden --------------------------------------------------------------------------

    async def change(self) -> None:
        """Many things, none of which any of the viewers sees."""
        ada, bob, dan = self.ada, self.bob, self.dan
        project = gid(self.hidden)
        await self.do(
            ada, "projectUpdate", id=project, name=f"{WORD} works", key=new_key(),
            description=f"All about the {WORD}", color="#112233",
        )  # fmt: skip
        added = await self.do(
            ada, "projectMemberAdd", "projectMember { id }",
            projectId=project, userId=gid(dan), role="VIEWER",
        )  # fmt: skip
        await self.do(ada, "projectMemberUpdate", id=added["projectMember"]["id"], role="EDITOR")
        await self.do(ada, "taskShareCreate", taskId=gid(self.seen), userId=gid(dan))
        for task in (self.above, self.beside, self.left):
            await self._change_task(gid(task))
        # Time and reminders on what the viewers see.
        for task in (self.seen, self.given):
            day = {"day": {"day": "2026-01-06", "duration": 4_321}}
            await self.do(
                bob, "timeEntryCreate", taskId=gid(task), time=day, description=f"Fed the {WORD}",
                tags=[WORD],
            )  # fmt: skip
            rule = {"daily": {"time": "09:00", "timezone": "UTC"}}
            await self.do(bob, "reminderCreate", taskId=gid(task), rule=rule, message=WORD)
        await self.do(ada, "timerStart", projectId=project, description=WORD)
        await self.do(bob, "timerStart", taskId=gid(self.beside))
        await self.do(bob, "timerStop")
        await self._create_and_move(project)
        await self.do(
            ada, "integrationCreate", projectId=project,
            config={"github": {"repository": f"{WORD}/{WORD}", "token": "x"}},
        )  # fmt: skip
        await self.do(ada, "webhookCreate", url=f"https://{WORD}.example/x")
        await self.do(ada, "projectTransfer", id=project, userId=gid(bob))
        await self.do(bob, "projectTransfer", id=project, userId=gid(ada))
        await self.do(dan, "projectMemberRemove", id=added["projectMember"]["id"])

    async def _change_task(self, task: str) -> None:
        reference = {"source": WORD, "externalId": task[-8:]}
        await self.do(
            self.ada, "taskUpdate", id=task, title=f"Feed the {WORD}", description=f"The {WORD}",
            notes=WORD, tags=[WORD], priority="URGENT", status="IN_PROGRESS", estimate=54_321,
            due={"at": "2199-02-03T04:05:06Z"}, startAt="2199-01-03T04:05:06Z",
            assigneeId=gid(self.bob), externalReferences=[reference],
        )  # fmt: skip
        body = f"A {WORD} for {' '.join(f'@{one.username}' for one in self._people())}"
        made = await self.do(self.bob, "commentCreate", "comment { id }", taskId=task, body=body)
        await self.do(self.bob, "commentUpdate", id=made["comment"]["id"], body=f"{body}!")
        await self.do(
            self.ada, "commentCreate", taskId=task, body="x", parentId=made["comment"]["id"]
        )
        await self.do(self.bob, "commentDelete", id=made["comment"]["id"])

    def _people(self) -> Iterator[Person]:
        return (
            one for one in self.viewers.values() if isinstance(one, Person) and one is not self.ada
        )

    async def _create_and_move(self, project: str) -> None:
        """New tasks in the project, in another one, in the trash, and personal."""
        ada = self.ada
        other = await self.world.project(ada, name=f"Another {WORD}", editors=[self.bob])
        new = {"title": f"A new {WORD}", "tags": [WORD], "projectId": project}
        for more in ({}, {"parentId": gid(self.above)}, {"assigneeId": gid(self.bob)}):
            made = await self.do(ada, "taskCreate", "task { id }", **new, **more)
            await self.do(self.bob, "taskComplete", id=made["task"]["id"])
        task = made["task"]["id"]
        await self.do(ada, "taskMove", id=task, place={"edge": "START"})
        await self.do(ada, "taskMove", id=task, projectId=gid(other))
        await self.do(ada, "taskDelete", id=task)
        await self.do(ada, "taskRestore", id=task)
        await self.do(ada, "taskMove", id=task, projectId=None)
        await self.do(ada, "taskShareCreate", taskId=task, userId=gid(self.dan))
        await self.do(ada, "projectArchive", id=gid(other))
        await self.do(ada, "projectDelete", id=gid(other))


# --- reading -------------------------------------------------------------------------------------


def documents(play: Play, depth: int) -> Iterator[Document]:
    """Everything that a viewer can ask, with filters through so many relations."""
    arguments: dict[str, dict[str, Any]] = {
        f"node {index}": {"id": one} for index, one in enumerate(play.known)
    }
    arguments["reminderPreview"] = {"rule": {"daily": {"time": "09:00", "timezone": "UTC"}}}
    arguments["search"] = {"query": WORD}
    scene = Scene(play.world, EXECUTOR, play.ada, arguments, {})
    for document, values in reads(scene, set(SCOPES)):
        if not any(f"{{ {spent}" in document for spent in SPENT):
            yield document, values
    yield from _filtered(depth)
    group = "by total open completed overdue status priority tag assignee { id } project { id }"
    for keys in (["STATUS"], ["PRIORITY"], ["ASSIGNEE", "TAG"], ["PROJECT", "STATUS"]):
        stats = f"taskStats(groupBy: $by) {{ total groups {{ {group} groups {{ {group} }} }} }}"
        yield f"query ($by: [TaskGroupBy!]) {{ {stats} }}", {"by": keys}
    for keys in (["PROJECT", "TASK"], ["USER", "TAG"], ["DAY"]):
        report = "timeReport(groupBy: $by) { total count groups { total count groups { total } } }"
        yield f"query ($by: [TimeReportGroupBy!]) {{ {report} }}", {"by": keys}


def _filtered(depth: int) -> Iterator[Document]:
    """How many objects of each list have the word, at any field of theirs or of related objects."""
    roots: Any = (SCHEMA.query_type, SCHEMA.type_map["Viewer"])
    for root in roots:
        for name, field in root.fields.items():
            argument = field.args.get("filter")
            type_: Any = None if argument is None else get_named_type(argument.type)
            total = get_named_type(field.type)
            if type_ is None or "totalCount" not in total.fields or name.startswith("admin"):
                continue
            for given in _any_of(type_, depth if root is SCHEMA.query_type else depth // 2):
                more = ', query: "the"' if name == "search" else ""
                text = f"{name}(filter: $filter{more}) {{ totalCount }}"
                text = text if root is SCHEMA.query_type else f"viewer {{ {text} }}"
                yield f"query ($filter: {type_.name}) {{ {text} }}", {"filter": given}


def _any_of(type_: Any, depth: int) -> Iterator[dict[str, Any]]:
    values = list(_having_word(type_, depth))
    if "or" not in type_.fields:
        yield from values
        return
    for at in range(0, len(values), TOGETHER):
        some = values[at : at + TOGETHER]
        yield {"or": some}
        yield {"or": [{"not": value} for value in some]}


def _having_word(type_: Any, depth: int) -> Iterator[dict[str, Any]]:
    for name, field in type_.fields.items():
        inner = get_named_type(field.type)
        if name in {"and", "or", "not"} or is_list_type(field.type):
            continue
        if inner.name == "StringFilter":
            yield {name: {"contains": WORD}}
        elif name == "search":
            yield {name: WORD}
        elif inner.name == "SecondsFilter" and depth:
            yield {name: {"gt": 4_000}}
        elif isinstance(inner, GraphQLInputObjectType) and depth:
            for value in _having_word(inner, depth - 1):
                yield {name: value}


def _settled(value: Any) -> Any:
    """An answer without what moves by itself."""
    if isinstance(value, dict):
        return {name: _settled(inner) for name, inner in value.items() if name not in MOVING}
    return [_settled(inner) for inner in value] if isinstance(value, list) else value


class Worker:
    """Acts on what happens from now on."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.workshop = Workshop(world.house)

    async def start(self) -> None:
        await all_events_readable(self.world.database)
        head = (await self.workshop.context.log.head()).cursor
        rows = [LogConsumer(name=one, xid=head.xid, position=head.position) for one in CONSUMERS]
        async with self.world.database.session() as session, session.begin():
            for row in rows:
                await session.merge(row)

    async def catch_up(self) -> None:
        # Twice: what the worker itself does are events, too.
        for _ in range(2):
            await all_events_readable(self.world.database)
            await self.workshop.catch_up()


async def read(play: Play, name: str, depth: int) -> dict[bytes, Any]:
    """The answer to each document."""
    scene = Scene(play.world, EXECUTOR, play.ada, {}, {})
    found = {}
    for document, values in documents(play, depth):
        reply = await ask(scene, document, play.viewers[name], values)
        codes = set(reply.codes) - {"FORBIDDEN", "NOT_FOUND"}
        assert not codes, (document, values, reply.errors[:2])
        data = _settled(reply.data)
        if document.startswith("{ events(orderBy") and data:
            del data["events"]["pageInfo"]
        found[orjson.dumps([document, values])] = orjson.dumps([data, reply.errors])
    return found


EXECUTOR = Executor(schema, engine=graph.engine.execute, limits=LIMITS)


@pytest.mark.parametrize(
    ("shapes", "depth"),
    [
        pytest.param(1, 0, id="people"),
        pytest.param(2, 2, id="everyone, deeply", marks=pytest.mark.nightly),
    ],
)
async def test_nothing_out_of_sight_shows(world: World, shapes: int, depth: int) -> None:
    """Most of the time goes into statements, which are built for each shape of viewer."""
    play, worker = Play(world), Worker(world)
    await worker.start()
    await play.set()
    if shapes == 1:
        del play.viewers["key of another project"]
    await worker.catch_up()
    before = {name: await read(play, name, depth) for name in play.viewers}
    await play.change()
    await worker.catch_up()
    for name, answers in before.items():
        after = await read(play, name, depth)
        told = [asked for asked, answer in answers.items() if after[asked] != answer]
        if name == "owner":
            # Otherwise nothing was changed, or it was not asked about.
            assert len(told) > len(answers) / 2
        else:
            assert not told, (name, told[0], answers[told[0]], after[told[0]])
