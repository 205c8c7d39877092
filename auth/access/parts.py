"""What rules are made of: the projects, shares and own tasks of a viewer."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    ScalarSelect,
    Select,
    and_,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.orm import aliased

from auth.access.rule import Who
from db import models
from db.models import Permission, Role


def member_projects(viewer: Who, role: Role = Role.VIEWER) -> Select[UUID]:
    """Ids of the projects in which the viewer has at least this role."""
    member = aliased(models.ProjectMember)
    return select(member.project_id).where(member.user_id == viewer.sql_id, member.role >= role)


def role_in(viewer: Who, project_id: Any) -> ScalarSelect[Role]:
    """The viewer's role in a project, or NULL."""
    member = aliased(models.ProjectMember)
    return (
        select(member.role)
        .where(member.project_id == project_id, member.user_id == viewer.sql_id)
        .scalar_subquery()
    )


def shared_tasks(viewer: Who, permission: Permission = Permission.VIEW) -> Select[UUID]:
    """Ids of the tasks shared with the viewer, with at least this permission, not expired."""
    task_share = aliased(models.TaskShare)
    return select(task_share.task_id).where(
        task_share.user_id == viewer.sql_id,
        task_share.permission >= permission,
        or_(task_share.expires_at.is_(None), task_share.expires_at > func.now()),
    )


def ids_in_projects(
    viewer: Who, model: Any, role: Role = Role.VIEWER, *, most: int
) -> Select[UUID]:
    """Ids of what is in the projects where the viewer has at least this role: of each project, so
    many at most.
    """
    member, thing = aliased(models.ProjectMember), aliased(model)
    inside = (
        select(thing.id)
        .where(thing.project_id == member.project_id)
        .limit(literal_column(str(most), Integer()))
        .lateral()
    )
    return (
        select(inside.c.id)
        .select_from(member)
        .join(inside, true())
        .where(member.user_id == viewer.sql_id, member.role >= role)
    )


def archived_projects() -> Select[UUID]:
    project = aliased(models.Project)
    return select(project.id).where(project.archived_at.is_not(None))


def by_ancestor(task: Any, ids: Select[UUID]) -> ColumnElement[bool]:
    """Whether an ancestor is among these; not looked at for tasks that have none."""
    return and_(task.parent_id.is_not(None), or_(task.parent_id.in_(ids), task.root_id.in_(ids)))


def own_tasks(viewer: Who, *, assigned: bool) -> Select[UUID]:
    task = aliased(models.Task)
    mine = task.owner_id == viewer.sql_id
    if assigned:
        mine = or_(mine, task.assignee_id == viewer.sql_id)
    return select(task.id).where(mine, task.deleted_at.is_(None))
