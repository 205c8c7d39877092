"""Where files are stored: a local folder or an S3-compatible bucket.

All objects of a file are below one prefix made of its ID, so that it can be removed without a list
of its parts. Every file has a row in `stored_files` before its first byte is written, and only by
these rows are files removed: a bucket that is shared or outlives a database loses nothing.
"""

from __future__ import annotations

import logging
import os
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
from settings import Settings, SettingsError

log = logging.getLogger("taskloom.files")

ORIGINAL: Final = "original"
THUMBNAIL: Final = "thumbnail"
_CHUNK: Final = 64 * 1024
_TIMEOUT: Final = "20s"
# Some of the library's errors are Python's own, such as FileNotFoundError.
_FAULTS: Final = (BaseError, OSError)


class FileStore:
    """One per process. Raises `Unavailable` if the store does not answer."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, file_id: UUID, name: str, data: BinaryIO | bytes) -> None:
        """Store bytes, all or nothing."""
        try:
            # Parts of five megabytes are sent in parallel, and each is held in memory: two are
            # enough.
            await obstore.put_async(self._store, _key(file_id, name), data, max_concurrency=2)
        except _FAULTS as error:
            raise _unavailable(error) from error

    async def read(
        self, file_id: UUID, name: str, part: tuple[int, int] | None = None
    ) -> AsyncIterator[bytes]:
        """All bytes, or those of the range `part` (start, end), without its end, in chunks. Errors
        of the request itself are raised before this returns.
        """
        key = _key(file_id, name)
        try:
            if part is not None:
                try:
                    return _chunks(
                        await obstore.get_async(self._store, key, options={"range": part})
                    )
                except GenericError:
                    # Not every S3-compatible server supports ranges correctly.
                    log.info("the file store returned no range of %s", key)
            return _cut(_chunks(await obstore.get_async(self._store, key)), part)
        except _FAULTS as error:
            raise _unavailable(error) from error

    async def read_all(self, file_id: UUID, name: str) -> bytes:
        """All bytes of a small object."""
        try:
            found = await obstore.get_async(self._store, _key(file_id, name))
            return bytes(await found.bytes_async())
        except _FAULTS as error:
            raise _unavailable(error) from error

    async def names(self, file_id: UUID) -> list[str]:
        """The names of a file's objects; empty if nothing was stored."""
        prefix = _key(file_id, "")
        try:
            found = await obstore.list(self._store, prefix).collect_async()
        except FileNotFoundError:
            return []
        except _FAULTS as error:
            raise _unavailable(error) from error
        return [item["path"].removeprefix(prefix) for item in found]

    async def remove(self, file_id: UUID) -> None:
        """Remove a file and everything derived from it. Idempotent."""
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
        """`remove` if it is possible now; otherwise the sweep does it."""
        try:
            await self.remove(file_id)
        except Unavailable:
            log.warning("file %s could not be removed; the sweep will remove it", file_id)


async def _chunks(found: Any) -> AsyncIterator[bytes]:
    async for chunk in found.stream(min_chunk_size=_CHUNK):
        yield bytes(chunk)


async def _cut(chunks: AsyncIterator[bytes], part: tuple[int, int] | None) -> AsyncIterator[bytes]:
    """Cut the range out of all bytes."""
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
    """Below the last two digits, which are random, so that no folder grows too large."""
    return f"{file_id.hex[-2:]}/{file_id.hex}/{name}"


def _unavailable(error: Exception) -> Unavailable:
    log.error("the file store failed: %s", error)
    return Unavailable("The file store does not answer; try again later.")


def open_store(settings: Settings) -> FileStore:
    """Open the configured store. A missing folder is created; a bucket is not checked.

    Raises `SettingsError` if the folder cannot be used.
    """
    storage = settings.storage
    if storage.url is None:
        return FileStore(_folder(settings.server.data_dir / "files", "TASKLOOM_DATA_DIR"))
    parts = urlsplit(storage.url)
    if parts.scheme == "file":
        return FileStore(_folder(Path(unquote(parts.path)), "TASKLOOM_STORAGE_URL"))
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


def _folder(path: Path, setting: str) -> LocalStore:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError([f"{setting}: cannot create {path}: {error.strerror}"]) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise SettingsError([f"{setting}: cannot write to {path}"])
    return LocalStore(path, automatic_cleanup=True)
