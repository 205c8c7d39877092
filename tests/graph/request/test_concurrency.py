from __future__ import annotations

import asyncio

from graph.request.concurrency import ConcurrencyLimit


async def test_so_many_at_once_and_no_more() -> None:
    turns = ConcurrencyLimit(at_once=2, seconds=60)
    under_way = most = done = 0

    async def one() -> None:
        nonlocal under_way, most, done
        async with turns.taken():
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1
            done += 1

    await asyncio.gather(*(one() for _ in range(20)))
    assert (most, done) == (2, 20)


async def test_who_takes_long_does_not_hold_up_the_others() -> None:
    turns = ConcurrencyLimit(at_once=1, seconds=0.02)
    ended = asyncio.Event()

    async def slow() -> None:
        async with turns.taken():
            await ended.wait()

    first = asyncio.create_task(slow())
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        for _ in range(3):
            async with turns.taken():
                assert not first.done()
    ended.set()
    await first
    # Its turn was given back once and not twice.
    async with turns.taken():
        waiting = asyncio.create_task(turns.taken().__aenter__())
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()


async def test_a_turn_is_given_back_by_whoever_is_cancelled() -> None:
    turns = ConcurrencyLimit(at_once=1, seconds=60)

    async def forever() -> None:
        async with turns.taken():
            await asyncio.Event().wait()

    holding, waiting = asyncio.create_task(forever()), asyncio.create_task(forever())
    await asyncio.sleep(0)
    for task in (waiting, holding):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(20), turns.taken():
        pass
