"""The results of bulk mutations: one for each item, beside the payload's `errors`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from db.base import Base
from graph.core.errors import UserError
from graph.core.fields import BatchInfo, batch
from graph.kit.loading import load_objects
from graph.kit.mutation import PayloadValue


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What became of an item. `id`: of its object as it is now, if there is one."""

    index: int
    id: UUID | None
    errors: list[UserError]
    deleted_id: str | None = None


def bulk_results(key: str) -> Callable[[PayloadValue], list[BulkResult]]:
    """Reads the results from a payload whose refs hold the items' ids under `key`, and under
    `deleted` those that were deleted.
    """

    def results(value: PayloadValue) -> list[BulkResult]:
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
                deleted[index] if deleted else None,
            )
            for index, id_ in enumerate(value.refs.get(key) or ())
        ]

    return results


def result_object(model: type[Base], description: str) -> Any:
    """The object of a result; null if there is none."""

    async def rows(parents: Sequence[BulkResult], info: BatchInfo) -> Sequence[Any]:
        return await load_objects(info, model, [parent.id for parent in parents])

    return batch(rows, description)
