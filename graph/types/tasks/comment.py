"""Comments in the schema.

`Task.comments` lists all comments of a task by time, replies included; each knows its `parent`. To
show threads, a client asks for the comments without a parent (`filter: {parent: {isNull: true}}`)
and for their `replies`.
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
from db.statements import Statement
from domain import markdown
from domain.markdown import Rendered
from domain.tasks import comment as domain
from domain.work import Work
from graph.core import ids
from graph.core.fields import BatchInfo, batch, column, derived
from graph.core.inputs import given
from graph.core.node import Node, expression, node_id, node_type, permission_field
from graph.core.pages import comment_page
from graph.core.scalars import HTML, URL, Markdown
from graph.kit import ordering, paging
from graph.kit.commands import arguments_of
from graph.kit.loading import by_id, load_objects, to_one
from graph.kit.mutation import MutationPayload, Refs, mutation, payload, ref, shared_payload, value
from graph.kit.ordering import Key
from graph.types.accounts.user import User
from graph.types.tasks.comment_inputs import (
    CommentCreateInput,
    CommentDeleteInput,
    CommentFilter,
    CommentOrder,
    CommentUpdateInput,
    reply_count,
)

if TYPE_CHECKING:
    from graph.types.tasks.task import Task

_Task = Annotated["Task", strawberry.lazy("graph.types.tasks.task")]

OLDEST_FIRST = (Key(ordering.source(models.Comment.created_at)),)


async def _rendered(parents: Sequence[Any], info: BatchInfo) -> dict[UUID, Rendered]:
    """Renders comments whose stored rendering is missing or of an older renderer; by the comment's
    id.
    """
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


@node_type(models.CommentRevision, "An earlier text of an edited comment.")
class CommentRevision(Node):
    id: strawberry.ID = node_id(models.CommentRevision)
    body: Markdown = column("The earlier text.")
    written_at: dt.datetime = column("When this text was written, in UTC.")
    replaced_at: dt.datetime = column("When this text was replaced, in UTC.")


@paging.connection_type(
    "A page of earlier texts of a comment.",
    edge="An earlier text of a comment in a list, with its cursor.",
)
class CommentRevisionConnection:
    node: CommentRevision


async def _urls(parents: Sequence[Any], info: BatchInfo) -> list[str]:
    frontend_url = info.context.services.settings.server.frontend_url
    return [comment_page(frontend_url, parent.task_id, parent.id) for parent in parents]


@node_type(models.Comment, "A comment on a task, or a reply to such a comment.")
class Comment(Node):
    id: strawberry.ID = node_id(models.Comment)
    body: Markdown = column("The text, 1 to 10,000 characters. Empty if the comment was deleted.")
    body_html: HTML = batch(
        _html,
        "The text as HTML that is safe to insert into a page: without scripts, event attributes "
        "and images, and with links to http, https and mailto only. Tables are not rendered if "
        f"they have more than {markdown.MOST_CELLS:,} cells together; bare links are not rendered "
        f"if a word of the text is longer than {markdown.LONGEST_WORD:,} characters.",
        requires=("id", "body", "body_html", "rendered_version"),
    )
    body_text: str = batch(
        _text,
        "The text without formatting, one line per block, for previews. It is not escaped for "
        "HTML.",
        requires=("id", "body", "body_text", "rendered_version"),
    )
    url: URL = batch(
        _urls,
        "The comment in the web application, on the page of its task.",
        requires=("id", "task_id"),
    )
    is_deleted: bool = derived(
        (models.Comment.removed_at,),
        lambda comment: comment.removed_at is not None,
        "Whether the comment was deleted and remains only as a placeholder for its replies.",
    )
    author: User | None = to_one(
        models.Comment.author, "The comment's author. Null if the account was deleted."
    )
    task: _Task | None = to_one(models.Comment.task, "The task that the comment is on.")
    parent: Comment | None = to_one(
        models.Comment.parent,
        "The comment that this one replies to. Null for a comment that starts a thread.",
    )
    replies: CommentConnection = paging.to_many(
        models.Comment.replies,
        "The replies to the comment, oldest first by default.",
        filter_type=CommentFilter,
        order_type=CommentOrder,
        default_order=OLDEST_FIRST,
    )
    reply_count: int = expression(
        models.Comment, "reply_count", reply_count, "The number of replies to the comment."
    )
    mentions: list[User] = batch(
        _mentions,
        "The users mentioned as `@username` who could see the task when the text was written, "
        "ordered by username.",
        requires=("id",),
    )
    edited_at: dt.datetime | None = column(
        "When the author last edited the comment, in UTC. Null if it was never edited."
    )
    revisions: CommentRevisionConnection = paging.to_many(
        models.Comment.revisions,
        "The comment's earlier texts, one per edit, newest first. Deleting the comment deletes "
        "them.",
        default_order=(Key(ordering.source(models.CommentRevision.replaced_at), descending=True),),
    )
    viewer_can_edit: bool = permission_field(
        models.Comment,
        "viewer_can_edit",
        access.edit,
        "Whether you can edit the comment.",
    )
    viewer_can_delete: bool = permission_field(
        models.Comment,
        "viewer_can_delete",
        access.delete,
        "Whether you can delete the comment.",
    )
    created_at: dt.datetime = column("When the comment was created, in UTC.")
    updated_at: dt.datetime = column("When the comment last changed, in UTC.")
    version: int = column("Increases with each change. Send it as `ifVersion` to detect conflicts.")


@paging.connection_type("A page of comments.", edge="A comment in a list, with its cursor.")
class CommentConnection:
    node: Comment


# --- queries -------------------------------------------------------------------------------------


@strawberry.type
class CommentQuery:
    comment: Comment | None = by_id(
        models.Comment,
        "The comment's ID.",
        "Returns one comment by ID. Null with `NOT_FOUND` if it does not exist or you "
        "cannot see it.",
    )


# --- mutations -----------------------------------------------------------------------------------


@shared_payload("`comment` is the current comment.")
class _CommentPayload(MutationPayload):
    comment: Comment | None = ref(models.Comment, "The comment. Null if the mutation failed.")


@payload("Payload of `commentDelete`.")
class CommentDeletePayload(MutationPayload):
    """A deleted comment can be read only if it remains as a placeholder."""

    deleted_id: strawberry.ID | None = value("deleted_id", "The deleted comment's ID.")
    comment: Comment | None = ref(
        models.Comment,
        "The placeholder that remains if the comment has replies; the current comment on "
        "`CONFLICT`; otherwise null.",
    )
    task: _Task | None = ref(models.Task, "The task that the comment was on.", "task")


_new = arguments_of(
    CommentCreateInput,
    domain.create,
    ids={"id": models.Comment, "task_id": models.Task, "parent_id": models.Comment},
)


async def _create(work: Work, data: CommentCreateInput) -> Refs:
    return {"comment": (await domain.create(work, **_new(data))).id}


async def _update(work: Work, data: CommentUpdateInput) -> Refs:
    comment_id = ids.decode(models.Comment, data.id, ("id",))
    comment = await domain.update(work, comment_id, data.body, given(data.if_version))
    return {"comment": comment.id}


async def _delete(work: Work, data: CommentDeleteInput) -> Refs:
    comment, stays = await domain.delete(
        work, ids.decode(models.Comment, data.id, ("id",)), given(data.if_version)
    )
    return {
        "deleted_id": ids.encode(models.Comment, comment.id),
        "comment": comment.id if stays else None,
        "task": comment.task_id,
    }


@strawberry.type
class CommentMutation:
    comment_create: _CommentPayload = mutation(
        _create,
        CommentCreateInput,
        "Adds a comment to a task that you can see, or replies to a comment. Fails with "
        "`PROJECT_ARCHIVED` if the task's project is archived.",
    )
    comment_update: _CommentPayload = mutation(
        _update,
        CommentUpdateInput,
        "Updates your comment. Its earlier text is kept in `revisions`.",
    )
    comment_delete: CommentDeletePayload = mutation(
        _delete,
        CommentDeleteInput,
        "Deletes your comment, or any comment on a task that you own, with its earlier texts. If "
        "it has replies, a placeholder without text remains until the last reply is deleted.",
    )
