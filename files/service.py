"""The file services of a process, and how uploads are checked and stored."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import UUID

from errors import ErrorCode, Failure
from files import kinds, names
from files.images import Images
from files.kinds import Kind
from files.links import Links
from files.store import ORIGINAL, THUMBNAIL, FileStore, open_store
from files.upload import Upload
from settings import Settings


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored upload, and what is known about it."""

    file_id: UUID
    filename: str
    content_type: str
    size: int
    sha256: str
    has_thumbnail: bool


class Files:
    """One per process."""

    def __init__(self, settings: Settings) -> None:
        self.store: FileStore = open_store(settings)
        self.links = Links(settings)
        self.images = Images()
        self.most_bytes = settings.storage.upload_bytes

    def close(self) -> None:
        """Stop the threads."""
        self.images.close()

    def check_size(self, size: int) -> None:
        """Raise `FILE_EMPTY` or `FILE_TOO_LARGE` if a file of this size is not accepted."""
        if size <= 0:
            raise Failure("The file is empty.", path=("file",), code=ErrorCode.FILE_EMPTY)
        if size > self.most_bytes:
            raise Failure(
                f"The file exceeds the size limit of {self.most_bytes:,} bytes.",
                path=("file",),
                code=ErrorCode.FILE_TOO_LARGE,
                limit=self.most_bytes,
                actual=size,
            )

    async def inspect(self, upload: Upload) -> tuple[str, Kind]:
        """The cleaned name and the type of an upload that can be attached."""
        self.check_size(upload.size)
        name = names.clean(upload.filename)
        return name, await asyncio.to_thread(kinds.verified, name, upload.bytes())

    async def keep(self, file_id: UUID, upload: Upload, name: str, kind: Kind) -> Kept:
        """Store a checked upload, with a thumbnail if it is an image."""
        if kind.image:
            small = await self.images.thumbnail(upload.bytes())
            await self.store.put(file_id, THUMBNAIL, small)
        await self.store.put(file_id, ORIGINAL, upload.bytes())
        return Kept(file_id, name, kind.content_type, upload.size, upload.sha256, kind.image)
