"""External references of tasks: the type, the filter and the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import strawberry
from sqlalchemy import ARRAY, Uuid, bindparam, select
from strawberry.types.maybe import Some

from db import models
from db.statements import Statement
from domain.tasks import external_references as domain
from graph.core.fields import BatchInfo, attribute
from graph.core.inputs import given, optional, required
from graph.core.scalars import URL
from graph.kit import filtering
from graph.kit.comparators import StringFilter


@strawberry.type(description="A task's counterpart in another system.")
class ExternalReference:
    source: str = attribute("The other system.")
    external_id: str = attribute("The ID in the other system.")
    url: URL | None = attribute("The address in the other system.")


_REFERENCES = Statement(
    select(
        models.TaskExternalReference.task_id,
        models.TaskExternalReference.source,
        models.TaskExternalReference.external_id,
        models.TaskExternalReference.url,
    )
    .where(models.TaskExternalReference.task_id == bindparam("ids", type_=ARRAY(Uuid())).any_())
    .order_by(
        models.TaskExternalReference.task_id,
        models.TaskExternalReference.source,
        models.TaskExternalReference.external_id,
    )
)


async def references_of_tasks(
    parents: Sequence[Any], info: BatchInfo
) -> list[list[ExternalReference]]:
    """The field of tasks, for all of them at once."""
    rows = await info.context.services.database.reader.fetch(
        _REFERENCES, {"ids": list({parent.id for parent in parents})}
    )
    found: dict[UUID, list[ExternalReference]] = {}
    for row in rows:
        reference = ExternalReference(source=row.source, external_id=row.external_id, url=row.url)
        found.setdefault(row.task_id, []).append(reference)
    return [found.get(parent.id, []) for parent in parents]


@filtering.filter_input("Filter for a task's counterparts in other systems.")
class ExternalReferenceFilter:
    source: StringFilter | None = filtering.by(
        models.TaskExternalReference.source, "The other system."
    )
    external_id: StringFilter | None = filtering.by(
        models.TaskExternalReference.external_id, "The ID in the other system."
    )
    url: StringFilter | None = filtering.by(
        models.TaskExternalReference.url, "The address in the other system."
    )


@filtering.list_filter(
    "Filter for a task's counterparts in other systems.", noun="external reference"
)
class ExternalReferenceListFilter:
    of: ExternalReferenceFilter


@strawberry.input(description="A task's counterpart in another system.")
class ExternalReferenceInput:
    """See `domain.tasks.external_references`."""

    source: str = required("The other system, such as `jira`; 1 to 50 characters.")
    external_id: str = required("The ID in the other system, 1 to 200 characters.")
    url: URL | None = optional("The address in the other system, up to 2,000 characters.")


def references_of(data: Any) -> dict[str, Any]:
    """The field `external_references` of an input, if it is given."""
    found = data.external_references
    if isinstance(found, Some):
        found = found.value or []
    if found is None or found is strawberry.UNSET:
        return {}
    return {
        "external_references": [
            domain.ExternalReference(one.source, one.external_id, given(one.url)) for one in found
        ]
    }
