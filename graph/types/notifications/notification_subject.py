"""What a notification leads to: the object that a client opens for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from db import models
from db.base import Base
from graph.core.fields import BatchInfo, batch
from graph.core.node import TYPE_NAMES
from graph.kit.loading import load_objects
from graph.request.scopes import may, scopes_of_type
from graph.types.events.event_changes import model_named


def notification_subject() -> Any:
    """The field `Notification.subject`."""
    return batch(
        _subjects,
        "What to open: the reminder, webhook, integration, comment or task. The task if you can "
        "no longer see the comment or reminder; null if you can see neither.",
        requires=("subject_type", "subject_id", "comment_id", "task_id"),
    )


def _leads(notification: Any) -> Iterator[tuple[type[Base], UUID]]:
    """What a notification may lead to, the best first."""
    own = notification.subject_type and model_named(notification.subject_type)
    for model, key in (
        (own, notification.subject_id),
        (models.Comment, notification.comment_id),
        (models.Task, notification.task_id),
    ):
        if model is not None and key is not None:
            yield model, key


async def _subjects(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
    schema = info.selection.selection_index.schema
    union: Any = info.selection.type
    shown = {one.name for one in schema.get_possible_types(union)}
    wanted: dict[type[Base], dict[UUID, Any]] = {}
    for parent in parents:
        for model, key in _leads(parent):
            name = TYPE_NAMES[model]
            if name in shown and may(info.viewer, *(scopes_of_type(name) or ())):
                wanted.setdefault(model, {})[key] = None
    for model, rows in wanted.items():
        keys = list(rows)
        rows.update(zip(keys, await load_objects(info, model, keys), strict=True))

    def opened(notification: Any) -> Any:
        found = (wanted.get(model, {}).get(key) for model, key in _leads(notification))
        return next(filter(None, found), None)

    return list(map(opened, parents))
