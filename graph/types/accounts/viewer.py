"""The viewer in the schema: everything that only the signed-in user sees, in one place."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

import strawberry

from db import models
from db.models import WeekDay
from db.read import AnyRow
from graph.core.fields import BatchInfo, column, root
from graph.core.node import second_type
from graph.core.scalars import TimeZone
from graph.kit import ordering
from graph.kit.loading import load_object
from graph.kit.ordering import Key
from graph.kit.paging import to_many
from graph.types.accounts.account import deleted, private, profile
from graph.types.accounts.api_key import ApiKeyConnection, api_keys
from graph.types.accounts.session import SessionConnection, sessions_of_viewer
from graph.types.accounts.user import User
from graph.types.events.activity import (
    ActivityConnection,
    EventStats,
    activity,
    activity_stats,
)
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
from graph.types.tasks.reminder import ReminderConnection, reminders
from graph.types.tasks.share import TaskShareConnection, received_shares
from graph.types.tasks.task import TaskConnection
from graph.types.tasks.task_inputs import TaskFilter, TaskOrder
from graph.types.time.report_export import ReportExportConnection, report_exports
from graph.types.time.running_timer import running_timer
from graph.types.time.time_entry import TimeEntry

_NEWEST_TASK = (Key(ordering.source(models.Task.created_at), descending=True),)


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
    sessions: SessionConnection = sessions_of_viewer()
    api_keys: ApiKeyConnection = api_keys()
    devices: DeviceConnection = devices()
    notifications: NotificationConnection = notifications()
    unread_notification_count: int = unread_notification_count()
    notification_preferences: NotificationPreferences = notification_preferences()
    reminders: ReminderConnection = reminders()
    webhooks: WebhookConnection = webhooks()
    integrations: IntegrationConnection = integrations()
    activity: ActivityConnection = activity()
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
