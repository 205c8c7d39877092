"""Starts a server to measure: as shipped, with demo data, on a temporary database."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.measure import children
from db.embedded import EmbeddedPostgres
from demo.company import LOGIN, PASSWORD

# Four processes on a busy machine take a while.
_START_SECONDS: Final = 180
_SIGN_IN: Final = (
    "mutation ($login: String!, $password: String!) "
    "{ sessionCreate(input: {login: $login, password: $password}) { accessToken } }"
)


class Failed(Exception):  # noqa: N818 - the outcome of the run
    """The server gave a wrong answer; the message says which."""


@dataclass(frozen=True, slots=True)
class Target:
    """The server; `token` belongs to the demo user."""

    port: int
    token: str = ""

    def post(
        self, body: bytes, *, accept: str = "application/json", token: str | None = None
    ) -> Any:
        """The answer to a POST, and how many seconds it took."""
        headers = {"Content-Type": "application/json", "Accept": accept}
        bearer = self.token if token is None else token
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            begun = time.perf_counter()
            connection.request("POST", "/graphql", body, headers)
            text = connection.getresponse().read()
            return text, time.perf_counter() - begun

    def read(self, path: str) -> str:
        """The answer to a GET."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().read().decode()

    def ask(self, query: str, *, token: str | None = None, **variables: Any) -> Any:
        """The `data` of an answer."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        answer = json.loads(self.post(body, token=token)[0])
        if "errors" in answer:
            raise Failed(f"{query[:60]}: {answer['errors']}")
        return answer["data"]


@dataclass(frozen=True, slots=True)
class Served:
    """A running server: its process, and that of its database."""

    target: Target
    server: int
    postgres: int

    def worker(self) -> int:
        """The worker, which is a child of the server."""
        return max(
            pid
            for pid in children(self.server)
            if b"work_as_child" in Path(f"/proc/{pid}/cmdline").read_bytes()
        )


@contextlib.contextmanager
def served(settings: Mapping[str, str]) -> Iterator[tuple[Target, int]]:
    """The server without a worker, and its process, which ends with the block. `settings`: of its
    environment.
    """
    with _running(settings, ["--no-worker"], scale=1, code=None) as (found, _):
        yield found.target, found.server


@contextlib.contextmanager
def served_with_worker(
    settings: Mapping[str, str], *, scale: int, code: Path | None = None
) -> Iterator[tuple[Served, str]]:
    """The server with its worker, and the address of its database. `scale`: of the demo data.
    `code`: the checkout that is run, if not this one.
    """
    with _running(settings, [], scale=scale, code=code) as found:
        yield found


@contextlib.contextmanager
def _running(
    settings: Mapping[str, str], options: Sequence[str], *, scale: int, code: Path | None
) -> Iterator[tuple[Served, str]]:
    with EmbeddedPostgres.temporary() as database, tempfile.TemporaryDirectory() as folder:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        environment = {
            **os.environ,
            "DATABASE_URL": database.dsn(),
            "TASKLOOM_PORT": str(port),
            "TASKLOOM_DATA_DIR": folder,
            "TASKLOOM_LOG_LEVEL": "error",
            "TASKLOOM_LIMIT_COST_BUDGET": "1000000000",
            **settings,
        }
        program = [sys.executable, "-c", "from cli import main; main()"]
        # The server does not load demo data into a database that was configured.
        subprocess.run(
            [*program, "demo", "--scale", str(scale)],
            env=environment,
            cwd=code,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        command = [*program, "serve", *options]
        running = subprocess.Popen(command, env=environment, cwd=code, stdout=subprocess.DEVNULL)
        postgres = int((database.data_dir / "postgres/data/postmaster.pid").read_text().split()[0])
        try:
            yield Served(signed_in(Target(port)), running.pid, postgres), database.dsn()
        finally:
            running.terminate()
            running.wait(30)


def signed_in(target: Target, login: str = LOGIN) -> Target:
    """The target with a demo user's token, once the server answers."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            data = target.ask(_SIGN_IN, login=login, password=PASSWORD)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return Target(target.port, data["sessionCreate"]["accessToken"])
