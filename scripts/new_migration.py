"""Write the next migration from the models: `python scripts/new_migration.py "what it does"`.

Compares with a throwaway database that has all earlier migrations. Read what it wrote, and tidy it:
names, order, and what existing rows get.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from db import migrate
from db.embedded import EmbeddedPostgres
from settings import load_settings


async def _write(dsn: str, message: str) -> Path:
    settings = load_settings({"DATABASE_URL": dsn}, env_file=None)
    await migrate.upgrade(settings.database)
    return await migrate.revise(settings.database, message)


def _tidy(path: Path) -> None:
    """As `make check` wants it: without Alembic's own comments, and formatted."""
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "# ### " not in line))
    for command in (["check", "--fix-only", "--quiet"], ["format", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, str(path)], check=True)


if len(sys.argv) != 2 or not sys.argv[1]:
    sys.exit(__doc__)
with EmbeddedPostgres.temporary() as server:
    written = asyncio.run(_write(server.dsn(), sys.argv[1]))
_tidy(written)
