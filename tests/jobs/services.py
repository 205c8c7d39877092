"""Servers on real sockets that speak the part of GitHub's and Slack's interfaces that we use."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
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

    As docs.github.com describes "Issues", "Rate limits for the REST API" and "Best practices for
    using the REST API": a renamed repository and a transferred issue are answered with 301 to an
    address by the repository's id, a deleted issue with 410, a change without the right to make it
    with 404, what has not changed since an ETag with 304, and a used-up limit with 403.

    `refuse`: what it answers in place of anything else, as status and headers. `fault`: the same
    for single requests. `lost`: requests that are done, and answered with 502.
    `meanwhile`: what happens between the making of an answer and its sending.
    `missing`: issues that were deleted. `read_only`: those that the token may not change.
    `former`: names that the repository had. `next_page`: what it says to be the next
    page of a list.
    """

    port: int = 0
    now: dt.datetime = BEGIN
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    comments: list[dict[str, Any]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    refuse: tuple[int, dict[str, str]] | None = None
    fault: Callable[[Call], tuple[int, dict[str, str]] | None] = lambda _call: None
    lost: Callable[[Call], bool] = lambda _call: False
    meanwhile: Callable[[Call], Awaitable[None]] | None = None
    missing: set[int] = field(default_factory=set)
    read_only: set[int] = field(default_factory=set)
    repository: str = REPOSITORY
    repository_id: int = 500
    former: set[str] = field(default_factory=set)
    # Issues that are in another repository by now, by the numbers that they had here.
    transferred: dict[int, dict[str, Any]] = field(default_factory=dict)
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
        return [call.query for call in self.calls if _rest(call.path) == f"/{name}"]

    def rename(self, name: str) -> None:
        """Rename the repository; its former name leads to it."""
        self.former.add(self.repository)
        self.repository = name

    def transfer(self, number: int) -> dict[str, Any]:
        """Move an issue to another repository, where it has another id and number."""
        moved = self.issues.pop(number)
        self.now += dt.timedelta(seconds=10)
        moved |= {"id": moved["id"] + 5_000_000, "number": number + 400}
        moved |= {"updated_at": _text(self.now)}
        self.transferred[number] = moved
        return moved

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
                "html_url": f"https://github.example/{self.repository}/issues/{number}",
            },
        )
        kept |= {**values, "updated_at": _text(self.now)}
        return kept

    def comment(self, number: int, body: str, login: str = "hubot") -> dict[str, Any]:
        """Write a comment; like GitHub, it touches the issue."""
        self.issue(number)
        made = {
            "id": 9_000_000 + len(self.comments),
            "issue_url": f"{self.api}/repos/{self.repository}/issues/{number}",
            "user": {"login": login},
            "body": body,
            "updated_at": _text(self.now),
        }
        self.comments.append(made)
        return made

    def answer(self, call: Call) -> tuple[int, dict[str, str], Any]:
        refused = self.refuse or self.fault(call)
        if refused is not None:
            return *refused, {"message": "no"}
        if call.path == "/hook":
            return 200, {}, "ok"
        if call.headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, {}, {"message": "Bad credentials"}
        if self.remaining <= 0:
            return 403, {}, {"message": "API rate limit exceeded"}
        self.remaining -= 1
        status, headers, content = self.found(call)
        if self.lost(call):
            return 502, {}, {"message": "Bad Gateway"}
        if call.method == "GET" and status == 200:
            etag = f'W/"{hashlib.sha256(orjson.dumps(content)).hexdigest()}"'
            headers["ETag"] = etag
            if call.headers.get("if-none-match") == etag:
                self.remaining += 1
                return 304, headers, None
        return status, headers, content

    def found(self, call: Call) -> tuple[int, dict[str, str], Any]:  # noqa: PLR0911
        missing: tuple[int, dict[str, str], Any] = (404, {}, {"message": "Not Found"})
        rest = _rest(call.path)
        place = call.path.removeprefix("/api/").removesuffix(rest)
        home = f"{self.api}/repositories/{self.repository_id}"
        if place in {f"repos/{name}" for name in self.former} - {f"repos/{self.repository}"}:
            query = f"?{urlencode(call.query)}" if call.query else ""
            return 301, {"Location": f"{home}{rest}{query}"}, {"message": "Moved Permanently"}
        numbered = re.fullmatch(r"/issues/([0-9]+)", rest)
        if place == "repositories/501" and numbered:
            there = {issue["number"]: issue for issue in self.transferred.values()}
            return self.one(call, there, int(numbered[1]))
        if place not in {f"repos/{self.repository}", f"repositories/{self.repository_id}"}:
            return missing
        if not rest:
            return 200, {}, {"id": self.repository_id, "full_name": self.repository}
        if numbered and int(numbered[1]) in self.transferred:
            moved = self.transferred[int(numbered[1])]
            location = f"{self.api}/repositories/501/issues/{moved['number']}"
            return 301, {"Location": location}, {"message": "Moved Permanently"}
        if numbered:
            return self.one(call, self.issues, int(numbered[1]))
        if rest == "/issues":
            numbers = sorted(self.issues.keys() - self.missing)
            return self.page(call, [self.issues[number] for number in numbers])
        if rest == "/issues/comments":
            return self.page(call, self.comments)
        singles = [one for one in self.comments if rest == f"/issues/comments/{one['id']}"]
        return (200, {}, singles[0]) if singles else missing

    def one(
        self, call: Call, issues: dict[int, dict[str, Any]], number: int
    ) -> tuple[int, dict[str, str], Any]:
        """One issue, read or changed."""
        if number not in issues:
            return 404, {}, {"message": "Not Found"}
        if number in self.missing:
            return 410, {}, {"message": "This issue was deleted"}
        if call.method == "PATCH":
            if number in self.read_only:
                return 404, {}, {"message": "Not Found"}
            self.now += dt.timedelta(seconds=10)
            issues[number] |= {**call.json, "updated_at": _text(self.now)}
        return 200, {}, issues[number]

    def page(self, call: Call, found: list[dict[str, Any]]) -> tuple[int, dict[str, str], Any]:
        """A page of a list."""
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
            status, extra, content = self.answer(call)
            raw = b"" if status == 304 else orjson.dumps(content)
            if self.meanwhile is not None:
                await self.meanwhile(call)
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


def _rest(path: str) -> str:
    """What follows a repository in a path below `/api`."""
    found = re.fullmatch(r"/api/(?:repos/[^/]+/[^/]+|repositories/[^/]+)(.*)", path)
    return "" if found is None else found[1]


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
