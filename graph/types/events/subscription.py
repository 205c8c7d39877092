"""Root fields of subscriptions: what a client can listen to.

A subscription's source is a stream of event rows (`events.live`). The transport executes the
client's selection for each of them, in a context of its own, so that every delivery is read afresh
and through the access rules.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Annotated, Any

import strawberry

from db import models
from events.subscription import Subscription as Source
from graph.core import ids
from graph.core.context import Context
from graph.core.inputs import given
from graph.types.events.event import TaskEvent
from graph.types.events.event_filter import TaskEventFilter, Wanted, demand_within, wanted_of
from graph.types.notifications.notification import NotificationSubscription
from graph.types.time.report_export import ReportExportProgress, progress_of
from graph.types.time.timer_events import TimerChange, about_time, own_time


def _subscription(source: Callable[..., Any], description: str) -> Any:
    """A root field whose values come from a stream; typed by the class's annotation."""
    return strawberry.subscription(resolver=source, description=description)


async def _matching(source: Source, wanted: Wanted) -> AsyncGenerator[Any, None]:
    """The events of a source that match the filter when they are delivered."""
    try:
        async for row in source:
            for matching in await wanted.select([row]):
                yield matching
    finally:
        await source.aclose()


async def _task_events(
    info: strawberry.Info[Context, None],
    filter: Annotated[  # noqa: A002
        TaskEventFilter | None, strawberry.argument(description="Only events that match.")
    ] = strawberry.UNSET,
    after: Annotated[
        str | None,
        strawberry.argument(
            description="A cursor: of the last event you received, or `eventCursor`. What "
            "happened since comes first, then what happens, nothing lost and nothing twice. "
            "Without it, what happens from now on; an empty text is the oldest event that is kept."
        ),
    ] = strawberry.UNSET,
) -> AsyncIterator[TaskEvent]:
    context = info.context
    user_id = context.viewer.require()
    wanted = wanted_of(context, given(filter))
    await demand_within(context, wanted)
    source = await context.services.live.subscribe(
        user_id, wanted.events, after=given(after), path=("filter",)
    )
    return _matching(source, wanted) if wanted.asks_database else source


async def _timer_changed(
    info: strawberry.Info[Context, None],
    after: Annotated[
        str | None,
        strawberry.argument(
            description="A cursor: what happened since comes first, then what happens. Without "
            "it, what happens from now on; an empty text is the oldest event that is kept."
        ),
    ] = strawberry.UNSET,
) -> AsyncIterator[TimerChange]:
    user_id = info.context.viewer.require()
    source = await info.context.services.live.subscribe(
        user_id, own_time(info.context.viewer), after=given(after)
    )
    return about_time(source)


async def _export_progress(
    info: strawberry.Info[Context, None],
    id: Annotated[strawberry.ID, strawberry.argument(description="The export's id.")],  # noqa: A002
) -> AsyncIterator[ReportExportProgress]:
    info.context.viewer.require()
    key = ids.decode(models.ReportExport, id, ("id",))
    return await progress_of(info.context, key)


@strawberry.type(
    description="What can be listened to, over graphql-transport-ws or server-sent events."
)
class Subscription(NotificationSubscription):
    """Root fields of subscriptions."""

    report_export_progress: ReportExportProgress = _subscription(
        _export_progress,
        "How far one of your exports is, from now on until it is over; then it ends by itself.",
    )
    timer_changed: TimerChange = _subscription(
        _timer_changed,
        "Your timer, on whichever device it is started, stopped, changed or thrown away.",
    )
    task_events: TaskEvent = _subscription(
        _task_events,
        "What happens to the tasks and projects that you may see, and to the members of those "
        "projects, from the moment you may see them. What you may not see any more is told by "
        "`ACCESS_LOST`. A client that is too slow for 1,000 events or 45 seconds is let go, and "
        "resumes by its last cursor.",
    )
