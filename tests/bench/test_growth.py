"""The operations of `bench.growth` are valid, and its flags mean what it says."""

from __future__ import annotations

from graphql import parse, validate

from bench.growth import Figures, flags
from bench.growth_operations import OPERATIONS
from graph.schema import schema


def test_every_operation_is_valid_and_named_once() -> None:
    for operation in OPERATIONS:
        assert validate(schema._schema, parse(operation.document)) == [], operation.name
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)


def _took(processor: float, *, p50: float = 1.0, size: int = 1_000) -> Figures:
    return Figures(p50=p50, processor=processor, first=1.0, size=size)


def test_what_grows_faster_than_its_answer_or_is_slow_is_flagged() -> None:
    assert flags(_took(4.0), _took(5.9)) == ""
    assert flags(_took(4.0), _took(6.1)) == "grows 1.5 times"
    # Ten times the answer for ten times the work; a millisecond more is nothing.
    assert flags(_took(4.0), _took(40.0, size=10_000)) == ""
    assert flags(_took(0.2), _took(1.1)) == ""
    assert flags(None, _took(60.0, p50=51.0)) == "slow"
    assert flags(_took(1.0), _took(60.0, p50=51.0)) == "grows 60.0 times, slow"
