"""The initial state of a sequence: the rows of a model, and their names."""

from __future__ import annotations

import asyncio
import datetime as dt
import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import insert

from auth.viewer import Viewer
from db import models
from db.base import Base
from domain.tasks import ranks
from graph.core import ids
from tests.factories import World, fresh_id, new_key
from tests.rights.model import Model

TABLES: dict[str, type[Base]] = {
    "P": models.Project,
    "t": models.Task,
    "s": models.TaskShare,
    "c": models.Comment,
    "e": models.TimeEntry,
}


class DisagreementError(AssertionError):
    """The server and the model disagree; the message lists all steps that led to it."""


@dataclass
class Listener:
    """One user's open subscription."""

    events: list[dict[str, Any]] = field(default_factory=list)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Fixtures:
    """The ids of the model's objects, and the history of the sequence."""

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
        # The answer of the last `accountDelete`.
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
        """Remember the id of an object."""
        self.ids[name] = id_
        self.names[self.gid(name)] = name
        return id_

    def gid(self, name: str) -> str:
        """The global id in the API."""
        # Names of objects contain a number, names of users do not.
        table = TABLES[name[0]] if name[-1].isdigit() else models.User
        return ids.encode(table, self.ids[name])

    def named(self, nodes: Iterable[dict[str, Any] | None]) -> set[str]:
        """The names of the objects in an answer."""
        return {self.names[node["id"]] for node in nodes if node}

    # --- the initial state -----------------------------------------------------------------------

    def use_both_access_paths(self) -> None:
        """Make every second user's lists use the candidate set (`graph.core.access_paths`).

        The other users' lists use a scan.
        """
        ways = self.world.services.access_paths
        usual, ways.slow_seconds = ways.slow_seconds, 0
        for person in sorted(self.viewers)[::2]:
            for model in (models.Task, models.TimeEntry):
                ways.record_scan(self.viewers[person], model, 1.0)
        ways.slow_seconds = usual

    async def write(self) -> None:
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

    # --- failing ---------------------------------------------------------------------------------

    def same(self, what: str, given: Any, wanted: Any) -> None:
        """Fail unless the server's answer equals the model's."""
        if given == wanted:
            return
        if isinstance(given, set):
            more, less = sorted(given - wanted), sorted(wanted - given)
            self.fail(f"{what}: the server has {more} too many, and lacks {less}")
        self.fail(f"{what}: the server has {given}, the model {wanted}")

    def fail(self, problem: str) -> None:
        """Raise an error with all steps that led to it."""
        raise DisagreementError("\n".join([problem, *self.story]))
