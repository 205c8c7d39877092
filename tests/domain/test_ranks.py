from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import ranks


@given(st.lists(st.integers(0, 10**6), max_size=120))
def test_putting_between_any_two_keeps_all_in_order(places: list[int]) -> None:
    order: list[str] = []
    for place in places:
        index = place % (len(order) + 1)
        low = order[index - 1] if index else None
        high = order[index] if index < len(order) else None
        order.insert(index, ranks.between(low, high))
        assert order == sorted(set(order))


@pytest.mark.parametrize("front", [True, False])
def test_the_same_place_again_and_again(front: bool) -> None:
    """A thousand tasks put one before (or after) the other grow the rank by a digit at a time."""
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


def test_at_the_ends_of_the_scale_there_is_still_room() -> None:
    last = "z" * 8
    first = "0" * 7 + "1"
    for _ in range(50):
        after, before = ranks.between(last, None), ranks.between(None, first)
        assert after > last
        assert before < first
        last, first = after, before


def test_what_is_not_in_order_is_refused() -> None:
    with pytest.raises(ValueError, match="does not stand before"):
        ranks.between("00000002", "00000001")
