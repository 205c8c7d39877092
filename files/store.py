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
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, S3Store

from errors import Unavailable
from settings import Settings

log = logging.getLogger("taskloom.files")

ORIGINAL: Final = "original"
THUMBNAIL: Final = "thumbnail"
_CHUNK: Final = 64 * 1024
_TIMEOUT: Final = "20s"


class FileStore:
    """One a process. Raises `Unavailable` where the store does not answer."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, file_id: UUID, name: str, data: BinaryIO | bytes) -> None:
        """Keep bytes; whole or not at all."""
        try:
            await obstore.put_async(self._store, _key(file_id, name), data)
        except BaseError as error:
            raise _unavailable(error) from error

    async def read(self, file_id: UUID, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `end` (not with it), in chunks. Open once this returns."""
        try:
            found = await obstore.get_async(
                self._store, _key(file_id, name), options={"range": (start, end)}
            )
        except BaseError as error:
            raise _unavailable(error) from error
        return _chunks(found)

    async def read_all(self, file_id: UUID, name: str) -> bytes:
        """All bytes of something small."""
        try:
            found = await obstore.get_async(self._store, _key(file_id, name))
            return bytes(await found.bytes_async())
        except BaseError as error:
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
        except BaseError as error:
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


def _key(file_id: UUID, name: str) -> str:
    """Below the last two digits, which are random: no folder grows without end."""
    return f"{file_id.hex[-2:]}/{file_id.hex}/{name}"


def _unavailable(error: BaseError) -> Unavailable:
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
