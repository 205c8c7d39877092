"""Shares of tasks in the schema."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import and_

from auth import access
from auth.viewer import Viewer
from db import models
from domain.tasks import share as domain
from domain.work import Work
from graph.core import ids
from graph.core.enums import Permission
from graph.core.fields import column
from graph.core.inputs import given
from graph.core.node import Node, expression, node_id, node_type, permission_field
from graph.kit import ordering, paging
from graph.kit.commands import arguments_of, changes_of
from graph.kit.loading import to_one
from graph.kit.mutation import MutationPayload, Refs, mutation, payload, ref, shared_payload, value
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


@node_type(models.TaskShare, "A user's access to a task and its subtasks.")
class TaskShare(Node):
    id: strawberry.ID = node_id(models.TaskShare)
    permission: Permission = column("What the user can do with the task.", convert=Permission)
    task: _Task | None = to_one(
        models.TaskShare.task, "The shared task. Null if you cannot see it."
    )
    user: User | None = to_one(
        models.TaskShare.user, "The user the task is shared with. Null if the account was deleted."
    )
    shared_by: User | None = to_one(
        models.TaskShare.shared_by, "The user who shared the task. Null if the account was deleted."
    )
    expires_at: dt.datetime | None = column(
        "When the share expires, in UTC. Null if it does not expire."
    )
    is_expired: bool = expression(
        models.TaskShare, "is_expired", is_expired, "Whether the share has expired."
    )
    viewer_can_edit: bool = permission_field(
        models.TaskShare,
        "viewer_can_edit",
        access.edit,
        "Whether you can change the share.",
    )
    viewer_can_delete: bool = permission_field(
        models.TaskShare,
        "viewer_can_delete",
        access.delete,
        "Whether you can delete the share.",
    )
    created_at: dt.datetime = column("When the task was shared, in UTC.")
    updated_at: dt.datetime = column("When the share last changed, in UTC.")
    version: int = column("Increases with each change. Send it as `ifVersion` to detect conflicts.")


@paging.connection_type("A page of shares.", edge="A share in a list, with its cursor.")
class TaskShareConnection:
    node: TaskShare


def _with_the_viewer(viewer: Viewer, share: Any) -> Any:
    return and_(share.user_id == viewer.sql_id, ~is_expired(viewer, share))


def received_shares() -> Any:
    """The field `Viewer.receivedShares`."""
    return paging.connection(
        models.TaskShare,
        "The shares that other users gave you, newest first by default. Expired shares are not "
        "included.",
        filter_type=TaskShareFilter,
        order_type=TaskShareOrder,
        default_order=(Key(ordering.source(models.TaskShare.created_at), descending=True),),
        where=_with_the_viewer,
    )


# --- mutations -----------------------------------------------------------------------------------


@shared_payload("`taskShare` is the current share.")
class _SharePayload(MutationPayload):
    task_share: TaskShare | None = ref(
        models.TaskShare, "The share. Null if the mutation failed.", "share"
    )


@payload("Payload of `taskShareDelete`.")
class TaskShareDeletePayload(MutationPayload):
    """A deleted share can no longer be read, so the payload has its ID."""

    deleted_id: strawberry.ID | None = value("deleted_id", "The deleted share's ID.")
    task_share: TaskShare | None = ref(
        models.TaskShare, "The current share on `CONFLICT`, otherwise null.", "share"
    )
    task: _Task | None = ref(
        models.Task, "The task that was shared. Null if you can no longer see it.", "task"
    )


_new = arguments_of(
    TaskShareCreateInput, domain.create, ids={"task_id": models.Task, "user_id": models.User}
)
_changes = changes_of(TaskShareUpdateInput, domain.CHANGEABLE)


async def _create(work: Work, data: TaskShareCreateInput) -> Refs:
    return {"share": (await domain.create(work, **_new(data))).id}


async def _update(work: Work, data: TaskShareUpdateInput) -> Refs:
    share = await domain.update(
        work,
        ids.decode(models.TaskShare, data.id, ("id",)),
        _changes(data),
        given(data.if_version),
    )
    return {"share": share.id}


async def _delete(work: Work, data: TaskShareDeleteInput) -> Refs:
    share_id = ids.decode(models.TaskShare, data.id, ("id",))
    task = await domain.delete(work, share_id, given(data.if_version))
    return {"deleted_id": ids.encode(models.TaskShare, share_id), "task": task.id}


@strawberry.type
class TaskShareMutation:
    task_share_create: _SharePayload = mutation(
        _create,
        TaskShareCreateInput,
        "Shares a task and its subtasks with a user. Allowed for the task's owner and for the "
        "project's owner and admins. Fails with `SELF_SHARE` if the user is you or the task's "
        "owner, and with `ALREADY_EXISTS` if the task is already shared with the user.",
    )
    task_share_update: _SharePayload = mutation(
        _update,
        TaskShareUpdateInput,
        "Changes the permission or the expiry of a share. Allowed for the task's owner and for "
        "the project's owner and admins.",
    )
    task_share_delete: TaskShareDeletePayload = mutation(
        _delete,
        TaskShareDeleteInput,
        "Deletes a share. Allowed for the task's owner, for the project's owner and admins, and "
        "for the user the task is shared with. If the user cannot see the task in another way, "
        "their subscriptions to it end.",
    )
