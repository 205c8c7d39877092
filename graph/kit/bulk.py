"""What bulk mutations share: a result per item, and either all items or as many as possible.

An item's failures are in the payload's `errors` with the item's index in their path (`["input",
"items", "3", "title"]`). The item's result finds them by that index, so they are stored once, also
for a repeat of an idempotency key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from uuid import UUID

import strawberry

from db.base import Base
from domain.tasks.task_bulk import demand_size
from domain.work import Work
from errors import Failure, collecting, each
from graph.core import ids
from graph.core.errors import UserError
from graph.core.fields import BatchInfo, batch, derived
from graph.core.inputs import BulkOnError, MutationInput
from graph.kit.loading import load_objects
from graph.kit.mutation import MutationPayload, Outcome, PayloadValue

T = TypeVar("T")
Results = Sequence[Any | Failure]


@strawberry.input
class BulkInput(MutationInput):
    """The inputs of bulk mutations, which add `items`."""

    on_error: BulkOnError = strawberry.field(
        default=BulkOnError.ROLLBACK, description="What happens if an item fails."
    )
    dry_run: bool = strawberry.field(
        default=False,
        description="Validates and runs the whole mutation, then rolls it back. Nothing is "
        "changed.",
    )


@strawberry.type
class BulkPayload(MutationPayload):
    """The payloads of bulk mutations, which add `results`."""

    errors: list[UserError] = derived(
        (),
        lambda value: value.errors,
        "The errors of all items, each with the item's index in its path. With `onError: CONTINUE` "
        "the other items are carried out nevertheless; `doneCount` says how many.",
    )
    done_count: int = derived(
        (),
        lambda value: value.refs.get("done", 0),
        "The number of items that were carried out. 0 in a dry run or after a rollback.",
    )
    valid_count: int = derived(
        (),
        lambda value: value.refs.get("valid", 0),
        "The number of items without an error, also in a dry run or after a rollback.",
    )


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What became of an item. `id`: of its object as it is now, if there is one."""

    index: int
    id: UUID | None
    errors: list[UserError]
    deleted_ids: Sequence[str] = ()

    @property
    def deleted_id(self) -> str | None:
        """Where an item deletes one object at most."""
        return self.deleted_ids[0] if self.deleted_ids else None


class Operation(Protocol):
    """What the domain does with all items at once; returns a row or a failure for each."""

    def __call__(
        self, work: Work, items: Sequence[Any], /, *, all_or_nothing: bool
    ) -> Awaitable[Results]: ...


async def run_bulk(
    work: Work,
    data: Any,
    *,
    model: type[Base],
    read: Callable[[Any], T],
    check: Callable[[Work, T], object],
    operation: Operation,
    ref: str,
    deletes: bool = False,
) -> Outcome:
    """Read every item, run the operation on all of them, and collect a result for each.

    `check` raises for values of an item that are invalid whatever it refers to. `ref` is the name
    under which a conflict refers to the current object. `deletes`: results have the ids of the
    deleted objects, instead of objects: the `ids` of what the operation returns for the item, or
    its `id`.
    """
    demand_size(data.items)
    items: list[T | Failure] = []
    for item in data.items:
        try:
            with collecting() as problems:
                found = read(item)
                if problems:
                    # Also report the item's other errors, which the operation finds only once the
                    # IDs are valid.
                    check(work, found)
            items.append(found)
        except Failure as failure:
            items.append(failure)
    all_or_nothing = data.on_error is BulkOnError.ROLLBACK
    results = await operation(work, items, all_or_nothing=all_or_nothing)
    failures = [
        single.under("items", index)
        for index, result in enumerate(results)
        if isinstance(result, Failure)
        for single in each(result)
    ]
    undone = data.dry_run or (bool(failures) and all_or_nothing)
    valid = sum(not isinstance(result, Failure) for result in results)
    refs: dict[str, Any] = {
        "objects": [
            result.refs.get(ref)
            if isinstance(result, Failure)
            else (None if undone or deletes else result.id)
            for result in results
        ],
        "done": 0 if undone else valid,
        "valid": valid,
    }
    if deletes:
        refs["deleted"] = [
            [] if undone or isinstance(result, Failure) else _encoded(model, result)
            for result in results
        ]
    return Outcome(refs, failures, undo=undone)


def _encoded(model: type[Base], deleted: Any) -> list[str]:
    keys = getattr(deleted, "ids", None) or [deleted.id]
    return [ids.encode(model, key) for key in keys]


def bulk_results(value: PayloadValue) -> list[BulkResult]:
    """Reads the results from a payload that `run_bulk` made."""
    errors: dict[str, list[UserError]] = {}
    for error in value.errors:
        if error.path[:2] == ["input", "items"] and len(error.path) > 2:
            errors.setdefault(error.path[2], []).append(error)
    deleted = value.refs.get("deleted") or ()
    return [
        BulkResult(
            index,
            None if id_ is None else UUID(str(id_)),
            errors.get(str(index), []),
            deleted[index] if deleted else (),
        )
        for index, id_ in enumerate(value.refs.get("objects") or ())
    ]


def result_object(model: type[Base], description: str) -> Any:
    """The object of a result; null if there is none."""

    async def rows(parents: Sequence[BulkResult], info: BatchInfo) -> Sequence[Any]:
        return await load_objects(info, model, [parent.id for parent in parents])

    return batch(rows, description)
