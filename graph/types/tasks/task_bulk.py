"""Bulk mutations of tasks: a result for each item, all or nothing or as much as goes.

An item's failures stand in the payload's `errors` with the item's place in their path
(`["input", "items", "3", "title"]`), and are shown with the item's result by that place; so they
are kept once, for a repeat too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, TypeVar
from uuid import UUID

import strawberry

from db import models
from domain.tasks import task_bulk as domain
from domain.tasks.task_values import Subtasks
from domain.work import Work
from errors import Failure, collecting, each
from graph.core import ids
from graph.core.errors import UserError
from graph.core.fields import attribute, derived
from graph.core.inputs import MutationInput, given, optional, required
from graph.core.node import described_enum
from graph.kit import rates
from graph.kit.bulk import bulk_results, result_object
from graph.kit.mutation import Outcome, Payload, mutation, payload
from graph.types.tasks.task import Task, new_task, task_changes
from graph.types.tasks.task_inputs import NewTaskFields, TaskChanges, subtasks_field

T = TypeVar("T")


class BulkOnError(Enum):
    """What is done where an item fails."""

    ROLLBACK = "ROLLBACK"
    CONTINUE = "CONTINUE"


described_enum(
    BulkOnError,
    "What a bulk mutation does where an item fails.",
    {
        BulkOnError.ROLLBACK: "Nothing at all is done.",
        BulkOnError.CONTINUE: "The other items are done.",
    },
)


# --- inputs --------------------------------------------------------------------------------------


@strawberry.input
class _BulkInput(MutationInput):
    on_error: BulkOnError = strawberry.field(
        default=BulkOnError.ROLLBACK, description="What is done where an item fails."
    )
    dry_run: bool = strawberry.field(
        default=False,
        description="Only try it: everything is checked and written, and then rolled back.",
    )


@strawberry.input(description="A new task in a bulk.")
class TaskBulkCreateItem(NewTaskFields):
    """See `domain.tasks.task_bulk.create`."""


@strawberry.input(description="New tasks.")
class TaskBulkCreateInput(_BulkInput):
    """See `domain.tasks.task_bulk.create`."""

    items: list[TaskBulkCreateItem] = required(
        f"1 to {domain.MAX_ITEMS} tasks, made in this order. A `parentId` may be the `id` of an "
        "earlier item."
    )


@strawberry.input(description="Changes to one task of a bulk; what is left out stays, null clears.")
class TaskBulkUpdateItem(TaskChanges):
    """See `domain.tasks.task_bulk.update_tasks`."""

    if_version: int | None = optional("Change it only if it is still at this `version`.")


@strawberry.input(description="Changes to tasks.")
class TaskBulkUpdateInput(_BulkInput):
    """See `domain.tasks.task_bulk.update_tasks`."""

    items: list[TaskBulkUpdateItem] = required(
        f"1 to {domain.MAX_ITEMS} changes, each of another task."
    )


@strawberry.input(description="A task to put into the trash.")
class TaskBulkDeleteItem:
    """See `domain.tasks.task_bulk.delete`."""

    id: strawberry.ID = required("The task.")
    if_version: int | None = optional("Delete it only if it is still at this `version`.")
    subtasks: Subtasks = subtasks_field()


@strawberry.input(description="Tasks to put into the trash.")
class TaskBulkDeleteInput(_BulkInput):
    """See `domain.tasks.task_bulk.delete`."""

    items: list[TaskBulkDeleteItem] = required(f"1 to {domain.MAX_ITEMS} tasks.")


# --- payloads ------------------------------------------------------------------------------------


@strawberry.type(description="What became of one item of a bulk.")
class TaskBulkResult:
    """Reads from a `BulkResult`."""

    index: int = attribute("The item's place in the input, from 0.")
    task: Task | None = result_object(
        models.Task,
        "The task as it is now; with `CONFLICT` too. Null where the item failed otherwise, where "
        "nothing was done, and for what was deleted.",
    )
    errors: list[UserError] = attribute("What stood in the way; empty where the item is good.")


@strawberry.type(description="What became of one item of a bulk deletion.")
class TaskBulkDeleteResult(TaskBulkResult):
    """Reads from a `BulkResult`."""

    deleted_id: strawberry.ID | None = attribute(
        "The id of the task that is in the trash now; null if it is not."
    )


@strawberry.type
class _BulkPayload(Payload):
    done_count: int = derived(
        (), lambda value: value.refs.get("done", 0), "The number of items that were done."
    )


@payload(
    "A result for each item. `errors` has those of all items, each with its place in the input."
)
class TaskBulkCreatePayload(_BulkPayload):
    """`taskBulkCreate`."""

    results: list[TaskBulkResult] = derived(
        (), bulk_results("tasks"), "One for each item, in their order."
    )


@payload("A result for each item; see `TaskBulkCreatePayload`.")
class TaskBulkUpdatePayload(_BulkPayload):
    """`taskBulkUpdate`."""

    results: list[TaskBulkResult] = derived(
        (), bulk_results("tasks"), "One for each item, in their order."
    )


@payload("A result for each item; see `TaskBulkCreatePayload`.")
class TaskBulkDeletePayload(_BulkPayload):
    """`taskBulkDelete`."""

    results: list[TaskBulkDeleteResult] = derived(
        (), bulk_results("tasks"), "One for each item, in their order."
    )


# --- mutations -----------------------------------------------------------------------------------


async def _bulk(
    work: Work,
    data: Any,
    read: Callable[[Any], T],
    operation: Callable[..., Awaitable[list[models.Task | Failure]]],
    *,
    deletes: bool = False,
) -> Outcome:
    """Read each item, do them, and say what became of each."""
    domain.demand_size(data.items)
    items: list[T | Failure] = []
    for item in data.items:
        try:
            with collecting() as problems:
                found = read(item)
                if problems:
                    # Whatever else is wrong with it, which is asked for good ids only later.
                    domain.check_values(work, found)
            items.append(found)
        except Failure as failure:
            items.append(failure)
    all_or_nothing = data.on_error is BulkOnError.ROLLBACK
    results = await operation(work, items, all_or_nothing=all_or_nothing)
    failures: list[Failure] = []
    for index, result in enumerate(results):
        if isinstance(result, Failure):
            failures.extend(single.under("items", index) for single in each(result))
    undone = data.dry_run or (bool(failures) and all_or_nothing)
    tasks: list[UUID | None] = []
    for result in results:
        if isinstance(result, Failure):
            tasks.append(result.refs.get("task"))
        else:
            tasks.append(None if undone or deletes else result.id)
    refs: dict[str, Any] = {
        "tasks": tasks,
        "done": 0 if undone else len(results) - sum(isinstance(r, Failure) for r in results),
    }
    if deletes:
        refs["deleted"] = [
            None if undone or isinstance(result, Failure) else ids.encode(models.Task, result.id)
            for result in results
        ]
    return Outcome(refs, failures, undo=undone)


def _edit(item: TaskBulkUpdateItem) -> domain.Edit:
    task_id = ids.decode(models.Task, item.id, ("id",))
    return domain.Edit(task_id, task_changes(item), given(item.if_version))


def _deletion(item: TaskBulkDeleteItem) -> domain.Deletion:
    task_id = ids.decode(models.Task, item.id, ("id",))
    return domain.Deletion(task_id, given(item.if_version), item.subtasks)


async def _create(work: Work, data: TaskBulkCreateInput) -> Outcome:
    return await _bulk(work, data, new_task, domain.create)


async def _update(work: Work, data: TaskBulkUpdateInput) -> Outcome:
    return await _bulk(work, data, _edit, domain.update_tasks)


async def _delete(work: Work, data: TaskBulkDeleteInput) -> Outcome:
    return await _bulk(work, data, _deletion, domain.delete, deletes=True)


@strawberry.type
class TaskBulkMutation:
    """Root fields."""

    task_bulk_create: TaskBulkCreatePayload = mutation(
        _create,
        TaskBulkCreateInput,
        "Make many tasks, by the rules of `taskCreate` for each.",
        limit=rates.new_tasks,
    )
    task_bulk_update: TaskBulkUpdatePayload = mutation(
        _update,
        TaskBulkUpdateInput,
        "Change many tasks, each by its own changes and by the rules of `taskUpdate`; the parent "
        "alone is not changed in bulk.",
    )
    task_bulk_delete: TaskBulkDeletePayload = mutation(
        _delete,
        TaskBulkDeleteInput,
        "Put many tasks into the trash, by the rules of `taskDelete`. A subtask that goes with a "
        "task of the same bulk comes back with it.",
    )
