"""What `taskloom serve` does as a process."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import httpx
import pytest

from db.embedded import destroy
from tests.commands import ROOT, environment, separately


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="taskloom-test-"))
    folder.chmod(0o711)
    yield folder / "data"
    destroy(folder / "data")
    shutil.rmtree(folder)


def start(data_dir: Path, *options: str, **variables: str) -> subprocess.Popen[str]:
    """`taskloom serve` on a free port, with an embedded database and no demo data."""
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "serve", "--no-demo", *options],
        cwd=ROOT,
        env=environment(**{"TASKLOOM_PORT": "0", "TASKLOOM_DATA_DIR": str(data_dir), **variables}),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def address(output: IO[str] | None) -> str:
    """The address that it serves, as printed."""
    assert output is not None
    for line in output:
        if found := re.search(r"serves (http://\S+)/graphql", line):
            return found[1]
    raise AssertionError("the server ended without serving")


def answers(url: str) -> httpx.Response:
    with httpx.Client(transport=httpx.HTTPTransport(retries=9)) as client:
        return client.post(f"{url}/graphql", json={"query": "{ __typename }"}, timeout=30)


@pytest.mark.parametrize(
    ("number", "workers"),
    [
        (signal.SIGINT, "1"),
        # By day, `test_a_new_server_replaces_a_killed_one` ends like this.
        pytest.param(signal.SIGTERM, "2", marks=pytest.mark.nightly),
        pytest.param(signal.SIGTERM, "1", marks=pytest.mark.nightly),
        pytest.param(signal.SIGINT, "2", marks=pytest.mark.nightly),
    ],
)
def test_the_server_stops_cleanly_on_request(
    data_dir: Path, number: signal.Signals, workers: str
) -> None:
    process = start(data_dir, TASKLOOM_WORKERS=workers)
    url = address(process.stdout)
    assert answers(url).json()["data"] == {"__typename": "Query"}

    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Stopped the embedded PostgreSQL" in output


@pytest.mark.nightly
def test_processes_that_a_busy_machine_delays_are_not_killed(data_dir: Path) -> None:
    """Longer than the five seconds after which uvicorn would kill them; signals are still heard."""
    process = start(data_dir, "--no-worker", TASKLOOM_WORKERS="3")
    assert answers(address(process.stdout)).status_code == 200
    delayed, killed, other = sorted(server_processes(process.pid))
    os.kill(delayed, signal.SIGSTOP)
    try:
        # The others are looked after meanwhile.
        os.kill(killed, signal.SIGKILL)
        for _ in range(600):
            if len(after := server_processes(process.pid)) == 3 and killed not in after:
                break
            time.sleep(0.1)
        assert {delayed, other} < after
        time.sleep(6)
        assert delayed in server_processes(process.pid)
        os.kill(delayed, signal.SIGCONT)
        time.sleep(1)
        assert server_processes(process.pid) == after
    finally:
        os.kill(delayed, signal.SIGCONT)
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0


def server_processes(parent: int) -> set[int]:
    lists = Path(f"/proc/{parent}/task").glob("*/children")
    children = {int(pid) for path in lists for pid in path.read_text().split()}
    return {pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def await_free(port: int) -> None:
    """Until no process listens on the port."""
    for _ in range(600):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return
        time.sleep(0.1)
    raise AssertionError(f"port {port} stays in use")


def test_a_new_server_replaces_a_killed_one(data_dir: Path) -> None:
    process = start(data_dir, TASKLOOM_WORKERS="2")
    first = address(process.stdout)
    assert answers(first).status_code == 200
    process.kill()
    process.communicate(timeout=60)

    # Its children end with it and free the port; the next server finds its database.
    port = int(first.rpartition(":")[2])
    await_free(port)
    again = start(data_dir, "--no-worker", TASKLOOM_PORT=str(port), TASKLOOM_WORKERS="2")
    assert again.stdout is not None
    assert "embedded PostgreSQL" in again.stdout.readline()
    assert answers(address(again.stdout)).status_code == 200
    again.terminate()
    output, _ = again.communicate(timeout=60)
    assert again.returncode == 0
    assert "Stopped the embedded PostgreSQL" in output


def test_a_port_in_use_is_reported_before_anything_starts(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = separately("serve", TASKLOOM_PORT=str(port), TASKLOOM_DATA_DIR=str(data_dir))
    assert result.returncode == 1
    assert f"port {port}" in result.stderr
    assert not data_dir.exists()
