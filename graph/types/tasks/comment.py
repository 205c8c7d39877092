"""Comments in the schema.

`Task.comments` lists all of a task's comments in the order of time, answers among them; each knows
its `parent`. Whoever shows threads asks for those without one (`filter: {parentId: {isNull:
true}}`), and for their `replies`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry
from sqlalchemy import ARRAY, Uuid, bindparam, select
from sqlalchemy.orm import aliased

from auth import access
from auth.viewer import ViewerShape, placeholder_viewer
from db import models
from db.read import Statement
from domain import markdown
from domain.markdown import Rendered
from domain.tasks import comment as domain
from domain.work import Work
from graph.core import ids
from graph.core.fields import BatchInfo, batch, column, derived
from graph.core.inputs import given
from graph.core.node import Node, node_id, node_type, permission_field
from graph.kit import ordering, paging
from graph.kit.loading import by_id, load_objects, to_one
from graph.kit.mutation import Payload, Refs, mutation, payload, ref, value
from graph.kit.ordering import Key
from graph.types.accounts.user import User
from graph.types.tasks.comment_inputs import (
    CommentCreateInput,
    CommentDeleteInput,
    CommentFilter,
    CommentOrder,
    CommentUpdateInput,
)

if TYPE_CHECKING:
    from graph.types.tasks.task import Task

_Task = Annotated["Task", strawberry.lazy("graph.types.tasks.task")]

OLDEST_FIRST = (Key(ordering.source(models.Comment.created_at)),)


async def _rendered(parents: Sequence[Any], info: BatchInfo) -> dict[UUID, Rendered]:
    """What was not kept with its comment, or is of an older renderer; by the comment's id."""
    stale = [parent for parent in parents if parent.rendered_version != markdown.VERSION]
    if not stale:
        return {}
    made = await domain.rendered_again(info.context.services.database, stale)
    return {parent.id: one for parent, one in zip(stale, made, strict=True)}


async def _html(parents: Sequence[Any], info: BatchInfo) -> Sequence[str]:
    made = await _rendered(parents, info)
    return [made[one.id].html if one.id in made else one.body_html for one in parents]


async def _text(parents: Sequence[Any], info: BatchInfo) -> Sequence[str]:
    made = await _rendered(parents, info)
    return [made[one.id].text if one.id in made else one.body_text for one in parents]


@lru_cache(maxsize=8)
def _mentions_statement(shape: ViewerShape) -> Statement:
    viewer = placeholder_viewer(shape)
    mention, user = aliased(models.CommentMention), aliased(models.User)
    comments = bindparam("comments", type_=ARRAY(Uuid()))
    return Statement(
        select(mention.comment_id, mention.user_id)
        .join(user, user.id == mention.user_id)
        .where(mention.comment_id == comments.any_(), access.read(viewer, user))
        .order_by(user.username_key)
    )


async def _mentions(parents: Sequence[Any], info: BatchInfo) -> list[list[Any]]:
    rows = await info.context.services.database.reader.fetch(
        _mentions_statement(info.viewer.shape),
        {**info.viewer.params, "comments": [parent.id for parent in parents]},
    )
    people = await load_objects(info, models.User, [row.user_id for row in rows])
    found: dict[UUID, list[Any]] = {}
    for row, person in zip(rows, people, strict=True):
        if person is not None:
            found.setdefault(row.comment_id, []).append(person)
    return [found.get(parent.id, []) for parent in parents]


@node_type(models.CommentRevision, "A text that a comment had before its author changed it.")
class CommentRevision(Node):
    """See `db.models.CommentRevision`."""

    id: strawberry.ID = node_id(models.CommentRevision)
    body: str = column(models.CommentRevision.body, "The Markdown text of that time.")
    written_at: dt.datetime = column(models.CommentRevision.written_at, "When it was written.")
    replaced_at: dt.datetime = column(
        models.CommentRevision.replaced_at, "When another text took its place."
    )


@paging.connection_type("A page of earlier texts.", edge="An earlier text in a list.")
class CommentRevisionConnection:
    """Relay connection."""

    node: CommentRevision


@node_type(models.Comment, "What somebody says about a task, or answers to such a comment.")
class Comment(Node):
    """See `db.models.Comment`."""

    id: strawberry.ID = node_id(models.Comment)
    body: str = column(
        models.Comment.body,
        "The text in Markdown (CommonMark, tables, strike-through, bare links), 1 to 10,000 "
        "characters; empty where the comment is deleted.",
    )
    body_html: str = batch(
        _html,
        "The text as HTML that may be put into a page as it is: no scripts, no event attributes, "
        "no pictures, links to http, https and mailto only. Tables stay as they "
        f"were written if they have more than {markdown.MOST_CELLS:,} cells together, and bare "
        f"links if the text has a word of more than {markdown.LONGEST_WORD:,} characters.",
        requires=("id", "body", "body_html", "rendered_version"),
    )
    body_text: str = batch(
        _text,
        "The words alone, a line for each block; for previews. Not escaped for HTML.",
        requires=("id", "body", "body_text", "rendered_version"),
    )
    is_deleted: bool = derived(
        (models.Comment.removed_at,),
        lambda comment: comment.removed_at is not None,
        "Whether it was deleted and is only the place that its answers hang on.",
    )
    author: User | None = to_one(
        models.Comment.author, "Who wrote it; null if their account was deleted."
    )
    task: _Task | None = to_one(models.Comment.task, "The task that it is about.")
    parent: Comment | None = to_one(
        models.Comment.parent, "The comment that it answers; null if it begins a thread."
    )
    replies: CommentConnection = paging.to_many(
        models.Comment.replies,
        "The answers to it, oldest first unless ordered otherwise.",
        filter_type=CommentFilter,
        order_type=CommentOrder,
        default_order=OLDEST_FIRST,
    )
    mentions: list[User] = batch(
        _mentions,
        "The people named by `@username` who saw the task when the text was written; by username.",
        requires=("id",),
    )
    edited_at: dt.datetime | None = column(
        models.Comment.edited_at, "When its author changed it last; null if never."
    )
    revisions: CommentRevisionConnection = paging.to_many(
        models.Comment.revisions,
        "What it said before each edit, the newest first. Deleting a comment deletes them.",
        default_order=(Key(ordering.source(models.CommentRevision.replaced_at), descending=True),),
    )
    viewer_can_edit: bool = permission_field(
        models.Comment,
        "viewer_can_edit",
        access.edit,
        "Whether you may change it.",
    )
    viewer_can_delete: bool = permission_field(
        models.Comment,
        "viewer_can_delete",
        access.delete,
        "Whether you may delete it.",
    )
    created_at: dt.datetime = column(models.Comment.created_at, "When it was written.")
    updated_at: dt.datetime = column(models.Comment.updated_at, "When it changed last.")
    version: int = column(models.Comment.version, "Goes up with each change; for `ifVersion`.")


@paging.connection_type("A page of comments.", edge="A comment in a list.")
class CommentConnection:
    """Relay connection."""

    node: Comment


# --- queries -------------------------------------------------------------------------------------


@strawberry.type
class CommentQuery:
    """Root fields."""

    comment: Comment | None = by_id(
        models.Comment,
        "The comment's id.",
        "One comment by id; null with `NOT_FOUND` if there is none for you.",
    )


# --- mutations -----------------------------------------------------------------------------------


@strawberry.type
class _CommentPayload(Payload):
    comment: Comment | None = ref(models.Comment, "The comment; null if nothing was done.")


@payload("The new comment.")
class CommentCreatePayload(_CommentPayload):
    """`commentCreate`."""


@payload("The changed comment; with `CONFLICT`, the comment as it is.")
class CommentUpdatePayload(_CommentPayload):
    """`commentUpdate`."""


@payload("What was deleted.")
class CommentDeletePayload(Payload):
    """A deleted comment can only be read where a placeholder stays."""

    deleted_id: strawberry.ID | None = value("deleted_id", "The id of the comment.")
    comment: Comment | None = ref(
        models.Comment, "The placeholder, where the comment has answers; else null."
    )
    task: _Task | None = ref(models.Task, "The task.", "task")


async def _create(work: Work, data: CommentCreateInput) -> Refs:
    parent_id = given(data.parent_id)
    comment = await domain.create(
        work,
        ids.decode(models.Task, data.task_id, ("task_id",)),
        data.body,
        parent_id=(
            None if parent_id is None else ids.decode(models.Comment, parent_id, ("parent_id",))
        ),
        id_=ids.decode_new(models.Comment, data.id, ("id",)),
    )
    return {"comment": comment.id}


async def _update(work: Work, data: CommentUpdateInput) -> Refs:
    comment_id = ids.decode(models.Comment, data.id, ("id",))
    comment = await domain.update(work, comment_id, data.body, given(data.if_version))
    return {"comment": comment.id}


async def _delete(work: Work, data: CommentDeleteInput) -> Refs:
    comment, stays = await domain.delete(work, ids.decode(models.Comment, data.id, ("id",)))
    return {
        "deleted_id": ids.encode(models.Comment, comment.id),
        "comment": comment.id if stays else None,
        "task": comment.task_id,
    }


@strawberry.type
class CommentMutation:
    """Root fields."""

    comment_create: CommentCreatePayload = mutation(
        _create,
        CommentCreateInput,
        "Comment on a task that you see, or answer a comment. `ARCHIVED` where its project is.",
    )
    comment_update: CommentUpdatePayload = mutation(
        _update, CommentUpdateInput, "Change your comment; its `revisions` keep what it said."
    )
    comment_delete: CommentDeletePayload = mutation(
        _delete,
        CommentDeleteInput,
        "Delete your comment, or any on your task, with its history. Where it has answers a "
        "placeholder without text stays until the last of them goes.",
    )
