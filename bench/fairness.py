"""Whether account mails are sent while receivers hang: `python -m bench.fairness`, about a minute.

A server as shipped, on a temporary database, with its worker in a separate process and three
receivers that accept requests and never answer: two webhooks and a channel. 2,000 jobs are queued
for them. Then a user requests mails for a password reset, one after the other, while the jobs run.
Prints how long each mail took from the request to the SMTP server, and the state of the circuits;
fails if a mail took longer than two seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

from bench.target import Failed, Target, signed_in
from db.embedded import EmbeddedPostgres
from demo.company import DOMAIN, LOGIN

PROMISE: Final = 2.0
JOBS: Final = 2_000
MAILS: Final = 15
_EVERY: Final = 2.0
# Each task makes three jobs: for the two webhooks and the channel.
_TASKS: Final = JOBS // 3 + 1
_AT_ONCE: Final = 200

_PROJECT: Final = 'mutation { projectCreate(input: {name: "Hanging"}) { project { id } } }'
_WEBHOOK: Final = """mutation ($url: URL!) { webhookCreate(input: {
  url: $url, filter: { kind: { eq: TASK_CREATED } } }) { webhook { id } errors { message } } }"""
_CHANNEL: Final = """mutation ($url: URL!, $project: ID!) { integrationCreate(input: {
  projectId: $project, config: { slack: { events: [TASK_CREATED], webhookUrl: $url } } }) {
  integration { id } errors { message } } }"""
_TASKS_CREATE: Final = """mutation ($items: [TaskBulkCreateItem!]!) {
  taskBulkCreate(input: { items: $items }) { doneCount errors { message } } }"""
_RESET: Final = """mutation ($email: String!) {
  passwordResetRequest(input: { email: $email }) { errors { message } } }"""


class Hanging(asyncio.Protocol):
    """Accepts every request and never answers."""

    asked = 0
    first = asyncio.Event()

    def data_received(self, _data: bytes) -> None:
        """Count the requests."""
        Hanging.asked += 1
        Hanging.first.set()


class Mails:
    """The time at which each mail arrived."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[float] = asyncio.Queue()

    async def handle_DATA(self, _server: Any, _session: Any, _envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Take a mail."""
        self.arrived.put_nowait(time.monotonic())
        return "250 OK"


@asynccontextmanager
async def _listening(make: Any) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@contextlib.contextmanager
def _serving(mail_port: int) -> Iterator[Target]:
    with (
        EmbeddedPostgres.temporary() as database,
        tempfile.TemporaryDirectory() as folder,
        socket.socket() as probe,
    ):
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        unlimited = ("TASK_CREATION", "ACCOUNT_MAIL", "LOGIN_ADDRESS", "LOGIN_ACCOUNT")
        environment = {
            **os.environ,
            "DATABASE_URL": database.dsn(),
            "TASKLOOM_PORT": str(port),
            "TASKLOOM_DATA_DIR": folder,
            "TASKLOOM_LOG_LEVEL": "error",
            "TASKLOOM_LIMIT_COST_BUDGET": "1000000000",
            "TASKLOOM_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
            "TASKLOOM_MAIL_HOST": "127.0.0.1",
            "TASKLOOM_MAIL_PORT": str(mail_port),
            "TASKLOOM_MAIL_TLS": "none",
            **{f"TASKLOOM_LIMIT_{name}": "unlimited" for name in unlimited},
        }
        program = [sys.executable, "-c", "from cli import main; main()"]
        subprocess.run([*program, "demo"], env=environment, stdout=subprocess.DEVNULL, check=True)
        running = subprocess.Popen([*program, "serve"], env=environment, stdout=subprocess.DEVNULL)
        try:
            yield signed_in(Target(port))
        finally:
            running.terminate()
            running.wait(60)


async def _ask(target: Target, query: str, **variables: Any) -> Any:
    answer = await asyncio.to_thread(target.ask, query, **variables)
    for payload in answer.values():
        if isinstance(payload, dict) and payload.get("errors"):
            raise Failed(f"{query[:60]}: {payload['errors']}")
    return answer


async def _queue_jobs(target: Target, ports: list[int]) -> None:
    project = (await _ask(target, _PROJECT))["projectCreate"]["project"]["id"]
    for port in ports[:2]:
        await _ask(target, _WEBHOOK, url=f"http://127.0.0.1:{port}/hook")
    channel = f"http://127.0.0.1:{ports[2]}/hook"
    await _ask(target, _CHANNEL, url=channel, project=project)
    for start in range(0, _TASKS, _AT_ONCE):
        count = min(_AT_ONCE, _TASKS - start)
        items = [{"title": f"Task {start + n}", "projectId": project} for n in range(count)]
        await _ask(target, _TASKS_CREATE, items=items)


async def drill() -> list[float]:
    """How many seconds each mail took."""
    from aiosmtpd.smtp import SMTP

    mails = Mails()
    async with contextlib.AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(_listening(Hanging)) for _ in range(3)]
        mail_port = await stack.enter_async_context(_listening(lambda: SMTP(mails)))
        target = await asyncio.to_thread(stack.enter_context, _serving(mail_port))
        await _queue_jobs(target, ports)
        async with asyncio.timeout(60):
            await Hanging.first.wait()
        taken = []
        for _ in range(MAILS):
            begun = time.monotonic()
            await _ask(target, _RESET, email=f"{LOGIN}@{DOMAIN}")
            answered = time.monotonic()
            async with asyncio.timeout(120):
                arrived = await mails.arrived.get()
            taken.append(arrived - begun)
            print(f"mail {len(taken):2}: {taken[-1]:5.2f} s, answer {answered - begun:.2f} s")
            await asyncio.sleep(_EVERY)
        print("requests to hanging receivers:", Hanging.asked)
        metrics = await asyncio.to_thread(target.read, "/metrics")
        shown = ("taskloom_circuits_open{", "taskloom_jobs{")
        print("\n".join(line for line in metrics.splitlines() if line.startswith(shown)))
        return taken


def main() -> int:
    """Returns exit status 0 if the target is met."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    taken = asyncio.run(drill())
    worst = max(taken)
    print(f"median {statistics.median(taken):.2f} s, worst {worst:.2f} s (target {PROMISE:g} s)")
    return 0 if worst <= PROMISE else 1


if __name__ == "__main__":
    sys.exit(main())
