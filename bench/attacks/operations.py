"""Hostile operations, and timing attacks.

*Attacks.* Each is sent by several clients at once, over HTTP, as an event stream and over a
WebSocket, while a canary in another process sends a small query all the time. Prints the longest
time until a refusal (at most 1 s) and the canary's longest wait (at most 200 ms). The most
expensive operations within all limits are sent too.

*Timing.* Requests for a hidden object and for a missing one alternate. Prints both medians, their
difference, and the interquartile range of single answers: the noise that an attacker must filter
out.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import multiprocessing
import secrets
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

from websockets.sync.client import connect
from websockets.typing import Subprotocol

from bench.target import Failed, Target
from demo.company import PEOPLE

INFO: Final = "{ serverInfo { name } }"
ATTACKERS: Final = 4
TURNS: Final = 3


# --- attacks -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attack:
    """A hostile request. `refused`: the limit that it exceeds, or the code of the refusal; None if
    it is within all limits.
    """

    query: str
    refused: str | None
    variables: Any = None

    @property
    def request(self) -> dict[str, Any]:
        """The body of a POST, or the payload of a `subscribe` message."""
        return {"query": self.query, "variables": self.variables}


def _bomb(levels: int) -> str:
    spreads = " ".join(
        f"fragment F{n} on Task {{ ...F{n + 1} ...F{n + 1} }}" for n in range(levels)
    )
    last = f"fragment F{levels} on Task {{ id title }}"
    return f"{{ tasks {{ nodes {{ ...F0 }} }} }} {spreads} {last}"


def _nested(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth):
        value = {"and": [value]}
    return value


_BY_FILTER: Final = "query ($filter: TaskFilter) { tasks(filter: $filter) { totalCount } }"
_BY_IDS: Final = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"

ATTACKS: Final[dict[str, Attack]] = {
    "a megabyte of tokens": Attack("{ " + "a " * 400_000 + "}", "characters"),
    "a megabyte of text": Attack(f'{{ task(id: "{"x" * 900_000}") }}', "characters"),
    "1,500 fields of one name": Attack("{ " + "serverInfo { name } " * 750 + "}", "tokens"),
    "3,000 unused fragments": Attack(
        INFO + " ".join(f"fragment U{n} on Task{{id}}" for n in range(3_000)), "characters"
    ),
    "a bomb of fragments": Attack(_bomb(12), "fields"),
    "fragments in a circle": Attack(
        "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "fifty levels": Attack("{ tasks " + "{ nodes " * 50 + "{ id } " + "} " * 50 + "}", "levels"),
    "a hundred aliases": Attack(
        "{ " + " ".join(f"a{n}: serverInfo {{ name }}" for n in range(100)) + " }", "aliases"
    ),
    "a heap of directives": Attack(
        "{ serverInfo " + "@include(if: true) " * 200 + "{ name } }", "directives"
    ),
    "tokens in arguments": Attack(
        "{ tasks(filter: {id: {in: [" + "1 " * 4_000 + "]}}) { nodes { id } } }", "tokens"
    ),
    "a million rows": Attack(
        "{ projects(first: 100) { nodes { tasks(first: 100) { nodes { "
        "comments(first: 100) { nodes { id } } } } } } }",
        "points",
    ),
    "a hundred wrong fields": Attack(
        "{ " + " ".join(f"wrong{n}" for n in range(100)) + " }", "GRAPHQL_VALIDATION_FAILED"
    ),
    "variables nested deeply": Attack(
        _BY_FILTER, "BAD_REQUEST", {"filter": _nested(100)}
    ),
    "a megabyte of ids": Attack(_BY_IDS, "input objects", {"ids": ["task_" + "0" * 32] * 23_000}),
    "a megabyte in a filter": Attack(
        _BY_FILTER, "input objects", {"filter": {"id": {"in": ["task_" + "0" * 32] * 23_000}}}
    ),
    "a large filter at thirty aliases": Attack(
        "query ($f: TaskFilter) { "
        + " ".join(f"a{n}: tasks(filter: $f) {{ totalCount }}" for n in range(30))
        + " }",
        "input objects",
        {"f": {"or": [{"title": {"contains": "x"}}] * 90}},
    ),
    "four hundred wrong conditions": Attack(
        _BY_FILTER, "BAD_USER_INPUT", {"filter": {"or": [{"titel": {"contains": 1}}] * 400}}
    ),
    "a thousand conditions": Attack(
        _BY_FILTER, "input objects", {"filter": {"or": [{"title": {"contains": "x"}}] * 20_000}}
    ),
    "a megabyte to search for": Attack(
        _BY_FILTER, "BAD_USER_INPUT", {"filter": {"search": "a b " * 200_000}}
    ),
    "249 objects of one name": Attack(
        "{ " + "serverInfo { name } " * 249 + "}", "pairs of fields that give one key"
    ),
    "as many fields of one name as there may be": Attack(
        "{ " + "serverInfo { name } " * 71 + "}", None
    ),
    "as many fields as there may be": Attack(
        "{ tasks { nodes { "
        + " ".join(
            f"subtasks(first: 1) {{ nodes {{ id title a{n}: identifier }} }}" for n in range(29)
        )
        + " } } }",
        None,
    ),
    "as many conditions as there may be": Attack(
        _BY_FILTER, None, {"filter": {"or": [{"title": {"contains": "x"}}] * 49}}
    ),
    "as many input objects as there may be": Attack(
        _BY_FILTER, "BAD_USER_INPUT", {"filter": {"or": [{"title": {"contains": "x"}}] * 480}}
    ),
}  # fmt: skip


# --- the canary ----------------------------------------------------------------------------------


def _canary(port: int, asked: Connection) -> None:
    """Send a small query all the time; report the longest wait on request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body, worst = json.dumps({"query": INFO}), 0.0
    while True:
        begun = time.perf_counter()
        connection.request("POST", "/graphql", body, {"Content-Type": "application/json"})
        connection.getresponse().read()
        worst = max(worst, time.perf_counter() - begun)
        time.sleep(0.002)
        if asked.poll():
            if asked.recv() is None:
                return
            asked.send(worst)
            worst = 0.0


@contextlib.contextmanager
def _beside(port: int) -> Iterator[Callable[[], float]]:
    """Runs a canary; yields a function that returns its longest wait since the previous call."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_canary, args=(port, theirs))
    process.start()

    def longest() -> float:
        ours.send(True)
        waited: float = ours.recv()
        return waited

    try:
        longest()
        yield longest
    finally:
        ours.send(None)
        process.join()


# --- attacking -----------------------------------------------------------------------------------

Send = Callable[[Target, Attack], tuple[dict[str, Any], float]]


def _by_http(target: Target, attack: Attack) -> tuple[dict[str, Any], float]:
    text, seconds = target.post(json.dumps(attack.request).encode())
    return json.loads(text), seconds


def _by_stream(target: Target, attack: Attack) -> tuple[dict[str, Any], float]:
    body = json.dumps(attack.request).encode()
    text, seconds = target.post(body, accept="text/event-stream")
    if not text.startswith(b"{"):
        # Events, possibly after a heartbeat.
        text = text.partition(b"data: ")[2].partition(b"\n")[0]
    return json.loads(text), seconds


def _by_socket(target: Target, attack: Attack) -> tuple[dict[str, Any], float]:
    params = {"Authorization": f"Bearer {target.token}"}
    message = json.dumps({"id": "1", "type": "subscribe", "payload": attack.request})
    address = f"ws://127.0.0.1:{target.port}/graphql"
    protocols = [Subprotocol("graphql-transport-ws")]
    with connect(address, subprotocols=protocols, max_size=None, compression=None) as socket_:
        socket_.send(json.dumps({"type": "connection_init", "payload": params}))
        socket_.recv()
        begun = time.perf_counter()
        socket_.send(message)
        try:
            answer = json.loads(socket_.recv())
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 - a close code with a reason is a refusal
            code = {4400: "BAD_REQUEST", 1009: "BAD_REQUEST"}[socket_.close_code or 0]
            answer = {"payload": [{"extensions": {"code": code}}]}
        seconds = time.perf_counter() - begun
    payload = answer["payload"]
    return ({"errors": payload} if isinstance(payload, list) else payload), seconds


TRANSPORTS: Final[dict[str, Send]] = {
    "HTTP": _by_http, "stream": _by_stream, "socket": _by_socket
}  # fmt: skip


def check(name: str, attack: Attack, answer: dict[str, Any]) -> None:
    """Raise `Failed` if this is not the expected answer to the attack."""
    errors = answer.get("errors") or []
    if attack.refused is None:
        if errors:
            raise Failed(f"{name} is within all limits, and was refused: {errors[0]}")
        return
    told = errors[0]["extensions"] if errors else {}
    if attack.refused not in (told.get("limit"), told.get("code")):
        raise Failed(f"{name} was not refused for {attack.refused}: {str(answer)[:300]}")


def _attacked(target: Target, name: str, attack: Attack, send: Send) -> float:
    """The longest wait of several attackers for a refusal, in seconds."""
    waited: list[float] = []
    wrong: list[Exception] = []

    def attacker() -> None:
        try:
            for _ in range(TURNS):
                # Each query is a new document; otherwise only the first would be parsed.
                query = f"{attack.query} #{secrets.token_hex(4)}"
                fresh = Attack(query, attack.refused, attack.variables)
                answer, seconds = send(target, fresh)
                check(name, attack, answer)
                waited.append(seconds)
        except Exception as error:  # noqa: BLE001 - raised again by the waiting thread
            wrong.append(error)

    threads = [threading.Thread(target=attacker) for _ in range(ATTACKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]
    return max(waited)


def attack_all(target: Target, only: str = "") -> None:
    """Print how long each attack took, and how long the canary waited."""
    print(f"\nLongest wait in ms, of {ATTACKERS} attackers at once / of the canary beside them\n")
    print(f"{'':40}" + "".join(f"{name:>17}" for name in TRANSPORTS))
    with _beside(target.port) as longest:
        for name, attack in ATTACKS.items():
            if only not in name:
                continue
            cells = []
            for send in TRANSPORTS.values():
                longest()
                waited = _attacked(target, name, attack, send)
                cells.append(f"{1000 * waited:8.0f} /{1000 * longest():6.0f}")
            print(f"{name:40}" + "".join(f"{cell:>17}" for cell in cells), flush=True)


# --- timing attacks ------------------------------------------------------------------------------

_ERRORS: Final = "{ errors { code } }"


@dataclass(frozen=True, slots=True)
class Secret:
    """A query for an object that is hidden from the client, or that does not exist."""

    query: str
    hidden: list[dict[str, Any]]
    missing: list[dict[str, Any]]


def _secrets(target: Target) -> dict[str, Secret]:
    """Queries by a user who has no access."""
    found = target.ask("{ tasks(first: 100) { nodes { id identifier project { id } } } }")
    tasks = [node for node in found["tasks"]["nodes"] if node["project"]]

    def about(query: str, hidden: list[str]) -> Secret:
        missing = [
            f"{one.rpartition('_')[0]}_{secrets.token_hex(16)}" if "_" in one
            else f"NO{secrets.token_hex(2).upper()}-1"
            for one in hidden
        ]  # fmt: skip
        return Secret(query, [{"x": one} for one in hidden], [{"x": one} for one in missing])

    ids = [task["id"] for task in tasks]
    by_id = "($x: ID!)"
    login = 'mutation ($x: String!) { sessionCreate(input: {login: $x, password: "no"}) '
    reset = "mutation ($x: String!) { passwordResetRequest(input: {email: $x}) "
    return {
        "node(id:)": about(f"query {by_id} {{ node(id: $x) {{ id }} }}", ids),
        "task(id:)": about(f"query {by_id} {{ task(id: $x) {{ id title }} }}", ids),
        "task(id: identifier)": about(
            "query ($x: ID!) { task(id: $x) { id title } }",
            [task["identifier"] for task in tasks],
        ),
        "project(id:)": about(
            f"query {by_id} {{ project(id: $x) {{ id }} }}",
            [task["project"]["id"] for task in tasks],
        ),
        "tasks(filter: {id:})": about(
            f"query {by_id} {{ tasks(filter: {{id: {{eq: $x}}}}) {{ totalCount }} }}", ids
        ),
        "taskUpdate": about(
            f'mutation {by_id} {{ taskUpdate(input: {{id: $x, title: "x"}}) {_ERRORS} }}', ids
        ),
        "taskDelete": about(f"mutation {by_id} {{ taskDelete(input: {{id: $x}}) {_ERRORS} }}", ids),
        "commentCreate": about(
            f'mutation {by_id} {{ commentCreate(input: {{taskId: $x, body: "x"}}) {_ERRORS} }}', ids
        ),
        "sessionCreate": Secret(
            f"{login}{_ERRORS} }}",
            [{"x": person.username} for person in PEOPLE],
            [{"x": f"{person.username}-{secrets.token_hex(3)}"} for person in PEOPLE],
        ),
        "passwordResetRequest": Secret(
            f"{reset}{_ERRORS} }}",
            [{"x": person.email} for person in PEOPLE],
            [{"x": f"{secrets.token_hex(3)}-{person.email}"} for person in PEOPLE],
        ),
    }


def tell_by_time(target: Target, rounds: int) -> None:
    """Print how much hidden and missing objects differ, and how much answers vary anyway."""
    register = (
        "mutation ($name: String!) { userRegister(input: {username: $name, email: "
        '"stranger@example.com", password: "a stranger comes by"}) { accessToken } }'
    )
    name = f"stranger{secrets.token_hex(3)}"
    stranger = target.ask(register, token="", name=name)["userRegister"]["accessToken"]
    print(f"\nMedian ms of {rounds} answers each\n")
    print(f"{'':24}{'hidden':>9}{'missing':>9}{'difference':>12}{'spread':>9}")
    for question, secret in _secrets(target).items():
        public = question in {"sessionCreate", "passwordResetRequest"}
        # Comparing passwords is slow by design.
        turns = rounds // 10 if question == "sessionCreate" else rounds
        series: dict[str, list[float]] = {"hidden": [], "missing": []}
        for turn in range(turns):
            for kind, times in series.items():
                asked = secret.hidden if kind == "hidden" else secret.missing
                variables = asked[turn % len(asked)]
                body = json.dumps({"query": secret.query, "variables": variables}).encode()
                times.append(1000 * target.post(body, token="" if public else stranger)[1])
        hidden, missing = (statistics.median(times) for times in series.values())
        low, _, high = statistics.quantiles(series["missing"], n=4)
        print(
            f"{question:24}{hidden:9.3f}{missing:9.3f}{hidden - missing:+12.3f}{high - low:9.3f}",
            flush=True,
        )
