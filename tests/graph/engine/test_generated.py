"""Generated operations over the toy schema, with planned faults, each through both engines."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from graphql import GraphQLArgument, get_named_type, parse, validate
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from graph.core.executed import ErrorBehavior
from tests.graph.engine.differential import compare
from tests.graph.engine.generate import Generator
from tests.graph.engine.toy import ToyContext, World, make_schema

SCHEMA = make_schema()._schema
PROPAGATE = ErrorBehavior.PROPAGATE
RATES = [0, 0, 5, 20, 60, 200]


def argument(
    random: Random, name: str, definition: GraphQLArgument, generator: Generator
) -> str | None:
    """Arguments for the toy schema, by their types."""
    kind = get_named_type(definition.type).name
    if kind == "ID":
        return f'"{random.choice(["person", "task", "comment", "no"])}_{random.randint(0, 9)}"'
    if kind == "Wish":
        return f'{{name: "w", times: {random.randint(0, 3)}}}'
    if kind != "Int" or random.random() < 0.4:
        return None
    number = random.randint(0, 6)
    return str(number) if random.random() < 0.5 else generator.variable("Int!", number)


async def check(random: Random, seed: int, rate: int, on_error: ErrorBehavior) -> None:
    """One generated operation in one world."""
    generator = Generator(SCHEMA, random, argument)
    root, keyword = SCHEMA.query_type, "query"
    event: Any = None
    if random.random() > 0.9:
        root, keyword = SCHEMA.subscription_type, "subscription"
    assert root is not None
    document = parse(generator.operation(root, keyword))
    # A subscription may have one root field only, and so on: the generator need not know it all.
    assume(validate(SCHEMA, document) == [])
    world = World(seed, rate)
    if keyword == "subscription":
        event = world.people[seed % len(world.people)]
    await compare(
        SCHEMA,
        document,
        generator.variables,
        lambda: ToyContext(world),
        root_value=event,
        on_error=on_error,
    )


# graphql-core leaves resolvers unawaited when a sibling has failed; the batch engine awaits all.
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

CASE = given(
    random=st.randoms(use_true_random=False),
    seed=st.integers(0, 10_000),
    rate=st.sampled_from(RATES),
    on_error=st.sampled_from([PROPAGATE, PROPAGATE, ErrorBehavior.NULL, ErrorBehavior.HALT]),
)
QUIET = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)


@settings(max_examples=200, deadline=None, suppress_health_check=QUIET)
@CASE
async def test_both_engines_agree(
    random: Random, seed: int, rate: int, on_error: ErrorBehavior
) -> None:
    await check(random, seed, rate, on_error)


# 20,000 in all. In parts, since Hypothesis remembers every example of a run, and slows down.
@pytest.mark.nightly
@pytest.mark.parametrize("part", range(40))
@settings(max_examples=500, deadline=None, suppress_health_check=QUIET)
@CASE
async def test_both_engines_agree_all_night(
    part: int, random: Random, seed: int, rate: int, on_error: ErrorBehavior
) -> None:
    await check(random, seed, rate, on_error)
