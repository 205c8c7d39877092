"""What comments are filtered and ordered by, and what their mutations take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from auth.viewer import Viewer
from db import models
from graph.core.inputs import MutationInput, UpdateInput, new_id, optional, required
from graph.kit import filtering, ordering
from graph.kit.comparators import DateTimeFilter, IDFilter, StringFilter
from graph.kit.ordering import OrderBy
from graph.types.accounts.user import UserFilter, UserOrder

if TYPE_CHECKING:
    from graph.types.tasks.task_inputs import TaskFilter

_TaskFilter = Annotated["TaskFilter", strawberry.lazy("graph.types.tasks.task_inputs")]


def _task_filter() -> Any:
    from graph.types.tasks.task_inputs import TaskFilter

    return TaskFilter


def comment_count(_: Viewer, task: Any) -> Any:
    """How many comments a task has, without placeholders. Who sees the task sees them all."""
    comment = aliased(models.Comment)
    return (
        select(func.count())
        .select_from(comment)
        .where(comment.task_id == task.id, comment.removed_at.is_(None))
        .scalar_subquery()
    )


@filtering.filter_input("Which comments.")
class CommentFilter:
    """Criteria over comments."""

    id: IDFilter | None = filtering.by_id(models.Comment.id, models.Comment, "Id.")
    body: StringFilter | None = filtering.by(models.Comment.body, "The Markdown text.")
    author: UserFilter | None = filtering.by_relation(
        models.Comment.author, lambda: UserFilter, "Who wrote it."
    )
    author_id: IDFilter | None = filtering.by_id(
        models.Comment.author_id, models.User, "The id of who wrote it."
    )
    parent_id: IDFilter | None = filtering.by_id(
        models.Comment.parent_id,
        models.Comment,
        "The id of the comment that it answers; `isNull: true` for those that begin a thread.",
        seen_with_row=True,
    )
    task: _TaskFilter | None = filtering.by_relation(models.Comment.task, _task_filter, "The task.")
    is_deleted: bool | None = filtering.by_condition(
        lambda _, comment: comment.removed_at.is_not(None),
        "Whether it is only a placeholder for its answers.",
    )
    edited_at: DateTimeFilter | None = filtering.by(
        models.Comment.edited_at, "When its author changed it last; `isNull` if never."
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.Comment.created_at, "When it was written."
    )
    search: str | None = filtering.by_search(
        (models.Comment.body,),
        "Words that all occur in the text, without regard to case and accents.",
    )


@filtering.list_filter("Quantifies over comments.")
class CommentListFilter:
    """`some`, `none`, `every`."""

    of: CommentFilter


@ordering.order_input("How to order comments; give one field.")
class CommentOrder:
    """Keys of comments."""

    created_at: OrderBy | None = ordering.by(models.Comment.created_at, "By time of writing.")
    edited_at: OrderBy | None = ordering.by(models.Comment.edited_at, "By time of the last edit.")
    author: UserOrder | None = ordering.by_relation(
        models.Comment.author, lambda: UserOrder, "By author."
    )


@strawberry.input(description="A new comment.")
class CommentCreateInput(MutationInput):
    """See `domain.tasks.comment.create`."""

    task_id: strawberry.ID = required("The task.")
    body: str = required("Markdown, 1 to 10,000 characters; `@username` mentions somebody.")
    parent_id: strawberry.ID | None = optional(
        "The comment that it answers; one that begins a thread, on the same task."
    )
    id: strawberry.ID | None = new_id("comment")


@strawberry.input(description="Another text for a comment.")
class CommentUpdateInput(UpdateInput):
    """See `domain.tasks.comment.update`."""

    id: strawberry.ID = required("The comment.")
    body: str = required("Markdown, 1 to 10,000 characters.")


@strawberry.input(description="The comment to delete.")
class CommentDeleteInput(MutationInput):
    """See `domain.tasks.comment.delete`."""

    id: strawberry.ID = required("The comment.")
