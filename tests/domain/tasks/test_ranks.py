from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Integer, Text, literal, select

from db.engine import Database
from domain.tasks import ranks


@given(st.lists(st.integers(0, 10**6), max_size=120))
def test_a_rank_between_any_two_keeps_the_order(places: list[int]) -> None:
    order: list[str] = []
    for place in places:
        index = place % (len(order) + 1)
        low = order[index - 1] if index else None
        high = order[index] if index < len(order) else None
        order.insert(index, ranks.between(low, high))
        assert order == sorted(set(order))


@pytest.mark.parametrize("front", [True, False])
def test_the_same_position_repeatedly(front: bool) -> None:
    """A thousand tasks put before (or after) each other make ranks grow one digit at a time."""
    low, high = ranks.after(None, 2)
    for _ in range(1_000):
        middle = ranks.between(low, high)
        assert low < middle < high
        low, high = (low, middle) if front else (middle, high)
    assert len(middle) <= 8 + 1_000 // 5 + 1


def test_appending_keeps_ranks_short() -> None:
    made = ranks.after(None, 5_000)
    assert made == sorted(set(made))
    assert {len(rank) for rank in made} == {8}


def test_there_is_room_at_the_ends_of_the_scale() -> None:
    last = "z" * 8
    first = "0" * 7 + "1"
    for _ in range(50):
        after, before = ranks.between(last, None), ranks.between(None, first)
        assert after > last
        assert before < first
        last, first = after, before


def test_ranks_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="is not before"):
        ranks.between("00000002", "00000001")


async def test_sql_computes_the_same_ranks(database: Database) -> None:
    async with database.session() as session:
        for last in (None, ranks.first(), "0000zzzz", ranks.first() + "00a", "zzzzz000"):
            for number in (1, 35, 36, 123_456_789, 2**31 - 1):
                whole = ranks.next_whole(literal(last, Text()))
                written = await session.scalar(
                    select(ranks.numbered_rank(whole, literal(number, Integer())))
                )
                following = ranks.between(last, None)
                assert written is not None
                assert written[:8] == following
                assert int(written[8:], 36) == number
                # After all existing ranks, and before the next one of either implementation.
                assert (last or "") < following < written < ranks.between(written, None)
