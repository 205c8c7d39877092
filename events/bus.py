"""The bus: lets processes notify each other of news at once.

The bus carries hints, not facts. An announcement says that the log has events about certain
projects and users; interested readers then read the log. So a lost message causes a delay (readers
poll once a second anyway) and never a lost event, and Redis needs no persistence.

Within a process a message is delivered by a function call. With Redis it also goes to the other
processes through one channel; a process ignores its own messages there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

import orjson

from db import redis
from settings import RedisSettings

log = logging.getLogger("taskloom.events")

EVENTS = "events"
"""The topic of announcements: `{"projects": [id, …], "users": [id, …]}`, with IDs as text."""

JOBS = "jobs"
"""The topic that wakes workers: jobs were queued that are due now. The payload is empty."""


# Within a process: whether the bus hears the others from now on.
_CONNECTION = "connection"


@dataclass(frozen=True, slots=True)
class Announcement:
    """Published after a commit: the log has new events about these projects and users."""

    projects: Collection[UUID] = ()
    users: Collection[UUID] = ()


Callback = Callable[[Any], None]

# The wait before Redis is tried again, in seconds: first and maximum, doubling in between.
_RETRY = (0.05, 1.0)
# The messages kept while Redis is unreachable. They are hints, so the oldest can be dropped.
_BACKLOG = 1000
_FAREWELL_SECONDS = 1.0
# How many messages are sent together, and how long `publish_heard` waits.
_TOGETHER = 100
_HEARD_SECONDS = 0.25


class Bus(ABC):
    """Small messages by topic. A payload is any JSON value (IDs as text)."""

    def __init__(self) -> None:
        self._callbacks: dict[str, list[Callback]] = {}

    @abstractmethod
    async def start(self) -> None:
        """Start receiving messages. Does not wait for other processes or fail without them."""

    @abstractmethod
    async def close(self) -> None:
        """Stop sending and receiving."""

    @abstractmethod
    async def publish(self, topic: str, payload: Any) -> None:
        """Send to all processes, including this one. Never fails and never waits for the
        network.
        """

    async def publish_heard(self, topic: str, payload: Any) -> None:
        """The same, but return only when all processes have acted on the message, or after
        `_HEARD_SECONDS`. For what must take effect before the client is answered.
        """
        await self.publish(topic, payload)

    async def ready(self) -> bool:
        """Whether the other processes are reachable now."""
        return True

    @property
    def hears(self) -> bool:
        """Whether messages of the other processes arrive, as far as is known."""
        return True

    async def announce(self, news: Announcement) -> None:
        """Announce, after the commit, that the log has new events."""
        await self.publish(
            EVENTS,
            {
                "projects": [key.hex for key in news.projects],
                "users": [key.hex for key in news.users],
            },
        )

    def subscribe(self, topic: str, callback: Callback) -> Callable[[], None]:
        """Call `callback(payload)` for each message, in the event loop; it must not block.

        Returns a function that ends the subscription.
        """
        callbacks = self._callbacks.setdefault(topic, [])
        callbacks.append(callback)

        def unsubscribe() -> None:
            with contextlib.suppress(ValueError):
                callbacks.remove(callback)

        return unsubscribe

    def on_connection(self, callback: Callable[[bool], None]) -> Callable[[], None]:
        """Call `callback(hears)` whenever that changes. What the others said in between is lost.

        Returns a function that ends it.
        """
        return self.subscribe(_CONNECTION, callback)

    def _deliver(self, topic: str, payload: Any) -> None:
        for callback in tuple(self._callbacks.get(topic, ())):
            try:
                callback(payload)
            except Exception:
                log.exception("a listener of the bus failed", extra={"topic": topic})


class LocalBus(Bus):
    """The bus of a single process."""

    async def start(self) -> None:
        """There are no other processes."""

    async def close(self) -> None:
        self._callbacks.clear()

    async def publish(self, topic: str, payload: Any) -> None:
        # Through JSON as well, so that listeners see the same with and without Redis.
        self._deliver(topic, orjson.loads(orjson.dumps(payload)))


class RedisBus(Bus):
    """The bus of several processes, over one Redis publish/subscribe channel.

    It runs two tasks, each of which reconnects for as long as it takes: one receives, the other
    sends what `publish` put into the backlog.
    """

    def __init__(self, url: str, prefix: str) -> None:
        super().__init__()
        self.url = url
        self._client = redis.connect(
            url, socket_connect_timeout=2.0, socket_timeout=5.0, health_check_interval=5
        )
        self._channel = f"{prefix}bus"
        self._origin = secrets.token_hex(8)
        # Where the others answer to `publish_heard`: how many have answered, by message.
        self._answers = f"{self._channel}:{self._origin}"
        self._heard: dict[str, asyncio.Semaphore] = {}
        # Messages, with their channels.
        self._backlog: deque[tuple[str, bytes]] = deque(maxlen=_BACKLOG)
        self._to_send = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._listening = asyncio.Event()
        self._closing = False

    async def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._forever(self._listen), name="bus: listen"),
            asyncio.create_task(self._forever(self._send), name="bus: send"),
        ]

    async def close(self) -> None:
        self._closing = True
        self._to_send.set()
        if self._tasks and (self._backlog or self._listening.is_set()):
            # Published messages are still sent if this takes only a moment.
            await asyncio.wait(self._tasks[1:], timeout=_FAREWELL_SECONDS)
        while pending := [task for task in self._tasks if not task.done()]:
            # Repeatedly: redis-py swallows a cancellation that arrives while it connects.
            for task in pending:
                task.cancel()
            await asyncio.wait(pending, timeout=0.1)
        self._tasks = []
        await self._client.aclose()

    async def ready(self) -> bool:
        try:
            await self._client.ping()
        except redis.failures():
            return False
        return self.hears

    @property
    def hears(self) -> bool:
        return self._listening.is_set()

    async def publish(self, topic: str, payload: Any) -> None:
        message = orjson.dumps({"origin": self._origin, "topic": topic, "payload": payload})
        self._send_soon(self._channel, message)
        self._deliver(topic, orjson.loads(message)["payload"])

    async def publish_heard(self, topic: str, payload: Any) -> None:
        number = secrets.token_hex(8)
        answers = self._heard[number] = asyncio.Semaphore(0)
        message = orjson.dumps(
            {"origin": self._origin, "topic": topic, "payload": payload, "number": number}
        )
        self._deliver(topic, orjson.loads(message)["payload"])
        sent = False
        try:
            async with asyncio.timeout(_HEARD_SECONDS):
                receivers: int = await self._client.publish(self._channel, message)
                sent = True
                for _ in range(receivers - self.hears):
                    await answers.acquire()
        # A timeout is an OSError too.
        except redis.failures() as error:
            log.info("not all processes have confirmed a message on %s: %s", topic, error)
            if not sent:
                # Perhaps once more.
                self._send_soon(self._channel, message)
        finally:
            del self._heard[number]

    def _send_soon(self, channel: str, message: bytes) -> None:
        self._backlog.append((channel, message))
        self._to_send.set()

    async def _forever(self, work: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        """Repeat the work whenever it fails; `work` calls its argument once it is connected."""
        first, longest = _RETRY
        wait = first

        def through() -> None:
            nonlocal wait
            if wait > first:
                log.info("the bus is connected to Redis again")
            wait = first

        while not self._closing:
            try:
                await work(through)
            except redis.failures() as error:
                if wait == first:
                    log.warning("the bus cannot reach Redis: %s", error)
            await asyncio.sleep(wait)
            wait = min(wait * 2, longest)

    async def _listen(self, through: Callable[[], None]) -> None:
        async with self._client.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe(self._channel, self._answers)
            through()
            # Messages sent in the meantime are lost, so make readers look.
            self._deliver(EVENTS, {"projects": [], "users": []})
            self._listening.set()
            self._deliver(_CONNECTION, True)
            try:
                while True:
                    message = await pubsub.get_message(timeout=5.0)
                    if message is None:
                        continue
                    if message["channel"].decode() == self._answers:
                        self._hear_answer(message["data"])
                    else:
                        self._hear(message["data"])
            finally:
                self._listening.clear()
                self._deliver(_CONNECTION, False)

    def _hear(self, data: bytes) -> None:
        try:
            message = orjson.loads(data)
            origin, topic, payload = message["origin"], message["topic"], message["payload"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            log.warning("ignoring an invalid message on %s", self._channel)
            return
        if origin != self._origin:
            self._deliver(topic, payload)
            if (number := message.get("number")) is not None:
                self._send_soon(f"{self._channel}:{origin}", number.encode())

    def _hear_answer(self, number: bytes) -> None:
        answers = self._heard.get(number.decode())
        if answers is not None:
            answers.release()

    async def _send(self, through: Callable[[], None]) -> None:
        while self._backlog or not self._closing:
            while self._backlog:
                sending = list(islice(self._backlog, _TOGETHER))
                pipeline = self._client.pipeline(transaction=False)
                for channel, message in sending:
                    pipeline.publish(channel, message)
                await pipeline.execute()
                through()
                for sent in sending:
                    # A full backlog can have dropped it from this end in the meantime.
                    if self._backlog and self._backlog[0] is sent:
                        self._backlog.popleft()
            if not self._closing:
                self._to_send.clear()
                await self._to_send.wait()


def make_bus(settings: RedisSettings) -> Bus:
    """Create the bus for the settings: Redis if configured. `start` it before use."""
    if settings.url is None:
        return LocalBus()
    return RedisBus(settings.url, settings.prefix)
