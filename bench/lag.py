"""What the worker costs live updates and creates: `python -m bench.lag`, worker on.

A server with its worker, on a database of its own with ten times the demo data, whose events the
worker has still to act on. Members of one project, each signed in, listen to its events over
WebSocket, while tasks are created ten times a second, three of four with an assignee, and meanwhile
200 tasks are created, and then changed, in one mutation each.

*Latency*: from the moment when a create is sent to the moment when a subscriber has read its event:
for one subscriber, and for a hundred, to whom the 200 tasks alone are 40,000 messages. The create
itself and the client are in it.

*A thousand people*: the same for a task every tenth of a second, with nothing else, and the
processor time of the server for each message, less what it spends at rest.

*Processor time per create*, of the server, the worker and PostgreSQL, without an assignee, with one
who receives a notification, and with one who receives a mail too: over some hundred creates, until
the worker has done everything that they cause, less what the processes spend at rest.

`--code` measures another checkout, to compare two of them in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import http.client
import json
import os
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from auth.tokens import Tokens
from bench.measure import cpu_seconds, cpu_seconds_of_all, spent
from bench.target import Served, Target, served_with_worker
from demo.company import LOGIN
from settings import load_settings

SCALE: Final = 10
PEOPLE: Final = 100
CROWD: Final = 1_000
RATE: Final = 10
BULK: Final = 200
MOST_MS: Final = 50
MOST_MS_OF_CROWD: Final = 200
MOST_US_EACH: Final = 60
MOST_CPU_MS: Final = {"without assignee": 0.9, "with a notification": 1.5}
_REST_SECONDS: Final = 4
_PATIENCE: Final = 600

_LISTEN: Final = (
    "subscription ($project: ID!) { taskEvents(filter: {project: {id: {eq: $project}}}) "
    "{ kind task { title } } }"
)
_PROJECT: Final = 'mutation { projectCreate(input: {name: "Lag"}) { project { id } } }'
_CREATE: Final = (
    "mutation ($input: TaskCreateInput!) { taskCreate(input: $input) "
    "{ task { id } errors { code message } } }"
)
_BULK_CREATE: Final = (
    "mutation ($items: [TaskBulkCreateItem!]!) { taskBulkCreate(input: {items: $items}) "
    "{ results { task { id } } errors { code message } } }"
)
_BULK_UPDATE: Final = (
    "mutation ($items: [TaskBulkUpdateItem!]!) { taskBulkUpdate(input: {items: $items}) "
    "{ results { task { id } } errors { code message } } }"
)


@dataclass(slots=True)
class Audience:
    """When each title was read by whom."""

    arrived: dict[str, list[float]] = field(default_factory=dict)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @contextlib.asynccontextmanager
    async def open(self, targets: Sequence[Target], project: str) -> AsyncIterator[None]:
        """Hold a subscription of each person open."""
        async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as readers:
            reading = []
            for target in targets:
                protocols = [Subprotocol("graphql-transport-ws")]
                address = f"ws://127.0.0.1:{target.port}/graphql"
                peer = await stack.enter_async_context(
                    connect(address, subprotocols=protocols, compression=None)
                )
                params = {"Authorization": f"Bearer {target.token}"}
                await peer.send(json.dumps({"type": "connection_init", "payload": params}))
                await peer.recv()
                payload = {"query": _LISTEN, "variables": {"project": project}}
                await peer.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
                reading.append(readers.create_task(self._read(peer)))
            yield
            for task in reading:
                task.cancel()

    async def _read(self, peer: Any) -> None:
        async for text in peer:
            now = time.perf_counter()
            message = json.loads(text)
            if message["type"] == "ping":
                await peer.send('{"type": "pong"}')
            elif message["type"] != "next":
                raise RuntimeError(f"a subscription ended: {message}")
            elif (event := message["payload"]["data"]["taskEvents"])["kind"] == "TASK_CREATED":
                self.arrived.setdefault(event["task"]["title"], []).append(now)
                async with self.news:
                    self.news.notify_all()

    async def heard(self, title: str, count: int) -> None:
        """Wait until so many have read this title."""
        async with asyncio.timeout(_PATIENCE), self.news:
            await self.news.wait_for(lambda: len(self.arrived.get(title, ())) >= count)


class Bench:
    """The server under measurement and its database."""

    def __init__(self, served: Served, database: asyncpg.Connection[Any]) -> None:
        self._served = served
        self._database = database
        self.target = served.target
        # Their addresses are not verified, so they receive no mail.
        self.people: list[str] = []
        self.project = ""

    async def prepare(self) -> list[Target]:
        """A project with a thousand members; each signed in. The worker has everything to do."""
        made: Any = await asyncio.to_thread(self.target.ask, _PROJECT)
        self.project = made["projectCreate"]["project"]["id"]
        columns = await self._database.fetchval(_COPIED_COLUMNS)
        await self._database.execute(
            f"INSERT INTO users (id, username, email, {columns})"
            " SELECT gen_random_uuid(), 'crowd' || n, 'crowd' || n || '@example.com',"
            f" {columns} FROM users, generate_series(1, $2::int) n WHERE username = $1",
            LOGIN,
            CROWD - 1,
        )
        rows = await self._database.fetch(_SIGN_IN, UUID(self.project.removeprefix("project_")))
        await self._database.execute(
            "INSERT INTO log_consumers (name, xid, position) VALUES ('notifications', '0', 0)"
            " ON CONFLICT (name) DO UPDATE SET xid = '0', position = 0"
        )
        self.people = [f"user_{row['user_id'].hex}" for row in rows]
        os.environ["TASKLOOM_PORT"] = str(self.target.port)
        tokens = Tokens(load_settings())
        now = dt.datetime.now(dt.UTC)
        return [self.target] + [
            Target(self.target.port, tokens.mint_access(row["user_id"], row["id"], now).token)
            for row in rows
        ]

    async def create(self, title: str, assignee: str | None) -> None:
        """Create a task in the project."""
        item = {"title": title, "projectId": self.project, "assigneeId": assignee}
        answer: Any = await asyncio.to_thread(self.target.ask, _CREATE, input=item)
        if answer["taskCreate"]["errors"]:
            raise RuntimeError(f"a create failed: {answer}")

    async def crowd(self, audience: Audience, count: int) -> tuple[list[float], float]:
        """The seconds until each has read each of some events, and the server's processor time in
        seconds for each message.
        """
        await audience_listens(self, audience, CROWD)
        rest, rested = await self._spent(asyncio.sleep(_REST_SECONDS))
        waited: list[float] = []

        async def act() -> None:
            for number in range(count):
                title, begun = f"crowd {number}", time.perf_counter()
                await self.create(title, None)
                await audience.heard(title, CROWD)
                waited.extend(at - begun for at in audience.arrived[title])
                await asyncio.sleep(0.1)

        found, seconds = await self._spent(act())
        busy = found["server"] - rest["server"] * seconds / rested
        return waited, busy / len(waited)

    async def latency(self, audience: Audience, seconds: int, listeners: int) -> list[float]:
        """Create tasks beside bulk mutations; the seconds until each event was read by each."""
        await audience_listens(self, audience, listeners)
        sent: dict[str, float] = {}
        begun = time.perf_counter()
        run = f"{begun:.6f}"
        async with asyncio.TaskGroup() as together:
            together.create_task(self._bulk(run, seconds))
            for number in range(seconds * RATE):
                await asyncio.sleep(max(0.0, begun + number / RATE - time.perf_counter()))
                title = f"lag {run} {number}"
                assignee = None if number % 4 == 0 else self._somebody()
                sent[title] = time.perf_counter()
                together.create_task(self.create(title, assignee))
        for title in sent:
            await audience.heard(title, listeners)
        return [at - sent[title] for title in sent for at in audience.arrived[title]]

    async def _bulk(self, run: str, seconds: int) -> None:
        """200 tasks created in one mutation, and then all changed in one."""
        await asyncio.sleep(seconds / 3)
        items: list[dict[str, Any]] = [
            {"title": f"bulk {run} {n}", "projectId": self.project, "assigneeId": self._somebody()}
            for n in range(BULK)
        ]
        made: Any = await asyncio.to_thread(self.target.ask, _BULK_CREATE, items=items)
        await asyncio.sleep(seconds / 3)
        edits = [
            {"id": result["task"]["id"], "priority": "HIGH"}
            for result in made["taskBulkCreate"]["results"]
        ]
        changed: Any = await asyncio.to_thread(self.target.ask, _BULK_UPDATE, items=edits)
        if changed["taskBulkUpdate"]["errors"]:
            raise RuntimeError(f"the bulk update failed: {changed}")

    def _somebody(self) -> str:
        return random.choice(self.people)

    async def caught_up(self) -> float:
        """Wait until the worker has acted on all events and run all due jobs; the seconds."""
        begun = time.perf_counter()
        for _ in range(10 * _PATIENCE):
            if not await self._database.fetchval(BUSY):
                break
            await asyncio.sleep(0.1)
        return time.perf_counter() - begun

    def _processes(self) -> dict[str, dict[int, float]]:
        server, postgres = self._served.server, self._served.postgres
        worker = self._served.worker()
        return {
            "server": {server: cpu_seconds(server)},
            "worker": {worker: cpu_seconds(worker)},
            "PostgreSQL": cpu_seconds_of_all(postgres),
        }

    async def _spent(self, act: Any) -> tuple[dict[str, float], float]:
        before, begun = self._processes(), time.perf_counter()
        await act
        after = self._processes()
        seconds = time.perf_counter() - begun
        return {name: spent(before[name], after[name]) for name in before}, seconds

    async def cost(self, creates: int, assignees: Sequence[str | None]) -> dict[str, float]:
        """Milliseconds of processor time per create, by process."""
        rest, rested = await self._spent(asyncio.sleep(_REST_SECONDS))

        async def act() -> None:
            await asyncio.to_thread(self._create_all, creates, assignees)
            await self.caught_up()

        found, seconds = await self._spent(act())
        return {
            name: 1000 * (found[name] - rest[name] * seconds / rested) / creates for name in found
        }

    def _create_all(self, creates: int, assignees: Sequence[str | None]) -> None:
        """One task after the other, on one connection."""
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self.target.token}",
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.target.port, timeout=60)
        with contextlib.closing(connection):
            for number in range(creates):
                item = {
                    "title": f"cost {number}",
                    "projectId": self.project,
                    "assigneeId": assignees[number % len(assignees)],
                }
                body = json.dumps({"query": _CREATE, "variables": {"input": item}})
                connection.request("POST", "/graphql", body, headers)
                answer = json.loads(connection.getresponse().read())
                if answer["data"]["taskCreate"]["errors"]:
                    raise RuntimeError(f"a create failed: {answer}")

    async def verified(self, count: int) -> None:
        """Give members a verified address, so that they receive mail."""
        some = self.people[:count]
        ids = [person.removeprefix("user_") for person in some]
        await self._database.execute(
            "UPDATE users SET email_verified_at = now() WHERE id = ANY($1::uuid[])", ids
        )


_COPIED_COLUMNS: Final = """
    SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns
    WHERE table_name = 'users' AND table_schema = 'public' AND is_generated = 'NEVER'
    AND column_name NOT IN ('id', 'username', 'email', 'email_verified_at')
"""
# Members of the project, each with a session: a thousand passwords would take a minute to check.
_SIGN_IN: Final = """
    WITH people AS (
        INSERT INTO project_members (id, project_id, user_id, role, created_at, updated_at, version)
        SELECT gen_random_uuid(), $1, id, 20, now(), now(), 1 FROM users WHERE username ~ '^crowd'
        RETURNING user_id
    )
    INSERT INTO sessions (id, user_id, last_used_at, expires_at, created_at, updated_at, version)
    SELECT gen_random_uuid(), user_id, now(), now() + interval '1 day', now(), now(), 1 FROM people
    RETURNING id, user_id
"""
# Events that a consumer has not acted on, or jobs that are due within a second.
BUSY: Final = """
    SELECT EXISTS (
        SELECT FROM log_consumers JOIN events
        ON (events.xid, events.position) > (log_consumers.xid, log_consumers.position)
    ) OR EXISTS (SELECT FROM jobs WHERE state <= 2 AND due_at < now() + interval '30 seconds')
"""


async def audience_listens(bench: Bench, audience: Audience, listeners: int) -> None:
    """Wait until every subscription listens: `subscribe` has no answer but the first event."""
    for turn in range(_PATIENCE):
        title = f"listening {time.perf_counter():.6f} {turn}"
        await bench.create(title, None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3):
                await audience.heard(title, listeners)
            return
    raise TimeoutError("not every subscription listens")


def _report_latency(name: str, waited: Sequence[float]) -> float:
    hundredths = statistics.quantiles(waited, n=100)
    p50, p99, most = (1000 * each for each in (hundredths[49], hundredths[98], max(waited)))
    print(f"{name:<28} p50 {p50:8.1f}   p99 {p99:8.1f}   max {most:8.1f} ms", flush=True)
    return p99


async def measure(served: Served, dsn: str, options: argparse.Namespace) -> bool:
    """Print all figures; whether they keep their promises."""
    database = await asyncpg.connect(dsn)
    bench = Bench(served, database)
    targets = await bench.prepare()
    waiting = await database.fetchval(
        "SELECT count(*) FROM log_consumers JOIN events ON (events.xid, events.position)"
        " > (log_consumers.xid, log_consumers.position) WHERE name = 'notifications'"
    )
    print(f"{waiting} events wait for the worker", flush=True)
    kept = True
    for name, count in (("one subscriber", 1), (f"{PEOPLE} people", PEOPLE)):
        audience = Audience()
        async with audience.open(targets[:count], bench.project):
            waited = await bench.latency(audience, options.seconds, count)
        # A hundred times 400 events in two moments are another measurement.
        kept &= _report_latency(name, waited) <= MOST_MS or count > 1
    print(f"the worker has caught up after {await bench.caught_up():.0f} s more", flush=True)
    audience = Audience()
    async with audience.open(targets[:1], bench.project):
        waited = await bench.latency(audience, options.seconds, 1)
    kept &= _report_latency("one, without a backlog", waited) <= MOST_MS
    audience = Audience()
    async with audience.open(targets, bench.project):
        waited, each = await bench.crowd(audience, options.events)
    kept &= _report_latency(f"{CROWD} people, nothing else", waited) <= MOST_MS_OF_CROWD
    print(f"the server, each message {1e6 * each:6.0f} µs of processor time", flush=True)
    kept &= each <= MOST_US_EACH / 1e6
    costs: list[tuple[str, Sequence[str | None]]] = [
        ("without assignee", [None]),
        ("with a notification", bench.people[:50]),
        ("with a mail too", bench.people[:20]),
    ]
    for name, assignees in costs:
        if name == "with a mail too":
            await bench.verified(20)
        await bench.caught_up()
        found = await bench.cost(options.creates, assignees)
        total = sum(found.values())
        parts = ", ".join(f"{part} {each:.2f}" for part, each in found.items())
        print(f"create {name:<21} {total:5.2f} ms of processor time ({parts})", flush=True)
        kept &= total <= MOST_CPU_MS.get(name, total)
    await database.close()
    return kept


def main() -> int:
    """Measure; 1 if a promise is not kept."""
    parser = argparse.ArgumentParser(prog="python -m bench.lag", description=__doc__)
    parser.add_argument("--seconds", type=int, default=15, help="of creates, for each latency")
    parser.add_argument("--creates", type=int, default=300, help="for each processor time")
    parser.add_argument("--events", type=int, default=40, help="for the thousand people")
    parser.add_argument("--scale", type=int, default=SCALE, help="of the demo data")
    parser.add_argument("--code", type=Path, default=None, help="another checkout to measure")
    options = parser.parse_args()
    settings = {
        "TASKLOOM_MAIL_DELAY_SECONDS": "0",
        "TASKLOOM_LIMIT_TASK_CREATION": "1000000/hour",
        "TASKLOOM_LIMIT_CONNECTIONS": "2000",
    }
    with served_with_worker(settings, scale=options.scale, code=options.code) as (served, dsn):
        kept = asyncio.run(measure(served, dsn, options))
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
