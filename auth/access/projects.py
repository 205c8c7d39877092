"""Rights on projects and their members."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    any_,
    select,
)
from sqlalchemy.orm import aliased

from auth.access.parts import member_projects
from auth.access.rule import RULES, Predicate, Rule, Who
from auth.access.tasks import in_projects
from auth.viewer import Viewer
from db import models
from db.models import Role


def _project_with(role: Role) -> Predicate:
    return lambda viewer, project: project.id.in_(member_projects(viewer, role))


def _is_project_of(viewer: Who, project: Any) -> ColumnElement[bool]:
    assert isinstance(viewer, Viewer)
    inside: ColumnElement[bool] = project.id == any_(viewer.sql_projects)
    return inside


def _member_with(role: Role) -> Predicate:
    return lambda viewer, member: member.project_id.in_(member_projects(viewer, role))


RULES[models.Project] = Rule(
    read=_project_with(Role.VIEWER),
    edit=_project_with(Role.ADMIN),
    delete=_project_with(Role.OWNER),
    share=_project_with(Role.ADMIN),
    within=_is_project_of,
    noun="project",
)
RULES[models.ProjectMember] = Rule(
    read=lambda viewer, member: and_(
        member.project_id.in_(member_projects(viewer)),
        # The members of a project in the trash are hidden with it.
        member.project_id.not_in(trashed_projects()),
    ),
    edit=_member_with(Role.ADMIN),
    delete=_member_with(Role.ADMIN),
    within=in_projects,
    noun="project member",
)


def trashed_projects() -> Select[UUID]:
    project = aliased(models.Project)
    return select(project.id).where(project.deleted_at.is_not(None))
