"""One listener: replays the log from a cursor, then continues live, without gap or repetition.

During the replay it reads the log page by page. At the end of the log it joins the live delivery
(`events.live`) and gets the *frontier*, after which events are put into its queue. It reads on
until it has passed the frontier and then takes events from the queue, skipping those that it has
already read, by comparing places. So there is neither a gap nor a repetition, and no one waits.

Access to an event is checked when it is read or put into the queue, and again if it has waited for
more than a second.

The queue is bounded. A listener that leaves too many events waiting, or one for too long, is
disconnected with a reason; nothing is lost, since it can resume with the cursor of the last event
it received. Queues share the events, so an idle listener costs a few kilobytes.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol, Self
from uuid import UUID

from errors import CursorExpired, ErrorCode, Failure
from events.cursor import Cursor, Place
from events.filter import LogFilter
from events.log import EventLog

QUEUE_EVENTS = 1_000
QUEUE_SECONDS = 45.0
_FRESH_SECONDS = 1.0


class SlowConsumer(Failure):
    """Events waited too long; a slow reader is disconnected and resumes from its cursor."""

    code = ErrorCode.LIMIT_EXCEEDED

    def __init__(self) -> None:
        super().__init__(
            f"Events were not received in time: at most {QUEUE_EVENTS:,} can wait, and none "
            f"longer than {QUEUE_SECONDS:.0f} seconds. Subscribe again with the cursor of the "
            "last event you received; nothing is lost."
        )


class Item(NamedTuple):
    """An event that waits, and may be shared by many listeners: when it arrived, when access to it
    was last checked, and whether it matches; None if that was not asked.
    """

    arrived: float
    checked: float
    row: Any
    matches: bool | None


class Delivery(Protocol):
    """The part of the live delivery that a subscription needs."""

    log: EventLog
    # So many read pages of the log at the same time.
    replays: asyncio.Semaphore

    def opened(self, subscription: Subscription) -> None: ...

    def left(self, subscription: Subscription) -> None: ...

    async def join(self, subscription: Subscription) -> Place: ...


# Most subscriptions wait for nothing most of the time, and an empty deque takes 760 bytes.
_NOTHING: deque[Item] = deque(maxlen=0)


class Subscription(AsyncIterator[Any]):
    """Created by `LiveEvents.subscribe`; iterate over it in one task, and `aclose` it."""

    __slots__ = (
        "_caught_up",
        "_delivery",
        "_ended",
        "_epoch",
        "_frontier",
        "_news",
        "_page",
        "_place",
        "_queue",
        "_waiter",
        "user_id",
        "wanted",
        "was_blind",
    )

    def __init__(
        self,
        delivery: Delivery,
        user_id: UUID,
        wanted: LogFilter,
        start: Cursor,
    ) -> None:
        self.user_id = user_id
        self.wanted = wanted
        # For the sweep: whether it could see nothing of what it watches at the last check.
        self.was_blind = False
        self._delivery = delivery
        self._epoch = start.epoch
        # Read up to this place by itself.
        self._place = start.place
        self._frontier: Place | None = None
        self._caught_up = False
        self._page = _NOTHING
        self._queue = _NOTHING
        # Whether something came, or it was ended, since the iteration last looked.
        self._news = False
        self._waiter: asyncio.Future[None] | None = None
        self._ended: Failure | StopAsyncIteration | None = None

    # --- for the listener -------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return (await self.next_item()).row

    async def next_item(self) -> Item:
        """The next event, once there is one. Raises like the iteration."""
        if self._ended is None:
            self._delivery.opened(self)
        while True:
            self._news = False
            if (item := self._waiting()) is not None:
                return item
            if source := self._page or self._queue:
                await self._check_again(source)
            elif self._ended is not None:
                raise self._ended
            elif self._caught_up:
                await self._wait()
            else:
                await self._replay()

    def with_waiting(self, first: Item, most: int) -> list[Item]:
        """The event that was returned, and those that wait behind it: at most so many."""
        items = [first]
        while len(items) < most and (item := self._waiting()) is not None:
            items.append(item)
        return items

    async def still_visible(self, rows: Sequence[Any]) -> list[Any]:
        """Those of these events that the listener can still see."""
        pairs = {(row.position, self.user_id) for row in rows}
        allowed = await self._delivery.log.allowed(pairs)
        return [row for row in rows if (row.position, self.user_id) in allowed]

    async def aclose(self) -> None:
        """Stop listening. A waiting iteration ends."""
        self.end(StopAsyncIteration())

    # --- for the live delivery -------------------------------------------------------------------

    def put(self, item: Item) -> None:
        """Add an event that the listener can see."""
        if self._ended is not None:
            return
        if len(self._queue) >= QUEUE_EVENTS:
            self.end(SlowConsumer())
            return
        if self._queue is _NOTHING:
            self._queue = deque()
        self._queue.append(item)
        self._wake()

    def is_late(self) -> bool:
        """Whether an event has waited too long."""
        return bool(self._queue) and time.monotonic() - self._queue[0].arrived > QUEUE_SECONDS

    def end(self, reason: Failure | StopAsyncIteration, *, drain: bool = False) -> None:
        """Disconnect the listener. `drain`: waiting events are still delivered."""
        if self._ended is not None:
            return
        self._ended = reason
        self._delivery.left(self)
        if not drain:
            self._page.clear()
            self._queue.clear()
        self._wake()

    # --- internals -------------------------------------------------------------------------------

    def _wake(self) -> None:
        self._news = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        if not self._news:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _over(self) -> bool:
        return self._ended is not None

    def _waiting(self) -> Item | None:
        """The next waiting event, if access to it need not be checked again; otherwise None."""
        while source := self._page or self._queue:
            item = source[0]
            if time.monotonic() - item.checked > _FRESH_SECONDS:
                return None
            source.popleft()
            replayed = source is self._page
            if not source:
                self._drained()
            if replayed or (item.row.xid, item.row.position) > self._place:
                return item
        return None

    def _drained(self) -> None:
        self._page = self._page or _NOTHING
        self._queue = self._queue or _NOTHING

    async def _check_again(self, source: deque[Item]) -> None:
        count = len(source)
        allowed = await self._delivery.log.allowed(
            {(item.row.position, self.user_id) for item in source}
        )
        if len(source) < count:
            return  # It was ended in the meantime, and nothing is left to deliver.
        now = time.monotonic()
        kept = [
            Item(item.arrived, now, item.row, self.wanted.matches(item.row))
            for item in islice(source, count)
            if (item.row.position, self.user_id) in allowed
        ]
        came_since = list(islice(source, count, None))
        source.clear()
        source.extend(kept)
        source.extend(came_since)

    async def _replay(self) -> None:
        """Read one page of the log, or the last pages up to the start of live events."""
        while True:
            async with self._delivery.replays:
                page = await self._delivery.log.read_visible(self.user_id, self._place)
            if page.cursor.epoch != self._epoch:
                raise CursorExpired("The database was restored; reload your data.")
            if self._over():
                return
            now = time.monotonic()
            found = [(row, self.wanted.matches(row)) for row in page.rows]
            items = [Item(now, now, row, sure) for row, sure in found if sure is not False]
            if items:
                self._page = deque([*self._page, *items])
            self._place = page.cursor.place
            if page.more:
                return
            if self._frontier is None:
                self._frontier = await self._delivery.join(self)
                if self._over():
                    # Closed while it waited to join: nothing else would unregister it.
                    self._delivery.left(self)
                    return
            if self._place >= self._frontier:
                self._caught_up = True
                return
