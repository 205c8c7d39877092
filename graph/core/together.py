"""One statement for all who ask the same at the same time, each as another viewer.

An event reaches its subscribers in one turn of the event loop. `Together` collects those who ask
the same question in that turn, and asks it for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from uuid import UUID

from graph.core.single_flight import others_join

Ask = Callable[[Collection[UUID]], Awaitable[Mapping[UUID, Collection[UUID]]]]
"""What is found for each of some users; nothing for those who are missing."""

_Waiting = list[tuple[UUID, asyncio.Future[Collection[UUID]]]]


class Together:
    """Questions that are about to be asked, with those who ask."""

    def __init__(self) -> None:
        self._asking: dict[Hashable, _Waiting] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def found(self, key: Hashable, user_id: UUID, ask: Ask) -> Collection[UUID]:
        """This user's part of what `ask` returns, which is called once for all who come with this
        key.
        """
        waiting = self._asking.get(key)
        if waiting is None:
            waiting = self._asking[key] = []
            # A task of its own: any of those who wait may be cancelled.
            task = asyncio.create_task(self._ask(key, waiting, ask))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        answer: asyncio.Future[Collection[UUID]] = asyncio.get_running_loop().create_future()
        waiting.append((user_id, answer))
        return await answer

    async def _ask(self, key: Hashable, waiting: _Waiting, ask: Ask) -> None:
        try:
            await others_join()
            del self._asking[key]
            found = await ask({user_id for user_id, _ in waiting})
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
            for _, answer in waiting:
                if not answer.done():
                    answer.set_exception(error)
        else:
            for user_id, answer in waiting:
                if not answer.done():
                    answer.set_result(found.get(user_id, ()))
        finally:
            # If this task is cancelled, as the process stops, nobody answers.
            for _, answer in waiting:
                answer.cancel()
