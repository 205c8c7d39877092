"""A worker that makes the exports of tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from jobs.worker import worker_context
from jobs.worker_context import WorkerContext
from tests.factories import World


@pytest.fixture(scope="module")
async def context(world: World) -> AsyncIterator[WorkerContext]:
    """A worker's, of the application's own database."""
    async with worker_context(world.services.settings) as made:
        yield made
