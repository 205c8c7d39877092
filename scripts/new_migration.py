"""Write the next migration from the models: `python scripts/new_migration.py "what it does"`.

It compares them with a throwaway database that has all earlier migrations. Read and tidy the
result.
"""

from __future__ import annotations

import asyncio
import sys

from db import migrate
from db.embedded import EmbeddedPostgres
from settings import load_settings


async def _write(dsn: str, message: str) -> None:
    settings = load_settings({"DATABASE_URL": dsn}, env_file=None)
    await migrate.upgrade(settings.database)
    await migrate.revise(settings.database, message)


if len(sys.argv) != 2 or not sys.argv[1]:
    sys.exit(__doc__)
with EmbeddedPostgres.temporary() as server:
    asyncio.run(_write(server.dsn(), sys.argv[1]))
