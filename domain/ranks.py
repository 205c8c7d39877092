"""Rank strings: positions in a list that leave room between any two.

A rank is a number written in base 36: eight digits, and further ones after an implied point where
the eight no longer suffice. Compared byte by byte (collation "C"), ranks sort as their numbers.
Putting something between two ranks changes no other row. New ranks at the ends step by a thousand,
so that a list of appended rows keeps eight digits.
"""

from __future__ import annotations

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_WIDTH = 8
_STEP = 1_000
_END = 36**_WIDTH


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
        raise ValueError(f"{low!r} does not stand before {high!r}")
    return _middle(low, high)


def after(low: str | None, count: int) -> list[str]:
    """Ranks for `count` rows to be appended after `low`."""
    ranks = []
    for _ in range(count):
        low = between(low, None)
        ranks.append(low)
    return ranks


def _whole(rank: str) -> int:
    return int(rank[:_WIDTH], 36)


def _middle(low: str, high: str) -> str:
    width = max(len(low), len(high))
    while True:
        start, end = int(low.ljust(width, "0"), 36), int(high.ljust(width, "0"), 36)
        if end - start >= 2:
            written = _write((start + end) // 2, width)
            # "a" and "a0" are one number but two strings, so a fraction never ends with 0.
            return written[:_WIDTH] + written[_WIDTH:].rstrip("0")
        width += 1


def _write(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
