"""Setting and removing one's own picture."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from uuid import UUID

import strawberry

from domain.accounts import avatar as domain
from domain.work import Work
from files.upload import Upload
from graph.core.context import Context
from graph.core.inputs import MutationInput, required
from graph.kit import rates
from graph.kit.mutation import Refs, mutation
from graph.types.accounts.user import UserPayload


@strawberry.input(description="A new picture of yourself.")
class AvatarUploadInput(MutationInput):
    """Input of `avatarUpload`."""

    file: Upload = required(
        "A PNG, JPEG or WebP of up to 10 MB and 40 million pixels. Its middle square is kept, made "
        "anew without what else was in the file."
    )


@strawberry.input(description="Nothing to say but that it is to be done.")
class AvatarDeleteInput(MutationInput):
    """Input of `avatarDelete`."""


def _staged(context: Context, data: AvatarUploadInput) -> AbstractAsyncContextManager[UUID]:
    return domain.staged(context.transact, context.services.files, data.file)


async def _upload(context: Context, file_id: UUID, work: Work, _: AvatarUploadInput) -> Refs:
    return {"user": (await domain.change(work, context.services.files, file_id)).id}


async def _delete(context: Context, work: Work, _: AvatarDeleteInput) -> Refs:
    return {"user": (await domain.change(work, context.services.files, None)).id}


@strawberry.type
class AvatarMutation:
    """Root fields."""

    avatar_upload: UserPayload = mutation(
        _upload,
        AvatarUploadInput,
        "Set your picture, by a multipart request. Everybody may see it, signed in or not.",
        in_context=True,
        around=_staged,
        limit=rates.upload,
    )
    avatar_delete: UserPayload = mutation(
        _delete, AvatarDeleteInput, "Remove your picture. Safe to repeat.", in_context=True
    )
