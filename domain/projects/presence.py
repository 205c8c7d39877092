"""Presence: what a user says that they are looking at."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache, partial
from uuid import UUID

from sqlalchemy import Uuid, and_, bindparam, select

from auth import access
from auth.viewer import Viewer, ViewerShape, placeholder_viewer
from db.models import Project, Task
from db.statements import Statement
from domain.work import Work
from errors import BadInput, NotFound
from events.presence import Presence


async def look(
    work: Work, presence: Presence, project_id: UUID, task_id: UUID | None
) -> dt.datetime:
    """Say that the viewer is looking at a project, or at one of its tasks. Returns when that ends
    unless it is repeated.
    """
    await _demand_visible(work, project_id, task_id)
    user_id, device = _device(work.viewer)
    work.after_commit.append(partial(presence.set, project_id, device, user_id, task_id))
    return work.now + dt.timedelta(seconds=presence.seconds)


async def leave(work: Work, presence: Presence, project_id: UUID) -> None:
    """Say that the viewer is not looking at a project any longer."""
    await _demand_visible(work, project_id, None)
    _, device = _device(work.viewer)
    work.after_commit.append(partial(presence.clear, project_id, device))


def _device(viewer: Viewer) -> tuple[UUID, UUID]:
    """The user, and the session or API key by which they look."""
    user_id = viewer.require()
    return user_id, viewer.session_id or viewer.api_key_id or user_id


async def _demand_visible(work: Work, project_id: UUID, task_id: UUID | None) -> None:
    rows = await work.fetch(
        _visible(work.viewer.shape), {"project": project_id, "task": task_id or UUID(int=0)}
    )
    if not rows:
        raise NotFound("project", path=("project_id",))
    if task_id is None:
        return
    if rows[0].task_id is None:
        raise NotFound("task", path=("task_id",))
    if rows[0].within != project_id:
        raise BadInput("taskId must be a task of the project.", path=("task_id",))


@lru_cache(maxsize=20)
def _visible(shape: ViewerShape) -> Statement:
    viewer = placeholder_viewer(shape)
    task = and_(Task.id == bindparam("task", type_=Uuid()), access.read(viewer, Task))
    query = (
        select(Task.id.label("task_id"), Task.project_id.label("within"))
        .select_from(Project)
        .outerjoin(Task, task)
        .where(
            Project.id == bindparam("project", type_=Uuid()),
            access.read(viewer, Project),
        )
    )
    return Statement(query)
