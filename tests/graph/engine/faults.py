"""Faults in the resolvers of the real schema, planned by field and object.

A bent batch raises, gives null or nonsense for some of its parents, or raises for all; a bent
column does so in its converter. What happens to an object depends on the seed, the field and the
object alone, so both engines meet the same faults, however they gather the objects.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any, Final
from zlib import crc32

from graphql import DocumentNode, GraphQLSchema, TypeInfo, TypeInfoVisitor, visit

from graph.core.fields import BatchField, ColumnField
from graph.core.selection import DEFINITION
from tests.graph.engine.operations import Asked


class Fault(Exception):  # noqa: N818 - reads better where it is planned
    """A planned one."""


class Nonsense:
    """No scalar, enum or list can be made of it."""

    def __repr__(self) -> str:
        return "nonsense"


RAISES, NULLS, WRONG, BREAKS = "raises", "nulls", "wrong", "breaks"
# One result too few. How many parents there are depends on the engine, so `plan` leaves it out.
SHORT: Final = "short"
KINDS: Final = (RAISES, NULLS, WRONG, BREAKS)


def plan(schema: GraphQLSchema, document: DocumentNode, random: Random) -> dict[str, str]:
    """One to three fields of the operation that can be bent, each with what happens to it."""
    info = TypeInfo(schema)
    requested = Asked(info)
    visit(document, TypeInfoVisitor(info, requested))
    fields = sorted(place for place in requested.found if _definition(schema, place) is not None)
    chosen = random.sample(fields, min(len(fields), random.randint(1, 3)))
    return {place: random.choice(KINDS) for place in chosen}


@contextmanager
def bent(schema: GraphQLSchema, faults: Mapping[str, str], seed: int) -> Iterator[None]:
    """Bend these fields (`Task.owner`) for as long as the block lasts."""
    with ExitStack() as stack:
        for place, kind in faults.items():
            field = _definition(schema, place)
            assert field is not None, f"{place} cannot be bent"
            fate = _fate(kind, f"{seed} {place}")
            name = "function" if isinstance(field, BatchField) else "convert"
            stack.callback(setattr, field, name, getattr(field, name))
            if isinstance(field, BatchField):
                field.function = _batch(field.function, fate, kind)
            else:
                field.convert = _converter(field.convert, fate)
        yield


def _definition(schema: GraphQLSchema, place: str) -> BatchField | ColumnField | None:
    type_name, _, name = place.partition(".")
    field = getattr(schema.type_map[type_name], "fields", {}).get(name)
    definition = None if field is None else field.extensions.get(DEFINITION)
    return definition if isinstance(definition, BatchField | ColumnField) else None


# What becomes of an object's value, given the value as it would be.
Fate = Callable[[Any, Any], Any]


def _fate(kind: str, salt: str) -> Fate:
    def fate(thing: Any, value: Any) -> Any:
        name = _name(thing)
        if kind != BREAKS and crc32(f"{salt} {name}".encode()) % 3 == 0:
            return value
        if kind == NULLS:
            return None
        return Nonsense() if kind == WRONG else Fault(f"{salt} {name}")

    return fate


def _name(thing: Any) -> str:
    """Rows by their id, scalars by themselves; pages and payloads are all alike."""
    if isinstance(thing, str | int | float):
        return str(thing)
    return str(getattr(thing, "id", type(thing).__name__))


def _batch(
    function: Callable[..., Awaitable[Sequence[Any]]], fate: Fate, kind: str
) -> Callable[..., Awaitable[Sequence[Any]]]:
    async def call(parents: Sequence[Any], info: Any, **arguments: Any) -> Sequence[Any]:
        if kind == BREAKS:
            raise fate(None, None)
        values = await function(parents, info, **arguments)
        if kind == SHORT:
            return values[:-1]
        return [fate(parent, value) for parent, value in zip(parents, values, strict=True)]

    return call


def _converter(convert: Callable[[Any], Any] | None, fate: Fate) -> Callable[[Any], Any]:
    def call(value: Any) -> Any:
        made = value if convert is None else convert(value)
        result = fate(value, made)
        if isinstance(result, Fault):
            raise result
        return result

    return call
