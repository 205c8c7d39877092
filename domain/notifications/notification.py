"""Notifications: sending them through the chosen channels, and managing the inbox.

Every notification goes through `notify`: it reads the preferences once, stores what belongs in the
inbox, and enqueues mail and push. It is idempotent per event and does not notify users of their own
actions. Callers must check before whether the recipient can see the subject.

Mail is delayed for a short time, so that several events of one task make one mail.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from db.models import (
    Channel,
    Device,
    Notification,
    NotificationKind,
    NotificationPreferences,
    User,
)
from domain.work import Work
from errors import NotFound
from events.kinds import EventKind

MAIL_JOB = "mail.notifications"
PUSH_JOB = "push.device"
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
    """A notification for one user. `channels` limits the channels that the user has enabled."""

    recipient_id: UUID
    kind: NotificationKind
    event_id: UUID | None = None
    actor_id: UUID | None = None
    task_id: UUID | None = None
    comment_id: UUID | None = None
    message: str | None = None
    at: dt.datetime | None = None
    channels: frozenset[Channel] | None = None


def chosen_of(preferences: NotificationPreferences | None, kind: NotificationKind) -> set[Channel]:
    """The channels a user has enabled for a kind, whether or not they receive mail at all."""
    choices = {} if preferences is None else preferences.choices.get(kind.name, {})
    return {way for way in Channel if choices.get(way.value, DEFAULTS[kind])}


def chosen(preferences: NotificationPreferences | None, kind: NotificationKind) -> set[Channel]:
    """The channels through which a user receives a kind."""
    ways = chosen_of(preferences, kind)
    if preferences is not None and not preferences.is_email_enabled:
        ways.discard(Channel.EMAIL)
    return ways


async def notify(
    work: Work, notices: Sequence[Notice], *, mail_delay: dt.timedelta = MAIL_DELAY
) -> list[Notification]:
    """Notify users whose accounts are active. Returns the new notifications.

    Mail goes to verified addresses only. Repeated notices of an event do nothing.
    """
    wanted = [notice for notice in notices if notice.recipient_id != notice.actor_id]
    if not wanted:
        return []
    people = await _people(work, {notice.recipient_id for notice in wanted})
    devices = await _devices(work, people)
    made = []
    for notice in wanted:
        if notice.recipient_id not in people:
            continue
        user, preferences = people[notice.recipient_id]
        ways = chosen(preferences, notice.kind)
        if notice.channels is not None:
            ways &= notice.channels
        if user.email_verified_at is None:
            ways.discard(Channel.EMAIL)
        if ways:
            theirs = devices.get(user.id, ())
            notification = await _tell(work, notice, ways, theirs, mail_delay)
            if notification is not None:
                made.append(notification)
    return made


async def _people(
    work: Work, ids: Collection[UUID]
) -> dict[UUID, tuple[User, NotificationPreferences | None]]:
    """Active users with their preferences."""
    rows = await work.session.execute(
        select(User, NotificationPreferences)
        .outerjoin(NotificationPreferences, NotificationPreferences.id == User.id)
        .where(User.id.in_(ids), User.is_active, User.deleted_at.is_(None))
    )
    return {user.id: (user, preferences) for user, preferences in rows}


async def _devices(work: Work, ids: Collection[UUID]) -> dict[UUID, list[UUID]]:
    """The devices of users."""
    found: dict[UUID, list[UUID]] = {}
    for user_id, device_id in await work.session.execute(
        select(Device.user_id, Device.id).where(Device.user_id.in_(ids)).order_by(Device.id)
    ):
        found.setdefault(user_id, []).append(device_id)
    return found


async def _tell(
    work: Work,
    notice: Notice,
    ways: Collection[Channel],
    devices: Sequence[UUID],
    mail_delay: dt.timedelta,
) -> Notification | None:
    """Store the notification and enqueue its mail and push. None if it already exists."""
    id_ = work.new_id()
    new = insert(Notification).values(
        id=id_,
        recipient_id=notice.recipient_id,
        kind=notice.kind,
        event_id=notice.event_id,
        actor_id=notice.actor_id,
        task_id=notice.task_id,
        comment_id=notice.comment_id,
        message=notice.message,
        created_at=notice.at or work.now,
        in_app=Channel.IN_APP in ways,
        email=Channel.EMAIL in ways,
    )
    statement = new.on_conflict_do_nothing().returning(Notification)
    made: Notification | None = await work.session.scalar(statement)
    if made is None:
        return None
    if made.in_app:
        # Logged for the recipient alone, so that it can be streamed like every other event.
        work.record(EventKind.NOTIFICATION_CREATED, made, audience=[made.recipient_id])
    if made.email:
        # One job for all events of a task within the delay.
        about = made.task_id or made.id
        await work.enqueue(
            MAIL_JOB,
            {"recipient": made.recipient_id, "task": made.task_id, "notification": made.id},
            key=f"mail:{made.recipient_id.hex}:{about.hex}",
            run_at=work.now + mail_delay,
        )
    if Channel.PUSH in ways:
        for device_id in devices:
            await work.enqueue(PUSH_JOB, {"notification": made.id, "device": device_id})
    return made


# --- the inbox -----------------------------------------------------------------------------------


async def mark_read(work: Work, ids: Sequence[UUID], *, read: bool = True) -> list[UUID]:
    """Mark the viewer's notifications as read or unread. Returns their IDs."""
    user_id = work.viewer.require()
    mine = (
        Notification.id.in_(ids),
        Notification.recipient_id == user_id,
        Notification.in_app,
    )
    found = set(await work.session.scalars(select(Notification.id).where(*mine)))
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
    """Mark all the viewer's notifications as read, up to a time. Returns how many were unread."""
    read = (
        update(Notification)
        .where(
            Notification.recipient_id == work.viewer.require(),
            Notification.read_at.is_(None),
            Notification.in_app,
            Notification.created_at <= (until or work.now),
        )
        .values(read_at=work.now)
        .returning(Notification.id)
    )
    return len(list(await work.session.scalars(read)))


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
