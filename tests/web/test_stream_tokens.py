"""A stream token opens one subscription, once, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest

from app import create_app
from settings import Settings
from tests.accounts import House
from tests.servers import serving
from tests.web import toy
from tests.web.test_event_stream import STREAM

LISTEN = "subscription { silent }"


@pytest.fixture
async def processes(settings: Settings) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Two, which share nothing but the database."""
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(2):
            url = await stack.enter_async_context(serving(create_app(settings, schema=toy.schema)))
            clients.append(
                await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=30))
            )
        yield clients


async def _open(http: httpx.AsyncClient, token: str, stack: AsyncExitStack) -> int:
    params = {"query": LISTEN, "token": token}
    stream = http.stream("GET", "/graphql", params=params, headers=STREAM)
    return (await stack.enter_async_context(stream)).status_code


async def test_once_in_all_processes(processes: list[httpx.AsyncClient], house: House) -> None:
    person = await house.person()
    token = house.auth.mint_stream_token(person.viewer).token
    async with AsyncExitStack() as stack:
        attempts = [_open(http, token, stack) for http in processes for _ in range(5)]
        statuses = await asyncio.gather(*attempts)
        assert sorted(statuses) == [200] + [401] * 9
        # Nor later, when the stream that it opened is gone.
        await stack.aclose()
        assert await _open(processes[1], token, stack) == 401
        # Another one of the same session is another one.
        another = house.auth.mint_stream_token(person.viewer).token
        assert await _open(processes[1], another, stack) == 200


@pytest.mark.parametrize(
    "query", ["{ me }", "query Q { me } ", "mutation { add }", "{ me } # subscription { silent }"]
)
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_nothing_else(http: httpx.AsyncClient, house: House, query: str, accept: str) -> None:
    person = await house.person()
    token = house.auth.mint_stream_token(person.viewer).token
    params = {"query": query, "token": token}
    answer = await http.get("/graphql", params=params, headers={"Accept": accept})
    assert answer.status_code in {401, 405}
    assert str(person.id) not in answer.text
    # What it costs is no subscription either; and none of it has used the token up.
    params = {"query": LISTEN, "token": token, "extensions": '{"costOnly": true}'}
    answer = await http.get("/graphql", params=params, headers={"Accept": accept})
    assert answer.status_code == 401
    async with AsyncExitStack() as stack:
        assert await _open(http, token, stack) == 200


async def test_a_post_does_not_look_at_it(http: httpx.AsyncClient, house: House) -> None:
    person = await house.person()
    token = house.auth.mint_stream_token(person.viewer).token
    for headers in ({}, {"Authorization": f"Bearer {token}"}):
        answer = await http.post(
            "/graphql", params={"token": token}, json={"query": "{ me }"}, headers=headers
        )
        assert str(person.id) not in answer.text
