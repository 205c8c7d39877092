"""Filters and orderings of tasks, and the inputs of their mutations."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import BigInteger, Integer

from auth import access
from db import models
from db.models import TaskPriority, TaskStatus
from db.models.task import is_overdue
from domain import rules
from domain.tasks.task_values import Subtasks
from domain.time.time_moves import EntriesOfMoved
from graph.core.inputs import (
    NAMES,
    MutationInput,
    Names,
    UpdateInput,
    change,
    defaulted,
    new_id,
    optional,
    required,
)
from graph.core.node import described_enum
from graph.core.scalars import Markdown, Seconds
from graph.kit import filtering, ordering
from graph.kit.comparators import (
    DateFilter,
    DateTimeFilter,
    IDFilter,
    IntFilter,
    StringFilter,
    TaskPriorityFilter,
    TaskStatusFilter,
)
from graph.kit.ordering import SortOrder
from graph.types.accounts.user import UserFilter, UserOrder
from graph.types.projects.project_inputs import ProjectFilter, ProjectOrder
from graph.types.tasks.attachment_inputs import (
    AttachmentListFilter,
    attachment_count,
)
from graph.types.tasks.comment_inputs import CommentListFilter, comment_count
from graph.types.tasks.share_inputs import TaskShareListFilter
from graph.types.time.tracked_time import task_tracked_seconds

if TYPE_CHECKING:
    from graph.types.time.time_inputs import TimeEntryListFilter

_TimeEntryListFilter = Annotated[
    "TimeEntryListFilter", strawberry.lazy("graph.types.time.time_inputs")
]


@filtering.list_filter(
    "Filter for a task's tags. Tags are compared case-insensitively.", noun="tag"
)
class TagListFilter:
    of: StringFilter


@filtering.list_filter("Filter for a task's direct subtasks.", noun="subtask")
class TaskListFilter:
    of: TaskFilter


@filtering.filter_input("Filter for tasks.")
class TaskFilter:
    id: IDFilter | None = filtering.by_id(models.Task.id, models.Task, "The task's ID.")
    number: IntFilter | None = filtering.by(models.Task.number, "The number within the project.")
    title: StringFilter | None = filtering.by(models.Task.title, "The title.")
    description: StringFilter | None = filtering.by(models.Task.description, "The description.")
    notes: StringFilter | None = filtering.by(models.Task.notes, "The notes.")
    status: TaskStatusFilter | None = filtering.by(models.Task.status, "The status.")
    completed: bool | None = filtering.by_condition(
        lambda _, task: task.status == TaskStatus.COMPLETED,
        "Whether the status is COMPLETED.",
    )
    priority: TaskPriorityFilter | None = filtering.by(models.Task.priority, "The priority.")
    due_at: DateTimeFilter | None = filtering.by(
        models.Task.due_at,
        "The time the task is due. For an all-day due date, the end of that day.",
    )
    due_on: DateFilter | None = filtering.by(models.Task.due_on, "The all-day due date.")
    start_at: DateTimeFilter | None = filtering.by(
        models.Task.start_at, "The earliest time to start work."
    )
    is_overdue: bool | None = filtering.by_condition(
        lambda _, task: is_overdue(task),
        "Whether the task is past due and neither completed nor cancelled.",
    )
    estimate: IntFilter | None = filtering.by(models.Task.estimate, "The estimated effort.")
    tags: TagListFilter | None = filtering.by_elements(
        models.Task.tag_keys, rules.tag_key, "The tags."
    )
    project: ProjectFilter | None = filtering.by_relation(models.Task.project, "The project.")
    project_id: IDFilter | None = filtering.by_id(
        models.Task.project_id,
        models.Project,
        "The project's ID. `isNull: true` selects personal tasks.",
    )
    owner: UserFilter | None = filtering.by_relation(models.Task.owner, "The owner.")
    owner_id: IDFilter | None = filtering.by_id(
        models.Task.owner_id, models.User, "The owner's ID."
    )
    assignee: UserFilter | None = filtering.by_relation(models.Task.assignee, "The assignee.")
    assignee_id: IDFilter | None = filtering.by_id(
        models.Task.assignee_id,
        models.User,
        "The assignee's ID. `isNull: true` selects unassigned tasks.",
    )
    parent: TaskFilter | None = filtering.by_relation(models.Task.parent, "The parent task.")
    parent_id: IDFilter | None = filtering.by_id(
        models.Task.parent_id,
        models.Task,
        "The parent task's ID. `isNull: true` selects tasks without a parent.",
    )
    subtasks: TaskListFilter | None = filtering.by_relations(
        models.Task.subtasks, "The direct subtasks."
    )
    shares: TaskShareListFilter | None = filtering.by_relations(
        models.Task.shares, "The shares that you can see."
    )
    shared_with_me: bool | None = filtering.by_condition(
        lambda viewer, task: task.id.in_(access.shared_tasks(viewer)),
        "Whether the task itself is shared with you. Does not count shares of its parent tasks.",
    )
    comments: CommentListFilter | None = filtering.by_relations(
        models.Task.comments, "The comments."
    )
    attachments: AttachmentListFilter | None = filtering.by_relations(
        models.Task.attachments, "The attachments."
    )
    tracked: IntFilter | None = filtering.by_expression(
        task_tracked_seconds,
        BigInteger(),
        "The seconds tracked on the task, without its subtasks, in entries that you can see.",
    )
    time_entries: _TimeEntryListFilter | None = filtering.by_relations(
        models.Task.time_entries, "The time entries that you can see."
    )
    completed_at: DateTimeFilter | None = filtering.by(
        models.Task.completed_at, "When the task was completed."
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.Task.created_at, "When the task was created."
    )
    updated_at: DateTimeFilter | None = filtering.by(
        models.Task.updated_at, "When the task last changed."
    )
    search: str | None = filtering.by_search(
        (models.Task.title, models.Task.description, models.Task.notes),
        "Words that must all occur in the title, description or notes. Ignores case and accents.",
    )


@ordering.order_input("Sort key for tasks. Provide exactly one field.")
class TaskOrder:
    created_at: SortOrder | None = ordering.by(models.Task.created_at, "Sorts by creation time.")
    updated_at: SortOrder | None = ordering.by(
        models.Task.updated_at, "Sorts by the time of the last change."
    )
    completed_at: SortOrder | None = ordering.by(
        models.Task.completed_at, "Sorts by completion time."
    )
    due_at: SortOrder | None = ordering.by(models.Task.due_at, "Sorts by due time.")
    start_at: SortOrder | None = ordering.by(
        models.Task.start_at, "Sorts by the earliest time to start work."
    )
    title: SortOrder | None = ordering.by_text(models.Task.title, "Sorts by title.")
    number: SortOrder | None = ordering.by(
        models.Task.number, "Sorts by number within the project."
    )
    status: SortOrder | None = ordering.by(
        models.Task.status, "Sorts by status, from TODO to CANCELLED."
    )
    priority: SortOrder | None = ordering.by(
        models.Task.priority, "Sorts by priority, from NONE to URGENT."
    )
    position: SortOrder | None = ordering.by(
        models.Task.position, "Sorts by the manual order that `taskMove` sets."
    )
    estimate: SortOrder | None = ordering.by(models.Task.estimate, "Sorts by estimate.")
    comment_count: SortOrder | None = ordering.by_expression(
        "comment_count",
        comment_count,
        Integer(),
        "Sorts by the number of comments.",
        nullable=False,
    )
    attachment_count: SortOrder | None = ordering.by_expression(
        "attachment_count",
        attachment_count,
        Integer(),
        "Sorts by the number of attachments.",
        nullable=False,
    )
    tracked: SortOrder | None = ordering.by_expression(
        "tracked_seconds",
        task_tracked_seconds,
        BigInteger(),
        "Sorts by the seconds tracked on the task, without its subtasks, in entries that you can "
        "see.",
        nullable=False,
    )
    owner: UserOrder | None = ordering.by_relation(models.Task.owner, "Sorts by owner.")
    assignee: UserOrder | None = ordering.by_relation(models.Task.assignee, "Sorts by assignee.")
    project: ProjectOrder | None = ordering.by_relation(models.Task.project, "Sorts by project.")


@strawberry.input
class NewTaskFields:
    """See `domain.tasks.task_values.NewTask`."""

    title: str = required("The title, 1 to 200 characters.")
    id: strawberry.ID | None = new_id("task")
    project_id: strawberry.ID | None = optional(
        "The project's ID or key. Without it, the task is personal."
    )
    parent_id: strawberry.ID | None = optional(
        "The ID or identifier of the parent task, in the same project. Tasks nest at most three "
        "levels deep."
    )
    assignee_id: strawberry.ID | None = optional(
        "The user to assign the task to: an ID, or a username such as @ada."
    )
    description: Markdown | None = optional("The description, up to 10,000 characters.")
    notes: str | None = optional("Short notes, up to 500 characters.")
    status: TaskStatus = defaulted(TaskStatus.TODO, "The status.")
    priority: TaskPriority = defaulted(TaskPriority.NONE, "The priority.")
    due_at: dt.datetime | None = optional(
        "The time the task is due. Cannot be combined with `dueOn`."
    )
    due_on: dt.date | None = optional(
        "The all-day due date, in your time zone. Cannot be combined with `dueAt`."
    )
    start_at: dt.datetime | None = optional("The earliest time to start work.")
    estimate: Seconds | None = optional("The estimated effort.")
    tags: list[str] | None = optional(
        "Up to 20 tags of 1 to 50 characters each. Duplicates are removed."
    )


@strawberry.input(description="Input for `taskCreate`.")
class TaskCreateInput(NewTaskFields, MutationInput):
    """See `domain.tasks.task.create`."""


@strawberry.input
class TaskChanges:
    """The fields of a task that can change without reading another task."""

    id: strawberry.ID = required("The task's ID or identifier.")
    title: strawberry.Maybe[str | None] = change("The title, 1 to 200 characters.")
    description: strawberry.Maybe[Markdown | None] = change(
        "The description, up to 10,000 characters."
    )
    notes: strawberry.Maybe[str | None] = change("Short notes, up to 500 characters.")
    status: strawberry.Maybe[TaskStatus | None] = change("The status.")
    priority: strawberry.Maybe[TaskPriority | None] = change("The priority.")
    due_at: strawberry.Maybe[dt.datetime | None] = change(
        "The time the task is due. Replaces `dueOn`. Null removes the due date."
    )
    due_on: strawberry.Maybe[dt.date | None] = change(
        "The all-day due date, in your time zone. Replaces `dueAt`. Null removes the due date."
    )
    start_at: strawberry.Maybe[dt.datetime | None] = change("The earliest time to start work.")
    estimate: strawberry.Maybe[Seconds | None] = change("The estimated effort.")
    tags: strawberry.Maybe[list[str] | None] = change(
        "All tags of the task: up to 20 of 1 to 50 characters each."
    )
    assignee_id: strawberry.Maybe[strawberry.ID | None] = change(
        "The assignee: an ID, or a username such as @ada. To assign a user who cannot yet see the "
        "task or one of its subtasks, you need permission to share it."
    )


@strawberry.input(
    description="Input for `taskUpdate`. Omitted fields stay unchanged; null clears a field."
)
class TaskUpdateInput(TaskChanges, UpdateInput):
    """See `domain.tasks.task.update_task`."""

    parent_id: strawberry.Maybe[strawberry.ID | None] = change(
        "The parent task's ID or identifier. Null removes the parent. If the change would give "
        "anyone new rights on the task or its subtasks, you need permission to share them."
    )


@strawberry.input
class _OneTask(UpdateInput):
    id: strawberry.ID = required("The task's ID or identifier.")


described_enum(
    Subtasks,
    "What happens to a task's subtasks when the task is deleted.",
    {
        Subtasks.DELETE: (
            "The subtasks are deleted with the task. Requires permission to delete each of them."
        ),
        Subtasks.MOVE_UP: "The subtasks are kept and move up one level.",
    },
    name="TaskDeleteSubtasks",
)


def subtasks_field() -> Any:
    """The field that chooses what happens to the subtasks."""
    return strawberry.field(
        default=Subtasks.DELETE, description="What happens to the task's subtasks."
    )


@strawberry.input(description="Input for `taskDelete`.")
class TaskDeleteInput(_OneTask):
    """See `domain.tasks.task.delete`."""

    subtasks: Subtasks = subtasks_field()


@strawberry.input(description="Input for `taskComplete`.")
class TaskCompleteInput(_OneTask):
    """See `domain.tasks.task.complete`."""


@strawberry.input(description="Input for `taskReopen`.")
class TaskReopenInput(_OneTask):
    """See `domain.tasks.task.reopen`."""


@strawberry.input(description="Input for `taskRestore`.")
class TaskRestoreInput(MutationInput):
    """See `domain.tasks.task.restore`."""

    id: strawberry.ID = required("The task's ID or identifier.", metadata={NAMES: Names.TRASHED})


@strawberry.input(description="Input for `taskAssign`.")
class TaskAssignInput(UpdateInput):
    """See `domain.tasks.task.assign`."""

    id: strawberry.ID = required("The task's ID or identifier.")
    assignee_id: strawberry.ID | None = optional(
        "The new assignee: an ID, or a username such as @ada. Null, or no value, removes the "
        "assignee."
    )


described_enum(
    EntriesOfMoved,
    "What happens to the time entries of a task that moves to another project.",
    {
        EntriesOfMoved.MOVE: "The time entries move to the new project with the task.",
        EntriesOfMoved.KEEP: "The time entries stay on the task, in their current project.",
    },
    name="TaskMoveTimeEntries",
)


@strawberry.input(description="Input for `taskMove`.")
class TaskMoveInput(UpdateInput):
    """See `domain.tasks.placement.move`."""

    id: strawberry.ID = required("The task's ID or identifier.")
    before_id: strawberry.ID | None = optional("Places the task directly before this task.")
    after_id: strawberry.ID | None = optional("Places the task directly after this task.")
    project_id: strawberry.Maybe[strawberry.ID | None] = change(
        "The ID of the project to move the task to. Without `beforeId` and `afterId`, the task "
        "goes to the end. You need the role EDITOR or higher in both projects or, for a personal "
        "task, must be its owner. Null moves your own task out of its project and makes it "
        "personal."
    )
    time_entries: EntriesOfMoved = strawberry.field(
        default=EntriesOfMoved.MOVE,
        description="What happens to the time entries of the task and its subtasks, including "
        "those of other users, when the project changes. With MOVE, the mutation "
        "fails with `TIME_LOCKED` if an entry is in a locked period of either project, "
        "and with `TIME_OVERLAP` if the new project does not allow the overlaps that "
        "would result.",
    )
