"""Permissions on projects and their members."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, any_

from auth.access.grants import Who
from auth.access.parts import archived_projects, member_projects, trashed_projects
from auth.access.rule import RULES, Predicate, Rule
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
    add=_project_with(Role.EDITOR),
    # An archived project can be deleted by its owner; every other change requires unarchiving it.
    open=lambda _, project: project.archived_at.is_(None),
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
    # Members can be removed from, and can leave, an archived project too.
    open=lambda _, member: member.project_id.not_in(archived_projects()),
    within=in_projects,
    noun="project member",
)
