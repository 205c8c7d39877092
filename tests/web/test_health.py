"""What operators and load balancers ask."""

from __future__ import annotations

import asyncio
import datetime as dt
from uuid import uuid4

import asyncpg
import httpx
import pytest

from app import create_app
from db.embedded import EmbeddedPostgres
from settings import Settings, load_settings
from tests.web import toy


def client_of(app: object) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # an ASGI application
    return httpx.AsyncClient(transport=transport, base_url="http://x")


async def test_a_ready_server_says_what_it_checked(http: httpx.AsyncClient) -> None:
    for path in ("/health", "/health/ready"):
        response = await http.get(path)
        assert response.status_code == 200
        assert response.json() == {
            "status": "ok",
            "checks": {"database": {"status": "ok"}, "migrations": {"status": "ok"}},
        }
    assert (await http.get("/health/live")).json() == {"status": "ok"}


async def test_version(http: httpx.AsyncClient) -> None:
    body = (await http.get("/version")).json()
    assert set(body) == {"version", "environment", "commit"}
    assert body["environment"] == "development"


async def test_redis_is_checked_where_it_is_used(settings: Settings, redis_url: str) -> None:
    redis = settings.redis.model_copy(update={"url": redis_url})
    app = create_app(settings.model_copy(update={"redis": redis}), schema=toy.schema)
    async with app.lifespan(), client_of(app) as client:
        async with asyncio.timeout(20):
            while (await client.get("/health")).status_code != 200:
                await asyncio.sleep(0.2)
        assert (await client.get("/health")).json()["checks"]["redis"] == {"status": "ok"}


async def test_a_redis_that_is_away_makes_it_unready(settings: Settings) -> None:
    redis = settings.redis.model_copy(update={"url": "redis://127.0.0.1:1"})
    app = create_app(settings.model_copy(update={"redis": redis}), schema=toy.schema)
    async with app.lifespan(), client_of(app) as client:
        response = await client.get("/health")
        assert response.status_code == 503
        assert response.json()["checks"]["redis"]["status"] == "failing"


async def test_missing_migrations_make_it_unready(settings: Settings) -> None:
    app = create_app(settings, schema=toy.schema)
    async with app.lifespan(), client_of(app) as client:
        connection = await asyncpg.connect(settings.database.dsn)
        try:
            kept = await connection.fetchval("SELECT version_num FROM alembic_version")
            await connection.execute("DELETE FROM alembic_version")
            response = await client.get("/health/ready")
            await connection.execute("INSERT INTO alembic_version VALUES ($1)", kept)
        finally:
            await connection.close()
        assert response.status_code == 503
        assert response.json()["checks"]["migrations"]["detail"].endswith("pending")


async def test_without_its_database_it_lives_and_is_not_ready() -> None:
    with EmbeddedPostgres.temporary() as server:
        from db import migrate

        settings = load_settings({"DATABASE_URL": server.dsn()}, env_file=None)
        await migrate.upgrade(settings.database)
        app = create_app(settings, schema=toy.schema)
        async with app.lifespan(), client_of(app) as client:
            assert (await client.get("/health")).status_code == 200
            server.stop()
            async with asyncio.timeout(20):
                while (await client.get("/health")).status_code != 503:
                    await asyncio.sleep(0.2)
            ready = await client.get("/health")
            assert ready.json()["checks"]["database"]["status"] == "failing"
            assert server.socket_dir.name not in ready.text
            assert (await client.get("/health/live")).status_code == 200
            # Who somebody is cannot be asked: they are told to try again later.
            tokens = app.runtime.services.authenticator.tokens
            token = tokens.mint_access(uuid4(), uuid4(), dt.datetime.now(dt.UTC)).token
            headers = {"Authorization": f"Bearer {token}"}
            response = await client.post("/graphql", json={"query": "{ me }"}, headers=headers)
            assert response.status_code == 503
            assert response.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
            assert server.socket_dir.name not in response.text


@pytest.mark.parametrize(
    "figure",
    [
        'taskloom_operations_total{outcome="ok",transport="http",type="query"}',
        'taskloom_operation_seconds_bucket{le="0.01",type="query"}',
        'taskloom_http_responses_total{status="200"}',
        "taskloom_event_lag_seconds",
        "taskloom_streams",
        "process_resident_memory_bytes",
    ],
)
async def test_metrics(http: httpx.AsyncClient, figure: str) -> None:
    await http.post("/graphql", json={"query": "{ hello }"})
    response = await http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    assert figure in response.text


async def test_metrics_name_nothing_that_a_client_chose(http: httpx.AsyncClient) -> None:
    await http.post("/graphql", json={"query": "query Chosen { hello }"})
    assert "Chosen" not in (await http.get("/metrics")).text
