"""Filters and orderings of shares, and the inputs of their mutations."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import func

from db import models
from graph.core.enums import Permission
from graph.core.inputs import MutationInput, UpdateInput, change, optional, required
from graph.kit import filtering, ordering
from graph.kit.comparators import DateTimeFilter, IDFilter, TaskSharePermissionFilter
from graph.types.accounts.user import UserFilter, UserOrder

if TYPE_CHECKING:
    from graph.types.tasks.task_inputs import TaskFilter, TaskOrder

_TaskFilter = Annotated["TaskFilter", strawberry.lazy("graph.types.tasks.task_inputs")]
_TaskOrder = Annotated["TaskOrder", strawberry.lazy("graph.types.tasks.task_inputs")]


def is_expired(_: object, share: Any) -> Any:
    """Whether the share has expired."""
    return func.coalesce(share.expires_at <= func.now(), False)


@filtering.filter_input("Filter for shares.")
class TaskShareFilter:
    id: IDFilter | None = filtering.by_id(models.TaskShare.id, models.TaskShare, "The share's ID.")
    permission: TaskSharePermissionFilter | None = filtering.by(
        models.TaskShare.permission,
        "The permission that the share gives.",
        order="permission, VIEW first",
    )
    user: UserFilter | None = filtering.by_relation(
        models.TaskShare.user, "The user the task is shared with."
    )
    shared_by: UserFilter | None = filtering.by_relation(
        models.TaskShare.shared_by, "The user who shared the task."
    )
    task: _TaskFilter | None = filtering.by_relation(models.TaskShare.task, "The task.")
    expires_at: DateTimeFilter | None = filtering.by(
        models.TaskShare.expires_at,
        "When the share expires. `isNull: true` selects shares that do not expire.",
        order="expiry",
    )
    is_expired: bool | None = filtering.by_condition(is_expired, "Whether the share has expired.")
    created_at: DateTimeFilter | None = filtering.by(
        models.TaskShare.created_at,
        "When the task was shared.",
        order="the time when the task was shared",
    )
    updated_at: DateTimeFilter | None = filtering.by(
        models.TaskShare.updated_at, "When the share last changed."
    )


@filtering.list_filter("Filter for a task's shares, as far as you can see them.", noun="share")
class TaskShareListFilter:
    of: TaskShareFilter


@ordering.order_input("Sort key for shares. Provide exactly one field.", of=TaskShareFilter)
class TaskShareOrder:
    user: UserOrder | None = ordering.by_relation(
        models.TaskShare.user, "Sorts by the user the task is shared with."
    )
    task: _TaskOrder | None = ordering.by_relation(models.TaskShare.task, "Sorts by task.")


@strawberry.input(description="Input for `taskShareCreate`.")
class TaskShareCreateInput(MutationInput):
    """See `domain.tasks.share.create`."""

    task_id: strawberry.ID = required("The task's ID or identifier.")
    user_id: strawberry.ID = required(
        "The user to share the task with: an ID, or a username such as @ada."
    )
    permission: Permission = strawberry.field(
        default=Permission.VIEW, description="What the user can do with the task."
    )
    expires_at: dt.datetime | None = optional(
        "When the share expires; must be in the future. Without it, the share does not expire."
    )


@strawberry.input(description="Input for `taskShareUpdate`. Omitted fields stay unchanged.")
class TaskShareUpdateInput(UpdateInput):
    """See `domain.tasks.share.update`."""

    id: strawberry.ID = required("The share's ID.")
    permission: strawberry.Maybe[Permission | None] = change("What the user can do with the task.")
    expires_at: strawberry.Maybe[dt.datetime | None] = change(
        "When the share expires; must be in the future. Null removes the expiry."
    )


@strawberry.input(description="Input for `taskShareDelete`.")
class TaskShareDeleteInput(UpdateInput):
    """See `domain.tasks.share.delete`."""

    id: strawberry.ID = required("The share's ID.")
