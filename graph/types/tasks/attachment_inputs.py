"""What attachments are filtered and ordered by, and what their mutations take."""

from __future__ import annotations

from typing import Any

import strawberry
from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from auth.viewer import Viewer
from db import models
from files.upload import Upload
from graph.core.inputs import MutationInput, new_id, required
from graph.kit import filtering, ordering
from graph.kit.comparators import DateTimeFilter, IDFilter, IntFilter, StringFilter
from graph.kit.ordering import OrderBy
from graph.types.accounts.user import UserFilter, UserOrder


def attachment_count(_: Viewer, task: Any) -> Any:
    """How many attachments a task has. Who sees the task sees them all."""
    attachment = aliased(models.Attachment)
    return (
        select(func.count())
        .select_from(attachment)
        .where(attachment.task_id == task.id)
        .scalar_subquery()
    )


@filtering.filter_input("Which attachments.")
class AttachmentFilter:
    """Criteria over attachments."""

    id: IDFilter | None = filtering.by_id(models.Attachment.id, models.Attachment, "Id.")
    filename: StringFilter | None = filtering.by(models.Attachment.filename, "The file's name.")
    content_type: StringFilter | None = filtering.by(
        models.Attachment.content_type, "The type, such as `image/png`."
    )
    size: IntFilter | None = filtering.by(models.Attachment.size, "The size in bytes.")
    uploader: UserFilter | None = filtering.by_relation(
        models.Attachment.uploader, lambda: UserFilter, "Who uploaded it."
    )
    uploader_id: IDFilter | None = filtering.by_id(
        models.Attachment.uploader_id, models.User, "The id of who uploaded it."
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.Attachment.created_at, "When it was attached."
    )
    search: str | None = filtering.by_search(
        (models.Attachment.filename,),
        "Words that all occur in the file's name, without regard to case and accents.",
    )


@filtering.list_filter("Quantifies over attachments.")
class AttachmentListFilter:
    """`some`, `none`, `every`."""

    of: AttachmentFilter


@ordering.order_input("How to order attachments; give one field.")
class AttachmentOrder:
    """Keys of attachments."""

    created_at: OrderBy | None = ordering.by(
        models.Attachment.created_at, "By the time at which they were attached."
    )
    filename: OrderBy | None = ordering.by_text(models.Attachment.filename, "By name.")
    size: OrderBy | None = ordering.by(models.Attachment.size, "By size.")
    uploader: UserOrder | None = ordering.by_relation(
        models.Attachment.uploader, lambda: UserOrder, "By who uploaded them."
    )


@strawberry.input(description="A file for a task.")
class AttachmentUploadInput(MutationInput):
    """See `domain.tasks.attachment.create`."""

    task_id: strawberry.ID = required("The task.")
    file: Upload = required(
        "The file: up to 10 MB; .jpg, .jpeg, .png, .gif, .pdf, .txt, .doc or .docx, by its name "
        "and by its bytes."
    )
    id: strawberry.ID | None = new_id("attachment")


@strawberry.input(description="A file that you will send in a request of its own.")
class AttachmentUploadStartInput(MutationInput):
    """See `domain.tasks.attachment.start`."""

    task_id: strawberry.ID = required("The task.")
    filename: str = required(
        "The file's name, with one of the endings .jpg, .jpeg, .png, .gif, .pdf, .txt, .doc and "
        ".docx. Folders are taken off."
    )
    size: int = required("Exactly how many bytes you will send; up to 10 MB.")


@strawberry.input(description="The upload whose file you have sent.")
class AttachmentUploadFinishInput(MutationInput):
    """See `domain.tasks.attachment.finish`."""

    upload_id: strawberry.ID = required("The upload's id, of `attachmentUploadStart`.")
    id: strawberry.ID | None = new_id("attachment")


@strawberry.input(description="The attachment to delete.")
class AttachmentDeleteInput(MutationInput):
    """See `domain.tasks.attachment.delete`."""

    id: strawberry.ID = required("The attachment.")
