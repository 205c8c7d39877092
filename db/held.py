"""Connections that reads go through, handed from one to the next with no ceremony.

asyncpg's own pool makes a proxy for each use and a task for each return, so that a connection comes
back clean whatever was done with it. A read leaves nothing behind, and for so little that was a
third of its cost. Here a connection is taken off a list and put back on it. Once open it is kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[Any]"


class Connections:
    """At most `size` of them, each opened when there is first need of it."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], size: int) -> None:
        self._connect = connect
        self._size = size
        self._free: list[Connection] = []
        # How many are open, in use or not, or about to be opened.
        self._open = 0
        # Each is given a connection, or None when there is room to open one.
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()

    @property
    def size(self) -> int:
        """How many there may be."""
        return self._size

    @property
    def in_use(self) -> int:
        """How many are taken, or are being opened to be taken."""
        return self._open - len(self._free)

    async def take(self) -> Connection:
        """A connection for one's own use, which must be given back."""
        while True:
            while self._free:
                connection = self._free.pop()
                if not connection.is_closed():
                    return connection
                self._open -= 1
            if self._open < self._size:
                return await self._opened()
            waited = await self._given()
            if waited is not None:
                return waited

    def give(self, connection: Connection) -> None:
        """Back, whatever became of it. A statement that was cancelled may still be ending: asyncpg
        has the next one wait for that.
        """
        if connection.is_closed():
            self._open -= 1
            self._hand(None)
        elif not self._hand(connection):
            self._free.append(connection)

    async def close(self) -> None:
        """Close all, those in use when they come back."""
        self._size = 0
        while self._open:
            connection = self._free.pop() if self._free else await self._given()
            if connection is not None:
                self._open -= 1
                await connection.close()

    async def _opened(self) -> Connection:
        self._open += 1
        try:
            return await self._connect()
        except BaseException:
            self._open -= 1
            self._hand(None)
            raise

    async def _given(self) -> Connection | None:
        future: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                # It was handed over in the very moment in which nobody wanted it any more.
                connection = future.result()
                if connection is None:
                    self._hand(None)
                else:
                    self.give(connection)
            raise

    def _hand(self, connection: Connection | None) -> bool:
        """To whoever waits the longest; False where nobody does."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(connection)
                return True
        return False
