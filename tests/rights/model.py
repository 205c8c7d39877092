"""The contract as a program, to compare the server with: the access rules, and each operation.

This module imports nothing of the server. A `Model` answers two questions:

- `rights()`: who may see, edit, delete and share what, now.
- each operation (`task_move`, `member_remove`, …): is it accepted, and what does it change? An
  operation that is refused raises `Refused` with the error codes that are correct answers (several
  if several rules are broken).

One rule guards every operation that moves objects (`_structure`): no user may gain a right on a
task unless the actor may share that task.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from copy import deepcopy
from typing import Any

from tests.rights.rules import MAX_LEVELS, Comment, Entry, Project, Right, Role, Rules, Share, Task


class Refused(Exception):  # noqa: N818 - the server's term
    """An operation that the contract does not allow; any of `codes` is a correct answer."""

    def __init__(self, *codes: str) -> None:
        super().__init__(", ".join(codes))
        self.codes = set(codes)


class Model(Rules):
    """See the module's docstring."""

    # --- structure -------------------------------------------------------------------------------

    def forbidden_gains(
        self, actor: str, after: Model, assignees: Collection[str | None] = ()
    ) -> set[Right]:
        """Rights on tasks that a user would gain although the actor may not share the task.

        Every editor of a task may assign it to a user who can see it, who may then edit it.
        """
        gained = (after.rights() | after.may_restore()) - (self.rights() | self.may_restore())
        return {
            right
            for right in gained
            if right.thing in self.tasks
            and not self.manages_task(actor, right.thing)
            and not (
                right.person in assignees
                and right.verb == "edit"
                and self.sees_task(right.person, right.thing)
            )
        }

    def _structure(
        self, actor: str, change: Callable[[Model], Any], assignees: Collection[str | None] = ()
    ) -> None:
        """Make a change of structure, unless it grants a right that the actor cannot grant."""
        after = deepcopy(self)
        change(after)
        if self.forbidden_gains(actor, after, assignees):
            raise Refused("FORBIDDEN")
        change(self)

    # --- demands ---------------------------------------------------------------------------------

    def _task(self, actor: str, name: str) -> Task:
        task = self.tasks.get(name)
        if task is None or task.trashed_with is not None or not self.sees_task(actor, name):
            raise Refused("NOT_FOUND")
        return task

    def _editable(self, actor: str, name: str) -> Task:
        task = self._task(actor, name)
        self._demand(self.edits_task(actor, name), task.project)
        return task

    def _manageable(self, actor: str, name: str) -> Task:
        task = self._task(actor, name)
        self._demand(self.manages_task(actor, name), task.project)
        return task

    def _demand(self, allowed: bool, project: str | None) -> None:
        """Raise `FORBIDDEN` without the right, `PROJECT_ARCHIVED` if only that prevents it."""
        if not allowed:
            raise Refused("FORBIDDEN")
        if self.archived(project):
            raise Refused("PROJECT_ARCHIVED")

    def _project(self, actor: str, name: str, least: Role, *, archived: bool = False) -> Project:
        """A project in which the actor has this role; `archived`: ignore the archive."""
        project = self.projects[name]
        if project.trashed or not self.role(actor, name):
            raise Refused("NOT_FOUND")
        self._demand(self.role(actor, name) >= least, None if archived else name)
        return project

    # --- tasks -----------------------------------------------------------------------------------

    def task_create(
        self,
        actor: str,
        new: str,
        project: str | None = None,
        parent: str | None = None,
        assignee: str | None = None,
    ) -> None:
        """Create a task. A subtask is in its parent's project, or belongs to its parent's owner."""
        owner = actor
        if parent is not None:
            above = self._editable(actor, parent)
            if len(self.above(parent)) + 2 > MAX_LEVELS:
                raise Refused("LIMIT_EXCEEDED")
            project = above.project
            owner = above.owner if project is None else actor
        elif project is not None:
            self._project(actor, project, Role.EDITOR)
        self.tasks[new] = Task(owner, project, parent)
        if assignee is not None:
            if not self.sees_task(assignee, new) and not self.manages_task(actor, new):
                del self.tasks[new]
                raise Refused("FORBIDDEN")
            self.tasks[new].assignee = assignee

    def task_rename(self, actor: str, name: str) -> None:
        """Change a field that does not affect rights."""
        self._editable(actor, name)

    def task_reparent(self, actor: str, name: str, parent: str | None) -> None:
        """Change the parent within one project, or among the personal tasks of one owner."""
        task = self._editable(actor, name)
        if parent is not None:
            above = self._editable(actor, parent)
            if above.project != task.project:
                raise Refused("BAD_USER_INPUT")
            if name in (parent, *self.above(parent)):
                raise Refused("BAD_USER_INPUT")
            codes = []
            if task.project is None and above.owner != task.owner:
                codes.append("FORBIDDEN")
            if len(self.above(parent)) + 1 + self._height(name) > MAX_LEVELS:
                codes.append("LIMIT_EXCEEDED")
            if codes:
                raise Refused(*codes, "FORBIDDEN")

        def change(model: Model) -> None:
            model.tasks[name].parent = parent

        self._structure(actor, change)

    def task_assign(self, actor: str, name: str, person: str | None) -> None:
        """Assign a user. If they cannot see the task and its subtasks, this shares them."""
        self._editable(actor, name)

        def change(model: Model) -> None:
            model.tasks[name].assignee = person

        self._structure(actor, change, assignees=[person])

    def task_move(self, actor: str, name: str, project: str | None) -> None:
        """Move a task to another project, or out of any (None). Subtasks follow; it has no parent.

        Editors of both projects may move a task, no matter who gains access by it. A task that
        leaves its project becomes personal, with everything below it. Time entries stay where they
        were tracked.
        """
        task = self._editable(actor, name)
        if project == task.project:
            return
        codes: set[str] = set()
        if task.owner != actor and None in (project, task.project):
            codes.add("FORBIDDEN")
        if task.project is not None and self.role(actor, task.project) < Role.EDITOR:
            codes.add("FORBIDDEN")
        if project is not None:
            try:
                self._project(actor, project, Role.EDITOR)
            except Refused as refused:
                codes |= refused.codes
        if codes:
            raise Refused(*codes)

        def change(model: Model) -> None:
            model.tasks[name].parent = None
            for one in (name, *model.below(name, trashed=True)):
                model.tasks[one].project = project
                if project is None:
                    model.tasks[one].owner = actor

        if project is None:
            self._structure(actor, change)
        else:
            change(self)

    def task_delete(self, actor: str, name: str, *, move_up: bool = False) -> None:
        """Delete a task with its subtasks, which requires the right to delete each; or move them
        one level up.
        """
        task = self._manageable(actor, name)
        below = self.below(name)
        if move_up:
            for child in self.children(name):
                self.tasks[child].parent = task.parent
            below = []
        elif not all(self.manages_task(actor, one) for one in below):
            raise Refused("FORBIDDEN")
        for one in (name, *below):
            self.tasks[one].trashed_with = name

    def task_restore(self, actor: str, name: str) -> None:
        """Restore a task with what was deleted with it; requires the right to delete each."""
        task = self.tasks[name]
        if task.trashed_with is None or not self.manages_task(actor, name):
            raise Refused("NOT_FOUND")
        codes = {"PROJECT_ARCHIVED"} if self.archived(task.project) else set()
        if (
            task.trashed_with != name
            or (task.project is not None and self.projects[task.project].trashed)
            or (task.parent is not None and self.tasks[task.parent].trashed_with is not None)
        ):
            codes.add("BAD_USER_INPUT")
        if codes:
            raise Refused(*codes)

        def change(model: Model) -> None:
            model._restore(name)

        self._structure(actor, change)

    def _restore(self, what: str) -> None:
        for task in self.tasks.values():
            if task.trashed_with == what:
                task.trashed_with = None

    # --- shares ----------------------------------------------------------------------------------

    def share_create(self, actor: str, new: str, name: str, person: str, *, edit: bool) -> None:
        """Share a task: one share per task and user; an expired one is replaced."""
        task = self._manageable(actor, name)
        if person == actor or self.owns(person, task):
            raise Refused("SELF_SHARE")
        before = [k for k, s in self.shares.items() if (s.task, s.person) == (name, person)]
        if any(not self.shares[key].expired for key in before):
            raise Refused("ALREADY_EXISTS")

        def change(model: Model) -> None:
            for key in before:
                del model.shares[key]
            model.shares[new] = Share(name, person, edit, actor)

        self._structure(actor, change)

    def _share(self, actor: str, key: str) -> Share:
        share = self.shares[key]
        task = self.tasks[share.task]
        if task.trashed_with is not None or not (
            share.person == actor or self.manages_task(actor, share.task)
        ):
            raise Refused("NOT_FOUND")
        return share

    def share_update(self, actor: str, key: str, *, edit: bool) -> None:
        """View or edit."""
        share = self._share(actor, key)
        self._demand(self.manages_task(actor, share.task), self.tasks[share.task].project)

        def change(model: Model) -> None:
            model.shares[key].edit = edit

        self._structure(actor, change)

    def share_expire(self, key: str) -> None:
        """Time passes."""
        self.shares[key].expired = True

    def share_delete(self, actor: str, key: str) -> None:
        """Delete a share. Recipients may give up theirs, in an archived project too."""
        share = self._share(actor, key)
        if share.person != actor:
            self._demand(self.manages_task(actor, share.task), self.tasks[share.task].project)
        del self.shares[key]

    # --- projects --------------------------------------------------------------------------------

    def member_add(self, actor: str, name: str, person: str, role: Role) -> None:
        """Add a member, who sees, and depending on the role edits, every task of the project."""
        project = self._project(actor, name, Role.ADMIN)
        if person in project.members:
            raise Refused("ALREADY_EXISTS")
        project.members[person] = role

    def member_update(self, actor: str, name: str, person: str, role: Role) -> None:
        """Change a role. The owner's role changes only by a transfer."""
        project = self._project(actor, name, Role.ADMIN)
        if project.members[person] is Role.OWNER:
            raise Refused("FORBIDDEN")
        project.members[person] = role

    def member_remove(self, actor: str, name: str, person: str) -> None:
        """Remove a member, or leave, in an archived project too. Ends assignments, also of tasks
        in the trash.
        """
        least = Role.VIEWER if person == actor else Role.ADMIN
        project = self._project(actor, name, least, archived=True)
        if project.members[person] is Role.OWNER:
            raise Refused("FORBIDDEN")
        self._leave(name, person)

    def _leave(self, name: str, person: str) -> None:
        del self.projects[name].members[person]
        for task in self.tasks.values():
            if task.project == name and task.assignee == person:
                task.assignee = None

    def project_transfer(self, actor: str, name: str, person: str) -> None:
        """Transfer a project to another member; the previous owner becomes an admin."""
        project = self._project(actor, name, Role.OWNER, archived=True)
        if person not in project.members or person == actor:
            raise Refused("BAD_USER_INPUT")
        project.members[actor] = Role.ADMIN
        project.members[person] = Role.OWNER

    def project_archive(self, actor: str, name: str, archived: bool) -> None:
        """Make a project read-only, or open it again."""
        self._project(actor, name, Role.ADMIN, archived=True).archived = archived

    def project_delete(self, actor: str, name: str) -> None:
        """Delete a project with its tasks."""
        project = self._project(actor, name, Role.OWNER, archived=True)
        self._trash_project(project, name)

    def _trash_project(self, project: Project, name: str) -> None:
        project.trashed = True
        for _, task in self.living():
            if task.project == name:
                task.trashed_with = name

    def project_restore(self, actor: str, name: str) -> None:
        """Restore a project with the tasks that were deleted with it."""
        project = self.projects[name]
        if not project.trashed or project.owner != actor:
            raise Refused("NOT_FOUND")
        project.trashed = False
        self._restore(name)

    # --- comments and time -----------------------------------------------------------------------

    def comment_create(self, actor: str, new: str, name: str) -> None:
        """Write a comment; every user who sees the task may do so."""
        task = self._task(actor, name)
        self._demand(True, task.project)
        self.comments[new] = Comment(name, actor)

    def _comment(self, actor: str, key: str) -> tuple[Comment, Task]:
        comment = self.comments[key]
        return comment, self._task(actor, comment.task)

    def comment_update(self, actor: str, key: str) -> None:
        """Its author."""
        comment, task = self._comment(actor, key)
        self._demand(comment.author == actor, task.project)

    def comment_delete(self, actor: str, key: str) -> None:
        """Delete a comment; allowed for its author and the task's owner."""
        comment, task = self._comment(actor, key)
        self._demand(comment.author == actor or self.owns(actor, task), task.project)
        del self.comments[key]

    def entry_create(
        self, actor: str, new: str, project: str | None = None, task: str | None = None
    ) -> None:
        """Create a time entry in a project or on a task that the user sees."""
        if task is not None:
            project = self._task(actor, task).project
            self._demand(True, project)
        elif project is not None:
            self._project(actor, project, Role.VIEWER)
        self.entries[new] = Entry(actor, project, task)

    def entry_delete(self, actor: str, key: str) -> None:
        """Delete the user's own time entry."""
        entry = self.entries[key]
        if not self.sees_entry(actor, entry):
            raise Refused("NOT_FOUND")
        self._demand(entry.person == actor, entry.project)
        del self.entries[key]

    # --- the end ---------------------------------------------------------------------------------

    def user_delete(self, actor: str, heir: str | None = None) -> None:
        """Delete an account. Personal tasks go to the heir if the heir sees them, or else to the
        trash. Projects with other members must be handed over before.
        """
        for project in self.projects.values():
            if not project.trashed and project.owner == actor and len(project.members) > 1:
                raise Refused("FORBIDDEN")
        own = [n for n, task in self.living() if task.project is None and task.owner == actor]
        kept = [name for name in own if heir is not None and self.sees_task(heir, name)]
        if heir is not None and (heir == actor or (own and not kept)):
            raise Refused("BAD_USER_INPUT")
        for name, project in self.projects.items():
            if project.owner != actor:
                if actor in project.members:
                    self._leave(name, actor)
            elif not project.trashed:
                self._trash_project(project, name)
        for name in own:
            task = self.tasks[name]
            if heir is not None and name in kept:
                task.owner = heir
                task.parent = task.parent if task.parent in kept else None
            else:
                task.trashed_with = actor
        for task in self.tasks.values():
            if task.assignee == actor:
                task.assignee = None
        for key, share in list(self.shares.items()):
            if share.person == actor or (share.person == heir and share.task in kept):
                del self.shares[key]
        self.people.discard(actor)

    def purge(self) -> None:
        """Delete everything in the trash for good. Time entries stay with their user."""
        gone = {name for name, task in self.tasks.items() if task.trashed_with is not None}
        gone |= {name for name, project in self.projects.items() if project.trashed}
        for things in (self.projects, self.tasks):
            for name in gone & things.keys():
                del things[name]
        for key, share in list(self.shares.items()):
            if share.task in gone:
                del self.shares[key]
        for key, comment in list(self.comments.items()):
            if comment.task in gone:
                del self.comments[key]
        for entry in self.entries.values():
            entry.task = None if entry.task in gone else entry.task
            entry.project = None if entry.project in gone else entry.project
