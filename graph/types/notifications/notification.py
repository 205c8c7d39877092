"""Notifications and notification preferences in the schema."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any
from uuid import UUID

import strawberry
from sqlalchemy import func, select
from strawberry.types.maybe import Some

from auth import access
from auth.viewer import ViewerShape, placeholder_viewer
from db import models
from db.models import Channel
from db.statements import Statement
from domain import rules
from domain.notifications import notification as domain
from domain.work import Work
from errors import BadInput, ErrorCode, check, refuse
from events.filter import LogFilter
from events.kinds import EventKind
from events.log import cursor_of
from events.subscription import Subscription as Source
from graph.core import ids
from graph.core.context import Context
from graph.core.enums import NotificationKind
from graph.core.fields import BatchInfo, attribute, batch, column, derived, root
from graph.core.inputs import (
    MutationInput,
    UpdateInput,
    change,
    defaulted,
    given,
    is_given,
    optional,
    required,
)
from graph.core.node import Node, expression, node_id, node_type
from graph.kit import filtering, ordering, paging
from graph.kit.comparators import DateTimeFilter, IDFilter, NotificationKindFilter
from graph.kit.loading import load_objects, to_one
from graph.kit.mutation import MutationPayload, Refs, mutation, payload, value
from graph.kit.ordering import Key
from graph.kit.page_query import MAX_PAGE
from graph.request.scopes import may
from graph.types.accounts.user import User, UserFilter
from graph.types.events.event import Event, EventSubject
from graph.types.notifications.notification_subject import notification_subject
from graph.types.tasks.comment import Comment
from graph.types.tasks.task import Task
from graph.types.tasks.task_inputs import TaskFilter

# --- one notification ----------------------------------------------------------------------------


def _is_read(_viewer: Any, notification: Any) -> Any:
    return notification.read_at.is_not(None)


async def _events(parents: Sequence[Any], info: BatchInfo) -> Sequence[Any]:
    return await load_objects(info, models.Event, [parent.event_id for parent in parents])


async def _comments(parents: Sequence[Any], info: BatchInfo) -> Sequence[Any]:
    return await load_objects(info, models.Comment, [parent.comment_id for parent in parents])


# The scopes with which an API key can read a notification's message, by kind.
_MESSAGES: Mapping[NotificationKind, Sequence[str]] = {
    NotificationKind.REMINDER: ("reminders:read", "projects:read"),
    NotificationKind.WEBHOOK_DISABLED: ("webhooks:read",),
    NotificationKind.INTEGRATION_FAILED: ("integrations:read", "projects:read"),
}


async def _messages(parents: Sequence[Any], info: BatchInfo) -> list[str | None]:
    def readable(kind: NotificationKind) -> bool:
        return may(info.viewer, *_MESSAGES.get(kind, ("read",)))

    return [
        parent.message if readable(NotificationKind(parent.kind)) else None for parent in parents
    ]


@node_type(
    models.Notification, "A notification in your inbox. You are not notified of your own actions."
)
class Notification(Node):
    id: strawberry.ID = node_id(models.Notification)
    kind: NotificationKind = column("Why you were notified.", convert=NotificationKind)
    event: Event | None = batch(
        _events,
        "The event that caused it; null if there was none or you can no longer see it.",
        requires=("event_id",),
    )
    actor: User | None = to_one(
        models.Notification.actor,
        "The user who caused it; null if no user did or the account was deleted.",
    )
    subject: EventSubject | None = notification_subject()
    task: Task | None = to_one(
        models.Notification.task,
        "The task it is about; null if there is none or you can no longer see it.",
    )
    comment: Comment | None = batch(
        _comments,
        "The comment it is about; null if there is none or you can no longer see it.",
        requires=("comment_id",),
    )
    message: str | None = batch(
        _messages,
        "The text of a notification that is not about a task; null otherwise. Also null for an "
        "API key that lacks the scopes to read what it is about.",
        requires=("kind", "message"),
    )
    is_read: bool = expression(
        models.Notification, "is_read", _is_read, "Whether you have read it."
    )
    read_at: dt.datetime | None = column("When you read it.")
    created_at: dt.datetime = column("When the event that caused it happened.")


@paging.connection_type(
    "A page of notifications.", edge="A notification in a list, with its cursor."
)
class NotificationConnection:
    node: Notification


@filtering.filter_input("Filter for notifications.")
class NotificationFilter:
    id: IDFilter | None = filtering.by_id(
        models.Notification.id, models.Notification, "The notification's ID."
    )
    kind: NotificationKindFilter | None = filtering.by(
        models.Notification.kind, "Why you were notified."
    )
    actor: UserFilter | None = filtering.by_relation(
        models.Notification.actor, "The user who caused it; use `isNull` for nobody."
    )
    task: TaskFilter | None = filtering.by_relation(
        models.Notification.task, "The task it is about; use `isNull` for none."
    )
    is_read: bool | None = filtering.by_condition(_is_read, "Whether you have read it.")
    read_at: DateTimeFilter | None = filtering.by(
        models.Notification.read_at, "When you read it.", order="the time when you read it"
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.Notification.created_at,
        "When the event that caused it happened.",
        order="the time of the event",
    )


@ordering.order_input(
    "Sort key for notifications. Provide exactly one field.", of=NotificationFilter
)
class NotificationOrder: ...


# --- preferences ---------------------------------------------------------------------------------


@strawberry.type(description="Channels enabled for one kind of notification.")
class NotificationChannels:
    in_app: bool = attribute("In the inbox and, live, in open apps.")
    email: bool = attribute("By email, once your address is verified.")
    push: bool = attribute("By push message to your registered devices.")


@dataclass(frozen=True, slots=True)
class _Choices:
    """The source of the preference fields; `row` is None if the user has chosen nothing."""

    user_id: UUID
    row: models.NotificationPreferences | None

    def of(self, kind: NotificationKind) -> NotificationChannels:
        ways = domain.chosen_of(self.row, kind)
        return NotificationChannels(
            in_app=Channel.IN_APP in ways, email=Channel.EMAIL in ways, push=Channel.PUSH in ways
        )


def _channels(kind: NotificationKind, description: str) -> Any:
    return derived((), lambda choices: choices.of(kind), description)


@strawberry.type(description="Which notifications you receive, and through which channels.")
class NotificationPreferences:
    """See `domain.notifications.notification.DEFAULTS`."""

    id: strawberry.ID = derived(
        (),
        lambda choices: f"notification_preferences_{choices.user_id.hex}",
        "The same ID every time, so that client caches keep one object. Not accepted by `node`.",
    )
    is_email_enabled: bool = derived(
        (),
        lambda choices: True if choices.row is None else choices.row.is_email_enabled,
        "Whether you receive notifications by email at all. Turning it off keeps the choices "
        "below.",
    )
    task_shared_with_me: NotificationChannels = _channels(
        NotificationKind.TASK_SHARED_WITH_ME, "When someone shares a task with you. On by default."
    )
    task_assigned_to_me: NotificationChannels = _channels(
        NotificationKind.TASK_ASSIGNED_TO_ME, "When someone assigns a task to you. On by default."
    )
    task_completed: NotificationChannels = _channels(
        NotificationKind.TASK_COMPLETED,
        "When someone completes a task that you own or that is assigned to you. Off by default.",
    )
    comment_on_my_task: NotificationChannels = _channels(
        NotificationKind.COMMENT_ON_MY_TASK,
        "When someone comments on a task that you own or that is assigned to you. On by default.",
    )
    mentioned: NotificationChannels = _channels(
        NotificationKind.MENTIONED, "When someone mentions you in a comment. On by default."
    )
    task_due_soon: NotificationChannels = _channels(
        NotificationKind.TASK_DUE_SOON, "When a task assigned to you is due soon. On by default."
    )
    reminder: NotificationChannels = _channels(
        NotificationKind.REMINDER,
        "When one of your reminders is due. Sent through those of the reminder's channels that "
        "are on here. On by default.",
    )
    webhook_disabled: NotificationChannels = _channels(
        NotificationKind.WEBHOOK_DISABLED, "When one of your webhooks was disabled. On by default."
    )
    integration_failed: NotificationChannels = _channels(
        NotificationKind.INTEGRATION_FAILED, "When one of your integrations failed. On by default."
    )
    version: int = derived(
        (),
        lambda choices: 0 if choices.row is None else choices.row.version,
        "Increases with each change; pass it as `ifVersion`.",
    )


async def _preferences(info: BatchInfo) -> _Choices:
    user_id = info.viewer.require()
    async with info.context.services.database.session() as session:
        return _Choices(user_id, await session.get(models.NotificationPreferences, user_id))


async def _preferences_of_payload(
    parents: Sequence[Any], info: BatchInfo
) -> Sequence[_Choices | None]:
    # Also after a conflict, like every payload.
    return [
        await _preferences(info)
        if all(error.code is ErrorCode.CONFLICT for error in parent.errors)
        else None
        for parent in parents
    ]


# --- queries -------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _unread(shape: ViewerShape) -> Statement:
    notification = models.Notification
    return Statement(
        select(func.count().label("count")).where(
            access.read(placeholder_viewer(shape), notification), notification.read_at.is_(None)
        )
    )


async def _count_unread(info: BatchInfo) -> int:
    info.viewer.require()
    rows = await info.context.services.database.reader.fetch(
        _unread(info.viewer.shape), info.viewer.params
    )
    return int(rows[0].count)


def notifications() -> Any:
    """The field `Viewer.notifications`."""
    return paging.connection(
        models.Notification,
        "Your notifications, newest first by default.",
        filter_type=NotificationFilter,
        order_type=NotificationOrder,
        default_order=(Key(ordering.source(models.Notification.created_at), descending=True),),
    )


def unread_notification_count() -> Any:
    """The field `Viewer.unreadNotificationCount`."""
    return root(_count_unread, "The number of your unread notifications.")


def notification_preferences() -> Any:
    """The field `Viewer.notificationPreferences`."""
    return root(_preferences, "Which notifications you receive, and through which channels.")


# --- mutations -----------------------------------------------------------------------------------


@strawberry.input(description="Input for `notificationMarkRead`.")
class NotificationMarkReadInput(MutationInput):
    ids: list[strawberry.ID] = required(f"The notifications, at most {MAX_PAGE}.")
    is_read: bool = defaulted(True, "Whether to mark them as read or, if false, as unread.")


@strawberry.input(description="Input for `notificationMarkAllRead`.")
class NotificationMarkAllReadInput(MutationInput):
    until: dt.datetime | None = optional(
        "Marks only notifications created up to this time: pass the `createdAt` of the newest "
        "one on screen. All by default."
    )


@strawberry.input(
    description="The channels of one kind of notification. Omitted fields stay unchanged."
)
class NotificationChannelsInput:
    """Part of `NotificationPreferencesUpdateInput`."""

    in_app: bool | None = optional("In the inbox.")
    email: bool | None = optional("By email.")
    push: bool | None = optional("By push message.")


@strawberry.input(
    description="Input for `notificationPreferencesUpdate`. Omitted fields stay unchanged."
)
class NotificationPreferencesUpdateInput(UpdateInput):
    is_email_enabled: strawberry.Maybe[bool | None] = change(
        "Whether you receive notifications by email at all."
    )
    task_shared_with_me: NotificationChannelsInput | None = optional(
        "When someone shares a task with you."
    )
    task_assigned_to_me: NotificationChannelsInput | None = optional(
        "When someone assigns a task to you."
    )
    task_completed: NotificationChannelsInput | None = optional(
        "When someone completes a task that you own or that is assigned to you."
    )
    comment_on_my_task: NotificationChannelsInput | None = optional(
        "When someone comments on a task that you own or that is assigned to you."
    )
    mentioned: NotificationChannelsInput | None = optional(
        "When someone mentions you in a comment."
    )
    task_due_soon: NotificationChannelsInput | None = optional(
        "When a task assigned to you is due soon."
    )
    reminder: NotificationChannelsInput | None = optional("When one of your reminders is due.")
    webhook_disabled: NotificationChannelsInput | None = optional(
        "When one of your webhooks was disabled."
    )
    integration_failed: NotificationChannelsInput | None = optional(
        "When one of your integrations failed."
    )


async def _marked(parents: Sequence[Any], info: BatchInfo) -> Sequence[list[Any]]:
    found = []
    for parent in parents:
        keys = [ids.decode(models.Notification, key, ()) for key in parent.refs.get("ids") or []]
        rows = await load_objects(info, models.Notification, keys)
        found.append([row for row in rows if row is not None])
    return found


@payload("Payload of `notificationMarkRead`.")
class NotificationMarkReadPayload(MutationPayload):
    notifications: list[Notification] = batch(_marked, "The notifications after the change.")
    unread_count: int | None = value(
        "unread_count", "The number of your unread notifications after the change."
    )


@payload("Payload of `notificationMarkAllRead`.")
class NotificationMarkAllReadPayload(MutationPayload):
    marked_count: int | None = value(
        "marked_count", "The number of notifications that were marked as read."
    )
    unread_count: int | None = value(
        "unread_count", "The number of your unread notifications after the change."
    )


@payload("Payload of `notificationPreferencesUpdate`.")
class NotificationPreferencesUpdatePayload(MutationPayload):
    notification_preferences: NotificationPreferences | None = batch(
        _preferences_of_payload,
        "Your preferences after the change, or the current ones on `CONFLICT`; null if the "
        "mutation failed otherwise.",
    )


async def _mark_read(work: Work, data: NotificationMarkReadInput) -> Refs:
    if len(data.ids) > MAX_PAGE:
        refuse(
            BadInput(
                f"ids can contain at most {MAX_PAGE} IDs; it has {len(data.ids)}.",
                path=("ids",),
                limit=MAX_PAGE,
                actual=len(data.ids),
            )
        )
    keys = [
        ids.decode(models.Notification, text, ("ids", index)) for index, text in enumerate(data.ids)
    ]
    await domain.mark_read(work, keys, read=data.is_read)
    return {
        "ids": [ids.encode(models.Notification, key) for key in keys],
        "unread_count": await domain.count_unread(work),
    }


async def _mark_all_read(work: Work, data: NotificationMarkAllReadInput) -> Refs:
    marked = await domain.mark_all_read(work, until=given(data.until))
    return {"marked_count": marked, "unread_count": await domain.count_unread(work)}


_CHANNELS = {"in_app": Channel.IN_APP, "email": Channel.EMAIL, "push": Channel.PUSH}


@check()
def _chosen(data: Any, field: str, *place: str) -> Any:
    """The value of a field; None if it is omitted. Raises `BadInput` if it is null."""
    value = getattr(data, field)
    return rules.not_null(value, (*place, field)) if is_given(value) else None


async def _update_preferences(work: Work, data: NotificationPreferencesUpdateInput) -> Refs:
    choices: dict[NotificationKind, Mapping[Channel, bool]] = {}
    for kind in domain.DEFAULTS:
        field = kind.name.lower()
        wanted = _chosen(data, field)
        if wanted is not None:
            named = {way: _chosen(wanted, name, field) for name, way in _CHANNELS.items()}
            choices[kind] = {way: on for way, on in named.items() if on is not None}
    enabled = data.is_email_enabled
    if isinstance(enabled, Some) and enabled.value is None:
        refuse(BadInput("isEmailEnabled must not be null.", path=("is_email_enabled",)))
    await domain.update_preferences(
        work,
        is_email_enabled=enabled.value if isinstance(enabled, Some) else None,
        choices=choices,
        if_version=given(data.if_version),
    )
    return {}


@strawberry.type
class NotificationMutation:
    notification_mark_read: NotificationMarkReadPayload = mutation(
        _mark_read,
        NotificationMarkReadInput,
        "Marks some of your notifications as read or unread. If one of them is not yours, none "
        "is marked.",
    )
    notification_mark_all_read: NotificationMarkAllReadPayload = mutation(
        _mark_all_read,
        NotificationMarkAllReadInput,
        "Marks all your notifications as read, optionally up to a given time.",
    )
    notification_preferences_update: NotificationPreferencesUpdatePayload = mutation(
        _update_preferences,
        NotificationPreferencesUpdateInput,
        "Sets which notifications you receive, and through which channels.",
    )


# --- live ----------------------------------------------------------------------------------------


async def _received(parents: Sequence[Any], info: BatchInfo) -> Sequence[Any]:
    return await load_objects(info, models.Notification, [one.subject_id for one in parents])


async def _unread_now(parents: Sequence[Any], info: BatchInfo) -> Sequence[int]:
    count = await _count_unread(info)
    return [count for _ in parents]


@strawberry.type(description="A new notification, delivered live.")
class NotificationEvent:
    """Reads from the event `NOTIFICATION_CREATED`."""

    cursor: str = derived(
        ("epoch", "xid", "position"),
        cursor_of,
        "Pass it as `after` to resume from here after a disconnect.",
    )
    at: dt.datetime = derived((), lambda event: event.at, "When you received it.")
    notification: Notification | None = batch(
        _received,
        "The notification; null if it was deleted in the meantime.",
        requires=("subject_id",),
    )
    unread_count: int = batch(
        _unread_now, "The number of your unread notifications, including this one."
    )


async def _stream(source: Source) -> AsyncGenerator[Any, None]:
    try:
        async for row in source:
            yield row
    finally:
        await source.aclose()


async def _notification_received(
    info: strawberry.Info[Context, None],
    after: Annotated[
        str | None,
        strawberry.argument(
            description=(
                "A cursor: that of the last event you received, or `eventCursor`. Events since "
                "then are delivered first, without loss or repetition. If omitted, delivery "
                "starts now."
            )
        ),
    ] = strawberry.UNSET,
) -> AsyncIterator[NotificationEvent]:
    """The source of the subscription: events addressed to the viewer alone."""
    wanted = LogFilter(kinds=frozenset({EventKind.NOTIFICATION_CREATED.value}), losses=False)
    source = await info.context.services.live.subscribe(
        info.context.viewer.require(), wanted, after=given(after)
    )
    return _stream(source)


def _subscription(source: Any, description: str) -> Any:
    """A root field whose values come from a stream; the class's annotation gives its type."""
    return strawberry.subscription(resolver=source, description=description)


@strawberry.type
class NotificationSubscription:
    notification_received: NotificationEvent = _subscription(
        _notification_received,
        "Your notifications as they are created. A client that falls behind is disconnected and "
        "resumes from its last cursor.",
    )
