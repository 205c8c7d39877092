"""Subscriptions to events, and the list that says what they should deliver."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

import orjson

from graph.request.answer import Answer
from graph.request.preparation import GraphQLRequest
from tests.accounts import Person
from tests.factories import World

LISTEN = "subscription ($filter: EventFilter) { taskEvents(filter: $filter) { %s } }"
POLL = (
    "query ($filter: EventFilter, $after: String!) "
    "{ events(filter: $filter, after: $after) { nodes { %s } } }"
)


async def collect(
    heard: dict[tuple[UUID, str], list[Any]],
    person: Person,
    selection: str,
    answers: AsyncGenerator[Answer, None],
) -> None:
    async for answer in answers:
        assert not answer.errors
        events = heard.setdefault((person.id, selection), [])
        events.append(orjson.loads(answer.body())["data"]["taskEvents"])


async def listen(
    world: World, stack: contextlib.AsyncExitStack, person: Person, query: str, given: Any
) -> AsyncGenerator[Answer, None]:
    return await subscribed(world, stack, person, query, {"filter": given})


async def subscribed(
    world: World,
    stack: contextlib.AsyncExitStack,
    person: Person,
    query: str,
    variables: dict[str, Any],
    *,
    on_error: str | None = None,
) -> AsyncGenerator[Answer, None]:
    executor = world.executors["batch"]
    request = GraphQLRequest(query=query, variables=variables, on_error=on_error)
    prepared = await executor.prepare(request, request_id="test")
    answers = await executor.subscribe(
        prepared, world.context(person), lambda: world.current_viewer(person)
    )
    return await stack.enter_async_context(contextlib.aclosing(answers))
