"""Root fields of subscriptions: what a client can subscribe to.

A subscription's source is a stream of event rows (`events.live`). The transport executes the
client's selection for each of them, in a separate context, so that every delivery is read anew
and through the access rules.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Self

import strawberry

from db import models
from events.subscription import Subscription as Source
from graph.core import ids
from graph.core.context import Context
from graph.core.executed import Deliveries
from graph.core.inputs import given
from graph.types.events.event import Event
from graph.types.events.event_filter import EventFilter
from graph.types.events.wanted import Wanted, demand_within, wanted_of
from graph.types.notifications.notification import NotificationSubscription
from graph.types.projects.presence import ProjectPresence, presence_of
from graph.types.time.report_export import ReportExportEvent, progress_of
from graph.types.time.timer_events import TimerEvent, about_time, own_time

# Events that are executed together. The first one waits for the last one.
_TOGETHER = 20


def _subscription(source: Callable[..., Any], description: str) -> Any:
    """A root field whose values come from a stream; its type is the class's annotation."""
    return strawberry.subscription(resolver=source, description=description)


class _Matching:
    """The events of a source that match the filter when they are delivered, all that wait at the
    same time together.
    """

    def __init__(self, source: Source, wanted: Wanted) -> None:
        self._source = source
        self._wanted = wanted

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Deliveries:
        source = self._source
        while True:
            items = source.with_waiting(await source.next_item(), _TOGETHER)
            matching = await self._wanted.decided([(item.row, item.matches) for item in items])
            if matching:
                return Deliveries(matching, source.still_visible)

    async def aclose(self) -> None:
        """Stop listening."""
        await self._source.aclose()


async def _task_events(
    info: strawberry.Info[Context, None],
    filter: Annotated[  # noqa: A002
        EventFilter | None,
        strawberry.argument(description="Delivers only events that match this filter."),
    ] = strawberry.UNSET,
    after: Annotated[
        str | None,
        strawberry.argument(
            description="The cursor of the last event that you received, or from `eventCursor`. "
            "Delivers the events since then first, then new ones; none is lost or "
            "repeated. Without it, delivers new events only. An empty string starts "
            "at the oldest stored event."
        ),
    ] = strawberry.UNSET,
) -> AsyncIterator[Event]:
    context = info.context
    user_id = context.viewer.require()
    wanted = wanted_of(context, given(filter))
    await demand_within(context, wanted)
    source = await context.services.live.subscribe(
        user_id, wanted.events, after=given(after), path=("filter",)
    )
    return _Matching(source, wanted)  # type: ignore[return-value]  # the executor takes it apart


async def _timer_changed(
    info: strawberry.Info[Context, None],
    after: Annotated[
        str | None,
        strawberry.argument(
            description="A cursor. Delivers the changes since then first, then new ones. Without "
            "it, delivers new changes only. An empty string starts at the oldest "
            "stored event."
        ),
    ] = strawberry.UNSET,
) -> AsyncIterator[TimerEvent]:
    user_id = info.context.viewer.require()
    source = await info.context.services.live.subscribe(
        user_id, own_time(info.context.viewer), after=given(after)
    )
    return about_time(source)


async def _export_progress(
    info: strawberry.Info[Context, None],
    id: Annotated[strawberry.ID, strawberry.argument(description="The export's ID.")],  # noqa: A002
    after: Annotated[
        str | None,
        strawberry.argument(
            description="A cursor. Delivers the changes since then first, then new ones. Without "
            "it, delivers the latest change and then new ones. An empty string starts at the "
            "oldest stored event."
        ),
    ] = strawberry.UNSET,
) -> AsyncIterator[ReportExportEvent]:
    info.context.viewer.require()
    key = ids.decode(models.ReportExport, id, ("id",))
    return await progress_of(info.context, key, given(after))


async def _project_presence(
    info: strawberry.Info[Context, None],
    project_id: Annotated[
        strawberry.ID, strawberry.argument(description="The project's ID or key.")
    ],
) -> AsyncIterator[ProjectPresence]:
    return await presence_of(info.context, project_id)  # type: ignore[return-value]  # its sources


@strawberry.type(description="Subscriptions, over graphql-transport-ws or server-sent events.")
class Subscription(NotificationSubscription):
    report_export_changed: ReportExportEvent = _subscription(
        _export_progress,
        "Delivers the progress of one of your exports; ends when the export does.",
    )
    project_presence: ProjectPresence = _subscription(
        _project_presence,
        "Delivers who is looking at a project: first as it is now, then after each change. You say "
        "so yourself with `presenceSet`. Ends with `NOT_FOUND` when you lose access to the "
        "project.",
    )
    timer_changed: TimerEvent = _subscription(
        _timer_changed,
        "Delivers your running timer whenever it is started, stopped, changed or discarded, on "
        "any device.",
    )
    task_events: Event = _subscription(
        _task_events,
        "Delivers events of the tasks and projects that you can see, and of their members, from "
        "the time you can see them, and events of your own time and reminders. When you lose "
        "access to a task or project, you receive `ACCESS_LOST`. A client that falls behind by "
        "1,000 events or 45 seconds is disconnected and resumes from its last cursor.",
    )
