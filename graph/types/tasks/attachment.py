"""Attachments in the schema.

There are two ways to upload. `attachmentUpload` takes the file in a multipart request. A client
that shows progress, or retries after a failure, calls `attachmentUploadStart`, sends the bytes by
PUT to the URL that it returns, and calls `attachmentUploadFinish`. To download, `downloadUrl` is a
signed URL, fresh in each answer, that a page can link to as it is.
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
from graph.core.scalars import URL
from graph.kit import ordering, paging, rates
from graph.kit.loading import by_id, to_one
from graph.kit.mutation import MutationPayload, Refs, mutation, payload, ref, shared_payload, value
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
    "A file attached to a task. An attachment never changes; a new version of the file is a new "
    "attachment.",
)
class Attachment(Node):
    id: strawberry.ID = node_id(models.Attachment)
    task: _Task | None = to_one(models.Attachment.task, "The task that the file is attached to.")
    uploader: User | None = to_one(
        models.Attachment.uploader,
        "The user who uploaded the file. Null if the account was deleted.",
    )
    filename: str = column("The sanitized file name, up to 255 characters.")
    content_type: str = column(
        "The media type detected from the file's content, such as `image/png`."
    )
    byte_size: int = column(models.Attachment.size, "The size in bytes.", may_fail=True)
    sha256: str = column("The SHA-256 hash of the content, as 64 hexadecimal digits.")
    download_url: URL = batch(
        _urls,
        "A signed URL to download the file with GET. Anyone who has it can use it, for four to "
        "five minutes. Without its signature, the same URL serves users who can see the task "
        "(`Authorization: Bearer`).",
        requires=("id",),
        may_fail=True,
    )
    thumbnail_url: URL | None = batch(
        _thumbnail_urls,
        "A signed URL of a thumbnail: a WebP image of at most 320 by 320 pixels. Null if the file "
        "is not an image.",
        requires=("id", "has_thumbnail"),
    )
    viewer_can_delete: bool = expression(
        models.Attachment,
        "viewer_can_delete",
        access.delete,
        "Whether you can delete the attachment.",
    )
    created_at: dt.datetime = column("When the file was attached, in UTC.")


@paging.connection_type("A page of attachments.", edge="An attachment in a list, with its cursor.")
class AttachmentConnection:
    node: Attachment


# --- queries -------------------------------------------------------------------------------------


@strawberry.type
class AttachmentQuery:
    attachment: Attachment | None = by_id(
        models.Attachment,
        "The attachment's ID.",
        "Returns one attachment by ID. Null with `NOT_FOUND` if it does not exist "
        "or you cannot see it.",
    )


# --- payloads ------------------------------------------------------------------------------------


@strawberry.type(description="A signed URL to upload a file to.")
class AttachmentUploadTarget:
    """See `domain.tasks.attachment.start`."""

    id: strawberry.ID = attribute("The upload's ID, for `attachmentUploadFinish`.")
    url: URL = attribute(
        "The URL to send the file to, with PUT and the file's bytes as the body. Status 204 "
        "means that the file has arrived. Any other answer explains the error as JSON, and you "
        "can send the file again."
    )
    expires_at: dt.datetime = attribute(
        "When the URL expires, in UTC. The upload must begin before then."
    )


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
            AttachmentUploadTarget(id=upload_id, url=URL(link.url), expires_at=link.expires_at)
        )
    return targets


@shared_payload()
class _AttachmentPayload(MutationPayload):
    attachment: Attachment | None = ref(
        models.Attachment, "The attachment. Null if the mutation failed."
    )


@payload("Payload of `attachmentUploadStart`.")
class AttachmentUploadStartPayload(MutationPayload):
    upload: AttachmentUploadTarget | None = batch(
        _targets, "Where to upload the file. Null if the mutation failed."
    )


@payload("Payload of `attachmentDelete`.")
class AttachmentDeletePayload(MutationPayload):
    """A deleted attachment can no longer be read, so the payload has its ID."""

    deleted_id: strawberry.ID | None = value("deleted_id", "The deleted attachment's ID.")
    task: _Task | None = ref(models.Task, "The task that the file was attached to.", "task")


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
    upload = await domain.start(
        work, context.services.files, task_id, data.filename, data.byte_size
    )
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
    attachment_upload: _AttachmentPayload = mutation(
        _upload,
        AttachmentUploadInput,
        "Attaches a file to a task that you can edit, with a multipart request "
        "(https://github.com/jaydenseric/graphql-multipart-request-spec) and the header "
        "`Apollo-Require-Preflight`, `X-Apollo-Operation-Name` or `X-Taskloom-Preflight`.",
        around=_staged,
        limit=rates.upload,
    )
    attachment_upload_start: AttachmentUploadStartPayload = mutation(
        _start,
        AttachmentUploadStartInput,
        "Returns a URL to upload a file to in a separate request, so that a page can show "
        "progress. Call `attachmentUploadFinish` within an hour to attach the file.",
        in_context=True,
        limit=rates.upload,
    )
    attachment_upload_finish: _AttachmentPayload = mutation(
        _finish,
        AttachmentUploadFinishInput,
        "Attaches an uploaded file to its task. Fails with `UPLOAD_INCOMPLETE` if the file has "
        "not arrived yet. Safe to repeat.",
    )
    attachment_delete: AttachmentDeletePayload = mutation(
        _delete,
        AttachmentDeleteInput,
        "Deletes an attachment permanently. Allowed for users who can edit the task.",
        in_context=True,
    )
