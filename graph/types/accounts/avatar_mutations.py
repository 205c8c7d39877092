"""Uploading and deleting your own avatar."""

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
from graph.types.accounts.user import ViewerPayload


@strawberry.input(description="Input for `avatarUpload`.")
class AvatarUploadInput(MutationInput):
    file: Upload = required(
        "A PNG, JPEG or WebP image of up to 10 MB and 40 million pixels. It is cropped to the "
        "square in its middle and encoded again without metadata."
    )


@strawberry.input(description="Input for `avatarDelete`; no field is required.")
class AvatarDeleteInput(MutationInput):
    """Input for `avatarDelete`."""


def _staged(context: Context, data: AvatarUploadInput) -> AbstractAsyncContextManager[UUID]:
    return domain.staged(context.transact, context.services.files, data.file)


async def _upload(context: Context, file_id: UUID, work: Work, _: AvatarUploadInput) -> Refs:
    return {"user": (await domain.change(work, context.services.files, file_id)).id}


async def _delete(context: Context, work: Work, _: AvatarDeleteInput) -> Refs:
    return {"user": (await domain.change(work, context.services.files, None)).id}


@strawberry.type
class AvatarMutation:
    avatar_upload: ViewerPayload = mutation(
        _upload,
        AvatarUploadInput,
        "Sets your avatar with a multipart request. Anyone can see it, signed in or not.",
        in_context=True,
        around=_staged,
        limit=rates.upload,
    )
    avatar_delete: ViewerPayload = mutation(
        _delete,
        AvatarDeleteInput,
        "Deletes your avatar. Does nothing if you have none.",
        in_context=True,
    )
