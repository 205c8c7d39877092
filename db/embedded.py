"""An embedded PostgreSQL for a machine that has none, on the binaries of a Python wheel.

Each data folder has one server, no matter which process starts it and how many processes use it:

* **Finding.** PostgreSQL writes `postmaster.pid` into its data, with its process id and the folder
  of its socket. A server is ours and alive if that socket answers. No other mark is kept.
* **Starting** happens under an exclusive lock on a file, so that four processes that start
  together make one server. The kernel holds the locks, so `kill -9` releases them.
* **Stopping.** Every process that uses the server holds a shared lock on a second file. A process
  that releases its lock and then gets it exclusively was the last one, and stops the server. If a
  process is killed, a small watcher does this for it (`stopped_with_us`); without a watcher the
  server keeps running, and the next start finds it.
* **Restarting.** A server that was killed is started again (`revive`) in the socket folder that it
  had before, so that the address that others use stays valid.
* **Stale pid files.** After `kill -9` of PostgreSQL itself the file may name a zombie or, worse, a
  process that got the number later; PostgreSQL would refuse to start. We write a number there that
  no process can have. The file itself stays, because PostgreSQL then still checks that no orphan
  of the dead server holds its shared memory; we retry until the orphans are gone.
* **Root.** PostgreSQL refuses to run as root, so a separate system user owns the data. If that
  user cannot reach the folder (a clone under `/root`), the data is stored in `/var/lib/taskloom`,
  with a link to it; we never change the mode or owner of a folder that we did not create.

The server listens only on a Unix socket in its own folder, never on a TCP port. Anyone who can
enter that folder may connect, so there is no password.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from db.embedded_host import (
    VERSION,
    Account,
    EmbeddedError,
    find_account,
    find_binaries,
    find_home,
)

SUPERUSER = "taskloom"
DATABASE = "taskloom"

# Includes PostgreSQL's recovery after a crash, and the time until orphans of a dead server end.
START_SECONDS = 20.0
STOP_SECONDS = 30

_NO_SUCH_PID = 2**31 - 2
_LOG_BYTES = 5_000_000

# For a machine that also runs the application, with little data. The connections serve several
# processes, each with its own pools; parallel workers would need more of /dev/shm than containers
# have, and just-in-time compilation costs more than it saves for short statements.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "150",
    "shared_buffers": "128MB",
    "effective_cache_size": "1GB",
    "random_page_cost": "1.1",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Details of errors contain what users wrote.
    "log_error_verbosity": "terse",
    "max_wal_size": "512MB",
}
# A test's cluster need not survive a crash of the machine.
_THROWAWAY_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


@dataclass(slots=True)
class EmbeddedPostgres:
    """A running server, and this process's share in keeping it running.

    Created by `EmbeddedPostgres.start`; `stop` releases the share. Safe to start several times in
    one process: each handle counts.
    """

    data_dir: Path
    socket_dir: Path
    started_here: bool
    _account: Account = field(repr=False)
    _bin: Path = field(repr=False)
    _share: BinaryIO | None = field(repr=False)
    _durable: bool = field(default=True, repr=False)

    @classmethod
    def start(cls, data_dir: Path, *, durable: bool = True) -> EmbeddedPostgres:
        """Start the server of this data folder, or find it running, and take a share in it.

        Creates the folder and the database `taskloom` if they are missing. `durable=False`, for
        tests, is faster but does not survive a crash of the machine. Blocks for about a second
        the first time, a tenth of that later. Raises `EmbeddedError`.
        """
        data_dir = data_dir.absolute()
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            account = find_account()
            binaries = find_binaries(account)
            with _locked(data_dir / "postgres.lock"):
                # Take the share first, so that a process that ends now does not stop the server.
                share = (data_dir / "postgres.users").open("ab")
                try:
                    fcntl.flock(share, fcntl.LOCK_SH)
                    home = find_home(data_dir, account, durable=durable)
                    cluster = home / "data"
                    socket_dir = _found(cluster, account, binaries)
                    started_here = socket_dir is None
                    if not (cluster / "PG_VERSION").exists():
                        _initialise(home, account, binaries, durable=durable)
                    _check_version(cluster)
                    if socket_dir is None:
                        socket_dir = _launch(home, account, binaries, durable=durable)
                    server = cls(
                        data_dir, socket_dir, started_here, account, binaries, share, durable
                    )
                    server._create_database()
                except BaseException:
                    share.close()
                    raise
                return server
        except (OSError, subprocess.TimeoutExpired) as error:
            place = f"{data_dir} (TASKLOOM_DATA_DIR)"
            message = f"The embedded PostgreSQL cannot be started in {place}: {error}"
            raise EmbeddedError(message) from error

    @classmethod
    @contextlib.contextmanager
    def temporary(cls) -> Iterator[EmbeddedPostgres]:
        """A private server for tests in a folder that is removed afterwards; not durable.

        When this process is killed, a small watcher stops the server and removes the folder.
        """
        folder = Path(tempfile.mkdtemp(prefix="taskloom-"))
        # The folder is closed to others; the system user that PostgreSQL runs as must get in.
        folder.chmod(0o711)
        server = cls.start(folder, durable=False)
        watcher = server._watch()  # noqa: SLF001 - of this very class
        try:
            yield server
        finally:
            server.stop(at_once=True)
            if watcher.stdin is not None:
                watcher.stdin.close()
            watcher.wait()

    def dsn(self, database: str = DATABASE) -> str:
        """The address of a database of this server, in the form of `DATABASE_URL`."""
        return f"postgresql://{SUPERUSER}@/{quote(database)}?host={quote(str(self.socket_dir))}"

    def stop(self, *, at_once: bool = False) -> bool:
        """Release this share, and stop the server if it was the last one. True if it was.

        `at_once`: without writing everything to disk, for data that is removed.
        """
        if self._share is None:
            return False
        share, self._share = self._share, None
        with _locked(self.data_dir / "postgres.lock"):
            share.close()
            return _stop_unused(self.data_dir, self._account, self._bin, at_once=at_once)

    @property
    def _home(self) -> Path:
        # Resolved, since the user that PostgreSQL runs as may have no access to the link's folder.
        return (self.data_dir / "postgres").resolve()

    def is_alive(self) -> bool:
        """Whether the server's process is running."""
        return _server_pid(self._home / "data") is not None

    def revive(self) -> None:
        """Start the server again, at the same address, unless another process just did."""
        with _locked(self.data_dir / "postgres.lock"):
            if _found(self._home / "data", self._account, self._bin) is None:
                _launch(self._home, self._account, self._bin, durable=self._durable)

    @contextlib.contextmanager
    def stopped_with_us(self) -> Iterator[None]:
        """Stop the server if this process is killed and no other process uses it.

        A shell waits for that, and starts Python only then.
        """
        program = f"from db.embedded import stop_unused; stop_unused({str(self.data_dir)!r})"
        script = 'read -r line || exec "$0" -c "$1"'
        watcher = subprocess.Popen(
            ["/bin/sh", "-c", script, sys.executable, program],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).resolve().parent.parent,
            start_new_session=True,
        )
        try:
            yield
        finally:
            with contextlib.suppress(BrokenPipeError):
                watcher.communicate(b"well\n")

    def _create_database(self) -> None:
        # At every start: a kill between initdb and this must not leave a server without a database.
        command: list[str | Path] = [
            self._bin / "createdb",
            "-h",
            self.socket_dir,
            "-U",
            SUPERUSER,
            DATABASE,
        ]
        result = self._account.run(command)
        if result.returncode != 0 and "already exists" not in result.stdout:
            raise EmbeddedError(f"The database cannot be created: {result.stdout.strip()}")

    def _watch(self) -> subprocess.Popen[bytes]:
        """Start a shell that waits until this process ends (its input ends) and then cleans up.

        A server that was stopped has no pid file; then only the folder is removed.
        """
        script = (
            'cat >/dev/null; pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && '
            'kill -QUIT "$pid" && while kill -0 "$pid"; do sleep 0.1; done 2>/dev/null; '
            'rm -rf "$@"'
        )
        home = (self.data_dir / "postgres").resolve()
        return subprocess.Popen(
            ["/bin/sh", "-c", script, "sh", str(home), str(self.data_dir), str(self.socket_dir)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )


def stop_unused(data_dir: str | Path) -> bool:
    """Stop the server of a data folder unless a process uses it. True if it was stopped."""
    data_dir = Path(data_dir)
    account = find_account()
    with _locked(data_dir / "postgres.lock"):
        return _stop_unused(data_dir, account, find_binaries(account))


def _stop_unused(
    data_dir: Path, account: Account, binaries: Path, *, at_once: bool = False
) -> bool:
    with (data_dir / "postgres.users").open("ab") as users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        cluster = (data_dir / "postgres").resolve() / "data"
        _shut_down(cluster, account, binaries, at_once=at_once)
    return True


def destroy(data_dir: Path) -> None:
    """Stop the server of a data folder, even if it is in use, and delete its data for good."""
    data_dir = data_dir.absolute()
    link = data_dir / "postgres"
    if not link.exists():
        return
    account = find_account()
    with _locked(data_dir / "postgres.lock"):
        home = link.resolve()
        _shut_down(home / "data", account, find_binaries(account))
        shutil.rmtree(home)
        if link.is_symlink():
            link.unlink()
        (data_dir / "postgres.users").unlink(missing_ok=True)
    (data_dir / "postgres.lock").unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _initialise(home: Path, account: Account, binaries: Path, *, durable: bool) -> None:
    """Create the cluster under another name, then rename it: it is never found half made."""
    draft = home / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    options = [
        f"--username={SUPERUSER}",
        "--auth=trust",
        "--encoding=UTF8",
        # The same order and case rules on every system, no matter which locales it has.
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
    ]
    if not durable:
        options.append("--no-sync")
    result = account.run([binaries / "initdb", "-D", draft, *options], seconds=120)
    if result.returncode != 0:
        raise EmbeddedError(f"The embedded PostgreSQL cannot be set up:\n{result.stdout.strip()}")
    draft.rename(home / "data")


def _check_version(cluster: Path) -> None:
    version = (cluster / "PG_VERSION").read_text().strip()
    if version != VERSION:
        raise EmbeddedError(
            f"{cluster} was written by PostgreSQL {version}; this is PostgreSQL {VERSION}. Dump it "
            "with the version of Taskloom that made it, and restore it into a new data folder."
        )


def _running(cluster: Path, account: Account, binaries: Path) -> Path | None:
    """The socket folder of the server that serves this cluster, if one answers."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        socket_dir = Path(lines[4])
    except (OSError, IndexError):
        return None
    if not lines[4] or not socket_dir.is_dir():
        return None
    probe = account.run([binaries / "pg_isready", "-q", "-h", socket_dir, "-t", "3"])
    return socket_dir if probe.returncode == 0 else None


def _found(cluster: Path, account: Account, binaries: Path) -> Path | None:
    """Like `_running`, but waits for a server that is still starting.

    A server that is alive but whose socket was deleted is of no use and is stopped.
    """
    deadline = time.monotonic() + START_SECONDS
    while (socket_dir := _running(cluster, account, binaries)) is None:
        if _server_pid(cluster) is None:
            return None
        if time.monotonic() > deadline:
            _shut_down(cluster, account, binaries)
            return None
        time.sleep(0.1)
    return socket_dir


def _launch(home: Path, account: Account, binaries: Path, *, durable: bool) -> Path:
    cluster, log = home / "data", home / "server.log"
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(home / "server.log.1")
    socket_dir = _left_socket(cluster, account)
    if socket_dir is None:
        _forget_socket(cluster)
        # Short, since the path of a socket is limited to 107 bytes, 103 on macOS.
        socket_dir = Path(tempfile.mkdtemp(prefix="taskloom-pg-", dir="/tmp"))
        if account.uid is not None and account.gid is not None:
            os.chown(socket_dir, account.uid, account.gid)
        (home / "socket").write_text(str(socket_dir))
    settings = {**_SETTINGS, "unix_socket_directories": str(socket_dir)}
    if not durable:
        settings |= _THROWAWAY_SETTINGS
    command: list[str | Path] = [binaries / "postgres", "-D", cluster]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    # The shell starts PostgreSQL and ends, so that init adopts PostgreSQL and it never becomes our
    # zombie; a session of its own keeps Ctrl-C in our terminal from reaching it.
    detach: list[str | Path] = ["/bin/sh", "-c", '"$@" </dev/null >>"$0" 2>&1 &', log]
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        _disarm_pid_file(cluster)
        begin = log.stat().st_size if log.exists() else 0
        account.run([*detach, *command], new_session=True)
        if _await(cluster, socket_dir, account, binaries, deadline):
            return socket_dir
        # It ended at once. Retry only if orphans of a killed server still hold its shared memory.
        said = log.read_bytes()[begin:].decode(errors="replace") if log.exists() else ""
        if "is still in use" not in said and "lock file" not in said:
            break
        time.sleep(0.2)
    shutil.rmtree(socket_dir, ignore_errors=True)
    tail = log.read_text(errors="replace")[-1500:].strip() if log.exists() else "(no log)"
    raise EmbeddedError(f"The embedded PostgreSQL does not start. Its log, {log}, ends:\n{tail}")


def _await(
    cluster: Path, socket_dir: Path, account: Account, binaries: Path, deadline: float
) -> bool:
    """Wait until the server that was just launched answers; False as soon as it has ended."""
    grace = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        if _running(cluster, account, binaries) == socket_dir:
            return True
        if time.monotonic() > grace and _server_pid(cluster) is None:
            return False
        time.sleep(0.02)
    return False


def _shut_down(cluster: Path, account: Account, binaries: Path, *, at_once: bool = False) -> None:
    """Stop the server if it runs and end all connections: cleanly, or `at_once` as in a crash."""
    if _server_pid(cluster) is not None:
        mode = "immediate" if at_once else "fast"
        stop: list[str | Path] = [binaries / "pg_ctl", "stop", "-s", "-m", mode]
        stop += ["-t", str(STOP_SECONDS), "-D", cluster]
        result = account.run(stop, seconds=STOP_SECONDS + 10)
        if result.returncode != 0:
            raise EmbeddedError(f"The embedded PostgreSQL does not stop: {result.stdout.strip()}")
    _forget_socket(cluster)


def _left_socket(cluster: Path, account: Account) -> Path | None:
    """The socket folder of a killed server, emptied; other processes still use its address.

    Only if owner and mode are ours: once the folder is gone, any user can create one of that name.
    """
    try:
        left = Path((cluster.parent / "socket").read_text())
        found = left.lstat()
    except OSError:
        return None
    owner = os.geteuid() if account.uid is None else account.uid
    private = stat.S_ISDIR(found.st_mode) and found.st_mode & 0o077 == 0
    if left.parent != Path("/tmp") or found.st_uid != owner or not private:  # noqa: S108
        return None
    for file in left.iterdir():
        file.unlink()
    return left


def _forget_socket(cluster: Path) -> None:
    """Remove the socket folder that the last server left behind, if there is one."""
    note = cluster.parent / "socket"
    with contextlib.suppress(OSError):
        left = Path(note.read_text())
        if left.parent == Path("/tmp") and left.name.startswith("taskloom-pg-"):  # noqa: S108
            shutil.rmtree(left, ignore_errors=True)
        note.unlink()


def _disarm_pid_file(cluster: Path) -> None:
    """Write a number that no process can have into the pid file of a server that is gone."""
    file = cluster / "postmaster.pid"
    if file.exists() and _server_pid(cluster) is None:
        lines = file.read_text().splitlines(keepends=True)
        # Overwritten in place, so that the file keeps its owner and mode.
        file.write_text("".join([f"{_NO_SUCH_PID}\n", *lines[1:]]))


def _server_pid(cluster: Path) -> int | None:
    """The process id in the pid file, if that process is alive and a PostgreSQL of this cluster."""
    try:
        pid = int((cluster / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if _is_server(pid, cluster) else None


def _is_server(pid: int, cluster: Path) -> bool:
    process = Path("/proc") / str(pid)
    if process.parent.joinpath("self").exists():
        # PostgreSQL's working folder is its data folder; a zombie has none, others have another.
        try:
            return process.joinpath("cwd").samefile(cluster)
        except OSError:
            return False
    command = ["ps", "-o", "stat=", "-o", "command=", "-p", str(pid)]
    listing = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return bool(listing) and not listing.startswith("Z") and str(cluster) in listing
