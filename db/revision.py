"""A fast check whether a database is migrated.

A process whose database is up to date does not need Alembic, which takes 12 MiB of memory and a
third of a second to load. In all other cases `db.migrate` examines the database.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import asyncpg

from db import row_security
from db.connecting import connect_driver
from settings import DatabaseSettings

_VERSIONS = Path(__file__).resolve().parent.parent / "migrations" / "versions"
_REVISION = re.compile(r"^(revision|down_revision)\b[^=]*= \"(\w+)\"", re.MULTILINE)


@cache
def newest() -> str:
    """The newest revision: the one that no other follows."""
    names: dict[str, set[str]] = {"revision": set(), "down_revision": set()}
    for path in _VERSIONS.glob("*.py"):
        for name, value in _REVISION.findall(path.read_text("utf-8")):
            names[name].add(value)
    (head,) = names["revision"] - names["down_revision"]
    return head


async def is_newest(settings: DatabaseSettings) -> bool:
    """Whether all migrations are applied, none that this version does not know of, and
    row-level security is as the settings want it.
    """
    connection = await connect_driver(**settings.connect_args)
    try:
        rows = await connection.fetch("SELECT version_num FROM alembic_version")
        (state,) = await connection.fetch(row_security.STATE)
    except asyncpg.UndefinedTableError:
        return False
    finally:
        await connection.close()
    suits = row_security.suits(settings.row_security, prepared=state[0], version=state[1])
    return suits and [row[0] for row in rows] == [newest()]
