"""What an input refers to, checked all at once where a mutation fails.

A mutation stops at the first reference that does not hold. Only then, so that a success costs
nothing, everything that its input names is looked up: one statement for each kind of thing, under
the same access rules, so that what is hidden and what does not exist give the same answer.

Every field of an input whose type is `ID` is a reference, unless it is declared otherwise by
`graph.core.inputs.Names`.

A reference may be a name, such as `WEB-42`. The names of an input are looked up before anything is
done with it, in one statement for each kind of thing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from typing import Any, cast
from uuid import UUID

import strawberry
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    Text,
    Uuid,
    and_,
    bindparam,
    column,
    func,
    select,
)
from strawberry.types.base import has_object_definition
from strawberry.types.maybe import Some

from auth import access
from auth.viewer import Viewer, placeholder_viewer
from db import models
from db.base import Base
from db.statements import Statement
from domain import rules
from errors import BadInput, Failure, NotFound
from graph.core import ids
from graph.core.context import Context
from graph.core.ids import Name
from graph.core.inputs import NAMES, Names
from graph.request import scopes

Fetch = Callable[[Statement, Mapping[str, Any]], Awaitable[Sequence[Any]]]

# A bulk of 200 items names four things in each.
_MOST = 1_000


@dataclass(frozen=True, slots=True)
class Reference:
    """What one value of an input names."""

    path: tuple[str, ...]
    model: type[Base]
    names: Names
    key: UUID


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
    wanted: dict[tuple[type[Base], Names], set[UUID]] = defaultdict(set)
    for one in named:
        wanted[one.model, one.names].add(one.key)
    there: dict[tuple[type[Base], Names], set[UUID]] = {}
    for kind, keys in wanted.items():
        rows = await fetch(
            _statement(*kind, placeholder_viewer(viewer.shape)), {"keys": list(keys)}
        )
        there[kind] = {row.key for row in rows}
    found = [_failure(one, is_there=one.key in there[one.model, one.names]) for one in named]
    return [failure for failure in found if failure is not None]


def references(data: Any) -> Iterator[Reference]:
    """What an input names, in its order. Values that name nothing at all are left out: what is
    wrong with them is found without looking anything up.
    """
    for place, value, names in _texts(data):
        name = ids.name_of(value)
        try:
            if name is None:
                model, key = ids.split(value, place)
            else:
                model, key = name[0], ids.decode(name[0], value, place)
        except BadInput:
            continue
        yield Reference(place, model, names, key)


async def found_by_name(context: Context, data: Any) -> Mapping[Name, UUID]:
    """The ids of what an input names by other names than ids, if the viewer can see it."""
    wanted: dict[tuple[type[Base], bool], set[str]] = defaultdict(set)
    for _, value, names in _texts(data):
        name = ids.name_of(value)
        if name is not None and names in {Names.VISIBLE, Names.TRASHED}:
            wanted[name[0], names is Names.TRASHED].add(name[1])
    found: dict[Name, UUID] = {}
    for (model, trashed), keys in wanted.items():
        found |= await _named(context, model, keys, trashed=trashed)
    return found


async def decoded(context: Context, model: type[Base], text: str, path: tuple[str, ...]) -> UUID:
    """The UUID of an argument that is an id or a name; see `graph.core.ids.decode`."""
    name = ids.name_of(text)
    if name is None or name[0] is not model:
        return ids.decode(model, text, path)
    with ids.named(await _named(context, model, [name[1]])):
        return ids.decode(model, text, path)


async def _named(
    context: Context, model: type[Base], names: Collection[str], *, trashed: bool = False
) -> dict[Name, UUID]:
    viewer = context.viewer
    if model is not models.User:
        # The answer says whether there is a project with this key.
        scopes.demand(viewer, ("projects:read",))
    statement = _by_name(model, placeholder_viewer(viewer.shape), trashed=trashed)
    params: dict[str, Any] = {"names": [name.removeprefix("@") for name in names]}
    if model is models.Task:
        keys, numbers = zip(*(name.split("-") for name in names), strict=True)
        params = {"keys": list(keys), "numbers": [int(number) for number in numbers]}
    rows = await context.services.database.reader.fetch(statement, {**viewer.params, **params})
    sign = "@" if model is models.User else ""
    return {(model, sign + row.name): row.id for row in rows}


def _texts(data: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str, Names]]:
    """The texts of an input that name something, and what they name."""
    input_type: Any = type(data)
    for field, names in _naming(input_type):
        given = getattr(data, field)
        if given is None or given is strawberry.UNSET:
            continue
        for place, value in _values(given, (*path, field)):
            if isinstance(value, str):
                yield place, value, names
            elif has_object_definition(value):
                yield from _texts(value, place)


@cache
def _naming(input_type: Any) -> list[tuple[str, Names]]:
    """The fields of an input that name something or are inputs themselves."""
    found = []
    for field in input_type.__strawberry_definition__.fields:
        names = field.metadata.get(NAMES, Names.VISIBLE)
        # A filter that names something hidden matches nothing.
        if field.python_name != "filter" and (
            _is_id(field.type) or has_object_definition(_inner(field.type))
        ):
            found.append((field.python_name, names))
    return found


def _values(value: Any, path: tuple[str, ...]) -> Iterable[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Some):
        value = value.value
    if isinstance(value, list):
        return [((*path, str(index)), item) for index, item in enumerate(value)]
    return [(path, value)]


def _inner(type_: Any) -> Any:
    while (inner := getattr(type_, "of_type", None)) is not None:
        type_ = inner
    return type_


def _is_id(type_: Any) -> bool:
    return _inner(type_) is strawberry.ID


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
    keys = bindparam("keys", type_=ARRAY(Uuid()))
    query = select(row.id.label("key")).where(row.id == keys.any_())
    if names is Names.TRASHED:
        query = query.where(access.delete(viewer, model, trashed=True, archived=True))
    elif names is not Names.NEW:
        query = query.where(access.read(viewer, model))
    return Statement(query, model)


@lru_cache(maxsize=50)
def _by_name(model: type[Base], viewer: Viewer, *, trashed: bool) -> Statement:
    """The ids of what has these names."""
    seen = access.read(viewer, model)
    if trashed:
        seen = access.delete(viewer, model, trashed=True, archived=True)
    names = bindparam("names", type_=ARRAY(Text()))
    query: Any
    if model is models.User:
        name: ColumnElement[Any] = func.lower(models.User.username)
        query = select(models.User.id, name.label("name")).where(name == names.any_())
    elif model is models.Project:
        key = models.Project.key
        query = select(models.Project.id, key.label("name")).where(key == names.any_())
    else:
        wanted = (
            func.unnest(
                bindparam("keys", type_=ARRAY(Text())), bindparam("numbers", type_=ARRAY(Integer()))
            )
            .table_valued(column("key", Text()), column("number", Integer()))
            .render_derived(name="wanted")
        )
        query = (
            select(models.Task.id, func.concat(wanted.c.key, "-", wanted.c.number).label("name"))
            .select_from(wanted)
            .join(models.Project, models.Project.key == wanted.c.key)
            .join(
                models.Task,
                and_(
                    models.Task.project_id == models.Project.id,
                    models.Task.number == wanted.c.number,
                ),
            )
            # Only those who see the project know its key.
            .where(access.read(viewer, models.Project, trashed=None if trashed else False))
        )
    return Statement(query.where(seen), model)
