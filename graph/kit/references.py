"""What an input refers to, checked all at once where a mutation fails.

A mutation stops at the first reference that does not hold. Only then, so that a success costs
nothing, everything that its input names is looked up: one statement for each kind of thing, under
the same access rules, so that what is hidden and what does not exist give the same answer.

Every field of an input whose type is `ID` is a reference, unless it is declared otherwise by
`graph.core.inputs.Names`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, cast
from uuid import UUID

import strawberry
from sqlalchemy import ARRAY, ColumnElement, Text, Uuid, bindparam, func, select
from strawberry.types.base import has_object_definition
from strawberry.types.maybe import Some

from auth import access
from auth.viewer import Viewer, placeholder_viewer
from db import models
from db.base import Base
from db.read import Statement
from domain import rules
from errors import BadInput, Failure, NotFound
from graph.core import ids
from graph.core.inputs import NAMES, Names

Fetch = Callable[[Statement, Mapping[str, Any]], Awaitable[Sequence[Any]]]

# A bulk of 200 items names four things in each.
_MOST = 1_000


@dataclass(frozen=True, slots=True)
class Reference:
    """What one value of an input names: `key` is an id, or a username in lower case."""

    path: tuple[str, ...]
    model: type[Base]
    names: Names
    key: UUID | str


async def broken(
    viewer: Viewer, fetch: Fetch, data: Any, failures: Sequence[Failure], *, items: bool = False
) -> list[Failure]:
    """What else is wrong with an input that failed: references that lead to nothing that the viewer
    sees, and new ids that are taken.

    `fetch` runs a statement as this viewer. `items`: only those of the items of a bulk that failed;
    else those of the input but for its items, none of which has been looked at.
    """
    known = {failure.path for failure in failures}
    named = list(islice(references(data), _MOST))
    if items:
        failed = {path[:2] for path in known}
        made = {one.key for one in named if one.names is Names.NEW}
        # An item may name one before it, which is not there yet, or no more.
        named = [
            one
            for one in named
            if one.path[:2] in failed and (one.names is Names.NEW or one.key not in made)
        ]
    else:
        named = [one for one in named if one.path[0] != "items"]
    # Of a value one thing is said: nothing of the members of a list that is too long.
    named = [
        one for one in named if not any(one.path[: n + 1] in known for n in range(len(one.path)))
    ]
    wanted: dict[tuple[type[Base], Names], set[UUID | str]] = defaultdict(set)
    for one in named:
        wanted[one.model, one.names].add(one.key)
    there: dict[tuple[type[Base], Names], set[UUID | str]] = {}
    for kind, keys in wanted.items():
        rows = await fetch(
            _statement(*kind, placeholder_viewer(viewer.shape)), {"keys": list(keys)}
        )
        there[kind] = {row.key for row in rows}
    found = [_failure(one, is_there=one.key in there[one.model, one.names]) for one in named]
    return [failure for failure in found if failure is not None]


def references(data: Any, path: tuple[str, ...] = ()) -> Iterator[Reference]:
    """What an input names, in its order. Values that name nothing at all are left out: what is
    wrong with them is found without looking anything up.
    """
    for field in data.__strawberry_definition__.fields:
        names = field.metadata.get(NAMES, Names.VISIBLE)
        if field.python_name == "filter":
            # A filter that names something hidden matches nothing.
            continue
        for place, value in _values(getattr(data, field.python_name), (*path, field.python_name)):
            if has_object_definition(value):
                yield from references(value, place)
            elif isinstance(value, str) and names is Names.USERNAME:
                if value.isprintable():
                    yield Reference(place, models.User, names, value.lower())
            elif isinstance(value, str) and _is_id(field.type):
                try:
                    model, key = ids.split(value, place)
                except BadInput:
                    continue
                yield Reference(place, model, names, key)


def _values(value: Any, path: tuple[str, ...]) -> Iterable[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Some):
        value = value.value
    if isinstance(value, list):
        return [((*path, str(index)), item) for index, item in enumerate(value)]
    return [(path, value)]


def _is_id(type_: Any) -> bool:
    while (inner := getattr(type_, "of_type", None)) is not None:
        type_ = inner
    return type_ is strawberry.ID


def _failure(one: Reference, *, is_there: bool) -> Failure | None:
    if one.names is Names.NEW:
        return rules.taken("id", one.path) if is_there else None
    if is_there:
        return None
    noun = access.rule_of(one.model).noun
    return NotFound(f"{noun} in the trash" if one.names is Names.TRASHED else noun, path=one.path)


@lru_cache(maxsize=200)
def _statement(model: type[Base], names: Names, viewer: Viewer) -> Statement:
    row = cast("Any", model)
    key: ColumnElement[Any] = row.id
    if names is Names.USERNAME:
        key = func.lower(models.User.username)
    keys = bindparam("keys", type_=ARRAY(Text() if names is Names.USERNAME else Uuid()))
    query = select(key.label("key")).where(key == keys.any_())
    if names is Names.TRASHED:
        query = query.where(access.delete(viewer, model, trashed=True, archived=True))
    elif names is not Names.NEW:
        query = query.where(access.read(viewer, model))
    return Statement(query, model)
