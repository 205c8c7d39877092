"""Inputs that outlive their request: stored as JSON by the schema's names, and read back as inputs.

The stored form is what a client would send, so it can be shown to one, and a later version of the
schema reads it like a request.
"""

from __future__ import annotations

import datetime as dt
from enum import Enum
from typing import Any, TypeVar, cast

import strawberry
from graphql import GraphQLError, GraphQLInputObjectType
from graphql.utilities import coerce_input_value, validate_input_value
from strawberry.types.arguments import convert_argument
from strawberry.types.maybe import Some

from graph.core.scalars import CONFIG, write_date, write_date_time

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """An input as JSON, without the fields that were omitted."""
    if isinstance(value, Some):
        return to_json(value.value)
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, dt.datetime):
        return write_date_time(value)
    if isinstance(value, dt.date):
        return write_date(value)
    if isinstance(value, list):
        return [to_json(item) for item in value]
    definition = getattr(value, "__strawberry_definition__", None)
    if definition is None:
        return value
    given = ((field, getattr(value, field.python_name)) for field in definition.fields)
    return {
        CONFIG.name_converter.from_field(field): to_json(inner)
        for field, inner in given
        if inner is not strawberry.UNSET
    }


def from_json(schema: strawberry.Schema, type_: type[T], value: Any) -> T:
    """Read a stored input. Raises `GraphQLError` if the schema no longer accepts it."""
    converter = schema.schema_converter
    graphql_type = schema._schema.get_type(type_.__name__)  # noqa: SLF001 - Strawberry's way to it
    assert isinstance(graphql_type, GraphQLInputObjectType)
    found: list[GraphQLError] = []
    validate_input_value(value, graphql_type, lambda error, _: found.append(error))
    if found:
        raise found[0]
    coerced = coerce_input_value(value, graphql_type)
    return cast(T, convert_argument(coerced, type_, converter.scalar_registry, schema.config))
