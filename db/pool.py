"""Connections, handed from one user to the next with no ceremony.

asyncpg's own pool makes a proxy for each use and a task for each return, so that a connection comes
back clean whatever was done with it; for a read that was a third of its cost. Here a connection is
taken off a list and put back on it, under one rule: *it is put back only if it is known to be
idle*, that is if its last statement was answered and it is outside a transaction. Every other one
is terminated at once, without waiting for anything, and whoever waits may open a new one.

A statement that was broken off can leave its connection in any state, and the driver does not know
in which: a BEGIN may be under way, or a statement be prepared that nobody will execute. Nothing may
be awaited to find out, since a task that was cancelled may be cancelled again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import asyncpg

from db.faults import DatabaseFault, PoolTimeout, database_fault

Connection: TypeAlias = "asyncpg.Connection[Any]"

# How long `close` waits for those who still use a connection.
CLOSE_SECONDS = 5.0
# After the server has refused a connection, none is asked for while others can be waited for.
_REFUSED_SECONDS = 0.1


class Pooled(Protocol):
    """What a pool has to know of a connection; asyncpg's is one."""

    def is_closed(self) -> bool:
        """Whether it can be used no more."""

    def is_in_transaction(self) -> bool:
        """Whether a transaction is open, as far as the server has said."""

    def terminate(self) -> None:
        """Close it without waiting for anything."""


C = TypeVar("C", bound=Pooled)


class Pool(Generic[C]):
    """At most `size` of them, each opened when there is first need of it.

    `timeout`: how many seconds somebody waits for one before `PoolTimeout` is raised.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[C]], size: int, *, timeout: float = 10.0
    ) -> None:
        self._connect = connect
        self._size = size
        self._timeout = timeout
        self._free: list[C] = []
        # All that are open, in use or not; and how many are being opened.
        self._all: set[C] = set()
        self._opening = 0
        # Each is given a connection, or None when there is room to open one.
        self._waiting: deque[asyncio.Future[C | None]] = deque()
        self._refused_until = 0.0
        self._closed = False

    @property
    def size(self) -> int:
        """How many there may be."""
        return self._size

    @property
    def in_use(self) -> int:
        """How many are taken, or are being opened to be taken."""
        return self._open - len(self._free)

    @property
    def _open(self) -> int:
        return len(self._all) + self._opening

    async def acquire(self) -> C:
        """A connection for one's own use: end with `release` or `discard`.

        Where the server accepts no more connections (or none at present), one of those that exist
        is waited for; if there are none, its error is raised. Raises `PoolTimeout`.
        """
        while self._free:
            connection = self._free.pop()
            if not connection.is_closed():
                return connection
            self.discard(connection)
        return await self._opened_or_released()

    def release(self, connection: C) -> None:
        """Back, after the last statement was answered (with rows or with an error)."""
        if self._closed or connection.is_closed() or connection.is_in_transaction():
            self.discard(connection)
        elif not self._hand(connection):
            self._free.append(connection)

    def discard(self, connection: C) -> None:
        """Not back, since nobody knows what it is doing: closed at once, and its place is free."""
        self._all.discard(connection)
        try:
            connection.terminate()
        finally:
            self._hand(None)

    def discard_free(self) -> None:
        """Where the server has closed one connection, it has most likely closed the idle ones too,
        though this process may not have heard of it yet.
        """
        while self._free:
            self.discard(self._free.pop())

    @contextlib.contextmanager
    def answering(self, connection: C) -> Iterator[None]:
        """Around one statement outside of a transaction: what was taken is given back if the server
        has answered it, and discarded if not.
        """
        try:
            yield
        except asyncpg.PostgresError as error:
            # The driver raises some of these by itself, for a value that it cannot send: by then
            # the statement is prepared, and the server waits.
            if error.severity is None:
                self.discard(connection)
            else:
                self.release(connection)
            raise
        except BaseException:
            self.discard(connection)
            raise
        self.release(connection)

    @asynccontextmanager
    async def acquired(self) -> AsyncIterator[C]:
        """One for as long as the block lasts; given back if the block ends well."""
        connection = await self.acquire()
        try:
            yield connection
        except BaseException:
            self.discard(connection)
            raise
        self.release(connection)

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Close all; those in use when they come back, and after so many seconds whatever they do.

        Whoever waits for one, or asks for one from now on, gets a `ConnectionError`.
        """
        self._closed = True
        self.discard_free()
        self._fail(_closed())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._open:
                    with contextlib.suppress(ConnectionError):
                        await self._released()
        for connection in tuple(self._all):
            self.discard(connection)

    async def _opened_or_released(self) -> C:
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._timeout
        while True:
            if self._closed:
                raise _closed()
            may_ask = self._open == 0 or loop.time() >= self._refused_until
            if may_ask and self._open < self._size:
                try:
                    return await self._opened()
                except Exception as error:
                    if self._open == 0:
                        self._fail(error)
                    if self._open == 0 or database_fault(error) is not DatabaseFault.UNREACHABLE:
                        raise
                    self._refused_until = loop.time() + _REFUSED_SECONDS
            try:
                async with asyncio.timeout_at(ends):
                    connection = await self._released()
            except TimeoutError as error:
                raise PoolTimeout(self._size, self._timeout) from error
            if connection is not None:
                if not connection.is_closed():
                    return connection
                self.discard(connection)

    async def _opened(self) -> C:
        """Opened in a task of its own, so that whoever waits for it may leave at any moment: what
        comes of it then is closed.
        """
        self._opening += 1
        opening = asyncio.ensure_future(self._connect())
        try:
            connection = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_terminate)
            opening.cancel()
            # After the others: there is room again.
            asyncio.get_running_loop().call_soon(self._hand, None)
            raise
        finally:
            self._opening -= 1
        self._all.add(connection)
        if self._closed:
            self.discard(connection)
            raise _closed()
        return connection

    async def _released(self) -> C | None:
        future: asyncio.Future[C | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                # It was handed over in the very moment in which nobody wanted it any more.
                connection = future.result()
                if connection is None:
                    self._hand(None)
                else:
                    self.release(connection)
            raise

    def _fail(self, error: Exception) -> None:
        """No connection is left to be waited for, and none can be opened."""
        if self._closed:
            error = _closed()
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(error)

    def _hand(self, connection: C | None) -> bool:
        """To whoever waits the longest; False if nobody does."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(connection)
                return True
        return False


def _closed() -> ConnectionError:
    return ConnectionError("the connections of this process have been closed")


def _terminate(opening: asyncio.Future[Any]) -> None:
    """Close what nobody waited for."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().terminate()
