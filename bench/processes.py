"""One, two and four web processes: `python -m bench.processes`, about two minutes.

With Redis, as several processes need it, and without a worker. A person reads a task, reads a board
of 100 tasks, and creates tasks, with 16 requests in flight. For each it prints the requests per
second and the processor time per request, of the web processes, PostgreSQL and Redis. On a machine
with fewer processors than processes, only the processor time says something about others.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx

from bench.drill import children_of, start_redis
from bench.drill_load import signed_in
from bench.measure import cpu_seconds
from db.embedded import EmbeddedPostgres

PROCESSES: Final = (1, 2, 4)
SECONDS: Final = 8.0
ROUNDS: Final = 2
CONNECTIONS: Final = 16
_ROOT: Final = Path(__file__).resolve().parent.parent
_FILL: Final = (
    "mutation ($i: TaskBulkCreateInput!) "
    "{ taskBulkCreate(input: $i) { results { task { id } errors { code } } } }"
)
_TASK: Final = "query ($id: ID!) { task(id: $id) { id title status dueAt } }"
_BOARD: Final = (
    "query ($id: ID!) { project(id: $id) { name tasks(first: 100) { nodes { id title status "
    "priority dueAt assignee { username } commentCount } } } }"
)
_CREATE: Final = (
    "mutation ($i: TaskCreateInput!) { taskCreate(input: $i) { task { id } errors { code } } }"
)


def _pids(parent: int) -> list[int]:
    return [parent, *(pid for child in children_of(parent) for pid in _pids(child))]


def _seconds(parent: int) -> float:
    found = 0.0
    for pid in _pids(parent):
        with contextlib.suppress(OSError):
            found += cpu_seconds(pid)
    return found


class _Load:
    """`bench.load` in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.load"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def say(self, **order: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise SystemExit(answer["error"])
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def _serving(count: int, dsn: str, folder: Path) -> Iterator[tuple[int, int]]:
    """The port and the first process of a server with so many processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "DATABASE_URL": dsn,
        "REDIS_URL": f"unix://{folder / 'redis'}",
        "TASKLOOM_PORT": str(port),
        "TASKLOOM_DATA_DIR": str(folder / "data"),
        "TASKLOOM_WORKERS": str(count),
        "TASKLOOM_LOG_LEVEL": "warning",
        "TASKLOOM_BCRYPT_ROUNDS": "4",
        "TASKLOOM_LIMIT_COST_BUDGET": "1000000000",
        "TASKLOOM_LIMIT_TASK_CREATION": "unlimited",
    }
    command = [sys.executable, "-c", "from cli import main; main()", "serve"]
    server = subprocess.Popen([*command, "--no-worker", "--no-demo"], cwd=_ROOT, env=environment)
    try:
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(httpx.HTTPError):
                ready = httpx.get(f"http://127.0.0.1:{port}/health/ready")
                if ready.is_success and len(children_of(server.pid)) >= (count if count > 1 else 0):
                    break
            if time.monotonic() > deadline:
                raise SystemExit("The server does not start.")
            time.sleep(0.3)
        # The last of them may still be starting.
        time.sleep(3)
        yield port, server.pid
    finally:
        server.terminate()
        server.wait(30)


async def _requests(port: int) -> dict[str, str]:
    """The request of each kind, as bytes in Latin-1, for a new person with a board."""
    load = await signed_in(port)
    items = [{"title": f"Task {number}", "projectId": load.project} for number in range(100)]
    made = await load.ask(_FILL, i={"items": items})
    first = made["data"]["taskBulkCreate"]["results"][0]["task"]["id"]
    wanted = {
        "task": (_TASK, {"id": first}),
        "board": (_BOARD, {"id": load.project}),
        "create": (_CREATE, {"i": {"title": "One more", "projectId": load.project}}),
    }
    return {name: _http(load.token, query, values) for name, (query, values) in wanted.items()}


def _http(token: str, query: str, variables: Any) -> str:
    body = json.dumps({"query": query, "variables": variables})
    return (
        "POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )


def main() -> None:
    """Measure and print."""
    with (
        EmbeddedPostgres.temporary() as database,
        tempfile.TemporaryDirectory() as name,
    ):
        folder = Path(name)
        postmaster = int(
            next(database.data_dir.resolve().rglob("postmaster.pid")).read_text().split("\n")[0]
        )
        redis = start_redis(folder)
        load = _Load()
        print(f"{'':8}{'processes':>10}{'per s':>8}{'p50 ms':>8}{'p99 ms':>8}", end="")
        print(f"{'web ms':>8}{'PostgreSQL ms':>15}{'Redis ms':>10}")
        try:
            for count in PROCESSES:
                with _serving(count, database.dsn(), folder) as (port, server):
                    requests = asyncio.run(_requests(port))
                    load.say(open=port, connections=CONNECTIONS)
                    for kind, request in requests.items():
                        load.say(requests=[request], seconds=2.0)
                        for _ in range(ROUNDS):
                            _measure(load, kind, count, request, (server, postmaster, redis.pid))
        finally:
            load.close()
            redis.kill()
            redis.wait()


def _measure(load: _Load, kind: str, count: int, request: str, parents: tuple[int, ...]) -> None:
    before = [_seconds(pid) for pid in parents]
    answer = load.say(requests=[request], seconds=SECONDS)
    spent = [_seconds(pid) - was for pid, was in zip(parents, before, strict=True)]
    latencies = answer["latencies"]
    number = len(latencies)
    ranks = statistics.quantiles(latencies, n=100)
    web, postgres, redis = (1000 * one / number for one in spent)
    print(f"{kind:8}{count:>10}{number / answer['seconds']:>8.0f}", end="")
    print(f"{1000 * ranks[49]:>8.1f}{1000 * ranks[98]:>8.1f}", end="")
    print(f"{web:>8.2f}{postgres:>15.2f}{redis:>10.3f}", flush=True)


if __name__ == "__main__":
    main()
