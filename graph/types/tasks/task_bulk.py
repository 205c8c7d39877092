"""Bulk mutations of tasks: a result per item, and either all items or as many as possible.

An item's failures are in the payload's `errors` with the item's index in their path (`["input",
"items", "3", "title"]`). The item's result finds them by that index, so they are stored once, also
for a repeat of an idempotency key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID

import strawberry

from db import models
from domain.tasks import task_bulk as domain
from domain.tasks.task_values import CHANGEABLE, NewTask, Subtasks
from domain.work import Work
from errors import Failure, collecting, each
from graph.core import ids
from graph.core.errors import UserError
from graph.core.fields import attribute, derived
from graph.core.inputs import BulkOnError, MutationInput, given, optional, required
from graph.kit import rates
from graph.kit.bulk import bulk_results, result_object
from graph.kit.commands import arguments_of, changes_of
from graph.kit.mutation import MutationPayload, Outcome, mutation, payload
from graph.types.tasks.task import NEW_TASK_IDS, Task
from graph.types.tasks.task_inputs import NewTaskFields, TaskChanges, subtasks_field

T = TypeVar("T")


# --- inputs --------------------------------------------------------------------------------------


@strawberry.input
class _BulkInput(MutationInput):
    on_error: BulkOnError = strawberry.field(
        default=BulkOnError.ROLLBACK, description="What happens if an item fails."
    )
    dry_run: bool = strawberry.field(
        default=False,
        description="Validates and runs the whole mutation, then rolls it back. Nothing is "
        "changed.",
    )


@strawberry.input(description="A task to create, in `TaskBulkCreateInput`.")
class TaskBulkCreateItem(NewTaskFields):
    """See `domain.tasks.task_bulk.create`."""


@strawberry.input(description="Input for `taskBulkCreate`.")
class TaskBulkCreateInput(_BulkInput):
    """See `domain.tasks.task_bulk.create`."""

    items: list[TaskBulkCreateItem] = required(
        f"1 to {domain.MAX_ITEMS} tasks, created in this order. A `parentId` may be the `id` of "
        "an earlier item."
    )


@strawberry.input(
    description="Changes to one task, in `TaskBulkUpdateInput`. Omitted fields stay unchanged; "
    "null clears a field."
)
class TaskBulkUpdateItem(TaskChanges):
    """See `domain.tasks.task_bulk.update_tasks`."""

    if_version: int | None = optional(
        "Changes the task only if its `version` is still this one; "
        "otherwise the item fails with `CONFLICT`."
    )


@strawberry.input(description="Input for `taskBulkUpdate`.")
class TaskBulkUpdateInput(_BulkInput):
    """See `domain.tasks.task_bulk.update_tasks`."""

    items: list[TaskBulkUpdateItem] = required(
        f"1 to {domain.MAX_ITEMS} changes, each to a different task."
    )


@strawberry.input(description="A task to delete, in `TaskBulkDeleteInput`.")
class TaskBulkDeleteItem:
    """See `domain.tasks.task_bulk.delete`."""

    id: strawberry.ID = required("The task's ID.")
    if_version: int | None = optional(
        "Deletes the task only if its `version` is still this one; "
        "otherwise the item fails with `CONFLICT`."
    )
    subtasks: Subtasks = subtasks_field()


@strawberry.input(description="Input for `taskBulkDelete`.")
class TaskBulkDeleteInput(_BulkInput):
    """See `domain.tasks.task_bulk.delete`."""

    items: list[TaskBulkDeleteItem] = required(f"1 to {domain.MAX_ITEMS} tasks.")


# --- payloads ------------------------------------------------------------------------------------


@strawberry.type(description="The result of one item of a bulk mutation.")
class TaskBulkResult:
    """Reads from a `BulkResult`."""

    index: int = attribute("The item's index in the input, starting at 0.")
    task: Task | None = result_object(
        models.Task,
        "The task after this item, or the current task on `CONFLICT`. Null if the item failed "
        "otherwise, was rolled back or deleted the task.",
    )
    errors: list[UserError] = attribute("Errors of this item. Empty if it is valid.")


@strawberry.type(description="The result of one item of a bulk deletion.")
class TaskBulkDeleteResult(TaskBulkResult):
    """Reads from a `BulkResult`."""

    deleted_id: strawberry.ID | None = attribute(
        "The ID of the task that was moved to the trash. Null if it was not deleted."
    )


@strawberry.type
class _BulkPayload(MutationPayload):
    done_count: int = derived(
        (),
        lambda value: value.refs.get("done", 0),
        "The number of items that were changed.",
    )


@payload(
    "Payload of `taskBulkCreate`: one result per item. `errors` has the errors of all items, "
    "each with the item's index in its path."
)
class TaskBulkCreatePayload(_BulkPayload):
    results: list[TaskBulkResult] = derived(
        (), bulk_results("tasks"), "One result per item, in the order of the input."
    )


@payload(
    "Payload of `taskBulkUpdate`: one result per item. `errors` has the errors of all items, "
    "each with the item's index in its path."
)
class TaskBulkUpdatePayload(_BulkPayload):
    results: list[TaskBulkResult] = derived(
        (), bulk_results("tasks"), "One result per item, in the order of the input."
    )


@payload(
    "Payload of `taskBulkDelete`: one result per item. `errors` has the errors of all items, "
    "each with the item's index in its path."
)
class TaskBulkDeletePayload(_BulkPayload):
    results: list[TaskBulkDeleteResult] = derived(
        (), bulk_results("tasks"), "One result per item, in the order of the input."
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
    """Read every item, run the operation on all of them, and collect a result for each."""
    domain.demand_size(data.items)
    items: list[T | Failure] = []
    for item in data.items:
        try:
            with collecting() as problems:
                found = read(item)
                if problems:
                    # Also report the item's other errors, which the operation finds only once the
                    # IDs are valid.
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


_new = arguments_of(TaskBulkCreateItem, NewTask, ids=NEW_TASK_IDS)
_changes = changes_of(TaskBulkUpdateItem, CHANGEABLE, ids={"assignee_id": models.User})


def _edit(item: TaskBulkUpdateItem) -> domain.Edit:
    task_id = ids.decode(models.Task, item.id, ("id",))
    return domain.Edit(task_id, _changes(item), given(item.if_version))


def _deletion(item: TaskBulkDeleteItem) -> domain.Deletion:
    task_id = ids.decode(models.Task, item.id, ("id",))
    return domain.Deletion(task_id, given(item.if_version), item.subtasks)


async def _create(work: Work, data: TaskBulkCreateInput) -> Outcome:
    return await _bulk(work, data, lambda item: NewTask(**_new(item)), domain.create)


async def _update(work: Work, data: TaskBulkUpdateInput) -> Outcome:
    return await _bulk(work, data, _edit, domain.update_tasks)


async def _delete(work: Work, data: TaskBulkDeleteInput) -> Outcome:
    return await _bulk(work, data, _deletion, domain.delete, deletes=True)


@strawberry.type
class TaskBulkMutation:
    task_bulk_create: TaskBulkCreatePayload = mutation(
        _create,
        TaskBulkCreateInput,
        f"Creates up to {domain.MAX_ITEMS} tasks. The rules of `taskCreate` apply to each.",
        limit=rates.new_tasks,
    )
    task_bulk_update: TaskBulkUpdatePayload = mutation(
        _update,
        TaskBulkUpdateInput,
        f"Updates up to {domain.MAX_ITEMS} tasks, each with its own changes. The rules of "
        "`taskUpdate` apply to each; the parent cannot be changed in bulk.",
    )
    task_bulk_delete: TaskBulkDeletePayload = mutation(
        _delete,
        TaskBulkDeleteInput,
        f"Moves up to {domain.MAX_ITEMS} tasks to the trash. The rules of `taskDelete` apply to "
        "each. A subtask deleted with its parent in the same call is restored with it.",
    )
