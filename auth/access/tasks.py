"""Rights on tasks, and on what hangs on them: shares, comments, attachments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    Subquery,
    and_,
    any_,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import aliased

from auth.access.parts import (
    archived_projects,
    by_ancestor,
    ids_in_projects,
    member_projects,
    own_tasks,
    shared_tasks,
)
from auth.access.rule import RULES, Rule, Who
from auth.viewer import Viewer
from db import models
from db.models import Permission, Role


def task_read(viewer: Who, task: Any) -> ColumnElement[bool]:
    shared = shared_tasks(viewer)
    return or_(
        task.project_id.in_(member_projects(viewer)),
        task.owner_id == viewer.sql_id,
        task.assignee_id == viewer.sql_id,
        task.id.in_(shared),
        by_ancestor(task, shared),
        by_ancestor(task, own_tasks(viewer, assigned=True)),
    )


def _task_edit(viewer: Who, task: Any) -> ColumnElement[bool]:
    shared = shared_tasks(viewer, Permission.EDIT)
    return and_(
        in_open_project(task),
        or_(
            task.project_id.in_(member_projects(viewer, Role.EDITOR)),
            task.owner_id == viewer.sql_id,
            task.assignee_id == viewer.sql_id,
            task.id.in_(shared),
            by_ancestor(task, shared),
            by_ancestor(task, own_tasks(viewer, assigned=True)),
        ),
    )


def in_open_project(task: Any) -> ColumnElement[bool]:
    return or_(task.project_id.is_(None), task.project_id.not_in(archived_projects()))


def is_manager(viewer: Who, task: Any) -> ColumnElement[bool]:
    return or_(
        task.project_id.in_(member_projects(viewer, Role.ADMIN)),
        task.owner_id == viewer.sql_id,
        by_ancestor(task, own_tasks(viewer, assigned=False)),
    )


def _task_manage(viewer: Who, task: Any) -> ColumnElement[bool]:
    return and_(in_open_project(task), is_manager(viewer, task))


def _on_task(task_id: Any, right: Callable[[Any], ColumnElement[bool]]) -> ColumnElement[bool]:
    """Whether a right holds on the living task that something hangs on."""
    task = aliased(models.Task)
    return (
        select(task.id).where(task.id == task_id, task.deleted_at.is_(None), right(task)).exists()
    )


def in_projects(viewer: Who, thing: Any) -> ColumnElement[bool]:
    """For a viewer who is restricted to some projects: whether a thing is in one of them."""
    assert isinstance(viewer, Viewer)
    inside: ColumnElement[bool] = thing.project_id == any_(viewer.sql_projects)
    return inside


def _on_task_in_projects(viewer: Who, thing: Any) -> ColumnElement[bool]:
    return _on_task(thing.task_id, lambda task: in_projects(viewer, task))


def _task_reach(viewer: Viewer, most: int) -> CompoundSelect[UUID]:
    """The ways of `task_read`, without its finer points."""
    return union_all(
        ids_in_projects(viewer, models.Task, most=most),
        select(_nearest(viewer).c.id),
        _ids_below(viewer, "parent_id"),
        _ids_below(viewer, "root_id"),
    )


def _nearest(viewer: Viewer) -> Subquery:
    owned, assigned = aliased(models.Task), aliased(models.Task)
    return union_all(
        select(owned.id).where(owned.owner_id == viewer.sql_id),
        select(assigned.id).where(assigned.assignee_id == viewer.sql_id),
        shared_tasks(viewer),
    ).subquery()


def _ids_below(viewer: Viewer, ancestor: str) -> Select[UUID]:
    task, above = aliased(models.Task), _nearest(viewer)
    below = select(task.id).where(getattr(task, ancestor) == above.c.id).lateral()
    return select(below.c.id).select_from(above).join(below, true())


RULES[models.Task] = Rule(
    read=task_read,
    edit=_task_edit,
    delete=_task_manage,
    share=_task_manage,
    within=in_projects,
    reach=_task_reach,
    noun="task",
)


def _share_read(viewer: Who, task_share: Any) -> ColumnElement[bool]:
    return _on_task(
        task_share.task_id,
        lambda task: or_(task_share.user_id == viewer.sql_id, is_manager(viewer, task)),
    )


def _share_edit(viewer: Who, task_share: Any) -> ColumnElement[bool]:
    return _on_task(task_share.task_id, lambda task: _task_manage(viewer, task))


def _share_delete(viewer: Who, task_share: Any) -> ColumnElement[bool]:
    # What was given to oneself may be given back, from an archived project too.
    return _on_task(
        task_share.task_id,
        lambda task: or_(task_share.user_id == viewer.sql_id, _task_manage(viewer, task)),
    )


RULES[models.TaskShare] = Rule(
    read=_share_read,
    edit=_share_edit,
    delete=_share_delete,
    within=_on_task_in_projects,
    noun="share",
)


def _comment_read(viewer: Who, comment: Any) -> ColumnElement[bool]:
    return _on_task(comment.task_id, lambda task: task_read(viewer, task))


def _comment_edit(viewer: Who, comment: Any) -> ColumnElement[bool]:
    return and_(
        comment.removed_at.is_(None),
        comment.author_id == viewer.sql_id,
        _on_task(
            comment.task_id,
            lambda task: and_(in_open_project(task), task_read(viewer, task)),
        ),
    )


def _comment_delete(viewer: Who, comment: Any) -> ColumnElement[bool]:
    return and_(
        comment.removed_at.is_(None),
        _on_task(
            comment.task_id,
            lambda task: and_(
                in_open_project(task),
                or_(
                    task.owner_id == viewer.sql_id,
                    and_(comment.author_id == viewer.sql_id, task_read(viewer, task)),
                ),
            ),
        ),
    )


def _revision_read(viewer: Who, revision: Any) -> ColumnElement[bool]:
    comment = aliased(models.Comment)
    return (
        select(comment.id)
        .where(comment.id == revision.comment_id, _comment_read(viewer, comment))
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
    read=_comment_read,
    edit=_comment_edit,
    delete=_comment_delete,
    within=_on_task_in_projects,
    noun="comment",
)
RULES[models.CommentRevision] = Rule(
    read=_revision_read, within=_revision_within, noun="comment revision"
)


def _attachment_read(viewer: Who, attachment: Any) -> ColumnElement[bool]:
    return _on_task(attachment.task_id, lambda task: task_read(viewer, task))


def _attachment_delete(viewer: Who, attachment: Any) -> ColumnElement[bool]:
    return _on_task(attachment.task_id, lambda task: _task_edit(viewer, task))


RULES[models.Attachment] = Rule(
    read=_attachment_read,
    delete=_attachment_delete,
    within=_on_task_in_projects,
    noun="attachment",
)
