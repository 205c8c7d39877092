"""Avatars. Anyone can load them, so they are public and always encoded again here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

from db.models import User
from domain import stored_file
from domain.work import Transact, Work
from events.kinds import EventKind
from files.service import Files
from files.upload import Upload


@asynccontextmanager
async def staged(transact: Transact, files: Files, upload: Upload) -> AsyncIterator[UUID]:
    """The file of a new avatar, stored for as long as the block lasts, and longer if it is set.

    Raises `FILE_EMPTY`, `FILE_TOO_LARGE`, `IMAGE_INVALID` and `IMAGE_TOO_LARGE`.
    """
    files.check_size(upload.size)
    pictures = await files.images.avatar(upload.bytes())
    file = await transact(stored_file.reserve)
    try:
        for name, data in pictures.items():
            await files.store.put(file.id, name, data)
        yield file.id
    except BaseException:
        await stored_file.tidy(_remove_unless_set(transact, files, file.id))
        raise


async def _remove_unless_set(transact: Transact, files: Files, file_id: UUID) -> None:
    async def read(work: Work) -> User | None:
        return await work.session.get(User, work.viewer.require())

    user = await transact(read)
    if user is None or user.avatar_id != file_id:
        await files.store.remove_soon(file_id)


async def change(work: Work, files: Files, file_id: UUID | None) -> User:
    """Set the viewer's avatar to a staged file, or remove it."""
    user = await work.editable(User, work.viewer.require())
    before = user.avatar_id
    if work.apply(user, {"avatar_id": file_id}):
        # The recorded values are the versions in the avatars' URLs.
        old, new = (None if one is None else version(one) for one in (before, file_id))
        work.record(EventKind.USER_UPDATED, user, [("avatar_url", old, new)], audience=[user.id])
        await work.session.flush()
        if before is not None:
            work.after_commit.append(partial(files.store.remove_soon, before))
    return user


def version(avatar_id: UUID) -> str:
    """The part of an avatar's URL that changes with every new image."""
    return avatar_id.hex[-12:]
