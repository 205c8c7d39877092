"""Servers on real sockets that speak the part of GitHub's and Slack's interfaces that we use."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import orjson

TOKEN = "ghp_a-token-of-the-tests"
REPOSITORY = "octocat/garden"
BEGIN = dt.datetime(2026, 1, 5, 8, 0, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    json: Any
    body: bytes = b""


@dataclass
class Service:
    """GitHub below `/api`, and an incoming webhook at `/hook`. `now` is its clock.

    `refuse`: what it answers in place of anything else, as status and headers. `missing`: issues
    that are listed and cannot be changed. `next_page`: what it says to be the next page of a list.
    """

    port: int = 0
    now: dt.datetime = BEGIN
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    comments: list[dict[str, Any]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    refuse: tuple[int, dict[str, str]] | None = None
    missing: set[int] = field(default_factory=set)
    next_page: str | None = None
    remaining: int = 5_000
    delay: float = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> str:
        return f"{self.url}/api"

    @property
    def patches(self) -> list[Call]:
        return [call for call in self.calls if call.method == "PATCH"]

    @property
    def messages(self) -> list[Any]:
        return [call.json for call in self.calls if call.path == "/hook"]

    def lists(self, name: str) -> list[dict[str, str]]:
        """The queries of the lists of `issues` or `issues/comments` that were asked for."""
        path = f"/api/repos/{REPOSITORY}/{name}"
        return [call.query for call in self.calls if call.path == path]

    def issue(self, number: int, **values: Any) -> dict[str, Any]:
        """Make an issue, or change one; it changes at this moment."""
        self.now += dt.timedelta(seconds=10)
        kept = self.issues.setdefault(
            number,
            {
                "id": 1_000_000 + number,
                "number": number,
                "title": f"Issue {number}",
                "body": f"What to do about {number}.",
                "state": "open",
                "state_reason": None,
                "labels": [],
                "assignees": [],
            },
        )
        kept |= {**values, "updated_at": _text(self.now)}
        return kept

    def comment(self, number: int, body: str, login: str = "hubot") -> dict[str, Any]:
        """Write a comment; like GitHub, it touches the issue."""
        self.issue(number)
        made = {
            "id": 9_000_000 + len(self.comments),
            "issue_url": f"{self.api}/repos/{REPOSITORY}/issues/{number}",
            "user": {"login": login},
            "body": body,
            "updated_at": _text(self.now),
        }
        self.comments.append(made)
        return made

    def answer(self, call: Call) -> tuple[int, dict[str, str], Any]:
        if self.refuse is not None:
            return *self.refuse, {"message": "no"}
        if call.path == "/hook":
            return 200, {}, "ok"
        if call.headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, {}, {"message": "Bad credentials"}
        self.remaining -= 1
        base = f"/api/repos/{REPOSITORY}/issues"
        if call.method == "PATCH":
            number = int(call.path.rpartition("/")[2])
            if number in self.missing:
                return 410, {}, {"message": "This issue was deleted"}
            return 200, {}, self.issue(number, **call.json)
        found: list[dict[str, Any]]
        if call.path == base:
            found = [self.issues[number] for number in sorted(self.issues)]
        elif call.path == f"{base}/comments":
            found = self.comments
        else:
            return 404, {}, {"message": "Not Found"}
        since = call.query.get("since", "")
        found = [one for one in found if one["updated_at"] >= since]
        size, page = int(call.query["per_page"]), int(call.query.get("page", "1"))
        headers = {}
        if len(found) > page * size:
            query = urlencode({**call.query, "page": str(page + 1)})
            headers["Link"] = (
                f'<{self.url}{call.path}?{query}>; rel="next", <{self.url}>; rel="last"'
            )
        if self.next_page is not None:
            headers["Link"] = f'<{self.next_page}>; rel="next"'
        return 200, headers, found[(page - 1) * size : page * size]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ")
            pairs = (line.split(": ", 1) for line in head[1:] if line)
            headers = {name.lower(): value for name, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            parts = urlsplit(target)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            is_json = "json" in headers.get("content-type", "json")
            content = orjson.loads(body) if body and is_json else None
            call = Call(method, parts.path, query, headers, content, body)
            self.calls.append(call)
            await asyncio.sleep(self.delay)
            status, extra, answer = self.answer(call)
            raw = orjson.dumps(answer)
            sent = {
                "Content-Type": "application/json",
                "Content-Length": str(len(raw)),
                "Date": format_datetime(self.now, usegmt=True),
                "X-RateLimit-Remaining": str(self.remaining),
                "X-RateLimit-Reset": str(int(self.now.timestamp()) + 60),
                **extra,
            }
            lines = [f"HTTP/1.1 {status} X", *(f"{k}: {v}" for k, v in sent.items()), "", ""]
            writer.write("\r\n".join(lines).encode("latin-1") + raw)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def _text(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@asynccontextmanager
async def service(made: Service | None = None) -> AsyncIterator[Service]:
    """A server on a free port of this machine."""
    made = made or Service()
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(made.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
