"""The server beside the model: every operation is done by both, then everything is compared.

The server's functions are run in this process, by GraphQL, as each person. Rows of the first
moment are put into the database as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import insert, update

from auth.viewer import NOBODY, Viewer
from db import models
from db.base import Base
from domain import ranks, trash
from domain import share as share_domain
from domain.work import begin
from graph import ids
from graph.execution import GraphQLRequest
from tests.accounts import PASSWORD
from tests.factories import Reply, World, fresh_id, new_key
from tests.rights.model import Model, Refused, Right, Role

TABLES: dict[str, type[Base]] = {
    "P": models.Project,
    "t": models.Task,
    "s": models.TaskShare,
    "c": models.Comment,
    "e": models.TimeEntry,
}
_IN_TRASH = {"TASK_DELETED", "PROJECT_DELETED"}

# `all: false` leaves out what is asked in another way as well; a sequence ends with `all: true`.
READ = """
query ($tasks: [ID!]!, $projects: [ID!]!, $others: [ID!]!, $since: String!, $all: Boolean!) {
  things: nodes(ids: $tasks) {
    ... on Task {
      id viewerCanEdit viewerCanDelete viewerCanShare
      project @include(if: $all) { id }
      parent @include(if: $all) { id }
      shares @include(if: $all) { totalCount nodes { id } }
      comments @include(if: $all) { totalCount nodes { id } }
    }
  }
  containers: nodes(ids: $projects) {
    ... on Project {
      id viewerCanEdit viewerCanDelete viewerCanShare
      tasks(first: 100) @include(if: $all) { totalCount nodes { id } }
      stats @include(if: $all) { total }
    }
  }
  others: nodes(ids: $others) {
    ... on TaskShare { id viewerCanEdit viewerCanDelete }
    ... on Comment { id viewerCanEdit viewerCanDelete }
    ... on TimeEntry { id viewerCanEdit }
  }
  tasks(first: 100) { totalCount nodes { id } }
  inProjects: tasks(first: 100, filter: {projectId: {in: $projects}}) @include(if: $all) {
    totalCount nodes { id }
  }
  below: tasks(first: 100, filter: {parentId: {in: $tasks}}) @include(if: $all) {
    totalCount nodes { id }
  }
  projects(first: 100) @include(if: $all) { totalCount nodes { id } }
  tasksSharedWithMe(first: 100) @include(if: $all) { totalCount nodes { id } }
  timeEntries(first: 100) @include(if: $all) { totalCount nodes { id } }
  taskStats { total sharedWithMe sharedByMe commentsPosted }
  changes(since: $since, first: 100, filter: {kinds: [TASK_DELETED, PROJECT_DELETED]}) {
    cursor nodes { id kind subjectId }
  }
}
"""
LISTEN = "subscription { taskEvents(filter: {kinds: [TASK_CREATED]}) { id kind subjectId } }"


class DisagreementError(AssertionError):
    """The server and the model do not agree; the message tells the whole story."""


@dataclass
class Listener:
    """One person's open subscription."""

    events: list[dict[str, Any]] = field(default_factory=list)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Driver:
    """See the module. `start` it, then `do` one operation after the other, then `finish`."""

    def __init__(
        self, world: World, password_hash: str, model: Model, *, all_lists: bool = False
    ) -> None:
        self.world = world
        self.model = model
        self.story = [str(model)]
        self.ids: dict[str, UUID] = {person: fresh_id() for person in model.people}
        self.names: dict[str, str] = {}
        self.members: dict[tuple[str, str], UUID] = {}
        self.viewers = {person: Viewer(user_id=self.ids[person]) for person in model.people}
        self.losses: dict[str, list[str]] = {person: [] for person in model.people}
        self.listeners: dict[str, Listener] = {}
        self.listening: list[asyncio.Task[None]] = []
        # What the last `userDelete` said.
        self.lost_by_others: int | None = None
        self.all_lists = all_lists
        self._hash = password_hash
        self._made = Counter[str]()

    # --- names -----------------------------------------------------------------------------------

    def new(self, kind: str) -> str:
        """A fresh name."""
        self._made[kind] += 1
        return f"{kind}{self._made[kind] + 100}"

    def know(self, name: str, id_: UUID) -> UUID:
        """Keep the id of a thing."""
        self.ids[name] = id_
        self.names[self.gid(name)] = name
        return id_

    def gid(self, name: str) -> str:
        """The id as the API has it."""
        # Things have a number in their names, people have none.
        table = TABLES[name[0]] if name[-1].isdigit() else models.User
        return ids.encode(table, self.ids[name])

    def named(self, nodes: Iterable[dict[str, Any] | None]) -> set[str]:
        """Names of what an answer holds."""
        return {self.names[node["id"]] for node in nodes if node}

    # --- the first moment ------------------------------------------------------------------------

    async def start(self) -> None:
        """Write the model's rows, and open everybody's subscription."""
        await self._write()
        self._use_both_access_paths()
        reply = await self.world.run("{ eventCursor }", Viewer(user_id=fresh_id()))
        self.cursors = dict.fromkeys(self.model.people, reply.good["eventCursor"])
        for person in sorted(self.model.people):
            listener = self.listeners[person] = Listener()
            self.listening.append(asyncio.create_task(self._listen(person, listener)))
        await asyncio.gather(*(one.ready.wait() for one in self.listeners.values()))

    def _use_both_access_paths(self) -> None:
        """Let every second person's lists be made of the rows within their reach (`graph.few`)."""
        ways = self.world.services.ways
        usual, ways.slow_seconds = ways.slow_seconds, 0
        for person in sorted(self.viewers)[::2]:
            for model in (models.Task, models.TimeEntry):
                ways.walked(self.viewers[person], model, 1.0)
        ways.slow_seconds = usual

    async def _write(self) -> None:
        model = self.model
        now = dt.datetime.now(dt.UTC)
        common = {"created_at": now, "updated_at": now, "version": 1}
        token = secrets.token_hex(4)
        users = [
            {
                **common,
                "id": self.ids[person],
                "username": f"{person}-{token}",
                "email": f"{person}-{token}@example.com",
                "password_hash": self._hash,
                "password_changed_at": now,
            }
            for person in sorted(model.people)
        ]
        projects = [
            {
                **common,
                "id": self.know(name, fresh_id()),
                "name": name,
                "key": new_key(),
                "owner_id": self.ids[project.owner],
                "archived_at": now if project.archived else None,
                "last_number": len(model.tasks),
            }
            for name, project in model.projects.items()
        ]
        members = []
        for name, project in model.projects.items():
            for person, role in project.members.items():
                self.members[name, person] = fresh_id()
                members.append(
                    {
                        **common,
                        "id": self.members[name, person],
                        "project_id": self.ids[name],
                        "user_id": self.ids[person],
                        "role": models.Role[role.name],
                    }
                )
        places = ranks.after(None, len(model.tasks))
        for name in model.tasks:
            self.know(name, fresh_id())
        tasks = [
            {
                **common,
                "id": self.ids[name],
                "title": name,
                "position": place,
                "number": None if task.project is None else number,
                "project_id": self.ids.get(task.project or ""),
                "owner_id": self.ids[task.owner],
                "assignee_id": self.ids.get(task.assignee or ""),
                "parent_id": self.ids.get(task.parent or ""),
                "root_id": self.ids[model.above(name)[-1]] if task.parent else None,
            }
            for number, (place, (name, task)) in enumerate(
                zip(places, model.tasks.items(), strict=True), 1
            )
        ]
        shares = [
            {
                **common,
                "id": self.know(name, fresh_id()),
                "task_id": self.ids[share.task],
                "user_id": self.ids[share.person],
                "permission": models.Permission.EDIT if share.edit else models.Permission.VIEW,
                "shared_by_id": self.ids[share.by],
            }
            for name, share in model.shares.items()
        ]
        async with self.world.database.session() as session, session.begin():
            for table, rows in (
                (models.User, users),
                (models.Project, projects),
                (models.ProjectMember, members),
                (models.Task, tasks),
                (models.TaskShare, shares),
            ):
                if rows:
                    await session.execute(insert(table), rows)

    # --- operations ------------------------------------------------------------------------------

    async def do(self, actor: str, operation: str, *names: Any, **options: Any) -> bool:
        """Do it on both sides; compare the outcome, then everything. Whether it was accepted."""
        before = deepcopy(self.model)
        codes: set[str] = set()
        try:
            getattr(self.model, operation)(actor, *names, **options)
        except Refused as refused:
            codes = refused.codes
        wanted = " or ".join(sorted(codes)) or "done"
        words = [*map(str, names), *(f"{key}={value}" for key, value in options.items())]
        self.story.append(f"{actor}: {operation}({', '.join(words)}) -> {wanted}")
        got = await getattr(self, f"_{operation}")(actor, *names, **options)
        if bool(got) != bool(codes) or not got <= codes:
            self.fail(f"the server answers {sorted(got) or 'done'}, the model {wanted}")
        if not codes:
            await self.compare(before)
            self._compare_gains(actor, operation, names, before)
        return not codes

    def _compare_gains(
        self, actor: str, operation: str, names: Sequence[Any], before: Model
    ) -> None:
        """The model, with which the server agrees, gave nobody what the actor could not give."""
        if operation == "task_move" and names[1] is not None:
            return
        assignees = names[1:] if operation == "task_assign" else ()
        gained = before.forbidden_gains(actor, self.model, assignees)
        self.same(f"rights that {actor} could not give", gained, set())

    async def _mutate(
        self, actor: str, mutation: str, result: str = "", /, **values: Any
    ) -> tuple[set[str], Any]:
        """The codes of all errors, and the payload."""
        input_ = {key: value for key, value in values.items() if value is not ...}
        query = (
            f"mutation ($input: {mutation[0].upper()}{mutation[1:]}Input!) "
            f"{{ {mutation}(input: $input) {{ {result} errors {{ code path message }} }} }}"
        )
        reply = await self.world.run(query, self.viewers[actor], input=input_)
        self.story[-1] += f"  {[e['message'] for e in reply.errors + reply.user_errors] or ''}"
        return set(reply.codes), (reply.data or {}).get(mutation)

    def _maybe(self, name: str | None) -> str | None:
        return None if name is None else self.gid(name)

    async def _task_create(
        self,
        actor: str,
        new: str,
        project: str | None = None,
        parent: str | None = None,
        assignee: str | None = None,
    ) -> set[str]:
        self.know(new, fresh_id())
        given = {"projectId": project, "parentId": parent, "assigneeId": assignee}
        values = {key: self.gid(name) for key, name in given.items() if name is not None}
        if len(self.story) % 2:
            # Then it is not made in a single statement.
            values["idempotencyKey"] = new
        codes, _ = await self._mutate(actor, "taskCreate", title=new, id=self.gid(new), **values)
        return codes

    async def _task_rename(self, actor: str, name: str) -> set[str]:
        title = f"{name} {secrets.token_hex(3)}"
        return (await self._mutate(actor, "taskUpdate", id=self.gid(name), title=title))[0]

    async def _task_reparent(self, actor: str, name: str, parent: str | None) -> set[str]:
        values = {"id": self.gid(name), "parentId": self._maybe(parent)}
        return (await self._mutate(actor, "taskUpdate", **values))[0]

    async def _task_assign(self, actor: str, name: str, person: str | None) -> set[str]:
        values = {"id": self.gid(name), "assigneeId": self._maybe(person)}
        return (await self._mutate(actor, "taskAssign", **values))[0]

    async def _task_move(self, actor: str, name: str, project: str | None) -> set[str]:
        values = {"id": self.gid(name), "projectId": self._maybe(project)}
        return (await self._mutate(actor, "taskMove", **values))[0]

    async def _task_delete(self, actor: str, name: str, *, move_up: bool = False) -> set[str]:
        subtasks = "MOVE_UP" if move_up else ...
        return (await self._mutate(actor, "taskDelete", id=self.gid(name), subtasks=subtasks))[0]

    async def _task_restore(self, actor: str, name: str) -> set[str]:
        return (await self._mutate(actor, "taskRestore", id=self.gid(name)))[0]

    async def _share_create(
        self, actor: str, new: str, name: str, person: str, *, edit: bool
    ) -> set[str]:
        codes, payload = await self._mutate(
            actor,
            "taskShareCreate",
            "share { id }",
            taskId=self.gid(name),
            userId=self.gid(person),
            permission="EDIT" if edit else "VIEW",
        )
        if not codes:
            self.know(new, ids.decode(models.TaskShare, payload["share"]["id"], ()))
        return codes

    async def _share_update(self, actor: str, key: str, *, edit: bool) -> set[str]:
        permission = "EDIT" if edit else "VIEW"
        values = {"id": self.gid(key), "permission": permission}
        return (await self._mutate(actor, "taskShareUpdate", **values))[0]

    async def _share_delete(self, actor: str, key: str) -> set[str]:
        return (await self._mutate(actor, "taskShareDelete", id=self.gid(key)))[0]

    async def _member_add(self, actor: str, name: str, person: str, role: Role) -> set[str]:
        codes, payload = await self._mutate(
            actor,
            "projectMemberAdd",
            "member { id }",
            projectId=self.gid(name),
            userId=self.gid(person),
            role=role.name,
        )
        if not codes:
            member = payload["member"]["id"]
            self.members[name, person] = ids.decode(models.ProjectMember, member, ())
        return codes

    def _member(self, name: str, person: str) -> str:
        return ids.encode(models.ProjectMember, self.members[name, person])

    async def _member_update(self, actor: str, name: str, person: str, role: Role) -> set[str]:
        values = {"id": self._member(name, person), "role": role.name}
        return (await self._mutate(actor, "projectMemberUpdate", **values))[0]

    async def _member_remove(self, actor: str, name: str, person: str) -> set[str]:
        values = {"id": self._member(name, person)}
        return (await self._mutate(actor, "projectMemberRemove", **values))[0]

    async def _project_transfer(self, actor: str, name: str, person: str) -> set[str]:
        values = {"id": self.gid(name), "userId": self.gid(person)}
        return (await self._mutate(actor, "projectTransfer", **values))[0]

    async def _project_archive(self, actor: str, name: str, archived: bool) -> set[str]:
        mutation = "projectArchive" if archived else "projectUnarchive"
        return (await self._mutate(actor, mutation, id=self.gid(name)))[0]

    async def _project_delete(self, actor: str, name: str) -> set[str]:
        return (await self._mutate(actor, "projectDelete", id=self.gid(name)))[0]

    async def _project_restore(self, actor: str, name: str) -> set[str]:
        return (await self._mutate(actor, "projectRestore", id=self.gid(name)))[0]

    async def _comment_create(self, actor: str, new: str, name: str) -> set[str]:
        self.know(new, fresh_id())
        values = {"id": self.gid(new), "taskId": self.gid(name), "body": new}
        return (await self._mutate(actor, "commentCreate", **values))[0]

    async def _comment_update(self, actor: str, key: str) -> set[str]:
        values = {"id": self.gid(key), "body": secrets.token_hex(4)}
        return (await self._mutate(actor, "commentUpdate", **values))[0]

    async def _comment_delete(self, actor: str, key: str) -> set[str]:
        return (await self._mutate(actor, "commentDelete", id=self.gid(key)))[0]

    async def _entry_create(
        self, actor: str, new: str, project: str | None = None, task: str | None = None
    ) -> set[str]:
        self.know(new, fresh_id())
        given = {"projectId": project, "taskId": task}
        values = {key: self.gid(name) for key, name in given.items() if name is not None}
        day = dt.datetime.now(dt.UTC).date().isoformat()
        values |= {"id": self.gid(new), "day": day}
        return (await self._mutate(actor, "timeEntryCreate", durationSeconds=60, **values))[0]

    async def _entry_delete(self, actor: str, key: str) -> set[str]:
        return (await self._mutate(actor, "timeEntryDelete", id=self.gid(key)))[0]

    async def _user_delete(self, actor: str, heir: str | None = None) -> set[str]:
        """First without `confirm`, which changes nothing and tells how much others would lose."""
        values = {"password": PASSWORD} | ({"transferTo": self.gid(heir)} if heir else {})
        result = "deletedId tasksLostByOthers"
        codes, payload = await self._mutate(actor, "userDelete", result, **values)
        if not codes:
            self.same("deletedId without confirm", payload["deletedId"], None)
            asked = payload["tasksLostByOthers"]
            codes, payload = await self._mutate(actor, "userDelete", result, confirm=True, **values)
            self.same("deletedId", payload["deletedId"], self.gid(actor))
            self.same("tasksLostByOthers", payload["tasksLostByOthers"], asked)
            self.lost_by_others = asked
        return codes

    # --- many at once ----------------------------------------------------------------------------

    async def bulk(
        self, actor: str, operation: str, items: list[tuple[Any, ...]], *, rollback: bool
    ) -> None:
        """`task_assign` or `task_delete` of several tasks, each judged as things stand before."""
        before = deepcopy(self.model)
        wanted: list[set[str]] = []
        for item in items:
            try:
                getattr(deepcopy(before), operation)(actor, *item)
                wanted.append(set())
            except Refused as refused:
                wanted.append(refused.codes)
        done = not (rollback and any(wanted))
        # What is above goes first, and takes what is below it along.
        for item, codes in sorted(
            zip(items, wanted, strict=True), key=lambda pair: len(before.above(pair[0][0]))
        ):
            if done and not codes:
                with contextlib.suppress(Refused):
                    getattr(self.model, operation)(actor, *item)
        self.story.append(
            f"{actor}: bulk {operation}({items}, rollback={rollback}) -> "
            f"{[sorted(codes) or 'good' for codes in wanted]}"
        )
        mutation = {"task_assign": "taskBulkUpdate", "task_delete": "taskBulkDelete"}[operation]
        named: list[dict[str, str | None]] = [{"id": self.gid(item[0])} for item in items]
        if operation == "task_assign":
            named = [
                {**one, "assigneeId": self._maybe(item[1])}
                for one, item in zip(named, items, strict=True)
            ]
        await self._bulk(actor, mutation, named, wanted, rollback=rollback)
        await self.compare(before)

    async def bulk_create(
        self,
        actor: str,
        items: list[tuple[str, str | None, str | None, str | None]],
        *,
        rollback: bool,
    ) -> None:
        """`task_create` of several: name, project, parent (perhaps an earlier one), assignee."""
        before = deepcopy(self.model)
        after = deepcopy(self.model)
        wanted: list[set[str]] = []
        named: list[dict[str, str | None]] = []
        for new, project, parent, assignee in items:
            self.know(new, fresh_id())
            given = {"projectId": project, "parentId": parent, "assigneeId": assignee}
            values = {key: self.gid(name) for key, name in given.items() if name is not None}
            named.append({"id": self.gid(new), "title": new, **values})
            try:
                after.task_create(actor, new, project, parent, assignee)
                wanted.append(set())
            except Refused as refused:
                wanted.append(refused.codes)
        if not (rollback and any(wanted)):
            self.model = after
        self.story.append(
            f"{actor}: bulk task_create({items}, rollback={rollback}) -> "
            f"{[sorted(codes) or 'good' for codes in wanted]}"
        )
        await self._bulk(actor, "taskBulkCreate", named, wanted, rollback=rollback)
        await self.compare(before)

    async def _bulk(
        self,
        actor: str,
        mutation: str,
        items: list[dict[str, str | None]],
        wanted: list[set[str]],
        *,
        rollback: bool,
    ) -> None:
        _, payload = await self._mutate(
            actor,
            mutation,
            "results { errors { code } }",
            items=items,
            onError="ROLLBACK" if rollback else "CONTINUE",
        )
        got = [{error["code"] for error in result["errors"]} for result in payload["results"]]
        if not all(
            bool(one) == bool(codes) and one <= codes
            for one, codes in zip(got, wanted, strict=True)
        ):
            self.fail(f"the server answers {[sorted(one) or 'good' for one in got]}")

    # --- time ------------------------------------------------------------------------------------

    async def expire(self, key: str) -> None:
        """A share comes to its end. Its recipient has looked at their numbers just before."""
        share = self.model.shares[key]
        task = self.model.tasks[share.task]
        managers = sorted(p for p in self.model.people if self.model.manages_task(p, share.task))
        if task.trashed_with is not None or self.model.archived(task.project) or not managers:
            return
        before = deepcopy(self.model)
        self.story.append(f"{key} expires")
        for milliseconds in (80, 400, 2_000, 8_000):
            moment = dt.datetime.now(dt.UTC) + dt.timedelta(milliseconds=milliseconds)
            codes, _ = await self._mutate(
                managers[0], "taskShareUpdate", id=self.gid(key), expiresAt=moment.isoformat()
            )
            if not codes:
                break
        else:
            self.fail("a share could not be given an end")
        await self._total(share.person)
        await asyncio.sleep(max(0, (moment - dt.datetime.now(dt.UTC)).total_seconds()) + 0.002)
        self.model.share_expire(key)
        seen = sum(self.model.sees_task(share.person, name) for name, _ in self.model.living())
        self.same(f"taskStats.total of {share.person}", await self._total(share.person), seen)
        request = self.world.request()
        now = dt.datetime.now(dt.UTC)
        async with begin(self.world.database, NOBODY, now=now, request=request) as work:
            # The worker does this at the moment when the share ends.
            await share_domain.end(work, self.ids[key])
        await self.compare(before)

    async def _total(self, person: str) -> int:
        reply = await self.world.run("{ taskStats { total } }", self.viewers[person])
        return int(reply.good["taskStats"]["total"])

    async def purge(self, *, all_lists: bool = False) -> None:
        """31 days pass for what is in the trash."""
        before = deepcopy(self.model)
        self.story.append("31 days pass")
        month = dt.timedelta(days=31)
        async with self.world.database.session() as session, session.begin():
            for prefix, table in (("t", models.Task), ("P", models.Project)):
                own = [id_ for name, id_ in self.ids.items() if name[0] == prefix]
                await session.execute(
                    update(table)
                    .where(table.id.in_(own), table.deleted_at.is_not(None))
                    .values(deleted_at=table.deleted_at - month)
                )
        now = dt.datetime.now(dt.UTC)
        request = self.world.request()
        while True:
            async with begin(self.world.database, NOBODY, now=now, request=request) as work:
                if not any(await trash.purge(work)):
                    break
        self.model.purge()
        await self.compare(before, all_lists=all_lists)

    # --- comparing -------------------------------------------------------------------------------

    async def compare(self, before: Model, *, all_lists: bool = False) -> None:
        """Everything that each person sees and may do, and what they were told."""
        people = sorted(self.model.people)
        rights = self.model.rights()
        everything = all_lists or self.all_lists
        # One after the other: together they would take long, and an operation has a time limit.
        replies = [await self._read(person, everything) for person in people]
        lost = before.rights() - rights
        if self.lost_by_others is not None:
            gone = {
                r.thing
                for r in lost
                if r.person in people and r.verb == "see" and r.thing[0] == "t"
            }
            self.same("tasksLostByOthers", self.lost_by_others, len(gone))
            self.lost_by_others = None
        for person, reply in zip(people, replies, strict=True):
            held = {right for right in rights if right.person == person}
            self._compare_rights(person, held, reply)
            self._compare_lists(person, held, reply)
            gone = {
                right.thing
                for right in lost
                if right.person == person and right.verb == "see" and right.thing[0] in "tP"
            }
            self._compare_losses(person, gone, before, reply)

    async def _read(self, person: str, all_lists: bool) -> Any:
        groups: dict[str, list[str]] = {"tasks": [], "projects": [], "others": []}
        for name in self.names.values():
            groups[{"t": "tasks", "P": "projects"}.get(name[0], "others")].append(self.gid(name))
        values: dict[str, Any] = {"since": self.cursors[person], "all": all_lists, **groups}
        reply = await self.world.run(READ, self.viewers[person], **values)
        others = [error for error in reply.errors if error["extensions"]["code"] != "NOT_FOUND"]
        if others or reply.data is None:
            self.fail(f"{person} cannot read: {others}")
        self.cursors[person] = reply.data["changes"]["cursor"]
        return reply.data

    def _compare_rights(self, person: str, held: set[Right], data: Any) -> None:
        given = set()
        for node in (*data["things"], *data["containers"], *data["others"]):
            if node:
                name = self.names[node["id"]]
                given.add(Right(person, "see", name))
                for verb in ("edit", "delete", "share"):
                    if node.get(f"viewerCan{verb.title()}"):
                        given.add(Right(person, verb, name))
        # The schema has no `viewerCanDelete` for time entries.
        wanted = {right for right in held if (right.thing[0], right.verb) != ("e", "delete")}
        self.same(f"rights of {person}", given, wanted)

    def _compare_lists(self, person: str, held: set[Right], data: Any) -> None:
        model = self.model
        seen = {right.thing for right in held if right.verb == "see"}
        tasks = {name for name in seen if name[0] == "t"}
        projects = {name for name in seen if name[0] == "P"}
        active = {key for key in seen if key[0] == "s" and not model.shares[key].expired}
        wanted = {
            "tasks": tasks,
            "inProjects": {name for name in tasks if model.tasks[name].project in projects},
            "below": {name for name in tasks if model.tasks[name].parent in tasks},
            "projects": projects,
            "tasksSharedWithMe": {key for key in active if model.shares[key].person == person},
            "timeEntries": {name for name in seen if name[0] == "e"},
        }
        for field_, names in wanted.items():
            if field_ in data:
                self._same_list(f"{field_} of {person}", data[field_], names)
        if "projects" in data:
            self._compare_inner(person, seen, data)
        stats = {
            "total": len(tasks),
            "sharedWithMe": len(wanted["tasksSharedWithMe"]),
            "sharedByMe": len(
                {s.task for s in model.shares.values() if s.by == person and s.task in tasks}
            ),
            "commentsPosted": sum(
                c.author == person and c.task in tasks for c in model.comments.values()
            ),
        }
        self.same(f"taskStats of {person}", data["taskStats"], stats)

    def _compare_inner(self, person: str, seen: set[str], data: Any) -> None:
        """Lists and ends of each project and task."""
        model = self.model
        tasks = {name for name in seen if name[0] == "t"}
        projects = {name for name in seen if name[0] == "P"}
        for node in filter(None, data["containers"]):
            name = self.names[node["id"]]
            inside = {one for one in tasks if model.tasks[one].project == name}
            self._same_list(f"{name}.tasks of {person}", node["tasks"], inside)
            self.same(f"{name}.stats of {person}", node["stats"]["total"], len(inside))
        for node in filter(None, data["things"]):
            name = self.names[node["id"]]
            for field_, end, visible in (
                ("project", model.tasks[name].project, projects),
                ("parent", model.tasks[name].parent, tasks),
            ):
                shown = node[field_] and self.names[node[field_]["id"]]
                self.same(f"{name}.{field_} of {person}", shown, end if end in visible else None)
            shares = {key for key in seen if key[0] == "s" and model.shares[key].task == name}
            self._same_list(f"{name}.shares of {person}", node["shares"], shares)
            comments = {key for key in seen if key[0] == "c" and model.comments[key].task == name}
            self._same_list(f"{name}.comments of {person}", node["comments"], comments)

    def _same_list(self, what: str, page: Any, names: set[str]) -> None:
        self.same(what, self.named(page["nodes"]), names)
        self.same(f"totalCount of {what}", page["totalCount"], len(names))

    def _compare_losses(self, person: str, gone: set[str], before: Model, data: Any) -> None:
        events = data["changes"]["nodes"]
        told = Counter(
            self.names[event["subjectId"]] for event in events if event["kind"] == "ACCESS_LOST"
        )
        self.losses[person] += [event["id"] for event in events if event["kind"] == "ACCESS_LOST"]
        deleted = {self.names[e["subjectId"]] for e in events if e["kind"] in _IN_TRASH}
        wanted = {thing for thing in gone if not self._deleted(thing, deleted, before)}
        self.same(f"ACCESS_LOST of {person}", set(told) - (gone - wanted), wanted)
        if max(told.values(), default=1) > 1:
            self.fail(f"ACCESS_LOST of {person} came more than once: {told}")

    @staticmethod
    def _deleted(thing: str, deleted: set[str], before: Model) -> bool:
        """Whether events of deletion say that it is gone: its own, or that of what it was in."""
        if thing in before.tasks:
            task = before.tasks[thing]
            return not deleted.isdisjoint({thing, task.project, *before.above(thing)})
        return thing in deleted

    def same(self, what: str, given: Any, wanted: Any) -> None:
        """Fail unless the server's answer is the model's."""
        if given == wanted:
            return
        if isinstance(given, set):
            more, less = sorted(given - wanted), sorted(wanted - given)
            self.fail(f"{what}: the server has {more} too many, and lacks {less}")
        self.fail(f"{what}: the server has {given}, the model {wanted}")

    def fail(self, problem: str) -> None:
        """Raise, with everything that led to it."""
        raise DisagreementError("\n".join([problem, *self.story]))

    # --- live ------------------------------------------------------------------------------------

    async def _listen(self, person: str, listener: Listener) -> None:
        services = self.world.services
        executor = self.world.executors["batch"]
        request = self.world.request()

        async def context() -> Any:
            return services.context(self.viewers[person], request)

        prepared = await executor.prepare(GraphQLRequest(query=LISTEN), request_id=request.id)
        stream = await executor.subscribe(prepared, await context(), context)
        listener.ready.set()
        async with aclosing(stream):
            async for answer in stream:
                reply = Reply.of(answer.body())
                listener.events.append(reply.good["taskEvents"])
                listener.news.set()

    async def finish(self) -> None:
        """Empty the trash; what the open subscriptions told is what `changes` told."""
        try:
            await self.purge(all_lists=True)
            await asyncio.gather(*map(self._compare_live, sorted(self.model.people)))
        finally:
            await self.close()

    async def _compare_live(self, person: str) -> None:
        """A last event of their own shows that all before it have come."""
        listener = self.listeners[person]
        last = ids.encode(models.Task, fresh_id())
        await self._mutate(person, "taskCreate", title="last", id=last)
        async with asyncio.timeout(20):
            while not any(event["subjectId"] == last for event in listener.events):
                listener.news.clear()
                await listener.news.wait()
        lost = [event["id"] for event in listener.events if event["kind"] == "ACCESS_LOST"]
        self.same(f"ACCESS_LOST in the subscription of {person}", lost, self.losses[person])

    async def close(self) -> None:
        """End the subscriptions."""
        for task in self.listening:
            task.cancel()
        await asyncio.gather(*self.listening, return_exceptions=True)
