"""The access rules in plain Python: who may see, edit, delete and share what.

This module imports nothing of the server. `Rules` contains users, projects, tasks and what belongs
to them, under short names ("ann", "P1", "t3").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

PEOPLE = ("ann", "bob", "cleo", "dan", "eve", "finn")
MAX_LEVELS = 3


class Role(IntEnum):
    """Each role includes the rights of the lower ones."""

    VIEWER = 1
    EDITOR = 2
    ADMIN = 3
    OWNER = 4


@dataclass
class Project:
    """Exactly one member is the OWNER."""

    members: dict[str, Role]
    archived: bool = False
    trashed: bool = False

    @property
    def owner(self) -> str:
        """The one owner."""
        return next(person for person, role in self.members.items() if role is Role.OWNER)


@dataclass
class Task:
    """`trashed_with`: the task, project or user whose deletion moved it to the trash."""

    owner: str
    project: str | None = None
    parent: str | None = None
    assignee: str | None = None
    trashed_with: str | None = None


@dataclass
class Share:
    """One per task and user; an expired share grants no right."""

    task: str
    person: str
    edit: bool
    by: str
    expired: bool = False


@dataclass
class Comment:
    """On a task."""

    task: str
    author: str


@dataclass
class Entry:
    """A time entry. `project` is that of the task, if it has one."""

    person: str
    project: str | None = None
    task: str | None = None


class Right(NamedTuple):
    """The right of `person` to do this with this object."""

    person: str
    verb: str
    thing: str


@dataclass
class Rules:
    """What there is, and who may do what with it."""

    people: set[str] = field(default_factory=lambda: set(PEOPLE))
    projects: dict[str, Project] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    shares: dict[str, Share] = field(default_factory=dict)
    comments: dict[str, Comment] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = []
        for name, project in self.projects.items():
            members = ", ".join(
                f"{one} {role.name}" for one, role in sorted(project.members.items())
            )
            state = " archived" * project.archived + " trashed" * project.trashed
            lines.append(f"{name}{state}: {members}")
        for name, task in self.tasks.items():
            place = task.project or "personal"
            lines.append(
                f"{name}: of {task.owner}, {place}"
                + (f", below {task.parent}" if task.parent else "")
                + (f", assigned to {task.assignee}" if task.assignee else "")
                + (f", trashed with {task.trashed_with}" if task.trashed_with else "")
            )
        for key, share in self.shares.items():
            verb = "edit" if share.edit else "view"
            lines.append(f"{key}: {share.task} to {share.person}, {verb}, by {share.by}")
        return "\n".join(lines)

    # --- rights ----------------------------------------------------------------------------------

    def role(self, person: str, project: str | None) -> Role | int:
        """The user's role; 0 without a membership, and without a project."""
        return 0 if project is None else self.projects[project].members.get(person, 0)

    def owns(self, person: str, task: Task) -> bool:
        """Whether the user owns the task. In a project, this requires a membership."""
        return task.owner == person and (
            task.project is None or bool(self.role(person, task.project))
        )

    def shared(self, person: str, name: str, *, edit: bool = False) -> bool:
        """Whether a share that has not expired gives this user access to the task."""
        return any(
            share.task == name and share.person == person and share.edit >= edit
            for share in self.shares.values()
            if not share.expired
        )

    def sees_task(self, person: str, name: str) -> bool:
        """Whether the user sees the task, ignoring the trash."""
        task = self.tasks[name]
        return bool(
            self.role(person, task.project)
            or (task.project is None and task.owner == person)
            or task.assignee == person
            or self.shared(person, name)
            or (task.parent is not None and self.sees_task(person, task.parent))
        )

    def hides(self, person: str, name: Any) -> bool:
        """Whether this is a task or a project that does not exist for the user."""
        if name in self.tasks:
            task = self.tasks[name]
            return task.trashed_with is not None or not self.sees_task(person, name)
        if name in self.projects:
            return self.projects[name].trashed or not self.role(person, name)
        return False

    def edits_task(self, person: str, name: str) -> bool:
        """Whether the user may edit the task, ignoring the archive."""
        task = self.tasks[name]
        return bool(
            self.role(person, task.project) >= Role.EDITOR
            or (task.project is None and task.owner == person)
            or task.assignee == person
            or self.shared(person, name, edit=True)
            or (task.parent is not None and self.edits_task(person, task.parent))
        )

    def manages_task(self, person: str, name: str) -> bool:
        """Whether the user may delete and share the task, ignoring the archive."""
        task = self.tasks[name]
        return self.owns(person, task) or self.role(person, task.project) >= Role.ADMIN

    def archived(self, project: str | None) -> bool:
        """Whether it is read-only; a personal task is never read-only."""
        return project is not None and self.projects[project].archived

    def sees_entry(self, person: str, entry: Entry) -> bool:
        """Whether the user sees the entry: its own user, or owner and admins of its project."""
        project = entry.project
        return entry.person == person or (
            project is not None
            and not self.projects[project].trashed
            and self.role(person, project) >= Role.ADMIN
        )

    def rights(self) -> set[Right]:
        """All users' rights on all objects that are not in the trash."""
        return {
            Right(person, verb, thing)
            for person in self.people
            for thing, verbs in self._rights_of(person)
            for verb in verbs
        }

    def _rights_of(self, person: str) -> Iterator[tuple[str, list[str]]]:
        for name, project in self.projects.items():
            role = self.role(person, name)
            if role and not project.trashed:
                change = role >= Role.ADMIN and not project.archived
                yield name, _verbs(True, edit=change, delete=role is Role.OWNER, share=change)
        for name, task in self.living():
            open_ = not self.archived(task.project)
            manage = open_ and self.manages_task(person, name)
            yield (
                name,
                _verbs(
                    self.sees_task(person, name),
                    edit=open_ and self.edits_task(person, name),
                    delete=manage,
                    share=manage,
                ),
            )
        for name, share in self.shares.items():
            task = self.tasks[share.task]
            if task.trashed_with is None:
                manager = self.manages_task(person, share.task)
                own = share.person == person
                change = manager and not self.archived(task.project)
                yield name, _verbs(manager or own, edit=change, delete=own or change)
        for name, comment in self.comments.items():
            task = self.tasks[comment.task]
            if task.trashed_with is None and self.sees_task(person, comment.task):
                open_ = not self.archived(task.project)
                own = comment.author == person
                yield (
                    name,
                    _verbs(
                        True, edit=own and open_, delete=open_ and (own or self.owns(person, task))
                    ),
                )
        for name, entry in self.entries.items():
            own = entry.person == person and not self.archived(entry.project)
            yield name, _verbs(self.sees_entry(person, entry), edit=own)

    def may_restore(self) -> set[Right]:
        """Rights on objects in the trash: a user who may delete a task may restore it."""
        return {
            Right(person, "delete", name)
            for person in self.people
            for name, task in self.tasks.items()
            if task.trashed_with is not None and self.manages_task(person, name)
        }

    def trash(self, person: str) -> set[str]:
        """What is in the trash and this user may restore."""
        tasks = {right.thing for right in self.may_restore() if right.person == person}
        return tasks | {
            name
            for name, project in self.projects.items()
            if project.trashed and project.owner == person
        }

    def in_trash(self, thing: str) -> bool:
        """Whether a task or project is in the trash."""
        if thing in self.projects:
            return self.projects[thing].trashed
        return thing in self.tasks and self.tasks[thing].trashed_with is not None

    def living(self) -> list[tuple[str, Task]]:
        """The tasks that are not in the trash."""
        return [(name, task) for name, task in self.tasks.items() if task.trashed_with is None]

    # --- structure -------------------------------------------------------------------------------

    def children(self, name: str) -> list[str]:
        """The tasks directly below that are not in the trash."""
        return [child for child, task in self.living() if task.parent == name]

    def below(self, name: str, *, trashed: bool = False) -> list[str]:
        """The tasks below, on all levels, without or with those in the trash."""
        children = [one for one, task in self.tasks.items() if task.parent == name]
        return [
            deep
            for child in children
            if trashed or self.tasks[child].trashed_with is None
            for deep in (child, *self.below(child, trashed=trashed))
        ]

    def above(self, name: str) -> list[str]:
        """All ancestors, the nearest first."""
        parent = self.tasks[name].parent
        return [] if parent is None else [parent, *self.above(parent)]

    def _height(self, name: str) -> int:
        """The number of levels, 1 for a task without subtasks. Those in the trash count: they may
        be restored.
        """
        below = [child for child, task in self.tasks.items() if task.parent == name]
        return 1 + max(map(self._height, below), default=0)


def _verbs(see: bool, **others: bool) -> list[str]:
    return (["see"] if see else []) + [verb for verb, allowed in others.items() if see and allowed]
