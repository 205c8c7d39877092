"""Where bytes are kept: a folder of this machine, or a bucket that speaks S3's language.

Everything of one file stands below one prefix made of its id, so that a file is removed without
knowing what was made of it. Whatever is in the store has a row in `stored_files` from before its
first byte, and only by these rows is anything removed: a bucket that is shared, or that outlives a
database, loses nothing to the sweep.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import UUID

import obstore
from obstore.exceptions import BaseError, GenericError
from obstore.store import LocalStore, ObjectStore, S3Store

from errors import Unavailable
from settings import Settings

log = logging.getLogger("taskloom.files")

ORIGINAL: Final = "original"
THUMBNAIL: Final = "thumbnail"
_CHUNK: Final = 64 * 1024
_TIMEOUT: Final = "20s"
# Some of the library's errors are Python's own, such as FileNotFoundError.
_FAULTS: Final = (BaseError, OSError)


class FileStore:
    """One a process. Raises `Unavailable` where the store does not answer."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, file_id: UUID, name: str, data: BinaryIO | bytes) -> None:
        """Keep bytes; whole or not at all."""
        try:
            # Parts of five megabytes are sent at once, and each is held in memory: two will do.
            await obstore.put_async(self._store, _key(file_id, name), data, max_concurrency=2)
        except _FAULTS as error:
            raise _unavailable(error) from error

    async def read(
        self, file_id: UUID, name: str, part: tuple[int, int] | None = None
    ) -> AsyncIterator[bytes]:
        """All bytes, or those from `part`'s first up to its last (not with it), in chunks. They
        flow once this returns.
        """
        key = _key(file_id, name)
        try:
            if part is not None:
                try:
                    return _chunks(
                        await obstore.get_async(self._store, key, options={"range": part})
                    )
                except GenericError:
                    # Not every server that speaks S3 answers ranges as it should.
                    log.info("the store gave no range of %s", key)
            return _cut(_chunks(await obstore.get_async(self._store, key)), part)
        except _FAULTS as error:
            raise _unavailable(error) from error

    async def read_all(self, file_id: UUID, name: str) -> bytes:
        """All bytes of something small."""
        try:
            found = await obstore.get_async(self._store, _key(file_id, name))
            return bytes(await found.bytes_async())
        except _FAULTS as error:
            raise _unavailable(error) from error

    async def remove(self, file_id: UUID) -> None:
        """Remove a file and what was made of it. Safe to repeat."""
        try:
            found = await obstore.list(self._store, _key(file_id, "")).collect_async()
            paths = [item["path"] for item in found]
            if paths:
                await obstore.delete_async(self._store, paths)
        except FileNotFoundError:
            return
        except _FAULTS as error:
            raise _unavailable(error) from error

    async def remove_soon(self, file_id: UUID) -> None:
        """`remove` where it can be done now; else the sweep does it."""
        try:
            await self.remove(file_id)
        except Unavailable:
            log.warning("file %s is left to the sweep", file_id)


async def _chunks(found: Any) -> AsyncIterator[bytes]:
    async for chunk in found.stream(min_chunk_size=_CHUNK):
        yield bytes(chunk)


async def _cut(chunks: AsyncIterator[bytes], part: tuple[int, int] | None) -> AsyncIterator[bytes]:
    """A part of all bytes."""
    position = 0
    async for chunk in chunks:
        if part is None:
            yield chunk
        else:
            piece = chunk[max(0, part[0] - position) : max(0, part[1] - position)]
            position += len(chunk)
            if piece:
                yield piece


def _key(file_id: UUID, name: str) -> str:
    """Below the last two digits, which are random: no folder grows without end."""
    return f"{file_id.hex[-2:]}/{file_id.hex}/{name}"


def _unavailable(error: Exception) -> Unavailable:
    log.error("the store of files failed: %s", error)
    return Unavailable("The store of files does not answer; try again later.")


def open_store(settings: Settings) -> FileStore:
    """The store of the settings. A folder is made when missing; a bucket is not looked for."""
    storage = settings.storage
    if storage.url is None:
        return FileStore(_folder(settings.server.data_dir / "files"))
    parts = urlsplit(storage.url)
    if parts.scheme == "file":
        return FileStore(_folder(Path(unquote(parts.path))))
    options = dict(parse_qsl(parts.query))
    config: dict[str, Any] = {}
    if storage.access_key is not None and storage.secret_key is not None:
        config["access_key_id"] = storage.access_key
        config["secret_access_key"] = storage.secret_key.get_secret_value()
    if "endpoint" in options:
        config["endpoint"] = options["endpoint"]
    bucket = S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        region=options.get("region", "us-east-1"),
        client_options={"timeout": _TIMEOUT, "allow_http": True},
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=20)},
        **config,
    )
    return FileStore(bucket)


def _folder(path: Path) -> LocalStore:
    return LocalStore(path, automatic_cleanup=True, mkdir=True)
