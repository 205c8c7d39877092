"""Rights on people, their time, and what is their own."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    and_,
    false,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import aliased

from auth.access.parts import ids_in_projects, member_projects
from auth.access.projects import trashed_projects
from auth.access.rule import RULES, Rule, Who
from auth.access.tasks import in_open_project, in_projects
from auth.viewer import Viewer
from db import models
from db.models import Role


def _oneself(viewer: Who, user: Any) -> ColumnElement[bool]:
    mine: ColumnElement[bool] = user.id == viewer.sql_id
    return mine


def _user_read(_: Who, user: Any) -> ColumnElement[bool]:
    # Signed in is enough for a public profile; a deleted user is nobody's to see.
    return user.deleted_at.is_(None)  # type: ignore[no-any-return]


def _owned(viewer: Who, thing: Any) -> ColumnElement[bool]:
    mine: ColumnElement[bool] = thing.user_id == viewer.sql_id
    return mine


RULES[models.User] = Rule(
    read=_user_read,
    edit=_oneself,
    delete=_oneself,
    # Public profiles belong to no project; whoever sees a task sees who is to do it.
    within=lambda _viewer, _user: true(),
    noun="user",
)
RULES[models.ReportExport] = Rule(read=_owned, edit=_owned, noun="report export")
RULES[models.Session] = Rule(read=_owned, edit=_owned, delete=_owned, noun="session")
RULES[models.ApiKey] = Rule(read=_owned, edit=_owned, delete=_owned, noun="API key")


def _entry_read(viewer: Who, entry: Any) -> ColumnElement[bool]:
    return or_(entry.user_id == viewer.sql_id, of_managed_project(viewer, entry))


def of_managed_project(viewer: Who, thing: Any) -> ColumnElement[bool]:
    return and_(
        thing.project_id.in_(member_projects(viewer, Role.ADMIN)),
        thing.project_id.not_in(trashed_projects()),
    )


def _entry_edit(viewer: Who, entry: Any) -> ColumnElement[bool]:
    return and_(entry.user_id == viewer.sql_id, in_open_project(entry))


def _entry_reach(viewer: Viewer, most: int) -> CompoundSelect[UUID]:
    """The ways of `_entry_read`, without its finer points."""
    entry = aliased(models.TimeEntry)
    return union_all(
        select(entry.id).where(entry.user_id == viewer.sql_id),
        ids_in_projects(viewer, models.TimeEntry, Role.ADMIN, most=most),
    )


RULES[models.TimeEntry] = Rule(
    read=_entry_read,
    edit=_entry_edit,
    delete=_entry_edit,
    within=in_projects,
    reach=_entry_reach,
    noun="time entry",
)


def _notification_read(viewer: Who, notification: Any) -> ColumnElement[bool]:
    return and_(notification.recipient_id == viewer.sql_id, notification.in_app)


def _preferences_read(viewer: Who, preferences: Any) -> ColumnElement[bool]:
    own: ColumnElement[bool] = preferences.id == viewer.sql_id
    return own


RULES[models.Notification] = Rule(read=_notification_read, noun="notification")
RULES[models.NotificationPreferences] = Rule(
    read=_preferences_read, edit=_preferences_read, noun="preferences"
)
RULES[models.Device] = Rule(read=_owned, edit=_owned, delete=_owned, noun="device")
RULES[models.Reminder] = Rule(read=_owned, edit=_owned, delete=_owned, noun="reminder")
RULES[models.Integration] = Rule(read=_owned, edit=_owned, delete=_owned, noun="integration")
RULES[models.Webhook] = Rule(read=_owned, edit=_owned, delete=_owned, noun="webhook")


def _of_own_webhook(viewer: Who, delivery: Any) -> ColumnElement[bool]:
    webhook = aliased(models.Webhook)
    return (
        select(webhook.id)
        .where(webhook.id == delivery.webhook_id, _owned(viewer, webhook))
        .exists()
    )


RULES[models.WebhookDelivery] = Rule(
    read=_of_own_webhook, edit=_of_own_webhook, noun="webhook delivery"
)


def _administrators(viewer: Who, _: Any) -> ColumnElement[bool]:
    return true() if viewer.is_admin else false()


RULES[models.Job] = Rule(read=_administrators, edit=_administrators, noun="job")
