"""The real schema, with a real database, under the contract of the two engines."""

from __future__ import annotations

import datetime as dt
from random import Random

import pytest
from graphql import GraphQLArgument, get_named_type, is_required_argument, parse, validate

from db import models
from graph.core import ids
from graph.core.context import Context
from graph.schema import schema
from tests.factories import World
from tests.graph.engine.access_paths import Counting
from tests.graph.engine.differential import compare
from tests.graph.engine.generate import Generator
from tests.graph.engine.unbatched import unbatched_fields

SCHEMA = schema._schema
NOW = dt.datetime.now(dt.UTC)


def test_nothing_that_waits_is_called_for_each_object_of_a_list() -> None:
    assert unbatched_fields(SCHEMA) == []


def at(context: Context, now: dt.datetime) -> Context:
    """Both engines answer at one moment."""
    context.now = now
    return context


async def operations(world: World, *, count: int, depth: int, seed: int) -> int:
    """Generated queries of somebody with projects and tasks; how many of them were valid."""
    ada = await world.person()
    known = []
    for name in ("One", "Two"):
        project = await world.project(ada, name=name)
        known.append(ids.encode(models.Project, project.id))
        for title in ("a", "b", "c"):
            task = await world.task(ada, title, project_id=project.id, assignee_id=ada.id)
            known.append(ids.encode(models.Task, task.id))

    def argument(
        random: Random, name: str, definition: GraphQLArgument, generator: Generator
    ) -> str | None:
        kind = get_named_type(definition.type).name
        if kind == "ID" and name == "ids":
            return f'["{random.choice(known)}", "{random.choice(known)}", "no"]'
        if kind == "ID" and (is_required_argument(definition) or random.random() < 0.7):
            return f'"{random.choice([*known, "nobody"])}"'
        if name in {"first", "last"} and random.random() < 0.3:
            number = random.randint(0, 5)
            return str(number) if random.random() < 0.5 else generator.variable("Int", number)
        if is_required_argument(definition):
            return {"String": '"a"', "Int": "1", "Boolean": "true"}.get(kind, "{}")
        return None

    valid, walking = 0, world.services.access_paths
    for number in range(count):
        generator = Generator(SCHEMA, Random(seed + number), argument, depth=depth)
        assert SCHEMA.query_type is not None
        document = parse(generator.operation(SCHEMA.query_type))
        if validate(SCHEMA, document):
            continue
        valid += 1
        world.services.access_paths = (walking, Counting())[number % 2]
        await compare(SCHEMA, document, generator.variables, lambda: at(world.context(ada), NOW))
    world.services.access_paths = walking
    return valid


async def test_generated_queries_of_the_real_schema_agree(world: World) -> None:
    assert await operations(world, count=60, depth=4, seed=1) > 30


@pytest.mark.nightly
async def test_generated_queries_of_the_real_schema_agree_all_night(world: World) -> None:
    assert await operations(world, count=3_000, depth=5, seed=1_000) > 1_500
