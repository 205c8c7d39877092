"""Adds changes of counts up, every few seconds (`domain.tasks.counters`)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from db.engine import Database
from domain.tasks import counters

log = logging.getLogger("taskloom.counters")

# Readers add up the changes since the last time themselves: 10,000 of them take 1 ms.
EVERY_SECONDS: Final = 5.0


async def run_forever(
    database: Database, stop: asyncio.Event, *, every: float = EVERY_SECONDS
) -> None:
    """Merge now, and again whenever `every` seconds have passed, until `stop` is set."""
    while not stop.is_set():
        try:
            await counters.merge(database)
        except Exception:
            log.exception("changes of counters could not be merged")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(every):
                await stop.wait()
