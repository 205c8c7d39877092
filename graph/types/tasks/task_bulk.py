"""Bulk mutations of tasks; see `graph.kit.bulk`."""

from __future__ import annotations

from functools import partial

import strawberry

from db import models
from domain.tasks import task_bulk as domain
from domain.tasks import task_bulk_creation
from domain.tasks.task_values import CHANGEABLE, NewTask, Subtasks
from domain.work import Work
from graph.core import ids
from graph.core.errors import UserError
from graph.core.fields import attribute, derived
from graph.core.inputs import given, optional, required
from graph.kit import rates
from graph.kit.bulk import BulkInput, BulkPayload, bulk_results, result_object, run_bulk
from graph.kit.commands import arguments_of, changes_of
from graph.kit.mutation import Outcome, mutation, shared_payload
from graph.types.tasks.external_reference import references_of
from graph.types.tasks.task import NEW_TASK_IDS, Task
from graph.types.tasks.task_inputs import (
    NewTaskFields,
    TaskChanges,
    due_of,
    subtasks_field,
)

# --- inputs --------------------------------------------------------------------------------------


@strawberry.input(description="A task to create, in `TaskBulkCreateInput`.")
class TaskBulkCreateItem(NewTaskFields):
    """See `domain.tasks.task_bulk_creation.create`."""


@strawberry.input(description="Input for `taskBulkCreate`.")
class TaskBulkCreateInput(BulkInput):
    """See `domain.tasks.task_bulk_creation.create`."""

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
class TaskBulkUpdateInput(BulkInput):
    """See `domain.tasks.task_bulk.update_tasks`."""

    items: list[TaskBulkUpdateItem] = required(
        f"1 to {domain.MAX_ITEMS} changes, each to a different task."
    )


@strawberry.input(description="A task to delete, in `TaskBulkDeleteInput`.")
class TaskBulkDeleteItem:
    """See `domain.tasks.task_bulk.delete`."""

    id: strawberry.ID = required("The task's ID or identifier.")
    if_version: int | None = optional(
        "Deletes the task only if its `version` is still this one; "
        "otherwise the item fails with `CONFLICT`."
    )
    subtasks: Subtasks = subtasks_field()


@strawberry.input(description="Input for `taskBulkDelete`.")
class TaskBulkDeleteInput(BulkInput):
    """See `domain.tasks.task_bulk.delete`."""

    items: list[TaskBulkDeleteItem] = required(f"1 to {domain.MAX_ITEMS} tasks.")


# --- payloads ------------------------------------------------------------------------------------


@strawberry.type(description="The result of one item of a bulk mutation.")
class TaskBulkResult:
    index: int = attribute("The item's index in the input, starting at 0.")
    task: Task | None = result_object(
        models.Task,
        "The task after this item, the current task on `CONFLICT`, or on `ALREADY_EXISTS` the task "
        "that has the external reference. Null if the item failed otherwise, was rolled back or "
        "deleted the task.",
    )
    deleted_ids: list[strawberry.ID] = attribute(
        "The IDs of all tasks that this item moved to the trash: the task's, then those of the "
        "subtasks that went with it. Each ID is in one result only."
    )
    errors: list[UserError] = attribute("Errors of this item. Empty if it is valid.")


@shared_payload()
class _TaskBulkPayload(BulkPayload):
    results: list[TaskBulkResult] = derived(
        (), bulk_results, "One result per item, in the order of the input."
    )


# --- mutations -----------------------------------------------------------------------------------


_new = arguments_of(
    TaskBulkCreateItem, NewTask, ids=NEW_TASK_IDS, options=("due", "external_references")
)
_changes = changes_of(
    TaskBulkUpdateItem,
    CHANGEABLE,
    ids={"assignee_id": models.User},
    options=("due", "external_references"),
)


def _edit(item: TaskBulkUpdateItem) -> domain.Edit:
    task_id = ids.decode(models.Task, item.id, ("id",))
    return domain.Edit(
        task_id, _changes(item) | due_of(item) | references_of(item), given(item.if_version)
    )


def _deletion(item: TaskBulkDeleteItem) -> domain.Deletion:
    task_id = ids.decode(models.Task, item.id, ("id",))
    return domain.Deletion(task_id, given(item.if_version), item.subtasks)


_bulk = partial(run_bulk, model=models.Task, check=domain.check_values, ref="task")


def _new_task(item: TaskBulkCreateItem) -> NewTask:
    return NewTask(**_new(item), **due_of(item), **references_of(item))


async def _create(work: Work, data: TaskBulkCreateInput) -> Outcome:
    return await _bulk(work, data, read=_new_task, operation=task_bulk_creation.create)


async def _update(work: Work, data: TaskBulkUpdateInput) -> Outcome:
    return await _bulk(work, data, read=_edit, operation=domain.update_tasks)


async def _delete(work: Work, data: TaskBulkDeleteInput) -> Outcome:
    return await _bulk(work, data, read=_deletion, operation=domain.delete, deletes=True)


@strawberry.type
class TaskBulkMutation:
    task_bulk_create: _TaskBulkPayload = mutation(
        _create,
        TaskBulkCreateInput,
        f"Creates up to {domain.MAX_ITEMS} tasks. The rules of `taskCreate` apply to each.",
        limit=rates.new_tasks,
    )
    task_bulk_update: _TaskBulkPayload = mutation(
        _update,
        TaskBulkUpdateInput,
        f"Updates up to {domain.MAX_ITEMS} tasks, each with its own changes. The rules of "
        "`taskUpdate` apply to each; the parent cannot be changed in bulk.",
    )
    task_bulk_delete: _TaskBulkPayload = mutation(
        _delete,
        TaskBulkDeleteInput,
        f"Moves up to {domain.MAX_ITEMS} tasks to the trash. The rules of `taskDelete` apply to "
        "each. A subtask deleted with its parent in the same call is restored with it.",
    )
