"""Shared fixtures: a real PostgreSQL with our tables, a real Redis, and the application on real
sockets.

Tests share one database and one application. They do not affect each other, because each creates
its own users (`tests.accounts`, `tests.factories`).
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app import Application, create_app
from db import migrate
from db.embedded import EmbeddedPostgres
from db.engine import Database
from demo.company import LOGIN, PASSWORD
from graph.core.context import Services
from settings import Settings, load_settings
from tests import servers
from tests.accounts import House
from tests.databases import copied_database, demo_template, drop_templates
from tests.factories import World, world_of

PUBLIC_URL = "https://taskloom.example"
# Files that take longest, many with few tests: they come first, so that none is alone at the end.
# About every fourth waits for most of its time, so that the others always keep the processors busy.
_LONGEST = (
    "graph/engine/test_schema_corpus.py",
    "clients/test_typescript.py",
    "graph/engine/test_oracle.py",
    "cli/test_serve.py",
    "rights/test_rights.py",
    "schema/test_schema_checks.py",
    "access/test_matrix.py",
    "web/test_redis_restart.py",
    "e2e/test_board.py",
    "e2e/test_explorer_tools.py",
    "graph/events/test_shared_answers.py",
    "graph/events/test_every_shared_field.py",
    "web/test_attack.py",
    "graph/kit/test_orderings.py",
    "bench/test_bench.py",
    "e2e/test_explorer.py",
    "web/test_rights_of_the_moment.py",
    "docs/test_guide.py",
    "e2e/test_docs.py",
    "e2e/test_board_meetings.py",
    "telemetry/test_telemetry.py",
    "docs/test_adding_a_field.py",
    "access/test_scope_marks.py",
    "jobs/test_push.py",
    "db/test_embedded.py",
    "demo/test_seed.py",
    "web/test_schemathesis.py",
    "jobs/exports/test_time_agrees.py",
    "cancellation/test_operations.py",
    "jobs/exports/test_exports.py",
    "rights/test_row_security.py",
    "domain/admin/test_backup.py",
    "web/test_introspection.py",
    "e2e/test_journey.py",
    "access/test_out_of_sight.py",
    "jobs/integrations/test_single_issues.py",
    "clients/test_python.py",
    "e2e/test_board_panel.py",
    "access/test_races.py",
    "jobs/test_suspended.py",
    "cli/test_supervision.py",
    "web/test_protocol.py",
    "web/test_websocket.py",
)
ROW_SECURITY = os.environ.get("TASKLOOM_TEST_ROW_SECURITY", "off")
# For the processes that tests start.
os.environ["TASKLOOM_ROW_SECURITY"] = ROW_SECURITY
# Many containers forbid bytecode. Then each process that collects or that a test starts would
# compile the application and its libraries again, which takes as long as all the rest of a start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# What collecting makes lives as long as the process: the collector would only scan it repeatedly.
gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest. Give tests of the night more time. Skip what
    row-level security changes: each statement is wrapped, so texts, plans and the number of rows
    read are others; answers are not.
    """
    gc.freeze()
    gc.enable()
    for item in items:
        if item.get_closest_marker("nightly"):
            item.add_marker(pytest.mark.timeout(3600))
    if ROW_SECURITY == "on":
        for item in items:
            if item.get_closest_marker("statements"):
                item.add_marker(pytest.mark.skip(reason="row-level security changes statements"))
    root = Path(__file__).parent
    rank = {root / name: number for number, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: two processes more than there are processors, since many tests wait for other
    processes, and for time to pass.
    """
    mine = getattr(os, "sched_getaffinity", None)
    return (len(mine(0)) if mine else os.cpu_count() or 1) + 2


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a server for this run: `TASKLOOM_TEST_DATABASE_URL`, or an embedded one.

    With pytest-xdist each process needs its own, so `-n` needs the embedded server.
    """
    given = os.environ.get("TASKLOOM_TEST_DATABASE_URL")
    if given is not None:
        yield given
        return
    with EmbeddedPostgres.temporary() as server:
        yield server.dsn()


@pytest.fixture(scope="session")
async def settings(
    postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Settings]:
    """Settings of the tests, with a migrated database. Hashing passwords is made cheap, and there
    are no rate limits: tests of limits have their own settings.
    """
    made = load_settings(
        {
            "DATABASE_URL": postgres,
            "TASKLOOM_BCRYPT_ROUNDS": "4",
            # Users that are created once per run keep their tokens for the whole run, however busy
            # the machine is.
            "TASKLOOM_ACCESS_TOKEN_SECONDS": "3600",
            "TASKLOOM_PUBLIC_URL": PUBLIC_URL,
            # The whole suite passes with row-level security too.
            "TASKLOOM_ROW_SECURITY": ROW_SECURITY,
            "TASKLOOM_STORAGE_URL": tmp_path_factory.mktemp("files").as_uri(),
            **servers.UNLIMITED,
        },
        env_file=None,
    )
    await migrate.upgrade(made.database)
    yield made
    await drop_templates(made)


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[Application]:
    """The application, running in this process."""
    made = create_app(settings)
    async with made.lifespan():
        yield made


@pytest.fixture(scope="session")
def services(app: Application) -> Services:
    """The services of the application."""
    return app.runtime.services


@pytest.fixture(scope="session")
async def world(app: Application) -> AsyncIterator[World]:
    """Creates users, projects and tasks, and sends operations as one of the users."""
    async with world_of(app) as made:
        yield made


@pytest.fixture(scope="session")
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The pools of another process than the application."""
    made = await Database.connect(settings.database)
    yield made
    await made.close()


@pytest.fixture
def house(settings: Settings, database: Database) -> Iterator[House]:
    """Creates users; the account services of a server process with its own clock."""
    made = House(settings, database)
    yield made
    made.auth.close()


@pytest.fixture
async def client(app: Application) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the application, without a socket in between."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://taskloom.test") as made:
        yield made


@pytest.fixture(scope="session")
async def live_url(settings: Settings) -> AsyncIterator[str]:
    """The address of the application on a real port, like `http://127.0.0.1:8000`."""
    async with servers.serving(create_app(settings)) as url:
        yield url


@dataclass(frozen=True, slots=True)
class LiveServer:
    """A server with demo data; `url` is like `http://127.0.0.1:8000`. `settings`: with its own
    database.
    """

    url: str
    demo_login: str
    demo_password: str
    settings: Settings


@pytest.fixture(scope="session")
async def demo(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database with the demo company as of now, to be copied."""
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    folder = tmp_path_factory.getbasetemp()
    # The parent is the folder of the run, in which each process has one.
    return await demo_template(settings, folder.parent if parallel else None)


@pytest.fixture(scope="session")
async def live_server(settings: Settings, demo: str) -> AsyncIterator[LiveServer]:
    """The application on a real port, with the demo company in a database of its own."""
    async with copied_database(settings, demo) as own:
        made = settings.with_database(own.dsn)
        async with servers.serving(create_app(made)) as url:
            yield LiveServer(url, LOGIN, PASSWORD, made)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a real Redis."""
    with servers.redis() as url:
        yield url


@pytest.fixture
def statements(services: Services) -> Callable[[], AbstractContextManager[list[str]]]:
    """Collects the SQL statements that the application runs in a `with` block."""

    @contextlib.contextmanager
    def listen() -> Iterator[list[str]]:
        texts: list[str] = []
        services.database.listeners.append(texts.append)
        try:
            yield texts
        finally:
            services.database.listeners.remove(texts.append)

    return listen
