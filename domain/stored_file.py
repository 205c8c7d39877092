"""Rows for stored files: reserved before bytes are written, swept when nothing refers to them.

Bytes cannot be written in the transaction of a change: it would stay open for as long as the store
takes, and a rollback would not remove them. So a row is committed first, then the bytes are
written, and then the change refers to the row. If anything fails in between, the row is left over
and leads to the bytes.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, select

from db.models import Attachment, StoredFile, User
from domain.work import Transact, Work
from files.store import FileStore

log = logging.getLogger("taskloom.files")

# For how long a change may still refer to a file.
RESERVED = dt.timedelta(hours=1)
# A change that began before the end may commit a little later.
_GRACE = dt.timedelta(minutes=10)
_CHUNK_SIZE = 100


async def reserve(
    work: Work,
    *,
    task_id: UUID | None = None,
    filename: str | None = None,
    size: int | None = None,
) -> StoredFile:
    """A new row; every upload of every kind has one. The bytes may be written once it is
    committed.
    """
    file = StoredFile(
        id=work.new_id(),
        uploader_id=work.viewer.require(),
        created_at=work.now,
        expires_at=work.now + RESERVED,
        task_id=task_id,
        filename=filename,
        size=size,
    )
    work.session.add(file)
    await work.session.flush()
    return file


async def sweep(transact: Transact, store: FileStore, *, chunk: int = _CHUNK_SIZE) -> int:
    """Remove up to `chunk` files that nothing refers to; returns how many there were.

    Call it again until it finds nothing. The bytes are deleted first: if that fails, the row stays,
    and the next sweep tries again. No transaction is open meanwhile; none is needed, since after
    its time nothing can refer to a row.
    """

    async def find(work: Work) -> list[UUID]:
        query = select(StoredFile.id).where(StoredFile.expires_at <= work.now - _GRACE, _unused())
        return list(await work.session.scalars(query.order_by(StoredFile.id).limit(chunk)))

    over = await transact(find)
    for file_id in over:
        await store.remove(file_id)

    async def forget(work: Work) -> None:
        await work.session.execute(
            delete(StoredFile)
            .where(StoredFile.id.in_(over), _unused())
            .execution_options(synchronize_session=False)
        )

    if over:
        await transact(forget)
    return len(over)


_tidying: set[asyncio.Task[None]] = set()


async def tidy(work: Coroutine[Any, Any, None]) -> None:
    """Clean up after a failure in a separate task, to its end, even if the failed task is cancelled
    meanwhile. If the cleanup itself fails, the sweep does it later.
    """

    async def quietly() -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - what failed first is what the client reads
            log.warning("cleanup failed, the sweep will remove the file: %s", type(error).__name__)

    task = asyncio.create_task(quietly())
    _tidying.add(task)
    task.add_done_callback(_tidying.discard)
    await asyncio.shield(task)


def _unused() -> ColumnElement[bool]:
    return ~exists().where(Attachment.file_id == StoredFile.id) & ~exists().where(
        User.avatar_id == StoredFile.id
    )
