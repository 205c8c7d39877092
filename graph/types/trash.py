"""The trash: deleted tasks and projects that the viewer may restore."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, ClassVar

import strawberry
from sqlalchemy import DateTime, Text, Uuid, literal_column, select, union_all
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import Viewer
from db import models
from db.base import Base
from graph.core.fields import BatchInfo, argument, batch
from graph.core.node import described_enum
from graph.engine.state import EngineState
from graph.kit.loading import columns_of_objects, read_by_keys
from graph.kit.mixed_pages import MixedList, read_mixed_page
from graph.kit.ordering import Key, Ordering, Source
from graph.kit.paging import Page, connection_type, paging_arguments, window_of
from graph.types.projects.project import Project
from graph.types.tasks.task import Task


class TrashKind(Enum):
    """A kind of object in the trash."""

    TASK = "TASK"
    PROJECT = "PROJECT"


described_enum(
    TrashKind,
    "A kind of object in the trash.",
    {TrashKind.TASK: "Tasks.", TrashKind.PROJECT: "Projects."},
)
_MODELS: dict[TrashKind, type[Base]] = {
    TrashKind.TASK: models.Task,
    TrashKind.PROJECT: models.Project,
}
TrashItem = Annotated[
    Task | Project, strawberry.union(name="TrashItem", description="An object in the trash.")
]

# Last deleted first; of what was deleted together, by ID.
_ORDER = Ordering(
    (
        Key(
            Source(
                "deleted_at", lambda _v, rows: rows.c.deleted_at, DateTime(True), nullable=False
            ),
            descending=True,
        ),
        Key(Source("id", lambda _v, rows: rows.c.id, Uuid(), nullable=False), descending=True),
    )
)


def _rows(kinds: frozenset[TrashKind], viewer: Viewer) -> Any:
    selects = []
    for kind in TrashKind:
        if kind in kinds:
            entity: Any = aliased(_MODELS[kind])
            selects.append(
                select(
                    literal_column(f"'{kind.value}'", Text()).label("kind"),
                    entity.id,
                    entity.deleted_at,
                ).where(access.restore(viewer, entity))
            )
    return union_all(*selects).subquery("found")


_LIST = MixedList(_ORDER, _rows)


class _Entry:
    """A place in the list with its object: the source of an edge."""

    __slots__ = ("_key_0", "_key_1", "item")
    ordering: ClassVar = _ORDER

    def __init__(self, row: Any, item: Any) -> None:
        self._key_0, self._key_1 = row.deleted_at, row.id
        self.item = item


@connection_type(
    "A page of the trash, last deleted first.",
    edge="An object in the trash, with its cursor.",
    item=lambda entry: entry.item,
)
class TrashConnection:
    node: TrashItem


async def _entries(info: BatchInfo, rows: Sequence[Any]) -> list[_Entry]:
    """The rows with their objects, without those that left the trash in the meantime."""
    found: dict[Any, Any] = {}
    for kind, model in _MODELS.items():
        keys = [row.id for row in rows if row.kind == kind.value]
        if keys:
            serialized = info.context.of(EngineState).columns
            columns = columns_of_objects(model, serialized, info.selection.selection_index)
            found |= await read_by_keys(info.context, model, columns, keys, right=access.restore)
    return [_Entry(row, found[row.id]) for row in rows if row.id in found]


async def _trash(
    _: Sequence[Any],
    info: BatchInfo,
    *,
    kinds: list[TrashKind] | None = None,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
) -> list[Page]:
    info.viewer.require()
    window = window_of(_ORDER, first, after, last, before)
    chosen = frozenset(TrashKind if kinds is None else kinds)
    if not chosen:
        return [Page([], total=0)]
    page = await read_mixed_page(info, _LIST, chosen, window, {})
    page.rows = await _entries(info, page.rows)
    return [page]


@strawberry.type
class TrashQuery:
    trash: TrashConnection = batch(
        _trash,
        "Lists what is in the trash and you may restore, last deleted first: your personal tasks, "
        "the tasks that you may delete in your projects, and projects that you own. A task that "
        "was deleted with its parent or project is listed too, and is restored with it.",
        arguments=[
            argument(
                "kinds",
                list[TrashKind] | None,
                "The kinds of objects to list; all kinds by default.",
            ),
            *paging_arguments(),
        ],
    )
