"""A client that keeps a filtered list by events alone has the list that a fresh query gives."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.accounts import Person
from tests.factories import World, gid

LIST = """query ($filter: TaskFilter) {
  tasks(filter: $filter, first: 100) { nodes { id title } }
}"""
EVENTS = """query ($since: String!, $filter: EventFilter) {
  events(after: $since, first: 30, filter: $filter) {
    nodes { kind matches subjectId subject { __typename } task { id title } }
    pageInfo { hasNextPage endCursor }
  }
}"""
LISTS: dict[str, dict[str, Any]] = {
    "open": {"status": {"in": ["TODO", "IN_PROGRESS"]}},
    "mine": {"assignee": {"id": {"eq": "$me"}}},
    "urgent": {"priority": {"gte": "HIGH"}, "not": {"status": {"eq": "CANCELLED"}}},
    "tagged": {"tags": {"some": {"eq": "red"}}},
    "named": {"title": {"startsWith": "a"}},
    "due": {"dueAt": {"lt": "2030-01-01T00:00:00Z"}},
    "top": {"parent": {"isNull": True}},
    "discussed": {"comments": {"some": {"body": {"contains": "yes"}}}},
    "here": {"project": {"id": {"eq": "$here"}}},
}


def known(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: known(inner, names) for key, inner in value.items()}
    return names.get(value, value) if isinstance(value, str) else value


class Client:
    """What a screen keeps: titles by id, changed by events and nothing else."""

    def __init__(self, world: World, person: Person, task: Any, only: list[str] | None) -> None:
        self.world, self.person, self.task, self.only = world, person, task, only
        self.shown: dict[str, str] = {}
        self.cursor = ""

    async def fresh(self) -> dict[str, str]:
        within = [{"project": {"id": {"in": self.only}}}] if self.only else []
        filter_ = {"and": [self.task, *within]}
        reply = await self.world.run(LIST, self.person, filter=filter_)
        return {node["id"]: node["title"] for node in reply.good["tasks"]["nodes"]}

    async def begin(self) -> None:
        self.cursor = (await self.world.run("{ eventCursor }", self.person)).good["eventCursor"]
        self.shown = await self.fresh()

    async def follow(self) -> None:
        more = True
        while more:
            filter_ = {"task": self.task} | (
                {"project": {"id": {"in": self.only}}} if self.only else {}
            )
            reply = await self.world.run(EVENTS, self.person, since=self.cursor, filter=filter_)
            page = reply.good["events"]
            for event in page["nodes"]:
                task = event["task"]
                key = task["id"] if task else event["subjectId"]
                if event["matches"] and task:
                    self.shown[key] = task["title"]
                else:
                    self.shown.pop(key, None)
            self.cursor, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]


async def change(world: World, person: Person, name: str, **given: Any) -> None:
    """Do a mutation; what is refused changes nothing."""
    title = name[0].upper() + name[1:]
    reply = await world.run(
        f"mutation ($input: {title}Input!) {{ {name}(input: $input) {{ errors {{ code }} }} }}",
        person,
        input=given,
    )
    assert not reply.errors, reply.errors


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.nightly)])
async def test_a_list_is_kept_by_events_alone(  # noqa: C901, PLR0912 - one branch a kind
    world: World, seed: int
) -> None:
    chance = random.Random(seed)
    owner, member = await world.people(2)
    here = await world.project(owner, editors=[member])
    there = await world.project(owner)
    tasks = await world.tasks(owner, [f"a{n}" for n in range(8)], project_id=here.id)
    names = {"$me": gid(member), "$here": gid(here)}
    clients = [
        Client(world, person, known(filter_, names), only)
        for filter_ in LISTS.values()
        for person, only in ((owner, None), (member, None), (owner, [gid(here)]))
    ]
    for client in clients:
        await client.begin()
    comments: list[str] = []
    for step in range(60):
        task = gid(chance.choice(tasks))
        who = chance.choice([owner, owner, member])
        kind = chance.randrange(10)
        if kind == 0:
            title = f"{chance.choice('ab')}{step}"
            await change(world, who, "taskUpdate", id=task, title=title)
        elif kind == 1:
            status = chance.choice(["TODO", "COMPLETED", "CANCELLED"])
            await change(world, who, "taskUpdate", id=task, status=status)
        elif kind == 2:
            given: dict[str, Any] = {"priority": chance.choice(["LOW", "URGENT"])}
            given |= {"tags": chance.choice([["red"], ["blue", "Red"], []])}
            await change(world, who, "taskUpdate", id=task, **given)
        elif kind == 3:
            person = chance.choice([gid(member), gid(owner), None])
            await change(world, owner, "taskAssign", id=task, assigneeId=person)
        elif kind == 4:
            at = chance.choice(["2029-05-05T05:05:05Z", "2031-01-01T00:00:00Z", None])
            due = None if at is None else {"at": at}
            await change(world, who, "taskUpdate", id=task, due=due)
        elif kind == 5:
            parent = chance.choice([gid(chance.choice(tasks)), None])
            await change(world, who, "taskUpdate", id=task, parentId=parent)
        elif kind == 6:
            project = chance.choice([gid(here), gid(there)])
            await change(world, owner, "taskMove", id=task, projectId=project)
        elif kind == 7:
            how = chance.choice(["taskDelete", "taskRestore"])
            await change(world, owner, how, id=task)
        elif kind == 8 and comments and chance.random() < 0.5:
            await change(world, owner, "commentDelete", id=comments.pop())
        elif kind == 8:
            reply = await world.run(
                'mutation ($task: ID!) { commentCreate(input: { taskId: $task, body: "yes" })'
                " { comment { id } errors { code } } }",
                owner,
                task=task,
            )
            made = reply.data["commentCreate"]["comment"]
            comments += [made["id"]] if made else []
        else:
            tasks.append(await world.task(owner, f"a{step}", project_id=here.id))
        if step % 30 == 7:
            for client in clients[::2]:
                await client.follow()
    for client in clients:
        await client.follow()
        assert client.shown == await client.fresh(), (client.task, client.only)
