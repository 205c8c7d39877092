"""Filters and orderings of comments, and the inputs of their mutations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from auth.viewer import Viewer
from db import models
from graph.core.inputs import MutationInput, UpdateInput, new_id, optional, required
from graph.core.scalars import Markdown
from graph.kit import filtering, ordering
from graph.kit.comparators import DateTimeFilter, IDFilter, StringFilter
from graph.types.accounts.user import UserFilter, UserOrder

if TYPE_CHECKING:
    from graph.types.tasks.task_inputs import TaskFilter

_TaskFilter = Annotated["TaskFilter", strawberry.lazy("graph.types.tasks.task_inputs")]


def reply_count(_: Viewer, comment: Any) -> Any:
    """The number of replies to a comment. Users who see the comment see all of them."""
    reply = aliased(models.Comment)
    return (
        select(func.count())
        .select_from(reply)
        .where(reply.parent_id == comment.id, reply.removed_at.is_(None))
        .scalar_subquery()
    )


@filtering.filter_input("Filter for comments.")
class CommentFilter:
    is_null: bool | None = filtering.by_absence("comment")
    id: IDFilter | None = filtering.by_id(models.Comment.id, models.Comment, "The comment's ID.")
    body: StringFilter | None = filtering.by(models.Comment.body, "The Markdown text.")
    author: UserFilter | None = filtering.by_relation(models.Comment.author, "The author.")
    task: _TaskFilter | None = filtering.by_relation(models.Comment.task, "The task.")
    parent: CommentFilter | None = filtering.by_relation(
        models.Comment.parent,
        "The comment that it replies to. `isNull: true` selects comments that start a thread.",
    )
    is_deleted: bool | None = filtering.by_condition(
        lambda _, comment: comment.removed_at.is_not(None),
        "Whether the comment was deleted and remains only as a placeholder for its replies.",
    )
    edited_at: DateTimeFilter | None = filtering.by(
        models.Comment.edited_at,
        "When the author last edited the comment. `isNull: true` "
        "selects comments that were never edited.",
        order="the time of the last edit",
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.Comment.created_at, "When the comment was created.", order="creation time"
    )
    updated_at: DateTimeFilter | None = filtering.by(
        models.Comment.updated_at,
        "When the comment last changed.",
        order="the time of the last change",
    )
    search: str | None = filtering.by_search(
        (models.Comment.body,),
        "Words that must all occur in the text. Ignores case and accents.",
    )


@filtering.list_filter("Filter for a task's comments.", noun="comment")
class CommentListFilter:
    of: CommentFilter


@ordering.order_input("Sort key for comments. Provide exactly one field.", of=CommentFilter)
class CommentOrder:
    author: UserOrder | None = ordering.by_relation(models.Comment.author, "Sorts by author.")


@strawberry.input(description="Input for `commentCreate`.")
class CommentCreateInput(MutationInput):
    """See `domain.tasks.comment.create`."""

    task_id: strawberry.ID = required("The task's ID or identifier.")
    body: Markdown = required("The text, 1 to 10,000 characters. `@username` mentions a user.")
    parent_id: strawberry.ID | None = optional(
        "The ID of the comment to reply to. It must start a thread on the same task."
    )
    id: strawberry.ID | None = new_id("comment")


@strawberry.input(description="Input for `commentUpdate`.")
class CommentUpdateInput(UpdateInput):
    """See `domain.tasks.comment.update`."""

    id: strawberry.ID = required("The comment's ID.")
    body: Markdown = required("The new text, 1 to 10,000 characters.")


@strawberry.input(description="Input for `commentDelete`.")
class CommentDeleteInput(UpdateInput):
    """See `domain.tasks.comment.delete`."""

    id: strawberry.ID = required("The comment's ID.")
