"""Search in the pages at `/docs`: sections with all words. Those with them in a heading are first,
and what is written for reading comes before the reference.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Final

from web.docs.site import content, pages

MOST: Final = 40
_AROUND: Final = 90


@dataclass(frozen=True, slots=True)
class Hit:
    """A section that was found, with the words around the first one."""

    link: str
    page: str
    heading: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class _Entry:
    link: str
    page: str
    heading: str
    text: str
    heading_key: str
    key: str
    is_reference: bool
    of_schema: bool


@functools.cache
def _entries() -> tuple[_Entry, ...]:
    return tuple(
        _Entry(
            link=f"{page.name}#{section.heading.id}",
            page=page.title,
            heading=section.heading.text,
            text=section.text,
            heading_key=section.heading.text.casefold(),
            key=f"{section.heading.text} {section.text}".casefold(),
            is_reference=page.section == "Reference",
            of_schema=page.of_schema,
        )
        for page in pages().values()
        for section in content(page.name).sections
    )


def search(query: str, *, of_schema: bool = True) -> list[Hit]:
    """At most `MOST` sections that contain every word of the query, without those made from the
    schema unless `of_schema`. Call it in a thread.
    """
    words = re.findall(r"[\w.-]+", query.casefold())
    if not words:
        return []
    found = [
        entry
        for entry in _entries()
        if (of_schema or not entry.of_schema) and all(word in entry.key for word in words)
    ]
    found.sort(key=lambda entry: _rank(entry, words))
    return [_hit(entry, words[0]) for entry in found[:MOST]]


def _rank(entry: _Entry, words: list[str]) -> tuple[bool, bool, bool, int, int]:
    """What sorts first is found first."""
    exact = entry.heading_key == " ".join(words)
    in_heading = all(word in entry.heading_key for word in words)
    # An operation before its input and its payload, which have its name and more.
    more = len(entry.heading_key) if in_heading else 0
    return not exact, not in_heading, entry.is_reference, more, len(entry.key)


def _hit(entry: _Entry, word: str) -> Hit:
    place = max(entry.text.casefold().find(word), 0)
    start = max(place - _AROUND, 0)
    end = place + len(word) + _AROUND
    cut = entry.text[start:end].strip()
    excerpt = f"{'…' if start else ''}{cut}{'…' if end < len(entry.text) else ''}"
    return Hit(entry.link, entry.page, entry.heading, excerpt)
