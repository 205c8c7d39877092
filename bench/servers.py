"""The measured servers: starts them on free ports, sends single queries, stops them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.building import MissingError
from bench.cases import CASES, PAGE, WIDE_PAGES, Case, Dialect, Sample, Variables, new_document
from bench.data import PASSWORD, PEOPLE, Seeded
from bench.recipes import FLOOR, PORT, Recipe, peers_of, taskloom

_START_SECONDS: Final = 40


class BenchError(Exception):
    """The bench cannot continue; the message says why."""


@dataclass(slots=True)
class Server:
    """A running server."""

    recipe: Recipe
    port: int
    process: subprocess.Popen[bytes]
    # The headers of each person who sends queries; the others do not ask who it is.
    people: list[dict[str, str]] = field(default_factory=lambda: [{}])

    @property
    def name(self) -> str:
        """As the report calls it."""
        return self.recipe.name

    @property
    def dialect(self) -> Dialect:
        """The schema that it serves."""
        return self.recipe.dialect

    @property
    def pid(self) -> int:
        """The process that answers requests. The worker is a child of it."""
        return self.process.pid

    def answers(self, case: str) -> bool:
        """Whether it is measured with this query."""
        return case not in self.recipe.without

    def request(self, document: str, variables: Variables, person: int) -> bytes:
        """A complete HTTP request by one of the people."""
        path = document if self.dialect == "floor" else "/graphql"
        asked = {"variables": variables}
        body = json.dumps(asked if self.dialect == "floor" else {"query": document, **asked})
        headers = self.people[person % len(self.people)]
        head = [
            f"POST {path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            "Content-Type: application/json",
            "Accept: application/json",
            *(f"{name}: {value}" for name, value in headers.items()),
            f"Content-Length: {len(body)}",
        ]
        return ("\r\n".join(head) + "\r\n\r\n" + body).encode()

    def requests(self, case: Case, sample: Sample) -> list[bytes]:
        """The requests for a query, by all people and with all variables in turn."""
        document, variables = case.documents[self.dialect], case.variables(sample, self.dialect)
        count = max(len(variables), len(self.people))
        return [
            self.request(document, variables[number % len(variables)], number)
            for number in range(count)
        ]

    def new_requests(self, sample: Sample, series: int, count: int) -> list[bytes]:
        """Requests with documents that are in no other series."""
        chance = random.Random(series)
        projects = sample.projects_in(self.dialect)
        return [
            self.request(
                new_document(chance, f"New{series}x{number}", self.dialect),
                {"id": projects[number % len(projects)]},
                number,
            )
            for number in range(count)
        ]

    def mix(self, sample: Sample) -> list[bytes]:
        """A realistic mix of all queries, always in the same order."""
        made: list[bytes] = []
        for case in CASES:
            forms = self.requests(case, sample)
            made += [forms[index % len(forms)] for index in range(case.weight)]
        # Spread out: 41 and 101 have no common factor with 100.
        return [made[index * 41 % len(made)] for index in range(len(made))]

    def ask(self, document: str, variables: Variables, person: int = 0) -> Any:
        """The `data` of an answer; raises `BenchError` with the answer if it has none."""
        path = document if self.dialect == "floor" else "/graphql"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        body = {"query": document, "variables": variables}
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        headers |= self.people[person]
        with contextlib.closing(connection):
            connection.request("POST", path, json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read()
        answer = json.loads(text) if text.startswith(b"{") else {}
        if response.status != 200 or answer.get("errors") or answer.get("data") is None:
            raise BenchError(f"{self.name} answers {response.status}: {text[:600].decode()}")
        return answer["data"]


@dataclass(slots=True)
class Running:
    """The servers that are ready, and why others are not there."""

    servers: list[Server]
    missing: list[str]


@contextlib.contextmanager
def running(
    seeded: Seeded, sample: Sample, *, only: Sequence[str], folder: Path
) -> Iterator[Running]:
    """Taskloom, the floor and the servers of these names, ready to answer; stopped afterwards. Adds
    the cursors to the sample.
    """
    with contextlib.ExitStack() as stack:
        first = _start(stack, folder, taskloom(seeded.dsn, folder))
        _wait(first)
        _sign_in(first)
        sample.cursors = _cursors(first)
        introspection = _kept_introspection(first, folder)
        servers, missing = [first], []
        for name, recipe in peers_of(seeded, sample, introspection).items():
            if name not in {FLOOR, *only}:
                continue
            try:
                servers.append(_start(stack, folder, recipe()))
            except MissingError as error:
                missing.append(f"{name} is left out: {error}")
                print(missing[-1], flush=True)
        for server in servers[1:]:
            _wait(server)
        yield Running(servers, missing)


@contextlib.contextmanager
def alone(seeded: Seeded, folder: Path) -> Iterator[Server]:
    """Taskloom alone, with no user signed in."""
    with contextlib.ExitStack() as stack:
        server = _start(stack, folder, taskloom(seeded.dsn, folder))
        _wait(server)
        yield server


def _start(stack: contextlib.ExitStack, folder: Path, recipe: Recipe) -> Server:
    port = _free_port()
    name = re.sub("[^a-z]+", "-", recipe.name.lower()).strip("-")
    log = stack.enter_context((folder / f"{name}.log").open("wb"))
    process = subprocess.Popen(
        [str(port) if part == PORT else part for part in recipe.command],
        cwd=recipe.folder,
        env=os.environ
        | {key: str(port) if value == PORT else value for key, value in recipe.environment.items()},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    stack.callback(_end, process)
    return Server(recipe, port, process)


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
    """Sign all people in."""
    document = (
        "mutation SignIn($input: SessionCreateInput!) { sessionCreate(input: $input) "
        "{ accessToken errors { message } } }"
    )
    people = []
    for login in PEOPLE:
        data = server.ask(document, {"input": {"login": login, "password": PASSWORD}})
        token = data["sessionCreate"]["accessToken"]
        if token is None:
            raise BenchError(f"Signing in to Taskloom failed: {data}")
        people.append({"Authorization": f"Bearer {token}"})
    server.people = people


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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
