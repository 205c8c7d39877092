"""Deliveries: one row per event and webhook, and a row per attempt.

The row is written with a job, in the transaction in which its event is dispatched. It is unique, so
an event is delivered to a webhook once. `jobs.webhooks` makes the attempts and records each in one
transaction together with the time of the next one. A failing receiver is tried ten times in 75.6
hours. A webhook without any success for 120 hours is disabled, and its owner is notified.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects.postgresql import insert

from db.jobs import TRACE
from db.models import (
    DeliveryState,
    Event,
    NotificationKind,
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
    WebhookStatus,
)
from domain.notifications.notification import Notice, notify
from domain.pruning import delete_some
from domain.work import Work
from events.kinds import EventKind

DELIVER_JOB: Final = "webhook.deliver"
SKIP_JOB: Final = "webhook.skip"
DELETE_JOB: Final = "webhook.delete_deliveries"

# The schedule that Standard Webhooks proposes. Up to a fifth is added at random, so that deliveries
# which failed together do not return together.
SCHEDULE: Final = tuple(
    dt.timedelta(seconds=seconds)
    for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
_JITTER = 0.2
# The longest accepted `Retry-After`.
_LONGEST_WAIT = dt.timedelta(hours=24)
GIVEN_UP_AFTER: Final = dt.timedelta(hours=120)
KEPT: Final = dt.timedelta(days=30)
_GONE = 410
# In one transaction: readers of events wait while it writes.
LIMIT = 500
# Per statement, which can have at most 32,767 parameters.
_ROWS = 1_000
_ERROR = 500


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of an attempt. If `status` is None there was no response, and `error` says why."""

    at: dt.datetime
    headers: dict[str, str] | None = None
    body: str | None = None
    # The scopes that an API key needs to read the body.
    scopes: Sequence[str] = ()
    status: int | None = None
    response_body: str | None = None
    duration_ms: int = 0
    error: str | None = None
    # The wait that the receiver asked for (`Retry-After`).
    retry_after: dt.timedelta | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the receiver accepted the delivery."""
        return self.status is not None and 200 <= self.status < 300 and self.error is None


async def add(
    work: Work,
    pairs: Sequence[tuple[UUID, UUID]],
    *,
    is_test: bool = False,
    traces: Mapping[UUID, str] | None = None,
) -> list[UUID]:
    """Create deliveries of (webhook, event), each with its job. Returns the IDs of the new ones.

    `traces`: by event, the `traceparent` that its jobs continue.
    """
    if not pairs:
        return []
    ids = [work.new_id() for _ in pairs]
    rows = [
        {
            "id": id_,
            "webhook_id": webhook_id,
            "event_id": event_id,
            "is_test": is_test,
            "state": DeliveryState.PENDING,
            "created_at": work.now,
            "attempt": 0,
            "tries": 0,
            "next_attempt_at": work.now,
        }
        for id_, (webhook_id, event_id) in zip(ids, pairs, strict=True)
    ]
    made: list[UUID] = []
    for start in range(0, len(rows), _ROWS):
        new = insert(WebhookDelivery).values(rows[start : start + _ROWS])
        added = new.on_conflict_do_nothing().returning(WebhookDelivery.id)
        made += await work.session.scalars(added)
    found = traces or {}
    continued = {id_: found.get(event_id) for id_, (_, event_id) in zip(ids, pairs, strict=True)}
    await _enqueue(work, made, continued)
    return made


async def again(work: Work, delivery_id: UUID) -> None:
    """Make a delivery due now, as if it had not been attempted."""
    await work.session.execute(
        update(WebhookDelivery).where(WebhookDelivery.id == delivery_id).values(_afresh(work))
    )
    await _enqueue(work, [delivery_id])


async def add_or_repeat(
    work: Work, webhook_id: UUID, event_ids: Sequence[UUID], replay_id: UUID
) -> None:
    """Deliver events to a webhook, whether or not they were delivered before; once per replay."""
    if not event_ids:
        return
    await add(work, [(webhook_id, event_id) for event_id in event_ids])
    mine = (
        WebhookDelivery.webhook_id == webhook_id,
        WebhookDelivery.event_id.in_(event_ids),
        WebhookDelivery.replay_id.is_distinct_from(replay_id),
    )
    repeated = await work.session.scalars(
        update(WebhookDelivery)
        .where(*mine)
        .values(_afresh(work) | {"replay_id": replay_id})
        .returning(WebhookDelivery.id)
    )
    await _enqueue(work, list(repeated))


def _failed(webhook_id: UUID, start: dt.datetime, end: dt.datetime) -> Select[UUID]:
    """Failed deliveries of the events of a period, without tests."""
    return (
        select(WebhookDelivery.id)
        .join(Event, Event.id == WebhookDelivery.event_id)
        .where(
            WebhookDelivery.webhook_id == webhook_id,
            WebhookDelivery.state == DeliveryState.FAILED,
            WebhookDelivery.is_test.is_(False),
            Event.at >= start,
            Event.at < end,
        )
    )


async def count_failed(work: Work, webhook_id: UUID, start: dt.datetime, end: dt.datetime) -> int:
    """The number of events of a period whose deliveries have failed."""
    failed = _failed(webhook_id, start, end).subquery()
    return await work.session.scalar(select(func.count()).select_from(failed)) or 0


async def repeat_failed(
    work: Work,
    webhook_id: UUID,
    start: dt.datetime,
    end: dt.datetime,
    replay_id: UUID,
    *,
    limit: int,
) -> bool:
    """Deliver failed events of a period again, once per replay. Returns whether there may be more.

    Those that fail once more during the replay are not repeated by it.
    """
    others = WebhookDelivery.replay_id.is_distinct_from(replay_id)
    some = _failed(webhook_id, start, end).where(others).order_by(WebhookDelivery.id).limit(limit)
    repeated = list(
        await work.session.scalars(
            update(WebhookDelivery)
            .where(WebhookDelivery.id.in_(some))
            .values(_afresh(work) | {"replay_id": replay_id})
            .returning(WebhookDelivery.id)
        )
    )
    await _enqueue(work, repeated)
    return len(repeated) == limit


def _afresh(work: Work) -> dict[str, object]:
    return {"state": DeliveryState.PENDING, "tries": 0, "next_attempt_at": work.now, "error": None}


async def _enqueue(
    work: Work, ids: Sequence[UUID], traces: Mapping[UUID, str | None] | None = None
) -> None:
    # One job per delivery, however many attempts: requesting it again makes it due now.
    wanted: list[tuple[dict[str, object], str]] = []
    for id_ in ids:
        payload: dict[str, object] = {"delivery": id_}
        if trace := (traces or {}).get(id_):
            payload[TRACE] = trace
        wanted.append((payload, f"{DELIVER_JOB}:{id_.hex}"))
    await work.enqueue_all(DELIVER_JOB, wanted, one_at_a_time=True)


def wait_after(tries: int, chance: float, asked: dt.timedelta | None) -> dt.timedelta | None:
    """The wait after this failed attempt, counted from 1. None if it was the last one.

    `chance` is from 0 to 1; `asked` is the receiver's `Retry-After`, which can only lengthen the
    wait.
    """
    if tries > len(SCHEDULE):
        return None
    wait = SCHEDULE[tries - 1] * (1 + _JITTER * chance)
    return max(wait, min(asked, _LONGEST_WAIT)) if asked is not None else wait


async def note(
    work: Work, delivery_id: UUID, attempt: Attempt, chance: float
) -> dt.timedelta | None:
    """Record an attempt and its consequences. Returns the wait until the next one, or None."""
    delivery = await work.session.get(
        WebhookDelivery, delivery_id, with_for_update=True, populate_existing=True
    )
    if delivery is None:
        return None
    delivery.attempt += 1
    delivery.tries += 1
    delivery.attempted_at = attempt.at
    delivery.request_headers = attempt.headers
    delivery.request_body = attempt.body
    delivery.scopes = list(attempt.scopes)
    delivery.response_status = attempt.status
    delivery.response_body = attempt.response_body
    delivery.duration_ms = attempt.duration_ms
    delivery.error = None if attempt.error is None else attempt.error[:_ERROR]
    work.session.add(
        WebhookAttempt(
            id=work.new_id(),
            delivery_id=delivery.id,
            number=delivery.attempt,
            attempted_at=delivery.attempted_at,
            request_headers=delivery.request_headers,
            scopes=delivery.scopes,
            response_status=delivery.response_status,
            response_body=delivery.response_body,
            duration_ms=delivery.duration_ms,
            error=delivery.error,
        )
    )
    wait = None
    if attempt.succeeded:
        delivery.state = DeliveryState.DELIVERED
    else:
        if not delivery.is_test and attempt.status != _GONE:
            wait = wait_after(delivery.tries, chance, attempt.retry_after)
        delivery.state = DeliveryState.FAILED if wait is None else DeliveryState.PENDING
    delivery.next_attempt_at = None if wait is None else work.now + wait
    await work.session.flush()
    if not delivery.is_test:
        await _judge(work, delivery.webhook_id, attempt)
    return wait


async def _judge(work: Work, webhook_id: UUID, attempt: Attempt) -> None:
    """Update the webhook's health after an attempt."""
    this = Webhook.id == webhook_id
    if attempt.succeeded:
        # Rarely writes: nothing is locked while all is well.
        well = update(Webhook).where(this, Webhook.failing_since.is_not(None))
        await work.session.execute(well.values(failing_since=None))
        return
    failing_since = func.coalesce(Webhook.failing_since, work.now)
    ill = update(Webhook).where(this).values(failing_since=failing_since)
    since = await work.session.scalar(ill.returning(Webhook.failing_since))
    if attempt.status == _GONE:
        await disable(work, webhook_id, "Its receiver answered 410 Gone.")
    elif since is not None and work.now - since >= GIVEN_UP_AFTER:
        hours = int(GIVEN_UP_AFTER.total_seconds() // 3600)
        await disable(work, webhook_id, f"Every attempt failed for {hours} hours.")


async def disable(work: Work, webhook_id: UUID, reason: str) -> None:
    """Disable a webhook and notify its owner. Does nothing if it is disabled already."""
    webhook = await work.session.get(
        Webhook, webhook_id, with_for_update=True, populate_existing=True
    )
    if webhook is None or webhook.status is not WebhookStatus.ACTIVE:
        return
    changes = work.apply(
        webhook,
        {"status": WebhookStatus.DISABLED, "disabled_reason": reason, "disabled_at": work.now},
        ignore=("disabled_at",),
    )
    work.record(EventKind.WEBHOOK_UPDATED, webhook, changes, audience=[webhook.user_id])
    await skip_pending(work, webhook.id, "The webhook was disabled.")
    message = f"Your webhook “{webhook.name}” was disabled. {reason}"
    kind = NotificationKind.WEBHOOK_DISABLED
    notice = Notice(webhook.user_id, kind, subject=webhook, message=message)
    await notify(work, [notice])
    await work.session.flush()


async def fail(work: Work, delivery_id: UUID, reason: str) -> None:
    """Mark a delivery as failed because its job failed for good."""
    await work.session.execute(
        update(WebhookDelivery)
        .where(WebhookDelivery.id == delivery_id, WebhookDelivery.state == DeliveryState.PENDING)
        .values(state=DeliveryState.FAILED, next_attempt_at=None, error=reason[:_ERROR])
    )


async def skip(work: Work, delivery_id: UUID, reason: str) -> None:
    """Mark a delivery as skipped for this reason."""
    await _skip(work, WebhookDelivery.id == delivery_id, reason)


async def skip_pending(work: Work, webhook_id: UUID, reason: str) -> None:
    """Skip all pending deliveries of a webhook that is disabled: some here, and if there are more,
    the others by a job.
    """
    if await skip_some(work, webhook_id, reason, work.now) == LIMIT:
        await work.enqueue(SKIP_JOB, {"webhook": webhook_id, "reason": reason, "until": work.now})


async def skip_some(work: Work, webhook_id: UUID, reason: str, until: dt.datetime) -> int:
    """Skip some pending deliveries of a webhook that were created until then; returns how many."""
    some = (
        select(WebhookDelivery.id)
        .where(
            WebhookDelivery.webhook_id == webhook_id,
            WebhookDelivery.state == DeliveryState.PENDING,
            WebhookDelivery.created_at <= until,
        )
        .limit(LIMIT)
        .with_for_update()
    )
    ids = (await work.session.scalars(some)).all()
    await _skip(work, WebhookDelivery.id.in_(ids), reason)
    return len(ids)


async def delete_some_of(work: Work, webhook_id: UUID) -> int:
    """Delete some deliveries of a deleted webhook; returns how many."""
    deleted = ~select(Webhook.id).where(Webhook.id == webhook_id).exists()
    of_it = (WebhookDelivery.webhook_id == webhook_id) & deleted
    return await delete_some(work, WebhookDelivery, of_it, most=LIMIT)


async def _skip(work: Work, which: object, reason: str) -> None:
    await work.session.execute(
        update(WebhookDelivery)
        .where(which)  # type: ignore[arg-type]
        .values(state=DeliveryState.SKIPPED, next_attempt_at=None, error=reason)
    )


async def prune(work: Work) -> int:
    """Delete some of the deliveries that are older than 30 days. Returns how many."""
    return await delete_some(work, WebhookDelivery, WebhookDelivery.created_at < work.now - KEPT)
