"""Notifications: sending them through the chosen channels, and managing the inbox.

Every notification goes through `notify`: it reads the preferences once, stores what belongs in the
inbox, and enqueues mail and push. It is idempotent per event and does not notify users of their own
actions. Callers must check before whether the recipient can see the subject.

Mail is delayed for a short time, so that several events of one task make one mail.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import ARRAY, Select, Uuid, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert

from db.jobs import TRACE
from db.models import (
    Channel,
    Device,
    Integration,
    Notification,
    NotificationKind,
    NotificationPreferences,
    Reminder,
    Task,
    User,
    Webhook,
)
from db.rows import given_rows
from db.statements import Statement
from domain import locks
from domain.work import Work
from errors import NotFound
from events.kinds import EventKind

MAIL_JOB = "mail.notifications"
PUSH_JOB = "push.device"
READ_JOB = "notification.read_all"
# In one transaction: readers of events wait while it writes.
READ_AT_ONCE = 2_000
MAIL_DELAY = dt.timedelta(seconds=30)

# The kinds, and whether each is on by default in all channels. Every kind can be switched off, so
# that the link in a mail can turn off its own kind alone.
DEFAULTS: Mapping[NotificationKind, bool] = {
    kind: kind is not NotificationKind.TASK_COMPLETED for kind in NotificationKind
}


# The words for each kind in a mail's unsubscribe link.
_ABOUT: Mapping[NotificationKind, str] = {
    NotificationKind.TASK_SHARED_WITH_ME: "tasks that are shared with you",
    NotificationKind.TASK_ASSIGNED_TO_ME: "tasks that are assigned to you",
    NotificationKind.TASK_COMPLETED: "completed tasks",
    NotificationKind.COMMENT_ON_MY_TASK: "comments on your tasks",
    NotificationKind.MENTIONED: "mentions of you",
    NotificationKind.TASK_DUE_SOON: "tasks that are due soon",
    NotificationKind.REMINDER: "your reminders",
    NotificationKind.WEBHOOK_DISABLED: "webhooks that were disabled",
    NotificationKind.INTEGRATION_FAILED: "integrations that failed",
}


def named(kinds: Iterable[NotificationKind]) -> str:
    """The words for some kinds, after "mail about …"."""
    *words, last = [_ABOUT[kind] for kind in sorted(kinds)]
    return f"{', '.join(words)} and {last}" if words else last


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification for one user. `channels` limits the channels that the user has enabled.

    `or_else`: what it is as well, for the channels in which the user has turned off `kind`. A
    comment on one's own task that mentions one is one notification, by either of two switches.
    """

    recipient_id: UUID
    kind: NotificationKind
    or_else: NotificationKind | None = None
    event_id: UUID | None = None
    actor_id: UUID | None = None
    task_id: UUID | None = None
    comment_id: UUID | None = None
    # What to open, if it is neither the comment nor the task.
    subject: Reminder | Webhook | Integration | None = None
    message: str | None = None
    at: dt.datetime | None = None
    channels: frozenset[Channel] | None = None
    # The `traceparent` of the event, for mail and push messages.
    trace: str | None = None

    @property
    def continued(self) -> dict[str, str]:
        """The part of a job's payload that continues the trace."""
        return {} if self.trace is None else {TRACE: self.trace}


class Preferences(Protocol):
    """What a user has chosen: `NotificationPreferences`, or a row with these columns."""

    @property
    def is_email_enabled(self) -> bool:
        """Whether they receive mail at all."""

    @property
    def choices(self) -> dict[str, dict[str, bool]]:
        """By kind and channel, what differs from the default."""


def chosen_of(preferences: Preferences | None, kind: NotificationKind) -> set[Channel]:
    """The channels a user has enabled for a kind, whether or not they receive mail at all."""
    choices = {} if preferences is None else preferences.choices.get(kind.name, {})
    return {way for way in Channel if choices.get(way.value, DEFAULTS[kind])}


def chosen(preferences: Preferences | None, kind: NotificationKind) -> set[Channel]:
    """The channels through which a user receives a kind."""
    ways = chosen_of(preferences, kind)
    if preferences is not None and not preferences.is_email_enabled:
        ways.discard(Channel.EMAIL)
    return ways


async def notify(
    work: Work, notices: Sequence[Notice], *, mail_delay: dt.timedelta = MAIL_DELAY
) -> list[UUID]:
    """Notify users whose accounts are active. Returns the IDs of the new notifications.

    Mail goes to verified addresses only. Repeated notices of an event do nothing. The number of
    statements does not depend on the number of notices, and the first that writes comes after all
    that read: from then on, readers of the log wait for the commit.
    """
    wanted = [notice for notice in notices if notice.recipient_id != notice.actor_id]
    if not wanted:
        return []
    recipients = list({notice.recipient_id for notice in wanted})
    people = {row.id: row for row in await work.fetch(_RECIPIENTS, {"ids": recipients})}
    wished: list[tuple[Notice, set[Channel]]] = []
    for notice in wanted:
        person = people.get(notice.recipient_id)
        if person is None:
            continue
        open_ = set(Channel) if notice.channels is None else set(notice.channels)
        if person.email_verified_at is None:
            open_.discard(Channel.EMAIL)
        for kind in (notice.kind, notice.or_else):
            if kind is None:
                continue
            ways = chosen(person if person.has_chosen else None, kind) & open_
            open_ -= ways
            if ways:
                wished.append((replace(notice, kind=kind), ways))
    # All have one time; in the order of their IDs they are in that of the events.
    ids = sorted(work.new_id() for _ in wished)
    drafts = dict(zip(ids, wished, strict=True))
    made = await _store(work, drafts)
    _log(work, [(id_, *drafts[id_]) for id_ in made])
    await _send(work, [(id_, *drafts[id_]) for id_ in made], people, mail_delay)
    return made


def _recipients() -> Statement:
    """Active users with their preferences and devices."""
    devices = select(func.array_agg(aggregate_order_by(Device.id, Device.id))).where(
        Device.user_id == User.id
    )
    return Statement(
        select(
            User.id,
            User.email_verified_at,
            NotificationPreferences.id.is_not(None).label("has_chosen"),
            NotificationPreferences.is_email_enabled,
            NotificationPreferences.choices,
            devices.scalar_subquery().label("devices"),
        )
        .outerjoin(NotificationPreferences, NotificationPreferences.id == User.id)
        .where(
            User.id == bindparam("ids", type_=ARRAY(Uuid())).any_(),
            User.is_active,
            User.deleted_at.is_(None),
        )
    )


_RECIPIENTS = _recipients()

_COLUMNS = (
    "id",
    "recipient_id",
    "kind",
    "event_id",
    "actor_id",
    "task_id",
    "comment_id",
    "subject_type",
    "subject_id",
    "message",
    "created_at",
    "in_app",
    "email",
)
_STORE = Statement(
    insert(Notification)
    .from_select(_COLUMNS, select(*given_rows(Notification, *_COLUMNS).c))
    .on_conflict_do_nothing()
    .returning(Notification.id)
)

Draft = tuple[UUID, Notice, set[Channel]]


async def _store(work: Work, drafts: Mapping[UUID, tuple[Notice, set[Channel]]]) -> list[UUID]:
    """Write the notifications that do not exist already. Returns their IDs, in order."""
    if not drafts:
        return []
    # Their foreign keys lock the tasks, which others lock in this order too.
    await locks.keep_rows(work, Task, {notice.task_id for notice, _ in drafts.values()})
    rows = [
        (
            id_,
            notice.recipient_id,
            notice.kind,
            notice.event_id,
            notice.actor_id,
            notice.task_id,
            notice.comment_id,
            None if notice.subject is None else type(notice.subject).__name__,
            None if notice.subject is None else notice.subject.id,
            notice.message,
            notice.at or work.now,
            Channel.IN_APP in ways,
            Channel.EMAIL in ways,
        )
        for id_, (notice, ways) in drafts.items()
    ]
    params = {"rows": [dict(zip(_COLUMNS, row, strict=True)) for row in rows]}
    stored = {row.id for row in await work.fetch(_STORE, params)}
    return [id_ for id_ in drafts if id_ in stored]


def _log(work: Work, made: Sequence[Draft]) -> None:
    """Log what is in an inbox, for its recipient alone, so that it can be streamed like every other
    event.
    """
    work.events += [
        work.event(
            EventKind.NOTIFICATION_CREATED, Notification, id_, audience=[notice.recipient_id]
        )
        for id_, notice, ways in made
        if Channel.IN_APP in ways
    ]


async def _send(
    work: Work, made: Sequence[Draft], people: Mapping[UUID, Any], mail_delay: dt.timedelta
) -> None:
    """Queue mail, and a push message for each device."""
    mails = [
        (
            {
                "recipient": notice.recipient_id,
                "task": notice.task_id,
                "notification": id_,
                **notice.continued,
            },
            # One job for all events of a task within the delay.
            f"mail:{notice.recipient_id.hex}:{(notice.task_id or id_).hex}",
        )
        for id_, notice, ways in made
        if Channel.EMAIL in ways
    ]
    await work.enqueue_all(MAIL_JOB, mails, run_at=work.now + mail_delay)
    pushes = [
        ({"notification": id_, "device": device_id, **notice.continued}, None)
        for id_, notice, ways in made
        if Channel.PUSH in ways
        for device_id in people[notice.recipient_id].devices or ()
    ]
    await work.enqueue_all(PUSH_JOB, pushes)


# --- the inbox -----------------------------------------------------------------------------------


async def mark_read(work: Work, ids: Sequence[UUID], *, read: bool = True) -> list[UUID]:
    """Mark the viewer's notifications as read or unread. Returns their IDs."""
    user_id = work.viewer.require()
    mine = (
        Notification.id.in_(ids),
        Notification.recipient_id == user_id,
        Notification.in_app,
    )
    found = set(await work.session.scalars(locked(*mine)))
    for index, id_ in enumerate(ids):
        if id_ not in found:
            raise NotFound("notification", path=("ids", index))
    # The time when it was first read stays.
    read_at = func.coalesce(Notification.read_at, work.now) if read else None
    await work.session.execute(update(Notification).where(*mine).values(read_at=read_at))
    return list(ids)


async def count_unread(work: Work) -> int:
    """The number of the viewer's unread notifications."""
    unread = select(func.count()).where(
        Notification.recipient_id == work.viewer.require(),
        Notification.read_at.is_(None),
        Notification.in_app,
    )
    return await work.session.scalar(unread) or 0


async def mark_all_read(work: Work, *, until: dt.datetime | None = None) -> int:
    """Mark all the viewer's notifications as read, up to a time: the latest here, and if there are
    more, the others by a job. Returns how many were unread.
    """
    user_id, end = work.viewer.require(), until or work.now
    marked = await mark_some_read(work, user_id, end)
    if marked < READ_AT_ONCE:
        return marked
    await work.enqueue(READ_JOB, {"user": user_id, "until": end})
    others = select(func.count()).select_from(Notification).where(*_unread(user_id, end))
    return marked + (await work.session.scalar(others) or 0)


async def mark_some_read(work: Work, user_id: UUID, until: dt.datetime) -> int:
    """Mark some of a user's notifications up to a time as read; returns how many."""
    latest = (
        select(Notification.id)
        .where(*_unread(user_id, until))
        .order_by(Notification.created_at.desc())
        .limit(READ_AT_ONCE)
    )
    some = locked(Notification.id.in_(latest), Notification.read_at.is_(None))
    read = update(Notification).where(Notification.id.in_(some)).values(read_at=work.now)
    return len(list(await work.session.scalars(read.returning(Notification.id))))


def _unread(user_id: UUID, until: dt.datetime) -> tuple[Any, ...]:
    return (
        Notification.recipient_id == user_id,
        Notification.read_at.is_(None),
        Notification.in_app,
        Notification.created_at <= until,
    )


def locked(*conditions: Any) -> Select[UUID]:
    """The IDs of the notifications that meet the conditions, locked in one order: several windows
    mark them as read while mails are written about them.
    """
    ids = select(Notification.id).where(*conditions).order_by(Notification.id)
    # A table of its own, which is evaluated once, in this order.
    return select(ids.with_for_update(key_share=True).cte("locked").c.id)


# --- preferences ---------------------------------------------------------------------------------


async def update_preferences(
    work: Work,
    *,
    is_email_enabled: bool | None = None,
    choices: Mapping[NotificationKind, Mapping[Channel, bool]] | None = None,
    if_version: int | None = None,
) -> NotificationPreferences:
    """Change the viewer's choices; omitted ones stay unchanged."""
    preferences = await _own(work, work.viewer.require())
    values: dict[str, Any] = {}
    if is_email_enabled is not None:
        values["is_email_enabled"] = is_email_enabled
    merged = {kind: dict(ways) for kind, ways in preferences.choices.items()}
    for kind, ways in (choices or {}).items():
        named = {way.value: on for way, on in ways.items()}
        merged[kind.name] = {**merged.get(kind.name, {}), **named}
    values["choices"] = _differing(merged)
    await _change(work, preferences, values, if_version)
    return preferences


async def stop_mail(work: Work, user_id: UUID, kinds: Collection[NotificationKind] | None) -> None:
    """Stop mail of these kinds, or all mail if None; used by unsubscribe links."""
    preferences = await _own(work, user_id)
    if kinds is None:
        await _change(work, preferences, {"is_email_enabled": False}, None)
        return
    merged = {kind: dict(ways) for kind, ways in preferences.choices.items()}
    for kind in kinds:
        merged[kind.name] = {**merged.get(kind.name, {}), Channel.EMAIL.value: False}
    await _change(work, preferences, {"choices": _differing(merged)}, None)


def _differing(choices: Mapping[str, Mapping[str, bool]]) -> dict[str, dict[str, bool]]:
    """The choices that differ from the defaults, in a fixed order."""
    found = {}
    for kind, default in DEFAULTS.items():
        ways = choices.get(kind.name, {})
        differing = {
            way.value: not default for way in Channel if ways.get(way.value, default) != default
        }
        if differing:
            found[kind.name] = differing
    return found


async def _own(work: Work, user_id: UUID) -> NotificationPreferences:
    """The row, locked. It is created with version 0 if it does not exist."""
    first = insert(NotificationPreferences).values(
        id=user_id, created_at=work.now, updated_at=work.now, version=0, is_email_enabled=True
    )
    await work.session.execute(first.on_conflict_do_nothing())
    return await work.session.get_one(
        NotificationPreferences, user_id, with_for_update=True, populate_existing=True
    )


async def _change(
    work: Work,
    preferences: NotificationPreferences,
    values: Mapping[str, Any],
    if_version: int | None,
) -> None:
    changes = work.apply(preferences, values, if_version=if_version)
    if not changes:
        return
    user = await work.session.get_one(User, preferences.id)
    work.record(
        EventKind.USER_UPDATED,
        user,
        [(f"notification_{name}", old, new) for name, old, new in changes],
        audience=[user.id],
    )
    await work.session.flush()
