"""Cursors are text that a client returns unchanged; nothing else is accepted as a cursor."""

from __future__ import annotations

import re
from uuid import UUID, uuid4

import pytest

from errors import BadInput
from events.cursor import Cursor

# The same in every run, so that the tests have the same names in all processes.
_EPOCH = UUID(int=7)


def test_a_cursor_survives_a_round_trip_to_the_client() -> None:
    cursor = Cursor(uuid4(), 2**64 - 1, 2**63 - 1)
    assert Cursor.parse(str(cursor)) == cursor
    assert re.fullmatch(r"[A-Za-z0-9_-]{44}", str(cursor))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "é" * 44,
        "A" * 44,  # the version is wrong
        "AQ" + "_" * 42,  # the position is too large
        str(Cursor(_EPOCH, 1, 1))[:-1],
        str(Cursor(_EPOCH, 1, 1)) + "AAAA",
        str(Cursor(_EPOCH, 1, 1))[:-1] + "\n",
        "💥",
        "0" * 10_000,
    ],
)
def test_an_invalid_cursor_is_an_error_of_the_caller(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        Cursor.parse(text, ("since",))
    assert caught.value.path == ("since",)
