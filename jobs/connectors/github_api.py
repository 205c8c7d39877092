"""Requests to GitHub's REST API, and the meaning of its answers.

Redirects are followed as its documentation demands (the same request once more, at the new
address), but only on the same server, since the token is sent along. Times in its answers are by
its own clock, which is in the `Date` header.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin

import orjson

from domain.integrations import addresses
from jobs.connectors.base import Connection, Denied, Trouble, Wait
from jobs.outgoing import Answer, asked_wait

NOT_MODIFIED = 304
GONE = 410

_MOST_BYTES = 50_000_000
_REDIRECTS = frozenset({301, 302, 307, 308})
_MOST_REDIRECTS = 3
# GitHub's documented wait, if it does not say how long.
_PAUSE = dt.timedelta(minutes=1)
# Link headers have some hundred bytes; in one of any length the search is quadratic.
_LONGEST_LINK = 4_096
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')


class Refusal(Trouble):
    """A 4xx answer about the request itself, not about rate or identity."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with a status from 200 to 299, or 304; `url`: its final address."""

    answer: Answer
    url: str

    @property
    def unchanged(self) -> bool:
        """Whether it has not changed since the ETag was issued."""
        return self.answer.status == NOT_MODIFIED

    def parsed(self) -> Any:
        """The body. Raises `Trouble`."""
        try:
            return orjson.loads(self.answer.body)
        except orjson.JSONDecodeError:
            raise Trouble("GitHub's answer is not JSON, or too long.") from None


async def ask(
    connection: Connection, method: str, url: str, body: bytes = b"", *, etag: str | None = None
) -> Reply:
    """Send a request and follow redirects. Raises `Refusal`, `Denied`, `Wait` or `Trouble`."""
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {connection.credentials}",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    if body:
        headers["Content-Type"] = "application/json"
    if etag is not None:
        headers["If-None-Match"] = etag
    for _ in range(_MOST_REDIRECTS + 1):
        answer = await connection.request(method, url, headers, body, most_bytes=_MOST_BYTES)
        if answer.status not in _REDIRECTS:
            break
        url = _target_of(connection, answer, url)
    else:
        raise Refusal(answer.status, "GitHub redirects in a loop.")
    status = answer.status
    if 200 <= status < 300 or (status == NOT_MODIFIED and etag is not None):
        return Reply(answer, url)
    raise _meaning(connection, answer)


def on_same_server(connection: Connection, url: str) -> bool:
    """Whether the token may be sent there."""
    server = _server(url)
    return server is not None and server == _server(connection.settings["baseUrl"])


def next_page(connection: Connection, answer: Answer) -> str | None:
    """The address of the next page. Raises `Denied` if it is on another server."""
    found = _NEXT.search(answer.headers.get("link", "")[:_LONGEST_LINK])
    if found is None:
        return None
    if not on_same_server(connection, found[1]):
        raise Denied("GitHub names another server for the next page of the list.")
    return found[1]


def moment_of(connection: Connection, answer: Answer) -> dt.datetime:
    """When the answer was made, by GitHub's clock."""
    try:
        moment = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return connection.context.clock()
    return moment.replace(tzinfo=moment.tzinfo or dt.UTC).astimezone(dt.UTC)


def used_up(connection: Connection, answer: Answer) -> Wait | None:
    """How long to wait after a good answer, if it was the last that the rate limit allows."""
    if answer.headers.get("x-ratelimit-remaining") != "0":
        return None
    return _limited(connection, answer)


def _target_of(connection: Connection, answer: Answer, url: str) -> str:
    try:
        target = urljoin(url, answer.headers.get("location", ""))
    except ValueError:
        target = url
    if target == url or not on_same_server(connection, target):
        raise Refusal(answer.status, "GitHub redirects to another server.")
    return target


def _server(url: str) -> tuple[str, str] | None:
    try:
        target = addresses.parse(url)
    except addresses.Refused:
        return None
    return target.scheme, target.authority


def _meaning(connection: Connection, answer: Answer) -> Trouble:
    """What to raise for an answer that is not a success."""
    status = answer.status
    limited = (
        answer.headers.get("x-ratelimit-remaining") == "0"
        or "retry-after" in answer.headers
        or b"rate limit" in answer.body[:1_000].lower()
    )
    if status == 429 or (status == 403 and limited):
        return _limited(connection, answer)
    if status == 401:
        return Denied("GitHub rejects the token: it is invalid or has expired.")
    if 400 <= status < 500:
        return Refusal(status, f"GitHub answered {status}.")
    if status >= 500 and "retry-after" in answer.headers:
        return _limited(connection, answer)
    return Trouble(f"GitHub answered {status}.")


def _limited(connection: Connection, answer: Answer) -> Wait:
    # By GitHub's clock, so that ours does not matter.
    now = moment_of(connection, answer)
    wait = asked_wait(answer, now)
    if wait is None:
        reset = answer.headers.get("x-ratelimit-reset", "")
        used = answer.headers.get("x-ratelimit-remaining") == "0"
        known = used and reset.isascii() and reset.isdigit() and len(reset) < 12
        # One second more: the reset is a whole second, and may be rounded.
        wait = dt.datetime.fromtimestamp(int(reset) + 1, dt.UTC) - now if known else _PAUSE
    return Wait(wait, "GitHub accepts no further requests for a while.")
