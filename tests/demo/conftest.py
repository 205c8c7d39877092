from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from db.engine import Database
from settings import Settings
from tests.databases import copied_database, fresh_database

Fresh = Callable[[], Awaitable[Database]]


@pytest.fixture(scope="module")
async def fresh(settings: Settings) -> AsyncIterator[Fresh]:
    """Makes one more empty database at each call."""
    async with AsyncExitStack() as stack:

        async def make() -> Database:
            return await stack.enter_async_context(fresh_database(settings))

        yield make


@pytest.fixture(scope="module")
async def company(settings: Settings, demo: str) -> AsyncIterator[Database]:
    """A database with the demo company as of now."""
    async with copied_database(settings, demo) as own:
        database = await Database.connect(own)
        yield database
        await database.close()
