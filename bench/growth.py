"""How operations grow with the data: `python -m bench.growth`, at 600, 40,000 and 400,000 tasks.

`--million` adds 4,000,000. The data of each size are the demo's, made once in the folder `DATA`;
making 400,000 tasks takes some minutes, and 3 GB. `--data FOLDER`, which may be repeated, measures
data that exist already: a TASKLOOM_DATA_DIR in which no server is running. The folder's data are
migrated, and two accounts, some tasks and changes of tasks are added to it.

Each operation of `bench.growth_operations` is run by four people: a member of *all* projects; Ada,
who has *many* (every fourth project, and thousands of tasks of her own); somebody with *few*, in a
single project; and a new account with *none*. The server runs in this process, without HTTP and
without its worker. For each the report has, in milliseconds,

* the median (p50) of the runs after the ninth, when all caches are warm,
* the median's processor time, of this process and PostgreSQL together, and
* the first run, of a document that the server has not seen.

Two things are flagged:

* **grows**: from the second largest size to the largest, the processor time grows by more than
  half beyond the answer: spent_now > 1.5 x spent_before x max(1, bytes_now / bytes_before), and by
  more than 1 ms beyond it. An answer that does not get longer may take 1.5 times as long, which is
  what deeper indexes and colder caches cost.
* **slow**: the median at the largest size is above 50 ms.

`--only TEXT` measures the operations whose name contains the text, `--people all,few` only these
people. `--write` writes the report into `bench/RESULTS.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import json
import os
import platform
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg

from app import create_app
from auth.request import RequestInfo
from auth.viewer import Viewer
from bench import record
from bench.building import ROOT
from bench.growth_operations import BULK_UPDATE, OPERATIONS, Operation
from bench.measure import children, cpu_seconds, spent
from db import migrate
from db.base import new_id
from db.embedded import DATABASE, EmbeddedPostgres
from db.engine import Database
from db.models import Project, Role, Task, TaskPriority
from demo.company import LOGIN
from demo.seed import seed_demo
from domain.tasks import counters
from graph.core import ids
from graph.core.context import utc_now
from graph.request.preparation import GraphQLRequest
from settings import Settings, load_settings

DATA: Final = ROOT / "bench" / ".data" / "growth"
# Of the demo: each has 400 tasks.
SCALES: Final = (1, 100, 1_000)
MILLIONS: Final = 10_000
PEOPLE: Final = ("all", "many", "few", "none")
MOST_MS: Final = 50.0
GROWTH: Final = 1.5
LEAST_GROWTH_MS: Final = 1.0
BULK: Final = 200
# After so many runs a document is serialized by PostgreSQL, with plans that are kept.
WARM_UP: Final = 9
RUNS: Final = 15
# An operation that takes long is run less often, but three times at least.
SECONDS: Final = 1.5
LEAST_RUNS: Final = 3


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one operation by one person: milliseconds, and the bytes of the answer."""

    p50: float
    processor: float
    first: float
    size: int


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks, and the values of the variables in their documents."""

    viewer: Viewer
    variables: dict[str, Any]


# By the number of tasks, the operation and the person.
Results = dict[int, dict[tuple[str, str], Figures]]


class Measured:
    """A server in this process, on data of one size."""

    def __init__(self, app: Any, postgres: int) -> None:
        self._runtime = app.runtime
        self._postgres = postgres
        self._request = RequestInfo(id="growth", ip="203.0.113.9", user_agent="bench/1")

    async def run(self, document: str, person: Person) -> bytes:
        """The body of the answer."""
        used = {name: value for name, value in person.variables.items() if f"${name}:" in document}
        executor, services = self._runtime.executor, self._runtime.services
        # A comment of their own, so that each person's first run is that of a new document.
        text = f"{document} # {person.viewer.user_id}"
        asked = GraphQLRequest(query=text, variables=used)
        prepared = await executor.prepare(asked, request_id=self._request.id)
        answer = await executor.execute(prepared, services.context(person.viewer, self._request))
        body: bytes = answer.body()
        if answer.errors or b'"errors":[{' in body:
            raise SystemExit(f"{document}\n{body[:500]!r}")
        return body

    async def figures(self, operation: Operation, person: Person) -> Figures:
        """Run the operation some times, first for the first time."""
        first, _, _ = await self._once(operation, person)
        began = time.perf_counter()
        warm = 1
        while warm < WARM_UP and time.perf_counter() - began < SECONDS:
            await self._once(operation, person)
            warm += 1
        waited: list[float] = []
        used: list[float] = []
        size = 0
        began = time.perf_counter()
        while len(waited) < RUNS:
            if len(waited) >= LEAST_RUNS and time.perf_counter() - began > SECONDS:
                break
            seconds, processor, size = await self._once(operation, person)
            waited.append(seconds)
            used.append(processor)
        return Figures(
            1e3 * statistics.median(waited), 1e3 * statistics.median(used), 1e3 * first, size
        )

    async def _once(self, operation: Operation, person: Person) -> tuple[float, float, int]:
        if operation.after_change:
            await self.run(_CREATE_IN_PROJECT, person)
        before = _backends(self._postgres)
        own, begun = time.process_time(), time.perf_counter()
        body = await self.run(operation.document, person)
        seconds, own = time.perf_counter() - begun, time.process_time() - own
        return seconds, own + spent(before, _backends(self._postgres)), len(body)


def _backends(postgres: int) -> dict[int, float]:
    """Processor time of PostgreSQL's processes that serve us, without those of its upkeep."""
    times = {}
    for pid in children(postgres):
        with contextlib.suppress(OSError):
            if f" {DATABASE} ".encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                times[pid] = cpu_seconds(pid)
    return times


_CREATE_IN_PROJECT: Final = (
    'mutation ($project: ID!) { taskCreate(input: {title: "Growth", projectId: $project}) '
    "{ errors { message } } }"
)


async def prepare(folder: Path, settings: Settings, scale: int) -> int:
    """Fill the database if it is empty, and add the people; returns the number of tasks."""
    await migrate.upgrade(settings.database)
    database = await Database.connect(settings.database)
    try:
        print(f"{folder}: making or finding the demo, scale {scale} …", flush=True)
        await seed_demo(database, settings, scale=scale)
        async with database.connection() as connection:
            for username in ("growth.all", "growth.none"):
                await connection.execute(_PERSON, new_id(utc_now()), username)
            await connection.execute(_EVERYWHERE, int(Role.EDITOR))
            # It takes longer than a request may on a busy machine.
            await connection.execute("SET statement_timeout = 0")
            await connection.execute("ANALYZE")
            tasks: int = await connection.fetchval("SELECT count(*) FROM tasks")
        # As the worker does, every five seconds.
        await counters.merge(database)
        return tasks
    finally:
        await database.close()


_PERSON: Final = """
INSERT INTO users (id, username, email, full_name, password_hash, pepper_version,
    password_changed_at, timezone, week_start, locale, is_active, is_admin, created_at, updated_at,
    version)
SELECT $1, $2, $2 || '@growth.example', $2, password_hash, pepper_version,
    now(), 'UTC', week_start, locale, true, false, now(), now(), 1
FROM users WHERE username = 'ada' AND NOT EXISTS (SELECT FROM users WHERE username = $2)
"""
_EVERYWHERE: Final = """
INSERT INTO project_members (id, project_id, user_id, role, created_at, updated_at, version)
SELECT gen_random_uuid(), projects.id, users.id, $1, now(), now(), 1
FROM projects CROSS JOIN users WHERE username = 'growth.all' ON CONFLICT DO NOTHING
"""
# The person in the fewest projects, of those who can edit tasks there.
_FEW: Final = """
SELECT username FROM users JOIN project_members ON user_id = users.id GROUP BY users.id, username
HAVING min(role) >= $1 ORDER BY count(*), users.id LIMIT 1
"""
_PROJECT: Final = """
SELECT project_id FROM tasks
WHERE project_id IN (
    SELECT project_id FROM project_members JOIN projects ON projects.id = project_id
    WHERE user_id = $1 AND role >= $2 AND archived_at IS NULL AND projects.deleted_at IS NULL
) AND deleted_at IS NULL
GROUP BY project_id ORDER BY count(*) DESC, project_id LIMIT 1
"""
_TASKS: Final = """
SELECT id FROM tasks WHERE project_id = $1 AND deleted_at IS NULL AND parent_id IS NULL
ORDER BY id LIMIT $2
"""
_USER: Final = "SELECT id FROM users WHERE username = $1"


async def person(connection: asyncpg.Connection[Any], kind: str) -> Person:
    """One of `PEOPLE`."""
    username = {"all": "growth.all", "many": LOGIN, "none": "growth.none"}.get(kind)
    if username is None:
        username = await connection.fetchval(_FEW, int(Role.EDITOR))
    user_id: UUID = await connection.fetchval(_USER, username)
    variables: dict[str, Any] = {}
    project = await connection.fetchval(_PROJECT, user_id, int(Role.EDITOR))
    if project is not None:
        tasks = [row["id"] for row in await connection.fetch(_TASKS, project, BULK)]
        variables = {
            "project": ids.encode(Project, project),
            "task": ids.encode(Task, tasks[0]),
            "edits": [
                {"id": ids.encode(Task, task), "priority": TaskPriority(10 + 10 * (n % 4)).name}
                for n, task in enumerate(tasks)
            ],
        }
    return Person(Viewer(user_id=user_id), variables)


@asynccontextmanager
async def measured(
    folder: Path, scale: int
) -> AsyncIterator[tuple[int, Measured, dict[str, Person]]]:
    """The number of tasks, the server, and the people by kind."""
    postgres = await asyncio.to_thread(EmbeddedPostgres.start, folder)
    try:
        settings = load_settings(
            {
                "DATABASE_URL": postgres.dsn(),
                "TASKLOOM_DATA_DIR": str(folder),
                "TASKLOOM_STORAGE_URL": (folder / "files").as_uri(),
                "TASKLOOM_LIMIT_COST_BUDGET": "1000000000",
                "TASKLOOM_LOG_LEVEL": "error",
            },
            env_file=None,
        )
        tasks = await prepare(folder, settings, scale)
        pid = int((folder / "postgres/data/postmaster.pid").read_text().split()[0])
        connection = await asyncpg.connect(postgres.dsn())
        people = {kind: await person(connection, kind) for kind in PEOPLE}
        await connection.close()
        app = create_app(settings)
        async with app.lifespan():
            server = Measured(app, pid)
            for someone in people.values():
                someone.variables["cursor"] = await _cursor(server, someone)
            yield tasks, server, people
    finally:
        await asyncio.to_thread(postgres.stop)


async def _cursor(server: Measured, someone: Person) -> str:
    """The end of the log, before 200 events that the person may see."""
    data = json.loads(await server.run("{ eventCursor }", someone))["data"]
    if "edits" in someone.variables:
        await server.run(BULK_UPDATE, someone)
    cursor: str = data["eventCursor"]
    return cursor


def possible(operation: Operation, someone: Person) -> bool:
    """Whether the person has what the document asks for: a new account has no project."""
    document = operation.document + (_CREATE_IN_PROJECT if operation.after_change else "")
    return all(
        name in someone.variables
        for name in ("project", "task", "edits")
        if f"${name}:" in document
    )


async def measure(sources: Sequence[tuple[Path, int]], only: str, kinds: Sequence[str]) -> Results:
    """All figures; printed as they come."""
    results: Results = {}
    for folder, scale in sources:
        async with measured(folder, scale) as (tasks, server, people):
            found = results.setdefault(tasks, {})
            for operation in OPERATIONS:
                if only not in operation.name:
                    continue
                for kind in kinds:
                    if not possible(operation, people[kind]):
                        continue
                    figures = await server.figures(operation, people[kind])
                    found[operation.name, kind] = figures
                    print(
                        f"{tasks:9,} {kind:5} {operation.name:36} p50 {figures.p50:9.2f}"
                        f"  processor {figures.processor:9.2f}  first {figures.first:9.2f}"
                        f"  {figures.size:8,} B",
                        flush=True,
                    )
    return results


def flags(before: Figures | None, now: Figures) -> str:
    """What is to be looked at; see the top of the file."""
    found = []
    if before is not None:
        answer = max(1.0, now.size / before.size)
        grown = now.processor - before.processor * answer
        if now.processor > GROWTH * before.processor * answer and grown > LEAST_GROWTH_MS:
            found.append(f"grows {now.processor / before.processor:.1f} times")
    if now.p50 > MOST_MS:
        found.append("slow")
    return ", ".join(found)


def report(results: Results, kinds: Sequence[str]) -> Iterator[str]:
    """The tables in Markdown, one for each person, and what is flagged in bold."""
    sizes = sorted(results)
    flagged = 0
    for kind in kinds:
        yield f"## {kind}"
        yield ""
        yield "| |" + "".join(f" {size:,} |" for size in sizes) + " |"
        yield "|---|" + "---:|" * len(sizes) + "---|"
        for operation in OPERATIONS:
            cells = [results[size].get((operation.name, kind)) for size in sizes]
            if cells[-1] is None:
                continue
            flag = flags(cells[-2] if len(cells) > 1 else None, cells[-1])
            flagged += bool(flag)
            shown = " | ".join(
                "-" if cell is None else f"{cell.p50:.1f} / {cell.processor:.1f} / {cell.first:.0f}"
                for cell in cells
            )
            yield f"| {operation.name} | {shown} | {flag and f'**{flag}**'} |"
        yield ""
    yield f"{flagged} flagged."


def _circumstances() -> str:
    return (
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, shared, load "
        f"{os.getloadavg()[0]:.1f} at the end; Python {platform.python_version()}; code "
        f"{record.commit()}. Milliseconds: p50 / processor time of server and PostgreSQL / "
        "first run."
    )


def main() -> None:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.growth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", default="", help="a part of the names of the operations")
    parser.add_argument("--people", default=",".join(PEOPLE), help="some of these kinds")
    parser.add_argument("--data", type=Path, action="append", help="a folder with data")
    parser.add_argument("--million", action="store_true", help="4,000,000 tasks as well")
    parser.add_argument("--write", action="store_true", help="write the part of bench/RESULTS.md")
    options = parser.parse_args()
    kinds = options.people.split(",")
    if not set(kinds) <= set(PEOPLE):
        parser.error(f"--people: some of {', '.join(PEOPLE)}")
    scales = (*SCALES, MILLIONS) if options.million else SCALES
    sources = [(folder.absolute(), 1) for folder in options.data or ()] or [
        (DATA / str(scale), scale) for scale in scales
    ]
    results = asyncio.run(measure(sources, options.only, kinds))
    text = "\n".join([_circumstances(), "", *report(results, kinds)])
    print(f"\n{text}")
    if options.write:
        record.write("growth", text)


if __name__ == "__main__":
    main()
