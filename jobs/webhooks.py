"""Run webhooks: deliveries, attempts and replays.

A consumer of the log writes a delivery for each webhook whose owner can see the event and whose
filter matches, in the transaction in which it advances; so every event is queued once for each
webhook. What the owner can see is checked again at each attempt, by executing the payload as them,
or as the API key that made the webhook; the webhook ends with its key. An attempt can be made twice
if a worker is killed during it; the receiver recognises that by the `webhook-id`.
"""

from __future__ import annotations

import datetime as dt
import logging
import random
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Select, exists, select, tuple_

from auth.viewer import Viewer
from cache import BoundedCache
from db.models import (
    ApiKey,
    DeliveryState,
    Event,
    User,
    Webhook,
    WebhookDelivery,
    WebhookStatus,
)
from db.statements import Statement
from domain.accounts.by_key import reason_of_end
from domain.integrations import webhook_delivery
from domain.integrations.addresses import parse
from domain.integrations.webhook import REPLAY_JOB
from domain.integrations.webhook_delivery import DELIVER_JOB
from domain.work import Work
from errors import Failure
from jobs.consumer import consumer
from jobs.graph import graph_of, load, viewer_of
from jobs.handlers import handler, nothing_to_end
from jobs.outcomes import Later
from jobs.queue import RunningJob
from jobs.worker_context import WorkerContext

if TYPE_CHECKING:
    from graph.types.events.wanted import Wanted

log = logging.getLogger("taskloom.jobs")

# Pairs of event and user in one access check, and events in one step of a replay.
_PAIRS = 10_000
_STEP = 200
# A worker that is killed in the middle costs an attempt of the job, not of the delivery.
_ATTEMPTS = 500
_SECONDS = 90.0
_LONG_SECONDS = 600.0
_MOST_FILTERS = 5_000

_NOT_READABLE = "The event is no longer in the log, or the webhook's owner cannot see it."

Pairs = list[tuple[UUID, UUID]]


# --- from the log to deliveries ------------------------------------------------------------------


_ACTIVE = Statement(select(exists().where(Webhook.status == WebhookStatus.ACTIVE).label("found")))


async def _delivered(context: WorkerContext, events: Sequence[Any]) -> Sequence[Any]:
    """All events, if there is any active webhook."""
    (active,) = await context.database.single.fetch(_ACTIVE, {})
    return events if active.found else ()


@consumer("webhooks", finds=_delivered)
async def fan_out(context: WorkerContext, work: Work, events: Sequence[Any]) -> None:
    """Write the deliveries of these events."""
    rows = await work.session.execute(
        _webhooks().where(
            Webhook.status == WebhookStatus.ACTIVE, User.is_active, User.deleted_at.is_(None)
        )
    )
    wanted: list[tuple[Webhook, Any]] = []
    for webhook, owner, key in rows.all():
        reason = reason_of_end(key, work.now)
        if reason is not None:
            await webhook_delivery.disable(work, webhook.id, reason)
            continue
        newer = [event for event in events if event.position > webhook.since_position]
        found = await _wanted_by(context, work, webhook, viewer_of(owner, key), newer)
        wanted.extend((webhook, event) for event in found)
    traces = {event.id: event.trace for event in events if event.trace is not None}
    await webhook_delivery.add(work, await _visible(context, wanted), traces=traces)


def _webhooks() -> Select[Webhook, User, ApiKey | None]:
    """Active webhooks with their owners and the keys that made them."""
    joined = select(Webhook, User, ApiKey).join(User, User.id == Webhook.user_id)
    return joined.outerjoin(ApiKey, ApiKey.id == Webhook.api_key_id)


async def _wanted_by(
    context: WorkerContext, work: Work, webhook: Webhook, viewer: Viewer, events: Sequence[Any]
) -> list[Any]:
    """The events that match a webhook's filter and that its key, if any, can read. A filter that
    has become invalid disables the webhook.
    """
    await load()
    from graphql import GraphQLError

    try:
        wanted = _filters_of(context).of(context, webhook, viewer)
    except (GraphQLError, Failure) as error:
        log.warning("the filter of webhook %s is not valid: %s", webhook.id, error)
        reason = f"Its filter no longer fits the schema: {error}"
        await webhook_delivery.disable(work, webhook.id, reason[:500])
        return []
    return await wanted.select(events, stopped=False)


async def _visible(context: WorkerContext, wanted: Sequence[tuple[Webhook, Any]]) -> Pairs:
    """The pairs of webhook and event for which the webhook's owner can see the event now."""
    found: Pairs = []
    for start in range(0, len(wanted), _PAIRS):
        part = wanted[start : start + _PAIRS]
        allowed = await context.log.allowed(
            {(event.position, webhook.user_id) for webhook, event in part}
        )
        found += [
            (webhook.id, event.id)
            for webhook, event in part
            if (event.position, webhook.user_id) in allowed
        ]
    return found


class _Filters:
    """Parsed filters, kept from one batch of events to the next."""

    def __init__(self) -> None:
        self._known: BoundedCache[Any, Wanted] = BoundedCache(_MOST_FILTERS)

    def of(self, context: WorkerContext, webhook: Webhook, viewer: Viewer) -> Wanted:
        """Raises `GraphQLError` or `Failure` if the filter has become invalid."""
        key = (webhook.id, webhook.version, viewer)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._read(context, webhook, viewer)
        return known

    @staticmethod
    def _read(context: WorkerContext, webhook: Webhook, viewer: Viewer) -> Wanted:
        from graph.kit.stored_input import from_json
        from graph.types.events.event_filter import EventFilter
        from graph.types.events.wanted import wanted_of

        executing = graph_of(context)
        kept = webhook.filter
        given = None if kept is None else from_json(executing.schema, EventFilter, kept)
        return wanted_of(executing.context(viewer), given)


def _filters_of(context: WorkerContext) -> _Filters:
    made: _Filters = context.parts.setdefault(_Filters, _Filters())
    return made


# --- attempts ------------------------------------------------------------------------------------


async def _given_up(work: Work, job: RunningJob, reason: str) -> None:
    await webhook_delivery.fail(work, UUID(job.payload["delivery"]), reason)


@handler(DELIVER_JOB, on_given_up=_given_up, attempts=_ATTEMPTS, seconds=_SECONDS)
async def deliver(context: WorkerContext, job: RunningJob) -> None:
    """Make one attempt, unless it is no longer needed. The job determines when."""
    await load("jobs.delivery")
    from jobs.delivery import attempt

    delivery_id = UUID(job.payload["delivery"])
    async with context.database.session() as session:
        found = (
            await session.execute(
                _webhooks()
                .add_columns(WebhookDelivery, Event)
                .join(WebhookDelivery, WebhookDelivery.webhook_id == Webhook.id)
                .outerjoin(Event, Event.id == WebhookDelivery.event_id)
                .where(
                    WebhookDelivery.id == delivery_id,
                    WebhookDelivery.state == DeliveryState.PENDING,
                )
            )
        ).one_or_none()
    if found is None:
        return
    webhook, owner, key, delivery, event = found
    if webhook.status is not WebhookStatus.ACTIVE and not delivery.is_test:
        await _skip(context, delivery_id, "The webhook is disabled.")
        return
    if not owner.is_active or owner.deleted_at is not None:
        await _skip(context, delivery_id, "The account of the webhook's owner is not active.")
        return
    reason = reason_of_end(key, context.clock())
    if reason is not None:
        disable = partial(webhook_delivery.disable, webhook_id=webhook.id, reason=reason)
        await context.do(DELIVER_JOB, disable)
        await _skip(context, delivery_id, reason)
        return
    if event is None:
        await _skip(context, delivery_id, _NOT_READABLE)
        return
    async with context.outside("webhook", webhook.id.hex, parse(webhook.url).authority):
        made = await attempt(context, webhook, viewer_of(owner, key), event)
    if made is None:
        await _skip(context, delivery_id, _NOT_READABLE)
        return
    chance = random.random()  # noqa: S311 - spreads load, hides nothing
    note = partial(webhook_delivery.note, delivery_id=delivery_id, attempt=made, chance=chance)
    again = await context.do(DELIVER_JOB, note)
    if again is not None:
        raise Later(again, made.error or "The receiver did not accept it.")


async def _skip(context: WorkerContext, delivery_id: UUID, reason: str) -> None:
    skip = partial(webhook_delivery.skip, delivery_id=delivery_id, reason=reason)
    await context.do(DELIVER_JOB, skip)


@handler(
    webhook_delivery.SKIP_JOB,
    on_given_up=nothing_to_end,
    attempts=_ATTEMPTS,
    seconds=_LONG_SECONDS,
)
async def skip_all(context: WorkerContext, job: RunningJob) -> None:
    """Skip what a disabled webhook has not sent."""
    skip = partial(
        webhook_delivery.skip_some,
        webhook_id=UUID(job.payload["webhook"]),
        reason=job.payload["reason"],
        until=dt.datetime.fromisoformat(job.payload["until"]),
    )
    while await context.do(job.name, skip):
        pass


@handler(
    webhook_delivery.DELETE_JOB,
    on_given_up=nothing_to_end,
    attempts=_ATTEMPTS,
    seconds=_LONG_SECONDS,
)
async def delete_all(context: WorkerContext, job: RunningJob) -> None:
    """Delete the deliveries of a deleted webhook."""
    delete = partial(webhook_delivery.delete_some_of, webhook_id=UUID(job.payload["webhook"]))
    while await context.do(job.name, delete):
        pass


# --- replays -------------------------------------------------------------------------------------


@handler(REPLAY_JOB, on_given_up=nothing_to_end, seconds=_LONG_SECONDS)
async def replay(context: WorkerContext, job: RunningJob) -> None:
    """Deliver the events of a period again. A replay that was interrupted repeats nothing."""
    start, end = (dt.datetime.fromisoformat(job.payload[name]) for name in ("from", "to"))
    # Absent from jobs that were queued before there was a choice.
    if job.payload.get("only_failed"):
        again = partial(_replay_failed, job=job, start=start, end=end)
        while await context.do(REPLAY_JOB, again):
            pass
        return
    place: tuple[dt.datetime, UUID] = (start, UUID(int=0))
    while True:
        step = partial(_replay_step, context=context, job=job, place=place, end=end)
        last = await context.do(REPLAY_JOB, step)
        if last is None:
            return
        place = last


async def _replay_failed(work: Work, job: RunningJob, start: dt.datetime, end: dt.datetime) -> bool:
    """Deliver some failed events again; whether there may be more."""
    webhook_id = UUID(job.payload["webhook"])
    if await _active(work, webhook_id) is None:
        return False
    return await webhook_delivery.repeat_failed(work, webhook_id, start, end, job.id, limit=_STEP)


async def _active(work: Work, webhook_id: UUID) -> tuple[Webhook, User, ApiKey | None] | None:
    """A webhook that still sends, with its owner and the key that made it."""
    active = (Webhook.id == webhook_id, Webhook.status == WebhookStatus.ACTIVE, User.is_active)
    row = (await work.session.execute(_webhooks().where(*active))).one_or_none()
    if row is None or reason_of_end(row[2], work.now) is not None:
        return None
    return row[0], row[1], row[2]


async def _replay_step(
    work: Work,
    context: WorkerContext,
    job: RunningJob,
    place: tuple[dt.datetime, UUID],
    end: dt.datetime,
) -> tuple[dt.datetime, UUID] | None:
    """Deliver the next events after a place again; the place behind them, if there may be more."""
    webhook_id = UUID(job.payload["webhook"])
    found = await _active(work, webhook_id)
    if found is None:
        return None
    webhook, owner, key = found
    events = list(
        await work.session.scalars(
            select(Event)
            .where(tuple_(Event.at, Event.id) > place, Event.at < end)
            .order_by(Event.at, Event.id)
            .limit(_STEP)
        )
    )
    viewer = viewer_of(owner, key)
    wanted = [
        (webhook, event) for event in await _wanted_by(context, work, webhook, viewer, events)
    ]
    visible = await _visible(context, wanted)
    await webhook_delivery.add_or_repeat(
        work, webhook_id, [event_id for _, event_id in visible], job.id
    )
    return (events[-1].at, events[-1].id) if len(events) == _STEP else None
