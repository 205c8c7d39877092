"""Permissions on users, their time and their own objects."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, CompoundSelect, and_, false, or_, select, true, union_all
from sqlalchemy.orm import aliased

from auth.access.grants import BY_MANAGED_PROJECT, TIME_ENTRY_GRANTS, Right, Who, allowed
from auth.access.parts import member_projects, trashed_projects
from auth.access.rule import RULES, Rule
from auth.access.tasks import in_open_project, in_projects, shared_tasks
from auth.viewer import Viewer
from db import models


def _oneself(viewer: Who, user: Any) -> ColumnElement[bool]:
    mine: ColumnElement[bool] = user.id == viewer.sql_id
    return mine


def _user_read(_: Who, user: Any) -> ColumnElement[bool]:
    # Every signed-in user can see public profiles; no one can see deleted users.
    return user.deleted_at.is_(None)  # type: ignore[no-any-return]


def works_with(viewer: Viewer) -> CompoundSelect[UUID]:
    """The IDs of the viewer and the people they share a project or a task with that they can see,
    with duplicates. An API key that is restricted to projects knows the members of these.
    """
    mine, theirs = aliased(models.ProjectMember), aliased(models.ProjectMember)
    colleagues = (
        select(theirs.user_id)
        .join(mine, mine.project_id == theirs.project_id)
        # The members of a project in the trash are hidden with it.
        .where(mine.user_id == viewer.sql_id, mine.project_id.not_in(trashed_projects()))
    )
    if viewer.restricted:
        inside = colleagues.where(theirs.project_id == viewer.sql_projects.any_())
        return union_all(select(viewer.sql_id), inside)
    task, share = aliased(models.Task), aliased(models.TaskShare)
    living = task.deleted_at.is_(None)
    # Of tasks that they made in a project, its members only see what became.
    own = and_(
        living,
        task.owner_id == viewer.sql_id,
        or_(task.project_id.is_(None), task.project_id.in_(member_projects(viewer))),
    )
    owners = select(task.owner_id).where(task.owner_id.is_not(None))
    return union_all(
        select(viewer.sql_id),
        colleagues,
        select(task.assignee_id).where(own, task.assignee_id.is_not(None)),
        select(share.user_id).join(task, task.id == share.task_id).where(own),
        # An index alone tells who owns what is assigned to them, and has no place for the trash.
        owners.where(task.assignee_id == viewer.sql_id),
        owners.where(living, task.id.in_(shared_tasks(viewer))),
    )


def _owned(viewer: Who, thing: Any) -> ColumnElement[bool]:
    mine: ColumnElement[bool] = thing.user_id == viewer.sql_id
    return mine


RULES[models.User] = Rule(
    read=_user_read,
    edit=_oneself,
    delete=_oneself,
    # Public profiles belong to no project; a task's viewers can see its assignee.
    within=lambda _viewer, _user: true(),
    noun="user",
)
RULES[models.ReportExport] = Rule(read=_owned, edit=_owned, noun="report export")
RULES[models.Session] = Rule(read=_owned, edit=_owned, delete=_owned, noun="session")
RULES[models.ApiKey] = Rule(read=_owned, edit=_owned, delete=_owned, noun="API key")


def _entry_read(viewer: Who, entry: Any) -> ColumnElement[bool]:
    return allowed(TIME_ENTRY_GRANTS, viewer, entry, Right.SEE)


def of_managed_project(viewer: Who, thing: Any) -> ColumnElement[bool]:
    managed = BY_MANAGED_PROJECT.itself(viewer, thing, Right.SEE)
    assert managed is not None
    return managed


RULES[models.TimeEntry] = Rule(
    read=_entry_read,
    edit=_owned,
    delete=_owned,
    open=in_open_project,
    open_to_delete=in_open_project,
    within=in_projects,
    sources=TIME_ENTRY_GRANTS,
    noun="time entry",
)


def _notification_read(viewer: Who, notification: Any) -> ColumnElement[bool]:
    return and_(notification.recipient_id == viewer.sql_id, notification.in_app)


def _preferences_read(viewer: Who, preferences: Any) -> ColumnElement[bool]:
    own: ColumnElement[bool] = preferences.id == viewer.sql_id
    return own


def _own_upload(viewer: Who, file: Any) -> ColumnElement[bool]:
    return and_(file.uploader_id == viewer.sql_id, file.task_id.is_not(None))


RULES[models.Notification] = Rule(read=_notification_read, noun="notification")
RULES[models.NotificationPreferences] = Rule(
    read=_preferences_read, edit=_preferences_read, noun="preferences"
)
RULES[models.StoredFile] = Rule(read=_own_upload, noun="upload")
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


def _of_own_delivery(viewer: Who, attempt: Any) -> ColumnElement[bool]:
    delivery, webhook = aliased(models.WebhookDelivery), aliased(models.Webhook)
    return (
        select(delivery.id)
        .join(webhook, webhook.id == delivery.webhook_id)
        .where(delivery.id == attempt.delivery_id, _owned(viewer, webhook))
        .exists()
    )


RULES[models.WebhookAttempt] = Rule(read=_of_own_delivery, noun="webhook attempt")


def _problem_of_own_integration(viewer: Who, link: Any) -> ColumnElement[bool]:
    integration = aliased(models.Integration)
    own = (
        select(integration.id)
        .where(integration.id == link.integration_id, _owned(viewer, integration))
        .exists()
    )
    # Only the problem of an external link is visible.
    return and_(link.problem.is_not(None), own)


RULES[models.ExternalLink] = Rule(read=_problem_of_own_integration, noun="integration problem")


def _administrators(viewer: Who, _: Any) -> ColumnElement[bool]:
    return true() if viewer.is_admin else false()


RULES[models.Job] = Rule(read=_administrators, edit=_administrators, noun="job")
