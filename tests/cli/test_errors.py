"""Errors that the user of a command can fix are messages, and name what is at fault."""

from __future__ import annotations

import asyncio
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import click
import pytest

from cli import main
from db import migrate
from settings import load_settings
from tests.commands import ROOT, environment, separately, taskloom

# Every command that uses the database and ends by itself.
OF_DATABASE = {
    "backup": ["no.tar.gz"],
    "check": ["--counters", "--events"],
    "demo": [],
    "documents check": [],
    "documents register": ["documents.json"],
    "migrate": [],
    "restore": ["documents.json"],
    "row-security": ["off"],
    "secrets reencrypt": [],
    "user activate": ["ada"],
    "user create": ["ada", "ada@example.com"],
    "user deactivate": ["ada"],
    "user promote": ["ada"],
}
OTHERS = {"schema", "secrets vapid", "serve", "settings", "worker"}


def names_of(group: click.Group, before: str = "") -> set[str]:
    found: set[str] = set()
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found |= names_of(command, f"{before}{name} ")
        else:
            found.add(f"{before}{name}")
    return found


def test_every_command_is_tested_with_the_wrong_database() -> None:
    assert names_of(main) == OF_DATABASE.keys() | OTHERS


@pytest.mark.parametrize(
    ("others", "rule"),
    [
        ("CREATE TABLE users (name text); CREATE TABLE orders ()", "tables with names of ours"),
        (
            "CREATE TABLE alembic_version AS SELECT '0005' AS version_num",
            "of another application",
        ),
    ],
)
async def test_the_database_of_another_application_is_left_alone(
    empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: str, rule: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "documents.json").write_text('["{ __typename }"]')
    connection = await asyncpg.connect(empty)
    try:
        await connection.execute(f"CREATE SCHEMA foreign_; SET search_path = foreign_; {others}")
        before = await _relations(connection)
        for command, arguments in OF_DATABASE.items():
            result = taskloom(
                *command.split(),
                *arguments,
                typed="a long password\n",
                DATABASE_URL=empty,
                TASKLOOM_DB_SCHEMA="foreign_",
                TASKLOOM_DATA_DIR=str(tmp_path),
            )
            assert result.returncode == 1, command
            known = (rule, "has no tables of Taskloom")
            assert any(part in result.stderr for part in known), (command, result.stderr)
            assert await _relations(connection) == before, command
        assert set(_names_in(tmp_path)) <= {"documents.json", "files"}
    finally:
        await connection.execute("DROP SCHEMA foreign_ CASCADE")
        await connection.close()


def _names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def _relations(connection: asyncpg.Connection[asyncpg.Record]) -> list[str]:
    rows = await connection.fetch(
        "SELECT relname, relrowsecurity FROM pg_class"
        " WHERE relnamespace = 'foreign_'::regnamespace ORDER BY 1"
    )
    return [str(row) for row in rows]


async def test_only_commands_that_say_so_create_tables(empty: str, tmp_path: Path) -> None:
    variables = {"DATABASE_URL": empty, "TASKLOOM_DB_SCHEMA": "nothing"}
    found = taskloom("user", "promote", "ada", **variables)
    assert found.returncode == 1
    assert "Run `taskloom migrate` first" in found.stderr
    written = taskloom("backup", str(tmp_path / "backup.tar.gz"), **variables)
    assert written.returncode == 1
    assert "has no tables of Taskloom" in written.stderr
    assert _names_in(tmp_path) == []
    connection = await asyncpg.connect(empty)
    assert await connection.fetchval("SELECT to_regnamespace('nothing') IS NULL")
    await connection.close()


async def test_a_command_that_is_asked_to_end_leaves_nothing_behind(
    empty: str, tmp_path: Path
) -> None:
    variables = {"DATABASE_URL": empty, "TASKLOOM_DB_SCHEMA": "ended"}
    await migrate.upgrade(load_settings(variables, env_file=None).database)
    connection = await asyncpg.connect(empty)
    async with connection.transaction():
        # It waits for this table.
        await connection.execute("LOCK TABLE ended.users")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli", "backup", str(tmp_path / "backup.tar.gz")),
            cwd=ROOT,
            env=environment(**variables),
            stderr=subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            while not await connection.fetchval(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
            ):
                await asyncio.sleep(0.05)
        assert len(_names_in(tmp_path)) == 1
        process.send_signal(signal.SIGTERM)
        _, said = await process.communicate()
    await connection.execute("DROP SCHEMA ended CASCADE")
    await connection.close()
    assert (process.returncode, said) == (128 + signal.SIGTERM, b"")
    assert _names_in(tmp_path) == []


def test_our_files_are_read_whatever_the_locale_of_the_machine(empty: str) -> None:
    ascii_only: dict[str, Any] = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    assert taskloom("migrate", DATABASE_URL=empty).returncode == 0
    found = separately("user", "promote", "nobody", DATABASE_URL=empty, **ascii_only)
    assert (found.returncode, found.stderr) == (1, "Error: there is no user nobody\n")


def test_output_that_cannot_be_written_is_not_the_commands_fault() -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "cli", "--help"],
            cwd=ROOT,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert result.returncode == 1
    assert result.stderr.startswith("Error: the output cannot be written: No space left")
    assert "Traceback" not in result.stderr


@pytest.mark.nightly
async def test_a_server_that_cannot_start_says_so_by_its_exit_code(empty: str) -> None:
    """With one process, and with several."""
    variables: dict[str, Any] = {"DATABASE_URL": empty, "TASKLOOM_DB_SCHEMA": "replica"}
    await migrate.upgrade(load_settings(variables, env_file=None).database)
    connection = await asyncpg.connect(empty)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        for workers in ("1", "2"):
            found = await asyncio.to_thread(
                separately,
                *("serve", "--no-worker"),
                TASKLOOM_PORT="0",
                TASKLOOM_WORKERS=workers,
                **variables,
            )
            assert found.returncode == 3, found.stderr
            assert "ReadOnlySQLTransactionError" in found.stderr
    finally:
        await connection.execute(
            f"SET default_transaction_read_only = off;"
            f" ALTER DATABASE {name} RESET default_transaction_read_only;"
            " DROP SCHEMA replica CASCADE"
        )
        await connection.close()


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_folder_that_cannot_be_used_is_reported(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "files"
    result = separately(command, TASKLOOM_PORT="0", TASKLOOM_STORAGE_URL=folder.as_uri())
    assert result.returncode == 1
    assert f"TASKLOOM_STORAGE_URL: cannot create {folder}" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_of_metrics_that_is_in_use_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        result = separately("serve", TASKLOOM_PORT="0", TASKLOOM_METRICS_PORT=port)
    assert result.returncode == 1
    assert "TASKLOOM_METRICS_PORT" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_backup_that_cannot_be_written_is_not_the_databases_fault(
    empty: str, tmp_path: Path
) -> None:
    result = taskloom("backup", str(tmp_path / "no" / "backup.tar.gz"), DATABASE_URL=empty)
    assert result.returncode == 1
    assert f"{tmp_path / 'no'} is not a folder" in result.stderr
    assert "database" not in result.stderr


def test_a_full_disk_is_not_the_databases_fault(empty: str, tmp_path: Path) -> None:
    command = shlex.join([sys.executable, "-m", "cli", "backup", str(tmp_path / "backup.tar.gz")])
    result = subprocess.run(
        # Python ignores the signal, and gets an error of the kind that a full disk causes.
        ["/bin/sh", "-c", f"trap '' XFSZ; ulimit -f 0; exec {command}"],
        cwd=ROOT,
        env=environment(DATABASE_URL=empty, TASKLOOM_DATA_DIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 1
    assert "File too large" in result.stderr
    assert "database" not in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unreachable_database_is_reported_in_one_line() -> None:
    result = separately("migrate", DATABASE_URL="postgres://nobody@127.0.0.1:1/none")
    assert result.returncode == 1
    assert result.stderr.startswith("Error: the database of DATABASE_URL cannot be used")
    assert "Traceback" not in result.stderr


def test_who_reads_no_further_ends_the_output_quietly() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "cli", "settings"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
