"""Many time entries at once, with a result for each; by the same rules as bulks of tasks."""

from __future__ import annotations

import strawberry

from db import models
from domain.tasks.task_bulk import demand_size
from domain.time import time_entry as domain
from domain.work import Work
from errors import Failure, collecting, each
from graph.core.errors import UserError
from graph.core.fields import attribute, derived
from graph.kit.bulk import bulk_results, result_object
from graph.kit.mutation import Outcome, Payload, mutation, payload
from graph.types.tasks.task_bulk import BulkOnError
from graph.types.time.time_entry import TimeEntry, new_entry
from graph.types.time.time_inputs import TimeEntryBulkCreateInput


@strawberry.type(description="What became of one time entry of a bulk.")
class TimeEntryBulkResult:
    """Reads from a `BulkResult`."""

    index: int = attribute("The item's place in the input, from 0.")
    time_entry: TimeEntry | None = result_object(
        models.TimeEntry, "The new entry; null where the item failed, or nothing was done."
    )
    errors: list[UserError] = attribute("What stood in the way; empty where the item is good.")


@payload(
    "A result for each item. `errors` has those of all items, each with its place in the input."
)
class TimeEntryBulkCreatePayload(Payload):
    """`timeEntryBulkCreate`."""

    done_count: int = derived(
        (), lambda value: value.refs.get("done", 0), "The number of entries that were made."
    )
    results: list[TimeEntryBulkResult] = derived(
        (), bulk_results("entries"), "One for each item, in their order."
    )


async def _create(work: Work, data: TimeEntryBulkCreateInput) -> Outcome:
    demand_size(data.items)
    items: list[domain.NewTimeEntry | Failure] = []
    for item in data.items:
        try:
            with collecting() as problems:
                entry = new_entry(item)
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
    """Root fields."""

    time_entry_bulk_create: TimeEntryBulkCreatePayload = mutation(
        _create,
        TimeEntryBulkCreateInput,
        "Enter many stretches of time, by the rules of `timeEntryCreate` for each.",
    )
