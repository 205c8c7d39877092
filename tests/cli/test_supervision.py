"""`taskloom serve` when its parts are killed, as seen by a user who reads mail."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from db.embedded import destroy
from tests.commands import ROOT, environment
from tests.servers import UNLIMITED
from web.supervision import _VARIABLE

SECONDS = 120


def parent_of(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def children(pid: int) -> set[int]:
    found = {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    return {one for one in found if parent_of(one) == pid}


def command_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


@dataclass
class Running:
    """A separate server with an embedded database and a folder of mails."""

    process: subprocess.Popen[bytes]
    folder: Path
    client: httpx.AsyncClient

    def worker(self) -> int:
        # The other child is the watcher of the embedded PostgreSQL.
        (found,) = [pid for pid in children(self.process.pid) if "work_as_child" in command_of(pid)]
        return found

    def postmaster(self) -> int:
        file = (self.folder / "data" / "postgres").resolve() / "data" / "postmaster.pid"
        return int(file.read_text().splitlines()[0])

    def state(self) -> Path:
        """The file in which the state of the parts is."""
        text = Path(f"/proc/{self.worker()}/environ").read_bytes().decode()
        return Path(dict(one.split("=", 1) for one in text.split("\0") if one)[_VARIABLE])

    async def ready(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get("/health/ready")).json()
        return found

    async def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(SECONDS):
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if holds(found := await self.ready()):
                        return found
                await asyncio.sleep(0.1)

    async def mutation(self, text: str) -> dict[str, Any]:
        answer = await self.client.post("/graphql", json={"query": f"mutation {{ {text} }}"})
        found: dict[str, Any] = answer.json()
        return found

    async def mails(self, count: int) -> None:
        """Wait until `count` mails were sent, and check that no more follow."""
        async with asyncio.timeout(SECONDS):
            while len(list((self.folder / "data" / "mail").glob("*.eml"))) < count:
                await asyncio.sleep(0.1)
        assert len(list((self.folder / "data" / "mail").glob("*.eml"))) == count


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="taskloom-test-"))
    made.chmod(0o711)
    yield made
    destroy(made / "data")
    shutil.rmtree(made)


@pytest.fixture
async def running(folder: Path) -> AsyncIterator[Running]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {"TASKLOOM_DATA_DIR": str(folder / "data"), "TASKLOOM_PORT": str(port)}
    process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
        [sys.executable, "-m", "cli", "serve", "--no-demo"],
        cwd=ROOT,
        env=environment(**UNLIMITED, **variables),
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            made = Running(process, folder, client)
            await made.until(lambda found: found["status"] == "ok")
            yield made
    finally:
        process.terminate()
        process.wait(60)


ADA = (
    'userRegister(input: {username: "ada", email: "ada@example.com", password: "%s"}) '
    "{ viewer { user { id } } errors { code } }"
)
RESET = 'passwordResetRequest(input: {email: "ada@example.com"}) { errors { code } }'


async def test_killed_parts_are_restarted_and_nothing_is_lost(running: Running) -> None:
    registered = await running.mutation(ADA % "a long and unknown Password 17")
    assert registered["data"]["userRegister"]["errors"] == []
    before = len(list((running.folder / "data" / "mail").glob("*.eml")))
    # As systems do with what is old below /tmp.
    shutil.rmtree(running.state().parent)
    os.kill(running.worker(), signal.SIGKILL)
    # Queued while no worker runs.
    assert "errors" not in await running.mutation(RESET)
    found = await running.until(
        lambda found: found["status"] == "ok" and found["checks"]["worker"].get("restarts") == 1
    )
    await running.mails(before + 1)

    os.kill(running.postmaster(), signal.SIGKILL)
    found = await running.until(
        lambda found: found["status"] == "ok" and found["checks"]["database"].get("restarts") == 1
    )
    assert found["checks"]["worker"]["restarts"] == 1
    # The data is still there, and the worker continues.
    again = await running.mutation(ADA % "a long and unknown Password 17")
    assert again["data"]["userRegister"]["errors"] != []
    assert "errors" not in await running.mutation(RESET)
    await running.mails(before + 2)
    text = (await running.client.get("/metrics")).text
    assert 'taskloom_part_restarts{part="worker"} 1.0' in text
    assert 'taskloom_part_restarts{part="database"} 1.0' in text
    assert 'taskloom_part_up{part="database"} 1.0' in text

    # When the server itself is killed, none of its processes survives.
    left = {running.worker(), running.postmaster(), *children(running.process.pid)}
    running.process.kill()
    running.process.wait()
    async with asyncio.timeout(SECONDS):
        # A zombie no longer has a command.
        while any(command_of(pid) for pid in left):
            await asyncio.sleep(0.1)


def test_a_worker_that_ends_before_its_server_ends_cleanly() -> None:
    """Its thread still waits for the end of the server then."""
    code = "from web.parent import end_with_input; end_with_input(); import time; time.sleep(0.2)"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait()) == (b"", 0)


@pytest.mark.nightly
async def test_a_worker_that_hangs_does_not_keep_the_server(running: Running) -> None:
    worker = running.worker()
    os.kill(worker, signal.SIGSTOP)
    running.process.terminate()
    assert await asyncio.to_thread(running.process.wait, 60) == 0
    assert not command_of(worker)
