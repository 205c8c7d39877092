"""Passwords that attackers try first: common ones, and the account's own names.

The list is part of the code (`common_passwords.txt`, which names its sources), so nothing is
downloaded. It contains only passwords that are long enough to be accepted otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import texts

_FILE = Path(__file__).with_suffix(".txt")


def is_common(password: str) -> bool:
    """Whether the password is in the list, ignoring case, width and invisible characters."""
    return _folded(password) in _listed()


def is_name(password: str, names: Iterable[str | None]) -> bool:
    """Whether the password is one of these names, or the part of an address before the @."""
    wanted = _folded(password)
    given = [_folded(name) for name in names if name]
    return wanted in {*given, *(name.partition("@")[0] for name in given)}


def _folded(text: str) -> str:
    return texts.visible(texts.normalized(text, "NFKC")).casefold()


@cache
def _listed() -> frozenset[str]:
    lines = _FILE.read_text(encoding="utf-8").splitlines()
    return frozenset(line.replace(" ", "") for line in lines if not line.startswith("# "))
