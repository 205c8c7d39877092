"""Attachments in the schema.

There are two ways in. `attachmentUpload` takes the file in a multipart request. Who wants to show
progress, or go on after a failure, calls `attachmentUploadStart`, sends the bytes by PUT to the
address that it gives, and calls `attachmentUploadFinish`. The way out is `url`: a signed address,
fresh in each answer, that a page can put into a link as it is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry

from auth import access
from db import models
from domain.tasks import attachment as domain
from domain.work import Work
from files.service import Kept
from graph.core import ids
from graph.core.context import Context
from graph.core.fields import BatchInfo, attribute, batch, column
from graph.core.node import Node, expression, node_id, node_type
from graph.kit import ordering, paging, rates
from graph.kit.loading import by_id, to_one
from graph.kit.mutation import Payload, Refs, mutation, payload, ref, value
from graph.kit.ordering import Key
from graph.types.accounts.user import User
from graph.types.tasks.attachment_inputs import (
    AttachmentDeleteInput,
    AttachmentUploadFinishInput,
    AttachmentUploadInput,
    AttachmentUploadStartInput,
)

if TYPE_CHECKING:
    from graph.types.tasks.task import Task

_Task = Annotated["Task", strawberry.lazy("graph.types.tasks.task")]

NEWEST_FIRST = (Key(ordering.source(models.Attachment.created_at), descending=True),)


def file_path(attachment_id: UUID) -> str:
    """The path of an attachment's file (`web.files`)."""
    return f"/files/{ids.encode(models.Attachment, attachment_id)}"


async def _urls(parents: Sequence[Any], info: BatchInfo) -> list[str]:
    sign, now = info.context.services.files.links.sign, info.context.now
    return [sign("GET", file_path(parent.id), now).url for parent in parents]


async def _thumbnail_urls(parents: Sequence[Any], info: BatchInfo) -> list[str | None]:
    sign, now = info.context.services.files.links.sign, info.context.now
    return [
        sign("GET", f"{file_path(parent.id)}/thumbnail", now).url if parent.has_thumbnail else None
        for parent in parents
    ]


@node_type(
    models.Attachment,
    "A file on a task. It never changes; another version of the file is another attachment.",
)
class Attachment(Node):
    """See `db.models.Attachment`."""

    id: strawberry.ID = node_id(models.Attachment)
    task: _Task | None = to_one(models.Attachment.task, "The task that it hangs on.")
    uploader: User | None = to_one(
        models.Attachment.uploader, "Who uploaded it; null if their account was deleted."
    )
    filename: str = column(
        models.Attachment.filename, "The file's name, cleaned; up to 255 characters."
    )
    content_type: str = column(
        models.Attachment.content_type, "The type, found from the bytes: `image/png`."
    )
    size: int = column(models.Attachment.size, "The size in bytes.")
    sha256: str = column(
        models.Attachment.sha256, "The SHA-256 of the bytes, in 64 hexadecimal digits."
    )
    url: str = batch(
        _urls,
        "A signed address of the file, for GET by anybody who has it, for four to five minutes. "
        "Without the signature the same address serves those who may see the task "
        "(`Authorization: Bearer`).",
        requires=("id",),
    )
    thumbnail_url: str | None = batch(
        _thumbnail_urls,
        "The same for a WebP of at most 320 by 320 pixels; null where the file is no image.",
        requires=("id", "has_thumbnail"),
    )
    viewer_can_delete: bool = expression(
        models.Attachment,
        "viewer_can_delete",
        access.delete,
        "Whether you may delete it.",
    )
    created_at: dt.datetime = column(models.Attachment.created_at, "When it was attached.")


@paging.connection_type("A page of attachments.", edge="An attachment in a list.")
class AttachmentConnection:
    """Relay connection."""

    node: Attachment


# --- queries -------------------------------------------------------------------------------------


@strawberry.type
class AttachmentQuery:
    """Root fields."""

    attachment: Attachment | None = by_id(
        models.Attachment,
        "The attachment's id.",
        "One attachment by id; null with `NOT_FOUND` if there is none for you.",
    )


# --- payloads ------------------------------------------------------------------------------------


@strawberry.type(description="A place for a file that is still to be sent.")
class AttachmentUploadTarget:
    """See `domain.tasks.attachment.start`."""

    id: strawberry.ID = attribute("The upload's id, for `attachmentUploadFinish`.")
    url: str = attribute(
        "Send the file here, by PUT, its bytes as the body. 204: it has arrived. Anything else "
        "says why not, as JSON, and the file can be sent again."
    )
    expires_at: dt.datetime = attribute("By when the sending must have begun.")


async def _targets(parents: Sequence[Any], info: BatchInfo) -> list[AttachmentUploadTarget | None]:
    links, now = info.context.services.files.links, info.context.now
    targets: list[AttachmentUploadTarget | None] = []
    for parent in parents:
        upload_id = parent.refs.get("upload_id")
        if upload_id is None:
            targets.append(None)
            continue
        link = links.sign("PUT", f"/files/uploads/{upload_id}", now)
        targets.append(
            AttachmentUploadTarget(id=upload_id, url=link.url, expires_at=link.expires_at)
        )
    return targets


@strawberry.type
class _AttachmentPayload(Payload):
    attachment: Attachment | None = ref(
        models.Attachment, "The attachment; null if nothing was done."
    )


@payload("The new attachment.")
class AttachmentUploadPayload(_AttachmentPayload):
    """`attachmentUpload`."""


@payload("Where to send the file.")
class AttachmentUploadStartPayload(Payload):
    """`attachmentUploadStart`."""

    upload: AttachmentUploadTarget | None = batch(
        _targets, "Where the file is to be sent; null if nothing was done."
    )


@payload("The new attachment.")
class AttachmentUploadFinishPayload(_AttachmentPayload):
    """`attachmentUploadFinish`."""


@payload("What was deleted.")
class AttachmentDeletePayload(Payload):
    """A deleted attachment cannot be read any more."""

    deleted_id: strawberry.ID | None = value("deleted_id", "The id of the attachment.")
    task: _Task | None = ref(models.Task, "The task.", "task")


# --- mutations -----------------------------------------------------------------------------------


def _staged(context: Context, data: AttachmentUploadInput) -> AbstractAsyncContextManager[Kept]:
    task_id = ids.decode(models.Task, data.task_id, ("task_id",))
    return domain.staged(context.transact, context.services.files, task_id, data.file)


async def _upload(kept: Kept, work: Work, data: AttachmentUploadInput) -> Refs:
    attachment = await domain.create(
        work,
        kept,
        ids.decode(models.Task, data.task_id, ("task_id",)),
        id_=ids.decode_new(models.Attachment, data.id, ("id",)),
    )
    return {"attachment": attachment.id}


async def _start(context: Context, work: Work, data: AttachmentUploadStartInput) -> Refs:
    task_id = ids.decode(models.Task, data.task_id, ("task_id",))
    upload = await domain.start(work, context.services.files, task_id, data.filename, data.size)
    return {"upload_id": ids.encode(models.StoredFile, upload.id)}


async def _finish(work: Work, data: AttachmentUploadFinishInput) -> Refs:
    attachment = await domain.finish(
        work,
        ids.decode(models.StoredFile, data.upload_id, ("upload_id",)),
        id_=ids.decode_new(models.Attachment, data.id, ("id",)),
    )
    return {"attachment": attachment.id}


async def _delete(context: Context, work: Work, data: AttachmentDeleteInput) -> Refs:
    attachment_id = ids.decode(models.Attachment, data.id, ("id",))
    gone = await domain.delete(work, context.services.files, attachment_id)
    return {"deleted_id": ids.encode(models.Attachment, gone.id), "task": gone.task_id}


@strawberry.type
class AttachmentMutation:
    """Root fields."""

    attachment_upload: AttachmentUploadPayload = mutation(
        _upload,
        AttachmentUploadInput,
        "Attach a file to a task that you may change, by a multipart request "
        "(https://github.com/jaydenseric/graphql-multipart-request-spec) with the header "
        "`Apollo-Require-Preflight`, `X-Apollo-Operation-Name` or `X-Taskloom-Preflight`.",
        around=_staged,
        limit=rates.upload,
    )
    attachment_upload_start: AttachmentUploadStartPayload = mutation(
        _start,
        AttachmentUploadStartInput,
        "Ask for an address to which a file can be sent by itself, which lets a page show how far "
        "it is. Within an hour, `attachmentUploadFinish` attaches it.",
        in_context=True,
        limit=rates.upload,
    )
    attachment_upload_finish: AttachmentUploadFinishPayload = mutation(
        _finish,
        AttachmentUploadFinishInput,
        "Attach the file that was sent. `UPLOAD_INCOMPLETE` while it was not. Safe to repeat.",
    )
    attachment_delete: AttachmentDeletePayload = mutation(
        _delete,
        AttachmentDeleteInput,
        "Take a file off its task for good, for whoever may change the task.",
        in_context=True,
    )
