"""The inbox in the schema, and what people choose about it."""

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
from db.read import Statement
from domain.notifications import notification as domain
from domain.work import Work
from errors import BadInput, refuse
from events.filter import EventFilter
from events.kinds import EventKind
from events.log import cursor_of
from events.subscription import Subscription as Source
from graph.core import ids
from graph.core.context import Context
from graph.core.enums import NotificationKind
from graph.core.fields import BatchInfo, attribute, batch, column, derived, root
from graph.core.inputs import MutationInput, UpdateInput, change, given, optional, required
from graph.core.node import Node, expression, node_id, node_type
from graph.kit import filtering, ordering, paging
from graph.kit.comparators import DateTimeFilter, IDFilter
from graph.kit.loading import load_objects, to_one
from graph.kit.mutation import Payload, Refs, mutation, payload, value
from graph.kit.ordering import Key, OrderBy
from graph.kit.paging import MAX_PAGE
from graph.request.scopes import may
from graph.types.accounts.user import User
from graph.types.events.event import TaskEvent
from graph.types.tasks.comment import Comment
from graph.types.tasks.task import Task

# --- one notification ----------------------------------------------------------------------------


def _is_read(_viewer: Any, notification: Any) -> Any:
    return notification.read_at.is_not(None)


async def _events(parents: Sequence[Any], info: BatchInfo) -> Sequence[Any]:
    return await load_objects(info, models.Event, [parent.event_id for parent in parents])


async def _comments(parents: Sequence[Any], info: BatchInfo) -> Sequence[Any]:
    return await load_objects(info, models.Comment, [parent.comment_id for parent in parents])


# What an API key needs to read what a notification says, by what it speaks of.
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


@node_type(models.Notification, "Something that you were told. Nobody is told of their own acts.")
class Notification(Node):
    """See `db.models.Notification`."""

    id: strawberry.ID = node_id(models.Notification)
    kind: NotificationKind = column(
        models.Notification.kind, "Why you were told.", convert=NotificationKind
    )
    event: TaskEvent | None = batch(
        _events,
        "The event that it tells of; null where there was none, or you may not see it any more.",
        requires=("event_id",),
    )
    actor: User | None = to_one(
        models.Notification.actor, "Who did it; null if nobody did, or their account was deleted."
    )
    task: Task | None = to_one(
        models.Notification.task,
        "The task that it is about; null if there is none, or you may not see it any more.",
    )
    comment: Comment | None = batch(
        _comments,
        "The comment that it is about; null if there is none to see.",
        requires=("comment_id",),
    )
    message: str | None = batch(
        _messages,
        "What there is to say, where no task speaks for it. Null for an API key that may not read "
        "what it speaks of.",
        requires=("kind", "message"),
    )
    is_read: bool = expression(models.Notification, "is_read", _is_read, "Whether you read it.")
    read_at: dt.datetime | None = column(models.Notification.read_at, "When you read it.")
    created_at: dt.datetime = column(
        models.Notification.created_at, "When the thing happened that it tells of."
    )


@paging.connection_type("A page of notifications.", edge="A notification in a list.")
class NotificationConnection:
    """Relay connection."""

    node: Notification


@strawberry.input(description="Compares kinds of notifications.")
class NotificationKindFilter:
    """Comparators of `NotificationKind`."""

    eq: NotificationKind | None = optional("This kind.")
    not_eq: NotificationKind | None = optional("Not this kind.")
    in_: list[NotificationKind] | None = optional("One of these kinds.", name="in")
    not_in: list[NotificationKind] | None = optional("None of these kinds.")


@filtering.filter_input("Which notifications.")
class NotificationFilter:
    """Criteria on one's own notifications."""

    id: IDFilter | None = filtering.by_id(
        models.Notification.id, models.Notification, "The notification's id."
    )
    kind: NotificationKindFilter | None = filtering.by(
        models.Notification.kind, "Why you were told."
    )
    is_read: bool | None = filtering.by_condition(_is_read, "Whether you read it.")
    created_at: DateTimeFilter | None = filtering.by(
        models.Notification.created_at, "When the thing happened."
    )


@ordering.order_input("One step of an ordering of notifications; give exactly one field.")
class NotificationOrder:
    """Orderings of notifications."""

    created_at: OrderBy | None = ordering.by(
        models.Notification.created_at, "By the time at which the thing happened."
    )


# --- preferences ---------------------------------------------------------------------------------


@strawberry.type(description="By which ways you are told of one kind of thing.")
class NotificationChannels:
    """Of one kind."""

    in_app: bool = attribute("In the inbox, and live to the apps that are open.")
    email: bool = attribute("By mail, once your address is verified.")
    push: bool = attribute("By push messages to your registered devices.")


@dataclass(frozen=True, slots=True)
class _Choices:
    """What the fields of the preferences read from; `row` is None where nothing was chosen."""

    user_id: UUID
    row: models.NotificationPreferences | None

    def of(self, kind: NotificationKind) -> NotificationChannels:
        ways = domain.chosen_of(self.row, kind)
        return NotificationChannels(
            in_app=Channel.IN_APP in ways, email=Channel.EMAIL in ways, push=Channel.PUSH in ways
        )


def _channels(kind: NotificationKind, description: str) -> Any:
    return derived((), lambda choices: choices.of(kind), description)


@strawberry.type(description="Of what you want to be told, and by which ways.")
class NotificationPreferences:
    """See `domain.notifications.notification.DEFAULTS`."""

    id: strawberry.ID = derived(
        (),
        lambda choices: f"notification_preferences_{choices.user_id.hex}",
        "Always the same for you, so that caches keep one object. `node` does not know it.",
    )
    email_enabled: bool = derived(
        (),
        lambda choices: True if choices.row is None else choices.row.email_enabled,
        "Whether there is any mail at all; the choices below stay as they are meanwhile.",
    )
    task_shared_with_me: NotificationChannels = _channels(
        NotificationKind.TASK_SHARED_WITH_ME, "Somebody shares a task with you. On by default."
    )
    task_assigned_to_me: NotificationChannels = _channels(
        NotificationKind.TASK_ASSIGNED_TO_ME, "Somebody gives you a task to do. On by default."
    )
    task_completed: NotificationChannels = _channels(
        NotificationKind.TASK_COMPLETED,
        "Somebody completes a task that is yours or that you are to do. Off by default.",
    )
    comment_on_my_task: NotificationChannels = _channels(
        NotificationKind.COMMENT_ON_MY_TASK,
        "Somebody comments on a task that is yours or that you are to do. On by default.",
    )
    mentioned: NotificationChannels = _channels(
        NotificationKind.MENTIONED, "Somebody mentions you in a comment. On by default."
    )
    task_due_soon: NotificationChannels = _channels(
        NotificationKind.TASK_DUE_SOON, "A task that you are to do is due soon. On by default."
    )
    reminder: NotificationChannels = _channels(
        NotificationKind.REMINDER,
        "The time of a reminder of yours has come; by those of its own channels that are on here. "
        "On by default.",
    )
    webhook_disabled: NotificationChannels = _channels(
        NotificationKind.WEBHOOK_DISABLED, "A webhook of yours was turned off. On by default."
    )
    integration_failed: NotificationChannels = _channels(
        NotificationKind.INTEGRATION_FAILED, "An integration of yours failed. On by default."
    )
    version: int = derived(
        (),
        lambda choices: 0 if choices.row is None else choices.row.version,
        "Goes up with each change; for `ifVersion`.",
    )


async def _preferences(info: BatchInfo) -> _Choices:
    user_id = info.viewer.require()
    async with info.context.services.database.session() as session:
        return _Choices(user_id, await session.get(models.NotificationPreferences, user_id))


async def _preferences_of_payload(
    parents: Sequence[Any], info: BatchInfo
) -> Sequence[_Choices | None]:
    return [None if parent.errors else await _preferences(info) for parent in parents]


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


@strawberry.type
class NotificationQuery:
    """Root fields."""

    notifications: NotificationConnection = paging.connection(
        models.Notification,
        "What you were told, the newest first unless ordered otherwise.",
        filter_type=NotificationFilter,
        order_type=NotificationOrder,
        default_order=(Key(ordering.source(models.Notification.created_at), descending=True),),
    )
    unread_notification_count: int = root(
        _count_unread, "How many of your notifications you have not read."
    )
    notification_preferences: NotificationPreferences = root(
        _preferences, "Of what you want to be told, and by which ways."
    )


# --- mutations -----------------------------------------------------------------------------------


@strawberry.input(description="Mark notifications as read.")
class NotificationMarkReadInput(MutationInput):
    """Input of `notificationMarkRead`."""

    ids: list[strawberry.ID] = required(f"Notifications of yours, at most {MAX_PAGE}.")
    read: bool | None = optional("False to mark them as unread again; true unless given.")


@strawberry.input(description="Mark all notifications as read.")
class NotificationMarkAllReadInput(MutationInput):
    """Input of `notificationMarkAllRead`."""

    until: dt.datetime | None = optional(
        "Only those that were there at this moment: the `createdAt` of the newest that you show. "
        "All unless given."
    )


@strawberry.input(description="The ways of one kind; what is left out stays.")
class NotificationChannelsInput:
    """A part of `NotificationPreferencesUpdateInput`."""

    in_app: bool | None = optional("In the inbox.")
    email: bool | None = optional("By mail.")
    push: bool | None = optional("By push messages.")


@strawberry.input(description="Changes to what you want to be told; what is left out stays.")
class NotificationPreferencesUpdateInput(UpdateInput):
    """Input of `notificationPreferencesUpdate`."""

    email_enabled: strawberry.Maybe[bool | None] = change("False for no mail at all.")
    task_shared_with_me: NotificationChannelsInput | None = optional("Tasks shared with you.")
    task_assigned_to_me: NotificationChannelsInput | None = optional("Tasks assigned to you.")
    task_completed: NotificationChannelsInput | None = optional("Completed tasks of yours.")
    comment_on_my_task: NotificationChannelsInput | None = optional("Comments on your tasks.")
    mentioned: NotificationChannelsInput | None = optional("Mentions of you.")
    task_due_soon: NotificationChannelsInput | None = optional("Tasks that are due soon.")
    reminder: NotificationChannelsInput | None = optional("Reminders of yours.")
    webhook_disabled: NotificationChannelsInput | None = optional(
        "Webhooks of yours that were turned off."
    )
    integration_failed: NotificationChannelsInput | None = optional(
        "Integrations of yours that failed."
    )


async def _marked(parents: Sequence[Any], info: BatchInfo) -> Sequence[list[Any]]:
    found = []
    for parent in parents:
        keys = [ids.decode(models.Notification, key, ()) for key in parent.refs.get("ids") or []]
        rows = await load_objects(info, models.Notification, keys)
        found.append([row for row in rows if row is not None])
    return found


@payload("The answer of `notificationMarkRead`.")
class NotificationMarkReadPayload(Payload):
    """The notifications as they are now."""

    notifications: list[Notification] = batch(_marked, "The notifications, marked.")
    unread_count: int | None = value("unread_count", "How many are unread now.")


@payload("The answer of `notificationMarkAllRead`.")
class NotificationMarkAllReadPayload(Payload):
    """How many were unread."""

    marked_count: int | None = value("marked_count", "How many were unread before.")


@payload("Your preferences; with `CONFLICT`, read them again.")
class NotificationPreferencesUpdatePayload(Payload):
    """The preferences as they are now."""

    preferences: NotificationPreferences | None = batch(
        _preferences_of_payload, "Your preferences, changed; null if nothing was done."
    )


async def _mark_read(work: Work, data: NotificationMarkReadInput) -> Refs:
    if len(data.ids) > MAX_PAGE:
        refuse(BadInput(f"At most {MAX_PAGE} ids; there are {len(data.ids)}.", path=("ids",)))
    keys = [
        ids.decode(models.Notification, text, ("ids", index)) for index, text in enumerate(data.ids)
    ]
    read = given(data.read)
    await domain.mark_read(work, keys, read=read is not False)
    return {
        "ids": [ids.encode(models.Notification, key) for key in keys],
        "unread_count": await domain.count_unread(work),
    }


async def _mark_all_read(work: Work, data: NotificationMarkAllReadInput) -> Refs:
    return {"marked_count": await domain.mark_all_read(work, until=given(data.until))}


_CHANNELS = {"in_app": Channel.IN_APP, "email": Channel.EMAIL, "push": Channel.PUSH}


async def _update_preferences(work: Work, data: NotificationPreferencesUpdateInput) -> Refs:
    choices: dict[NotificationKind, Mapping[Channel, bool]] = {}
    for kind in domain.DEFAULTS:
        wanted = given(getattr(data, kind.name.lower()))
        if wanted is None:
            continue
        named = {way: given(getattr(wanted, name)) for name, way in _CHANNELS.items()}
        choices[kind] = {way: on for way, on in named.items() if on is not None}
    enabled = data.email_enabled
    if isinstance(enabled, Some) and enabled.value is None:
        refuse(BadInput("emailEnabled must not be null.", path=("email_enabled",)))
    await domain.update_preferences(
        work,
        email_enabled=enabled.value if isinstance(enabled, Some) else None,
        choices=choices,
        if_version=given(data.if_version),
    )
    return {}


@strawberry.type
class NotificationMutation:
    """Root fields."""

    notification_mark_read: NotificationMarkReadPayload = mutation(
        _mark_read,
        NotificationMarkReadInput,
        "Mark notifications of yours as read, or as unread again: all of them, or none where one "
        "is not yours.",
    )
    notification_mark_all_read: NotificationMarkAllReadPayload = mutation(
        _mark_all_read,
        NotificationMarkAllReadInput,
        "Mark all your notifications as read, up to a moment.",
    )
    notification_preferences_update: NotificationPreferencesUpdatePayload = mutation(
        _update_preferences,
        NotificationPreferencesUpdateInput,
        "Choose of what you want to be told, and by which ways.",
    )


# --- live ----------------------------------------------------------------------------------------


async def _received(parents: Sequence[Any], info: BatchInfo) -> Sequence[Any]:
    return await load_objects(info, models.Notification, [one.subject_id for one in parents])


async def _unread_now(parents: Sequence[Any], info: BatchInfo) -> Sequence[int]:
    count = await _count_unread(info)
    return [count for _ in parents]


@strawberry.type(description="A notification as it comes in.")
class NotificationReceived:
    """Reads from the event `NOTIFICATION_CREATED`."""

    cursor: str = derived(
        ("epoch", "xid", "position"),
        cursor_of,
        "Pass it as `after` to go on from here after the stream was cut.",
    )
    notification: Notification | None = batch(
        _received, "The notification; null if it is gone meanwhile.", requires=("subject_id",)
    )
    unread_count: int = batch(_unread_now, "How many you have not read, with this one.")


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
            description="A cursor: of the last one you received, or `eventCursor`. What came since "
            "comes first, nothing lost and nothing twice. Without it, what comes from now on."
        ),
    ] = strawberry.UNSET,
) -> AsyncIterator[NotificationReceived]:
    """The source of the subscription: the events that are addressed to the viewer alone."""
    wanted = EventFilter(kinds=frozenset({EventKind.NOTIFICATION_CREATED.value}), losses=False)
    source = await info.context.services.live.subscribe(
        info.context.viewer.require(), wanted, after=given(after)
    )
    return _stream(source)


def _subscription(source: Any, description: str) -> Any:
    """A root field whose values come from a stream; typed by the class's annotation."""
    return strawberry.subscription(resolver=source, description=description)


@strawberry.type
class NotificationSubscription:
    """Root fields."""

    notification_received: NotificationReceived = _subscription(
        _notification_received,
        "Your notifications as they come in. A client that is too slow is let go, and "
        "resumes by its last cursor.",
    )
