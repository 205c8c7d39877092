"""Scalars: what a client may send, and what the server writes."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
import strawberry
from graphql import GraphQLError, GraphQLScalarType

from graph.core import scalars
from graph.core.scalars import Color, Duration, Seconds, read_duration, timedelta_of


@strawberry.type
class Query:
    @strawberry.field
    def seconds(self, of: Seconds) -> Seconds:
        return of

    @strawberry.field
    def color(self, of: Color) -> Color:
        return of

    @strawberry.field
    def duration(self, of: Duration) -> Duration:
        return of


SCHEMA = strawberry.Schema(Query, config=scalars.CONFIG)
SECONDS: Any = SCHEMA._schema.type_map["Seconds"]


def echo(name: str, type_: str, value: Any) -> tuple[Any, str | None]:
    result = SCHEMA.execute_sync(f"query ($v: {type_}!) {{ {name}(of: $v) }}", {"v": value})
    message = result.errors[0].message if result.errors else None
    return (result.data or {}).get(name), message


@pytest.mark.parametrize("value", [0, 60, -86_400, 60.0, 2**53 - 1, -(2**53 - 1)])
def test_whole_numbers_are_kept(value: Any) -> None:
    read, message = echo("seconds", "Seconds", value)
    assert (read, message) == (int(value), None)
    assert type(read) is int


@pytest.mark.parametrize(
    "value", [0.5, float("nan"), float("inf"), 2**53, -(2**53), 10**400, "60", True, [60], {}]
)
def test_other_numbers_are_refused_with_the_rule(value: Any) -> None:
    read, message = echo("seconds", "Seconds", value)
    assert read is None
    assert message is not None
    assert "Seconds must be a whole number" in message


@pytest.mark.parametrize("literal", ["0.5", '"60"', "true", "1e400", "9" * 5_000, "SIXTY"])
def test_literals_are_refused_alike(literal: str) -> None:
    result = SCHEMA.execute_sync(f"{{ seconds(of: {literal}) }}")
    assert result.errors
    assert "Seconds must be a whole number" in result.errors[0].message


def test_sums_of_postgresql_are_whole_numbers() -> None:
    assert isinstance(SECONDS, GraphQLScalarType)
    written = SECONDS.coerce_output_value(Decimal(56_260))
    assert (written, type(written)) == (56_260, int)
    for wrong in (Decimal("0.5"), 1.0, True, "60", 2**53):
        with pytest.raises(GraphQLError):
            SECONDS.coerce_output_value(wrong)


@pytest.mark.parametrize("value", [3, True, ["#ffffff"]])
def test_texts_are_strings(value: Any) -> None:
    read, message = echo("color", "Color", value)
    assert read is None
    assert message is not None
    assert "A Color must be a string" in message


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("P7D", dt.timedelta(days=7)),
        ("-PT2H", -dt.timedelta(hours=2)),
        ("+P1W2D", dt.timedelta(days=9)),
        ("PT1H30M15S", dt.timedelta(hours=1, minutes=30, seconds=15)),
        ("P1DT12H", dt.timedelta(hours=36)),
    ],
)
def test_durations(text: str, length: dt.timedelta) -> None:
    assert echo("duration", "Duration", text) == (text, None)
    assert timedelta_of(read_duration(text)) == length


@pytest.mark.parametrize("text", ["P", "PT", "P1DT", "P1Y", "P1M", "7D", "P1.5D", "P٣D", "p7d", 7])
def test_other_durations_are_refused(text: Any) -> None:
    read, message = echo("duration", "Duration", text)
    assert read is None
    assert message is not None
    assert "A Duration must be weeks, days" in message


def test_the_longest_duration_is_a_timedelta() -> None:
    longest = "P99999W" + "999999D" + "T99999999H" + "999999999M" + "99999999999S"
    assert timedelta_of(read_duration(longest)) > dt.timedelta(days=999_999)
