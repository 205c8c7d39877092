"""How users get permissions on tasks and time entries, each source declared once.

A source says which rows give a permission to whom (`Grants`): a membership gives it on what is in
the project, a share on the task and everything below it, the column `assignee_id` on the task
itself. Three things are derived from the same list of sources, so that they cannot differ:

- `allowed`: the predicate "this viewer has the permission on this row", the OR of all sources;
- `candidates`: the IDs of the rows that a viewer can see, each source through its own index;
- `holders`: all users with permissions on some tasks (`domain.rights_change`).

Subtasks nest three levels at most, so the ancestors of a task are `parent_id` and `root_id`, and no
statement is recursive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Integer,
    Select,
    and_,
    any_,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import aliased

from auth.viewer import Viewer, ViewerColumn
from db import models

Who = Viewer | ViewerColumn


class Right(Enum):
    """The permissions that a source can give. `MANAGE` means deleting and sharing."""

    SEE = "see"
    EDIT = "edit"
    MANAGE = "manage"


@dataclass(frozen=True, slots=True)
class Grants:
    """Rows that give permissions to `person` if `where` holds. `key` is the ID of the task or
    project.
    """

    person: Any
    key: Any
    where: Sequence[ColumnElement[bool]] = ()
    see: ColumnElement[bool] | None = None
    edit: ColumnElement[bool] | None = None
    manage: ColumnElement[bool] | None = None

    def giving(self, right: Right) -> list[ColumnElement[bool]] | None:
        """The conditions under which a row gives a permission; None if it never does."""
        gives: ColumnElement[bool] | None = getattr(self, right.value)
        if gives is None:
            return None
        return [*self.where, gives]


@dataclass(frozen=True, slots=True)
class ByRow:
    """A source in rows of another table, whose key is the task's ID or its project."""

    grants: Callable[[], Grants]
    on: str = "id"
    below: bool = False

    def itself(self, viewer: Who, thing: Any, right: Right) -> ColumnElement[bool] | None:
        """Whether the viewer has the permission on the row itself, ignoring its ancestors."""
        keys = self.keys(viewer, right)
        return None if keys is None else getattr(thing, self.on).in_(keys)

    def keys(self, viewer: Who, right: Right) -> Select[UUID] | None:
        """The keys on which the viewer has the permission."""
        grants = self.grants()
        conditions = grants.giving(right)
        if conditions is None:
            return None
        return select(grants.key).where(grants.person == viewer.sql_id, *conditions)

    def above(self, viewer: Who, thing: Any, right: Right) -> ColumnElement[bool] | None:
        """Whether the viewer has the permission on an ancestor of the row."""
        grants = self.grants()
        conditions = grants.giving(right)
        if conditions is None:
            return None
        return (
            select(grants.key)
            .where(grants.key == _ancestors(thing), grants.person == viewer.sql_id, *conditions)
            .exists()
        )

    def ids(self, viewer: Who, model: Any, right: Right, most: int) -> Select[UUID] | None:
        """The IDs of the rows, at most `most` of each project."""
        if self.on == "id":
            return self.keys(viewer, right)
        grants = self.grants()
        conditions = grants.giving(right)
        if conditions is None:
            return None
        thing = aliased(model)
        inside = (
            select(thing.id)
            .where(getattr(thing, self.on) == grants.key)
            .limit(literal_column(str(most), Integer()))
            .lateral()
        )
        return (
            select(inside.c.id)
            .select_from(grants.key.parent.entity)
            .join(inside, true())
            .where(grants.person == viewer.sql_id, *conditions)
        )

    def join(self, viewer: Who, thing: Any) -> tuple[Any, ColumnElement[bool]] | None:
        """The table whose rows give the viewer the permission to see, and how it joins them: at
        most one row for each. None if that is not by what they are in.
        """
        grants = self.grants()
        conditions = grants.giving(Right.SEE)
        if self.on == "id" or conditions is None:
            return None
        key: ColumnElement[bool] = grants.key == getattr(thing, self.on)
        return grants.key.parent.entity, and_(key, grants.person == viewer.sql_id, *conditions)

    def pairs(self, task: Any) -> list[tuple[Grants, ColumnElement[bool]]]:
        """The users with permissions on tasks, and how their rows join the tasks."""
        columns = [self.on, *(("parent_id", "root_id") if self.below else ())]
        found = []
        for column in columns:
            grants = self.grants()
            found.append((grants, grants.key == getattr(task, column)))
        return found


@dataclass(frozen=True, slots=True)
class ByColumn:
    """A source in a column of the row itself."""

    grants: Callable[[Any], Grants]
    model: Any
    below: bool = False

    def itself(self, viewer: Who, thing: Any, right: Right) -> ColumnElement[bool] | None:
        """See `ByRow`."""
        grants = self.grants(thing)
        conditions = grants.giving(right)
        return None if conditions is None else and_(grants.person == viewer.sql_id, *conditions)

    def keys(self, viewer: Who, right: Right) -> Select[UUID] | None:
        """See `ByRow`."""
        thing = aliased(self.model)
        condition = self.itself(viewer, thing, right)
        return None if condition is None else select(thing.id).where(condition)

    def above(self, viewer: Who, thing: Any, right: Right) -> ColumnElement[bool] | None:
        """See `ByRow`."""
        ancestor = aliased(self.model)
        grants = self.grants(ancestor)
        conditions = grants.giving(right)
        if conditions is None:
            return None
        # The viewer is compared outside: inside, PostgreSQL could go through all of the viewer's
        # rows in search of the two ancestors.
        people = select(grants.person).where(grants.key == _ancestors(thing), *conditions)
        return viewer.sql_id == any_(func.array(people.scalar_subquery()))

    def ids(self, viewer: Who, _model: Any, right: Right, _most: int) -> Select[UUID] | None:
        """See `ByRow`."""
        return self.keys(viewer, right)

    def pairs(self, task: Any) -> list[tuple[Grants, ColumnElement[bool]]]:
        """See `ByRow`."""
        found: list[tuple[Grants, ColumnElement[bool]]] = []
        for column in ["id", *(("parent_id", "root_id") if self.below else ())]:
            above = aliased(self.model)
            found.append((self.grants(above), above.id == getattr(task, column)))
        return found


GrantSource = ByRow | ByColumn


def allowed(
    sources: Sequence[GrantSource], viewer: Who, thing: Any, right: Right
) -> ColumnElement[bool]:
    """Whether the viewer has the permission on the row by any source."""
    found = [source.itself(viewer, thing, right) for source in sources]
    above = [source.above(viewer, thing, right) for source in sources if source.below]
    if above:
        # Skipped for tasks without a parent.
        given = (condition for condition in above if condition is not None)
        found.append(and_(thing.parent_id.is_not(None), or_(false(), *given)))
    return or_(false(), *(condition for condition in found if condition is not None))


def _ancestors(thing: Any) -> ColumnElement[Any]:
    # `= ANY (ARRAY[…])` is always a look-up by key for the row at hand. From `IN (SELECT …)`,
    # PostgreSQL would first build the set of all tasks on which the viewer has the permission.
    return any_(array([thing.parent_id, thing.root_id]))


def candidates(
    sources: Sequence[GrantSource], viewer: Viewer, model: Any, *, most: int
) -> CompoundSelect[UUID]:
    """The IDs of all rows that the viewer can see from any source, with duplicates."""
    found = [source.ids(viewer, model, Right.SEE, most) for source in sources]
    found += [
        _ids_below(sources, viewer, model, ancestor)
        for ancestor in ("parent_id", "root_id")
        if any(source.below for source in sources)
    ]
    return union_all(*(ids for ids in found if ids is not None))


def _ids_below(
    sources: Sequence[GrantSource], viewer: Viewer, model: Any, ancestor: str
) -> Select[UUID]:
    keys = [source.keys(viewer, Right.SEE) for source in sources if source.below]
    above = union_all(*(ids for ids in keys if ids is not None)).subquery()
    task = aliased(model)
    below = select(task.id).where(getattr(task, ancestor) == above.c[0]).lateral()
    return select(below.c.id).select_from(above).join(below, true())


def holders(sources: Sequence[GrantSource], task: Any, among: ColumnElement[bool]) -> Select[Any]:
    """All users with permissions on the tasks that match `among`: `task_id`, `person_id`, `sees`,
    `edits`, `manages`; one row per pair.
    """
    rows = []
    for source in sources:
        for grants, join in source.pairs(task):
            given = [
                (false() if getattr(grants, right.value) is None else getattr(grants, right.value))
                for right in Right
            ]
            rows.append(
                select(
                    task.id.label("task_id"),
                    grants.person.label("person_id"),
                    *(one.label(right.value) for one, right in zip(given, Right, strict=True)),
                ).where(among, join, *grants.where)
            )
    found = union_all(*rows).subquery("found")
    return (
        select(
            found.c.task_id,
            found.c.person_id,
            func.bool_or(found.c.see).label("sees"),
            func.bool_or(found.c.edit).label("edits"),
            func.bool_or(found.c.manage).label("manages"),
        )
        .where(found.c.person_id.is_not(None))
        .group_by(found.c.task_id, found.c.person_id)
    )


# --- the sources ---------------------------------------------------------------------------------


def _members() -> Grants:
    member = aliased(models.ProjectMember)
    role = models.Role
    return Grants(
        member.user_id,
        member.project_id,
        see=member.role >= role.VIEWER,
        edit=member.role >= role.EDITOR,
        manage=member.role >= role.ADMIN,
    )


def _owners_of_personal(task: Any) -> Grants:
    return Grants(
        task.owner_id,
        task.id,
        where=[task.project_id.is_(None)],
        see=true(),
        edit=true(),
        manage=true(),
    )


def _owners_who_are_members(task: Any) -> Grants:
    # In a project, ownership counts only while the owner is a member, who sees the task anyway. It
    # gives no permission on subtasks.
    member = aliased(models.ProjectMember)
    is_member = (
        select(member.id)
        .where(member.project_id == task.project_id, member.user_id == task.owner_id)
        .exists()
    )
    return Grants(task.owner_id, task.id, where=[is_member], manage=true())


def _assignees(task: Any) -> Grants:
    return Grants(task.assignee_id, task.id, see=true(), edit=true())


def shares() -> Grants:
    """Shares that have not expired."""
    share = aliased(models.TaskShare)
    return Grants(
        share.user_id,
        share.task_id,
        where=[or_(share.expires_at.is_(None), share.expires_at > func.now())],
        see=share.permission >= models.Permission.VIEW,
        edit=share.permission >= models.Permission.EDIT,
    )


BY_MEMBERSHIP = ByRow(_members, on="project_id")
BY_OWNERSHIP = ByColumn(_owners_of_personal, models.Task)
BY_SHARE = ByRow(shares, below=True)
TASK_GRANTS: tuple[GrantSource, ...] = (
    BY_MEMBERSHIP,
    BY_OWNERSHIP,
    ByColumn(_owners_who_are_members, models.Task),
    ByColumn(_assignees, models.Task, below=True),
    BY_SHARE,
)


def _own_entries(entry: Any) -> Grants:
    return Grants(entry.user_id, entry.id, see=true(), edit=true(), manage=true())


def _managers_of_projects() -> Grants:
    member, project = aliased(models.ProjectMember), aliased(models.Project)
    # The entries of a project in the trash are hidden with it.
    living = (
        select(project.id)
        .where(project.id == member.project_id, project.deleted_at.is_(None))
        .exists()
    )
    return Grants(
        member.user_id,
        member.project_id,
        where=[living],
        see=member.role >= models.Role.ADMIN,
    )


BY_MANAGED_PROJECT = ByRow(_managers_of_projects, on="project_id")
TIME_ENTRY_GRANTS: tuple[GrantSource, ...] = (
    ByColumn(_own_entries, models.TimeEntry),
    BY_MANAGED_PROJECT,
)
