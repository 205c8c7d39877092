"""Activity: a user's own actions, everyone's in a project or on a task, and the audit log.

All of them read the event log that feeds subscriptions; an entry is the same `Event` with the
same id everywhere. The first three apply the access rule, so an entry is hidden together with its
subject; the audit log is for administrators and shows everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import strawberry
from sqlalchemy import Integer, func, literal_column, select
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import Viewer, ViewerShape, placeholder_viewer
from db import models
from db.base import Base
from db.statements import Plan, Statement
from errors import Forbidden
from graph.core.enums import EventKind, EventSubjectType
from graph.core.fields import BatchInfo, argument, attribute, batch, root
from graph.kit import counting
from graph.kit.filter_values import Binds, Values
from graph.kit.ordering import SortOrder
from graph.kit.paging import Page
from graph.kit.predicates import build_filter, filter_shape
from graph.types.events.event_connection import EventConnection, event_arguments
from graph.types.events.event_feed import read_feed
from graph.types.events.event_filter import EventFilter


@strawberry.type(description="The number of events of one kind.")
class EventKindCount:
    """One entry of `byKind`."""

    kind: EventKind = attribute("The kind of event.")
    count: int = attribute("The number of events of this kind.")


@strawberry.type(description="The number of events about one type of object.")
class EventSubjectTypeCount:
    """One entry of `bySubjectType`."""

    subject_type: EventSubjectType = attribute("The type of object.")
    count: int = attribute("The number of events about this type.")


@strawberry.type(description="Statistics over your own actions.")
class EventStats:
    total: int = attribute("The number of actions.")
    by_kind: list[EventKindCount] = attribute("Counts by kind of event, most frequent first.")
    by_subject_type: list[EventSubjectTypeCount] = attribute(
        "Counts by type of object, most frequent first."
    )


# --- feeds ---------------------------------------------------------------------------------------


def _own(viewer: Viewer, event: Any) -> Any:
    return event.actor_id == viewer.sql_id


async def _own_activity(parents: Sequence[Any], info: BatchInfo, **options: Any) -> list[Page]:
    info.viewer.require()
    pages = await read_feed(info, where=_own, **options)
    return [pages[None]] * len(parents)


def _feed_of(child: str) -> Any:
    async def feed(parents: Sequence[Any], info: BatchInfo, **options: Any) -> list[Page]:
        keys = [parent.id for parent in parents]
        pages = await read_feed(info, child=child, parents=keys, **options)
        return [pages[key] for key in keys]

    return feed


_FEEDS: Final[dict[type[Base], tuple[str, str]]] = {
    models.Project: (
        "project_id",
        "Lists what all users did in the project, newest first by default.",
    ),
    models.Task: ("task_id", "Lists what all users did with the task, newest first by default."),
}


def activity_of(model: type[Base] | None = None) -> Any:
    """The field `activity` of a type that shows rows of this model, or of the viewer (None): the
    feed of a project, of a task, or of one's own actions. Its annotation is `EventConnection`.
    """
    arguments = event_arguments(SortOrder.DESC)
    if model is None:
        return batch(
            _own_activity,
            "Lists your own actions, newest first by default, as far as you can still see their "
            "objects.",
            arguments=arguments,
        )
    child, description = _FEEDS[model]
    return batch(_feed_of(child), description, requires=("id",), arguments=arguments)


async def _audit_log(_: Sequence[Any], info: BatchInfo, **options: Any) -> list[Page]:
    info.viewer.require()
    if not info.viewer.is_admin:
        raise Forbidden("Only administrators can read the audit log.")
    pages = await read_feed(info, right=access.audit, **options)
    return [pages[None]]


# --- statistics ----------------------------------------------------------------------------------


@lru_cache(maxsize=200)
def _stats_statement(filter_shaped: Any, shape: ViewerShape) -> Statement:
    viewer = placeholder_viewer(shape)
    event = aliased(models.Event)
    query = select(event.kind, event.subject_type).where(
        access.read(viewer, event), _own(viewer, event)
    )
    if filter_shaped is not None:
        query = query.where(build_filter(filter_shaped, event, viewer, Binds()))
    latest = query.order_by(event.xid.desc(), event.position.desc())
    rows = latest.limit(literal_column(str(counting.EXACT_UP_TO), Integer())).subquery("latest")
    counted = select(rows.c.kind, rows.c.subject_type, func.count().label("count"))
    # A generic plan would expect few events of the user, and look for them in another way.
    return Statement(counted.group_by(rows.c.kind, rows.c.subject_type), plan=Plan.EACH)


async def _activity_stats(info: BatchInfo, filter_: Any = None) -> EventStats:
    info.viewer.require()
    values = Values()
    shaped = None if filter_ is None else filter_shape(filter_, values, ("filter",))
    rows = await info.context.services.database.reader.fetch(
        _stats_statement(shaped, info.viewer.shape), {**info.viewer.params, **values.params()}
    )
    by_kind: dict[str, int] = {}
    by_type: dict[str, int] = {}
    for row in rows:
        by_kind[row.kind] = by_kind.get(row.kind, 0) + row.count
        by_type[row.subject_type] = by_type.get(row.subject_type, 0) + row.count
    return EventStats(
        total=sum(by_kind.values()),
        by_kind=[
            EventKindCount(kind=EventKind(kind), count=count) for kind, count in _most(by_kind)
        ],
        by_subject_type=[
            EventSubjectTypeCount(subject_type=EventSubjectType(name), count=count)
            for name, count in _most(by_type)
        ],
    )


def _most(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def activity_stats() -> Any:
    """The field `activityStats` of the viewer. Its annotation is `EventStats`."""
    return root(
        _activity_stats,
        f"Returns statistics over your own actions; over the latest {counting.EXACT_UP_TO:,} of "
        "them, if there are more.",
        arguments=[
            argument(
                "filter_",
                EventFilter | None,
                "Counts only events that match this filter.",
                name="filter",
            )
        ],
    )


@strawberry.type
class ActivityQuery:
    admin_audit_log: EventConnection = batch(
        _audit_log,
        "Lists the actions of all users, newest first by default, with network address and "
        "request. Administrators only.",
        arguments=event_arguments(SortOrder.DESC),
    )
