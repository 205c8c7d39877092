"""Tasks in the schema."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import ARRAY, Uuid, bindparam, func, select
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import ViewerShape, placeholder_viewer
from db import models
from db.models import TaskPriority, TaskStatus
from db.models.task import is_overdue
from db.statements import Statement
from domain.tasks import moving
from domain.tasks import task as domain
from domain.tasks.placement import Place
from domain.work import Work
from graph.core import ids
from graph.core.fields import BatchInfo, attribute, batch, column
from graph.core.inputs import given
from graph.core.node import Node, expression, node_id, node_type, permission_field
from graph.core.pages import task_page
from graph.core.scalars import HTML, URL, Markdown, Seconds
from graph.kit import ordering, paging, rates
from graph.kit.commands import arguments_of, changes_of
from graph.kit.loading import by_id, to_one
from graph.kit.mutation import (
    ONLY_ID,
    MutationPayload,
    Refs,
    ReturnedColumns,
    mutation,
    payload,
    ref,
    shared_payload,
    value,
)
from graph.kit.ordering import Key
from graph.kit.rendered import description_html
from graph.types.accounts.user import User
from graph.types.events.activity import activity_of
from graph.types.events.event_connection import EventConnection
from graph.types.integrations.integration_inputs import sync_problem
from graph.types.projects.project import Project
from graph.types.tasks.attachment import NEWEST_FIRST as NEWEST_ATTACHMENT_FIRST
from graph.types.tasks.attachment import AttachmentConnection
from graph.types.tasks.attachment_inputs import AttachmentFilter, AttachmentOrder
from graph.types.tasks.comment import OLDEST_FIRST, CommentConnection
from graph.types.tasks.comment_inputs import CommentFilter, CommentOrder
from graph.types.tasks.external_reference import (
    ExternalReference,
    references_of,
    references_of_tasks,
)
from graph.types.tasks.share import TaskShareConnection
from graph.types.tasks.share_inputs import TaskShareFilter, TaskShareOrder
from graph.types.tasks.task_inputs import (
    TaskAssignInput,
    TaskCompleteInput,
    TaskCreateInput,
    TaskDeleteInput,
    TaskFilter,
    TaskMoveInput,
    TaskOrder,
    TaskPlacementInput,
    TaskReopenInput,
    TaskRestoreInput,
    TaskUpdateInput,
    due_of,
    identifier,
)
from graph.types.time.tracked_time import task_tracked

if TYPE_CHECKING:
    from graph.types.time.time_entry import TimeEntryConnection
    from graph.types.time.time_inputs import TimeEntryFilter, TimeEntryOrder

_NEWEST_FIRST = (Key(ordering.source(models.Task.created_at), descending=True),)
_BY_POSITION = (Key(ordering.source(models.Task.position)),)
_NEWEST_TIME_FIRST = (Key(ordering.source(models.TimeEntry.started_at), descending=True),)
_TimeEntryConnection = Annotated[
    "TimeEntryConnection", strawberry.lazy("graph.types.time.time_entry")
]
_TimeEntryFilter = Annotated["TimeEntryFilter", strawberry.lazy("graph.types.time.time_inputs")]
_TimeEntryOrder = Annotated["TimeEntryOrder", strawberry.lazy("graph.types.time.time_inputs")]
_OLDEST_SHARE_FIRST = (Key(ordering.source(models.TaskShare.created_at)),)


@strawberry.type(description="A count of a task's subtasks and of those that are completed.")
class SubtaskProgress:
    """Counts the direct subtasks that the viewer can see."""

    total: int = attribute("The number of direct subtasks that are not cancelled.")
    completed: int = attribute("The number of completed direct subtasks.")


@lru_cache(maxsize=8)
def _progress_statement(shape: ViewerShape) -> Statement:
    viewer = placeholder_viewer(shape)
    child = aliased(models.Task)
    parents = bindparam("parents", type_=ARRAY(Uuid()))
    return Statement(
        select(
            child.parent_id,
            func.count().filter(child.status != TaskStatus.CANCELLED).label("total"),
            func.count().filter(child.status == TaskStatus.COMPLETED).label("completed"),
        )
        .where(child.parent_id == parents.any_(), access.read(viewer, child))
        .group_by(child.parent_id)
    )


async def _progress(parents: Sequence[Any], info: BatchInfo) -> list[SubtaskProgress]:
    rows = await info.context.services.database.reader.fetch(
        _progress_statement(info.viewer.shape),
        {**info.viewer.params, "parents": [parent.id for parent in parents]},
    )
    found = {
        row.parent_id: SubtaskProgress(total=row.total, completed=row.completed) for row in rows
    }
    nothing = SubtaskProgress(total=0, completed=0)
    return [found.get(parent.id, nothing) for parent in parents]


async def _urls(parents: Sequence[Any], info: BatchInfo) -> list[str]:
    frontend_url = info.context.services.settings.server.frontend_url
    return [task_page(frontend_url, parent.id) for parent in parents]


@node_type(models.Task, "A task, in a project or personal.")
class Task(Node):
    id: strawberry.ID = node_id(models.Task)
    number: int | None = column("The task's number within its project. Null for a personal task.")
    identifier: str | None = expression(
        models.Task,
        "key",
        identifier,
        "The task's key, such as `WEB-42`: the project's key and the task's number. Null for a "
        "personal task and if you cannot see the project.",
    )
    url: URL = batch(
        _urls,
        "The task's page in the web application. It stays when the task moves.",
        requires=("id",),
    )
    title: str = column("The title, 1 to 200 characters.")
    description: Markdown | None = column("The description, up to 10,000 characters.")
    description_html: HTML | None = description_html("task")
    notes: str | None = column("Short notes, up to 500 characters.")
    status: TaskStatus = column("The task's status.", convert=TaskStatus)
    priority: TaskPriority = column("The task's priority.", convert=TaskPriority)
    due_at: dt.datetime | None = column(
        "The time the task is due, in UTC. For an all-day due date, the end of that day."
    )
    due_on: dt.date | None = column(
        "The all-day due date, in the time zone of the user who set it."
    )
    is_overdue: bool = expression(
        models.Task,
        "is_overdue",
        lambda _, task: is_overdue(task),
        "Whether the task is past due and neither completed nor cancelled.",
    )
    start_at: dt.datetime | None = column("The earliest time to start work, in UTC.")
    estimate: Seconds | None = column("The estimated effort.")
    tags: list[str] = column("The task's tags, in the order in which they were given.")
    position: str = column("The task's rank in the manual order. Compare ranks as text.")
    project: Project | None = to_one(
        models.Task.project,
        "The task's project. Null for a personal task and if you cannot see the project.",
    )
    owner: User | None = to_one(
        models.Task.owner,
        "The task's owner, initially the user who created it. Null if the account was deleted.",
    )
    assignee: User | None = to_one(models.Task.assignee, "The user the task is assigned to.")
    parent: Task | None = to_one(
        models.Task.parent, "The parent task. Null if there is none or you cannot see it."
    )
    subtasks: TaskConnection = paging.to_many(
        models.Task.subtasks,
        "The direct subtasks, in manual order (`position`) by default.",
        filter_type=TaskFilter,
        order_type=TaskOrder,
        default_order=_BY_POSITION,
    )
    external_references: list[ExternalReference] = batch(
        references_of_tasks,
        "The task's counterparts in other systems, ordered by `source` and `externalId`.",
        requires=("id",),
    )
    subtask_progress: SubtaskProgress = batch(
        _progress, "How many of the direct subtasks are completed.", requires=("id",)
    )
    shares: TaskShareConnection = paging.to_many(
        models.Task.shares,
        "The task's shares. Users who can share the task see all of them; others see only their "
        "own. Oldest first by default.",
        filter_type=TaskShareFilter,
        order_type=TaskShareOrder,
        default_order=_OLDEST_SHARE_FIRST,
    )
    comments: CommentConnection = paging.to_many(
        models.Task.comments,
        "All comments on the task, including replies, oldest first by default. To get only the "
        "comments that start a thread, use `filter: {parent: {isNull: true}}`.",
        filter_type=CommentFilter,
        order_type=CommentOrder,
        default_order=OLDEST_FIRST,
    )
    comment_count: int = expression(
        models.Task,
        "comment_count",
        # Users who see the task see all of its comments and attachments.
        lambda _, task: ordering.beside(models.TaskCounters.comments, task),
        "The number of comments, including replies and excluding deleted comments.",
    )
    attachments: AttachmentConnection = paging.to_many(
        models.Task.attachments,
        "The task's attachments, newest first by default.",
        filter_type=AttachmentFilter,
        order_type=AttachmentOrder,
        default_order=NEWEST_ATTACHMENT_FIRST,
    )
    attachment_count: int = expression(
        models.Task,
        "attachment_count",
        lambda _, task: ordering.beside(models.TaskCounters.attachments, task),
        "The number of attachments.",
    )
    sync_problem: str | None = expression(
        models.Task,
        "sync_problem",
        sync_problem,
        "Why the task differs from its issue in the service that the project is connected to: a "
        "change made here or there could not be copied to the other side. Null if both are in "
        "sync. Changes made here are kept, and are sent as soon as possible.",
    )
    activity: EventConnection = activity_of(models.Task)
    tracked: Seconds = task_tracked()
    time_entries: _TimeEntryConnection = paging.to_many(
        models.Task.time_entries,
        "The time entries on the task that you can see: your own and, if you are an owner or "
        "admin of the project, everyone's. Newest first by default.",
        filter_type=_TimeEntryFilter,
        order_type=_TimeEntryOrder,
        default_order=_NEWEST_TIME_FIRST,
    )
    completed_at: dt.datetime | None = column("When the task was completed, in UTC.")
    deleted_at: dt.datetime | None = column(
        "When the task was moved to the trash, in UTC. It is kept there for 30 days."
    )
    viewer_can_edit: bool = permission_field(
        models.Task,
        "viewer_can_edit",
        access.edit,
        "Whether you can edit the task.",
    )
    viewer_can_comment: bool = permission_field(
        models.Task,
        "viewer_can_comment",
        access.add,
        "Whether you can comment on the task.",
    )
    viewer_can_delete: bool = permission_field(
        models.Task,
        "viewer_can_delete",
        access.delete,
        "Whether you can delete the task. Deleting its subtasks with it requires the same of each "
        "of them.",
    )
    viewer_can_share: bool = permission_field(
        models.Task,
        "viewer_can_share",
        access.share,
        "Whether you can share the task.",
    )
    created_at: dt.datetime = column("When the task was created, in UTC.")
    updated_at: dt.datetime = column("When the task last changed, in UTC.")
    version: int = column("Increases with each change. Send it as `ifVersion` to detect conflicts.")


@paging.connection_type("A page of tasks.", edge="A task in a list, with its cursor.")
class TaskConnection:
    node: Task


# --- queries -------------------------------------------------------------------------------------


@strawberry.type
class TaskQuery:
    task: Task | None = by_id(
        models.Task,
        "The task's ID, or its identifier, such as WEB-42.",
        "Returns one task by ID or identifier. Null with `NOT_FOUND` if it does not exist or you "
        "cannot see it.",
    )
    tasks: TaskConnection = paging.connection(
        models.Task,
        "Lists the tasks that you can see, newest first by default.",
        filter_type=TaskFilter,
        order_type=TaskOrder,
        default_order=_NEWEST_FIRST,
    )


# --- payloads ------------------------------------------------------------------------------------


@shared_payload("`task` is the current task.")
class _TaskPayload(MutationPayload):
    task: Task | None = ref(models.Task, "The task. Null if the mutation failed.")


@payload("Payload of `taskDelete`.")
class TaskDeletePayload(MutationPayload):
    """A deleted task can no longer be read, so the payload has IDs, and what shows other counts
    now.
    """

    task: Task | None = ref(models.Task, "The current task on `CONFLICT`, otherwise null.")
    deleted_ids: list[strawberry.ID] = value(
        "deleted_ids",
        "The IDs of all tasks that were moved to the trash: the task's, then those of the subtasks "
        "that went with it. Empty if the mutation failed.",
        default=(),
    )
    parent: Task | None = ref(
        models.Task, "The parent task. Null if there is none or you cannot see it.", "parent"
    )
    project: Project | None = ref(
        models.Project,
        "The task's project. Null for a personal task and if you cannot see the project.",
    )


# --- mutations -----------------------------------------------------------------------------------


# Whose IDs the fields of a new task hold.
NEW_TASK_IDS = {
    "id": models.Task,
    "project_id": models.Project,
    "parent_id": models.Task,
    "assignee_id": models.User,
}
_new = arguments_of(
    TaskCreateInput, domain.NewTask, ids=NEW_TASK_IDS, options=("due", "external_references")
)
_changes = changes_of(
    TaskUpdateInput,
    domain.CHANGEABLE,
    ids={"assignee_id": models.User, "parent_id": models.Task},
    options=("due", "external_references"),
)


_moved = changes_of(
    TaskMoveInput,
    moving.CHANGEABLE,
    ids={"project_id": models.Project, "parent_id": models.Task, "assignee_id": models.User},
    options=("place", "time_entries"),
)


def _new_task(data: TaskCreateInput) -> domain.NewTask:
    return domain.NewTask(**_new(data), **due_of(data), **references_of(data))


async def _create(work: Work, data: TaskCreateInput) -> Refs:
    return {"task": (await domain.create(work, _new_task(data))).id}


async def _create_in_one_statement(
    work: Work, data: TaskCreateInput, wanted: ReturnedColumns | None
) -> Refs | None:
    task = await domain.create_in_one_statement(work, _new_task(data), wanted or ONLY_ID)
    if task is None:
        return None
    return {"task": task.id if wanted is None else task}  # type: ignore[attr-defined]


async def _update(work: Work, data: TaskUpdateInput) -> Refs:
    task_id = ids.decode(models.Task, data.id, ("id",))
    task = await domain.update_task(
        work, task_id, _changes(data) | due_of(data) | references_of(data), given(data.if_version)
    )
    return {"task": task.id}


async def _delete(work: Work, data: TaskDeleteInput) -> Refs:
    task_id = ids.decode(models.Task, data.id, ("id",))
    task, gone = await domain.delete(work, task_id, given(data.if_version), data.subtasks)
    return {
        "deleted_ids": [ids.encode(models.Task, one) for one in gone],
        "parent": task.parent_id,
        "project": task.project_id,
    }


async def _restore(work: Work, data: TaskRestoreInput) -> Refs:
    task_id = ids.decode(models.Task, data.id, ("id",))
    return {"task": (await domain.restore(work, task_id)).id}


async def _complete(work: Work, data: TaskCompleteInput) -> Refs:
    task_id = ids.decode(models.Task, data.id, ("id",))
    return {"task": (await domain.complete(work, task_id, given(data.if_version))).id}


async def _reopen(work: Work, data: TaskReopenInput) -> Refs:
    task_id = ids.decode(models.Task, data.id, ("id",))
    return {"task": (await domain.reopen(work, task_id, given(data.if_version))).id}


async def _assign(work: Work, data: TaskAssignInput) -> Refs:
    assignee = given(data.assignee_id)
    task = await domain.assign(
        work,
        ids.decode(models.Task, data.id, ("id",)),
        None if assignee is None else ids.decode(models.User, assignee, ("assignee_id",)),
        given(data.if_version),
    )
    return {"task": task.id}


async def _move(work: Work, data: TaskMoveInput) -> Refs:
    task = await moving.move(
        work,
        ids.decode(models.Task, data.id, ("id",)),
        _moved(data),
        place=_place(given(data.place)),
        if_version=given(data.if_version),
        entries=data.time_entries,
    )
    return {"task": task.id}


def _place(data: TaskPlacementInput | None) -> Place | None:
    if data is None:
        return None
    if before := given(data.before):
        return Place(before=ids.decode(models.Task, before, ("place", "before")))
    if after := given(data.after):
        return Place(after=ids.decode(models.Task, after, ("place", "after")))
    return Place(edge=given(data.edge))


@strawberry.type
class TaskMutation:
    task_create: _TaskPayload = mutation(
        _create,
        TaskCreateInput,
        "Creates a task. In a project, requires the role EDITOR or higher.",
        limit=rates.new_task,
        single_statement=(models.Task, _create_in_one_statement),
    )
    task_update: _TaskPayload = mutation(_update, TaskUpdateInput, "Updates a task.")
    task_delete: TaskDeletePayload = mutation(
        _delete,
        TaskDeleteInput,
        "Moves a task to the trash, by default with its subtasks. It is deleted permanently "
        "after 30 days. Allowed for the owner and admins of the project, and for the task's "
        "owner (in a project, only while they are a member). Requires permission to delete every "
        "subtask, unless you send `subtasks: MOVE_UP`.",
    )
    task_restore: _TaskPayload = mutation(
        _restore,
        TaskRestoreInput,
        "Restores a task from the trash, together with the subtasks that were deleted with it. "
        "Requires permission to delete each of them.",
    )
    task_complete: _TaskPayload = mutation(
        _complete, TaskCompleteInput, "Sets a task's status to COMPLETED."
    )
    task_reopen: _TaskPayload = mutation(
        _reopen, TaskReopenInput, "Sets a completed or cancelled task's status to TODO."
    )
    task_assign: _TaskPayload = mutation(
        _assign, TaskAssignInput, "Assigns a task to a user, or removes the assignee."
    )
    task_move: _TaskPayload = mutation(
        _move,
        TaskMoveInput,
        "Moves a task to another position, status, project, parent or assignee, all in one change: "
        "if a part of it fails, nothing is changed. Its subtasks and time entries move with it.",
    )
