"""What tasks are filtered and ordered by, and what their mutations take."""

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
    new_id,
    optional,
    required,
)
from graph.core.node import described_enum
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
from graph.kit.ordering import OrderBy
from graph.types.accounts.user import UserFilter, UserOrder
from graph.types.projects.project_inputs import ProjectFilter, ProjectOrder
from graph.types.tasks.attachment_inputs import (
    AttachmentFilter,
    AttachmentListFilter,
    attachment_count,
)
from graph.types.tasks.comment_inputs import CommentFilter, CommentListFilter, comment_count
from graph.types.tasks.share_inputs import TaskShareFilter, TaskShareListFilter
from graph.types.time.tracked_time import task_tracked_seconds

if TYPE_CHECKING:
    from graph.types.time.time_inputs import TimeEntryListFilter

_TimeEntryListFilter = Annotated[
    "TimeEntryListFilter", strawberry.lazy("graph.types.time.time_inputs")
]


def _time_entry_filter() -> Any:
    from graph.types.time.time_inputs import TimeEntryFilter

    return TimeEntryFilter


@filtering.list_filter("Quantifies over tags, compared without regard to case.", noun="tag")
class TagListFilter:
    """`some`, `none`, `every`."""

    of: StringFilter


@filtering.list_filter("Quantifies over subtasks.")
class TaskListFilter:
    """`some`, `none`, `every`."""

    of: TaskFilter


@filtering.filter_input("Which tasks.")
class TaskFilter:
    """Criteria over tasks."""

    id: IDFilter | None = filtering.by_id(models.Task.id, models.Task, "Id.")
    number: IntFilter | None = filtering.by(models.Task.number, "Number within the project.")
    title: StringFilter | None = filtering.by(models.Task.title, "Title.")
    description: StringFilter | None = filtering.by(models.Task.description, "Description.")
    notes: StringFilter | None = filtering.by(models.Task.notes, "Notes.")
    status: TaskStatusFilter | None = filtering.by(models.Task.status, "Status.")
    completed: bool | None = filtering.by_condition(
        lambda _, task: task.status == TaskStatus.COMPLETED,
        "Whether the status is COMPLETED.",
    )
    priority: TaskPriorityFilter | None = filtering.by(models.Task.priority, "Priority.")
    due_at: DateTimeFilter | None = filtering.by(
        models.Task.due_at, "The moment it is due; for an all-day date the end of that day."
    )
    due_on: DateFilter | None = filtering.by(models.Task.due_on, "The all-day date it is due.")
    start_at: DateTimeFilter | None = filtering.by(models.Task.start_at, "When work may begin.")
    is_overdue: bool | None = filtering.by_condition(
        lambda _, task: is_overdue(task),
        "Whether it is due before now and neither completed nor cancelled.",
    )
    estimate_minutes: IntFilter | None = filtering.by(
        models.Task.estimate_minutes, "Estimate in minutes."
    )
    tags: TagListFilter | None = filtering.by_elements(models.Task.tag_keys, rules.tag_key, "Tags.")
    project: ProjectFilter | None = filtering.by_relation(
        models.Task.project, lambda: ProjectFilter, "The project."
    )
    project_id: IDFilter | None = filtering.by_id(
        models.Task.project_id, models.Project, "The project's id; `isNull` for personal tasks."
    )
    owner: UserFilter | None = filtering.by_relation(
        models.Task.owner, lambda: UserFilter, "Who made it."
    )
    owner_id: IDFilter | None = filtering.by_id(
        models.Task.owner_id, models.User, "The id of who made it."
    )
    assignee: UserFilter | None = filtering.by_relation(
        models.Task.assignee, lambda: UserFilter, "Who is to do it."
    )
    assignee_id: IDFilter | None = filtering.by_id(
        models.Task.assignee_id, models.User, "The id of who is to do it; `isNull` for nobody."
    )
    parent: TaskFilter | None = filtering.by_relation(
        models.Task.parent, lambda: TaskFilter, "The task above."
    )
    parent_id: IDFilter | None = filtering.by_id(
        models.Task.parent_id, models.Task, "The id of the task above; `isNull` for top tasks."
    )
    subtasks: TaskListFilter | None = filtering.by_relations(
        models.Task.subtasks, lambda: TaskFilter, "The tasks directly below."
    )
    shares: TaskShareListFilter | None = filtering.by_relations(
        models.Task.shares, lambda: TaskShareFilter, "The shares that you may see."
    )
    shared_with_me: bool | None = filtering.by_condition(
        lambda viewer, task: task.id.in_(access.shared_tasks(viewer)),
        "Whether somebody shared it with you, itself and not a task above it.",
    )
    comments: CommentListFilter | None = filtering.by_relations(
        models.Task.comments, lambda: CommentFilter, "The comments."
    )
    attachments: AttachmentListFilter | None = filtering.by_relations(
        models.Task.attachments, lambda: AttachmentFilter, "The attachments."
    )
    tracked_seconds: IntFilter | None = filtering.by_expression(
        task_tracked_seconds,
        BigInteger(),
        "Seconds tracked on it (not on its subtasks) in entries that you may see.",
    )
    time_entries: _TimeEntryListFilter | None = filtering.by_relations(
        models.Task.time_entries, _time_entry_filter, "The time entries that you may see."
    )
    completed_at: DateTimeFilter | None = filtering.by(
        models.Task.completed_at, "When it was completed."
    )
    created_at: DateTimeFilter | None = filtering.by(models.Task.created_at, "When it was made.")
    updated_at: DateTimeFilter | None = filtering.by(
        models.Task.updated_at, "When it changed last."
    )
    search: str | None = filtering.by_search(
        (models.Task.title, models.Task.description, models.Task.notes),
        "Words that all occur in title, description or notes, without regard to case and accents.",
    )


@ordering.order_input("How to order tasks; give one field.")
class TaskOrder:
    """Keys of tasks."""

    created_at: OrderBy | None = ordering.by(models.Task.created_at, "By time of creation.")
    updated_at: OrderBy | None = ordering.by(models.Task.updated_at, "By time of last change.")
    completed_at: OrderBy | None = ordering.by(models.Task.completed_at, "By time of completion.")
    due_at: OrderBy | None = ordering.by(models.Task.due_at, "By when they are due.")
    start_at: OrderBy | None = ordering.by(models.Task.start_at, "By when work may begin.")
    title: OrderBy | None = ordering.by_text(models.Task.title, "By title.")
    number: OrderBy | None = ordering.by(models.Task.number, "By number within the project.")
    status: OrderBy | None = ordering.by(models.Task.status, "TODO first, CANCELLED last.")
    priority: OrderBy | None = ordering.by(models.Task.priority, "NONE first, URGENT last.")
    position: OrderBy | None = ordering.by(models.Task.position, "By hand, as `taskMove` put them.")
    estimate_minutes: OrderBy | None = ordering.by(models.Task.estimate_minutes, "By estimate.")
    comment_count: OrderBy | None = ordering.by_expression(
        "comment_count", comment_count, Integer(), "By number of comments.", nullable=False
    )
    attachment_count: OrderBy | None = ordering.by_expression(
        "attachment_count",
        attachment_count,
        Integer(),
        "By number of attachments.",
        nullable=False,
    )
    tracked_seconds: OrderBy | None = ordering.by_expression(
        "tracked_seconds",
        task_tracked_seconds,
        BigInteger(),
        "By the seconds tracked on it (not on its subtasks) in entries that you may see.",
        nullable=False,
    )
    owner: UserOrder | None = ordering.by_relation(
        models.Task.owner, lambda: UserOrder, "By who made them."
    )
    assignee: UserOrder | None = ordering.by_relation(
        models.Task.assignee, lambda: UserOrder, "By who is to do them."
    )
    project: ProjectOrder | None = ordering.by_relation(
        models.Task.project, lambda: ProjectOrder, "By project."
    )


@strawberry.input
class NewTaskFields:
    """See `domain.tasks.task_values.NewTask`."""

    title: str = required("The title, 1 to 200 characters.")
    id: strawberry.ID | None = new_id("task")
    project_id: strawberry.ID | None = optional("The project; a personal task where left out.")
    parent_id: strawberry.ID | None = optional(
        "The task that this is a part of; it is in the same project. At most three levels."
    )
    assignee_id: strawberry.ID | None = optional("Who is to do it.")
    description: str | None = optional("Markdown, up to 10,000 characters.")
    notes: str | None = optional("Up to 500 characters.")
    status: TaskStatus | None = optional("TODO where left out.")
    priority: TaskPriority | None = optional("NONE where left out.")
    due_at: dt.datetime | None = optional("The moment it is due; not together with `dueOn`.")
    due_on: dt.date | None = optional("The day it is due, in your time zone.")
    start_at: dt.datetime | None = optional("When work may begin.")
    estimate_minutes: int | None = optional("How long it will take, in minutes.")
    tags: list[str] | None = optional("Up to 20 of 1 to 50 characters; equal ones are kept once.")


@strawberry.input(description="A new task.")
class TaskCreateInput(NewTaskFields, MutationInput):
    """See `domain.tasks.task.create`."""


@strawberry.input
class TaskChanges:
    """Changes of a task that need no other task."""

    id: strawberry.ID = required("The task.")
    title: strawberry.Maybe[str | None] = change("The title, 1 to 200 characters.")
    description: strawberry.Maybe[str | None] = change("Markdown, up to 10,000 characters.")
    notes: strawberry.Maybe[str | None] = change("Up to 500 characters.")
    status: strawberry.Maybe[TaskStatus | None] = change("The status.")
    priority: strawberry.Maybe[TaskPriority | None] = change("The priority.")
    due_at: strawberry.Maybe[dt.datetime | None] = change(
        "The moment it is due; replaces `dueOn`. Null: not due at all."
    )
    due_on: strawberry.Maybe[dt.date | None] = change(
        "The day it is due, in your time zone; replaces `dueAt`. Null: not due at all."
    )
    start_at: strawberry.Maybe[dt.datetime | None] = change("When work may begin.")
    estimate_minutes: strawberry.Maybe[int | None] = change("How long it will take, in minutes.")
    tags: strawberry.Maybe[list[str] | None] = change("All tags; up to 20 of 1 to 50 characters.")
    assignee_id: strawberry.Maybe[strawberry.ID | None] = change(
        "Who is to do it. To assign somebody who does not see the task yet, or one of its "
        "subtasks, you need the right to share it."
    )


@strawberry.input(description="Changes to a task; what is left out stays, null clears.")
class TaskUpdateInput(TaskChanges, UpdateInput):
    """See `domain.tasks.task.update_task`."""

    parent_id: strawberry.Maybe[strawberry.ID | None] = change(
        "The task that this is a part of; null makes it a task of its own. If somebody would gain "
        "a right on the task or its subtasks by it, you need the right to share them."
    )


@strawberry.input
class _OneTask(UpdateInput):
    id: strawberry.ID = required("The task.")


described_enum(
    Subtasks,
    "What becomes of a task's subtasks when it is deleted.",
    {
        Subtasks.DELETE: "They are deleted with it. Requires the right to delete each of them.",
        Subtasks.MOVE_UP: "They stay, one level higher.",
    },
    name="TaskDeleteSubtasks",
)


def subtasks_field() -> Any:
    """The field that says what becomes of the subtasks."""
    return strawberry.field(default=Subtasks.DELETE, description="What becomes of its subtasks.")


@strawberry.input(description="The task to put into the trash.")
class TaskDeleteInput(_OneTask):
    """See `domain.tasks.task.delete`."""

    subtasks: Subtasks = subtasks_field()


@strawberry.input(description="The task to complete.")
class TaskCompleteInput(_OneTask):
    """See `domain.tasks.task.complete`."""


@strawberry.input(description="The completed or cancelled task to open again.")
class TaskReopenInput(_OneTask):
    """See `domain.tasks.task.reopen`."""


@strawberry.input(description="The task to take out of the trash.")
class TaskRestoreInput(MutationInput):
    """See `domain.tasks.task.restore`."""

    id: strawberry.ID = required("The task.", metadata={NAMES: Names.TRASHED})


@strawberry.input(description="Who is to do a task.")
class TaskAssignInput(UpdateInput):
    """See `domain.tasks.task.assign`."""

    id: strawberry.ID = required("The task.")
    assignee_id: strawberry.ID | None = optional("The person; nobody where null or left out.")


described_enum(
    EntriesOfMoved,
    "What becomes of the time entries of a task that moves to another project.",
    {
        EntriesOfMoved.MOVE: "They move along.",
        EntriesOfMoved.KEEP: "They stay in the project in which they are, on the task.",
    },
    name="TaskMoveTimeEntries",
)


@strawberry.input(description="Where a task is to stand.")
class TaskMoveInput(UpdateInput):
    """See `domain.tasks.placement.move`."""

    id: strawberry.ID = required("The task.")
    before_id: strawberry.ID | None = optional("The task that is to follow it.")
    after_id: strawberry.ID | None = optional("The task that is to stand before it.")
    project_id: strawberry.Maybe[strawberry.ID | None] = change(
        "Another project; at the end where no neighbour is named. You need the role EDITOR or "
        "higher in both projects, or to be the owner of a personal task. Null takes a task of "
        "yours out of its project."
    )
    time_entries: EntriesOfMoved = strawberry.field(
        default=EntriesOfMoved.MOVE,
        description="What becomes of the time entries of the task and its subtasks, whoever's they "
        "are, when the project changes. With MOVE, entries in a locked period of either project "
        "make it `LOCKED`, and overlaps that the new project does not allow `OVERLAP`.",
    )
