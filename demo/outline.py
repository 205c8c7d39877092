"""Parse the outlines of `demo.tasks`: indented lines with choices and tags become tasks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

_CHOICE = re.compile(r"\{([^{}]+)\}")
_TAG = re.compile(r" #(\S+)")


@dataclass(frozen=True, slots=True)
class Item:
    """A planned task: its title, its tags, its subtasks."""

    title: str
    tags: tuple[str, ...] = ()
    children: list[Item] = field(default_factory=list)

    def __iter__(self) -> Iterator[Item]:
        """The item itself and everything below it."""
        yield self
        for child in self.children:
            yield from child


def parse(outline: str) -> list[Item]:
    """The topmost items of an outline; each choice of a line is an item of its own."""
    lines = [line for line in outline.splitlines() if line.strip()]
    return _level(lines, 0, "")


def _level(lines: list[str], depth: int, chosen: str) -> list[Item]:
    items: list[Item] = []
    starts = [number for number, line in enumerate(lines) if _depth(line) == depth]
    for start, end in pairwise([*starts, len(lines)]):
        line = lines[start].strip().replace("{}", chosen)
        tags = tuple(_TAG.findall(line))
        for choice, title in _expand(_TAG.sub("", line)):
            below = _level(lines[start + 1 : end], depth + 1, choice or chosen)
            items.append(Item(title[0].upper() + title[1:], tags, below))
    return items


def _depth(line: str) -> int:
    return (len(line) - len(line.lstrip())) // 2


def _expand(line: str) -> Iterator[tuple[str, str]]:
    """Every variant of a line, with the first choice that it took."""
    found = _CHOICE.search(line)
    if found is None:
        yield "", line
        return
    for choice in found[1].split("|"):
        for _, title in _expand(line[: found.start()] + choice + line[found.end() :]):
            yield choice, title
