"""Whatever takes too long is cut, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from graph.request.deadlines import Deadlines

FOR_EVER = 60


async def _within(deadlines: Deadlines, seconds: float) -> str:
    with deadlines.running() as deadline:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            assert deadline.expired
            raise
    return "done"


async def test_each_is_cut_and_those_in_time_are_not() -> None:
    deadlines = Deadlines(0.2)

    outcomes = await asyncio.gather(
        _within(deadlines, FOR_EVER),
        _within(deadlines, 0),
        _within(deadlines, FOR_EVER),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [TimeoutError, str, TimeoutError]


async def test_what_begins_later_is_cut_too() -> None:
    deadlines = Deadlines(0.2)
    early = asyncio.ensure_future(_within(deadlines, FOR_EVER))
    await asyncio.sleep(0.1)
    late = asyncio.ensure_future(_within(deadlines, FOR_EVER))

    outcomes = await asyncio.gather(early, late, return_exceptions=True)
    again = await asyncio.gather(_within(deadlines, FOR_EVER), return_exceptions=True)

    assert [type(outcome) for outcome in [*outcomes, *again]] == [TimeoutError] * 3


async def test_one_who_is_cut_can_go_on() -> None:
    deadlines = Deadlines(0.05)

    with pytest.raises(TimeoutError):
        await _within(deadlines, FOR_EVER)

    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    await asyncio.sleep(0)


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    deadlines = Deadlines(FOR_EVER)

    async def waiting() -> None:
        with deadlines.running() as deadline:
            try:
                await asyncio.sleep(FOR_EVER)
            finally:
                assert not deadline.expired

    task = asyncio.ensure_future(waiting())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


def test_each_loop_has_its_timer() -> None:
    """An application may be started again, in another loop."""
    deadlines = Deadlines(0.1)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            asyncio.run(_within(deadlines, FOR_EVER))
        # One that ends in time leaves its timer behind.
        asyncio.run(_within(deadlines, 0))
