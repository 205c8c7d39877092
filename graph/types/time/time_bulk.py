"""Bulk creation of time entries, with a result per item; follows the rules of the task bulks."""

from __future__ import annotations

import strawberry

from db import models
from domain.tasks.task_bulk import demand_size
from domain.time import time_entry as domain
from domain.work import Work
from errors import Failure, collecting, each
from graph.core.errors import UserError
from graph.core.fields import attribute, derived
from graph.core.inputs import BulkOnError
from graph.kit.bulk import bulk_results, result_object
from graph.kit.commands import arguments_of
from graph.kit.mutation import MutationPayload, Outcome, mutation, payload
from graph.types.time.time_entry import NEW_ENTRY_IDS, TimeEntry
from graph.types.time.time_inputs import TimeEntryBulkCreateInput, TimeEntryBulkCreateItem


@strawberry.type(description="The result of one item of a bulk.")
class TimeEntryBulkResult:
    """Reads from a `BulkResult`."""

    index: int = attribute("The item's index in the input, from 0.")
    time_entry: TimeEntry | None = result_object(
        models.TimeEntry, "The new entry. Null if the item failed or nothing was created."
    )
    errors: list[UserError] = attribute("Errors of this item; empty if it is valid.")


@payload(
    "Payload of `timeEntryBulkCreate`, with a result per item. `errors` contains the errors of "
    "all items, each with the item's index in its path."
)
class TimeEntryBulkCreatePayload(MutationPayload):
    done_count: int = derived(
        (), lambda value: value.refs.get("done", 0), "The number of entries that were created."
    )
    results: list[TimeEntryBulkResult] = derived(
        (), bulk_results("entries"), "One result per item, in the order of the input."
    )


_new = arguments_of(TimeEntryBulkCreateItem, domain.NewTimeEntry, ids=NEW_ENTRY_IDS)


async def _create(work: Work, data: TimeEntryBulkCreateInput) -> Outcome:
    demand_size(data.items)
    items: list[domain.NewTimeEntry | Failure] = []
    for item in data.items:
        try:
            with collecting() as problems:
                entry = domain.NewTimeEntry(**_new(item))
                if problems:
                    domain.check_values(work, entry)
            items.append(entry)
        except Failure as failure:
            items.append(failure)
    all_or_nothing = data.on_error is BulkOnError.ROLLBACK
    results = await domain.create_many(work, items, all_or_nothing=all_or_nothing)
    failures: list[Failure] = []
    for index, result in enumerate(results):
        if isinstance(result, Failure):
            failures.extend(single.under("items", index) for single in each(result))
    undone = data.dry_run or (bool(failures) and all_or_nothing)
    made = [None if undone or isinstance(result, Failure) else result.id for result in results]
    refs = {"entries": made, "done": sum(entry is not None for entry in made)}
    return Outcome(refs, failures, undo=undone)


@strawberry.type
class TimeEntryBulkMutation:
    time_entry_bulk_create: TimeEntryBulkCreatePayload = mutation(
        _create,
        TimeEntryBulkCreateInput,
        "Creates many time entries; the rules of `timeEntryCreate` apply to each.",
    )
