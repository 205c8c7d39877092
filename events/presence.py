"""Who is looking at which project, and at which of its tasks.

A client says so by a *sign*, and repeats it. A sign counts for 30 seconds, and there is one for
each project and device (session or API key). With Redis all signs of a project are a hash there,
and a message on the bus says that it has changed; without, or while Redis is away, a process knows
its own, which it writes to a Redis that came back empty. Nothing is stored in the database.

A user with several devices is one entry: where their latest move was, so that two open windows do
not take turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from db import models, redis
from errors import Failure, NotFound, Unavailable
from events.bus import Bus
from events.log import EventLog
from settings import RedisSettings

log = logging.getLogger("taskloom.events")

SIGN_SECONDS: Final = 30.0
"""For how long a sign counts."""

MOST: Final = 100
"""The most users that are listed for a project: those who came first."""

_TOPIC: Final = "presence"
# In case a message on the bus was lost.
_POLL_SECONDS: Final = 10.0
_SWEEP_SECONDS: Final = 1.5
# Changes that follow a delivery so soon are delivered together.
_PAUSE_SECONDS: Final = 0.1
_REDIS_SECONDS: Final = 0.5


class Here(NamedTuple):
    """A user who is looking at a project: at which task, if at one, and since when at the
    project.
    """

    user_id: UUID
    task_id: UUID | None
    since: dt.datetime


class Sign(NamedTuple):
    """What a device said last. Times are seconds since the epoch: when it came to the project, when
    it moved to this task, and when it last said so.
    """

    user_id: UUID
    task_id: UUID | None
    came: float
    moved: float
    said: float


Signs = Mapping[UUID, Sign]


class Presence:
    """One per process: `start` and `close` it in the event loop that it serves."""

    def __init__(
        self,
        log: EventLog,
        bus: Bus,
        settings: RedisSettings,
        clock: Callable[[], dt.datetime],
        *,
        seconds: float = SIGN_SECONDS,
    ) -> None:
        self.seconds = seconds
        self._log = log
        self._bus = bus
        self._clock = clock
        self._signs = _Signs(settings)
        self._rooms: dict[UUID, _Room] = {}
        self._unsubscribe: list[Callable[[], None]] = []
        self._restorer: asyncio.Task[None] | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def listeners(self) -> int:
        """The number of open subscriptions in this process."""
        return sum(len(room.listeners) for room in self._rooms.values())

    async def start(self) -> None:
        """Start listening to other processes, and looking after who may listen."""
        self._unsubscribe = [
            self._bus.subscribe(_TOPIC, self._hear),
            self._bus.on_connection(self._on_connection),
        ]
        self._sweeper = asyncio.create_task(self._sweep_forever(), name="presence: sweep")

    async def close(self) -> None:
        """End all subscriptions with a reason, and stop."""
        self._closed = True
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        tasks = [room.task for room in self._rooms.values()]
        tasks += [task for task in (self._sweeper, self._restorer) if task is not None]
        for room in self._rooms.values():
            for listener in room.listeners:
                listener.end(_stopping())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._signs.close()

    # --- signs -----------------------------------------------------------------------------------

    async def set(
        self, project_id: UUID, device: UUID, user_id: UUID, task_id: UUID | None
    ) -> None:
        """Say that a user is looking at a project, or at a task, for the next 30 seconds."""
        now = self._now()
        old = (await self._signs.read(project_id)).get(device)
        if old is None or old.user_id != user_id or self._is_over(old, now):
            sign = Sign(user_id, task_id, now, now, now)
        else:
            sign = old._replace(task_id=task_id, said=now)
            if old.task_id == task_id:
                await self._signs.write(project_id, device, sign, self.seconds)
                return
            sign = sign._replace(moved=now)
        await self._signs.write(project_id, device, sign, self.seconds)
        await self._tell(project_id)

    async def clear(self, project_id: UUID, device: UUID) -> None:
        """Say that this device is not looking any longer."""
        await self._signs.remove(project_id, [device])
        await self._tell(project_id)

    async def watch(
        self, project_id: UUID, user_id: UUID
    ) -> AsyncGenerator[tuple[Here, ...], None]:
        """Who is looking at a project: now, and after each change.

        Ends with `NotFound` if the user loses access to the project, `Unavailable` when stopping.
        """
        if self._closed:
            raise _stopping()
        listener = _Listener(user_id)
        room = self._rooms.get(project_id)
        if room is None:
            room = self._rooms[project_id] = _Room()
            room.task = asyncio.create_task(self._follow(project_id, room), name="presence: follow")
        room.listeners.add(listener)
        if room.here is not None:
            listener.changed.set()
        try:
            while True:
                await listener.changed.wait()
                if listener.reason is not None:
                    raise listener.reason
                listener.changed.clear()
                assert room.here is not None
                yield room.here
                await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            room.listeners.discard(listener)
            if not room.listeners and self._rooms.get(project_id) is room:
                del self._rooms[project_id]
                room.task.cancel()

    # --- internals -------------------------------------------------------------------------------

    def _now(self) -> float:
        return self._clock().timestamp()

    def _is_over(self, sign: Sign, now: float) -> bool:
        return sign.said + self.seconds <= now

    async def _tell(self, project_id: UUID) -> None:
        await self._bus.publish(_TOPIC, {"project": project_id.hex})

    def _hear(self, payload: Any) -> None:
        room = self._rooms.get(UUID(payload["project"]))
        if room is not None:
            room.stale.set()

    def _on_connection(self, hears: bool) -> None:
        if hears and (self._restorer is None or self._restorer.done()):
            self._restorer = asyncio.create_task(self._restore(), name="presence: restore")

    async def _restore(self) -> None:
        """Redis is back, perhaps empty: the devices of this process have not gone."""
        for project_id in await self._signs.restore(self._now(), self.seconds):
            await self._tell(project_id)

    async def _follow(self, project_id: UUID, room: _Room) -> None:
        """Keep what a room knows up to date, while somebody listens."""
        while True:
            room.stale.clear()
            wait = _POLL_SECONDS
            try:
                wait = await self._look(project_id, room)
            except Exception:
                log.exception("the presence cannot be read")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await room.stale.wait()

    async def _look(self, project_id: UUID, room: _Room) -> float:
        """Read the signs of a project. Returns in how many seconds something may have changed."""
        signs = await self._signs.read(project_id)
        now = self._now()
        before = now - 10 * self.seconds
        old = [device for device, sign in signs.items() if sign.said < before]
        valid = [sign for sign in signs.values() if not self._is_over(sign, now)]
        here = _users(valid)
        if here != room.here:
            room.here = here
            for listener in room.listeners:
                listener.changed.set()
        if old:
            await self._signs.forget(project_id, old, before)
        until = min((sign.said + self.seconds - now for sign in valid), default=_POLL_SECONDS)
        return min(until + 0.001, _POLL_SECONDS)

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                await self._end_the_blind()
            except Exception:
                log.exception("who may see the presence cannot be checked")

    async def _end_the_blind(self) -> None:
        """End the subscriptions of users who can no longer see the project."""
        listening = [
            (project_id, listener)
            for project_id, room in self._rooms.items()
            for listener in room.listeners
        ]
        if not listening:
            return
        pairs = {(project_id, listener.user_id) for project_id, listener in listening}
        seen = await self._log.readable(models.Project, pairs)
        for project_id, listener in listening:
            if (project_id, listener.user_id) not in seen:
                listener.end(NotFound("project", path=("project_id",)))


class _Listener:
    """One subscription."""

    __slots__ = ("changed", "reason", "user_id")

    def __init__(self, user_id: UUID) -> None:
        self.user_id = user_id
        self.changed = asyncio.Event()
        self.reason: Failure | None = None

    def end(self, reason: Failure) -> None:
        self.reason = reason
        self.changed.set()


class _Room:
    """A project that somebody in this process listens to. `here` is None until it was read."""

    __slots__ = ("here", "listeners", "stale", "task")

    def __init__(self) -> None:
        self.here: tuple[Here, ...] | None = None
        self.listeners: set[_Listener] = set()
        self.stale = asyncio.Event()
        self.task: asyncio.Task[None]


def _users(signs: list[Sign]) -> tuple[Here, ...]:
    """One entry for each user, in the order in which they came."""
    latest: dict[UUID, Sign] = {}
    came: dict[UUID, float] = {}
    for sign in signs:
        user_id = sign.user_id
        if user_id not in latest or sign.moved > latest[user_id].moved:
            latest[user_id] = sign
        came[user_id] = min(sign.came, came.get(user_id, sign.came))
    order = sorted(latest, key=lambda user_id: (came[user_id], user_id))[:MOST]
    return tuple(
        Here(user_id, latest[user_id].task_id, dt.datetime.fromtimestamp(came[user_id], dt.UTC))
        for user_id in order
    )


def _stopping() -> Unavailable:
    return Unavailable("The server is stopping. Subscribe again.")


# --- where the signs are -------------------------------------------------------------------------


class _Signs:
    """The signs of each project, by device: in Redis, and those of this process in memory."""

    def __init__(self, settings: RedisSettings) -> None:
        self._own: dict[UUID, dict[UUID, Sign]] = {}
        self._pruned = 0.0
        self._redis: Any = None
        self._prefix = f"{settings.prefix}presence:"
        if settings.url is not None:
            self._redis = redis.connect(
                settings.url, socket_connect_timeout=_REDIS_SECONDS, socket_timeout=_REDIS_SECONDS
            )

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.aclose()

    async def read(self, project_id: UUID) -> Signs:
        """All signs of a project; some may be over."""
        if self._redis is not None:
            try:
                return _read(await self._redis.hgetall(self._key(project_id)))
            except redis.failures() as error:
                log.info("the presence in Redis cannot be read: %s", error)
        return dict(self._own.get(project_id, {}))

    async def write(self, project_id: UUID, device: UUID, sign: Sign, seconds: float) -> None:
        self._prune(sign.said, seconds)
        self._own.setdefault(project_id, {})[device] = sign
        if self._redis is None:
            return
        key = self._key(project_id)
        try:
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.hset(key, device.hex, _text(sign))
                pipeline.pexpire(key, int(seconds * 1000))
                await pipeline.execute()
        except redis.failures() as error:
            log.info("the presence cannot be stored in Redis: %s", error)

    async def restore(self, now: float, seconds: float) -> list[UUID]:
        """Store the signs of this process that Redis has not. Returns the projects."""
        restored = []
        for project_id, signs in list(self._own.items()):
            key = self._key(project_id)
            valid = {device: one for device, one in signs.items() if one.said + seconds > now}
            if not valid:
                continue
            try:
                async with self._redis.pipeline(transaction=True) as pipeline:
                    for device, sign in valid.items():
                        pipeline.hsetnx(key, device.hex, _text(sign))
                    pipeline.pexpire(key, int(seconds * 1000))
                    await pipeline.execute()
            except redis.failures() as error:
                log.info("the presence cannot be stored in Redis: %s", error)
                break
            restored.append(project_id)
        return restored

    async def remove(self, project_id: UUID, devices: list[UUID]) -> None:
        own = self._own.get(project_id, {})
        for device in devices:
            own.pop(device, None)
        if self._redis is not None:
            try:
                await self._redis.hdel(self._key(project_id), *(device.hex for device in devices))
            except redis.failures() as error:
                log.info("the presence cannot be removed from Redis: %s", error)

    async def forget(self, project_id: UUID, devices: list[UUID], before: float) -> None:
        """Remove signs that were said before this, unless they have been renewed."""
        signs = await self.read(project_id)
        old = [device for device in devices if device in signs and signs[device].said < before]
        if old:
            await self.remove(project_id, old)

    def _prune(self, now: float, seconds: float) -> None:
        """Drop what this process remembers of projects that nobody listens to."""
        if now - self._pruned < seconds:
            return
        self._pruned = now
        for project_id, signs in list(self._own.items()):
            kept = {device: one for device, one in signs.items() if one.said + seconds > now}
            if kept:
                self._own[project_id] = kept
            else:
                del self._own[project_id]

    def _key(self, project_id: UUID) -> str:
        return self._prefix + project_id.hex


def _text(sign: Sign) -> bytes:
    task = None if sign.task_id is None else sign.task_id.hex
    return orjson.dumps([sign.user_id.hex, task, sign.came, sign.moved, sign.said])


def _read(stored: Mapping[bytes, bytes]) -> Signs:
    signs = {}
    for device, text in stored.items():
        user, task, came, moved, said = orjson.loads(text)
        task_id = None if task is None else UUID(task)
        signs[UUID(device.decode())] = Sign(UUID(user), task_id, came, moved, said)
    return signs
