"""Comments: create, edit with history, delete with a placeholder if they have replies.

The log says that a comment was created, edited or deleted and who is mentioned, but not its words:
those are only in the comment and its revisions, so that deleting a comment really removes them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy import delete as delete_from
from sqlalchemy import update as update_of
from sqlalchemy.dialects.postgresql import insert

from auth import access
from db.engine import Database
from db.models import Comment, CommentMention, CommentRevision, Task
from domain import locks, markdown, rules
from domain.markdown import Rendered
from domain.tasks import visibility
from domain.tasks.share import demand_open_task
from domain.work import Work
from errors import BadInput, ErrorCode, Failure, NotFound
from events.kinds import EventKind

log = logging.getLogger("taskloom.comments")

MAX_MENTIONS = 50
# How often renderings made for a reader are stored at least.
_KEEP_SECONDS = 0.5
_COMMENTS: Any = Comment.__table__
_KEEP = update_of(_COMMENTS).where(
    _COMMENTS.c.id == bindparam("of_id"), _COMMENTS.c.body == bindparam("of_body")
)


async def create(
    work: Work, task_id: UUID, body: str, *, parent_id: UUID | None = None, id_: UUID | None = None
) -> Comment:
    """Comment on a task, or reply to one of its comments."""
    text, rendered = await _checked(body)
    await locks.lock_tasks(work, [task_id])
    task = await work.readable(Task, task_id, path=("task_id",))
    await demand_open_task(work, task, ("task_id",))
    parent = await _thread(work, task, parent_id)
    await work.demand_free(Comment, id_)
    comment = Comment(
        id=id_ or work.new_id(),
        task_id=task.id,
        author_id=work.viewer.require(),
        parent_id=parent.id if parent else None,
        body=text,
        **_kept(rendered),
        created_at=work.now,
        updated_at=work.now,
    )
    work.session.add(comment)
    await work.session.flush()
    mentioned = await _mention(work, comment, rendered.mentioned)
    changes: list[tuple[str, Any, Any]] = []
    if parent is not None:
        changes.append(("parent", None, parent.id))
    if mentioned:
        changes.append(("mentions", [], mentioned))
    _record(work, EventKind.COMMENT_CREATED, comment, task, changes)
    await work.session.flush()
    return comment


async def update(work: Work, comment_id: UUID, body: str, if_version: int | None) -> Comment:
    """Change one's own text; the previous one stays readable in the history."""
    text, rendered = await _checked(body)
    comment, task = await _locked(work, comment_id)
    await work.demand(comment, access.edit, "change")
    before = comment.body
    written_at = comment.edited_at or comment.created_at
    changed = work.apply(comment, {"body": text}, if_version=if_version, ref="comment")
    if not changed:
        return comment
    _set(comment, rendered)
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
    new = await _mention(work, comment, rendered.mentioned)
    changes: list[tuple[str, Any, Any]] = [("edited_at", None, work.now)]
    if old != new:
        changes.append(("mentions", old, new))
    _record(work, EventKind.COMMENT_UPDATED, comment, task, changes)
    await work.session.flush()
    return comment


async def delete(
    work: Work, comment_id: UUID, if_version: int | None = None
) -> tuple[Comment, bool]:
    """Delete a comment, its history and its mentions; returns whether a placeholder stays for its
    replies.

    The placeholder is deleted with the last reply.
    """
    comment, task = await _locked(work, comment_id)
    await work.demand(comment, access.delete, "delete")
    work.check_version(comment, if_version, fields=[], ref="comment")
    stays = await _has_replies(work, comment.id)
    if stays:
        work.apply(comment, {"body": "", "removed_at": work.now})
        _set(comment, markdown.NOTHING)
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


async def rendered_again(database: Database, comments: Sequence[Any]) -> list[Rendered]:
    """What readers see of comments (rows with `id` and `body`) that are not rendered yet, or were
    by another version. Renderings are stored as they are made, and not only at the end: if the
    reader is cut off, the next one has less to wait for.
    """
    loop = asyncio.get_running_loop()
    made: list[Rendered] = []
    kept, since = 0, loop.time()
    for index, comment in enumerate(comments, 1):
        made.append(await markdown.rendered(comment.body))
        if index == len(comments) or loop.time() - since > _KEEP_SECONDS:
            await _keep(database, comments[kept:index], made[kept:index])
            kept, since = index, loop.time()
    return made


async def _keep(database: Database, comments: Sequence[Any], made: Sequence[Rendered]) -> None:
    values = [
        {"of_id": comment.id, "of_body": comment.body, **_kept(rendered)}
        for comment, rendered in zip(comments, made, strict=True)
    ]
    # In one order, so that two readers never wait for each other.
    values.sort(key=lambda row: row["of_id"])
    try:
        async with database.session() as session:
            await session.execute(_KEEP, values)
            await session.commit()
    except Exception as error:  # noqa: BLE001 - the reader has what was requested
        log.warning("rendered comments could not be stored: %s", type(error).__name__)


def _kept(rendered: Rendered) -> dict[str, Any]:
    return {
        "body_html": rendered.html,
        "body_text": rendered.text,
        "rendered_version": markdown.VERSION,
    }


def _set(comment: Comment, rendered: Rendered) -> None:
    for name, value in _kept(rendered).items():
        setattr(comment, name, value)


async def _checked(body: str) -> tuple[str, Rendered]:
    """The validated text, and what readers see of it."""
    text = rules.text(body, ("body",), least=1, most=10_000, multiline=True)
    rendered = await markdown.rendered(text)
    count = len(rendered.mentioned)
    if count > MAX_MENTIONS:
        raise Failure(
            f"A comment can mention at most {MAX_MENTIONS} users; this one mentions {count}.",
            path=("body",),
            code=ErrorCode.LIMIT_EXCEEDED,
            limit=MAX_MENTIONS,
            actual=count,
        )
    return text, rendered


async def _locked(work: Work, comment_id: UUID) -> tuple[Comment, Task]:
    """The comment, locked, and its task."""
    found = await work.readable(Comment, comment_id)
    await locks.lock_tasks(work, [found.task_id])
    if found.parent_id is not None:
        # A reply and its thread are always locked in this order: the thread first.
        await work.session.scalar(
            select(Comment.id).where(Comment.id == found.parent_id).with_for_update()
        )
    comment = await work.readable(Comment, comment_id, lock=True)
    task = await work.session.get_one(Task, comment.task_id)
    if comment.removed_at is not None:
        raise NotFound("comment", path=("id",))
    return comment, task


async def _thread(work: Work, task: Task, parent_id: UUID | None) -> Comment | None:
    """The comment that is replied to, locked, so that it cannot be deleted meanwhile."""
    if parent_id is None:
        return None
    path = ("parent_id",)
    parent = await work.readable(Comment, parent_id, lock=True, path=path)
    if parent.task_id != task.id:
        raise BadInput("parentId must be a comment on the same task.", path=path)
    if parent.parent_id is not None:
        raise BadInput(
            "Threads are one level deep. Reply to the comment that started the thread.", path=path
        )
    if parent.removed_at is not None:
        raise BadInput("A deleted comment cannot have new replies.", path=path)
    return parent


async def _mention(work: Work, comment: Comment, names: Sequence[str]) -> list[UUID]:
    """Store who is mentioned; returns their ids, sorted."""
    people = sorted(await visibility.viewers_named(work, comment.task_id, names))
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
