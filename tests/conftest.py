"""What tests stand on: a real PostgreSQL with our tables, and a clock that they own.

Tests share the database and stay out of one another's way by making people of their own.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from db import migrate
from db.embedded import EmbeddedPostgres
from db.engine import Database
from settings import Settings, load_settings


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a server for this run: `TASKLOOM_TEST_DATABASE_URL`, or one of its own."""
    given = os.environ.get("TASKLOOM_TEST_DATABASE_URL")
    if given is not None:
        yield given
        return
    with EmbeddedPostgres.temporary() as server:
        yield server.dsn()


@pytest.fixture(scope="session")
async def settings(postgres: str) -> Settings:
    """Settings of the tests, with the database migrated. Hashing passwords is made cheap."""
    made = load_settings(
        {
            "DATABASE_URL": postgres,
            "TASKLOOM_BCRYPT_ROUNDS": "4",
            "TASKLOOM_PUBLIC_URL": "https://taskloom.example",
        },
        env_file=None,
    )
    await migrate.upgrade(made.database)
    return made


@pytest.fixture(scope="session")
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The pools of a process."""
    made = await Database.connect(settings.database)
    yield made
    await made.close()
