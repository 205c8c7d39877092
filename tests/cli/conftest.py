"""What tests of commands share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from settings import (
    Settings,
)
from tests.databases import empty_database


@pytest.fixture(scope="module")
async def empty(settings: Settings) -> AsyncIterator[str]:
    """The address of a database without tables."""
    async with empty_database(settings) as own:
        yield own.dsn
