"""Bulk mutations of time entries; see `graph.kit.bulk`."""

from __future__ import annotations

from functools import partial

import strawberry

from db import models
from domain.time import time_bulk as domain
from domain.time import time_entry
from domain.time.time_entry import MAX_ITEMS
from domain.work import Work
from graph.core import ids
from graph.core.errors import UserError
from graph.core.fields import attribute, derived
from graph.core.inputs import given, optional, required
from graph.kit.bulk import BulkInput, BulkPayload, bulk_results, result_object, run_bulk
from graph.kit.mutation import Outcome, mutation, shared_payload
from graph.types.time.time_entry import TimeEntry, entry_changes_of, new_entry_of
from graph.types.time.time_inputs import NewTimeEntryFields, TimeEntryChanges

# --- inputs --------------------------------------------------------------------------------------


@strawberry.input(
    description="A new entry in `timeEntryBulkCreate`; the same fields as `TimeEntryCreateInput`."
)
class TimeEntryBulkCreateItem(NewTimeEntryFields):
    """See `domain.time.time_entry.create_many`."""


@strawberry.input(description="Input for `timeEntryBulkCreate`.")
class TimeEntryBulkCreateInput(BulkInput):
    """See `domain.time.time_entry.create_many`."""

    items: list[TimeEntryBulkCreateItem] = required(f"1 to {MAX_ITEMS} entries.")


@strawberry.input(
    description="Changes to one time entry, in `TimeEntryBulkUpdateInput`. Omitted fields stay "
    "unchanged; null clears a field."
)
class TimeEntryBulkUpdateItem(TimeEntryChanges):
    """See `domain.time.time_bulk.update_many`."""

    if_version: int | None = optional(
        "Changes the entry only if its `version` is still this one; otherwise the item fails with "
        "`CONFLICT`."
    )


@strawberry.input(description="Input for `timeEntryBulkUpdate`.")
class TimeEntryBulkUpdateInput(BulkInput):
    """See `domain.time.time_bulk.update_many`."""

    items: list[TimeEntryBulkUpdateItem] = required(
        f"1 to {MAX_ITEMS} changes, each to a different entry."
    )


@strawberry.input(description="A time entry to delete, in `TimeEntryBulkDeleteInput`.")
class TimeEntryBulkDeleteItem:
    """See `domain.time.time_bulk.delete_many`."""

    id: strawberry.ID = required("The time entry's ID; one of your own.")
    if_version: int | None = optional(
        "Deletes the entry only if its `version` is still this one; otherwise the item fails with "
        "`CONFLICT`."
    )


@strawberry.input(description="Input for `timeEntryBulkDelete`.")
class TimeEntryBulkDeleteInput(BulkInput):
    """See `domain.time.time_bulk.delete_many`."""

    items: list[TimeEntryBulkDeleteItem] = required(f"1 to {MAX_ITEMS} entries.")


# --- payloads ------------------------------------------------------------------------------------


@strawberry.type(description="The result of one item of a bulk mutation of time entries.")
class TimeEntryBulkResult:
    index: int = attribute("The item's index in the input, starting at 0.")
    time_entry: TimeEntry | None = result_object(
        models.TimeEntry,
        "The entry after this item, or the current entry on `CONFLICT`. Null if the item failed "
        "otherwise, was rolled back or deleted the entry.",
    )
    deleted_id: strawberry.ID | None = attribute(
        "The ID of the entry that was deleted. Null if none was."
    )
    errors: list[UserError] = attribute("Errors of this item. Empty if it is valid.")


@shared_payload()
class _TimeEntryBulkPayload(BulkPayload):
    results: list[TimeEntryBulkResult] = derived(
        (), bulk_results, "One result per item, in the order of the input."
    )


# --- mutations -----------------------------------------------------------------------------------

_new = new_entry_of(TimeEntryBulkCreateItem)
_changes = entry_changes_of(TimeEntryBulkUpdateItem)
_bulk = partial(run_bulk, model=models.TimeEntry, ref="time_entry")


def _edit(item: TimeEntryBulkUpdateItem) -> domain.Edit:
    return domain.Edit(
        ids.decode(models.TimeEntry, item.id, ("id",)),
        _changes(item),
        given(item.if_version),
        allow_over_24_hours=item.allow_over_24_hours,
    )


def _deletion(item: TimeEntryBulkDeleteItem) -> domain.Deletion:
    return domain.Deletion(ids.decode(models.TimeEntry, item.id, ("id",)), given(item.if_version))


async def _create(work: Work, data: TimeEntryBulkCreateInput) -> Outcome:
    return await _bulk(
        work,
        data,
        read=_new,
        check=time_entry.check_values,
        operation=time_entry.create_many,
    )


async def _update(work: Work, data: TimeEntryBulkUpdateInput) -> Outcome:
    return await _bulk(
        work, data, read=_edit, check=domain.check_values, operation=domain.update_many
    )


async def _delete(work: Work, data: TimeEntryBulkDeleteInput) -> Outcome:
    return await _bulk(
        work,
        data,
        read=_deletion,
        check=lambda *_: None,
        operation=domain.delete_many,
        deletes=True,
    )


@strawberry.type
class TimeEntryBulkMutation:
    time_entry_bulk_create: _TimeEntryBulkPayload = mutation(
        _create,
        TimeEntryBulkCreateInput,
        f"Creates up to {MAX_ITEMS} time entries. The rules of `timeEntryCreate` apply to each.",
    )
    time_entry_bulk_update: _TimeEntryBulkPayload = mutation(
        _update,
        TimeEntryBulkUpdateInput,
        f"Updates up to {MAX_ITEMS} of your time entries, each with its own changes. The rules of "
        "`timeEntryUpdate` apply to each; overlaps are checked as the entries are after the whole "
        "call, so two entries can swap their times.",
    )
    time_entry_bulk_delete: _TimeEntryBulkPayload = mutation(
        _delete,
        TimeEntryBulkDeleteInput,
        f"Deletes up to {MAX_ITEMS} of your time entries permanently. The rules of "
        "`timeEntryDelete` apply to each.",
    )
