"""Live delivery: one reader of the log per process, for any number of listeners.

The reader wakes up when the bus announces something, and once a second anyway while anyone listens.
It reads the new events once, and tests each against every filter. One statement asks the access
rule which users can see which events now. If an event alone does not decide whether a filter
matches, one more statement for that filter asks the database for all of these users. The events go
into the listeners' queues (`events.subscription`, which also explains how a resuming listener
joins).

The *frontier* is the place up to which the reader has read. It advances in the same step of the
event loop in which the receivers of the new events are chosen, so a listener that joins at a
frontier gets everything after it and nothing before it.

A sweep every 1.5 seconds ends listeners that can no longer see anything they asked to watch, and
those whose events have waited too long. The transport checks whether their credentials are still
valid, because it knows when they were renewed (`web.connections`).
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from db import models
from errors import CursorExpired, NotFound, Unavailable
from events.bus import EVENTS, Bus
from events.cursor import Place
from events.filter import Ask, LogFilter, Pair
from events.log import EventLog, EventPage
from events.subscription import Item, SlowConsumer, Subscription

log = logging.getLogger("taskloom.events")

POLL_SECONDS = 1.0
SWEEP_SECONDS = 1.5
# While events wait behind the horizon, usually for a transaction of a few milliseconds.
_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.05
# After an interruption everyone replays at once, and others want to be served too.
_REPLAYS = 4
# The number of access checks per statement.
_PAIRS = 10_000
# At most so many listeners are woken in one turn of the event loop, which each delays by 10 to 15
# µs.
_TURN = 100


class _Receivers(NamedTuple):
    """An event and the listeners with one filter. `sure`: whether it matches; None if the event
    alone does not tell.
    """

    row: Any
    wanted: LogFilter
    listeners: Sequence[Subscription]
    sure: bool | None


class LiveEvents:
    """One per process: `start` and `close` it in the event loop that it serves."""

    def __init__(self, log: EventLog, bus: Bus, clock: Callable[[], dt.datetime]) -> None:
        self.log = log
        self.replays = asyncio.Semaphore(_REPLAYS)
        self._bus = bus
        self._clock = clock
        self._frontier: Place | None = None
        self._epoch: UUID | None = None
        # All subscriptions that are iterated over, and those among them that receive live events.
        self._open: set[Subscription] = set()
        self._joined: set[Subscription] = set()
        self._wake = asyncio.Event()
        self._somebody = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._unsubscribe: Callable[[], None] = lambda: None
        self._closed = False

    @property
    def listeners(self) -> int:
        """The number of open subscriptions in this process."""
        return len(self._open)

    async def start(self) -> None:
        """Start reading and sweeping."""
        self._unsubscribe = self._bus.subscribe(EVENTS, lambda _: self._wake.set())
        self._tasks = [
            asyncio.create_task(self._read_forever(), name="live: read"),
            asyncio.create_task(self._sweep_forever(), name="live: sweep"),
        ]

    async def close(self) -> None:
        """End all subscriptions with a reason, and stop."""
        self._closed = True
        self._unsubscribe()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for subscription in tuple(self._open):
            subscription.end(_stopping())

    async def subscribe(
        self,
        user_id: UUID,
        wanted: LogFilter,
        *,
        after: str | None = None,
        path: Sequence[str | int] = (),
    ) -> Subscription:
        """The events that match and that this user can see: those after a cursor, then live ones.

        Without a cursor it starts with what is committed from now on, even if the iteration starts
        later. `path` is the path of the filter in the caller's arguments.

        Raises `BadInput` or `CursorExpired` for the cursor, `NotFound` if nothing of the filter's
        projects or tasks is visible, `Unavailable` when stopping. The iteration ends with
        `NotFound`, `CursorExpired`, `SlowConsumer` or `Unavailable`.
        """
        if self._closed:
            raise _stopping()
        if await self._blind([(user_id, wanted)]):
            raise NotFound("project or task", path=path)
        if after is None:
            start = (await self.log.head()).cursor
        else:
            start = await self.log.resume(after, self._clock(), ("after",))
        return Subscription(self, user_id, wanted, start)

    # --- for subscriptions -----------------------------------------------------------------------

    def opened(self, subscription: Subscription) -> None:
        """Register a subscription whose iteration starts."""
        self._open.add(subscription)

    def left(self, subscription: Subscription) -> None:
        """Unregister a subscription whose iteration has ended."""
        self._open.discard(subscription)
        self._joined.discard(subscription)

    async def join(self, subscription: Subscription) -> Place:
        """Start live events for a subscription. Returns the frontier after which they start,
        without a gap.
        """
        while self._frontier is None:
            head = (await self.log.head()).cursor
            # Another task can have set it in the meantime.
            if self._frontier is None:
                self._frontier, self._epoch = head.place, head.epoch
        self._joined.add(subscription)
        self._somebody.set()
        return self._frontier

    # --- the shared reader -----------------------------------------------------------------------

    async def _read_forever(self) -> None:
        pause, frontier = _FIRST_PAUSE, self._frontier
        while True:
            if not self._joined:
                # Without listeners, stop reading; the next listener starts at the head of that
                # time.
                self._frontier = None
                self._somebody.clear()
                await self._somebody.wait()
            self._wake.clear()
            wait = POLL_SECONDS
            try:
                page = await self._advance()
            except Exception:
                log.exception("the event log cannot be read")
                page = None
            if page is not None:
                if page.more:
                    continue
                if self._frontier != frontier:
                    # Another transaction holds the rest back than did before.
                    pause, frontier = _FIRST_PAUSE, self._frontier
                if page.waiting:
                    wait, pause = pause, min(pause * 2, _LONGEST_PAUSE)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def _advance(self) -> EventPage | None:
        """Read the new events and deliver them."""
        if self._frontier is None:
            return None
        page = await self.log.read_after(self._frontier)
        # No await between here and the choice of the receivers; see the module.
        if page.cursor.epoch != self._epoch:
            self._begin_again(page)
            return page
        self._frontier = page.cursor.place
        for part in _chunks(self._receivers(page.rows)):
            await self._deliver(part)
        return page

    def _receivers(self, rows: Sequence[Any]) -> list[_Receivers]:
        """Who may get these events, by filter: many have the same one."""
        by_filter: dict[LogFilter, list[Subscription]] = defaultdict(list)
        if rows:
            for one in self._joined:
                by_filter[one.wanted].append(one)
        found = ((row, wanted, wanted.matches(row)) for row in rows for wanted in by_filter)
        return [
            _Receivers(row, wanted, by_filter[wanted], sure)
            for row, wanted, sure in found
            if sure is not False
        ]

    async def _deliver(self, part: Sequence[_Receivers]) -> None:
        pairs = {(each.row.position, one.user_id) for each in part for one in each.listeners}
        while True:
            try:
                allowed = await self.log.allowed(pairs)
                break
            except Exception:
                # The frontier is already past these events, so they must not be dropped.
                log.exception("access to events cannot be checked")
                await asyncio.sleep(POLL_SECONDS)
                if not any(one in self._joined for each in part for one in each.listeners):
                    return
        # A listener has one filter, and gets its events in order.
        by_question: dict[Ask | None, list[_Receivers]] = defaultdict(list)
        for each in part:
            by_question[each.wanted.ask].append(each)
        async with asyncio.TaskGroup() as putting:
            for ask, some in by_question.items():
                putting.create_task(self._put(ask, some, allowed))

    async def _put(
        self, ask: Ask | None, part: Sequence[_Receivers], allowed: set[tuple[int, UUID]]
    ) -> None:
        """Put events into the queues of those who can see them."""
        found = None if ask is None else await self._matching(ask, part)
        matching = found or set()
        now = time.monotonic()
        for row, _, listeners, sure in part:
            item = Item(now, now, row, sure)
            other = item
            if sure is None and found is not None:
                item, other = item._replace(matches=True), item._replace(matches=False)
            for number, one in enumerate(listeners, 1):
                if (row.position, one.user_id) in allowed:
                    alike = other is item or (one.user_id, row.id) in matching
                    one.put(item if alike else other)
                if number % _TURN == 0:
                    await asyncio.sleep(0)

    async def _matching(self, ask: Ask, part: Sequence[_Receivers]) -> set[Pair] | None:
        """For which users the events match that do not decide it alone; None if that failed."""
        unsure = [each for each in part if each.sure is None]
        if not unsure:
            return None
        events = {each.row.id for each in unsure}
        try:
            return await ask(events, {one.user_id for each in unsure for one in each.listeners})
        except Exception:
            # Each listener asks again, for itself.
            log.exception("filters of events cannot be evaluated")
            return None

    def _begin_again(self, page: EventPage) -> None:
        """Handle a restored database: places of the old epoch have lost their meaning."""
        self._frontier = None
        for one in tuple(self._joined):
            one.end(
                CursorExpired(
                    "The database was restored. Reload your data together with a new `eventCursor`."
                )
            )

    # --- the sweep -------------------------------------------------------------------------------

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            if not self._open:
                continue
            try:
                await self._sweep()
            except Exception:
                log.exception("subscriptions cannot be checked")

    async def _sweep(self) -> None:
        for one in tuple(self._open):
            if one.is_late():
                one.end(SlowConsumer())
        await self._end_the_blind()

    async def _end_the_blind(self) -> None:
        """End subscriptions that can no longer see any of the projects and tasks they named.

        Only when two sweeps agree, so that the event about the lost access is delivered first.
        """
        listeners = tuple(self._open)
        blind = await self._blind([(one.user_id, one.wanted) for one in listeners])
        for index, one in enumerate(listeners):
            if index not in blind:
                one.was_blind = False
            elif one.was_blind:
                one.end(NotFound("project or task"), drain=True)
            else:
                one.was_blind = True

    async def _blind(self, listeners: Sequence[tuple[UUID, LogFilter]]) -> set[int]:
        """The indices of listeners that see none of the projects, or none of the tasks, they
        name.
        """
        blind: set[int] = set()
        for model, named in ((models.Project, _projects), (models.Task, _tasks)):
            things = [(user_id, named(wanted)) for user_id, wanted in listeners]
            pairs = {(thing, user_id) for user_id, ids in things for thing in ids or ()}
            seen = await self.log.readable(model, pairs)
            blind.update(
                index
                for index, (user_id, ids) in enumerate(things)
                if ids is not None and not any((thing, user_id) in seen for thing in ids)
            )
        return blind


def _projects(wanted: LogFilter) -> Collection[UUID] | None:
    return wanted.projects


def _tasks(wanted: LogFilter) -> Collection[UUID] | None:
    return wanted.tasks


def _stopping() -> Unavailable:
    return Unavailable(
        "The server is stopping. Subscribe again with the cursor of the last event you received."
    )


def _chunks(receivers: Sequence[_Receivers]) -> Iterator[list[_Receivers]]:
    """The receivers of events, in order, in chunks for one statement each."""
    chunk: list[_Receivers] = []
    size = 0
    for each in receivers:
        chunk.append(each)
        size += len(each.listeners)
        if size >= _PAIRS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
