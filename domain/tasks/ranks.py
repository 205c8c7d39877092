"""Rank strings: positions in a list that leave room between any two.

A rank is a number written in base 36: eight digits, and further ones after an implied point if
eight are not enough. Compared byte by byte (collation "C"), ranks sort like their numbers.
Inserting between two ranks changes no other row. New ranks at the ends step by a thousand, so that
a list of appended rows keeps eight digits. If much is inserted into one gap, its ranks grow by a
digit for every five rows; for those that would be `LONG`, `domain.tasks.placement` respaces the
rows around them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Integer, Text, func, literal_column

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_WIDTH = 8
_STEP = 1_000
_END = 36**_WIDTH
# From this number of characters, rows are respaced. No rank ever has more than 64.
LONG = 48
# Ranks of respaced rows have at most this many, or more rows are respaced.
SPREAD = 32
# How many digits a statement counts up by one, which is a step of 1,296; and how many hexadecimal
# ones hold any number of a task.
_COUNTED = 6
_NUMBER_WIDTH = 8
_DIGITS_IN_SQL: ColumnElement[str] = literal_column(f"'{_DIGITS}'", Text())


def first() -> str:
    """The rank of the first row of a list: the middle, with room on both sides."""
    return _write(_END // 2, _WIDTH)


def between(low: str | None, high: str | None) -> str:
    """A rank strictly between two (None: no bound on that side)."""
    if low is None and high is None:
        return first()
    if high is None:
        assert low is not None
        whole = _whole(low) + _STEP
        return _write(whole, _WIDTH) if whole < _END else _middle(low, "z" * (len(low) + 1))
    if low is None:
        whole = _whole(high) - _STEP
        return _write(whole, _WIDTH) if whole > 0 else _middle("0" * _WIDTH, high)
    if low >= high:
        raise ValueError(f"{low!r} is not before {high!r}")
    return _middle(low, high)


def after(low: str | None, count: int) -> list[str]:
    """Ranks for `count` rows to be appended after `low`."""
    ranks = []
    for _ in range(count):
        low = between(low, None)
        ranks.append(low)
    return ranks


def several(low: str | None, high: str | None, count: int) -> list[str]:
    """Ranks for `count` rows between two (None: no bound on that side), in order."""
    if high is None:
        return after(low, count)
    if low is None:
        found: list[str] = []
        for _ in range(count):
            high = between(None, high)
            found.insert(0, high)
        return found
    return [between(low, high)] if count == 1 else spread(low, high, count)


def spread(low: str | None, high: str, count: int) -> list[str]:
    """Ranks for `count` rows, as far from each other and from both ends as possible."""
    low = low or ""
    width = _WIDTH
    while True:
        start, end = _cut(low, width), _cut(high, width)
        # If the ends are cut, the lower one counts as a step higher.
        start += int(low[width:].strip("0") != "")
        if end - start > 36 * (count + 1):
            places = (start + (end - start) * place // (count + 1) for place in range(1, count + 1))
            return [_shortened(_write(place, width)) for place in places]
        width += 1


def bound_after(last: str) -> str:
    """The bound before which all rows of a list may be respaced: a row that is appended at that
    moment, by a statement that saw `last` (see `numbered_rank`), comes after it.
    """
    counted = int(last[:_COUNTED], 36) + 1
    return _write(counted, _COUNTED) if counted < 36**_COUNTED else "z" * (len(last) + 1)


def counted(last: Any) -> ColumnElement[str]:
    """In SQL, what `numbered_rank` counts up: the first digits, without `z`s at their end."""
    return func.rtrim(func.left(last, _number(_COUNTED)), _text("z"), type_=Text())


def numbered_rank(last: ColumnElement[Any], number: ColumnElement[Any]) -> ColumnElement[str]:
    """In SQL, a rank at the end of a list for a statement that cannot wait for the list's lock.
    `last`: of the last rank, what is `counted`; null in an empty list.

    The digits are counted up as text: the last one that is not a `z` becomes the next one, and
    zeros follow. As a sum of digits, it would be a hundred functions, which PostgreSQL prepares for
    each statement.

    Two such statements may have seen the same last rank. So the number of the new row follows,
    which is unique in a list and greater for the later row: their ranks differ from each other, and
    from all that are made under the lock, which have eight digits at the end of a list.
    """
    digit = func.strpos(_DIGITS_IN_SQL, func.right(last, _number(1)), type_=Integer())
    next_digit = func.substr(_DIGITS_IN_SQL, digit + _number(1), _number(1), type_=Text())
    counted_up = func.rpad(
        func.left(last, _number(-1), type_=Text()).concat(next_digit), _number(_COUNTED), _text("0")
    )
    written = func.lpad(func.to_hex(number), _number(_NUMBER_WIDTH), _text("0"), type_=Text())
    return func.coalesce(counted_up, _text(first()[:_COUNTED]), type_=Text()).concat(written)


def _number(value: int) -> ColumnElement[int]:
    """As a literal, since the statement already has enough parameters."""
    return literal_column(str(value), Integer())


def _text(value: str) -> ColumnElement[str]:
    return literal_column(f"'{value}'", Text())


def _whole(rank: str) -> int:
    return int(rank[:_WIDTH], 36)


def _middle(low: str, high: str) -> str:
    width = max(len(low), len(high))
    while True:
        start, end = int(low.ljust(width, "0"), 36), int(high.ljust(width, "0"), 36)
        if end - start >= 2:
            return _shortened(_write((start + end) // 2, width))
        width += 1


def _shortened(written: str) -> str:
    # "a" and "a0" are one number but two strings, so a fraction never ends with 0.
    return written[:_WIDTH] + written[_WIDTH:].rstrip("0")


def _cut(rank: str, width: int) -> int:
    return int(rank[:width].ljust(width, "0"), 36)


def _write(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
