"""Every name that the schema lost since its first version is in the changelog's table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graphql import is_enum_type, is_introspection_type

from graph.schema import schema

HERE = Path(__file__).parent
CHANGELOG = HERE.parents[1] / "docs" / "changelog.md"
# One type a line: its fields, with their arguments in parentheses, or its values.
BEFORE = HERE / "names_of_0.1.txt"


def names_before() -> Iterator[str]:
    for line in BEFORE.read_text().splitlines():
        type_, _, members = line.partition(": ")
        yield type_
        for member in members.split():
            name, _, arguments = member.rstrip(")").partition("(")
            yield f"{type_}.{name}"
            for argument in filter(None, arguments.split(",")):
                yield f"{type_}.{name}({argument}:)"


def names_now() -> set[str]:
    found = set()
    types: dict[str, Any] = schema._schema.type_map
    for name, type_ in types.items():
        if is_introspection_type(type_):
            continue
        found.add(name)
        members = type_.values if is_enum_type(type_) else getattr(type_, "fields", {})
        for key, member in members.items():
            found.add(f"{name}.{key}")
            found |= {f"{name}.{key}({argument}:)" for argument in getattr(member, "args", {})}
    return found


def renames() -> dict[str, str]:
    """The table: each old name, and what is said of it. In ``` `A.b`, `c` ```, `c` is `A.c`."""
    found = {}
    for cell, now in re.findall(r"^\| (`.+?) \| (.+?) \|$", CHANGELOG.read_text(), re.MULTILINE):
        type_ = ""
        for name in re.findall(r"`([A-Za-z0-9_.]+)", cell):
            whole = f"{type_}.{name}" if name[0].islower() else name
            type_ = whole.partition(".")[0]
            found[whole] = now
    return found


def now_of(name: str, told: dict[str, str], now: set[str]) -> bool:
    """Whether a client that knows an old name finds out what became of it."""
    if name in now or name in told:
        return True
    type_, dot, rest = name.partition(".")
    field, bracket, _ = rest.partition("(")
    if bracket and f"{type_}.{field}" in told:
        # What is said of the field says what it takes now.
        return True
    if dot and type_ in told:
        # With the type: gone with it, explained there, or under the new name.
        renamed = now.intersection(re.findall(r"`(\w+)`", told[type_]))
        return (
            not renamed or ":" in told[type_] or any(f"{other}.{rest}" in now for other in renamed)
        )
    return False


def test_every_name_that_is_gone_is_in_the_changelog() -> None:
    told, now = renames(), names_now()
    assert [name for name in names_before() if not now_of(name, told, now)] == []


def test_what_the_changelog_names_is_there() -> None:
    now = names_now()
    for old, new in renames().items():
        for name in re.findall(r"^`([A-Z]\w+(?:\.\w+)?)", new):
            assert name in now, f"{old}: {name}"
