"""Attachments: files on a task, for users who can edit it.

A file arrives in one request (`staged`, then `create`), or in three: `start` returns a URL,
`receive` takes the bytes that are sent there, `finish` attaches them. Either way its bytes are in
the store before the transaction that creates the attachment begins; see `domain.stored_file`.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

from sqlalchemy import or_, select, update

from auth import access
from db.models import Attachment, StoredFile, Task
from domain import rules, stored_file
from domain.work import Transact, Work
from errors import BadInput, Conflict, ErrorCode, Failure, NotFound, check
from events.kinds import EventKind
from files import kinds, names
from files.service import Files, Kept
from files.upload import Upload

log = logging.getLogger("taskloom.files")

MOST_PER_TASK = 200
# After this time, an upload whose bytes began to arrive may be claimed by another request.
_CLAIM = dt.timedelta(minutes=1)


@asynccontextmanager
async def staged(
    transact: Transact, files: Files, task_id: UUID, upload: Upload
) -> AsyncIterator[Kept]:
    """An upload, checked and stored while the block lasts, and kept if it is attached.

    The rights are checked first, so that only users who can attach a file store bytes, and again by
    `create`, in the transaction that counts.
    """
    name, kind = await files.inspect(upload)

    async def reserve(work: Work) -> StoredFile:
        await _editable_task(work, task_id)
        return await stored_file.reserve(work)

    file = await transact(reserve)
    try:
        yield await files.keep(file.id, upload, name, kind)
    except BaseException:
        await stored_file.tidy(_remove_unless_attached(transact, files, file.id))
        raise


async def _remove_unless_attached(transact: Transact, files: Files, file_id: UUID) -> None:
    attached = await transact(partial(_attachment_of, file_id=file_id))
    if attached is None:
        await files.store.remove_soon(file_id)


async def create(work: Work, kept: Kept, task_id: UUID, *, id_: UUID | None = None) -> Attachment:
    """Attach a staged file."""
    task = await _editable_task(work, task_id)
    await work.demand_free(Attachment, id_)
    return await _attach(work, task, kept, id_)


async def start(work: Work, files: Files, task_id: UUID, filename: str, size: int) -> StoredFile:
    """Reserve a file that will be sent in a separate request."""
    _check_size(files, size)
    name = _checked_name(filename)
    task = await _editable_task(work, task_id)
    return await stored_file.reserve(work, task_id=task.id, filename=name, size=size)


@check()
def _check_size(files: Files, size: int) -> None:
    try:
        files.check_size(size)
    except Failure as failure:
        failure.path = ("byte_size",)
        raise


@check("")
def _checked_name(filename: str) -> str:
    try:
        name = names.clean(filename)
        kinds.by_name(name)
    except Failure as failure:
        failure.path = ("filename",)
        raise
    return name


async def receive(transact: Transact, files: Files, upload_id: UUID, upload: Upload) -> None:
    """Check and store the bytes of an upload that was started. They can be sent again until they
    are stored.
    """
    file = await transact(partial(_claimed, upload_id=upload_id))
    try:
        kept = await _keep(files, file, upload)
    except BaseException:
        await stored_file.tidy(_update_claimed(transact, file, claimed_at=None))
        raise
    await _update_claimed(
        transact,
        file,
        content_type=kept.content_type,
        sha256=kept.sha256,
        has_thumbnail=kept.has_thumbnail,
        stored=True,
    )


async def _keep(files: Files, file: StoredFile, upload: Upload) -> Kept:
    if upload.size != file.size and not upload.too_large:
        raise BadInput(
            f"The upload was started for {file.size:,} bytes; {upload.size:,} were sent.",
            path=("byte_size",),
        )
    upload.filename = file.filename or ""
    name, kind = await files.inspect(upload)
    return await files.keep(file.id, upload, name, kind)


async def _update_claimed(
    transact: Transact, file: StoredFile, *, stored: bool = False, **values: object
) -> None:
    """Set columns of an upload, unless another request has begun to send it since."""

    async def write(work: Work) -> None:
        stored_at = {"stored_at": work.now} if stored else {}
        await work.session.execute(
            update(StoredFile)
            .where(StoredFile.id == file.id, StoredFile.claimed_at == file.claimed_at)
            .values(values | stored_at)
        )

    await transact(write)


async def finish(work: Work, upload_id: UUID, *, id_: UUID | None = None) -> Attachment:
    """Attach the uploaded file. Safe to repeat: the attachment is the same."""
    path = ("upload_id",)
    file = await work.session.scalar(
        select(StoredFile)
        .where(
            StoredFile.id == upload_id,
            StoredFile.uploader_id == work.viewer.require(),
            StoredFile.task_id.is_not(None),
        )
        .with_for_update()
    )
    if file is None or file.task_id is None or file.filename is None:
        raise NotFound("upload", path=path)
    try:
        await work.readable(Task, file.task_id, path=path)
    except NotFound:
        # Without access to the task, the error does not reveal that the task was the reason.
        raise NotFound("upload", path=path) from None
    attachment = await _attachment_of(work, file.id)
    if attachment is not None:
        return await work.readable(Attachment, attachment.id, path=path)
    if file.expires_at <= work.now:
        raise NotFound("upload", path=path)
    if file.stored_at is None or file.sha256 is None or file.content_type is None:
        raise Failure(
            "The file has not arrived yet. Send it with PUT to the URL of the upload first.",
            path=path,
            code=ErrorCode.UPLOAD_INCOMPLETE,
        )
    task = await _editable_task(work, file.task_id, path)
    kept = Kept(
        file_id=file.id,
        filename=file.filename,
        content_type=file.content_type,
        size=file.size or 0,
        sha256=file.sha256,
        has_thumbnail=bool(file.has_thumbnail),
    )
    return await _attach(work, task, kept, id_)


async def delete(work: Work, files: Files, attachment_id: UUID) -> Attachment:
    """Delete an attachment permanently."""
    attachment = await work.readable(Attachment, attachment_id, lock=True)
    task = await work.session.get_one(Task, attachment.task_id)
    await work.demand(attachment, access.delete, "delete")
    await work.session.delete(attachment)
    _record(work, EventKind.ATTACHMENT_DELETED, attachment, task)
    await work.session.flush()
    work.after_commit.append(partial(files.store.remove_soon, attachment.file_id))
    return attachment


async def _editable_task(work: Work, task_id: UUID, path: rules.Path = ("task_id",)) -> Task:
    return await work.editable(Task, task_id, path=path)


async def _attachment_of(work: Work, file_id: UUID) -> Attachment | None:
    found: Attachment | None = await work.session.scalar(
        select(Attachment).where(Attachment.file_id == file_id)
    )
    return found


async def _attach(work: Work, task: Task, kept: Kept, id_: UUID | None) -> Attachment:
    # The task's row is locked, so that two uploads do not both get the last free place.
    others = await work.session.scalars(
        select(Attachment.id).where(Attachment.task_id == task.id).limit(MOST_PER_TASK)
    )
    if len(others.all()) == MOST_PER_TASK:
        raise Failure(
            f"A task can have at most {MOST_PER_TASK} attachments. Delete one first.",
            path=("task_id",),
            code=ErrorCode.LIMIT_EXCEEDED,
            limit=MOST_PER_TASK,
            actual=MOST_PER_TASK,
        )
    attachment = Attachment(
        id=id_ or work.new_id(),
        task_id=task.id,
        uploader_id=work.viewer.require(),
        file_id=kept.file_id,
        filename=kept.filename,
        content_type=kept.content_type,
        size=kept.size,
        sha256=kept.sha256,
        has_thumbnail=kept.has_thumbnail,
        created_at=work.now,
    )
    work.session.add(attachment)
    await work.session.flush()
    _record(work, EventKind.ATTACHMENT_CREATED, attachment, task)
    await work.session.flush()
    return attachment


async def _claimed(work: Work, upload_id: UUID) -> StoredFile:
    """The row of an upload whose bytes will follow, claimed against others who send them too."""
    file: StoredFile | None = await work.session.scalar(
        update(StoredFile)
        .where(
            StoredFile.id == upload_id,
            StoredFile.expires_at > work.now,
            StoredFile.task_id.is_not(None),
            StoredFile.stored_at.is_(None),
            or_(
                StoredFile.claimed_at.is_(None),
                StoredFile.claimed_at <= work.now - _CLAIM,
            ),
        )
        .values(claimed_at=work.now)
        .returning(StoredFile)
    )
    if file is not None:
        return file
    present = await work.session.get(StoredFile, upload_id)
    if present is None or present.task_id is None or present.expires_at <= work.now:
        raise NotFound("upload")
    if present.stored_at is not None:
        raise Failure("The file has already arrived.", code=ErrorCode.ALREADY_EXISTS)
    raise Conflict("The file is already being sent by another request.")


def _record(work: Work, kind: EventKind, attachment: Attachment, task: Task) -> None:
    made = kind is EventKind.ATTACHMENT_CREATED
    name = attachment.filename
    change = ("filename", None, name) if made else ("filename", name, None)
    work.record(kind, attachment, [change], task_id=task.id, project_id=task.project_id)
    work.touched_users.update(
        user for user in (task.owner_id, task.assignee_id) if user is not None
    )
