"""Parts of rules: the projects of a viewer, and those that are read-only or deleted."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import ScalarSelect, Select, select
from sqlalchemy.orm import aliased

from auth.access.grants import Who
from db import models
from db.models import Role


def member_projects(viewer: Who, role: Role = Role.VIEWER) -> Select[UUID]:
    """IDs of the projects in which the viewer has at least this role."""
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


def archived_projects() -> Select[UUID]:
    project = aliased(models.Project)
    return select(project.id).where(project.archived_at.is_not(None))


def trashed_projects() -> Select[UUID]:
    project = aliased(models.Project)
    return select(project.id).where(project.deleted_at.is_not(None))
