"""Which columns PostgreSQL may write as JSON: only those that Python would write the same."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import pytest
import strawberry
from sqlalchemy import SmallInteger
from strawberry.schema.schema_converter import CustomGraphQLEnumType

from db.base import Ordered
from graph.engine.sql_json import _writer, part_of
from graph.schema import schema


@strawberry.enum
class Weight(IntEnum):
    """The one of the schema."""

    LIGHT = 1
    HEAVY = 2


@strawberry.enum
class Price(IntEnum):
    """Another, of the same numbers."""

    CHEAP = 1
    HIGH = 2


@strawberry.type
class Query:
    weight: Weight
    price: Price | None


SHOWN: Any = strawberry.Schema(Query)._schema.type_map["Weight"]


def test_an_enum_is_written_by_its_names_in_the_schema() -> None:
    assert isinstance(SHOWN, CustomGraphQLEnumType)
    write: Any = _writer(SHOWN, Ordered(Weight), Weight)
    assert write.names == ((1, "LIGHT"), (2, "HEAVY"))


@pytest.mark.parametrize(
    ("column", "convert"),
    [
        (Ordered(Price), Weight),
        (Ordered(Weight), Price),
        (Ordered(Price), Price),
        (SmallInteger(), Weight),
    ],
    ids=["another column", "another conversion", "another both", "no enum"],
)
def test_a_number_of_another_enum_is_left_to_python(column: Any, convert: Any) -> None:
    """Its numbers mean something else there, or nothing, which is an error of the field."""
    assert _writer(SHOWN, column, convert) is None


@pytest.mark.parametrize(
    "place",
    ["Task.title", "Task.description", "Task.estimate", "Project.color", "Attachment.byteSize",
     "Session.expiresAt", "Webhook.url", "ReportExport.timezone", "WebhookDelivery.responseTime"],
)  # fmt: skip
def test_columns_are_written_whatever_their_scalar(place: str) -> None:
    type_, field = place.split(".")
    assert part_of(schema._schema.type_map[type_], field, "key") is not None  # type: ignore[arg-type]
