"""The viewer in the schema: everything that only the signed-in user sees, in one place."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

import strawberry

from auth.scopes import ApiKeyScope
from auth.viewer import Viewer as Who
from db import models
from db.models import WeekDay
from db.statements import AnyRow
from graph.core.fields import BatchInfo, batch, column, derived, root
from graph.core.node import second_type
from graph.core.scalars import TimeZone
from graph.kit import ordering
from graph.kit.loading import load_object, load_objects, load_unchecked
from graph.kit.ordering import Key
from graph.kit.paging import to_many
from graph.types.accounts.account import deleted, private, profile
from graph.types.accounts.api_key import ApiKey, ApiKeyConnection, api_keys, shown_scopes
from graph.types.accounts.session import Session, SessionConnection, sessions_of_viewer
from graph.types.accounts.user import User
from graph.types.events.activity import EventStats, activity_of, activity_stats
from graph.types.events.event_connection import EventConnection
from graph.types.integrations.integration import IntegrationConnection, integrations
from graph.types.integrations.webhook import WebhookConnection, webhooks
from graph.types.notifications.device import DeviceConnection, devices
from graph.types.notifications.notification import (
    NotificationConnection,
    NotificationPreferences,
    notification_preferences,
    notifications,
    unread_notification_count,
)
from graph.types.projects.project import Project
from graph.types.tasks.reminder import ReminderConnection, reminders
from graph.types.tasks.share import TaskShareConnection, received_shares
from graph.types.tasks.task import TaskConnection
from graph.types.tasks.task_inputs import TaskFilter, TaskOrder
from graph.types.time.report_export import ReportExportConnection, report_exports
from graph.types.time.running_timer import running_timer
from graph.types.time.time_entry import TimeEntry

_NEWEST_TASK = (Key(ordering.source(models.Task.created_at), descending=True),)


async def _session(parents: Sequence[Who], info: BatchInfo) -> Sequence[Any]:
    return await load_objects(info, models.Session, [parent.session_id for parent in parents])


async def _api_key(parents: Sequence[Who], info: BatchInfo) -> Sequence[Any]:
    # The request's own, which a key that is restricted to projects shows as well.
    return await load_unchecked(info, models.ApiKey, [parent.api_key_id for parent in parents])


async def _projects(parents: Sequence[Who], info: BatchInfo) -> list[list[Any] | None]:
    found: list[list[Any] | None] = []
    for parent in parents:
        rows = await load_objects(info, models.Project, parent.projects or ())
        found.append(None if parent.projects is None else [row for row in rows if row is not None])
    return found


@strawberry.type(
    description="What a request is signed in with: a session or an API key. Every API key can read "
    "all of it."
)
class Credentials:
    """Reads from the viewer of the operation."""

    session: Session | None = batch(_session, "The session; null with an API key.")
    api_key: ApiKey | None = batch(_api_key, "The API key; null with a session.")
    scopes: list[ApiKeyScope] | None = derived(
        (),
        lambda viewer: None if viewer.scopes is None else shown_scopes(viewer.scopes),
        "What the API key may do. Null with a session, which may do everything that you may.",
    )
    projects: list[Project] | None = batch(
        _projects,
        "The projects that the API key is restricted to; those that you no longer see are left "
        "out. Null if it is not restricted. Of a project, only `id` is free for every API key.",
    )
    expires_at: dt.datetime | None = derived(
        (),
        lambda viewer: viewer.expires_at,
        "When the access token or the API key expires; null if it does not.",
    )


async def _credentials(parents: Sequence[Any], info: BatchInfo) -> list[Who]:
    return [info.viewer] * len(parents)


@second_type(models.User, "The signed-in user, with everything that only they can see.")
class Viewer:
    id: strawberry.ID = column(
        "The viewer's ID, different from that of `user`, so that client caches keep the two apart. "
        "Not accepted by `node`.",
        convert=lambda key: f"viewer_{key.hex}",
    )
    user: User = profile("Your public profile.")
    email: str = private(models.User.email, "The email address.")
    email_verified_at: dt.datetime | None = private(
        models.User.email_verified_at, "When the email address was verified."
    )
    timezone: TimeZone = private(
        models.User.timezone, "The time zone in which all-day dates and reports are computed."
    )
    week_start: WeekDay = private(models.User.week_start, "The first day of your week.", WeekDay)
    locale: str = private(models.User.locale, "The language tag for messages to you.")
    is_admin: bool = private(
        models.User.is_admin, "Whether you are an administrator of the server."
    )
    credentials: Credentials = batch(_credentials, "What this request is signed in with.")
    sessions: SessionConnection = sessions_of_viewer()
    api_keys: ApiKeyConnection = api_keys()
    devices: DeviceConnection = devices()
    notifications: NotificationConnection = notifications()
    unread_notification_count: int = unread_notification_count()
    notification_preferences: NotificationPreferences = notification_preferences()
    reminders: ReminderConnection = reminders()
    webhooks: WebhookConnection = webhooks()
    integrations: IntegrationConnection = integrations()
    activity: EventConnection = activity_of()
    activity_stats: EventStats = activity_stats()
    assigned_tasks: TaskConnection = to_many(
        models.User.assigned_tasks,
        "Tasks that are assigned to you, newest first by default.",
        filter_type=TaskFilter,
        order_type=TaskOrder,
        default_order=_NEWEST_TASK,
    )
    owned_tasks: TaskConnection = to_many(
        models.User.owned_tasks,
        "Tasks that you own and can see, newest first by default.",
        filter_type=TaskFilter,
        order_type=TaskOrder,
        default_order=_NEWEST_TASK,
    )
    received_shares: TaskShareConnection = received_shares()
    running_timer: TimeEntry | None = running_timer()
    report_exports: ReportExportConnection = report_exports()


@dataclass(frozen=True, slots=True)
class _Unread:
    """The source of `viewer` if no column of the account is requested: nothing has to be read, and
    the fields below do not wait for it.
    """

    model: ClassVar[type[models.User]] = models.User
    id: UUID


async def _viewer(info: BatchInfo) -> AnyRow | _Unread | None:
    user_id = info.viewer.user_id
    if user_id is None:
        return None
    viewer_type: Any = info.selection.type
    if info.selection.labels(viewer_type) <= {"id"}:
        return _Unread(user_id)
    return await load_object(info, models.User, user_id) or deleted()


@strawberry.type
class ViewerQuery:
    viewer: Viewer | None = root(_viewer, "You. Null, without an error, if you are not signed in.")
