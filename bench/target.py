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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from db.embedded import EmbeddedPostgres
from demo.company import LOGIN, PASSWORD

_START_SECONDS: Final = 60
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


@contextlib.contextmanager
def served(settings: Mapping[str, str]) -> Iterator[tuple[Target, int]]:
    """The server and its process id; stopped after the block. `settings`: environment variables."""
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
        subprocess.run([*program, "demo"], env=environment, stdout=subprocess.DEVNULL, check=True)
        command = [*program, "serve", "--no-worker"]
        running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        try:
            yield signed_in(Target(port)), running.pid
        finally:
            running.terminate()
            running.wait(30)


def signed_in(target: Target) -> Target:
    """The target with the demo user's token, once the server answers."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            data = target.ask(_SIGN_IN, login=LOGIN, password=PASSWORD)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return Target(target.port, data["sessionCreate"]["accessToken"])
