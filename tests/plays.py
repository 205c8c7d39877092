"""Random mutations of a few users, for tests that compare what follows from them."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from random import Random
from typing import Any
from uuid import uuid4

from db import models
from domain import trash
from domain.tasks import counters
from graph.core import ids
from tests import uploads
from tests.accounts import PASSWORD, Person
from tests.factories import World, fresh_id, gid
from tests.uploads import attach

# Spellings of three tags.
TAGS = ["Red", "red", "RED", "Blue", "blue", "straße", "STRASSE"]
STATUSES = ["TODO", "IN_PROGRESS", "COMPLETED", "CANCELLED"]
PRIORITIES = ["NONE", "LOW", "MEDIUM", "HIGH", "URGENT"]
PNG = uploads.image("PNG", (8, 8))


class Play:
    """Random mutations of a few users. What is refused is refused, and changes no counter."""

    def __init__(self, world: World, people: list[Person], random: Random) -> None:
        self.world, self.people, self.random = world, people, random
        self.projects: list[str] = []
        self.tasks: list[str] = []
        self.trash: list[str] = []
        self.comments: list[str] = []
        self.attachments: list[str] = []
        self.done: Counter[str] = Counter()

    async def run(self, mutation: str, returning: str = "", /, **values: Any) -> Any:
        """The payload; counts whether it was done. If one user cannot do it, another one tries."""
        kind = mutation[0].upper() + mutation[1:]
        query = (
            f"mutation ($input: {kind}Input!) {{ {mutation}(input: $input) "
            f"{{ errors {{ code }} {returning} }} }}"
        )
        payload: Any = None
        for person in self.random.sample(self.people, 2):
            reply = await self.world.run(query, person, input=values)
            payload = (reply.data or {}).get(mutation) or {"errors": reply.errors}
            if not payload["errors"]:
                break
        self.done[mutation] += bool(payload.get("doneCount", not payload["errors"]))
        return payload

    def one(self, things: list[str]) -> str:
        return self.random.choice(things or [str(uuid4())])

    def tags(self) -> list[str]:
        return self.random.sample(TAGS, self.random.randrange(4))

    def new(self) -> dict[str, Any]:
        """A new task's fields."""
        random = self.random
        due = dt.datetime.now(dt.UTC) + dt.timedelta(days=random.choice([-2, 2]))
        self.tasks.append(ids.encode(models.Task, fresh_id()))
        values: dict[str, Any] = {
            "id": self.tasks[-1],
            "title": "x",
            "status": random.choice(STATUSES),
            "priority": random.choice(PRIORITIES),
            "tags": self.tags(),
            "due": random.choice([None, {"at": due.isoformat()}]),
        }
        where = random.choice(["projectId", "projectId", "parentId", None])
        if where is not None:
            values[where] = self.one(self.projects if where == "projectId" else self.tasks[:-1])
        if random.random() < 0.3:
            values["assigneeId"] = gid(random.choice(self.people))
        return values

    async def create(self) -> None:
        if (await self.run("taskCreate", **self.new()))["errors"]:
            self.tasks.pop()

    async def bulk_create(self) -> None:
        await self.run(
            "taskBulkCreate", "doneCount", items=[self.new() for _ in range(3)], onError="CONTINUE"
        )

    async def update(self) -> None:
        random = self.random
        change: dict[str, Any] = random.choice(
            [
                {"status": random.choice(STATUSES)},
                {"priority": random.choice(PRIORITIES)},
                {"tags": self.tags()},
                {"title": "y"},
            ]
        )
        await self.run("taskUpdate", id=self.one(self.tasks), **change)

    async def bulk_update(self) -> None:
        items = [
            {"id": one, "status": self.random.choice(STATUSES), "tags": self.tags()}
            for one in self.random.sample(self.tasks, min(4, len(self.tasks)))
        ]
        await self.run("taskBulkUpdate", "doneCount", items=items, onError="CONTINUE")

    async def bulk_delete(self) -> None:
        items = [{"id": one} for one in self.random.sample(self.tasks, min(3, len(self.tasks)))]
        await self.run("taskBulkDelete", "doneCount", items=items, onError="CONTINUE")

    async def tag(self) -> None:
        if self.random.random() < 0.5:
            await self.run("taskTagsAdd", id=self.one(self.tasks), tags=[self.random.choice(TAGS)])
        else:
            tags = [self.random.choice(TAGS)]
            await self.run("taskTagsRemove", id=self.one(self.tasks), tags=tags)

    async def move(self) -> None:
        target = self.random.choice([None, self.one(self.projects)])
        await self.run("taskMove", id=self.one(self.tasks), projectId=target)

    async def assign(self) -> None:
        person = self.random.choice([None, gid(self.random.choice(self.people))])
        await self.run("taskAssign", id=self.one(self.tasks), assigneeId=person)

    async def share(self) -> None:
        await self.run(
            "taskShareCreate",
            taskId=self.one(self.tasks),
            userId=gid(self.random.choice(self.people)),
            permission="VIEW",
        )

    async def delete(self) -> None:
        subtasks = self.random.choice(["DELETE", "MOVE_UP"])
        task = self.one(self.tasks)
        if not (await self.run("taskDelete", id=task, subtasks=subtasks))["errors"]:
            self.trash.append(task)

    async def restore(self) -> None:
        await self.run("taskRestore", id=self.one(self.trash))

    async def delete_project(self) -> None:
        await self.run("projectDelete", id=self.one(self.projects))

    async def restore_project(self) -> None:
        await self.run("projectRestore", id=self.one(self.projects))

    async def comment(self) -> None:
        values: dict[str, Any] = {}
        if self.comments and self.random.random() < 0.3:
            values["parentId"] = self.one(self.comments)
        payload = await self.run(
            "commentCreate", "comment { id }", taskId=self.one(self.tasks), body="x", **values
        )
        if not payload["errors"]:
            self.comments.append(payload["comment"]["id"])

    async def uncomment(self) -> None:
        await self.run("commentDelete", id=self.one(self.comments))

    async def attach(self) -> None:
        person = self.random.choice(self.people)
        reply = await attach(self.world.http, person, self.one(self.tasks), "a.png", PNG)
        made = ((reply.data or {}).get("attachmentUpload") or {}).get("attachment")
        if made:
            self.attachments.append(made["id"])
            self.done["attachmentUpload"] += 1

    async def detach(self) -> None:
        await self.run("attachmentDelete", id=self.one(self.attachments))

    async def purge(self) -> None:
        later = dt.datetime.now(dt.UTC) + trash.KEPT + dt.timedelta(days=1)
        transactions = self.world.services.transactions
        request = self.world.request()
        await transactions.run(trash.purge, now=later, request=request)

    async def merge(self) -> None:
        await counters.merge(self.world.database)

    async def leave(self) -> None:
        """Delete an account, and give its tasks to somebody else or to the trash."""
        if len(self.people) < 3:
            return
        gone, heir = self.random.sample(self.people, 2)
        self.people.remove(gone)
        values = {"transferToId": gid(heir)} if self.random.random() < 0.5 else {}
        query = (
            "mutation ($input: AccountDeleteInput!) "
            "{ accountDelete(input: $input) { errors { code } } }"
        )
        given = {"password": PASSWORD, "confirm": True, **values}
        reply = await self.world.run(query, gone, input=given)
        if reply.user_errors:
            self.people.append(gone)
        else:
            self.done["accountDelete"] += 1


async def begun(world: World, random: Random) -> Play:
    """Two projects of four users, with some tasks."""
    people = await world.people(4)
    play = Play(world, list(people), random)
    # The last of them is in one project only.
    for owner, editor in ((0, 1), (1, 3)):
        project = await world.project(people[owner], admins=[people[2]], editors=[people[editor]])
        play.projects.append(gid(project))
    for _ in range(8):
        await play.create()
    return play
