"""What row-level security costs: `python -m bench.row_security`, on data of two sizes.

Each query of the bench is sent to two applications in this process, on the same database: one whose
statements obey the policies, and one that ignores them, in turn, round after round. A figure is the
processor time of this process and of PostgreSQL's, without the HTTP server; a ratio is the median
of the rounds'. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson

from app import Application, create_app
from auth.request import RequestInfo
from auth.viewer import Viewer
from bench.cases import CASES, Sample
from bench.measure import cpu_seconds_of_all, spent
from db import migrate
from db.embedded import EmbeddedPostgres
from db.engine import Database
from demo.seed import seed_demo
from graph.request.preparation import GraphQLRequest
from settings import Settings, load_settings

SCALES: Final = (10, 100)
ROUNDS: Final = 15
SLICE_SECONDS: Final = 0.4

_BUSIEST: Final = """
SELECT user_id FROM project_members WHERE role >= 20 GROUP BY user_id
ORDER BY count(*) DESC, user_id LIMIT 1
"""
_PROJECTS: Final = "SELECT project_id FROM project_members WHERE user_id = $1 AND role >= 20"
_TASKS: Final = """
SELECT id FROM tasks WHERE project_id = ANY ($1) AND assignee_id IS NOT NULL AND deleted_at IS NULL
"""


async def main(scales: list[int], rounds: int) -> None:
    """Print a table for each size."""
    for scale in scales:
        with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres.temporary() as postgres:
            settings = load_settings(
                {
                    "DATABASE_URL": postgres.dsn(),
                    "TASKLOOM_STORAGE_URL": Path(folder).as_uri(),
                    "TASKLOOM_LIMIT_COST_BUDGET": "1000000000",
                    "TASKLOOM_ROW_SECURITY": "on",
                },
                env_file=None,
            )
            await migrate.upgrade(settings.database)
            await _measure(settings, postgres, scale, rounds)


async def _measure(settings: Settings, postgres: EmbeddedPostgres, scale: int, rounds: int) -> None:
    database = await Database.connect(settings.database)
    await seed_demo(database, settings, scale=scale)
    async with database.connection() as connection:
        await connection.execute("VACUUM ANALYZE")
        total = await connection.fetchval("SELECT count(*) FROM tasks")
        user_id = await connection.fetchval(_BUSIEST)
        projects = [row[0] for row in await connection.fetch(_PROJECTS, user_id)]
        tasks = [row[0] for row in await connection.fetch(_TASKS, projects)]
    await database.close()
    sample = Sample(user_id, random.Random(7).sample(tasks, 100), projects)
    cluster = (postgres.data_dir / "postgres").resolve() / "data"
    postmaster = int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
    off = settings.database.model_copy(update={"row_security": "off"})
    apps = {
        "off": create_app(settings.model_copy(update={"database": off})),
        "on": create_app(settings),
    }
    async with contextlib.AsyncExitStack() as stack:
        for app in apps.values():
            await stack.enter_async_context(app.lifespan())
        print(
            f"\n{total:,} tasks, {len(tasks):,} of them in {len(projects)} projects\n"
            "Processor time of one operation in µs: server, PostgreSQL"
        )
        for case in CASES:
            variables = case.variables(sample, "taskloom")
            random.Random(7).shuffle(variables)
            runs = {
                name: _sender(app, case.documents["taskloom"], variables, user_id)
                for name, app in apps.items()
            }
            for run in runs.values():
                for _ in range(40):
                    await run()
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in apps}
            for number in range(rounds):
                for name in sorted(runs, reverse=bool(number % 2)):
                    found[name].append(await _slice(runs[name], postmaster))
            ratios = [
                sum(on) / sum(off_) for on, off_ in zip(found["on"], found["off"], strict=True)
            ]
            figures = "  ".join(
                f"{name} {statistics.median(a for a, _ in all_):8.0f} "
                f"{statistics.median(b for _, b in all_):8.0f}"
                for name, all_ in found.items()
            )
            print(f"{case.name:14} {figures}  {statistics.median(ratios) - 1:+7.1%}", flush=True)


def _sender(
    app: Application, document: str, variables: Sequence[Mapping[str, Any]], user_id: UUID
) -> Callable[[], Awaitable[None]]:
    executor, services = app.runtime.executor, app.runtime.services
    all_variables = itertools.cycle(variables)
    viewer = Viewer(user_id=user_id)

    async def run() -> None:
        context = services.context(viewer, RequestInfo(id="bench"))
        request = GraphQLRequest(query=document, variables=next(all_variables))
        prepared = await executor.prepare(request, request_id="bench")
        await executor.admit(prepared, context)
        answer = await executor.execute(prepared, context)
        body = answer.body()
        if answer.code is not None:
            raise RuntimeError(orjson.loads(body))

    return run


async def _slice(run: Callable[[], Awaitable[None]], postmaster: int) -> tuple[float, float]:
    before, own = cpu_seconds_of_all(postmaster), time.process_time()
    ends, count = time.monotonic() + SLICE_SECONDS, 0
    while time.monotonic() < ends:
        await asyncio.gather(*(run() for _ in range(4)))
        count += 4
    server = time.process_time() - own
    database = spent(before, cpu_seconds_of_all(postmaster))
    return server / count * 1e6, database / count * 1e6


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=int, action="append", help="of the demo data")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    asyncio.run(main(given.scale or list(SCALES), given.rounds))
