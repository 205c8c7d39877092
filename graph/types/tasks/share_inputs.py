"""What shares are filtered and ordered by, and what their mutations take."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import func

from db import models
from graph.core.enums import Permission
from graph.core.inputs import NAMES, MutationInput, Names, UpdateInput, change, optional, required
from graph.kit import filtering, ordering
from graph.kit.comparators import DateTimeFilter, IDFilter, PermissionFilter
from graph.kit.ordering import OrderBy
from graph.types.accounts.user import UserFilter, UserOrder

if TYPE_CHECKING:
    from graph.types.tasks.task_inputs import TaskFilter, TaskOrder

_TaskFilter = Annotated["TaskFilter", strawberry.lazy("graph.types.tasks.task_inputs")]
_TaskOrder = Annotated["TaskOrder", strawberry.lazy("graph.types.tasks.task_inputs")]


def _task_filter() -> Any:
    from graph.types.tasks.task_inputs import TaskFilter

    return TaskFilter


def _task_order() -> Any:
    from graph.types.tasks.task_inputs import TaskOrder

    return TaskOrder


def is_expired(_: object, share: Any) -> Any:
    """Whether it gives no right any more."""
    return func.coalesce(share.expires_at <= func.now(), False)


@filtering.filter_input("Which shares.")
class TaskShareFilter:
    """Criteria over shares."""

    id: IDFilter | None = filtering.by_id(models.TaskShare.id, models.TaskShare, "Id.")
    permission: PermissionFilter | None = filtering.by(
        models.TaskShare.permission, "What it allows."
    )
    user: UserFilter | None = filtering.by_relation(
        models.TaskShare.user, lambda: UserFilter, "Who the task is shared with."
    )
    user_id: IDFilter | None = filtering.by_id(
        models.TaskShare.user_id, models.User, "The id of who the task is shared with."
    )
    shared_by: UserFilter | None = filtering.by_relation(
        models.TaskShare.shared_by, lambda: UserFilter, "Who shared it."
    )
    shared_by_id: IDFilter | None = filtering.by_id(
        models.TaskShare.shared_by_id, models.User, "The id of who shared it."
    )
    task: _TaskFilter | None = filtering.by_relation(
        models.TaskShare.task, _task_filter, "The task."
    )
    expires_at: DateTimeFilter | None = filtering.by(
        models.TaskShare.expires_at, "When it ends; `isNull` for shares that stay."
    )
    is_expired: bool | None = filtering.by_condition(
        is_expired, "Whether it gives no right any more."
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.TaskShare.created_at, "When the task was shared."
    )


@filtering.list_filter("Quantifies over the shares of a task that you may see.")
class TaskShareListFilter:
    """`some`, `none`, `every`."""

    of: TaskShareFilter


@ordering.order_input("How to order shares; give one field.")
class TaskShareOrder:
    """Keys of shares."""

    created_at: OrderBy | None = ordering.by(
        models.TaskShare.created_at, "By when the task was shared."
    )
    expires_at: OrderBy | None = ordering.by(models.TaskShare.expires_at, "By when they end.")
    permission: OrderBy | None = ordering.by(models.TaskShare.permission, "VIEW first.")
    user: UserOrder | None = ordering.by_relation(
        models.TaskShare.user, lambda: UserOrder, "By who the task is shared with."
    )
    task: _TaskOrder | None = ordering.by_relation(
        models.TaskShare.task, _task_order, "By the task."
    )


@strawberry.input(description="Who is to see a task.")
class TaskShareCreateInput(MutationInput):
    """See `domain.tasks.share.create`."""

    task_id: strawberry.ID = required("The task.")
    username: str | None = optional(
        "The person, by username, without regard to case.", metadata={NAMES: Names.USERNAME}
    )
    user_id: strawberry.ID | None = optional("The person, by id (in place of `username`).")
    permission: Permission = strawberry.field(
        default=Permission.VIEW, description="What they may do."
    )
    expires_at: dt.datetime | None = optional(
        "When the share ends, in the future; it stays where left out."
    )


@strawberry.input(description="Changes to a share; what is left out stays.")
class TaskShareUpdateInput(UpdateInput):
    """See `domain.tasks.share.update`."""

    id: strawberry.ID = required("The share.")
    permission: strawberry.Maybe[Permission | None] = change("What the person may do.")
    expires_at: strawberry.Maybe[dt.datetime | None] = change(
        "When the share ends, in the future. Null: it stays."
    )


@strawberry.input(description="The share to take back, or one's own to give up.")
class TaskShareDeleteInput(MutationInput):
    """See `domain.tasks.share.delete`."""

    id: strawberry.ID = required("The share.")
