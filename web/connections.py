"""The open streams of this process: whose they are, and when each has to end.

A stream (a WebSocket, an event stream over HTTP) outlives the request that opened it, so its
credentials must be checked again and again. One task does that for all streams, every second.
Together with the three seconds for which the authenticator trusts a session's state, this keeps the
promise that lost access ends within five seconds, for open streams too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Final, Protocol
from uuid import UUID

from auth.authenticator import Authenticator
from auth.viewer import Credentials
from errors import ErrorCode, Failure

# How long a socket may stay without `connection_init` before it counts: after a restart many
# clients behind one address reconnect at once, and each needs a moment for its first message.
GREETING_SECONDS: Final = 1.0

log = logging.getLogger("taskloom.streams")

LOOK_SECONDS: Final = 1.0
# Clients of a server that stops come back spread over so many seconds.
_RETRY_SECONDS: Final = (1.0, 5.0)
_AT_ONCE: Final = 50
_ENTERING: Final = 4
_TURN_SECONDS: Final = 5.0


def retry_seconds() -> float:
    """How long a client should wait before it connects again: not all at once."""
    return random.uniform(*_RETRY_SECONDS)  # noqa: S311 - only spreads them


class Stream(Protocol):
    """What `Connections` needs of an open stream."""

    credentials: Credentials

    def tick(self, now: float) -> None:
        """Called about every second with the loop's time, for heartbeats."""

    def expire(self) -> None:
        """End it: its credentials are no longer valid."""

    def going_away(self) -> None:
        """End it: the server is stopping."""


class Waiting(Protocol):
    """A socket whose client has not identified itself yet."""

    def refuse(self, failure: Failure) -> None:
        """End it."""

    def going_away(self) -> None:
        """End it: the server is stopping."""


class TooManyConnections(Failure):
    """This user, or this address, has as many open streams as allowed."""

    code = ErrorCode.LIMIT_EXCEEDED

    def __init__(self, maximum: int) -> None:
        super().__init__(
            f"{maximum} live connections are open already; close one first.",
            extra={"limit": "connections", "maximum": maximum},
        )


class Connections:
    """One per process."""

    def __init__(self, *, per_user: int) -> None:
        self._per_user = per_user
        self._holders: dict[Stream, str] = {}
        self._counts: Counter[str] = Counter()
        # Sockets that wait for their first message: by address, each with the loop's time since.
        self._waiting: dict[str | None, dict[Waiting, float]] = {}
        self._entering = asyncio.Semaphore(_ENTERING)
        self.stopping = False
        # In seconds of `time.monotonic`.
        self.stopping_since = 0.0

    def __len__(self) -> int:
        return len(self._holders)

    def open(self, stream: Stream, address: str | None) -> None:
        """Count a new stream. Raises `TooManyConnections`. If signed out, the address counts."""
        holder = _holder(stream.credentials.user_id, address)
        if self._counts[holder] >= self._per_user:
            raise TooManyConnections(self._per_user)
        self._counts[holder] += 1
        self._holders[stream] = holder

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """For the steps by which a stream is opened. After an interruption all clients come back at
        once; these steps are taken a few at a time, in order, so that other requests get their turn
        between them. Nobody waits longer than `_TURN_SECONDS`, such as for a database that hangs.
        """
        acquired = False
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TURN_SECONDS):
                    acquired = await self._entering.acquire()
            yield
        finally:
            if acquired:
                self._entering.release()

    def wait(self, socket: Waiting, address: str | None, now: float) -> None:
        """Count a socket that is not yet open as a stream; `now` is the loop's time."""
        self._waiting.setdefault(address, {})[socket] = now

    def waited(self, socket: Waiting, address: str | None) -> None:
        """Stop counting it, whether it was opened or closed; harmless if repeated."""
        waiting = self._waiting.get(address, {})
        waiting.pop(socket, None)
        if not waiting:
            self._waiting.pop(address, None)

    def _refuse_waiting(self, now: float) -> None:
        """No more may wait than may be open: of one address, and together."""
        failure = TooManyConnections(self._per_user)
        for address, waiting in list(self._waiting.items()):
            left = max(0, self._per_user - self._counts[_holder(None, address)])
            silent = [one for one, since in waiting.items() if now - since > GREETING_SECONDS]
            for socket in silent[left:]:
                socket.refuse(failure)

    def close(self, stream: Stream) -> None:
        """Stop counting a stream; harmless if it was never counted."""
        holder = self._holders.pop(stream, None)
        if holder is not None:
            self._counts[holder] -= 1
            if not self._counts[holder]:
                del self._counts[holder]

    def stop(self) -> None:
        """End all streams and open no more: the server is stopping."""
        if not self.stopping:
            self.stopping_since = time.monotonic()
        self.stopping = True
        waiting = [socket for sockets in self._waiting.values() for socket in sockets]
        for stream in list(self._holders):
            stream.going_away()
        for socket in waiting:
            socket.going_away()

    async def watch(self, authenticator: Authenticator) -> None:
        """Look after the streams until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            streams = list(self._holders)
            now = loop.time()
            self._refuse_waiting(now)
            for start in range(0, len(streams), _AT_ONCE):
                some = streams[start : start + _AT_ONCE]
                for stream in some:
                    stream.tick(now)
                # A task for each would be most of what streams cost that wait.
                unknown = [one for one in some if not authenticator.known_valid(one.credentials)]
                await asyncio.gather(*(self._look(stream, authenticator) for stream in unknown))

    async def _look(self, stream: Stream, authenticator: Authenticator) -> None:
        try:
            valid = await authenticator.still_valid(stream.credentials)
        except Exception as error:  # noqa: BLE001 - the next look may succeed
            # The database is unreachable. Nothing can be delivered without it either.
            log.warning("the credentials of a stream could not be checked: %s", error)
            return
        if not valid:
            stream.expire()


def _holder(user_id: UUID | None, address: str | None) -> str:
    return f"address {address}" if user_id is None else f"user {user_id}"
