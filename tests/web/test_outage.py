"""What clients get while the database is unreachable, full, or read-only."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import asyncpg
import httpx
import pytest
from starlette.routing import Route

from app import Application, create_app
from db import migrate
from db.embedded import EmbeddedPostgres
from domain.tasks import task_creation
from settings import Settings
from tests.accounts import Person
from tests.databases import migrated_database
from tests.factories import Reply, World, gid, world_of
from web.log_lines import LogFormatter

# In a project, a task is created in one statement.
CREATE = """
mutation ($t: String!, $p: ID!) {
  taskCreate(input: {title: $t, projectId: $p}) { task { id } errors { code } }
}
"""
KEYED = """
mutation ($t: String!, $k: String!) {
  taskCreate(input: {title: $t, idempotencyKey: $k}) { task { id } errors { code } replayed }
}
"""
UPDATE = """
mutation ($id: ID!, $t: String!) {
  taskUpdate(input: {id: $id, title: $t}) { task { id } errors { code } }
}
"""
# Fails each change of a task as its title asks: `<mark> <SQLSTATE>`, with the mark in its message
# and in its details, as PostgreSQL has values of rows there.
FAILS = """
CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE state text := substring(NEW.title from '(\\w{5})$');
BEGIN
  IF NEW.title LIKE 'mark%' AND state = 'SLEEP' THEN PERFORM pg_sleep(20);
  ELSIF NEW.title LIKE 'mark%' AND state = 'LEAVE' THEN
    PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(5);
  ELSIF NEW.title LIKE 'mark%' THEN
    RAISE EXCEPTION 'failed with %', NEW.title USING ERRCODE = state, DETAIL = NEW.title,
      HINT = NEW.title;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER fails BEFORE INSERT OR UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION fails();
"""


class Broken:
    """An application whose database fails on demand."""

    def __init__(
        self, world: World, person: Person, project: str, watch: asyncpg.Connection
    ) -> None:
        self.world = world
        self.person = person
        self.project = project
        self.watch = watch

    async def create(self, title: str) -> Reply:
        return await self.world.post(CREATE, self.person, t=title, p=self.project)


@pytest.fixture(scope="module")
async def broken(settings: Settings) -> AsyncIterator[Broken]:
    async with AsyncExitStack() as stack:
        own = await stack.enter_async_context(migrated_database(settings))
        watch = await asyncpg.connect(own.dsn)
        stack.push_async_callback(watch.close)
        await watch.execute(FAILS)
        times = {"lock_timeout_ms": 300, "statement_timeout_ms": 3_000}
        app = create_app(settings.model_copy(update={"database": own.model_copy(update=times)}))
        await stack.enter_async_context(app.lifespan())
        world = await stack.enter_async_context(world_of(app))
        person = await world.person()
        yield Broken(world, person, gid(await world.project(person)), watch)


@pytest.mark.parametrize(
    ("state", "code", "says"),
    [
        ("53100", "UNAVAILABLE", "storage is full"),
        ("53200", "UNAVAILABLE", "out of memory"),
        ("58030", "UNAVAILABLE", "storage fails"),
        ("25006", "UNAVAILABLE", "accepts no changes"),
        ("57P01", "UNAVAILABLE", "cannot be reached"),
        ("55P03", "UNAVAILABLE", "to the same data"),
        ("XX000", "INTERNAL_SERVER_ERROR", "request ID"),
    ],
)
@pytest.mark.parametrize("way", ["one statement", "a transaction", "a session"])
async def test_states_of_the_server_have_codes(
    broken: Broken, state: str, code: str, says: str, way: str
) -> None:
    title = f"mark {state}"
    if way == "a session":
        task = gid(await broken.world.task(broken.person))
        reply = await broken.world.post(UPDATE, broken.person, id=task, t=title)
    elif way == "a transaction":
        key = secrets.token_hex(8)
        reply = await broken.world.post(KEYED, broken.person, t=title, k=key)
    else:
        reply = await broken.create(title)
    assert reply.codes == [code]
    assert says in reply.errors[0]["message"]
    # Nothing of it stays, and the same connections serve the next change.
    assert (await broken.create("Sound")).good


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("53100", "storage full"),
        ("53200", "out of memory, or failing storage"),
        ("58030", "out of memory, or failing storage"),
        ("25006", "read-only"),
    ],
)
async def test_health_says_why_changes_fail(broken: Broken, state: str, says: str) -> None:
    assert (await broken.create(f"mark {state}")).codes == ["UNAVAILABLE"]
    async with asyncio.timeout(20):
        # What was found is remembered for a second.
        while True:
            answer = await broken.world.http.get("/health/ready")
            found = answer.json()["checks"]["database"]
            if found.get("detail") == f"changes fail: {says}":
                break
            await asyncio.sleep(0.1)
    assert (answer.status_code, found["status"]) == (200, "degraded"), "reads are served"


async def test_a_server_that_accepts_changes_again_gets_them_without_a_restart(
    broken: Broken,
) -> None:
    """As after a failover: connections that were opened in between belong to a read-only server."""
    name = await broken.watch.fetchval("SELECT current_database()")
    ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> $2"
    own = await broken.watch.fetchval("SELECT pg_backend_pid()")
    key = {"k": secrets.token_hex(8)}
    await broken.watch.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        await broken.watch.execute(ends, name, own)
        for _ in range(3):
            assert (await broken.create("Refused")).codes == ["UNAVAILABLE"]
            reply = await broken.world.post(KEYED, broken.person, t="Refused", **key)
            assert reply.codes == ["UNAVAILABLE"]
    finally:
        await broken.watch.execute("SET default_transaction_read_only = off")
        await broken.watch.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    async with asyncio.timeout(20):
        while (await broken.create("Accepted")).codes:
            await asyncio.sleep(0.1)
        while (await broken.world.post(KEYED, broken.person, t="Accepted", **key)).codes:
            await asyncio.sleep(0.1)


async def test_a_change_whose_connection_is_lost_may_have_been_made(broken: Broken) -> None:
    reply = await broken.create("mark LEAVE")
    assert reply.codes == ["UNAVAILABLE"]
    assert "may have been made" in reply.errors[0]["message"]
    assert "idempotencyKey" in reply.errors[0]["message"]


# --- nothing that users wrote --------------------------------------------------------------------


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """All that is logged, as a server in production writes it."""
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Kept(logging.DEBUG)
    handler.setFormatter(LogFormatter(json=True, messages=False))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield lines
    root.removeHandler(handler)
    root.setLevel(level)


FAULTS = ["53100", "23505", "23514", "XX000", "40001", "57014", "SLEEP", "LEAVE", "lock", "python"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_users_write_is_in_no_log_answer_or_metric(
    broken: Broken, fault: str, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"mark{secrets.token_hex(8)}"
    task = gid(await broken.world.task(broken.person))
    replies = []
    if fault == "lock":
        async with broken.watch.transaction():
            await broken.watch.execute("SELECT FROM tasks FOR UPDATE")
            replies.append(await broken.world.post(UPDATE, broken.person, id=task, t=mark))
    elif fault == "python":

        def fails(*_: object) -> None:
            raise ValueError(f"unexpected: {mark}")

        monkeypatch.setattr(task_creation, "create", fails)
        monkeypatch.setattr("domain.tasks.task.create", fails)
        replies.append(await broken.world.post(KEYED, broken.person, t=mark, k=mark))
    else:
        title, key = f"{mark} {fault}", secrets.token_hex(8)
        replies.append(await broken.create(title))
        replies.append(await broken.world.post(KEYED, broken.person, t=title, k=key))
        replies.append(await broken.world.post(UPDATE, broken.person, id=task, t=title))
    metrics = (await broken.world.http.get("/metrics")).text
    assert all(reply.codes for reply in replies), "each was to fail"
    for reply in replies:
        assert mark not in reply.body.decode()
    assert mark not in metrics
    assert any("taskloom" in line for line in logged)
    assert [line for line in logged if mark in line] == []


# --- no database at all --------------------------------------------------------------------------


async def test_every_route_says_that_the_database_is_away(settings: Settings) -> None:
    with EmbeddedPostgres.temporary() as server:
        own = settings.with_database(server.dsn())
        await migrate.upgrade(own.database)
        app = create_app(own)
        async with app.lifespan(), world_of(app) as world:
            person = await world.person()
            task, project = await world.task(person), await world.project(person)
            server.stop()
            away = [
                await world.post("{ tasks(first: 1) { nodes { id } } }", person),
                await world.post(CREATE, person, t="Away", p=gid(project)),
                await world.post(UPDATE, person, id=gid(task), t="Away"),
            ]
            for reply in away:
                assert reply.codes == ["UNAVAILABLE"], reply.errors
            headers = {"Authorization": person.header}
            form = {"grant_type": "password", "username": "somebody", "password": "password123"}
            user, file = gid(person), f"attachment_{task.id.hex}"
            answers = [
                await world.http.post("/auth/token", data=form),
                await world.http.get(f"/users/{user}/avatar.png"),
                await world.http.get(f"/files/{file}", headers=headers),
                await world.http.get("/health/ready"),
            ]
            for answer in answers:
                assert answer.status_code == 503, (answer.url, answer.text)
                assert answer.headers["content-type"].startswith("application/json")
            for answer in answers[:-1]:
                _coded(answer)
            for path, method in _routes(app):
                answer = await world.http.request(method, path, headers=headers)
                assert answer.status_code != 500, (path, answer.text)


def _coded(answer: httpx.Response) -> None:
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "UNAVAILABLE"
    assert answer.headers["retry-after"]


def _routes(app: Application) -> list[tuple[str, str]]:
    return [
        (route.path.replace(":path", ""), method)
        for route in app._api.router.routes
        if isinstance(route, Route)
        for method in sorted(route.methods or ())
    ]
