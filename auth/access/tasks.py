"""Permissions on tasks and on their shares, comments and attachments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, any_, or_, select
from sqlalchemy.orm import aliased

from auth.access.grants import BY_SHARE, TASK_GRANTS, Right, Who, allowed
from auth.access.parts import archived_projects
from auth.access.rule import RULES, Rule
from auth.viewer import Viewer
from db import models


def task_read(viewer: Who, task: Any) -> ColumnElement[bool]:
    return allowed(TASK_GRANTS, viewer, task, Right.SEE)


def _task_edit(viewer: Who, task: Any) -> ColumnElement[bool]:
    return allowed(TASK_GRANTS, viewer, task, Right.EDIT)


def is_manager(viewer: Who, task: Any) -> ColumnElement[bool]:
    return allowed(TASK_GRANTS, viewer, task, Right.MANAGE)


def shared_tasks(viewer: Who) -> Select[UUID]:
    """IDs of the tasks shared with the viewer, without their subtasks and expired shares."""
    keys = BY_SHARE.keys(viewer, Right.SEE)
    assert keys is not None
    return keys


def in_open_project(_: Who, thing: Any) -> ColumnElement[bool]:
    return or_(thing.project_id.is_(None), thing.project_id.not_in(archived_projects()))


def _on_task(task_id: Any, right: Callable[[Any], ColumnElement[bool]]) -> ColumnElement[bool]:
    """Whether a permission holds on the task of an object, unless the task is in the trash."""
    task = aliased(models.Task)
    return (
        select(task.id).where(task.id == task_id, task.deleted_at.is_(None), right(task)).exists()
    )


def in_projects(viewer: Who, thing: Any) -> ColumnElement[bool]:
    """Whether an object is in one of the projects that the viewer is restricted to."""
    assert isinstance(viewer, Viewer)
    inside: ColumnElement[bool] = thing.project_id == any_(viewer.sql_projects)
    return inside


def _on_task_in_projects(viewer: Who, thing: Any) -> ColumnElement[bool]:
    return _on_task(thing.task_id, lambda task: in_projects(viewer, task))


def _on_open_task(viewer: Who, thing: Any) -> ColumnElement[bool]:
    return _on_task(thing.task_id, lambda task: in_open_project(viewer, task))


RULES[models.Task] = Rule(
    read=task_read,
    edit=_task_edit,
    delete=is_manager,
    share=is_manager,
    add=task_read,
    open=in_open_project,
    open_to_delete=in_open_project,
    within=in_projects,
    sources=TASK_GRANTS,
    noun="task",
)


def _share_of_mine_or_managed(viewer: Who, task_share: Any) -> ColumnElement[bool]:
    # Recipients can see and remove their expired shares too. Then a row of the task may be hidden
    # from the statement (`db.row_security`), so nothing may depend on finding it.
    task = aliased(models.Task)
    trashed = (
        select(task.id).where(task.id == task_share.task_id, task.deleted_at.is_not(None)).exists()
    )
    return or_(
        and_(task_share.user_id == viewer.sql_id, ~trashed), _share_managed(viewer, task_share)
    )


def _share_managed(viewer: Who, task_share: Any) -> ColumnElement[bool]:
    return _on_task(task_share.task_id, lambda task: is_manager(viewer, task))


def _share_open_to_delete(viewer: Who, task_share: Any) -> ColumnElement[bool]:
    # Recipients can remove their own shares in archived projects too.
    return or_(task_share.user_id == viewer.sql_id, _on_open_task(viewer, task_share))


RULES[models.TaskShare] = Rule(
    read=_share_of_mine_or_managed,
    edit=_share_managed,
    delete=_share_of_mine_or_managed,
    open=_on_open_task,
    open_to_delete=_share_open_to_delete,
    within=_on_task_in_projects,
    noun="share",
)


def _part_read(viewer: Who, part: Any) -> ColumnElement[bool]:
    return _on_task(part.task_id, lambda task: task_read(viewer, task))


RULES[models.TaskExternalReference] = Rule(
    read=_part_read, within=_on_task_in_projects, part_of="task_id", noun="external reference"
)


def _comment_edit(viewer: Who, comment: Any) -> ColumnElement[bool]:
    return and_(
        comment.removed_at.is_(None),
        comment.author_id == viewer.sql_id,
        _part_read(viewer, comment),
    )


def _comment_delete(viewer: Who, comment: Any) -> ColumnElement[bool]:
    # The task's owner counts while a member of the project, or for a personal task.
    return and_(
        comment.removed_at.is_(None),
        _on_task(
            comment.task_id,
            lambda task: or_(
                and_(task.owner_id == viewer.sql_id, is_manager(viewer, task)),
                and_(comment.author_id == viewer.sql_id, task_read(viewer, task)),
            ),
        ),
    )


def _revision_read(viewer: Who, revision: Any) -> ColumnElement[bool]:
    comment = aliased(models.Comment)
    return (
        select(comment.id)
        .where(comment.id == revision.comment_id, _part_read(viewer, comment))
        .exists()
    )


def _revision_within(viewer: Who, revision: Any) -> ColumnElement[bool]:
    comment = aliased(models.Comment)
    return (
        select(comment.id)
        .where(comment.id == revision.comment_id, _on_task_in_projects(viewer, comment))
        .exists()
    )


RULES[models.Comment] = Rule(
    read=_part_read,
    edit=_comment_edit,
    delete=_comment_delete,
    open=_on_open_task,
    open_to_delete=_on_open_task,
    within=_on_task_in_projects,
    part_of="task_id",
    noun="comment",
)
RULES[models.CommentRevision] = Rule(
    read=_revision_read, within=_revision_within, noun="comment revision"
)


def _attachment_delete(viewer: Who, attachment: Any) -> ColumnElement[bool]:
    return _on_task(attachment.task_id, lambda task: _task_edit(viewer, task))


RULES[models.Attachment] = Rule(
    read=_part_read,
    delete=_attachment_delete,
    open_to_delete=_on_open_task,
    within=_on_task_in_projects,
    part_of="task_id",
    noun="attachment",
)
