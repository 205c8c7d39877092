"""Filters and orderings of attachments, and the inputs of their mutations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import strawberry

from db import models
from files.upload import Upload
from graph.core.inputs import MutationInput, new_id, required
from graph.kit import filtering, ordering
from graph.kit.comparators import DateTimeFilter, IDFilter, IntFilter, StringFilter
from graph.types.accounts.user import UserFilter, UserOrder

if TYPE_CHECKING:
    from graph.types.tasks.task_inputs import TaskFilter

_TaskFilter = Annotated["TaskFilter", strawberry.lazy("graph.types.tasks.task_inputs")]


@filtering.filter_input("Filter for attachments.")
class AttachmentFilter:
    id: IDFilter | None = filtering.by_id(
        models.Attachment.id, models.Attachment, "The attachment's ID."
    )
    filename: StringFilter | None = filtering.by_name(
        models.Attachment.filename, "The file name.", order="file name"
    )
    content_type: StringFilter | None = filtering.by(
        models.Attachment.content_type, "The media type, such as `image/png`."
    )
    byte_size: IntFilter | None = filtering.by(
        models.Attachment.size, "The size in bytes.", order="size"
    )
    uploader: UserFilter | None = filtering.by_relation(
        models.Attachment.uploader, "The user who uploaded the file."
    )
    task: _TaskFilter | None = filtering.by_relation(models.Attachment.task, "The task.")
    created_at: DateTimeFilter | None = filtering.by(
        models.Attachment.created_at,
        "When the file was attached.",
        order="the time when the file was attached",
    )
    search: str | None = filtering.by_search(
        (models.Attachment.filename,),
        "Words that must all occur in the file name. Ignores case and accents.",
    )


@filtering.list_filter("Filter for a task's attachments.", noun="attachment")
class AttachmentListFilter:
    of: AttachmentFilter


@ordering.order_input("Sort key for attachments. Provide exactly one field.", of=AttachmentFilter)
class AttachmentOrder:
    uploader: UserOrder | None = ordering.by_relation(
        models.Attachment.uploader, "Sorts by the user who uploaded the file."
    )


@strawberry.input(description="Input for `attachmentUpload`.")
class AttachmentUploadInput(MutationInput):
    """See `domain.tasks.attachment.create`."""

    task_id: strawberry.ID = required("The task's ID or identifier.")
    file: Upload = required(
        "The file, up to 10 MB. Allowed extensions are .jpg, .jpeg, .png, .gif, .pdf, .txt, .doc "
        "and .docx; the content must match the extension."
    )
    id: strawberry.ID | None = new_id("attachment")


@strawberry.input(description="Input for `attachmentUploadStart`.")
class AttachmentUploadStartInput(MutationInput):
    """See `domain.tasks.attachment.start`."""

    task_id: strawberry.ID = required("The task's ID or identifier.")
    filename: str = required(
        "The file name, with the extension .jpg, .jpeg, .png, .gif, .pdf, .txt, .doc or .docx. "
        "Folders are removed from it."
    )
    byte_size: int = required("The exact size of the file in bytes, up to 10 MB.")


@strawberry.input(description="Input for `attachmentUploadFinish`.")
class AttachmentUploadFinishInput(MutationInput):
    """See `domain.tasks.attachment.finish`."""

    upload_id: strawberry.ID = required("The upload's ID, as returned by `attachmentUploadStart`.")
    id: strawberry.ID | None = new_id("attachment")


@strawberry.input(description="Input for `attachmentDelete`.")
class AttachmentDeleteInput(MutationInput):
    """See `domain.tasks.attachment.delete`."""

    id: strawberry.ID = required("The attachment's ID.")
