"""Backups: the database as of one moment, and all files, in one compressed archive.

For servers and services whose dumps you cannot take or store. The archive is a `tar.gz`:

- `manifest.json`: the format, the version, the revision, the tables with their columns and
  the number of their rows;
- the folder `tables`: the rows of each table, as PostgreSQL's COPY writes them as text;
- the folder `files`: the stored files, by ID and name.

A restore makes the tables of that revision, fills them in one transaction, and then applies later
migrations. Transaction IDs mean nothing on another server, so the event log begins a new epoch
(`events.epoch`), and cursors of clients expire.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import io
import json
import os
import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias, cast
from uuid import UUID

import asyncpg

from db import migrate
from db.connecting import connect_driver
from db.engine import Database
from db.read import with_settings
from db.row_security import EVERYTHING, PARAMETER
from db.transaction import WITHOUT_TIME_LIMITS
from errors import ErrorCode, Failure, Unavailable
from events import months
from events.epoch import ensure_epoch
from files.store import ORIGINAL, FileStore, open_store
from settings import Settings, version

_FORMAT: Final = 1
_MANIFEST: Final = "manifest.json"
# A table up to this size is not written to the disk before it is compressed.
_SPOOLED_BYTES: Final = 16 * 1024 * 1024

_Connection: TypeAlias = "asyncpg.Connection[Any]"

_TABLES: Final = """
SELECT c.relname AS name,
    ARRAY(
        SELECT a.attname::text FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
        ORDER BY a.attnum
    ) AS columns
FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
    AND NOT c.relispartition AND c.relname <> 'alembic_version'
ORDER BY c.relname
"""
_FOREIGN_KEYS: Final = """
SELECT quote_ident(r.relname) AS table, quote_ident(f.conname) AS name,
    pg_get_constraintdef(f.oid) AS definition
FROM pg_constraint f JOIN pg_class r ON r.oid = f.conrelid
WHERE f.contype = 'f' AND f.connamespace = current_schema()::regnamespace AND f.conparentid = 0
"""
_SEQUENCES: Final = """
SELECT a.attname AS column, pg_get_serial_sequence(quote_ident($1), a.attname) AS sequence
FROM pg_attribute a
WHERE a.attrelid = quote_ident($1)::regclass AND a.attnum > 0 AND NOT a.attisdropped
    AND pg_get_serial_sequence(quote_ident($1), a.attname) IS NOT NULL
"""


# Those of these files that something refers to.
_USED: Final = """
SELECT file_id FROM attachments WHERE file_id = ANY ($1)
UNION SELECT avatar_id FROM users WHERE avatar_id = ANY ($1)
ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a backup contains, or what was restored: rows by table, and the number of files.

    `missing`: the IDs of files that are in use, and that the file store does not have.
    """

    rows: Mapping[str, int]
    files: int
    missing: Sequence[UUID] = ()


class InvalidBackup(Failure):
    """The archive cannot be restored."""

    code = ErrorCode.BAD_USER_INPUT


async def backup(settings: Settings, target: Path) -> Contents:
    """Write a backup to a new file, which only its owner can read. Raises `FileExistsError`."""
    with (
        _drafted(target) as file,
        tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as archive,
    ):
        return await _write(settings, archive)


@contextlib.contextmanager
def _drafted(target: Path) -> Iterator[BinaryIO]:
    """A file that gets its name if the block succeeds, and is deleted otherwise."""
    # Each attempt has a name of its own: two at once must not write into one file.
    number, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".draft", dir=target.parent)
    draft = Path(name)
    # It contains password hashes and everybody's data, and `mkstemp` lets only the owner read it.
    with os.fdopen(number, "wb") as file:
        try:
            yield file
            file.flush()
            os.fsync(number)
            _put(draft, target)
        finally:
            draft.unlink(missing_ok=True)


def _put(draft: Path, target: Path) -> None:
    """Give the draft its name, unless there is a file of that name by now."""
    try:
        os.link(draft, target)
    except FileExistsError as error:
        raise FileExistsError(error.errno, "exists already", str(target)) from error
    except OSError:
        # Some file systems of networks have no links.
        if target.exists():
            raise
        draft.rename(target)


async def restore(settings: Settings, source: Path) -> Contents:
    """Restore a backup into an empty database and the configured file store.

    Raises `InvalidBackup`, and `MigrationError` if the database is not empty.
    """
    # Before anything is stored.
    await migrate.demand_empty(settings.database)
    try:
        _read_through(source)
        with tarfile.open(source, "r:gz") as archive:
            manifest = _manifest(archive)
            rows = {table["name"]: table["rows"] for table in manifest["tables"]}

            async def fill(connection: _Connection) -> None:
                await _fill(connection, archive, manifest["tables"])

            # First, since without its rows a file is found by nobody.
            files = await _restore_files(archive, open_store(settings))
            await migrate.create(settings.database, manifest["revision"], fill)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InvalidBackup(f"{source} is not a complete backup: {error}") from error
    await migrate.upgrade(settings.database)
    database = await Database.connect(settings.database)
    try:
        await ensure_epoch(database)
    finally:
        await database.close()
    return Contents(rows, files)


async def _write(settings: Settings, archive: tarfile.TarFile) -> Contents:
    arguments = with_settings(settings.database.connect_args, **{PARAMETER: EVERYTHING})
    connection = await connect_driver(**arguments)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(WITHOUT_TIME_LIMITS)
            tables = await connection.fetch(_TABLES)
            if not {"stored_files", "users"}.issubset(table["name"] for table in tables):
                raise migrate.MigrationError(migrate.NOT_OURS)
            listed = []
            for table in tables:
                columns = list(table["columns"])
                with tempfile.SpooledTemporaryFile(max_size=_SPOOLED_BYTES) as rows:
                    names = ", ".join(f'"{column}"' for column in columns)
                    # A partitioned table cannot be copied by its name.
                    query = f'SELECT {names} FROM "{table["name"]}"'  # noqa: S608 - of the catalog
                    done = await connection.copy_from_query(
                        query, output=cast("BinaryIO", rows), format="text"
                    )
                    _add(archive, f"tables/{table['name']}", rows)
                count = int(done.rpartition(" ")[2])
                listed.append({"name": table["name"], "columns": columns, "rows": count})
            ids = [row["id"] for row in await connection.fetch("SELECT id FROM stored_files")]
            revision = await connection.fetchval("SELECT version_num FROM alembic_version")
        files, absent = await _write_files(archive, open_store(settings), ids)
        # Those that were deleted meanwhile, or never arrived, are not missed.
        missing = tuple(row["file_id"] for row in await connection.fetch(_USED, absent))
    finally:
        await connection.close()
    manifest = {
        "format": _FORMAT,
        "version": version(),
        "revision": revision,
        "createdAt": dt.datetime.now(dt.UTC).isoformat(),
        "tables": listed,
        "files": files,
    }
    # Last, so that an archive with it is complete.
    _add(archive, _MANIFEST, io.BytesIO(json.dumps(manifest, indent=2).encode()))
    return Contents({table["name"]: table["rows"] for table in listed}, files, missing)


async def _write_files(
    archive: tarfile.TarFile, store: FileStore, ids: Sequence[UUID]
) -> tuple[int, list[UUID]]:
    """Write the files; returns how many, and those that the store does not have.

    Files never change, so those of the snapshot's rows can be read later.
    """
    count, absent = 0, []
    for id_ in ids:
        names = await store.names(id_)
        if ORIGINAL not in names:
            absent.append(id_)
        for name in names:
            with tempfile.SpooledTemporaryFile(max_size=_SPOOLED_BYTES) as file:
                try:
                    async for chunk in await store.read(id_, name):
                        file.write(chunk)
                except Unavailable:
                    if name in await store.names(id_):
                        raise
                    continue
                _add(archive, f"files/{id_.hex}/{name}", file)
            count += 1
    return count, absent


def _add(archive: tarfile.TarFile, name: str, file: Any) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = file.seek(0, os.SEEK_END)
    file.seek(0)
    archive.addfile(entry, file)


def _read_through(source: Path) -> None:
    """Compare the sum at the end, which `tarfile` does not read, before anything is written."""
    with gzip.open(source) as file:
        while file.read(_SPOOLED_BYTES):
            pass


def _manifest(archive: tarfile.TarFile) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.load(_opened(archive, _MANIFEST))
    except (KeyError, ValueError) as error:
        raise InvalidBackup("This file is not a backup of Taskloom, or not complete.") from error
    if manifest["format"] != _FORMAT:
        raise InvalidBackup(
            f"The backup has format {manifest['format']}; this version reads {_FORMAT}."
        )
    for table in manifest["tables"]:
        for name in (table["name"], *table["columns"]):
            if not re.fullmatch("[a-z_][a-z0-9_]*", name):
                raise InvalidBackup(f"{name!r} is not the name of a table or column.")
    return manifest


def _opened(archive: tarfile.TarFile, name: str) -> Any:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file


async def _fill(
    connection: _Connection, archive: tarfile.TarFile, tables: Sequence[Mapping[str, Any]]
) -> None:
    names = [f'"{table["name"]}"' for table in tables]
    # Some tables refer to each other, so none could be the first. They are checked at the end.
    keys = await connection.fetch(_FOREIGN_KEYS)
    for key in keys:
        await connection.execute(f"ALTER TABLE {key['table']} DROP CONSTRAINT {key['name']}")
    # What triggers would do has been done.
    for name in names:
        await connection.execute(f"ALTER TABLE {name} DISABLE TRIGGER USER")
    for table in tables:
        # A migration may have filled it.
        await connection.execute(f'DELETE FROM "{table["name"]}"')  # noqa: S608 - of the manifest
    for table in tables:
        if table["name"] == "events" and '"event_months"' in names:
            # Its rows came before, by the order of names.
            rows = await connection.fetch("SELECT month FROM event_months")
            await months.create(connection, [row["month"] for row in rows])
        done = await connection.copy_to_table(
            table["name"],
            source=_opened(archive, f"tables/{table['name']}"),
            columns=table["columns"],
            format="text",
        )
        if int(done.rpartition(" ")[2]) != table["rows"]:
            raise InvalidBackup(f"The rows of {table['name']} are not complete.")
        for row in await connection.fetch(_SEQUENCES, table["name"]):
            await connection.execute(
                f"SELECT setval('{row['sequence']}', max({row['column']}))"  # noqa: S608 - names of the catalog
                f' FROM "{table["name"]}" HAVING count(*) > 0'
            )
    for name in names:
        await connection.execute(f"ALTER TABLE {name} ENABLE TRIGGER USER")
    for key in keys:
        await connection.execute(
            f"ALTER TABLE {key['table']} ADD CONSTRAINT {key['name']} {key['definition']}"
        )


async def _restore_files(archive: tarfile.TarFile, store: FileStore) -> int:
    count = 0
    for id_, name, file in _files_of(archive):
        await store.put(id_, name, file)
        count += 1
    return count


def _files_of(archive: tarfile.TarFile) -> Iterator[tuple[UUID, str, BinaryIO]]:
    for entry in archive.getmembers():
        folder, _, rest = entry.name.partition("/")
        if folder == "files":
            id_, _, name = rest.partition("/")
            yield UUID(hex=id_), name, _opened(archive, entry.name)
