"""A disk that can be full, for the failure drill: a tmpfs below the table of tasks.

PostgreSQL keeps the table in a tablespace within its data folder, over which a small file system is
mounted. Linux and root only. A replica has the same tablespace without the file system.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from pathlib import Path
from typing import Final

import asyncpg

_MIB: Final = 64
_PIECE: Final = b"\0" * 65_536


class SmallDisk:
    """`fill` it and `free` it; `close` it after PostgreSQL has stopped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._filler = folder / "filler"

    @classmethod
    async def below_tasks(cls, dsn: str, cluster: Path) -> SmallDisk:
        """Move the table there. `dsn`: of a superuser; `cluster`: PostgreSQL's data folder."""
        database = await asyncpg.connect(dsn)
        try:
            await database.execute("SET allow_in_place_tablespaces = on")
            await database.execute("CREATE TABLESPACE small LOCATION ''")
            oid = await database.fetchval("SELECT oid FROM pg_tablespace WHERE spcname = 'small'")
            folder = cluster / "pg_tblspc" / str(oid)
            owner = folder.stat()
            (version,) = folder.iterdir()
            await asyncio.to_thread(_mount, folder, owner)
            version.mkdir(mode=0o700)
            os.chown(version, owner.st_uid, owner.st_gid)
            await database.execute("ALTER TABLE tasks SET TABLESPACE small")
        finally:
            await database.close()
        return cls(folder)

    def fill(self) -> None:
        """Leave no room."""
        with contextlib.suppress(OSError), self._filler.open("wb", buffering=0) as file:
            while True:
                file.write(_PIECE)

    def free(self) -> None:
        """Make room again."""
        self._filler.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the file system."""
        subprocess.run(["umount", self._folder], check=True)


def _mount(folder: Path, owner: os.stat_result) -> None:
    options = f"size={_MIB}m,uid={owner.st_uid},gid={owner.st_gid},mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
