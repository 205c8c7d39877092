"""A connection pool with little overhead.

asyncpg's own pool makes a proxy for each acquire and a task for each release, to reset a connection
no matter how it was used; that was a third of the cost of a read. Here a connection is popped from
a list and appended to it again, under one rule: *it is released only if it is known to be idle*,
that is, its last statement was answered and it is outside a transaction. Every other connection is
terminated at once, without waiting, and a waiting caller may open a new one.

A statement that was interrupted can leave its connection in any state, and the driver does not know
which: a BEGIN may be in progress, or a statement may be prepared but never executed. The pool must
not await anything to find out, since a task that was cancelled may be cancelled again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import asyncpg

from db.faults import AWAY, PoolTimeout, database_fault

Connection: TypeAlias = "asyncpg.Connection[Any]"

# How long `close` waits for connections in use.
CLOSE_SECONDS = 5.0
# After the server has refused a connection, callers wait this long for others to be released.
_REFUSED_SECONDS = 0.1


class Pooled(Protocol):
    """What the pool needs of a connection; asyncpg's connections have it."""

    def is_closed(self) -> bool:
        """Whether the connection is closed."""

    def is_in_transaction(self) -> bool:
        """Whether a transaction is open, according to the server's last answer."""

    def terminate(self) -> None:
        """Close the connection without waiting."""


C = TypeVar("C", bound=Pooled)


class Pool(Generic[C]):
    """At most `size` connections, each opened when it is first needed.

    `timeout`: how many seconds `acquire` waits before it raises `PoolTimeout`.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[C]], size: int, *, timeout: float = 10.0
    ) -> None:
        self._connect = connect
        self._size = size
        self._timeout = timeout
        self._free: list[C] = []
        # All open connections, in use or not; and how many are being opened.
        self._all: set[C] = set()
        self._opening = 0
        # Each gets a connection, or None if there is room to open one.
        self._waiting: deque[asyncio.Future[C | None]] = deque()
        self._refused_until = 0.0
        # Connections that are not reused once they are released.
        self._stale: set[C] = set()
        self._closed = False

    @property
    def size(self) -> int:
        """The maximum number of connections."""
        return self._size

    @property
    def in_use(self) -> int:
        """How many connections are in use, including those that are being opened."""
        return self._open - len(self._free)

    @property
    def _open(self) -> int:
        return len(self._all) + self._opening

    async def acquire(self) -> C:
        """Acquire a connection; the caller must `release` or `discard` it.

        If the server accepts no more connections (or none at present), waits for one of the
        existing connections; if there are none, raises the server's error. Raises `PoolTimeout`.
        """
        while self._free:
            connection = self._free.pop()
            if not connection.is_closed():
                return connection
            self.discard(connection)
        return await self._opened_or_released()

    def release(self, connection: C) -> None:
        """Return a connection whose last statement was answered (with rows or with an error)."""
        unfit = self._closed or connection.is_closed() or connection.is_in_transaction()
        if unfit or connection in self._stale:
            self.discard(connection)
        elif not self._hand(connection):
            self._free.append(connection)

    def discard(self, connection: C) -> None:
        """Close a connection whose state is unknown, and free its slot."""
        self._all.discard(connection)
        self._stale.discard(connection)
        try:
            connection.terminate()
        finally:
            self._hand(None)

    def discard_free(self) -> None:
        """Discard all idle connections.

        If the server has closed one connection, it has most likely closed the idle ones too, even
        if this process has not noticed yet.
        """
        while self._free:
            self.discard(self._free.pop())

    def renew(self) -> None:
        """Use no present connection again: those in use are discarded when they are released.

        A server that accepts no changes may have been the primary; a new connection finds out who
        is now.
        """
        self._stale.update(self._all)
        self.discard_free()

    @contextlib.contextmanager
    def answering(self, connection: C) -> Iterator[None]:
        """For one statement outside a transaction: releases the connection if the server has
        answered the statement, and discards it if not.
        """
        try:
            yield
        except asyncpg.PostgresError as error:
            # The driver itself raises some of these, without a severity, for a value that it cannot
            # send: by then the statement is prepared, and the server waits.
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
        """Acquire a connection for a block; discard it if the block raises an error."""
        connection = await self.acquire()
        try:
            yield connection
        except BaseException:
            self.discard(connection)
            raise
        self.release(connection)

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Close all connections: those in use when they are released, but after `seconds` at the
        latest.

        Callers that wait for a connection, or ask for one from now on, get a `ConnectionError`.
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
                    if self._open == 0 or database_fault(error) not in AWAY:
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
        """Open a connection in a separate task, so that the caller can be cancelled at any moment;
        the connection is then closed once it is open.
        """
        self._opening += 1
        opening = asyncio.ensure_future(self._connect())
        try:
            connection = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_terminate)
            opening.cancel()
            # Scheduled, since the slot is free only after the `finally` block.
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
                # The connection was handed over just as this task was cancelled.
                connection = future.result()
                if connection is None:
                    self._hand(None)
                else:
                    self.release(connection)
            raise

    def _fail(self, error: Exception) -> None:
        """Fail all waiting callers: no connection exists, and none can be opened."""
        if self._closed:
            error = _closed()
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(error)

    def _hand(self, connection: C | None) -> bool:
        """Hand it to the caller that has waited longest; False if no caller waits."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(connection)
                return True
        return False


def _closed() -> ConnectionError:
    return ConnectionError("the connections of this process have been closed")


def _terminate(opening: asyncio.Future[Any]) -> None:
    """Close a connection that opened after its caller was cancelled."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().terminate()
