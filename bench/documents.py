"""Memory under ever new documents: `python -m bench.documents` prints it every 5,000 of 50,000.

A client that writes values into the text of its documents sends a new document each time. The
server parses, validates, plans and executes it, caches it within limits, and evicts it again. So
memory must stop growing once the limits are reached, after about 10,000 documents. Every tenth
document is sent five times, so that PostgreSQL serializes its answer and it has statements of its
own.

The server runs in this process, on an embedded PostgreSQL with the demo data.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import tempfile
import time
from pathlib import Path
from typing import Final

from sqlalchemy import select

from app import Application, create_app
from auth.request import RequestInfo
from auth.viewer import Viewer
from bench.measure import resident_mib
from db import migrate, models
from db.embedded import EmbeddedPostgres
from db.engine import Database
from demo.company import LOGIN
from demo.seed import seed_demo
from graph.engine.planning import SERIALIZED_AFTER
from graph.request.preparation import GraphQLRequest
from settings import Settings, load_settings

DOCUMENTS, EVERY = 50_000, 5_000
# One document in `_SERIALIZED` is sent `_RUNS` times, often enough to be serialized.
_SERIALIZED, _RUNS = 10, SERIALIZED_AFTER + 1
# Each contains a number, which makes every document different.
_KINDS: Final = (
    "query Q{n} {{ viewer {{ id a{n}: email user {{ username }} }} }}",
    "{{ t{n}: tasks(first: 3) {{ nodes {{ id title status owner {{ username }} }} }} }}",
    "{{ projects(first: 2) {{ nodes {{ p{n}: name tasks(first: 2) {{ nodes {{ title }} }} }} }} }}",
    '{{ tasks(first: 1, filter: {{title: {{contains: "x{n}"}}}}) {{ totalCount }} }}',
)


async def main(documents: int) -> None:
    """Print the resident memory of the process during the run."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres.temporary() as postgres:
        settings = load_settings(
            {
                "DATABASE_URL": postgres.dsn(),
                "TASKLOOM_STORAGE_URL": Path(folder).as_uri(),
                "TASKLOOM_LIMIT_COST_BUDGET": "1000000000",
            },
            env_file=None,
        )
        viewer = await _seeded(settings)
        app = create_app(settings)
        async with app.lifespan():
            await _send(app, viewer, documents)


async def _seeded(settings: Settings) -> Viewer:
    await migrate.upgrade(settings.database)
    database = await Database.connect(settings.database)
    try:
        await seed_demo(database, settings, scale=1)
        async with database.session() as session:
            found = await session.scalars(
                select(models.User.id).where(models.User.username == LOGIN)
            )
            return Viewer(user_id=found.one())
    finally:
        await database.close()


async def _send(app: Application, viewer: Viewer, documents: int) -> None:
    executor, services = app.runtime.executor, app.runtime.services
    begun = time.process_time()
    for number in range(documents + 1):
        if number % EVERY == 0:
            cached, spent = executor.documents, time.process_time() - begun
            print(
                f"{number:6} documents: {resident_mib(os.getpid()):5.0f} MiB; in the cache"
                f" {len(cached)} with {cached.used_bytes / 1e6:.0f} MB; full collections "
                f"{gc.get_stats()[2]['collections']}; processor time {spent:.0f} s",
                flush=True,
            )
        text = _KINDS[number % len(_KINDS)].format(n=number)
        for _ in range(_RUNS if number // len(_KINDS) % _SERIALIZED == 0 else 1):
            request = RequestInfo(id="documents", ip="203.0.113.9", user_agent="bench/1")
            prepared = await executor.prepare(GraphQLRequest(query=text), request_id=request.id)
            answer = await executor.execute(prepared, services.context(viewer, request))
            if answer.errors:
                raise SystemExit(f"{text}: {answer.errors}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--documents", type=int, default=DOCUMENTS)
    asyncio.run(main(parser.parse_args().documents))
