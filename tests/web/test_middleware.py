"""Request ids, CORS, proxies, and HTTP that is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from app import Application, create_app
from settings import Settings
from tests.web import toy

QUERY = {"query": "{ hello }"}
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


@asynccontextmanager
async def client_of(settings: Settings, **server: Any) -> AsyncIterator[httpx.AsyncClient]:
    """The application with other settings of the server, without a socket between."""
    changed = settings.server.model_copy(update=server)
    app = create_app(settings.model_copy(update={"server": changed}), schema=toy.schema)
    async with app.lifespan():
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            yield client


# Request ids


async def test_a_request_id_is_made_and_said(http: httpx.AsyncClient) -> None:
    first = await http.post("/graphql", json=QUERY)
    second = await http.post("/graphql", json=QUERY)
    ids = {response.headers["x-request-id"] for response in (first, second)}
    assert len(ids) == 2


async def test_a_well_formed_request_id_is_kept(http: httpx.AsyncClient) -> None:
    headers = {"X-Request-Id": "trace-0123:abc.DEF_9"}
    response = await http.post("/graphql", json={"query": "{ requestId }"}, headers=headers)
    assert response.headers["x-request-id"] == "trace-0123:abc.DEF_9"
    assert response.json()["data"] == {"requestId": "trace-0123:abc.DEF_9"}


@pytest.mark.parametrize("given", ["short", "x" * 65, "a b c d e f g h", "<script>alert(1)"])
async def test_other_request_ids_are_replaced(http: httpx.AsyncClient, given: str) -> None:
    response = await http.post("/graphql", json=QUERY, headers={"X-Request-Id": given})
    assert response.headers["x-request-id"] != given


# Other origins


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1", "http://[::1]:5"])
async def test_in_development_localhost_may_call(http: httpx.AsyncClient, origin: str) -> None:
    headers = {"Origin": origin}
    preflight = await http.options("/graphql", headers={**headers, **PREFLIGHT})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == origin
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    response = await http.post("/graphql", json=QUERY, headers=headers)
    assert response.headers["access-control-allow-origin"] == origin
    assert response.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost.evil.example", "null", "http://localhostx"]
)
async def test_other_pages_may_not(http: httpx.AsyncClient, origin: str) -> None:
    preflight = await http.options("/graphql", headers={"Origin": origin, **PREFLIGHT})
    assert preflight.status_code == 403
    response = await http.post("/graphql", json=QUERY, headers={"Origin": origin})
    for answer in (preflight, response):
        assert "access-control-allow-origin" not in answer.headers


async def test_in_production_only_named_origins_may_call(settings: Settings) -> None:
    async with client_of(
        settings, env="production", cors_origins=("https://app.example",)
    ) as client:
        for origin, allowed in (("https://app.example", True), ("http://localhost", False)):
            response = await client.options("/graphql", headers={"Origin": origin, **PREFLIGHT})
            assert ("access-control-allow-origin" in response.headers) == allowed


async def test_options_without_an_origin_tells_the_methods(http: httpx.AsyncClient) -> None:
    response = await http.options("/graphql")
    assert response.status_code == 204
    assert response.headers["allow"] == "GET, POST, OPTIONS"


# Where a request comes from


async def test_nobody_is_believed_who_is_no_proxy(settings: Settings) -> None:
    async with client_of(settings) as client:
        headers = {"X-Forwarded-For": "203.0.113.5"}
        response = await client.post("/graphql", json={"query": "{ address }"}, headers=headers)
        assert response.json()["data"] == {"address": "127.0.0.1"}


async def test_a_trusted_proxy_is(settings: Settings) -> None:
    async with client_of(settings, trusted_proxies=("127.0.0.0/8",)) as client:
        # The left part is what the client itself claimed.
        headers = {"X-Forwarded-For": "10.9.9.9, 203.0.113.5, 127.0.0.7"}
        response = await client.post("/graphql", json={"query": "{ address }"}, headers=headers)
        assert response.json()["data"] == {"address": "203.0.113.5"}


# Everything else


async def test_headers_that_browsers_should_have(http: httpx.AsyncClient) -> None:
    for path in ("/health/live", "/nowhere"):
        response = await http.get(path)
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert "server" not in response.headers


async def test_errors_of_other_paths_are_json_too(http: httpx.AsyncClient) -> None:
    missing = await http.get("/nowhere")
    assert missing.status_code == 404
    assert missing.json()["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    wrong = await http.post("/health")
    assert wrong.status_code == 405
    assert wrong.headers["allow"]
    assert wrong.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_a_fault_outside_graphql_is_json_with_its_request_id(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(settings, schema=toy.schema)
    # Not started, so that the first thing any route needs is missing.
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        response = await client.post("/graphql", json=QUERY)
    assert response.status_code == 500
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert error["extensions"]["requestId"] == response.headers["x-request-id"]
    assert "started" not in response.text
    assert "has not been started" in caplog.text


@pytest.mark.parametrize(
    "request_",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /graphql HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_bytes_that_are_no_http(toy_url: str, request_: bytes) -> None:
    """Refused or cut off, and the next request is served."""
    url = httpx.URL(toy_url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(request_)
    async with asyncio.timeout(10):
        answer = await reader.read(100)
    assert answer == b"" or answer.split()[1].startswith(b"4")
    writer.close()
    async with httpx.AsyncClient(base_url=toy_url) as http:
        assert (await http.post("/graphql", json=QUERY)).status_code == 200


async def test_a_client_that_leaves_in_the_middle_of_its_body(
    toy_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = httpx.URL(toy_url)
    _, writer = await asyncio.open_connection(url.host, url.port)
    head = b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    writer.write(head + b"Content-Length: 100\r\n\r\n{")
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.close()
    await asyncio.sleep(0.2)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_the_application_reads_its_settings_itself(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKLOOM_LIMIT_CONNECTIONS", "7")
    app: Application = create_app(schema=toy.schema)
    assert app.runtime.settings.limits.connections_per_user == 7


# What browsers get


async def test_no_page_is_framed_and_production_is_https_alone(settings: Settings) -> None:
    async with client_of(settings) as client:
        response = await client.get("/unsubscribe")
        assert response.headers["x-frame-options"] == "DENY"
        assert "strict-transport-security" not in response.headers
    async with client_of(settings, env="production") as client:
        response = await client.get("/version")
        assert response.headers["strict-transport-security"] == "max-age=31536000"
    async with client_of(settings, env="production", public_url="http://tasks.lan") as client:
        assert "strict-transport-security" not in (await client.get("/version")).headers
