"""Fail if the models and a freshly migrated database differ."""

from __future__ import annotations

import asyncio
import sys

from db import migrate
from db.embedded import EmbeddedPostgres
from settings import DatabaseSettings, load_settings


async def _differences(settings: DatabaseSettings) -> list[str]:
    await migrate.upgrade(settings)
    return await migrate.differences(settings)


def main() -> int:
    """Exit status: 0 if they agree."""
    with EmbeddedPostgres.temporary() as server:
        settings = load_settings({"DATABASE_URL": server.dsn()}, env_file=None)
        found = asyncio.run(_differences(settings.database))
    for difference in found:
        print(difference)
    if found:
        print("The models and the migrations differ; write a migration (docs/development.md).")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
