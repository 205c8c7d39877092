"""Shorten a message to the limit of push services: 4,096 bytes, as sent.

Text is cut only between what readers see as characters, so that no emoji is split: not before a
mark that belongs to the character before it, nor between the two letters of a flag.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from jobs.outcomes import GiveUp

MOST_BYTES: Final = 4_096
"""Of a whole message, with its token, keys and encryption; FCM and Web Push (RFC 8030) alike."""

_JOINER = "\u200d"


@dataclass(frozen=True, slots=True)
class PushMessage:
    """`collapse`: a later message with the same value replaces this one on the device."""

    title: str
    body: str
    data: dict[str, str]
    collapse: str


def fitted(message: PushMessage, encode: Callable[[PushMessage], bytes], most: int) -> bytes:
    """The encoded message, with its body (and, if that is not enough, its title) shortened to at
    most this many bytes. Raises `GiveUp` if nothing is left to cut.
    """
    encoded = encode(message)
    for name in ("body", "title"):
        if len(encoded) <= most:
            break
        ends = _ends(getattr(message, name))
        low, high = 0, len(ends)
        # The longest prefix that fits, or none of it.
        while low < high:
            middle = (low + high) // 2
            if len(encode(_cut(message, name, ends[middle]))) <= most:
                low = middle + 1
            else:
                high = middle
        message = _cut(message, name, ends[low - 1] if low else 0)
        encoded = encode(message)
    if len(encoded) > most:
        raise GiveUp(f"The message would have more than {most:,} bytes without any text.")
    return encoded


def _cut(message: PushMessage, name: str, end: int) -> PushMessage:
    kept: str = getattr(message, name)[:end].rstrip()
    text = f"{kept}…" if kept else ""
    return replace(message, body=text) if name == "body" else replace(message, title=text)


def _ends(text: str) -> list[int]:
    """The positions where a text may be cut, in order, except its end."""
    ends = []
    flags = 0
    for index in range(1, len(text)):
        before, after = text[index - 1], text[index]
        flags = flags + 1 if _is_flag(before) else 0
        joined = (
            _JOINER in (before, after)
            or unicodedata.category(after) in {"Mn", "Me", "Mc"}
            or "\U0001f3fb" <= after <= "\U0001f3ff"  # skin tones
            or "\U000e0020" <= after <= "\U000e007f"  # tags, of regional flags
            or (_is_flag(after) and flags % 2 == 1)
            or (before == "\r" and after == "\n")
        )
        if not joined:
            ends.append(index)
    return ends


def _is_flag(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"
