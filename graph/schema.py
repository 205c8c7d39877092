"""The schema: its description, and the root fields of all modules of `graph.types`.

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
from graphql.utilities.print_schema import print_schema_definition
from strawberry.printer import print_schema

from db.base import Base
from errors import BadInput, Failure, NotFound
from graph import types
from graph.core import ids
from graph.core.fields import BatchInfo, arg, root
from graph.core.node import NODE_TYPES, TYPE_NAMES, Node
from graph.core.scalars import CONFIG
from graph.kit.loading import load_object, load_objects
from graph.kit.page_query import MAX_PAGE
from graph.kit.paging import DEFAULT_PAGE
from graph.request import scopes
from graph.types.events.event_changes import CHANGE_TYPES
from graph.types.events.subscription import Subscription

MAX_NODES = 100

DESCRIPTION = f"""\
Taskloom is an API for projects, tasks, comments, files, tracked time and reports, with live \
updates, webhooks and integrations.

**Authentication.** Send the header `Authorization: Bearer …` with an access token from \
`sessionCreate` or with an API key from `apiKeyCreate`. What you cannot see does not exist for \
you: its fields are null, and its ID is `NOT_FOUND`.

**IDs.** Wherever arguments and mutations take an ID, they also take a task's identifier \
(`WEB-42`), a project's key (`WEB`) and a user's name (`@ada`). Filters, `node` and `nodes` take \
IDs only.

**Paging.** Lists are connections. Use `first` and `after`, or `last` and `before`; a page has \
{DEFAULT_PAGE} items by default and at most {MAX_PAGE}. Continue with `pageInfo.endCursor`. Most \
lists take a `filter` and an `orderBy`.

**Mutations.** Each takes one `input` and is one transaction. Send an `idempotencyKey` to repeat \
it safely, and `ifVersion` to detect changes by others.

**Errors.** Expected failures of a mutation are in the `errors` of its payload. Top-level errors \
are for queries, authentication, limits, invalid documents and server errors. Both have a code of \
`ErrorCode`; top-level errors have it in `extensions.code`. A root field or list that fails is \
null, and leaves everything else as it is; `@semanticNonNull` marks what is null only then.

**Cost.** Every operation costs points, and each user or API key has a budget per minute. \
`extensions.cost` in every response and the query `rateLimit` show what is left."""


async def _node(
    info: BatchInfo,
    id: Annotated[strawberry.ID, arg("The object's global ID.")],  # noqa: A002
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
    ids_: Annotated[
        list[strawberry.ID], arg(f"The objects' global IDs, at most {MAX_NODES}.", name="ids")
    ],
) -> list[Any]:
    info.viewer.require()
    if len(ids_) > MAX_NODES:
        raise BadInput(
            f"ids must have at most {MAX_NODES} items; it has {len(ids_)}.", path=("ids",)
        )
    rows: list[Any] = [None] * len(ids_)
    places: dict[type[Base], list[tuple[int, UUID]]] = {}
    for index, text in enumerate(ids_):
        try:
            model, key = ids.split(text, ("ids", index))
        except BadInput as failure:
            # Only this item fails.
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
    """Require that an API key may read objects of this type, even without a fragment on it."""
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


@strawberry.type(description="Queries.")
class Query(*_roots("Query")):  # type: ignore[misc]  # the bases are found, not written
    node: Node | None = root(
        _node,
        "Returns any object by its global ID. Null with `NOT_FOUND` if it does not exist or you "
        "cannot see it.",
    )
    nodes: list[Node | None] = root(
        _nodes,
        "Returns objects by their global IDs, in the same order. Null for an object that does "
        "not exist or that you cannot see; null with an error for an invalid ID.",
    )


@strawberry.type(description="Mutations. Each field is one transaction.")
class Mutation(*_roots("Mutation")):  # type: ignore[misc]  # as above
    """Root fields of mutations."""


def make_schema() -> strawberry.Schema:
    """The executable schema."""
    made = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[*NODE_TYPES, *CHANGE_TYPES],
        config=CONFIG,
    )
    made._schema.description = DESCRIPTION  # noqa: SLF001 - Strawberry has no parameter for it
    _leave_one_of_to_graphql(made)
    scopes.complete(made._schema)  # noqa: SLF001 - Strawberry's way to it
    return made


def _leave_one_of_to_graphql(made: strawberry.Schema) -> None:
    """Let graphql-core check `@oneOf`: it reports which part of a variable is invalid. Strawberry's
    own check runs when that is no longer known.
    """
    for type_ in made._schema.type_map.values():  # noqa: SLF001 - Strawberry's way to it
        if isinstance(type_, GraphQLInputObjectType):
            definition = type_.extensions["strawberry-definition"]
            if definition.is_one_of:
                type_.is_one_of = True
                # Set on each such type, replacing a method of the class.
                del type_.out_type


schema = make_schema()


def sdl() -> str:
    """The schema as text; `schema.graphql` is this."""
    # Strawberry's printer leaves the schema's own description out.
    definition = print_schema_definition(schema._schema)  # noqa: SLF001 - Strawberry's way to it
    return f"{definition}\n\n{print_schema(schema).rstrip()}\n"
