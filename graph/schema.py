"""The schema, put together from the modules of `graph.types`.

A module takes part by what it declares: a class whose name ends in `Query` or `Mutation` holds
root fields, and a `node_type` is part of the schema. Nothing is listed here.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Annotated, Any
from uuid import UUID

import strawberry
from graphql import GraphQLInputObjectType
from strawberry.printer import print_schema

from db.base import Base
from errors import BadInput, Failure, NotFound
from graph import types
from graph.core import ids
from graph.core.fields import BatchInfo, arg, root
from graph.core.node import NODE_TYPES, TYPE_NAMES, Node
from graph.core.scalars import CONFIG
from graph.kit.loading import load_object, load_objects
from graph.request import scopes
from graph.types.events.subscription import Subscription

MAX_NODES = 100


async def _node(
    info: BatchInfo,
    id: Annotated[strawberry.ID, arg("Any global id.")],  # noqa: A002
) -> Any:
    info.viewer.require()
    model, key = ids.split(id, ("id",))
    row = None
    if model in TYPE_NAMES:
        _demand(info, model)
        row = await load_object(info, model, key)
    if row is None:
        raise NotFound(path=("id",))
    return row


async def _nodes(
    info: BatchInfo,
    ids_: Annotated[list[strawberry.ID], arg(f"At most {MAX_NODES} global ids.", name="ids")],
) -> list[Any]:
    info.viewer.require()
    if len(ids_) > MAX_NODES:
        raise BadInput(f"At most {MAX_NODES} ids; there are {len(ids_)}.", path=("ids",))
    rows: list[Any] = [None] * len(ids_)
    places: dict[type[Base], list[tuple[int, UUID]]] = {}
    for index, text in enumerate(ids_):
        try:
            model, key = ids.split(text, ("ids", index))
        except BadInput as failure:
            # Of this item alone.
            rows[index] = failure
        else:
            places.setdefault(model, []).append((index, key))
    for model in TYPE_NAMES.keys() & places.keys():
        loaded: list[Any]
        try:
            _demand(info, model)
        except Failure as failure:
            loaded = [failure] * len(places[model])
        else:
            loaded = await load_objects(info, model, [key for _, key in places[model]])
        for (index, _), row in zip(places[model], loaded, strict=True):
            rows[index] = row
    return rows


def _demand(info: BatchInfo, model: Any) -> None:
    """That an API key may read objects of this type; a fragment on it is not asked for."""
    scopes.demand(info.viewer, scopes.scopes_of_type(TYPE_NAMES[model]) or ())


def _modules() -> list[ModuleType]:
    """Every module of `graph.types`, by name."""
    found = pkgutil.walk_packages(types.__path__, f"{types.__name__}.")
    return [importlib.import_module(name) for name in sorted(module.name for module in found)]


_MODULES = _modules()


def _roots(suffix: str) -> list[type[Any]]:
    """What the modules add to a root type: `TaskQuery` of `graph.types.tasks.task`, say."""
    return [
        value
        for module in _MODULES
        for name, value in vars(module).items()
        if name.endswith(suffix) and getattr(value, "__module__", "") == module.__name__
    ]


@strawberry.type(description="What can be asked.")
class Query(*_roots("Query")):  # type: ignore[misc]  # the bases are found, not written
    """Root fields of queries."""

    node: Node | None = root(
        _node, "Any object by its id; null with `NOT_FOUND` if there is none for you."
    )
    nodes: list[Node | None] = root(
        _nodes,
        "Objects by their ids, in the same order; null where there is none for you, and null with "
        "an error for an id that is malformed.",
    )


@strawberry.type(description="What can be done. Each field is one transaction.")
class Mutation(*_roots("Mutation")):  # type: ignore[misc]  # as above
    """Root fields of mutations."""


def make_schema() -> strawberry.Schema:
    """The executable schema."""
    made = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=list(NODE_TYPES),
        config=CONFIG,
    )
    _leave_one_of_to_graphql(made)
    scopes.complete(made._schema)  # noqa: SLF001 - Strawberry's way to it
    return made


def _leave_one_of_to_graphql(made: strawberry.Schema) -> None:
    """Have graphql-core check `@oneOf`, which says where in a variable it is broken. Strawberry's
    own check comes when the place is no longer known.
    """
    for type_ in made._schema.type_map.values():  # noqa: SLF001 - Strawberry's way to it
        if isinstance(type_, GraphQLInputObjectType):
            definition = type_.extensions["strawberry-definition"]
            if definition.is_one_of:
                type_.is_one_of = True
                # Set for each such type, in place of a method of the class.
                del type_.out_type


schema = make_schema()


def sdl() -> str:
    """The schema as text; `schema.graphql` is this."""
    return print_schema(schema) + "\n"
