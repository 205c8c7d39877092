"""HTTP responses say which engine ran, and a metric counts it."""

from __future__ import annotations

import re

import httpx
import pytest

from app import create_app
from settings import Settings
from tests.factories import World

# Introspection beside other fields is what the batch engine leaves to the standard one.
LEFT = '{ serverInfo { name } __type(name: "Task") { name } }'


async def asked(client: httpx.AsyncClient, query: str) -> httpx.Response:
    response = await client.post("/graphql", json={"query": query})
    assert response.status_code == 200
    assert "errors" not in response.json()
    return response


async def fallbacks(client: httpx.AsyncClient) -> float:
    text = (await client.get("/metrics")).text
    found = re.search(
        r'^taskloom_engine_fallbacks_total\{reason="introspection"\} (.+)$', text, re.MULTILINE
    )
    return 0.0 if found is None else float(found[1])


async def test_an_operation_that_falls_back_says_so_and_is_counted(world: World) -> None:
    batch = await asked(world.http, "{ serverInfo { name } }")
    assert batch.headers["X-Taskloom-Engine"] == "batch"
    before = await fallbacks(world.http)
    standard = await asked(world.http, LEFT)
    assert standard.headers["X-Taskloom-Engine"] == "standard"
    assert await fallbacks(world.http) == before + 1


@pytest.mark.parametrize("engine", ["batch", "standard"])
@pytest.mark.parametrize("env", ["development", "production"])
async def test_a_setting_turns_the_batch_engine_off(
    engine: str, env: str, settings: Settings
) -> None:
    """In production there is no header, since it is for developers of the server."""
    graphql = settings.graphql.model_copy(update={"engine": engine})
    server = settings.server.model_copy(update={"env": env})
    app = create_app(settings.model_copy(update={"graphql": graphql, "server": server}))
    async with app.lifespan():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://one") as client:
            before = await fallbacks(client)
            response = await asked(client, "{ serverInfo { name } }")
            assert await fallbacks(client) == before, "it was asked for, and no fallback"
    told = response.headers.get("X-Taskloom-Engine")
    assert told == (engine if env == "development" else None)
