"""Projects and their members in the schema."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import Uuid, select
from sqlalchemy.orm import aliased

from auth import access
from db import models
from db.models import Role
from db.statements import values_of
from domain.projects import project as domain
from domain.work import Work
from graph.core import ids
from graph.core.fields import BatchInfo, batch, column
from graph.core.inputs import given
from graph.core.node import Node, expression, node_id, node_type, permission_field
from graph.core.pages import project_page
from graph.core.scalars import HTML, URL, Color, Markdown, Seconds
from graph.kit import ordering, paging
from graph.kit.commands import arguments_of, changes_of
from graph.kit.loading import by_id, to_one
from graph.kit.mutation import MutationPayload, Refs, mutation, payload, ref, shared_payload, value
from graph.kit.ordering import Key
from graph.kit.page_rows import Link
from graph.kit.rendered import description_html
from graph.types.accounts.user import User
from graph.types.events.activity import activity_of
from graph.types.events.event_connection import EventConnection
from graph.types.projects.project_inputs import (
    ProjectArchiveInput,
    ProjectCreateInput,
    ProjectDeleteInput,
    ProjectFilter,
    ProjectMemberAddInput,
    ProjectMemberFilter,
    ProjectMemberOrder,
    ProjectMemberRemoveInput,
    ProjectMemberUpdateInput,
    ProjectOrder,
    ProjectRestoreInput,
    ProjectTransferInput,
    ProjectUnarchiveInput,
    ProjectUpdateInput,
)
from graph.types.tasks.stats import TaskStats, project_stats
from graph.types.tasks.tag import TagConnection, project_tags
from graph.types.time.tracked_time import project_tracked

if TYPE_CHECKING:
    from graph.types.tasks.attachment import AttachmentConnection
    from graph.types.tasks.attachment_inputs import AttachmentFilter, AttachmentOrder
    from graph.types.tasks.task import TaskConnection
    from graph.types.tasks.task_inputs import TaskFilter, TaskOrder
    from graph.types.time.time_entry import TimeEntryConnection
    from graph.types.time.time_inputs import TimeEntryFilter, TimeEntryOrder

_NEWEST_FIRST = (Key(ordering.source(models.Project.created_at), descending=True),)
_OLDEST_MEMBER_FIRST = (Key(ordering.source(models.ProjectMember.created_at)),)
_BY_POSITION = (Key(ordering.source(models.Task.position)),)

_NEWEST_ATTACHMENT_FIRST = (Key(ordering.source(models.Attachment.created_at), descending=True),)
_NEWEST_TIME_FIRST = (Key(ordering.source(models.TimeEntry.started_at), descending=True),)

_TimeEntryConnection = Annotated[
    "TimeEntryConnection", strawberry.lazy("graph.types.time.time_entry")
]
_TimeEntryFilter = Annotated["TimeEntryFilter", strawberry.lazy("graph.types.time.time_inputs")]
_TimeEntryOrder = Annotated["TimeEntryOrder", strawberry.lazy("graph.types.time.time_inputs")]
_TaskConnection = Annotated["TaskConnection", strawberry.lazy("graph.types.tasks.task")]
_TaskFilter = Annotated["TaskFilter", strawberry.lazy("graph.types.tasks.task_inputs")]
_TaskOrder = Annotated["TaskOrder", strawberry.lazy("graph.types.tasks.task_inputs")]
_AttachmentConnection = Annotated[
    "AttachmentConnection", strawberry.lazy("graph.types.tasks.attachment")
]
_AttachmentFilter = Annotated[
    "AttachmentFilter", strawberry.lazy("graph.types.tasks.attachment_inputs")
]
_AttachmentOrder = Annotated[
    "AttachmentOrder", strawberry.lazy("graph.types.tasks.attachment_inputs")
]


def _of_tasks(attachment: Any, project_id: Any) -> Any:
    task = aliased(models.Task)
    inside = select(task.id).where(task.project_id == project_id)
    return attachment.task_id.in_(inside.correlate(project_id.table))


_ON_TASKS_OF = Link((Uuid(),), _of_tasks)


# --- types ---------------------------------------------------------------------------------------


async def _urls(parents: Sequence[Any], info: BatchInfo) -> list[str]:
    frontend_url = info.context.services.settings.server.frontend_url
    return [project_page(frontend_url, parent.id) for parent in parents]


@node_type(models.Project, "A project: a set of tasks with members who have roles.")
class Project(Node):
    id: strawberry.ID = node_id(models.Project)
    name: str = column("The name, 1 to 200 characters.")
    url: URL = batch(_urls, "The project's page in the web application.", requires=("id",))
    description: Markdown | None = column("The description, up to 5,000 characters.")
    description_html: HTML | None = description_html("project")
    key: str = column(
        "The short key that identifies the project in the keys of its tasks: `WEB` in `WEB-42`."
    )
    color: Color | None = column("The project's color.")
    archived_at: dt.datetime | None = column(
        "When the project was archived, in UTC. An archived project is read-only."
    )
    deleted_at: dt.datetime | None = column(
        "When the project was moved to the trash, in UTC. It is kept there for 30 days."
    )
    time_locked_before: dt.date | None = column(
        "Time entries that begin before this day, in their user's time zone, cannot be created, "
        "changed or deleted."
    )
    is_overlap_allowed: bool = column(
        "Whether time entries in this project may overlap other entries of the same user."
    )
    tracked: Seconds = project_tracked()
    time_entries: _TimeEntryConnection = paging.to_many(
        models.Project.time_entries,
        "The time entries in the project that you can see: everyone's if you are its owner or an "
        "admin, otherwise your own. Newest first by default.",
        filter_type=_TimeEntryFilter,
        order_type=_TimeEntryOrder,
        default_order=_NEWEST_TIME_FIRST,
    )
    owner: User | None = to_one(
        models.Project.owner, "The project's owner. Null if the account was deleted."
    )
    members: ProjectMemberConnection = paging.to_many(
        models.Project.members,
        "The members of the project, earliest to join first by default.",
        filter_type=ProjectMemberFilter,
        order_type=ProjectMemberOrder,
        default_order=_OLDEST_MEMBER_FIRST,
    )
    tasks: _TaskConnection = paging.to_many(
        models.Project.tasks,
        "The project's tasks, in manual order (`position`) by default.",
        filter_type=_TaskFilter,
        order_type=_TaskOrder,
        default_order=_BY_POSITION,
    )
    attachments: _AttachmentConnection = paging.linked(
        models.Attachment,
        _ON_TASKS_OF,
        lambda projects: [(key,) for key in values_of(projects, "id")],
        "The attachments of the project's tasks, newest first by default.",
        requires=("id",),
        filter_type=_AttachmentFilter,
        order_type=_AttachmentOrder,
        default_order=_NEWEST_ATTACHMENT_FIRST,
    )
    stats: TaskStats = project_stats()
    activity: EventConnection = activity_of(models.Project)
    tag_usage: TagConnection = project_tags()
    viewer_role: Role | None = expression(
        models.Project,
        "viewer_role",
        lambda viewer, project: access.role_in(viewer, project.id),
        "Your role in the project.",
        convert=Role,
    )
    viewer_can_edit: bool = permission_field(
        models.Project,
        "viewer_can_edit",
        access.edit,
        "Whether you can edit the project. False while it is archived.",
    )
    viewer_can_archive: bool = permission_field(
        models.Project,
        "viewer_can_archive",
        access.archive,
        "Whether you can archive the project, or unarchive it if it is archived.",
    )
    viewer_can_create_tasks: bool = permission_field(
        models.Project,
        "viewer_can_create_tasks",
        access.add,
        "Whether you can create tasks in the project. False while it is archived.",
    )
    viewer_can_delete: bool = permission_field(
        models.Project,
        "viewer_can_delete",
        access.delete,
        "Whether you can delete the project.",
    )
    viewer_can_transfer: bool = permission_field(
        models.Project,
        "viewer_can_transfer",
        access.delete,
        "Whether you can transfer the project to another member.",
    )
    viewer_can_manage_members: bool = permission_field(
        models.Project,
        "viewer_can_share",
        access.share,
        "Whether you can add members and change their roles. False while the project is archived; "
        "its owner and admins can still remove members.",
    )
    created_at: dt.datetime = column("When the project was created, in UTC.")
    updated_at: dt.datetime = column("When the project last changed, in UTC.")
    version: int = column("Increases with each change. Send it as `ifVersion` to detect conflicts.")


@node_type(models.ProjectMember, "A user's membership in a project.")
class ProjectMember(Node):
    id: strawberry.ID = node_id(models.ProjectMember)
    role: Role = column(
        "The member's role, which decides what they can do.",
        convert=Role,
    )
    user: User | None = to_one(
        models.ProjectMember.user, "The user. Null if the account was deleted."
    )
    project: Project | None = to_one(models.ProjectMember.project, "The project.")
    created_at: dt.datetime = column("When the user joined, in UTC.")
    updated_at: dt.datetime = column("When the membership last changed, in UTC.")
    version: int = column("Increases with each change. Send it as `ifVersion` to detect conflicts.")


@paging.connection_type("A page of projects.", edge="A project in a list, with its cursor.")
class ProjectConnection:
    node: Project


@paging.connection_type(
    "A page of project members.", edge="A project member in a list, with its cursor."
)
class ProjectMemberConnection:
    node: ProjectMember


# --- queries -------------------------------------------------------------------------------------


@strawberry.type
class ProjectQuery:
    project: Project | None = by_id(
        models.Project,
        "The project's ID, or its key, such as WEB.",
        "Returns one project by ID or key. Null with `NOT_FOUND` if it does not exist "
        "or you cannot see it.",
    )
    projects: ProjectConnection = paging.connection(
        models.Project,
        "Lists the projects that you are a member of, newest first by default.",
        filter_type=ProjectFilter,
        order_type=ProjectOrder,
        default_order=_NEWEST_FIRST,
    )


# --- payloads -----------------------------------------------------------------------------------


@shared_payload("`project` is the current project.")
class _ProjectPayload(MutationPayload):
    project: Project | None = ref(models.Project, "The project. Null if the mutation failed.")


@payload("Payload of `projectDelete`.")
class ProjectDeletePayload(MutationPayload):
    """A deleted project can no longer be read, so the payload has its ID."""

    project: Project | None = ref(
        models.Project, "The current project on `CONFLICT`, otherwise null."
    )
    deleted_id: strawberry.ID | None = value(
        "deleted_id", "The ID of the project that was moved to the trash."
    )


@shared_payload("`projectMember` is the current membership.")
class _MemberPayload(MutationPayload):
    project_member: ProjectMember | None = ref(
        models.ProjectMember, "The membership. Null if the mutation failed.", "member"
    )


@payload("Payload of `projectMemberAdd`.")
class ProjectMemberAddPayload(_MemberPayload):
    """Its members are listed by the project."""

    project: Project | None = ref(models.Project, "The project. Null if the mutation failed.")


@payload("Payload of `projectMemberRemove`.")
class ProjectMemberRemovePayload(MutationPayload):
    """The membership no longer exists; members can still read the project."""

    deleted_id: strawberry.ID | None = value("deleted_id", "The ID of the removed membership.")
    unassigned_task_count: int | None = value(
        "unassigned",
        "The number of the project's tasks that were assigned to the user, without those in the "
        "trash. They have no assignee now.",
    )
    project_member: ProjectMember | None = ref(
        models.ProjectMember, "The current membership on `CONFLICT`, otherwise null.", "member"
    )
    project: Project | None = ref(
        models.Project, "The project. Null if you can no longer see it, because you left it."
    )


# --- mutations -----------------------------------------------------------------------------------


_new = arguments_of(ProjectCreateInput, domain.NewProject, ids={"id": models.Project})
_changes = changes_of(ProjectUpdateInput, domain.CHANGEABLE)
_new_member = arguments_of(
    ProjectMemberAddInput,
    domain.add_member,
    ids={"project_id": models.Project, "user_id": models.User},
)


async def _create(work: Work, data: ProjectCreateInput) -> Refs:
    return {"project": (await domain.create(work, domain.NewProject(**_new(data)))).id}


async def _update(work: Work, data: ProjectUpdateInput) -> Refs:
    project_id = ids.decode(models.Project, data.id, ("id",))
    project = await domain.update_project(work, project_id, _changes(data), given(data.if_version))
    return {"project": project.id}


async def _archive(work: Work, data: ProjectArchiveInput) -> Refs:
    id_ = ids.decode(models.Project, data.id, ("id",))
    return {"project": (await domain.set_archived(work, id_, True, given(data.if_version))).id}


async def _unarchive(work: Work, data: ProjectUnarchiveInput) -> Refs:
    id_ = ids.decode(models.Project, data.id, ("id",))
    return {"project": (await domain.set_archived(work, id_, False, given(data.if_version))).id}


async def _delete(work: Work, data: ProjectDeleteInput) -> Refs:
    id_ = ids.decode(models.Project, data.id, ("id",))
    project = await domain.delete(work, id_, given(data.if_version))
    return {"deleted_id": ids.encode(models.Project, project.id)}


async def _restore(work: Work, data: ProjectRestoreInput) -> Refs:
    id_ = ids.decode(models.Project, data.id, ("id",))
    return {"project": (await domain.restore(work, id_)).id}


async def _member_add(work: Work, data: ProjectMemberAddInput) -> Refs:
    member = await domain.add_member(work, **_new_member(data))
    return {"member": member.id, "project": member.project_id}


async def _member_update(work: Work, data: ProjectMemberUpdateInput) -> Refs:
    member = await domain.update_member(
        work,
        ids.decode(models.ProjectMember, data.id, ("id",)),
        data.role,
        given(data.if_version),
    )
    return {"member": member.id}


async def _member_remove(work: Work, data: ProjectMemberRemoveInput) -> Refs:
    member_id = ids.decode(models.ProjectMember, data.id, ("id",))
    removed = await domain.remove_member(work, member_id, given(data.if_version))
    return {
        "deleted_id": ids.encode(models.ProjectMember, member_id),
        "unassigned": removed.unassigned,
        "project": removed.project.id,
    }


async def _transfer(work: Work, data: ProjectTransferInput) -> Refs:
    project = await domain.transfer(
        work,
        ids.decode(models.Project, data.id, ("id",)),
        ids.decode(models.User, data.user_id, ("user_id",)),
        given(data.if_version),
    )
    return {"project": project.id}


@strawberry.type
class ProjectMutation:
    project_create: _ProjectPayload = mutation(
        _create, ProjectCreateInput, "Creates a project. You become its owner."
    )
    project_update: _ProjectPayload = mutation(
        _update, ProjectUpdateInput, "Updates a project. Allowed for its owner and admins."
    )
    project_archive: _ProjectPayload = mutation(
        _archive,
        ProjectArchiveInput,
        "Archives a project, which makes it and its tasks read-only. Allowed for its owner and "
        "admins.",
    )
    project_unarchive: _ProjectPayload = mutation(
        _unarchive,
        ProjectUnarchiveInput,
        "Makes an archived project editable again. Allowed for its owner and admins.",
    )
    project_delete: ProjectDeletePayload = mutation(
        _delete,
        ProjectDeleteInput,
        "Moves a project and its tasks to the trash. They are deleted permanently after 30 days. "
        "Allowed for its owner.",
    )
    project_restore: _ProjectPayload = mutation(
        _restore,
        ProjectRestoreInput,
        "Restores a project from the trash, together with the tasks that were deleted with it. "
        "Allowed for its owner.",
    )
    project_member_add: ProjectMemberAddPayload = mutation(
        _member_add,
        ProjectMemberAddInput,
        "Adds a user to a project. Allowed for its owner and admins.",
    )
    project_member_update: _MemberPayload = mutation(
        _member_update,
        ProjectMemberUpdateInput,
        "Changes a member's role. Allowed for the project's owner and admins.",
    )
    project_member_remove: ProjectMemberRemovePayload = mutation(
        _member_remove,
        ProjectMemberRemoveInput,
        "Removes a member from a project; allowed for its owner and admins. Members can also "
        "remove themselves to leave. The user's assignments in the project end.",
    )
    project_transfer: _ProjectPayload = mutation(
        _transfer,
        ProjectTransferInput,
        "Makes another member the owner of a project; you become an admin. Allowed for the owner.",
    )
