"""Activity: a user's own actions, everyone's on a task, and the audit log.

All three read the event log that feeds subscriptions; an entry is the same `Event` with the
same id everywhere. The first two apply the access rule, so an entry is hidden together with its
subject; the audit log is for administrators and shows everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import Viewer, ViewerShape, placeholder_viewer
from db import models
from db.read import Statement
from errors import Forbidden
from graph.core.enums import EventKind
from graph.core.fields import BatchInfo, argument, attribute, batch, root
from graph.kit import filtering, ordering, paging
from graph.kit.comparators import DateTimeFilter, EventKindFilter, IDFilter
from graph.kit.filtering import Binds, Values, build_filter, filter_shape
from graph.kit.ordering import Key
from graph.kit.paging import Page, paging_arguments, read_pages
from graph.types.accounts.user import UserFilter
from graph.types.projects.project_inputs import ProjectFilter
from graph.types.tasks.task_inputs import TaskFilter

if TYPE_CHECKING:
    from graph.types.events.event import Event

_TaskEvent = Annotated["Event", strawberry.lazy("graph.types.events.event")]

_NEWEST_FIRST = (Key(ordering.source(models.Event.at), descending=True),)


@filtering.filter_input("Filter for activity entries.")
class ActivityFilter:
    id: IDFilter | None = filtering.by_id(models.Event.id, models.Event, "The event's ID.")
    kind: EventKindFilter | None = filtering.by(models.Event.kind, "What happened.")
    at: DateTimeFilter | None = filtering.by(models.Event.at, "When it happened.")
    actor: UserFilter | None = filtering.by_relation(
        models.Event.actor_id, "The user who did it.", model=models.User, audited=True
    )
    task: TaskFilter | None = filtering.by_relation(
        models.Event.task_id, "The task concerned.", model=models.Task, audited=True
    )
    project: ProjectFilter | None = filtering.by_relation(
        models.Event.project_id, "The project concerned.", model=models.Project, audited=True
    )


@paging.connection_type(
    "A page of activity entries, newest first.",
    edge="An activity entry in a list, with its cursor.",
)
class ActivityConnection:
    node: _TaskEvent


@strawberry.type(description="The number of activity entries of one kind.")
class EventKindCount:
    """One entry of `byKind`."""

    kind: EventKind = attribute("The kind of event.")
    count: int = attribute("The number of entries of this kind.")


@strawberry.type(description="The number of activity entries about one type of object.")
class EventSubjectTypeCount:
    """One entry of `bySubjectType`."""

    subject_type: str = attribute("The object's type in the schema, such as `Task`.")
    count: int = attribute("The number of entries about this type.")


@strawberry.type(description="Statistics over your own actions.")
class EventStats:
    total: int = attribute("The number of actions.")
    by_kind: list[EventKindCount] = attribute("Counts by kind of event, most frequent first.")
    by_subject_type: list[EventSubjectTypeCount] = attribute(
        "Counts by type of object, most frequent first."
    )


def _own(viewer: Viewer, event: Any) -> Any:
    return event.actor_id == viewer.sql_id


async def _activity(_: Sequence[Any], info: BatchInfo, **options: Any) -> list[Page]:
    info.viewer.require()
    pages = await read_pages(info, models.Event, default_order=_NEWEST_FIRST, where=_own, **options)
    return [pages[None]]


async def _task_activity(parents: Sequence[Any], info: BatchInfo, **options: Any) -> list[Page]:
    keys = list(dict.fromkeys(parent.id for parent in parents))
    pages = await read_pages(
        info,
        models.Event,
        child="task_id",
        parents=keys,
        default_order=_NEWEST_FIRST,
        **options,
    )
    return [pages[parent.id] for parent in parents]


async def _audit_log(_: Sequence[Any], info: BatchInfo, **options: Any) -> list[Page]:
    info.viewer.require()
    if not info.viewer.is_admin:
        raise Forbidden("Only administrators can read the audit log.")
    pages = await read_pages(
        info, models.Event, default_order=_NEWEST_FIRST, right=access.audit, **options
    )
    return [pages[None]]


@lru_cache(maxsize=200)
def _stats_statement(filter_shaped: Any, shape: ViewerShape) -> Statement:
    viewer = placeholder_viewer(shape)
    event = aliased(models.Event)
    query = select(event.kind, event.subject_type, func.count().label("count")).where(
        access.read(viewer, event), _own(viewer, event)
    )
    if filter_shaped is not None:
        query = query.where(build_filter(filter_shaped, event, viewer, Binds()))
    return Statement(query.group_by(event.kind, event.subject_type))


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
            EventSubjectTypeCount(subject_type=resource, count=count)
            for resource, count in _most(by_type)
        ],
    )


def _most(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def task_activity() -> Any:
    """The field `Task.activity`."""
    return batch(
        _task_activity,
        "What all users did with the task, newest first.",
        requires=("id",),
        arguments=paging_arguments(ActivityFilter),
    )


def activity() -> Any:
    """The field `Viewer.activity`."""
    return batch(
        _activity,
        "Your own actions, newest first, as far as you can still see their objects.",
        arguments=paging_arguments(ActivityFilter),
    )


def activity_stats() -> Any:
    """The field `Viewer.activityStats`."""
    return root(
        _activity_stats,
        "Statistics over your own actions.",
        arguments=[
            argument(
                "filter_",
                ActivityFilter | None,
                "Counts only entries that match this filter.",
                name="filter",
            )
        ],
    )


@strawberry.type
class ActivityQuery:
    admin_audit_log: ActivityConnection = batch(
        _audit_log,
        "Lists the actions of all users, newest first, with network address and request. "
        "Administrators only.",
        arguments=paging_arguments(ActivityFilter),
    )
