"""A PostgreSQL with a streaming replica."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from db.embedded import EmbeddedPostgres


@dataclass(frozen=True, slots=True)
class Pair:
    """The addresses of both servers, and the folder of the replica."""

    primary: str
    replica: str
    _server: EmbeddedPostgres
    _cluster: Path

    def fail(self) -> None:
        """The primary dies."""
        cluster = next(self._server.data_dir.rglob("postmaster.pid")).parent
        command = ("stop", "-m", "immediate", "-s", "-w", "-D", cluster)
        done = self._server._account.run([self._server._bin / "pg_ctl", *command])
        assert done.returncode == 0, done.stdout

    def control(self, *command: str) -> None:
        """Start, stop or promote the replica."""
        account, binaries = self._server._account, self._server._bin
        log = self._cluster / "log"
        done = account.run(
            [binaries / "pg_ctl", *command, "-s", "-w", "-D", self._cluster, "-l", log]
        )
        assert done.returncode == 0, done.stdout


@contextlib.contextmanager
def replicated() -> Iterator[Pair]:
    """Both servers, for the duration of the block."""
    folder = Path(tempfile.mkdtemp(prefix="taskloom-replicated-"))
    folder.chmod(0o711)
    # The tests' other servers write no log for replicas.
    server = EmbeddedPostgres.start(folder)
    try:
        account, binaries = server._account, server._bin
        home = folder / "replica"
        account.make_folder(home)
        cluster = home / "data"
        copied = account.run(
            [
                *(binaries / "pg_basebackup", "-h", server.socket_dir, "-U", "taskloom"),
                *("-D", cluster, "-R", "-X", "stream", "-c", "fast", "--no-sync"),
            ]
        )
        assert copied.returncode == 0, copied.stdout
        with (cluster / "postgresql.auto.conf").open("a") as file:
            file.write(
                f"unix_socket_directories = '{home}'\nlisten_addresses = ''\n"
                "hot_standby_feedback = on\nmax_connections = 150\nfsync = off\n"
            )
        pair = Pair(server.dsn(), f"postgresql://taskloom@/taskloom?host={home}", server, cluster)
        pair.control("start")
        try:
            yield pair
        finally:
            with contextlib.suppress(AssertionError):
                pair.control("stop", "-m", "immediate")
            time.sleep(0)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
