"""Runs the server beside the model: both do every operation, then everything is compared.

Operations run in this process, by GraphQL, as each user. The initial rows are inserted into the
database directly.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import secrets
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from sqlalchemy import select, update

from auth.viewer import NOBODY
from db import models
from domain import trash
from domain.tasks import reminding
from domain.tasks import share as share_domain
from graph.core import ids
from tests.accounts import PASSWORD
from tests.factories import fresh_id
from tests.rights.comparison import Comparison
from tests.rights.fixtures import DisagreementError
from tests.rights.model import Model, Refused
from tests.rights.rules import Role

__all__ = ["DisagreementError", "Driver"]


class Driver(Comparison):
    """See the module's docstring. Call `start`, then `do` for each operation, then `finish`."""

    # --- operations ------------------------------------------------------------------------------

    async def do(self, actor: str, operation: str, *names: Any, **options: Any) -> bool:
        """Do it on both sides; compare the outcome, then everything. True if it was accepted."""
        before = deepcopy(self.model)
        codes: set[str] = set()
        beside: set[str] = set()
        try:
            getattr(self.model, operation)(actor, *names, **options)
        except Refused as refused:
            codes = refused.codes
            # All that an input names and that does not exist for the actor is reported with it.
            if any(before.hides(actor, name) for name in (*names, *options.values())):
                beside = {"NOT_FOUND"}
        wanted = " or ".join(sorted(codes)) or "done"
        words = [*map(str, names), *(f"{key}={value}" for key, value in options.items())]
        self.story.append(f"{actor}: {operation}({', '.join(words)}) -> {wanted}")
        got = await getattr(self, f"_{operation}")(actor, *names, **options)
        if bool(got & codes) != bool(codes) or not got <= codes | beside:
            self.fail(f"the server answers {sorted(got) or 'done'}, the model {wanted}")
        if not codes:
            await self.compare(before)
            self._compare_gains(actor, operation, names, before)
        return not codes

    def _compare_gains(
        self, actor: str, operation: str, names: Sequence[Any], before: Model
    ) -> None:
        """Check that no user gained a right that the actor could not grant."""
        if operation == "task_move" and names[1] is not None:
            return
        assignees = names[1:] if operation == "task_assign" else ()
        gained = before.forbidden_gains(actor, self.model, assignees)
        self.same(f"rights that {actor} could not give", gained, set())

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
            # With this it is not created in a single statement.
            values["idempotencyKey"] = new
        codes, _ = await self.mutate(actor, "taskCreate", title=new, id=self.gid(new), **values)
        return codes

    async def _task_rename(self, actor: str, name: str) -> set[str]:
        title = f"{name} {secrets.token_hex(3)}"
        return (await self.mutate(actor, "taskUpdate", id=self.gid(name), title=title))[0]

    async def _task_reparent(self, actor: str, name: str, parent: str | None) -> set[str]:
        values = {"id": self.gid(name), "parentId": self._maybe(parent)}
        return (await self.mutate(actor, "taskUpdate", **values))[0]

    async def _task_assign(self, actor: str, name: str, person: str | None) -> set[str]:
        values = {"id": self.gid(name), "assigneeId": self._maybe(person)}
        return (await self.mutate(actor, "taskAssign", **values))[0]

    async def _task_move(self, actor: str, name: str, project: str | None) -> set[str]:
        values = {"id": self.gid(name), "projectId": self._maybe(project)}
        return (await self.mutate(actor, "taskMove", **values))[0]

    async def _task_delete(self, actor: str, name: str, *, move_up: bool = False) -> set[str]:
        subtasks = "MOVE_UP" if move_up else ...
        codes, payload = await self.mutate(
            actor, "taskDelete", "deletedIds", id=self.gid(name), subtasks=subtasks
        )
        tree = (name, *self.model.below(name, trashed=True))
        went = [one for one in tree if self.model.tasks[one].trashed_with == name]
        deleted = [self.names[id_] for id_ in payload["deletedIds"]]
        self.same("deletedIds", sorted(deleted), [] if codes else sorted(went))
        return codes

    async def _task_restore(self, actor: str, name: str) -> set[str]:
        return (await self.mutate(actor, "taskRestore", id=self.gid(name)))[0]

    async def _share_create(
        self, actor: str, new: str, name: str, person: str, *, edit: bool
    ) -> set[str]:
        codes, payload = await self.mutate(
            actor,
            "taskShareCreate",
            "taskShare { id }",
            taskId=self.gid(name),
            userId=self.gid(person),
            permission="EDIT" if edit else "VIEW",
        )
        if not codes:
            self.know(new, ids.decode(models.TaskShare, payload["taskShare"]["id"], ()))
        return codes

    async def _share_update(self, actor: str, key: str, *, edit: bool) -> set[str]:
        permission = "EDIT" if edit else "VIEW"
        values = {"id": self.gid(key), "permission": permission}
        return (await self.mutate(actor, "taskShareUpdate", **values))[0]

    async def _share_delete(self, actor: str, key: str) -> set[str]:
        return (await self.mutate(actor, "taskShareDelete", id=self.gid(key)))[0]

    async def _member_add(self, actor: str, name: str, person: str, role: Role) -> set[str]:
        codes, payload = await self.mutate(
            actor,
            "projectMemberAdd",
            "projectMember { id }",
            projectId=self.gid(name),
            userId=self.gid(person),
            role=role.name,
        )
        if not codes:
            member = payload["projectMember"]["id"]
            self.members[name, person] = ids.decode(models.ProjectMember, member, ())
        return codes

    def _member(self, name: str, person: str) -> str:
        return ids.encode(models.ProjectMember, self.members[name, person])

    async def _member_update(self, actor: str, name: str, person: str, role: Role) -> set[str]:
        values = {"id": self._member(name, person), "role": role.name}
        return (await self.mutate(actor, "projectMemberUpdate", **values))[0]

    async def _member_remove(self, actor: str, name: str, person: str) -> set[str]:
        values = {"id": self._member(name, person)}
        return (await self.mutate(actor, "projectMemberRemove", **values))[0]

    async def _project_transfer(self, actor: str, name: str, person: str) -> set[str]:
        values = {"id": self.gid(name), "userId": self.gid(person)}
        return (await self.mutate(actor, "projectTransfer", **values))[0]

    async def _project_archive(self, actor: str, name: str, archived: bool) -> set[str]:
        mutation = "projectArchive" if archived else "projectUnarchive"
        return (await self.mutate(actor, mutation, id=self.gid(name)))[0]

    async def _project_delete(self, actor: str, name: str) -> set[str]:
        return (await self.mutate(actor, "projectDelete", id=self.gid(name)))[0]

    async def _project_restore(self, actor: str, name: str) -> set[str]:
        return (await self.mutate(actor, "projectRestore", id=self.gid(name)))[0]

    async def _comment_create(self, actor: str, new: str, name: str) -> set[str]:
        self.know(new, fresh_id())
        values = {"id": self.gid(new), "taskId": self.gid(name), "body": new}
        return (await self.mutate(actor, "commentCreate", **values))[0]

    async def _comment_update(self, actor: str, key: str) -> set[str]:
        values = {"id": self.gid(key), "body": secrets.token_hex(4)}
        return (await self.mutate(actor, "commentUpdate", **values))[0]

    async def _comment_delete(self, actor: str, key: str) -> set[str]:
        return (await self.mutate(actor, "commentDelete", id=self.gid(key)))[0]

    async def _entry_create(
        self, actor: str, new: str, project: str | None = None, task: str | None = None
    ) -> set[str]:
        self.know(new, fresh_id())
        given = {"projectId": project, "taskId": task}
        values = {key: self.gid(name) for key, name in given.items() if name is not None}
        day = dt.datetime.now(dt.UTC).date().isoformat()
        values |= {"id": self.gid(new)}
        time = {"day": {"day": day, "duration": 60}}
        return (await self.mutate(actor, "timeEntryCreate", time=time, **values))[0]

    async def _entry_delete(self, actor: str, key: str) -> set[str]:
        return (await self.mutate(actor, "timeEntryDelete", id=self.gid(key)))[0]

    async def _user_delete(self, actor: str, heir: str | None = None) -> set[str]:
        """First without `confirm`, which changes nothing and returns how much others would lose."""
        values = {"password": PASSWORD} | ({"transferToId": self.gid(heir)} if heir else {})
        result = "deletedId tasksLostByOthers"
        codes, payload = await self.mutate(actor, "accountDelete", result, **values)
        if not codes:
            self.same("deletedId without confirm", payload["deletedId"], None)
            asked = payload["tasksLostByOthers"]
            codes, payload = await self.mutate(
                actor, "accountDelete", result, confirm=True, **values
            )
            self.same("deletedId", payload["deletedId"], self.gid(actor))
            self.same("tasksLostByOthers", payload["tasksLostByOthers"], asked)
            self.lost_by_others = asked
        return codes

    # --- many at once ----------------------------------------------------------------------------

    async def bulk(
        self, actor: str, operation: str, items: list[tuple[Any, ...]], *, rollback: bool
    ) -> None:
        """`task_assign` or `task_delete` of several tasks, each judged by the state before."""
        before = deepcopy(self.model)
        wanted: list[set[str]] = []
        for item in items:
            try:
                getattr(deepcopy(before), operation)(actor, *item)
                wanted.append(set())
            except Refused as refused:
                wanted.append(refused.codes)
        done = not (rollback and any(wanted))
        # Parents are deleted first, together with their subtasks.
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
        payload = await self._bulk(actor, mutation, named, wanted, rollback=rollback)
        if operation == "task_delete":
            deleted = [self.names[id_] for one in payload["results"] for id_ in one["deletedIds"]]
            went = {name for name, _ in before.living() if self.model.in_trash(name)}
            self.same("deletedIds", sorted(deleted), sorted(went))
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
    ) -> Any:
        deleted = "deletedIds" if mutation == "taskBulkDelete" else ""
        _, payload = await self.mutate(
            actor,
            mutation,
            f"results {{ errors {{ code }} {deleted} }}",
            items=items,
            onError="ROLLBACK" if rollback else "CONTINUE",
        )
        got = [{error["code"] for error in result["errors"]} for result in payload["results"]]
        if not all(
            bool(one) == bool(codes) and one <= codes
            for one, codes in zip(got, wanted, strict=True)
        ):
            self.fail(f"the server answers {[sorted(one) or 'good' for one in got]}")
        return payload

    # --- time ------------------------------------------------------------------------------------

    async def expire(self, key: str) -> None:
        """Let a share expire just after its recipient has read their statistics."""
        share = self.model.shares[key]
        task = self.model.tasks[share.task]
        managers = sorted(p for p in self.model.people if self.model.manages_task(p, share.task))
        if task.trashed_with is not None or self.model.archived(task.project) or not managers:
            return
        before = deepcopy(self.model)
        self.story.append(f"{key} expires")
        for milliseconds in (80, 400, 2_000, 8_000):
            moment = dt.datetime.now(dt.UTC) + dt.timedelta(milliseconds=milliseconds)
            codes, _ = await self.mutate(
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
        async with self.world.services.transactions.begin(NOBODY, now=now, request=request) as work:
            # The worker does this at the moment when the share ends.
            await share_domain.end(work, self.ids[key])
        await self.compare(before)

    async def _total(self, person: str) -> int:
        reply = await self.world.run("{ taskStats { total } }", self.viewers[person])
        return int(reply.good["taskStats"]["total"])

    async def purge(self, *, all_lists: bool = False) -> None:
        """Let 31 days pass for everything in the trash."""
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
            async with self.world.services.transactions.begin(
                NOBODY, now=now, request=request
            ) as work:
                if not any(await trash.purge(work)):
                    break
        self.model.purge()
        await self.compare(before, all_lists=all_lists)

    # --- the end ---------------------------------------------------------------------------------

    async def due_soon(self) -> None:
        """Let all tasks be due in an hour: who is notified sees the task."""
        self.story.append("all tasks are due soon")
        own = {self.ids[name]: name for name in self.model.tasks}
        now = dt.datetime.now(dt.UTC)
        async with self.world.database.session() as session, session.begin():
            due = update(models.Task).where(models.Task.id.in_(own))
            await session.execute(due.values(due_at=now + dt.timedelta(hours=1)))
        request = self.world.request()
        while True:
            async with self.world.services.transactions.begin(
                NOBODY, now=now, request=request
            ) as work:
                if not await reminding.notify_of_due(work):
                    break
        wanted = set()
        for name, task in self.model.living():
            person = task.assignee or task.owner
            is_told = person in self.model.people and self.model.sees_task(person, name)
            if is_told and not self.model.archived(task.project):
                wanted.add((person, name))
        notification = models.Notification
        people = {self.ids[person]: person for person in self.model.people}
        async with self.world.database.session() as session:
            rows = await session.execute(
                select(notification.recipient_id, notification.task_id).where(
                    notification.recipient_id.in_(people),
                    notification.kind == models.NotificationKind.TASK_DUE_SOON,
                )
            )
            told = {(people[person], own[task]) for person, task in rows if task is not None}
        self.same("who is notified of due dates", told, wanted)

    async def finish(self) -> None:
        """Compare who is notified, empty the trash, and compare the open subscriptions with
        `changes`.
        """
        try:
            await self.due_soon()
            await self.purge(all_lists=True)
            await asyncio.gather(*map(self.compare_live, sorted(self.model.people)))
        finally:
            await self.close()
