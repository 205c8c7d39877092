"""Server-sent events: distinct connections mode of GraphQL over SSE, byte by byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app import Application, create_app
from settings import Settings
from tests.accounts import House
from tests.servers import serving
from tests.uploads import PREFLIGHT
from tests.web import toy
from tests.web.http_calls import persist
from web import event_stream

STREAM = {"Accept": "text/event-stream"}
PATIENCE = 10


async def events(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, Any]]:
    """The events of a stream, comments left out."""
    event = ""
    async for line in lines:
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data:"):
            data = line.removeprefix("data:").strip()
            yield event, json.loads(data) if data else None


async def _lines(response: httpx.Response) -> AsyncIterator[str]:
    for line in response.text.splitlines():
        yield line


async def all_events(http: httpx.AsyncClient, query: str) -> list[tuple[str, Any]]:
    async with (
        asyncio.timeout(PATIENCE),
        http.stream("POST", "/graphql", json={"query": query}, headers=STREAM) as response,
    ):
        assert response.status_code == 200
        return [event async for event in events(response.aiter_lines())]


async def test_a_subscription_is_a_stream_of_results(http: httpx.AsyncClient) -> None:
    query = "subscription { upto(to: 2) }"
    response = await http.post("/graphql", json={"query": query}, headers=STREAM)
    request_id = response.headers["x-request-id"]
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store, no-transform"
    results = [
        '{"data":{"upto":0},"extensions":{"requestId":"ID"}}',
        '{"data":{"upto":1},"extensions":{"requestId":"ID"}}',
    ]
    body = "".join(f"event: next\ndata: {result}\n\n" for result in results)
    assert response.text == f":\n\n{body}event: complete\ndata:\n\n".replace("ID", request_id)


@pytest.mark.parametrize(
    "accept",
    [
        "text/event-stream",
        "text/event-stream, application/json",
        # A subscription has no other form over HTTP, regardless of its position in the list.
        "application/graphql-response+json, application/json, text/event-stream",
        "application/json;q=0.9, text/event-stream;q=0.1",
    ],
)
async def test_a_subscription_streams_wherever_the_type_is_named(
    http: httpx.AsyncClient, accept: str
) -> None:
    response = await http.post(
        "/graphql", json={"query": "subscription { upto(to: 1) }"}, headers={"Accept": accept}
    )
    assert response.headers["content-type"].startswith("text/event-stream")


async def test_queries_may_be_streams_too(http: httpx.AsyncClient) -> None:
    (first, data), last = await all_events(http, "{ hello }")
    assert (first, data["data"]) == ("next", {"hello": "hello world"})
    assert last == ("complete", None)


async def test_errors_of_the_document_come_in_the_stream(http: httpx.AsyncClient) -> None:
    (first, data), last = await all_events(http, "subscription { nothing }")
    assert (first, last[0]) == ("next", "complete")
    assert data["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_a_stream_by_its_identifier(http: httpx.AsyncClient) -> None:
    known = await persist(http, "subscription { upto(to: 2) }")
    for response in (
        await http.post("/graphql", json={"documentId": known}, headers=STREAM),
        await http.get("/graphql", params={"documentId": known}, headers=STREAM),
    ):
        found = [event async for event in events(_lines(response))]
        assert [data and data["data"]["upto"] for _, data in found] == [0, 1, None]
    unknown = {"documentId": f"sha256:{'0' * 64}"}
    response = await http.get("/graphql", params=unknown, headers=STREAM)
    (_, data), last = [event async for event in events(_lines(response))]
    assert data["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
    assert last == ("complete", None)
    wrong = await http.get("/graphql", params={"documentId": "sha256:0"}, headers=STREAM)
    assert wrong.status_code == 400


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("expires", "CURSOR_EXPIRED"),
        ("breaks", "INTERNAL_SERVER_ERROR"),
        ("refused", "BAD_USER_INPUT"),
    ],
)
async def test_a_stream_that_fails_says_why(
    http: httpx.AsyncClient, field: str, expected: str
) -> None:
    *_, (event, data), last = await all_events(http, f"subscription {{ {field} }}")
    assert (event, last[0]) == ("next", "complete")
    assert data["errors"][0]["extensions"]["code"] == expected
    assert "secret" not in json.dumps(data)


async def test_bad_credentials_open_no_stream(http: httpx.AsyncClient) -> None:
    headers = {**STREAM, "Authorization": "Bearer nonsense"}
    query = {"query": "subscription { upto(to: 1) }"}
    response = await http.post("/graphql", json=query, headers=headers)
    assert response.status_code == 401
    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_stream_token_opens_one_by_get(http: httpx.AsyncClient, house: House) -> None:
    person = await house.person()
    token = house.auth.mint_stream_token(person.viewer).token
    params = {"query": "subscription { step { me } }", "token": token}
    async with http.stream("GET", "/graphql", params=params, headers=STREAM) as response:
        async for event, data in events(response.aiter_lines()):
            assert (event, data["data"]) == ("next", {"step": {"me": str(person.id)}})
            break


@pytest.mark.parametrize("token", ["nonsense", "a.b.c"])
async def test_a_bad_stream_token(http: httpx.AsyncClient, token: str) -> None:
    params = {"query": "subscription { silent }", "token": token}
    response = await http.get("/graphql", params=params, headers=STREAM)
    assert response.status_code == 401


async def test_an_access_token_is_no_stream_token(http: httpx.AsyncClient, house: House) -> None:
    person = await house.person()
    params = {"query": "subscription { silent }", "token": person.grant.access_token}
    response = await http.get("/graphql", params=params, headers=STREAM)
    assert response.status_code == 401


async def test_the_server_notices_who_left(http: httpx.AsyncClient) -> None:
    before = toy.Subscription.open
    query = {"query": "subscription { silent }"}
    async with http.stream("POST", "/graphql", json=query, headers=STREAM) as response:
        assert await anext(response.aiter_bytes()) == b":\n\n"
        async with asyncio.timeout(PATIENCE):
            while toy.Subscription.open == before:
                await asyncio.sleep(0.01)
    async with asyncio.timeout(PATIENCE):
        while toy.Subscription.open != before:
            await asyncio.sleep(0.01)


async def test_a_mutation_reads_its_file_though_its_client_left(
    http: httpx.AsyncClient, house: House, toy_app: Application
) -> None:
    toy.Mutation.gate.clear()
    begun, done = toy.Mutation.begun, toy.Mutation.done
    operations = {
        "query": "mutation ($file: Upload!) { read(file: $file) }",
        "variables": {"file": None},
    }
    form = {"operations": json.dumps(operations), "map": '{"0": ["variables.file"]}'}
    headers = {**STREAM, **PREFLIGHT, "Authorization": (await house.person()).header}
    files = {"0": ("a.txt", b"all of it", "text/plain")}
    async with (
        asyncio.timeout(PATIENCE),
        http.stream("POST", "/graphql", data=form, files=files, headers=headers) as response,
    ):
        assert response.status_code == 200
        while toy.Mutation.begun == begun:
            await asyncio.sleep(0.01)
    async with asyncio.timeout(PATIENCE):
        # Until the server has noticed that the client left.
        while not toy_app.runtime._detached:
            await asyncio.sleep(0.01)
        toy.Mutation.gate.set()
        while toy.Mutation.done == done:
            await asyncio.sleep(0.01)
    assert toy.Mutation.content == b"all of it"


async def test_heartbeats_keep_it_open(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "HEARTBEAT_SECONDS", 0.5)
    query = {"query": "subscription { silent }"}
    async with http.stream("POST", "/graphql", json=query, headers=STREAM) as response:
        beats = b""
        async with asyncio.timeout(PATIENCE):
            async for chunk in response.aiter_bytes():
                beats += chunk
                if len(beats) >= len(b":\n\n") * 3:
                    break
        assert beats == b":\n\n" * 3


async def test_expired_credentials_end_it_with_a_reason(
    http: httpx.AsyncClient, house: House
) -> None:
    house.clock.forward(seconds=2 - house.settings.auth.access_token_seconds)
    person = await house.person()
    http.headers["Authorization"] = person.header
    (event, data), last = await all_events(http, "subscription { silent }")
    assert (event, last[0]) == ("next", "complete")
    assert data["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_twenty_streams_of_one_user(http: httpx.AsyncClient, house: House) -> None:
    person = await house.person()
    http.headers["Authorization"] = person.header
    query = {"query": "subscription { silent }"}
    streams = [http.stream("POST", "/graphql", json=query, headers=STREAM) for _ in range(20)]
    for stream in streams:
        await stream.__aenter__()
    response = await http.post("/graphql", json=query, headers=STREAM)
    assert response.status_code == 429
    assert response.json()["errors"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"
    for stream in streams:
        await stream.__aexit__(None, None, None)


async def test_a_server_that_stops_ends_its_streams(settings: Settings) -> None:
    app = create_app(settings, schema=toy.schema)
    query = {"query": "subscription { silent }"}
    async with (
        serving(app) as url,
        httpx.AsyncClient(base_url=url) as http,
        http.stream("POST", "/graphql", json=query, headers=STREAM) as response,
    ):
        chunks = response.aiter_bytes()
        assert await anext(chunks) == b":\n\n"
        app.runtime.connections.stop()
        # No `complete`: the client is to come back.
        async with asyncio.timeout(PATIENCE):
            last = b"".join([chunk async for chunk in chunks])
        assert b"complete" not in last
        assert b'"code":"UNAVAILABLE"' in last


async def test_a_mutation_ends_before_a_server_that_stops(settings: Settings) -> None:
    """It would be cut in the middle, and nobody would know whether it was done."""
    app = create_app(settings, schema=toy.schema)
    toy.Mutation.gate.clear()
    begun, done = toy.Mutation.begun, toy.Mutation.done
    query = {"query": "mutation { wait }"}
    async with (
        asyncio.timeout(PATIENCE),
        serving(app) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http,
        http.stream("POST", "/graphql", json=query, headers=STREAM) as response,
    ):
        while toy.Mutation.begun == begun:
            await asyncio.sleep(0.01)
        app.runtime.connections.stop()
        for stream in list(app.runtime.connections._holders):
            stream.expire()
        # What is cancelled would have ended by the time that another request is answered.
        await http.get("/graphql", params={"query": "{ hello }"})
        toy.Mutation.gate.set()
        (event, data), last = [event async for event in events(response.aiter_lines())]
    assert (event, data["data"], last[0]) == ("next", {"wait": done + 1}, "complete")
    assert toy.Mutation.done == done + 1
