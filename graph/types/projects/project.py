"""Projects and their members in the schema."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry

from auth import access
from db import models
from db.models import Role
from domain.projects import project as domain
from domain.work import Work
from errors import BadInput, NotFound
from graph.core import ids
from graph.core.fields import BatchInfo, arg, column, root
from graph.core.inputs import changes_of, given
from graph.core.node import Node, expression, node_id, node_type, permission_field
from graph.kit import ordering, paging
from graph.kit.loading import load_object, project_id_of, to_one
from graph.kit.mutation import Payload, Refs, mutation, payload, ref, value
from graph.kit.ordering import Key
from graph.types.accounts.user import User
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
    from graph.types.tasks.task import TaskConnection
    from graph.types.tasks.task_inputs import TaskFilter, TaskOrder
    from graph.types.time.time_entry import TimeEntryConnection
    from graph.types.time.time_inputs import TimeEntryFilter, TimeEntryOrder

_NEWEST_FIRST = (Key(ordering.source(models.Project.created_at), descending=True),)
_OLDEST_MEMBER_FIRST = (Key(ordering.source(models.ProjectMember.created_at)),)
_BY_POSITION = (Key(ordering.source(models.Task.position)),)

_NEWEST_TIME_FIRST = (Key(ordering.source(models.TimeEntry.started_at), descending=True),)

_TimeEntryConnection = Annotated[
    "TimeEntryConnection", strawberry.lazy("graph.types.time.time_entry")
]
_TimeEntryFilter = Annotated["TimeEntryFilter", strawberry.lazy("graph.types.time.time_inputs")]
_TimeEntryOrder = Annotated["TimeEntryOrder", strawberry.lazy("graph.types.time.time_inputs")]
_TaskConnection = Annotated["TaskConnection", strawberry.lazy("graph.types.tasks.task")]
_TaskFilter = Annotated["TaskFilter", strawberry.lazy("graph.types.tasks.task_inputs")]
_TaskOrder = Annotated["TaskOrder", strawberry.lazy("graph.types.tasks.task_inputs")]


# --- types ---------------------------------------------------------------------------------------


@node_type(models.Project, "A container of tasks with members.")
class Project(Node):
    """See `db.models.Project`."""

    id: strawberry.ID = node_id(models.Project)
    name: str = column(models.Project.name, "The name, 1 to 200 characters.")
    description: str | None = column(
        models.Project.description, "What the project is about, up to 5,000 characters."
    )
    key: str = column(
        models.Project.key, "The short key that its tasks are addressed with: `WEB` in `WEB-42`."
    )
    color: str | None = column(models.Project.color, "A colour as `#rrggbb`.")
    archived_at: dt.datetime | None = column(
        models.Project.archived_at, "When the project was archived; it is read-only since."
    )
    time_locked_before: dt.date | None = column(
        models.Project.time_locked_before,
        "Time entries that began before this day (in UTC) cannot be made, changed or deleted.",
    )
    allow_overlaps: bool = column(
        models.Project.allow_overlaps,
        "Whether time entries here may overlap others of the same person.",
    )
    tracked_seconds: float = project_tracked()
    time_entries: _TimeEntryConnection = paging.to_many(
        models.Project.time_entries,
        "The time spent here: everybody's for owner and admins, else your own. Newest first "
        "unless ordered otherwise.",
        filter_type=_TimeEntryFilter,
        order_type=_TimeEntryOrder,
        default_order=_NEWEST_TIME_FIRST,
    )
    owner: User | None = to_one(
        models.Project.owner, "The one owner; null if their account was deleted."
    )
    members: ProjectMemberConnection = paging.to_many(
        models.Project.members,
        "Who works on the project, longest first.",
        filter_type=ProjectMemberFilter,
        order_type=ProjectMemberOrder,
        default_order=_OLDEST_MEMBER_FIRST,
    )
    tasks: _TaskConnection = paging.to_many(
        models.Project.tasks,
        "The tasks of the project, by position unless ordered otherwise.",
        filter_type=_TaskFilter,
        order_type=_TaskOrder,
        default_order=_BY_POSITION,
    )
    stats: TaskStats = project_stats()
    tags: TagConnection = project_tags()
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
        "Whether you may change the project.",
    )
    viewer_can_delete: bool = permission_field(
        models.Project,
        "viewer_can_delete",
        access.delete,
        "Whether you may delete or transfer the project.",
    )
    viewer_can_share: bool = permission_field(
        models.Project,
        "viewer_can_share",
        access.share,
        "Whether you may add and remove members.",
    )
    created_at: dt.datetime = column(models.Project.created_at, "When the project was made.")
    updated_at: dt.datetime = column(models.Project.updated_at, "When it changed last.")
    version: int = column(models.Project.version, "Goes up with each change; for `ifVersion`.")


@node_type(models.ProjectMember, "One person's part in one project.")
class ProjectMember(Node):
    """See `db.models.ProjectMember`."""

    id: strawberry.ID = node_id(models.ProjectMember)
    role: Role = column(models.ProjectMember.role, "What the member may do.", convert=Role)
    user: User | None = to_one(
        models.ProjectMember.user, "The person; null if their account was deleted."
    )
    project: Project | None = to_one(models.ProjectMember.project, "The project.")
    created_at: dt.datetime = column(models.ProjectMember.created_at, "When the person joined.")
    updated_at: dt.datetime = column(models.ProjectMember.updated_at, "When the role changed last.")
    version: int = column(
        models.ProjectMember.version, "Goes up with each change; for `ifVersion`."
    )


@paging.connection_type("A page of projects.", edge="A project in a list.")
class ProjectConnection:
    """Relay connection."""

    node: Project


@paging.connection_type("A page of project members.", edge="A project member in a list.")
class ProjectMemberConnection:
    """Relay connection."""

    node: ProjectMember


# --- queries -------------------------------------------------------------------------------------


async def _project(
    info: BatchInfo,
    id: Annotated[strawberry.ID | None, arg("The project's id.")] = None,  # noqa: A002
    key: Annotated[str | None, arg("The project's key, such as `WEB`.")] = None,
) -> Any:
    info.viewer.require()
    if (id is None) == (key is None):
        raise BadInput("Give id or key, and not both.", path=("id",))
    if id is not None:
        project_id: UUID | None = ids.decode(models.Project, id, ("id",))
    else:
        project_id = await project_id_of(info.context, key or "")
    project = project_id and await load_object(info, models.Project, project_id)
    if project is None:
        raise NotFound("project", path=("id" if id is not None else "key",))
    return project


@strawberry.type
class ProjectQuery:
    """Root fields."""

    project: Project | None = root(
        _project, "One project by id or key; null with `NOT_FOUND` if there is none for you."
    )
    projects: ProjectConnection = paging.connection(
        models.Project,
        "The projects that you are a member of, newest first unless ordered otherwise.",
        filter_type=ProjectFilter,
        order_type=ProjectOrder,
        default_order=_NEWEST_FIRST,
    )


# --- payloads -----------------------------------------------------------------------------------


@strawberry.type
class _ProjectPayload(Payload):
    project: Project | None = ref(models.Project, "The project; null if nothing was done.")


@payload("The new project.")
class ProjectCreatePayload(_ProjectPayload):
    """`projectCreate`."""


@payload("The changed project.")
class ProjectUpdatePayload(_ProjectPayload):
    """`projectUpdate`."""


@payload("The archived project.")
class ProjectArchivePayload(_ProjectPayload):
    """`projectArchive`."""


@payload("The project, open again.")
class ProjectUnarchivePayload(_ProjectPayload):
    """`projectUnarchive`."""


@payload("The project, out of the trash.")
class ProjectRestorePayload(_ProjectPayload):
    """`projectRestore`."""


@payload("The project with its new owner.")
class ProjectTransferPayload(_ProjectPayload):
    """`projectTransfer`."""


@payload("What was deleted.")
class ProjectDeletePayload(Payload):
    """A deleted project cannot be read any more."""

    deleted_id: strawberry.ID | None = value(
        "deleted_id", "The id of the project, now in the trash."
    )


@strawberry.type
class _MemberPayload(Payload):
    member: ProjectMember | None = ref(
        models.ProjectMember, "The membership; null if nothing was done.", "member"
    )


@payload("The new membership.")
class ProjectMemberAddPayload(_MemberPayload):
    """`projectMemberAdd`."""


@payload("The changed membership.")
class ProjectMemberUpdatePayload(_MemberPayload):
    """`projectMemberUpdate`."""


@payload("The project that lost a member.")
class ProjectMemberRemovePayload(Payload):
    """The membership is gone; the project may be read by those who still see it."""

    project: Project | None = ref(models.Project, "The project; null if you left it.")


# --- mutations -----------------------------------------------------------------------------------


async def _create(work: Work, data: ProjectCreateInput) -> Refs:
    new = domain.NewProject(
        name=data.name,
        id=ids.decode_new(models.Project, data.id, ("id",)),
        description=given(data.description),
        key=given(data.key),
        color=given(data.color),
    )
    return {"project": (await domain.create(work, new)).id}


async def _update(work: Work, data: ProjectUpdateInput) -> Refs:
    changes = changes_of(
        data, "name", "description", "key", "color", "time_locked_before", "allow_overlaps"
    )
    project = await domain.update_project(
        work, ids.decode(models.Project, data.id, ("id",)), changes, given(data.if_version)
    )
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
    user_id = given(data.user_id)
    member = await domain.add_member(
        work,
        ids.decode(models.Project, data.project_id, ("project_id",)),
        None if user_id is None else ids.decode(models.User, user_id, ("user_id",)),
        given(data.username),
        data.role,
    )
    return {"member": member.id}


async def _member_update(work: Work, data: ProjectMemberUpdateInput) -> Refs:
    member = await domain.update_member(
        work,
        ids.decode(models.ProjectMember, data.id, ("id",)),
        data.role,
        given(data.if_version),
    )
    return {"member": member.id}


async def _member_remove(work: Work, data: ProjectMemberRemoveInput) -> Refs:
    project = await domain.remove_member(work, ids.decode(models.ProjectMember, data.id, ("id",)))
    return {"project": project.id}


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
    """Root fields."""

    project_create: ProjectCreatePayload = mutation(
        _create, ProjectCreateInput, "Make a project; you become its owner."
    )
    project_update: ProjectUpdatePayload = mutation(
        _update, ProjectUpdateInput, "Change a project. For its owner and admins."
    )
    project_archive: ProjectArchivePayload = mutation(
        _archive,
        ProjectArchiveInput,
        "Make a project and its tasks read-only. For owner and admins.",
    )
    project_unarchive: ProjectUnarchivePayload = mutation(
        _unarchive, ProjectUnarchiveInput, "Open an archived project again. For owner and admins."
    )
    project_delete: ProjectDeletePayload = mutation(
        _delete,
        ProjectDeleteInput,
        "Put a project with its tasks into the trash; they are deleted for good after 30 days. "
        "For the owner.",
    )
    project_restore: ProjectRestorePayload = mutation(
        _restore,
        ProjectRestoreInput,
        "Take a project out of the trash, with the tasks that went with it. For the owner.",
    )
    project_member_add: ProjectMemberAddPayload = mutation(
        _member_add, ProjectMemberAddInput, "Let somebody take part. For owner and admins."
    )
    project_member_update: ProjectMemberUpdatePayload = mutation(
        _member_update, ProjectMemberUpdateInput, "Change a member's role. For owner and admins."
    )
    project_member_remove: ProjectMemberRemovePayload = mutation(
        _member_remove,
        ProjectMemberRemoveInput,
        "Remove a member (for owner and admins), or leave. The person's assignments in the "
        "project end.",
    )
    project_transfer: ProjectTransferPayload = mutation(
        _transfer,
        ProjectTransferInput,
        "Make another member the owner; you become an admin. For the owner.",
    )
