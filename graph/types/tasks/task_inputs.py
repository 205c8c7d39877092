"""Filters and orderings of tasks, and the inputs of their mutations."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    String,
    Text,
    and_,
    cast,
    func,
    select,
)
from sqlalchemy.orm import aliased
from strawberry.types.maybe import Some

from auth import access
from auth.viewer import Viewer
from db import models
from db.models import TaskPriority, TaskStatus
from db.models.task import is_overdue
from domain import rules
from domain.tasks.placement import ListEdge
from domain.tasks.task_values import Subtasks
from domain.time.time_moves import EntriesOfMoved
from graph.core.inputs import (
    NAMES,
    MutationInput,
    Names,
    UpdateInput,
    change,
    defaulted,
    given,
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
    SecondsFilter,
    StringFilter,
    TaskPriorityFilter,
    TaskStatusFilter,
)
from graph.kit.criteria import Expressed
from graph.kit.ordering import SortOrder
from graph.types.accounts.user import UserFilter, UserOrder
from graph.types.projects.project_inputs import ProjectFilter, ProjectOrder
from graph.types.tasks.attachment_inputs import AttachmentListFilter
from graph.types.tasks.comment_inputs import CommentListFilter
from graph.types.tasks.external_reference import (
    ExternalReferenceInput,
    ExternalReferenceListFilter,
)
from graph.types.tasks.share_inputs import TaskShareListFilter
from graph.types.time.tracked_time import task_tracked_seconds, tracked_tasks

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


def identifier(viewer: Viewer, task: Any) -> Any:
    """The project's key and the task's number; null if the viewer cannot see the project."""
    project = aliased(models.Project)
    return (
        select(project.key + "-" + cast(task.number, String))
        .where(project.id == task.project_id, access.read(viewer, project))
        .scalar_subquery()
    )


class _Identifier(Expressed):
    """Compares identifiers; whole ones only with those of their projects' tasks."""

    def __init__(self) -> None:
        super().__init__(identifier, Text(), convert=str.upper)

    def predicate(self, name: str, column: Any, operand: Any, entity: Any) -> ColumnElement[bool]:
        """That of one comparator."""
        matches = super().predicate(name, column, operand, entity)
        if name not in {"eq", "in_"}:
            return matches
        operands = func.unnest(operand) if name == "in_" else operand
        keys = select(func.split_part(operands, "-", 1))
        project = aliased(models.Project)
        projects = select(project.id).where(project.key.in_(keys))
        return and_(matches, entity.project_id.in_(projects))


@filtering.filter_input("Filter for tasks.")
class TaskFilter:
    is_null: bool | None = filtering.by_absence("task")
    id: IDFilter | None = filtering.by_id(models.Task.id, models.Task, "The task's ID.")
    identifier: StringFilter | None = filtering.declared(
        _Identifier(), "The identifier, such as `WEB-42`. Case-insensitive."
    )
    number: IntFilter | None = filtering.by(
        models.Task.number, "The number within the project.", order="number within the project"
    )
    title: StringFilter | None = filtering.by(models.Task.title, "The title.", order="title")
    description: StringFilter | None = filtering.by(models.Task.description, "The description.")
    notes: StringFilter | None = filtering.by(models.Task.notes, "The notes.")
    status: TaskStatusFilter | None = filtering.by(
        models.Task.status, "The status.", order="status, from TODO to CANCELLED"
    )
    is_open: bool | None = filtering.by_condition(
        lambda _, task: task.status < TaskStatus.COMPLETED,
        "Whether the status is TODO or IN_PROGRESS.",
    )
    is_overdue: bool | None = filtering.by_condition(
        lambda _, task: is_overdue(task),
        "Whether the task is past due and neither completed nor cancelled.",
    )
    is_deleted: bool | None = filtering.by_trash("task")
    priority: TaskPriorityFilter | None = filtering.by(
        models.Task.priority, "The priority.", order="priority, from NONE to URGENT"
    )
    due_at: DateTimeFilter | None = filtering.by(
        models.Task.due_at,
        "The time the task is due. For an all-day due date, the end of that day.",
        order="due time",
    )
    due_on: DateFilter | None = filtering.by(models.Task.due_on, "The all-day due date.")
    start_at: DateTimeFilter | None = filtering.by(
        models.Task.start_at,
        "The earliest time to start work.",
        order="the earliest time to start work",
    )
    estimate: SecondsFilter | None = filtering.by(
        models.Task.estimate, "The estimated effort.", order="estimate"
    )
    tracked: SecondsFilter | None = filtering.by_expression(
        task_tracked_seconds,
        BigInteger(),
        "The time tracked on the task, without its subtasks, in entries that you can see.",
        order="the time tracked on the task, without its subtasks, in entries that you can see",
        mark="tracked_seconds",
        positive=tracked_tasks,
    )
    tags: TagListFilter | None = filtering.by_elements(
        models.Task.tag_keys, rules.tag_key, "The tags."
    )
    external_references: ExternalReferenceListFilter | None = filtering.by_relations(
        models.Task.references, "The counterparts in other systems."
    )
    project: ProjectFilter | None = filtering.by_relation(
        models.Task.project, "The project. `isNull: true` selects personal tasks."
    )
    owner: UserFilter | None = filtering.by_relation(models.Task.owner, "The owner.")
    assignee: UserFilter | None = filtering.by_relation(
        models.Task.assignee, "The assignee. `isNull: true` selects unassigned tasks."
    )
    parent: TaskFilter | None = filtering.by_relation(
        models.Task.parent, "The parent task. `isNull: true` selects tasks without a parent."
    )
    subtasks: TaskListFilter | None = filtering.by_relations(
        models.Task.subtasks, "The direct subtasks."
    )
    shares: TaskShareListFilter | None = filtering.by_relations(
        models.Task.shares, "The shares that you can see."
    )
    comments: CommentListFilter | None = filtering.by_relations(
        models.Task.comments, "The comments."
    )
    attachments: AttachmentListFilter | None = filtering.by_relations(
        models.Task.attachments, "The attachments."
    )
    time_entries: _TimeEntryListFilter | None = filtering.by_relations(
        models.Task.time_entries, "The time entries that you can see."
    )
    completed_at: DateTimeFilter | None = filtering.by(
        models.Task.completed_at, "When the task was completed.", order="completion time"
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.Task.created_at, "When the task was created.", order="creation time"
    )
    updated_at: DateTimeFilter | None = filtering.by(
        models.Task.updated_at, "When the task last changed.", order="the time of the last change"
    )
    search: str | None = filtering.by_search(
        (models.Task.title, models.Task.description, models.Task.notes),
        "Words that must all occur in the title, description or notes. Ignores case and accents.",
    )


@ordering.order_input("Sort key for tasks. Provide exactly one field.", of=TaskFilter)
class TaskOrder:
    position: SortOrder | None = ordering.by(
        models.Task.position, "Sorts by the manual order that `taskMove` sets."
    )
    comment_count: SortOrder | None = ordering.by_counter(
        "comment_count", models.TaskCounters.comments, "Sorts by the number of comments."
    )
    attachment_count: SortOrder | None = ordering.by_counter(
        "attachment_count", models.TaskCounters.attachments, "Sorts by the number of attachments."
    )
    owner: UserOrder | None = ordering.by_relation(models.Task.owner, "Sorts by owner.")
    assignee: UserOrder | None = ordering.by_relation(models.Task.assignee, "Sorts by assignee.")
    project: ProjectOrder | None = ordering.by_relation(models.Task.project, "Sorts by project.")


ESTIMATE = "The estimated effort, up to 60,000,000 seconds (694 days)."


@strawberry.input(one_of=True, description="When a task is due. Provide exactly one field.")
class TaskDueInput:
    """A time or a day; see `due_of`."""

    at: dt.datetime | None = optional("A time.")
    on: dt.date | None = optional("A whole day in your time zone, at whose end the task is due.")


def due_of(data: NewTaskFields | TaskChanges) -> dict[str, Any]:
    """The columns that the field `due` of an input sets."""
    due = data.due
    if due is None or due is strawberry.UNSET:
        return {}
    if isinstance(due, Some):
        due = due.value
    if due is None:
        return {"due_at": None}
    on = given(due.on)
    return {"due_at": given(due.at)} if on is None else {"due_on": on}


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
    due: TaskDueInput | None = optional("When the task is due.")
    start_at: dt.datetime | None = optional("The earliest time to start work.")
    estimate: Seconds | None = optional(ESTIMATE)
    tags: list[str] | None = optional(
        "Up to 20 tags of 1 to 50 characters each. Duplicates are removed."
    )
    external_references: list[ExternalReferenceInput] | None = optional(
        "The task's counterparts in other systems, at most 20. If another task of the project, or "
        "of your personal tasks, has one of them, the mutation fails with `ALREADY_EXISTS` and "
        "returns that task, so that an import can be repeated. Only members of the project can "
        "add them, and the owner of personal tasks."
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
    due: strawberry.Maybe[TaskDueInput | None] = change(
        "When the task is due. Null removes the due date."
    )
    start_at: strawberry.Maybe[dt.datetime | None] = change("The earliest time to start work.")
    estimate: strawberry.Maybe[Seconds | None] = change(ESTIMATE)
    tags: strawberry.Maybe[list[str] | None] = change(
        "All tags of the task: up to 20 of 1 to 50 characters each."
    )
    external_references: strawberry.Maybe[list[ExternalReferenceInput] | None] = change(
        "All of the task's counterparts in other systems, at most 20; null removes them. Fails "
        "with `ALREADY_EXISTS` if another task of the project, or of the owner's personal tasks, "
        "has one of them. Only members of the project can add them, and the owner of personal "
        "tasks; everyone who can edit the task can remove them."
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


described_enum(
    ListEdge,
    "An end of a list.",
    {ListEdge.START: "Before all others.", ListEdge.END: "After all others."},
)


@strawberry.input(
    one_of=True,
    description="A position in the manual order of a project's tasks, or of your personal tasks. "
    "Provide exactly one field.",
)
class TaskPlacementInput:
    """See `domain.tasks.placement.Place`."""

    before: strawberry.ID | None = optional(
        "The ID or identifier of the task to place it directly before."
    )
    after: strawberry.ID | None = optional(
        "The ID or identifier of the task to place it directly after."
    )
    edge: ListEdge | None = optional("The start or the end of the list.")


@strawberry.input(
    description="Input for `taskMove`. Provide at least one of `place`, `status`, `projectId`, "
    "`parentId` and `assigneeId`; omitted fields stay unchanged."
)
class TaskMoveInput(UpdateInput):
    """See `domain.tasks.moving.move`."""

    id: strawberry.ID = required("The task's ID or identifier.")
    place: TaskPlacementInput | None = optional(
        "The position in the manual order. Omitted, the task keeps its position, or goes to the "
        "end of another project."
    )
    status: strawberry.Maybe[TaskStatus | None] = change("The new status.")
    project_id: strawberry.Maybe[strawberry.ID | None] = change(
        "The ID or key of the project to move the task to. You need the role EDITOR or higher in "
        "both projects or, for a personal task, must be its owner. Null moves your own task out "
        "of its project and makes it personal."
    )
    parent_id: strawberry.Maybe[strawberry.ID | None] = change(
        "The ID or identifier of the new parent, in the same project as the task will be. Null "
        "removes the parent; so does a move to another project. If the change would give anyone "
        "new rights on the task or its subtasks, you need permission to share them."
    )
    assignee_id: strawberry.Maybe[strawberry.ID | None] = change(
        "The new assignee: an ID, or a username such as @ada. Null removes the assignee. To assign "
        "a user who cannot yet see the task or one of its subtasks, you need permission to share "
        "it."
    )
    time_entries: EntriesOfMoved = strawberry.field(
        default=EntriesOfMoved.MOVE,
        description="What happens to the time entries of the task and its subtasks, including "
        "those of other users, when the project changes. With MOVE, the mutation "
        "fails with `TIME_LOCKED` if an entry is in a locked period of either project, "
        "and with `TIME_OVERLAP` if the new project does not allow the overlaps that "
        "would result.",
    )
