"""A check of schemas: nothing that waits is called once for each object of a list.

A plain `async` resolver works in the batch engine, but it is called for each object, and so is
whatever statement it sends. Below a list that is the cliff that the engine is there to avoid.
"""

from __future__ import annotations

from collections.abc import Iterable

from graphql import GraphQLNamedType, GraphQLSchema, get_named_type, is_list_type, is_non_null_type
from strawberry.types.field import StrawberryField

from graph.core.fields import BatchField
from graph.core.selection import DEFINITION, concrete_types


def unbatched_fields(schema: GraphQLSchema, allowed: Iterable[str] = ()) -> list[str]:
    """The `Type.field`s below a list that are asynchronous and no batches, in order.

    `allowed` names those that may be. A field with extensions (permission classes too) is told
    as well: it takes its whole operation to the standard executor.
    """
    below_list: dict[str, bool] = {}
    for root in (schema.query_type, schema.mutation_type, schema.subscription_type):
        if root is not None:
            _walk(schema, root, below_list, repeated=False)
    found = set()
    for name, repeated in below_list.items():
        for field_name, field in schema.type_map[name].fields.items():  # type: ignore[attr-defined]
            definition = field.extensions.get(DEFINITION)
            if not isinstance(definition, StrawberryField):
                continue
            unbatched = definition.is_async and not isinstance(definition, BatchField)
            if definition.extensions or (repeated and unbatched):
                found.add(f"{name}.{field_name}")
    return sorted(found - set(allowed))


def _walk(
    schema: GraphQLSchema, type_: GraphQLNamedType, below_list: dict[str, bool], *, repeated: bool
) -> None:
    for concrete in concrete_types(schema, type_):
        seen = below_list.get(concrete.name)
        if seen is not None and seen >= repeated:
            continue
        below_list[concrete.name] = repeated
        for field in concrete.fields.values():
            inner = field.type
            many = is_list_type(inner.of_type if is_non_null_type(inner) else inner)
            _walk(schema, get_named_type(inner), below_list, repeated=repeated or many)
