"""Inputs: coerced values as the Python objects that a function declares.

Strawberry inspects an input type's declaration for each value, which takes about 100 µs for an
object of twenty fields. Here the declaration is inspected once per type, and becomes a function
with the same result. Anything other than objects, lists, optional values and leaves is left to
Strawberry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING
from typing import Any

from strawberry import UNSET, Some
from strawberry.scalars import is_scalar
from strawberry.schema import Schema
from strawberry.types.arguments import StrawberryArgument, convert_argument
from strawberry.types.base import (
    StrawberryList,
    StrawberryMaybe,
    StrawberryOptional,
    has_object_definition,
)
from strawberry.types.enum import StrawberryEnumDefinition, has_enum_definition
from strawberry.types.field import StrawberryField
from strawberry.types.lazy_type import LazyType

Convert = Callable[[Any], Any]


class Inputs:
    """The functions of a schema, made when they are first needed."""

    def __init__(self, strawberry: Schema) -> None:
        self._config = strawberry.config
        self._scalars = strawberry.schema_converter.scalar_registry
        self._objects: dict[type, Convert] = {}
        self._fields: dict[StrawberryField, list[tuple[str, str, Convert]]] = {}

    def arguments(self, field: StrawberryField) -> list[tuple[str, str, Convert]]:
        """Of each of a field's arguments: its names in the schema and in Python, and the function
        for its values.
        """
        found = self._fields.get(field)
        if found is None:
            found = self._fields[field] = [self._argument(each) for each in field.arguments]
        return found

    def _argument(self, argument: StrawberryArgument) -> tuple[str, str, Convert]:
        name = self._config.name_converter.from_argument(argument)
        assert argument.python_name
        return name, argument.python_name, self.converter(argument.type)

    def converter(self, type_: Any) -> Convert:
        """The function for values of a type."""
        if isinstance(type_, StrawberryMaybe):
            return self._maybe(type_)
        if isinstance(type_, StrawberryOptional):
            return self.converter(type_.of_type)
        if isinstance(type_, LazyType):
            return self.converter(type_.resolve_type())
        if isinstance(type_, StrawberryList):
            return self._list(type_)
        if isinstance(type_, StrawberryEnumDefinition) or has_enum_definition(type_):
            return _itself
        if is_scalar(type_, self._scalars):
            return _itself
        if has_object_definition(type_) and type_.__strawberry_definition__.from_input is None:
            return self._object(type_)
        return self._by_strawberry(type_)

    def _by_strawberry(self, type_: Any) -> Convert:
        return lambda value: convert_argument(value, type_, self._scalars, self._config)

    def _maybe(self, type_: StrawberryMaybe) -> Convert:
        inner = self.converter(type_.of_type)
        if isinstance(type_.of_type, StrawberryOptional):
            return lambda value: Some(inner(value))
        refuse = self._by_strawberry(type_)
        return lambda value: refuse(value) if value is None else Some(inner(value))

    def _list(self, type_: StrawberryList) -> Convert:
        inner = self.converter(type_.of_type)

        def convert(value: Any) -> Any:
            if value is None or value is UNSET:
                return value
            # A list of leaves is copied too, since every request gets the same default.
            return list(value) if inner is _itself else [inner(item) for item in value]

        return convert

    def _object(self, type_: type) -> Convert:
        known = self._objects.get(type_)
        if known is not None:
            return known
        fields: dict[str, tuple[str, Convert]] | None = None
        absent: dict[str, Any] = {}

        def declared() -> dict[str, tuple[str, Convert]]:
            # Only at the first value: a filter has fields of its own type.
            definition = type_.__strawberry_definition__  # type: ignore[attr-defined]
            found = {}
            for field in definition.fields:
                name = self._config.name_converter.from_field(field)
                of = field.resolve_type(type_definition=definition)
                found[name] = (field.python_name, self.converter(of))
                if field.default_value is MISSING and field.default_factory is MISSING:
                    absent[field.python_name] = None
            return found

        def convert(value: Any) -> Any:
            nonlocal fields
            if value is None or value is UNSET:
                return value
            if fields is None:
                fields = declared()
            given = dict(absent)
            for name, item in value.items():
                python_name, inner = fields[name]
                given[python_name] = inner(item)
            return type_(**given)

        self._objects[type_] = convert
        return convert


def _itself(value: Any) -> Any:
    return value
