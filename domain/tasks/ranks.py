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

from sqlalchemy import BigInteger, ColumnElement, Integer, Text, cast, func, literal_column

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_WIDTH = 8
_STEP = 1_000
_END = 36**_WIDTH
# From this number of characters, rows are respaced. No rank ever has more than 64.
LONG = 48
# Ranks of respaced rows have at most this many, or more rows are respaced.
SPREAD = 32
# This many digits hold any number of a task.
_NUMBER_WIDTH = 6
_SQL_DIGITS: ColumnElement[str] = literal_column(f"'{_DIGITS}'", Text())


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
    whole = _whole(last) + _STEP
    return _write(whole, _WIDTH) if whole < _END else "z" * (len(last) + 1)


def next_whole(last: ColumnElement[Any]) -> ColumnElement[int]:
    """In SQL, the whole part of `between(last, None)`; `last` is null in an empty list."""
    digits = (
        (func.strpos(_SQL_DIGITS, func.substr(last, _number(place + 1), _number(1))) - _number(1))
        * _number(36 ** (_WIDTH - 1 - place))
        for place in range(_WIDTH)
    )
    whole: Any = sum(digits, start=_number(_STEP))
    return func.coalesce(whole, _number(_END // 2))


def numbered_rank(whole: ColumnElement[int], number: ColumnElement[Any]) -> ColumnElement[str]:
    """In SQL, a rank at the end of a list for a statement that cannot wait for the list's lock.

    Two such statements may have seen the same last rank. So the fraction is the number of the new
    row, which is unique in a list and greater for the later row: their ranks differ from each
    other, and from all that are made under the lock, which have no fraction at the end of a list.
    """
    return _write_in_sql(whole, _WIDTH).concat(_write_in_sql(number, _NUMBER_WIDTH))


def _write_in_sql(number: Any, width: int) -> ColumnElement[Any]:
    digits = [
        func.substr(
            _SQL_DIGITS,
            cast(number // _number(36**place) % _number(36), Integer()) + _number(1),
            _number(1),
        )
        for place in reversed(range(width))
    ]
    return func.concat(*digits, type_=Text())


def _number(value: int) -> ColumnElement[int]:
    """As a literal, since the statement already has enough parameters."""
    type_ = Integer() if value < 2**31 else BigInteger()
    return literal_column(str(value), type_)


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
