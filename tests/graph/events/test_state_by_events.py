"""A client that reads again only what events name has what everything read afresh says: projects
with members and statistics, tasks with comments, files, shares and progress, and tracked time.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import pytest

from settings import Settings
from tests.accounts import Person
from tests.factories import World, gid, own_world
from tests.plays import Play, begun

OBJECTS = """
fragment project on Project {
  id name archivedAt owner { id }
  members(first: 50) { nodes { id role user { id } } }
  stats { total completed }
}
fragment task on Task {
  id title status priority tags position assignee { id } parent { id } project { id }
  commentCount attachmentCount subtaskProgress { completed total } viewerCanEdit viewerCanDelete
  shares(first: 50) { nodes { id permission user { id } } }
  comments(first: 100) { nodes { id body isDeleted parent { id } } }
  attachments(first: 100) { nodes { id filename } }
  tracked
}
fragment entry on TimeEntry { id startedAt endedAt description task { id } project { id } }
"""
NODES = f"""{OBJECTS}
query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ...project ...task ...entry }} }}
"""
EVERYTHING = f"""{OBJECTS}
{{
  projects(first: 100) {{ nodes {{ ...project }} }}
  tasks(first: 100) {{ totalCount nodes {{ ...task }} }}
  timeEntries(first: 100) {{ totalCount nodes {{ ...entry }} }}
}}
"""
INSIDE = """
query ($project: ID!) {
  tasks(first: 100, filter: { project: { id: { eq: $project } } }) { nodes { id } }
  timeEntries(first: 100, filter: { project: { id: { eq: $project } } }) { nodes { id } }
}
"""
BELOW = """
query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Task { subtasks(first: 100) { nodes { id } } } } }
"""
EVENTS = """
query ($after: String!) {
  events(after: $after, first: 50) {
    nodes {
      kind subjectId task { id } project { id }
      changes { field ... on NodeChange { oldId newId } }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""
READ = ("task_", "project_", "time_entry_")
# After these, other tasks and other people's time may be seen.
MEMBERSHIPS = ("PROJECT_MEMBER_", "PROJECT_TRANSFERRED", "PROJECT_RESTORED")


class Client:
    """What a screen keeps, by ID."""

    def __init__(self, world: World, person: Person) -> None:
        self.world, self.person = world, person
        self.shown: dict[str, Any] = {}
        self.cursor = ""

    async def ask(self, query: str, **variables: Any) -> Any:
        reply = await self.world.run(query, self.person, **variables)
        assert not [error for error in reply.errors if error["path"][0] != "nodes"], reply.errors
        return reply.data

    async def fresh(self) -> dict[str, Any]:
        data = await self.ask(EVERYTHING)
        assert data["tasks"]["totalCount"] <= 100
        return {node["id"]: _known(node) for part in data.values() for node in part["nodes"]}

    async def begin(self) -> None:
        self.cursor = (await self.ask("{ eventCursor }"))["eventCursor"]
        self.shown = await self.fresh()

    async def follow(self) -> None:
        more = True
        while more:
            page = (await self.ask(EVENTS, after=self.cursor))["events"]
            await self.read([id_ for event in page["nodes"] for id_ in _named(event)])
            for event in page["nodes"]:
                if event["kind"].startswith(MEMBERSHIPS) and event["project"]:
                    inside = await self.ask(INSIDE, project=event["project"]["id"])
                    await self.read(n["id"] for part in inside.values() for n in part["nodes"])
            self.cursor, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]

    async def read(self, named: Iterable[str]) -> None:
        """Read these objects again, and what shows them: parents, progress, the tasks of a project.
        Of tasks that were not seen before, the subtasks too.
        """
        wanted = {id_ for id_ in named if id_.startswith(READ)}
        while wanted:
            showing = {
                id_
                for id_, node in self.shown.items()
                if any(json.dumps(one) in json.dumps(node) for one in wanted)
            }
            before = [self.shown.get(id_) for id_ in wanted]
            nodes = await self._nodes(sorted(wanted | showing))
            new = [node["id"] for node in nodes.values() if node["id"] not in self.shown]
            for id_ in wanted | showing:
                self.shown.pop(id_, None)
            self.shown |= nodes
            around = [node for node in (*before, *map(nodes.get, wanted)) if node]
            parents = {node["parent"]["id"] for node in around if node.get("parent")}
            done, wanted = wanted | showing, parents
            if new:
                below = await self.ask(BELOW, ids=new)
                wanted |= {
                    one["id"] for node in below["nodes"] if node for one in _subtasks(node)
                } - self.shown.keys()
            wanted -= done

    async def _nodes(self, ids: list[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for start in range(0, len(ids), 50):
            nodes = (await self.ask(NODES, ids=ids[start : start + 50]))["nodes"]
            found |= {node["id"]: _known(node) for node in nodes if node}
        return found


def _named(event: Any) -> list[str]:
    objects = [event["task"], event["project"]]
    ids = [event["subjectId"], *(one["id"] for one in objects if one)]
    return ids + [
        id_ for one in event["changes"] for id_ in (one.get("oldId"), one.get("newId")) if id_
    ]


def _known(node: Any) -> Any:
    """Without rights that depend on a hidden project: its archiving is no event for those who see
    only one of its tasks.
    """
    if node["id"].startswith("task_") and node["project"] is None:
        node = {name: node[name] for name in node if not name.startswith("viewerCan")}
    return node


def _subtasks(node: Any) -> list[Any]:
    found: list[Any] = (node.get("subtasks") or {"nodes": []})["nodes"]
    return found


class Lives(Play):
    """More of what happens to projects, and time."""

    def __init__(self, world: World, people: list[Person], random: Random) -> None:
        super().__init__(world, people, random)
        self.entries: list[str] = []
        self.members: list[str] = []
        self.shares: list[str] = []
        self.clients = [Client(world, person) for person in people]

    def following(self) -> list[Client]:
        """The clients of accounts that exist."""
        return [client for client in self.clients if client.person in self.people]

    async def person(self) -> str:
        return gid(self.random.choice(self.people))

    async def found(self) -> None:
        payload = await self.run("projectCreate", "project { id }", name="Another")
        if payload.get("project"):
            self.projects.append(payload["project"]["id"])

    async def add_member(self) -> None:
        payload = await self.run(
            "projectMemberAdd",
            "projectMember { id }",
            projectId=self.one(self.projects),
            userId=await self.person(),
            role=self.random.choice(["VIEWER", "EDITOR", "ADMIN"]),
        )
        if payload.get("projectMember"):
            self.members.append(payload["projectMember"]["id"])

    async def change_member(self) -> None:
        role = self.random.choice(["VIEWER", "EDITOR", "ADMIN"])
        await self.run("projectMemberUpdate", id=self.one(self.members), role=role)

    async def remove_member(self) -> None:
        await self.run("projectMemberRemove", id=self.one(self.members))

    async def archive(self) -> None:
        await self.run("projectArchive", id=self.one(self.projects))

    async def unarchive(self) -> None:
        await self.run("projectUnarchive", id=self.one(self.projects))

    async def transfer(self) -> None:
        await self.run("projectTransfer", id=self.one(self.projects), userId=await self.person())

    async def purge(self) -> None:
        """What is 30 days in the trash was deleted before any cursor that is still valid."""
        for client in self.following():
            await client.follow()
        await super().purge()

    async def nest(self) -> None:
        parent = self.random.choice([None, self.one(self.tasks)])
        await self.run("taskUpdate", id=self.one(self.tasks), parentId=parent)

    async def reshare(self) -> None:
        payload = await self.run(
            "taskShareCreate",
            "taskShare { id }",
            taskId=self.one(self.tasks),
            userId=await self.person(),
            permission="EDIT",
        )
        if payload.get("taskShare"):
            self.shares.append(payload["taskShare"]["id"])

    async def unshare(self) -> None:
        await self.run("taskShareDelete", id=self.one(self.shares))

    async def edit_comment(self) -> None:
        body = f"text {self.random.random()}"
        await self.run("commentUpdate", id=self.one(self.comments), body=body)

    async def spend(self) -> None:
        start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        start += dt.timedelta(minutes=self.random.randrange(500_000))
        places = [{"taskId": self.one(self.tasks)}, {"projectId": self.one(self.projects)}, {}]
        payload = await self.run(
            "timeEntryCreate",
            "timeEntry { id }",
            time={"start": {"startedAt": start.isoformat(), "duration": 60}},
            **self.random.choice(places),
        )
        if payload.get("timeEntry"):
            self.entries.append(payload["timeEntry"]["id"])

    async def move_time(self) -> None:
        places: list[dict[str, Any]] = [
            {"taskId": self.one(self.tasks)},
            {"projectId": None, "taskId": None},
        ]
        place = self.random.choice(places)
        await self.run("timeEntryUpdate", id=self.one(self.entries), **place)

    async def unspend(self) -> None:
        await self.run("timeEntryDelete", id=self.one(self.entries))

    async def timer(self) -> None:
        if self.random.random() < 0.5:
            await self.run("timerStart", taskId=self.one(self.tasks))
        else:
            await self.run("timerStop")


STEPS: tuple[Callable[[Lives], Any], ...] = (
    *[Lives.create, Lives.update, Lives.nest, Lives.comment, Lives.spend, Lives.move] * 3,
    *[Lives.bulk_create, Lives.bulk_update, Lives.tag, Lives.delete, Lives.restore] * 2,
    *[Lives.attach, Lives.detach, Lives.uncomment, Lives.edit_comment, Lives.bulk_delete],
    *[Lives.assign, Lives.reshare, Lives.unshare, Lives.unspend, Lives.timer] * 2,
    *[Lives.move_time] * 3,
    *[Lives.found, Lives.add_member] * 2,
    *[Lives.change_member, Lives.remove_member, Lives.transfer],
    *[Lives.archive, Lives.unarchive, Lives.unarchive],
    *[Lives.delete_project, Lives.restore_project, Lives.purge],
)


@pytest.fixture(scope="module")
async def alone(settings: Settings) -> Any:
    async with own_world(settings) as made:
        yield made


@pytest.mark.parametrize(
    "seed", [2, *(pytest.param(n, marks=pytest.mark.nightly) for n in range(3, 13))]
)
async def test_everything_is_kept_by_events_alone(alone: World, seed: int) -> None:
    random = Random(f"events {seed}")
    play = await begun(alone, random)
    lives = Lives(alone, play.people, random)
    lives.projects, lives.tasks = play.projects, play.tasks
    for client in lives.clients:
        await client.begin()
    for step in range(1, 161):
        await random.choice(STEPS)(lives)
        if step == 120:
            await lives.leave()
        if step % 40 == 20:
            for client in lives.following()[::2]:
                await client.follow()
    for client in lives.following():
        await client.follow()
        fresh = await client.fresh()
        different = {
            id_: (client.shown.get(id_), fresh.get(id_))
            for id_ in client.shown.keys() | fresh.keys()
            if client.shown.get(id_) != fresh.get(id_)
        }
        assert different == {}


async def test_the_mutations_of_this_test_are_done(alone: World) -> None:
    """Of each kind, some are not refused."""
    random = Random("lives")
    play = await begun(alone, random)
    lives = Lives(alone, play.people, random)
    lives.projects, lives.tasks = play.projects, play.tasks
    done = set()
    for step in [*dict.fromkeys(STEPS)] * 2:
        for tried in (Lives.comment, Lives.spend, Lives.add_member, step):
            before = lives.done.total()
            for _ in range(1 if tried is not step or step in done else 40):
                await tried(lives)
                if lives.done.total() > before:
                    done.add(tried)
                    break
    assert set(STEPS) - done == {Lives.purge}
