"""Who may see and do what, written once, as SQL predicates.

`read`, `edit`, `delete` and `share` return a predicate over a model (or an alias of it) for a
viewer. Roots, relations, mutations, subscriptions, downloads and exports put it into their
statements; nobody restates it. A model without a rule raises.

The table of rights stands in docs/access.md; each rule below is one row of it. A right on a task
reaches its subtasks ("a subtask follows its parent"): subtasks nest three levels at most, so the
ancestors of a task are `parent_id` and `root_id`, and no rule recurses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    ScalarSelect,
    Select,
    Text,
    and_,
    any_,
    case,
    false,
    func,
    inspect,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.orm import aliased

from auth.viewer import Viewer, ViewerColumn
from db import models
from db.base import Base
from db.models import Permission, Role

Entity = Any  # a mapped class, or an alias of one
Who = Viewer | ViewerColumn
Predicate = Callable[[Who, Any], ColumnElement[bool]]

_UNREADABLE_KIND = "ACCESS_LOST"
# What happens to a task's shares is for those who manage them, not for all who see the task.
# An array and not an IN: SQLAlchemy expands an IN when it compiles, and then asks for the values of
# all other parameters of the statement as well, which come only when it is run.
_MANAGERS_KINDS = literal(["SHARE_CREATED", "SHARE_UPDATED", "SHARE_DELETED"], ARRAY(Text))
# How somebody spends their time is theirs, and for those who answer for the project.
_TIME_KINDS = literal(
    [
        "TIME_ENTRY_CREATED",
        "TIME_ENTRY_UPDATED",
        "TIME_ENTRY_DELETED",
        "TIMER_STARTED",
        "TIMER_STOPPED",
    ],
    ARRAY(Text),
)


@dataclass(frozen=True, slots=True)
class Rule:
    """The rights on one model. What is not given is refused to everybody."""

    read: Predicate
    edit: Predicate | None = None
    delete: Predicate | None = None
    share: Predicate | None = None
    # Whether a row is in one of the projects that a viewer is restricted to. Without it, nothing
    # of this model is seen by an API key that was restricted to projects.
    within: Predicate | None = None
    noun: str = "object"


RULES: dict[type[Base], Rule] = {}


def rule_of(entity: Entity) -> Rule:
    """The rule of a model or alias; `LookupError` where none was written."""
    model = inspect(entity).mapper.class_
    try:
        return RULES[model]
    except KeyError:
        raise LookupError(
            f"{model.__name__} has no access rule: write one in auth.access"
        ) from None


def read(viewer: Who, entity: Entity, *, trashed: bool | None = False) -> ColumnElement[bool]:
    """Rows that the viewer may see. `trashed`: False the living, True the trash, None both."""
    return _predicate(viewer, entity, rule_of(entity).read, trashed)


def edit(viewer: Who, entity: Entity) -> ColumnElement[bool]:
    """Rows that the viewer may change; an archived project's tasks are nobody's to change."""
    return _predicate(viewer, entity, rule_of(entity).edit, trashed=False)


def delete(viewer: Who, entity: Entity, *, trashed: bool | None = False) -> ColumnElement[bool]:
    """Rows that the viewer may put into the trash, or (`trashed=True`) take out of it."""
    return _predicate(viewer, entity, rule_of(entity).delete, trashed)


def share(viewer: Who, entity: Entity) -> ColumnElement[bool]:
    """Rows that the viewer may show to others (shares of a task, members of a project)."""
    return _predicate(viewer, entity, rule_of(entity).share, trashed=False)


def audit(viewer: Who, entity: Entity) -> ColumnElement[bool]:
    """Every row of the log, for administrators; nothing for anybody else."""
    rule_of(entity)
    return true() if viewer.is_admin else false()


def _predicate(
    viewer: Who, entity: Entity, rule: Predicate | None, trashed: bool | None
) -> ColumnElement[bool]:
    if rule is None or not viewer.signed_in:
        return false()
    allowed = rule(viewer, entity)
    if viewer.restricted:
        within = rule_of(entity).within
        allowed = false() if within is None else and_(allowed, within(viewer, entity))
    if trashed is None or "deleted_at" not in inspect(entity).mapper.columns:
        return allowed
    in_trash = entity.deleted_at.is_not(None) if trashed else entity.deleted_at.is_(None)
    return and_(in_trash, allowed)


# --- what the rules are made of ------------------------------------------------------------------


def member_projects(viewer: Who, role: Role = Role.VIEWER) -> Select[UUID]:
    """Ids of the projects in which the viewer has at least this role."""
    member = aliased(models.ProjectMember)
    return select(member.project_id).where(member.user_id == viewer.sql_id, member.role >= role)


def role_in(viewer: Who, project_id: Any) -> ScalarSelect[Role]:
    """The viewer's role in a project, or NULL."""
    member = aliased(models.ProjectMember)
    return (
        select(member.role)
        .where(member.project_id == project_id, member.user_id == viewer.sql_id)
        .scalar_subquery()
    )


def shared_tasks(viewer: Who, permission: Permission = Permission.VIEW) -> Select[UUID]:
    """Ids of the tasks shared with the viewer, with at least this permission, not expired."""
    task_share = aliased(models.TaskShare)
    return select(task_share.task_id).where(
        task_share.user_id == viewer.sql_id,
        task_share.permission >= permission,
        or_(task_share.expires_at.is_(None), task_share.expires_at > func.now()),
    )


def _archived_projects() -> Select[UUID]:
    project = aliased(models.Project)
    return select(project.id).where(project.archived_at.is_not(None))


def _by_ancestor(task: Any, ids: Select[UUID]) -> ColumnElement[bool]:
    """Whether an ancestor is among these; not looked at for tasks that have none."""
    return and_(task.parent_id.is_not(None), or_(task.parent_id.in_(ids), task.root_id.in_(ids)))


def _own_tasks(viewer: Who, *, assigned: bool) -> Select[UUID]:
    task = aliased(models.Task)
    mine = task.owner_id == viewer.sql_id
    if assigned:
        mine = or_(mine, task.assignee_id == viewer.sql_id)
    return select(task.id).where(mine, task.deleted_at.is_(None))


# --- tasks ---------------------------------------------------------------------------------------


def _task_read(viewer: Who, task: Any) -> ColumnElement[bool]:
    shared = shared_tasks(viewer)
    return or_(
        task.project_id.in_(member_projects(viewer)),
        task.owner_id == viewer.sql_id,
        task.assignee_id == viewer.sql_id,
        task.id.in_(shared),
        _by_ancestor(task, shared),
        _by_ancestor(task, _own_tasks(viewer, assigned=True)),
    )


def _task_edit(viewer: Who, task: Any) -> ColumnElement[bool]:
    shared = shared_tasks(viewer, Permission.EDIT)
    return and_(
        _in_open_project(task),
        or_(
            task.project_id.in_(member_projects(viewer, Role.EDITOR)),
            task.owner_id == viewer.sql_id,
            task.assignee_id == viewer.sql_id,
            task.id.in_(shared),
            _by_ancestor(task, shared),
            _by_ancestor(task, _own_tasks(viewer, assigned=True)),
        ),
    )


def _in_open_project(task: Any) -> ColumnElement[bool]:
    return or_(task.project_id.is_(None), task.project_id.not_in(_archived_projects()))


def _is_manager(viewer: Who, task: Any) -> ColumnElement[bool]:
    return or_(
        task.project_id.in_(member_projects(viewer, Role.ADMIN)),
        task.owner_id == viewer.sql_id,
        _by_ancestor(task, _own_tasks(viewer, assigned=False)),
    )


def _task_manage(viewer: Who, task: Any) -> ColumnElement[bool]:
    return and_(_in_open_project(task), _is_manager(viewer, task))


def _on_task(task_id: Any, right: Callable[[Any], ColumnElement[bool]]) -> ColumnElement[bool]:
    """Whether a right holds on the living task that something hangs on."""
    task = aliased(models.Task)
    return (
        select(task.id).where(task.id == task_id, task.deleted_at.is_(None), right(task)).exists()
    )


def _in_projects(viewer: Who, thing: Any) -> ColumnElement[bool]:
    """For a viewer who is restricted to some projects: whether a thing is in one of them."""
    assert isinstance(viewer, Viewer)
    inside: ColumnElement[bool] = thing.project_id == any_(viewer.sql_projects)
    return inside


def _on_task_in_projects(viewer: Who, thing: Any) -> ColumnElement[bool]:
    return _on_task(thing.task_id, lambda task: _in_projects(viewer, task))


RULES[models.Task] = Rule(
    read=_task_read,
    edit=_task_edit,
    delete=_task_manage,
    share=_task_manage,
    within=_in_projects,
    noun="task",
)


# --- projects and members ------------------------------------------------------------------------


def _project_with(role: Role) -> Predicate:
    return lambda viewer, project: project.id.in_(member_projects(viewer, role))


def _is_project_of(viewer: Who, project: Any) -> ColumnElement[bool]:
    assert isinstance(viewer, Viewer)
    inside: ColumnElement[bool] = project.id == any_(viewer.sql_projects)
    return inside


def _member_with(role: Role) -> Predicate:
    return lambda viewer, member: member.project_id.in_(member_projects(viewer, role))


RULES[models.Project] = Rule(
    read=_project_with(Role.VIEWER),
    edit=_project_with(Role.ADMIN),
    delete=_project_with(Role.OWNER),
    share=_project_with(Role.ADMIN),
    within=_is_project_of,
    noun="project",
)
RULES[models.ProjectMember] = Rule(
    read=lambda viewer, member: and_(
        member.project_id.in_(member_projects(viewer)),
        # The members of a project in the trash are hidden with it.
        member.project_id.not_in(_trashed_projects()),
    ),
    edit=_member_with(Role.ADMIN),
    delete=_member_with(Role.ADMIN),
    within=_in_projects,
    noun="project member",
)


def _trashed_projects() -> Select[UUID]:
    project = aliased(models.Project)
    return select(project.id).where(project.deleted_at.is_not(None))


# --- people and their own things -----------------------------------------------------------------


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


# --- shares --------------------------------------------------------------------------------------


def _share_read(viewer: Who, task_share: Any) -> ColumnElement[bool]:
    return _on_task(
        task_share.task_id,
        lambda task: or_(task_share.user_id == viewer.sql_id, _is_manager(viewer, task)),
    )


def _share_edit(viewer: Who, task_share: Any) -> ColumnElement[bool]:
    return _on_task(task_share.task_id, lambda task: _task_manage(viewer, task))


def _share_delete(viewer: Who, task_share: Any) -> ColumnElement[bool]:
    # What was given to oneself may be given back, from an archived project too.
    return _on_task(
        task_share.task_id,
        lambda task: or_(task_share.user_id == viewer.sql_id, _task_manage(viewer, task)),
    )


RULES[models.TaskShare] = Rule(
    read=_share_read,
    edit=_share_edit,
    delete=_share_delete,
    within=_on_task_in_projects,
    noun="share",
)


# --- comments ------------------------------------------------------------------------------------


def _comment_read(viewer: Who, comment: Any) -> ColumnElement[bool]:
    return _on_task(comment.task_id, lambda task: _task_read(viewer, task))


def _comment_edit(viewer: Who, comment: Any) -> ColumnElement[bool]:
    return and_(
        comment.removed_at.is_(None),
        comment.author_id == viewer.sql_id,
        _on_task(
            comment.task_id,
            lambda task: and_(_in_open_project(task), _task_read(viewer, task)),
        ),
    )


def _comment_delete(viewer: Who, comment: Any) -> ColumnElement[bool]:
    return and_(
        comment.removed_at.is_(None),
        _on_task(
            comment.task_id,
            lambda task: and_(
                _in_open_project(task),
                or_(
                    task.owner_id == viewer.sql_id,
                    and_(comment.author_id == viewer.sql_id, _task_read(viewer, task)),
                ),
            ),
        ),
    )


def _revision_read(viewer: Who, revision: Any) -> ColumnElement[bool]:
    comment = aliased(models.Comment)
    return (
        select(comment.id)
        .where(comment.id == revision.comment_id, _comment_read(viewer, comment))
        .exists()
    )


def _revision_within(viewer: Who, revision: Any) -> ColumnElement[bool]:
    comment = aliased(models.Comment)
    return (
        select(comment.id)
        .where(comment.id == revision.comment_id, _on_task_in_projects(viewer, comment))
        .exists()
    )


RULES[models.Comment] = Rule(
    read=_comment_read,
    edit=_comment_edit,
    delete=_comment_delete,
    within=_on_task_in_projects,
    noun="comment",
)
RULES[models.CommentRevision] = Rule(
    read=_revision_read, within=_revision_within, noun="comment revision"
)


# --- attachments ---------------------------------------------------------------------------------


def _attachment_read(viewer: Who, attachment: Any) -> ColumnElement[bool]:
    return _on_task(attachment.task_id, lambda task: _task_read(viewer, task))


def _attachment_delete(viewer: Who, attachment: Any) -> ColumnElement[bool]:
    return _on_task(attachment.task_id, lambda task: _task_edit(viewer, task))


RULES[models.Attachment] = Rule(
    read=_attachment_read,
    delete=_attachment_delete,
    within=_on_task_in_projects,
    noun="attachment",
)


# --- time ----------------------------------------------------------------------------------------


def _entry_read(viewer: Who, entry: Any) -> ColumnElement[bool]:
    return or_(entry.user_id == viewer.sql_id, _of_managed_project(viewer, entry))


def _of_managed_project(viewer: Who, thing: Any) -> ColumnElement[bool]:
    return and_(
        thing.project_id.in_(member_projects(viewer, Role.ADMIN)),
        thing.project_id.not_in(_trashed_projects()),
    )


def _entry_edit(viewer: Who, entry: Any) -> ColumnElement[bool]:
    return and_(entry.user_id == viewer.sql_id, _in_open_project(entry))


RULES[models.TimeEntry] = Rule(
    read=_entry_read,
    edit=_entry_edit,
    delete=_entry_edit,
    within=_in_projects,
    noun="time entry",
)


# --- what is one's own ---------------------------------------------------------------------------


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
        select(webhook.id).where(webhook.id == delivery.webhook_id, _owned(viewer, webhook)).exists()
    )


RULES[models.WebhookDelivery] = Rule(
    read=_of_own_webhook, edit=_of_own_webhook, noun="webhook delivery"
)


# --- for administrators --------------------------------------------------------------------------


def _administrators(viewer: Who, _: Any) -> ColumnElement[bool]:
    return true() if viewer.is_admin else false()


RULES[models.Job] = Rule(read=_administrators, edit=_administrators, noun="job")


# --- events --------------------------------------------------------------------------------------


def _event_read(viewer: Who, event: Any) -> ColumnElement[bool]:
    """An event is seen by whoever sees its subject now, and by those it is addressed to."""
    task = aliased(models.Task)
    visible_task: ScalarSelect[bool] = (
        select(
            case(
                (event.kind == any_(_MANAGERS_KINDS), _is_manager(viewer, task)),
                else_=_task_read(viewer, task),
            )
        )
        .where(task.id == event.task_id)
        .scalar_subquery()
    )
    return or_(
        viewer.sql_id == any_(event.audience),
        and_(
            event.kind != _UNREADABLE_KIND,
            case(
                (event.kind == any_(_TIME_KINDS), _of_managed_project(viewer, event)),
                else_=or_(
                    and_(event.task_id.is_(None), event.project_id.in_(member_projects(viewer))),
                    and_(event.task_id.is_not(None), func.coalesce(visible_task, False)),
                ),
            ),
        ),
    )


RULES[models.Event] = Rule(read=_event_read, within=_in_projects, noun="event")
