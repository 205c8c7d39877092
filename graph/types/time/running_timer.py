"""The viewer's running timer, read in a single statement."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import select

from auth import access
from auth.viewer import ViewerShape, placeholder_viewer
from db import models
from db.statements import Statement
from graph.core.fields import BatchInfo, batch
from graph.kit.loading import Labels, columns_of


@lru_cache(maxsize=200)
def _running_statement(labels: Labels, shape: ViewerShape) -> Statement:
    viewer, entry = placeholder_viewer(shape), models.TimeEntry
    query = select(*columns_of(entry, entry, labels, viewer)).where(
        entry.user_id == viewer.sql_id, entry.ended_at.is_(None), access.read(viewer, entry)
    )
    return Statement(query, entry)


async def read_running(info: BatchInfo) -> Any:
    """The viewer's running timer, or None."""
    object_type: Any = info.selection.type
    statement = _running_statement(info.selection.labels(object_type), info.viewer.shape)
    rows: list[Any] = await info.context.services.database.reader.fetch(
        statement, info.viewer.params
    )
    return rows[0] if rows else None


async def _running(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
    return [await read_running(info)] * len(parents)


def running_timer() -> Any:
    """The field `Viewer.runningTimer`."""
    return batch(_running, "Your running timer; null if none is running.")
