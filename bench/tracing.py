"""The cost of exporting traces and metrics: `python -m bench.tracing`, four minutes.

Five servers run at once, with a database each: two alike that export nothing, one that exports but
records no request, one with the default sampler, one that records every request. They answer the
same operations in turns, in another order each round. What is compared is the server's processor
time per request, by the kernel's accounting, with the thread that sends. In each round a server is
compared with the mean of the two that export nothing, so that what slows the machine down slows
all; shown is the median of these ratios, and between which two it is with a probability of 95 %.

The target is 5 % more at the default. The second server that exports nothing, compared with the
first one, shows what such a figure is worth: two processes of the same code differ by some percent,
by where their memory lies. So the target is `met` or `missed` only by more than that, and otherwise
`not to be told`.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import random
import statistics
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from bench.measure import cpu_seconds
from bench.target import Target, served

MOST_PERCENT: Final = 5.0
_WARM: Final = 300
_BOARD: Final = (
    "query Board($id: ID!) { project(id: $id) { id name tasks(first: 100) { nodes { id number "
    "title status priority dueAt tags position assignee { id username fullName } } } } }"
)
_POINT: Final = "query Point($id: ID!) { task(id: $id) { id title status assignee { id } } }"
_CREATE: Final = (
    "mutation Create($input: TaskCreateInput!) { taskCreate(input: $input) "
    "{ task { id number title } errors { code } } }"
)
_PROJECTS: Final = (
    "{ projects(first: 20) { nodes { id viewerCanEdit tasks(first: 1) { totalCount nodes { id } } "
    "} } }"
)


class _Receiver(BaseHTTPRequestHandler):
    """Accepts everything."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@dataclass(slots=True)
class Client:
    """One connection to one server. `project` and `task`: of the operations."""

    target: Target
    server: int
    connection: http.client.HTTPConnection
    project: str = ""
    task: str = ""

    def send(self, body: bytes) -> None:
        """Send a request and read its answer."""
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self.target.token}",
        }
        self.connection.request("POST", "/graphql", body, headers)
        answer = self.connection.getresponse().read()
        if b'"errors":[{' in answer:
            raise RuntimeError(answer.decode())

    def microseconds(self, body: bytes, requests: int) -> float:
        """The server's processor time per request."""
        # The server has closed it in the meantime, perhaps.
        self.connection.close()
        before = cpu_seconds(self.server)
        for _ in range(requests):
            self.send(body)
        return 1e6 * (cpu_seconds(self.server) - before) / requests

    def body(self, operation: str) -> bytes:
        """The request for one of the operations."""
        if operation == "point":
            return _json(_POINT, {"id": self.task})
        if operation == "board":
            return _json(_BOARD, {"id": self.project})
        return _json(_CREATE, {"input": {"title": "Measured", "projectId": self.project}})


def _json(query: str, variables: dict[str, Any]) -> bytes:
    return json.dumps({"query": query, "variables": variables}).encode()


@contextlib.contextmanager
def client(settings: dict[str, str]) -> Iterator[Client]:
    """A server with these settings, and a client."""
    unlimited = {"TASKLOOM_LIMIT_TASK_CREATION": "unlimited"}
    with served({**unlimited, **settings}) as (target, server):
        connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=60)
        made = Client(target, server, connection)
        nodes = target.ask(_PROJECTS)["projects"]["nodes"]
        editable = [node for node in nodes if node["viewerCanEdit"]]
        largest = max(editable, key=lambda node: node["tasks"]["totalCount"])
        made.project, made.task = largest["id"], largest["tasks"]["nodes"][0]["id"]
        with contextlib.closing(connection):
            yield made


@dataclass(frozen=True, slots=True)
class More:
    """How much more a server takes than another, in percent: the median of the rounds, and between
    which two it is with a probability of 95 %.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float], base: Sequence[float]) -> More:
        """Compare the values of the same rounds."""
        found = sorted(100 * (one / other - 1) for one, other in zip(values, base, strict=True))
        # By the binomial distribution: so many rounds may be on one side of the median by chance.
        aside = max(0, int(len(found) / 2 - 0.98 * len(found) ** 0.5))
        return cls(statistics.median(found), found[aside], found[-1 - aside])

    def __str__(self) -> str:
        return f"{self.median:+6.1f} % ({self.low:+.1f} to {self.high:+.1f})"


def judged(default: More, alike: More) -> str:
    """Whether the target is met, given how much two servers that are alike differ."""
    unsure = max(abs(alike.low), abs(alike.high))
    if default.high <= MOST_PERCENT:
        return "met"
    return "missed" if default.low > MOST_PERCENT + unsure else "not to be told"


def main() -> int:
    """Measure; returns 1 if the target is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.tracing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--requests", type=int, default=100, help="in each round")
    options = parser.parse_args()
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    exporting = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.server_address[1]}"}
    kept = True
    with (
        client({}) as off,
        client({}) as alike,
        client({**exporting, "OTEL_TRACES_SAMPLER": "always_off"}) as none,
        client(exporting) as default,
        client({**exporting, "OTEL_TRACES_SAMPLER": "always_on"}) as all_,
    ):
        clients = {
            "off": off,
            "off, another": alike,
            "none": none,
            "default": default,
            "every request": all_,
        }
        for operation in ("point", "board", "create"):
            for one in clients.values():
                one.microseconds(one.body(operation), _WARM)
            found: dict[str, list[float]] = {name: [] for name in clients}
            for _ in range(options.rounds):
                for name, one in random.sample(list(clients.items()), len(clients)):
                    found[name].append(one.microseconds(one.body(operation), options.requests))
            pairs = zip(found["off"], found["off, another"], strict=True)
            base = [statistics.mean(pair) for pair in pairs]
            more = {name: More.of(values, base) for name, values in found.items()}
            more["off, another"] = More.of(found["off, another"], found["off"])
            verdict = judged(more["default"], more["off, another"])
            kept &= verdict != "missed"
            print(operation)
            for name, values in found.items():
                goal = f"   (at most {MOST_PERCENT:g}: {verdict})" if name == "default" else ""
                shown = "" if name == "off" else f" {more[name]}{goal}"
                print(f"  {name:<14} {statistics.median(values):8.1f} µs{shown}", flush=True)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
