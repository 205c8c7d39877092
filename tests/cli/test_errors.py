"""Errors that the user of a command can fix are messages, and name what is at fault."""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import ROOT, environment, separately, taskloom


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
