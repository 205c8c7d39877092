"""What operators and load balancers ask."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pytest
from sqlalchemy import select

from app import create_app
from db.base import Base
from db.embedded import EmbeddedPostgres
from db.engine import pool_sizes
from db.models import Job, JobState, Worker
from events.filter import LogFilter
from graph.core.context import Services, utc_now
from jobs import worker
from settings import Settings, load_settings
from tests.databases import address_of, fresh_database
from tests.servers import free_port
from tests.web import toy
from web import health

HEALTHY = Path(__file__).resolve().parents[2] / "scripts" / "healthy.py"


@pytest.fixture(autouse=True)
def figures_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are remembered for some seconds; see `tests.web.test_metrics`."""
    monkeypatch.setattr(health, "FIGURES_SECONDS", 0.0)


def client_of(app: object) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # an ASGI application
    return httpx.AsyncClient(transport=transport, base_url="http://x")


NOW = dt.datetime(2026, 3, 4, 12, 0, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Alone:
    """A server that has a database to itself."""

    settings: Settings
    services: Services
    client: httpx.AsyncClient

    async def rows(self, *rows: Base) -> None:
        async with self.services.database.session() as session, session.begin():
            session.add_all(rows)

    async def figures(self) -> dict[str, float]:
        """What `/metrics` says, by name and labels: `taskloom_jobs{state="done"}`."""
        lines = (await self.client.get("/metrics")).text.splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    async def until_worker_is(self, status: str) -> httpx.Response:
        """The first answer that finds the worker so; what was found is remembered for a second."""
        async with asyncio.timeout(60):
            while True:
                response = await self.client.get("/health/ready")
                if response.json()["checks"]["worker"]["status"] == status:
                    return response
                await asyncio.sleep(0.1)


@asynccontextmanager
async def alone(
    settings: Settings, clock: Callable[[], dt.datetime] = utc_now
) -> AsyncIterator[Alone]:
    async with fresh_database(settings) as database:
        own = settings.with_database(await address_of(settings, database))
        app = create_app(own, schema=toy.schema, clock=clock)
        async with app.lifespan(), client_of(app) as client:
            yield Alone(own, app.runtime.services, client)


async def test_a_ready_server_says_what_it_checked(http: httpx.AsyncClient) -> None:
    for path in ("/health", "/health/ready"):
        response = await http.get(path)
        assert response.status_code == 200
        checks = response.json()["checks"]
        assert set(checks) == {"database", "events", "migrations", "worker"}
        assert checks["database"] == checks["migrations"] == {"status": "ok"}
    assert (await http.get("/health/live")).json() == {"status": "ok"}


async def test_it_stays_ready_without_a_worker_and_says_so(settings: Settings) -> None:
    async with alone(settings) as server:
        silent = utc_now() - dt.timedelta(minutes=2)
        await server.rows(Worker(name="killed", started_at=silent, seen_at=silent))
        response = await server.until_worker_is("degraded")
        assert (response.status_code, response.json()["status"]) == (200, "degraded")
        assert (await server.figures())["taskloom_workers"] == 0
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as together:
            together.create_task(worker.run(server.settings, stop))
            response = await server.until_worker_is("ok")
            assert (response.status_code, response.json()["status"]) == (200, "ok")
            assert (await server.figures())["taskloom_workers"] == 1
            stop.set()
        response = await server.until_worker_is("degraded")
        assert response.status_code == 200


async def test_metrics_show_the_queue(settings: Settings) -> None:
    async with alone(settings, lambda: NOW) as server:
        assert (await server.figures())["taskloom_job_wait_seconds"] == 0
        states = {
            JobState.WAITING: (NOW - dt.timedelta(minutes=10), NOW + dt.timedelta(minutes=10)),
            # Left behind by its worker, whose lease ended before anything else was due.
            JobState.RUNNING: (NOW - dt.timedelta(minutes=20),),
            JobState.DONE: (NOW - dt.timedelta(minutes=30),) * 3,
            JobState.FAILED: (NOW - dt.timedelta(minutes=40),) * 4,
        }
        await server.rows(
            *(
                Job(id=uuid4(), name="test", payload={}, state=state, created_at=due, due_at=due)
                for state, dues in states.items()
                for due in dues
            )
        )
        figures = await server.figures()
        names = ("waiting", "running", "done", "failed")
        assert [figures[f'taskloom_jobs{{state="{name}"}}'] for name in names] == [2, 1, 3, 4]
        assert figures["taskloom_job_wait_seconds"] == 20 * 60


async def test_metrics_show_what_workers_leave_alone(settings: Settings) -> None:
    async with alone(settings) as server:
        now, silent = utc_now(), utc_now() - dt.timedelta(minutes=2)
        await server.rows(
            Worker(name="one", started_at=now, seen_at=now, circuits={"webhook": 2}),
            Worker(name="two", started_at=now, seen_at=now, circuits={"webhook": 1, "push": 1}),
            Worker(name="gone", started_at=now, seen_at=silent, circuits={"mail": 1}),
        )
        figures = await server.figures()
        found = {name: one for name, one in figures.items() if "circuits" in name}
        assert found == {
            'taskloom_circuits_open{kind="webhook"}': 3,
            'taskloom_circuits_open{kind="push"}': 1,
        }


async def test_metrics_show_connections_and_subscriptions(settings: Settings) -> None:
    in_use, reads = (
        f'taskloom_database_connections{{pool="{pool}"}}' for pool in ("changes", "filtered_reads")
    )
    async with alone(settings) as server:
        figures = await server.figures()
        assert (figures[in_use], figures["taskloom_subscriptions"]) == (0, 0)
        size = figures['taskloom_database_connections_max{pool="changes"}']
        assert size == pool_sizes(server.settings.database.connections).changes
        async with server.services.database.session() as session:
            await session.execute(select(1))
            assert (await server.figures())[in_use] == 1
        assert (await server.figures())[in_use] == 0
        async with server.services.database.reader.snapshot():
            # The event log is read beside it, now and then.
            assert (await server.figures())[reads] >= 1
        events = await server.services.live.subscribe(uuid4(), LogFilter())
        listening = asyncio.create_task(anext(events))
        async with asyncio.timeout(20):
            while (await server.figures())["taskloom_subscriptions"] != 1:
                await asyncio.sleep(0.01)
        listening.cancel()
        await asyncio.wait([listening])
        await events.aclose()
        assert (await server.figures())["taskloom_subscriptions"] == 0


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
            await connection.execute("UPDATE alembic_version SET version_num = '0001'")
            response = await client.get("/health/ready")
            await connection.execute("UPDATE alembic_version SET version_num = $1", kept)
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
            # What is wrong is in the log.
            for check in ready.json()["checks"].values():
                assert check in (
                    {"status": "ok"},
                    {"status": "failing", "detail": "no answer"},
                    {"status": "failing", "detail": "no answer in time"},
                    {"status": "degraded", "detail": "no answer"},
                    {"status": "degraded", "detail": "no answer in time"},
                )
            assert ready.json()["checks"]["database"]["status"] == "failing"
            assert server.socket_dir.name not in ready.text
            assert (await client.get("/health/live")).status_code == 200
            # Authentication needs the database: the answer says to try again later.
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


async def test_the_image_asks_whether_its_server_is_ready(toy_url: str) -> None:
    for port, status in ((toy_url.rpartition(":")[2], 0), (str(free_port()), 1)):
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(HEALTHY), env={**os.environ, "TASKLOOM_PORT": port}
        )
        assert await process.wait() == status
