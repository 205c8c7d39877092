"""What a process needs for files, in one hand; and how an upload is looked at and kept."""

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
    """An upload that is in the store, and what was found out about it."""

    file_id: UUID
    filename: str
    content_type: str
    size: int
    sha256: str
    has_thumbnail: bool


class Files:
    """One a process."""

    def __init__(self, settings: Settings) -> None:
        self.store: FileStore = open_store(settings)
        self.links = Links(settings)
        self.images = Images()
        self.most_bytes = settings.storage.upload_bytes

    def close(self) -> None:
        """Let go of the threads."""
        self.images.close()

    def check_size(self, size: int) -> None:
        """`FILE_EMPTY` or `FILE_TOO_LARGE` where a file of so many bytes is not taken."""
        if size <= 0:
            raise Failure("The file is empty.", path=("file",), code=ErrorCode.FILE_EMPTY)
        if size > self.most_bytes:
            raise Failure(
                f"The file is larger than {self.most_bytes:,} bytes, the most that is taken.",
                path=("file",),
                code=ErrorCode.FILE_TOO_LARGE,
            )

    async def inspect(self, upload: Upload) -> tuple[str, Kind]:
        """The cleaned name and the type of an upload that may be attached to something."""
        self.check_size(upload.size)
        name = names.clean(upload.filename)
        return name, await asyncio.to_thread(kinds.verified, name, upload.bytes())

    async def keep(self, file_id: UUID, upload: Upload, name: str, kind: Kind) -> Kept:
        """Put an inspected upload into the store, with its thumbnail where it is an image."""
        if kind.image:
            small = await self.images.thumbnail(upload.bytes())
            await self.store.put(file_id, THUMBNAIL, small)
        await self.store.put(file_id, ORIGINAL, upload.bytes())
        return Kept(file_id, name, kind.content_type, upload.size, upload.sha256, kind.image)
