"""Shares of tasks in the schema."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import and_, select
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import Viewer
from db import models
from domain.tasks import share as domain
from domain.work import Work
from graph.core import ids
from graph.core.enums import Permission
from graph.core.fields import BatchInfo, batch, column
from graph.core.inputs import changes_of, given
from graph.core.node import EXPRESSIONS, Node, expression, node_id, node_type, permission_field
from graph.kit import ordering, paging
from graph.kit.loading import load_objects, to_one
from graph.kit.mutation import Payload, Refs, mutation, payload, ref, value
from graph.kit.ordering import Key
from graph.types.accounts.user import User
from graph.types.tasks.share_inputs import (
    TaskShareCreateInput,
    TaskShareDeleteInput,
    TaskShareFilter,
    TaskShareOrder,
    TaskShareUpdateInput,
    is_expired,
)

if TYPE_CHECKING:
    from graph.types.tasks.task import Task

_Task = Annotated["Task", strawberry.lazy("graph.types.tasks.task")]


def _task_owner(_: Viewer, share: Any) -> Any:
    task = aliased(models.Task)
    return select(task.owner_id).where(task.id == share.task_id).scalar_subquery()


# Not a column of the share: whose the task is.
EXPRESSIONS[models.TaskShare, "task_owner_id"] = _task_owner


async def _owners(parents: Sequence[Any], info: BatchInfo) -> Sequence[Any]:
    return await load_objects(info, models.User, [parent.task_owner_id for parent in parents])


@node_type(models.TaskShare, "One person's access to one task and its subtasks.")
class TaskShare(Node):
    """See `db.models.TaskShare`."""

    id: strawberry.ID = node_id(models.TaskShare)
    permission: Permission = column(
        models.TaskShare.permission, "What the person may do.", convert=Permission
    )
    task: _Task | None = to_one(
        models.TaskShare.task, "The task; null where you do not see it (any more)."
    )
    user: User | None = to_one(
        models.TaskShare.user, "Who the task is shared with; null if their account was deleted."
    )
    owner: User | None = batch(
        _owners, "The task's owner; null if their account was deleted.", requires=("task_owner_id",)
    )
    shared_by: User | None = to_one(
        models.TaskShare.shared_by, "Who shared it; null if their account was deleted."
    )
    expires_at: dt.datetime | None = column(
        models.TaskShare.expires_at, "When the share ends; null if it stays."
    )
    is_expired: bool = expression(
        models.TaskShare, "is_expired", is_expired, "Whether it gives no right any more."
    )
    viewer_can_edit: bool = permission_field(
        models.TaskShare,
        "viewer_can_edit",
        access.edit,
        "Whether you may change the share.",
    )
    viewer_can_delete: bool = permission_field(
        models.TaskShare,
        "viewer_can_delete",
        access.delete,
        "Whether you may take it back, or give it up.",
    )
    created_at: dt.datetime = column(models.TaskShare.created_at, "When the task was shared.")
    updated_at: dt.datetime = column(models.TaskShare.updated_at, "When the share changed last.")
    version: int = column(models.TaskShare.version, "Goes up with each change; for `ifVersion`.")


@paging.connection_type("A page of shares.", edge="A share in a list.")
class TaskShareConnection:
    """Relay connection."""

    node: TaskShare


def _with_the_viewer(viewer: Viewer, share: Any) -> Any:
    return and_(share.user_id == viewer.sql_id, ~is_expired(viewer, share))


@strawberry.type
class TaskShareQuery:
    """Root fields."""

    tasks_shared_with_me: TaskShareConnection = paging.connection(
        models.TaskShare,
        "Tasks that others shared with you, with what you may do there; those shared last come "
        "first unless ordered otherwise. Shares that have expired are left out.",
        filter_type=TaskShareFilter,
        order_type=TaskShareOrder,
        default_order=(Key(ordering.source(models.TaskShare.created_at), descending=True),),
        where=_with_the_viewer,
    )


# --- mutations -----------------------------------------------------------------------------------


@strawberry.type
class _SharePayload(Payload):
    share: TaskShare | None = ref(models.TaskShare, "The share; null if nothing was done.", "share")


@payload("The new share.")
class TaskShareCreatePayload(_SharePayload):
    """`taskShareCreate`."""


@payload("The changed share; with `CONFLICT`, the share as it is.")
class TaskShareUpdatePayload(_SharePayload):
    """`taskShareUpdate`."""


@payload("What was deleted.")
class TaskShareDeletePayload(Payload):
    """A deleted share cannot be read any more."""

    deleted_id: strawberry.ID | None = value("deleted_id", "The id that the share had.")
    task: _Task | None = ref(
        models.Task, "The task; null where you do not see it any more.", "task"
    )


async def _create(work: Work, data: TaskShareCreateInput) -> Refs:
    user_id = given(data.user_id)
    share = await domain.create(
        work,
        ids.decode(models.Task, data.task_id, ("task_id",)),
        username=given(data.username),
        user_id=None if user_id is None else ids.decode(models.User, user_id, ("user_id",)),
        permission=data.permission,
        expires_at=given(data.expires_at),
    )
    return {"share": share.id}


async def _update(work: Work, data: TaskShareUpdateInput) -> Refs:
    share = await domain.update(
        work,
        ids.decode(models.TaskShare, data.id, ("id",)),
        changes_of(data, "permission", "expires_at"),
        given(data.if_version),
    )
    return {"share": share.id}


async def _delete(work: Work, data: TaskShareDeleteInput) -> Refs:
    share_id = ids.decode(models.TaskShare, data.id, ("id",))
    task = await domain.delete(work, share_id)
    return {"deleted_id": ids.encode(models.TaskShare, share_id), "task": task.id}


@strawberry.type
class TaskShareMutation:
    """Root fields."""

    task_share_create: TaskShareCreatePayload = mutation(
        _create,
        TaskShareCreateInput,
        "Show a task and its subtasks to somebody. For the task's owner and the project's owner "
        "and admins. `SELF_SHARE` for oneself and for the task's owner, `ALREADY_EXISTS` where it "
        "is shared with them already.",
    )
    task_share_update: TaskShareUpdatePayload = mutation(
        _update,
        TaskShareUpdateInput,
        "Change what somebody may do with a shared task, or until when. For the task's owner and "
        "the project's owner and admins.",
    )
    task_share_delete: TaskShareDeletePayload = mutation(
        _delete,
        TaskShareDeleteInput,
        "Take a share back, or give up one's own. Streams on the task end for the person where "
        "they do not see it otherwise.",
    )
