from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from db.engine import Database
from settings import Settings
from tests.databases import fresh_database

Fresh = Callable[[], Awaitable[Database]]


@pytest.fixture(scope="module")
async def fresh(settings: Settings) -> AsyncIterator[Fresh]:
    """Makes one more empty database at each call."""
    async with AsyncExitStack() as stack:

        async def make() -> Database:
            return await stack.enter_async_context(fresh_database(settings))

        yield make
