"""A file that is being uploaded.

Its bytes are counted, hashed and written to a temporary file as they arrive, so that a large file
is never in memory as a whole. Bytes beyond the limit are only counted: the rest of the request can
then be read and answered with a clear error.
"""

from __future__ import annotations

import asyncio
import hashlib
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, Final, cast

# Up to this size the bytes stay in memory; most files are smaller.
_IN_MEMORY: Final = 256 * 1024


class Upload:
    """One file of a request. Its creator must close it, which deletes the bytes."""

    def __init__(self, filename: str, limit: int) -> None:
        self.filename = filename
        self.limit = limit
        self.size = 0
        self._hash = hashlib.sha256()
        self._spool = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - see `close`

    async def write(self, chunk: bytes) -> None:
        """Add the next bytes."""
        self.size += len(chunk)
        if self.too_large:
            self._spool.seek(0)
            self._spool.truncate()
            return
        self._hash.update(chunk)
        if self.size <= _IN_MEMORY:
            self._spool.write(chunk)
        else:
            # From here on the bytes go to the disk, which can be slow.
            await asyncio.to_thread(self._spool.write, chunk)

    @property
    def too_large(self) -> bool:
        """Whether it is longer than `limit` bytes."""
        return self.size > self.limit

    @property
    def sha256(self) -> str:
        """The hash of all bytes, in hexadecimal."""
        return self._hash.hexdigest()

    def __inspect__(self) -> str:
        """What graphql-core calls it where something else is expected."""
        return "a file"

    @property
    def fingerprint(self) -> list[str | int]:
        """What distinguishes it from other files when two requests are compared."""
        return [self.filename, self.size, self.sha256]

    def bytes(self) -> BinaryIO:
        """The bytes from the beginning. One reader at a time."""
        self._spool.seek(0)
        return cast(BinaryIO, self._spool)

    def close(self) -> None:
        """Delete the bytes."""
        self._spool.close()
