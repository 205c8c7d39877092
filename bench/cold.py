"""Documents that were never seen: `python -m bench.cold` prints what each of their runs costs.

Applications, explorers and agents keep sending documents that differ from all before in fields,
aliases or order. Board-like documents, each with a random selection of a hundred tasks and of the
people they refer to, are sent one after the other, and all of them again, ten times. Others like
them were sent before: what is measured is the new document and not an idle server. Then each is
sent with its values written in it, and with other values each time.

The server runs in this process, without HTTP, on an embedded PostgreSQL with the demo data. Times
are processor time, of this process and of PostgreSQL. The last column is the longest that the event
loop was held at once.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, select

from app import create_app
from auth.request import RequestInfo
from auth.viewer import Viewer
from bench.measure import cpu_seconds_of_all
from db import migrate, models
from db.embedded import EmbeddedPostgres
from db.engine import Database
from demo.company import LOGIN
from demo.seed import seed_demo
from graph.core import ids
from graph.request.preparation import GraphQLRequest
from settings import Settings, load_settings

DOCUMENTS, RUNS = 60, 10
_LEAVES: Final = [
    *("id", "title", "status", "priority", "dueAt", "startAt", "number", "tags", "position"),
    *("createdAt", "updatedAt", "version", "completedAt", "identifier", "isOverdue"),
    "commentCount",
]
_PERSON: Final = ["id", "username", "fullName", "createdAt"]


def document(chance: random.Random, name: str) -> str:
    """A board with some fields, some of them under other names, in any order."""

    def some(fields: list[str], least: int, most: int) -> str:
        chosen = chance.sample(fields, chance.randint(least, most))
        named = (
            f"a{n}: {each}" if chance.random() < 0.3 else each for n, each in enumerate(chosen)
        )
        return f"{{ {' '.join(named)} %s }}"

    person = some(_PERSON, 1, 3) % ""
    owner = f"owner {some(_PERSON, 1, 3) % ''}" if chance.random() < 0.5 else ""
    task = some(_LEAVES, 5, 10) % f"assignee {person} {owner}"
    tasks = f"tasks(first: 100) {{ nodes {task} pageInfo {{ hasNextPage endCursor }} }}"
    return f"query {name}($id: ID!) {{ project(id: $id) {{ name key {tasks} }} }}"


async def main(documents: int) -> None:
    """Print the milliseconds of each run, on average over the documents."""
    _watch_loop()
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres.temporary() as postgres:
        settings = load_settings(
            {
                "DATABASE_URL": postgres.dsn(),
                "TASKLOOM_STORAGE_URL": Path(folder).as_uri(),
                "TASKLOOM_LIMIT_COST_BUDGET": "1000000000",
            },
            env_file=None,
        )
        viewer, project = await _seeded(settings)
        process = int((postgres.data_dir / "postgres/data/postmaster.pid").read_text().split()[0])
        app = create_app(settings)
        async with app.lifespan():
            executor, services = app.runtime.executor, app.runtime.services
            request = RequestInfo(id="cold", ip="203.0.113.9", user_agent="bench/1")

            async def run(text: str, variables: dict[str, Any]) -> None:
                asked = GraphQLRequest(query=text, variables=variables)
                prepared = await executor.prepare(asked, request_id=request.id)
                context = services.context(viewer, request)
                await executor.admit(prepared, context)
                answer = await executor.execute(prepared, context)
                if answer.errors:
                    raise SystemExit(f"{text}: {answer.errors}")
                answer.body()

            async def measure(label: str, texts: list[str], **variables: Any) -> None:
                before = sum(cpu_seconds_of_all(process).values())
                HELD.clear()
                begun = time.process_time()
                for text in texts:
                    await run(text, variables)
                server = (time.process_time() - begun) / len(texts) * 1e3
                spent = sum(cpu_seconds_of_all(process).values()) - before
                database = spent / len(texts) * 1e3
                print(
                    f"{label:28} server {server:5.2f} ms, PostgreSQL {database:5.2f} ms, together"
                    f" {server + database:5.2f} ms, loop held {max(HELD) * 1e3:5.2f} ms",
                    flush=True,
                )

            chance = random.Random(5)
            for number in range(5):
                known = document(chance, f"Known{number}")
                for _ in range(RUNS):
                    await run(known, {"id": project})
            new = [document(chance, f"New{number}") for number in range(documents)]
            for number in range(1, RUNS + 1):
                await measure(f"run {number}", new, id=project)
            await measure(f"run {RUNS + 1}", new, id=project)
            written = [_written(text, project) for text in new]
            await measure("values written in it, run 1", written)
            for _ in range(RUNS):
                for text in written:
                    await run(text, {})
            await measure("values written in it, warm", written)
            for number in range(1, 6):
                others = [text.replace("first: 100", f"first: {100 - number}") for text in written]
                await measure(f"other values, {number}", others)


# The seconds that each step of the event loop took.
HELD: list[float] = []


def _watch_loop() -> None:
    """Note how long each step holds the loop: processor time, since the machine is shared."""
    run = asyncio.Handle._run  # noqa: SLF001 - there is no other place to measure all steps

    def measured(handle: asyncio.Handle) -> None:
        begun = time.thread_time()
        run(handle)
        HELD.append(time.thread_time() - begun)

    asyncio.Handle._run = measured  # type: ignore[method-assign, assignment]  # noqa: SLF001


def _written(text: str, project: str) -> str:
    """The document with the project's ID in it."""
    return text.replace("($id: ID!)", "").replace("$id", f'"{project}"')


async def _seeded(settings: Settings) -> tuple[Viewer, str]:
    """The demo user, and the project with the most tasks."""
    await migrate.upgrade(settings.database)
    database = await Database.connect(settings.database)
    try:
        await seed_demo(database, settings, scale=1)
        async with database.session() as session:
            user = await session.scalars(
                select(models.User.id).where(models.User.username == LOGIN)
            )
            projects = await session.scalars(
                select(models.Task.project_id)
                .where(models.Task.project_id.is_not(None))
                .group_by(models.Task.project_id)
                .order_by(func.count().desc())
            )
            project = projects.first()
            assert project is not None
            return Viewer(user_id=user.one()), ids.encode(models.Project, project)
    finally:
        await database.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--documents", type=int, default=DOCUMENTS)
    asyncio.run(main(parser.parse_args().documents))
