"""Comments: writing, editing with history, deleting with a placeholder where answers hang on it.

The log tells that a comment was written, edited or deleted and who is mentioned, but not its words:
those live in the comment and its revisions alone, so that deleting a comment really takes them out.
"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from sqlalchemy import delete as delete_from
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from auth import access
from db.models import Comment, CommentMention, CommentRevision, Task
from domain import locks, markdown, rules, sight
from domain.share import demand_open_task
from domain.work import Work
from errors import BadInput, ErrorCode, Failure, NotFound
from events.kinds import EventKind

MAX_MENTIONS = 50


async def create(
    work: Work, task_id: UUID, body: str, *, parent_id: UUID | None = None, id_: UUID | None = None
) -> Comment:
    """Write a comment on a task, or an answer to one of its comments."""
    text, names = await _checked(body)
    await locks.lock_tasks(work, [task_id])
    task = await work.readable(Task, task_id, path=("task_id",))
    await demand_open_task(work, task, ("task_id",))
    parent = await _thread(work, task, parent_id)
    if id_ is not None and await work.session.get(Comment, id_) is not None:
        raise rules.taken("id", ("id",))
    comment = Comment(
        id=id_ or work.new_id(),
        task_id=task.id,
        author_id=work.viewer.require(),
        parent_id=parent.id if parent else None,
        body=text,
        created_at=work.now,
        updated_at=work.now,
    )
    work.session.add(comment)
    await work.session.flush()
    mentioned = await _mention(work, comment, names)
    changes: list[tuple[str, Any, Any]] = []
    if parent is not None:
        changes.append(("parent", None, parent.id))
    if mentioned:
        changes.append(("mentions", [], mentioned))
    _record(work, EventKind.COMMENT_CREATED, comment, task, changes)
    await work.session.flush()
    return comment


async def update(work: Work, comment_id: UUID, body: str, if_version: int | None) -> Comment:
    """Change one's own text; the one before stays readable in the history."""
    text, names = await _checked(body)
    comment, task = await _locked(work, comment_id)
    await work.demand(comment, access.edit, "change")
    before = comment.body
    written_at = comment.edited_at or comment.created_at
    changed = work.apply(comment, {"body": text}, if_version=if_version, ref="comment")
    if not changed:
        return comment
    comment.edited_at = work.now
    work.session.add(
        CommentRevision(
            id=work.new_id(),
            comment_id=comment.id,
            body=before,
            written_at=written_at,
            replaced_at=work.now,
        )
    )
    old = sorted(await _mentions(work, comment))
    await work.session.execute(
        delete_from(CommentMention).where(CommentMention.comment_id == comment.id)
    )
    new = await _mention(work, comment, names)
    changes: list[tuple[str, Any, Any]] = [("edited_at", None, work.now)]
    if old != new:
        changes.append(("mentions", old, new))
    _record(work, EventKind.COMMENT_UPDATED, comment, task, changes)
    await work.session.flush()
    return comment


async def delete(work: Work, comment_id: UUID) -> tuple[Comment, bool]:
    """Delete a comment, its history and its mentions; whether a placeholder stays for its answers.

    The placeholder goes with the last answer.
    """
    comment, task = await _locked(work, comment_id)
    await work.demand(comment, access.delete, "delete")
    stays = await _has_replies(work, comment.id)
    if stays:
        work.apply(comment, {"body": "", "removed_at": work.now})
        for part in (CommentRevision, CommentMention):
            await work.session.execute(delete_from(part).where(part.comment_id == comment.id))
    else:
        parent_id = comment.parent_id
        await work.session.delete(comment)
        await work.session.flush()
        if parent_id is not None:
            await _drop_empty_placeholder(work, parent_id)
    _record(work, EventKind.COMMENT_DELETED, comment, task, [("deleted_at", None, work.now)])
    await work.session.flush()
    return comment, stays


async def _checked(body: str) -> tuple[str, list[str]]:
    """The text by its rule, and the usernames in it."""
    text = rules.text(body, ("body",), least=1, most=10_000, multiline=True)
    if "@" not in text:
        return text, []
    # A long text of brackets keeps the parser busy for some hundred milliseconds.
    names = await asyncio.to_thread(markdown.mentioned, text)
    if len(names) > MAX_MENTIONS:
        raise Failure(
            f"A comment may mention at most {MAX_MENTIONS} people; this one names {len(names)}.",
            path=("body",),
            code=ErrorCode.LIMIT_EXCEEDED,
        )
    return text, names


async def _locked(work: Work, comment_id: UUID) -> tuple[Comment, Task]:
    """The comment, locked, and its task."""
    found = await work.readable(Comment, comment_id)
    await locks.lock_tasks(work, [found.task_id])
    if found.parent_id is not None:
        # An answer and its thread are always locked in this order: first the thread.
        await work.session.scalar(
            select(Comment.id).where(Comment.id == found.parent_id).with_for_update()
        )
    comment = await work.readable(Comment, comment_id, lock=True)
    task = await work.session.get_one(Task, comment.task_id)
    if comment.removed_at is not None:
        raise NotFound("comment", path=("id",))
    return comment, task


async def _thread(work: Work, task: Task, parent_id: UUID | None) -> Comment | None:
    """The comment that is answered, locked, so that it cannot be deleted meanwhile."""
    if parent_id is None:
        return None
    path = ("parent_id",)
    parent = await work.readable(Comment, parent_id, lock=True, path=path)
    if parent.task_id != task.id:
        raise BadInput("The comment that is answered is on another task.", path=path)
    if parent.parent_id is not None:
        raise BadInput(
            "Threads are one level deep: answer the comment that began the thread.", path=path
        )
    if parent.removed_at is not None:
        raise BadInput("A deleted comment cannot be answered.", path=path)
    return parent


async def _mention(work: Work, comment: Comment, names: list[str]) -> list[UUID]:
    """Keep who is mentioned; their ids, sorted."""
    people = sorted(await sight.viewers_named(work, comment.task_id, names))
    if people:
        await work.session.execute(
            insert(CommentMention),
            [{"comment_id": comment.id, "user_id": person} for person in people],
        )
    return people


async def _mentions(work: Work, comment: Comment) -> list[UUID]:
    found = await work.session.scalars(
        select(CommentMention.user_id).where(CommentMention.comment_id == comment.id)
    )
    return list(found)


async def _has_replies(work: Work, comment_id: UUID) -> bool:
    reply = select(Comment.id).where(Comment.parent_id == comment_id).limit(1)
    return await work.session.scalar(reply) is not None


async def _drop_empty_placeholder(work: Work, comment_id: UUID) -> None:
    parent = await work.session.get_one(Comment, comment_id)
    if parent.removed_at is not None and not await _has_replies(work, comment_id):
        await work.session.delete(parent)


def _record(
    work: Work,
    kind: EventKind,
    comment: Comment,
    task: Task,
    changes: list[tuple[str, Any, Any]],
) -> None:
    work.record(kind, comment, changes, task_id=task.id, project_id=task.project_id)
    work.touched_users.update(
        user for user in (task.owner_id, task.assignee_id) if user is not None
    )
