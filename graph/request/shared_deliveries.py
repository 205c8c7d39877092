"""One execution for all viewers who get the same answer about an event.

An event reaches its subscribers in one turn of the event loop, and most of them ask the same, each
as another viewer. If the operation answers all alike (`graph.core.sharing`), the first one executes
it, and those who come while it runs wait. Then one statement for each type of object says who of
them can see exactly those objects that the first one could see. They have the same answer; it is
checked after the objects were read, so nobody gets what they cannot see at that time. If it selects
what a viewer may do, they also have the same of these values, as all have who have a role. The
others try again among themselves, and at last each alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from types import MappingProxyType
from typing import Final, Generic, TypeVar
from uuid import UUID

from db.read import Fetching
from graph.core.context import Seen
from graph.core.sharing import Labels, who_see_the_same

T = TypeVar("T")
Run = Callable[[Seen | None], Awaitable[T]]
# As many as there are sorts of viewers: the roles in a project, the assignee, and others.
_ROUNDS: Final = 6
# At most so many go on in one turn of the event loop, which each delays by 15 to 25 µs.
_TURN: Final = 100


class SharedDeliveries(Generic[T]):
    """The deliveries that run now, by what they answer. `worth` says which answers may be given to
    others.
    """

    def __init__(self, worth: Callable[[T], bool]) -> None:
        self._worth = worth
        self._running: dict[Hashable, list[tuple[UUID, asyncio.Future[T | None]]]] = {}

    async def answer(
        self,
        key: Hashable,
        user_id: UUID,
        reader: Fetching,
        run: Run[T],
        labels: Labels = MappingProxyType({}),
    ) -> T:
        """The answer of `run`, or that of another one of this key for a viewer who sees the same.

        `labels`: what they see of each object besides. `run` notes the objects that it reads by
        key in its argument, if it is given one, and serializes none in PostgreSQL, which would not
        tell which of them the viewer can see. `reader` reads what all can see.
        """
        for _ in range(_ROUNDS):
            waiting = self._running.get(key)
            if waiting is None:
                return await self._lead(key, reader, run, labels)
            future: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
            waiting.append((user_id, future))
            shared = await future
            if shared is not None:
                return shared
        return await run(None)

    async def _lead(self, key: Hashable, reader: Fetching, run: Run[T], labels: Labels) -> T:
        waiting = self._running[key] = []
        seen: Seen = {}
        try:
            try:
                answer = await run(seen)
                # An event reaches a hundred subscribers in each turn of the event loop.
                joined = -1
                while joined < len(waiting):
                    joined = len(waiting)
                    await asyncio.sleep(0)
            finally:
                del self._running[key]
            if waiting and self._worth(answer):
                alike = {user_id for user_id, _ in waiting}
                for kind, rows in tuple(seen.items()):
                    alike = await who_see_the_same(reader, kind, rows, labels, alike)
                for number, (user_id, future) in enumerate(waiting, 1):
                    if user_id in alike and not future.done():
                        future.set_result(answer)
                    if number % _TURN == 0:
                        await asyncio.sleep(0)
        finally:
            for _, future in waiting:
                if not future.done():
                    future.set_result(None)
        return answer
