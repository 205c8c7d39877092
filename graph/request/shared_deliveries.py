"""One execution for all viewers who get the same answer about an event.

An event reaches its subscribers in one turn of the event loop, and most of them ask the same, each
as another viewer. If the operation answers all alike (`graph.core.sharing`), the first one executes
it, and those who come while it runs wait. Then one statement for each type of object says who of
them can see exactly those objects that the first one could see. They have the same answer; it is
checked after the objects were read, so nobody gets what they cannot see at that time. The others
try again among themselves, and at last each alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from db.base import Base
from graph.core.context import Context
from graph.core.sharing import readable_by_all_alike

T = TypeVar("T")
_ROUNDS: Final = 3
Seen = Mapping[type[Base], Mapping[UUID, Any]]
"""The objects that were asked for, by their IDs; None if the viewer cannot see it."""


class SharedDeliveries(Generic[T]):
    """The deliveries that run now, by what they answer. `worth` says which answers may be given to
    others.
    """

    def __init__(self, worth: Callable[[T], bool]) -> None:
        self._worth = worth
        self._running: dict[Hashable, list[tuple[UUID, asyncio.Future[T | None]]]] = {}

    async def answer(self, key: Hashable, context: Context, run: Callable[[], Awaitable[T]]) -> T:
        """The answer of `run`, or that of another one of this key for a viewer who sees the same.

        `run` executes with this context, and serializes no objects in PostgreSQL, which would not
        tell which of them the viewer can see.
        """
        user_id = context.viewer.require()
        for _ in range(_ROUNDS):
            waiting = self._running.get(key)
            if waiting is None:
                return await self._lead(key, context, run)
            future: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
            waiting.append((user_id, future))
            shared = await future
            if shared is not None:
                return shared
        return await run()

    async def _lead(self, key: Hashable, context: Context, run: Callable[[], Awaitable[T]]) -> T:
        waiting = self._running[key] = []
        seen: dict[type[Base], Mapping[UUID, Any]] = {}
        context.seen = seen
        try:
            try:
                answer = await run()
            finally:
                del self._running[key]
            if waiting and self._worth(answer):
                alike = await _who_see_the_same(context, seen, {user_id for user_id, _ in waiting})
                for user_id, future in waiting:
                    if user_id in alike and not future.done():
                        future.set_result(answer)
        finally:
            for _, future in waiting:
                if not future.done():
                    future.set_result(None)
        return answer


async def _who_see_the_same(context: Context, seen: Seen, users: set[UUID]) -> set[UUID]:
    """Those who can see the objects that were seen, and none of those that were not."""
    log = context.services.live.log
    alike = users
    for model, rows in seen.items():
        # A copy: reading for someone else may go on.
        expected = {key: row is not None for key, row in tuple(rows.items())}
        if not alike or readable_by_all_alike(model):
            continue
        readable = await log.readable(model, {(key, user) for key in expected for user in alike})
        alike = {
            user
            for user in alike
            if all(((key, user) in readable) is there for key, there in expected.items())
        }
    return alike
