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


async def test_a_statement_appends(database: Database) -> None:
    async with database.session() as session:

        async def appended(last: str | None, number: int) -> str:
            counted = ranks.counted(literal(last, Text()))
            rank = ranks.numbered_rank(counted, literal(number, Integer()))
            written: str | None = await session.scalar(select(rank))
            assert written is not None
            return written

        for last in (None, ranks.first(), "0000zzzzi", ranks.first() + "00a", "azzzzz00"):
            numbers = (1, 15, 16, 35, 36, 123_456_789, 2**31 - 1)
            made = [await appended(last, number) for number in numbers]
            # After all existing ranks, the later numbers behind the others, each of one length.
            assert made == sorted(set(made))
            assert {len(rank) for rank in made} == {14}
            assert (last or "") < made[0]
            if last is not None:
                # What is respaced meanwhile stays in front of it.
                assert last < ranks.bound_after(last) < made[0]
            # The next statement continues behind what either implementation has appended.
            for end in (made[-1], ranks.between(made[-1], None)):
                assert made[-1] <= end < await appended(end, 1)
