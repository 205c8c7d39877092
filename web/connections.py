"""The streams that are open in this process: who holds them, and when each has to end.

A stream (a WebSocket, an event stream over HTTP) outlives the request that opened it, so what was
true of its credentials must be looked at again and again. One task does that for all of them,
every second. Together with the three seconds that the authenticator believes a session's standing,
that keeps the promise that whoever loses access loses it within five seconds, open streams too.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Final, Protocol

from auth.authenticator import Authenticator
from auth.viewer import Credentials
from errors import ErrorCode, Failure

log = logging.getLogger("taskloom.streams")

LOOK_SECONDS: Final = 1.0
_AT_ONCE: Final = 50


class Stream(Protocol):
    """What an open stream lets be done with it."""

    credentials: Credentials

    def tick(self, now: float) -> None:
        """Called about every second with the loop's time, for heartbeats."""

    def expire(self) -> None:
        """End it: its credentials are no longer valid."""

    def going_away(self) -> None:
        """End it: the server stops."""


class TooManyConnections(Failure):
    """This user, or this address, holds as many streams as one may."""

    code = ErrorCode.LIMIT_EXCEEDED

    def __init__(self, maximum: int) -> None:
        super().__init__(
            f"{maximum} live connections are open already; close one of them first.",
            extra={"limit": "connections", "maximum": maximum},
        )


class Connections:
    """One a process."""

    def __init__(self, *, per_user: int) -> None:
        self._per_user = per_user
        self._holders: dict[Stream, str] = {}
        self._counts: Counter[str] = Counter()
        self.stopping = False

    def __len__(self) -> int:
        return len(self._holders)

    def open(self, stream: Stream, address: str | None) -> None:
        """Count a stream in. Raises `TooManyConnections`. Signed out, the address counts."""
        user = stream.credentials.user_id
        holder = f"user {user}" if user is not None else f"address {address}"
        if self._counts[holder] >= self._per_user:
            raise TooManyConnections(self._per_user)
        self._counts[holder] += 1
        self._holders[stream] = holder

    def close(self, stream: Stream) -> None:
        """Count a stream out; harmless for one that was never counted in."""
        holder = self._holders.pop(stream, None)
        if holder is not None:
            self._counts[holder] -= 1
            if not self._counts[holder]:
                del self._counts[holder]

    def stop(self) -> None:
        """The server stops: end all streams, and open no more."""
        self.stopping = True
        for stream in list(self._holders):
            stream.going_away()

    async def watch(self, authenticator: Authenticator) -> None:
        """Look after the streams until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            streams = list(self._holders)
            now = loop.time()
            for start in range(0, len(streams), _AT_ONCE):
                some = streams[start : start + _AT_ONCE]
                for stream in some:
                    stream.tick(now)
                await asyncio.gather(*(self._look(stream, authenticator) for stream in some))

    async def _look(self, stream: Stream, authenticator: Authenticator) -> None:
        try:
            valid = await authenticator.still_valid(stream.credentials)
        except Exception as error:  # noqa: BLE001 - the next look may succeed
            # The database is away. Nothing can be delivered without it either.
            log.warning("a stream's credentials could not be looked at: %s", error)
            return
        if not valid:
            stream.expire()
