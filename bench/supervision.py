"""What `taskloom serve` restarts by itself: `python -m bench.supervision`, two minutes.

The server as `make serve` starts it, with its worker and its embedded PostgreSQL, in its own folder
and on its own port. While clients create tasks, and a webhook receives an event for each, the
worker and PostgreSQL are killed (SIGKILL), first each and then both, and frozen (SIGSTOP) for
twelve seconds. Nothing is started by hand.

Clients retry failed requests with the same idempotency key. *Outage, changes*: seconds from a fault
until a change that was sent after it is acknowledged. *Outage, worker*: until the webhook receives
a change that was acknowledged after it. The length of a freeze is included. *Lost*: acknowledged,
but not in the database; *undelivered*: acknowledged, but never sent to the webhook.

Exits with 1 if an acknowledged change is lost, doubled or undelivered, if a part was not restarted,
or if an outage lasted longer than 30 s (42 s for a freeze).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from bench.drill import children_of, frozen
from bench.drill_load import CREATE, Load, signed_in
from db.embedded import destroy

CLIENTS: Final = 3
FROZEN_SECONDS: Final = 12.0
MOST_SECONDS: Final = 30.0
_EVERY: Final = 0.2
_PAUSE: Final = 10.0
_START_SECONDS: Final = 180
_CATCH_UP_SECONDS: Final = 120
_ROOT: Final = Path(__file__).resolve().parent.parent
_WEBHOOK: Final = """mutation ($url: URL!) { webhookCreate(input: {
  url: $url, filter: {kind: {eq: TASK_CREATED}}, payload: "{ task { title } }"
}) { webhook { id } errors { message } } }"""
_TASKS: Final = """query ($project: ID!, $after: String) {
  tasks(filter: {project: {id: {eq: $project}}}, first: 100, after: $after) {
    nodes { title } pageInfo { hasNextPage endCursor } } }"""


class Server:
    """`taskloom serve` and its child processes."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("TASKLOOM_")},
            "PYTHONPATH": str(_ROOT),
            "DATABASE_URL": "",
            "REDIS_URL": "",
            "TASKLOOM_PORT": str(port),
            "TASKLOOM_DATA_DIR": str(folder / "data"),
            "TASKLOOM_LOG_LEVEL": "warning",
            "TASKLOOM_LIMIT_COST_BUDGET": "1000000000",
            "TASKLOOM_LIMIT_TASK_CREATION": "unlimited",
            "TASKLOOM_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        }
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from cli import main; main()", "serve", "--no-demo"],
                cwd=_ROOT,
                env=environment,
                stdout=log,
                stderr=log,
            )

    async def ready(self) -> dict[str, Any]:
        """The health report of all parts, once all of them are ready."""
        deadline = time.monotonic() + _START_SECONDS
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as http:
            while time.monotonic() < deadline:
                with contextlib.suppress(httpx.HTTPError):
                    found: dict[str, Any] = (await http.get("/health/ready")).json()
                    # After several failures the supervisor waits before it restarts a worker.
                    if found["status"] == "ok" and self._worker() is not None:
                        return found
                await asyncio.sleep(0.2)
        raise SystemExit(f"The server is not ready:\n{(self.folder / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        """Stop it, with everything that it has started."""
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        destroy(self.folder / "data")

    # --- faults ----------------------------------------------------------------------------------

    async def kill_worker(self) -> None:
        """Kill only the worker."""
        self._kill(self._worker())

    async def kill_database(self) -> None:
        """Kill the postmaster; its children end with it."""
        self._kill(self._postmaster())

    async def kill_both(self) -> None:
        """Kill both at the same time."""
        self._kill(self._worker(), self._postmaster())

    async def freeze_worker(self) -> None:
        """Freeze the worker, which does not notice it."""
        with frozen([pid for pid in [self._worker()] if pid is not None]):
            await asyncio.sleep(FROZEN_SECONDS)

    async def freeze_database(self) -> None:
        """Freeze PostgreSQL: connections stay open, without answers."""
        postmaster = self._postmaster()
        with frozen([postmaster, *children_of(postmaster)]):
            await asyncio.sleep(FROZEN_SECONDS)

    def _kill(self, *pids: int | None) -> None:
        for pid in pids:
            assert pid is not None, "the server was ready"
            os.kill(pid, signal.SIGKILL)

    def _worker(self) -> int | None:
        for pid in children_of(self._process.pid):
            with contextlib.suppress(OSError):
                if b"work_as_child" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
        return None

    def _postmaster(self) -> int:
        file = (self.folder / "data" / "postgres").resolve() / "data" / "postmaster.pid"
        return int(file.read_text().splitlines()[0])


@dataclass(slots=True)
class Record:
    """When clients and the webhook saw each task, by its title."""

    acknowledged: dict[str, tuple[float, float]] = field(default_factory=dict)
    heard: dict[str, float] = field(default_factory=dict)
    repeats: int = 0
    stopping: bool = False

    def until_acknowledged(self, since: float) -> float:
        """Seconds until a change that was sent after this moment was acknowledged."""
        ends = [answered for sent, answered in self.acknowledged.values() if sent >= since]
        return min(ends, default=float("inf")) - since

    def until_heard(self, since: float) -> float:
        """Seconds until the webhook received a change that was acknowledged after this moment."""
        ends = [
            self.heard.get(title, float("inf"))
            for title, (_, answered) in self.acknowledged.items()
            if answered >= since
        ]
        return min(ends, default=float("inf")) - since

    async def create(self, load: Load, project: str, client: int) -> None:
        """Create tasks one by one; retry each until it is acknowledged."""
        for number in itertools.count():
            title = f"client {client} task {number}"
            values = {"title": title, "projectId": project, "idempotencyKey": secrets.token_hex(16)}
            sent = time.monotonic()
            while await load.change(CREATE, values) is None:
                if self.stopping:
                    return
                sent = time.monotonic()
            self.acknowledged[title] = (sent, time.monotonic())
            if self.stopping:
                return
            await asyncio.sleep(_EVERY)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The receiver of the webhook: one request per connection."""
        # At the end, connections on which nothing was sent are cancelled.
        ended = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with contextlib.suppress(*ended):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].split("\r\n")[0])
            title = json.loads(await reader.readexactly(length))["task"]["title"]
            self.repeats += title in self.heard
            self.heard.setdefault(title, time.monotonic())
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            await writer.drain()
        writer.close()

    @contextlib.asynccontextmanager
    async def going(self, load: Load, project: str) -> AsyncIterator[None]:
        """Run all clients during the block; then wait for pending deliveries to the webhook."""
        clients = [asyncio.create_task(self.create(load, project, n)) for n in range(CLIENTS)]
        yield
        self.stopping = True
        await asyncio.gather(*clients)
        for _ in range(_CATCH_UP_SECONDS):
            if self.acknowledged.keys() <= self.heard.keys():
                return
            await asyncio.sleep(1)


async def drill(server: Server) -> int:
    """Cause one fault after the other, and count. Returns the exit status."""
    faults: list[tuple[str, float, Callable[[], Awaitable[None]]]] = [
        ("kill -9 of the worker", 0, server.kill_worker),
        ("kill -9 of PostgreSQL", 0, server.kill_database),
        ("kill -9 of both", 0, server.kill_both),
        ("worker frozen", FROZEN_SECONDS, server.freeze_worker),
        ("PostgreSQL frozen", FROZEN_SECONDS, server.freeze_database),
    ]
    await server.ready()
    load = await signed_in(server.port)
    record = Record()
    receiver = await asyncio.start_server(record.take, "127.0.0.1", 0)
    port = receiver.sockets[0].getsockname()[1]
    made = await load.ask(_WEBHOOK, url=f"http://127.0.0.1:{port}/")
    if made["data"]["webhookCreate"]["errors"]:
        raise SystemExit(str(made))
    begun: list[float] = []
    async with record.going(load, load.project):
        await asyncio.sleep(_PAUSE)
        for _, _, fault in faults:
            begun.append(time.monotonic())
            await fault()
            await asyncio.sleep(_PAUSE)
            await server.ready()
    checks = (await server.ready())["checks"]
    restarts = {part: checks[part].get("restarts", 0) for part in ("worker", "database")}
    titles = await _titles(load)
    receiver.close()
    told = [(name, length, at) for (name, length, _), at in zip(faults, begun, strict=True)]
    return _report(record, titles, restarts, told)


async def _titles(load: Load) -> Counter[str]:
    found: Counter[str] = Counter()
    after = ""
    while True:
        answer = await load.ask(_TASKS, project=load.project, after=after)
        page = answer["data"]["tasks"]
        found.update(node["title"] for node in page["nodes"])
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return found


def _report(
    record: Record,
    titles: Counter[str],
    restarts: dict[str, int],
    faults: list[tuple[str, float, float]],
) -> int:
    lost = sum(not titles[title] for title in record.acknowledged)
    doubled = sum(count > 1 for count in titles.values())
    unheard = len(record.acknowledged.keys() - record.heard.keys())
    rows: list[tuple[str, object]] = [
        ("changes acknowledged", len(record.acknowledged)),
        ("of them lost", lost),
        ("doubled", doubled),
        ("undelivered to the webhook", unheard),
        ("delivered twice", record.repeats),
        ("restarts of the worker", restarts["worker"]),
        ("restarts of PostgreSQL", restarts["database"]),
    ]
    slow = False
    for name, length, at in faults:
        changes, worker = record.until_acknowledged(at), record.until_heard(at)
        slow |= max(changes, worker) > MOST_SECONDS + length
        rows.append((f"outage, {name}", f"changes {changes:.1f} s, worker {worker:.1f} s"))
    print(f"load {os.getloadavg()[0]:.1f}")
    for what, value in rows:
        print(f"{what:<40} {value}")
    few = min(restarts.values()) < 2
    return int(bool(lost or doubled or unheard or slow or few))


def main() -> int:
    """Run the drill on its own server."""
    with tempfile.TemporaryDirectory(prefix="taskloom-bench-") as name:
        folder = Path(name)
        # PostgreSQL runs as another user if this process runs as root.
        folder.chmod(0o711)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = Server(folder, port)
        try:
            return asyncio.run(drill(server))
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
