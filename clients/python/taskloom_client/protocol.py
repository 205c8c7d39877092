"""What both clients do, without doing any input or output.

A *flow* is a generator that yields requests and is sent their responses; `Taskloom` and
`AsyncTaskloom` run flows, each in its own way.
"""

from __future__ import annotations

import json
import math
import random
import re
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from taskloom_client.errors import Problem, TaskloomError, error_of, problems_of

T = TypeVar("T")
Variables = dict[str, Any]

# The kinds of errors that pass, and how long to wait for it, in seconds.
PASSING = frozenset({"UNAVAILABLE", "RATE_LIMITED"})
# An event can be delivered again, unlike a request that takes too long each time.
PASSING_IN_STREAMS = PASSING | {"TIMEOUT"}
# After so many seconds a stream was a good one.
GOOD_SECONDS = 10.0
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
# Nobody waits longer than this for an answer; a limit per hour is an error.
LONGEST_WAIT = 60.0
ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a session. Keep them where only this program can read them."""

    access: str
    refresh: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Send this body to the API. The answer is a response, or None if there was none."""

    body: dict[str, Any]
    # Whether to send the credentials.
    signed: bool = True


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for so many seconds."""

    seconds: float


class Renew:
    """Renew the tokens, unless another call has done it since these were used."""

    def __init__(self, used: str | None) -> None:
        self.used = used


Step = Ask | Pause | Renew
Flow = Generator[Step, Any, T]


class Credentials:
    """A key, or the tokens of a session, which change. `save` is called with new tokens."""

    def __init__(
        self, key: str | None, tokens: Tokens | None, save: Callable[[Tokens], None] | None
    ) -> None:
        self._key = key
        self.tokens = tokens
        self._save = save

    @property
    def access(self) -> str | None:
        """What to send."""
        return self._key or (self.tokens.access if self.tokens else None)

    @property
    def can_renew(self) -> bool:
        """Whether there is a refresh token."""
        return self._key is None and self.tokens is not None

    def set(self, tokens: Tokens) -> None:
        """Use these from now on."""
        self.tokens = tokens
        if self._save is not None:
            self._save(tokens)

    def end(self) -> None:
        """The session has ended: nobody need try to renew it any more."""
        self.tokens = None


_TOKENS = "accessToken refreshToken errors { code message path }"
_SIGN_IN = (
    "mutation ($login: String!, $password: String!) "
    f"{{ sessionCreate(input: {{login: $login, password: $password}}) {{ {_TOKENS} }} }}"
)
_REFRESH = f"""mutation ($token: String!) {{
    sessionRefresh(input: {{refreshToken: $token}}) {{ {_TOKENS} }}
}}"""


def sign_in(login: str, password: str) -> Flow[Tokens]:
    """Begin a session."""
    body = {"query": _SIGN_IN, "variables": {"login": login, "password": password}}
    return _tokens_of((yield from _answered(Ask(body, signed=False))), "sessionCreate")


def refreshed(refresh: str) -> Flow[Tokens]:
    """Renew a session. May be repeated within ten seconds, with the same result."""
    body = {"query": _REFRESH, "variables": {"token": refresh}}
    return _tokens_of((yield from _answered(Ask(body, signed=False))), "sessionRefresh")


def _tokens_of(answer: dict[str, Any], field: str) -> Tokens:
    _raise_errors(answer)
    payload = answer["data"][field]
    return Tokens(payload["accessToken"], payload["refreshToken"])


def execute(
    credentials: Credentials, query: str, variables: Variables, *, repeat: bool
) -> Flow[Any]:
    """The data of an answer. `repeat`: whether it may be sent again without an answer: a query, or
    a mutation with an idempotency key.
    """
    body = {"query": query, "variables": variables}
    renewed = False
    while True:
        used = credentials.access
        answer = yield from _answered(Ask(body), repeat=repeat)
        problems = problems_of(answer)
        expired = any(problem.code == "UNAUTHENTICATED" for problem in problems)
        if expired and credentials.can_renew and not renewed:
            renewed = True
            yield Renew(used)
            continue
        if problems:
            raise error_of(problems, answer.get("data"))
        return answer["data"]


def _answered(ask: Ask, *, repeat: bool = True) -> Flow[dict[str, Any]]:
    """The answer to a request, sent again if that may help."""
    for attempt in range(1, ATTEMPTS + 1):
        response: httpx.Response | None = yield ask
        answer = answer_of(response)
        passing = [problem for problem in problems_of(answer) if problem.code in PASSING]
        # What was refused before it began may be sent again in any case.
        refused = answer.get("data") is None and any(
            problem.code == "RATE_LIMITED" for problem in passing
        )
        if attempt == ATTEMPTS or not passing or not (repeat or refused):
            return answer
        given = passing[0].more.get("retryAfter")
        seconds = float(given) if given is not None else pause(attempt)
        if seconds > LONGEST_WAIT:
            return answer
        yield Pause(seconds)
    raise AssertionError


def pause(attempt: int) -> float:
    """How long to wait after the first, second … failure, with some randomness."""
    longest: float = min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE)
    return longest * random.uniform(0.5, 1)  # noqa: S311 - nobody has to guess it


def answer_of(response: httpx.Response | None) -> dict[str, Any]:
    """The answer in a response; one with an error if there is none, or it is not from the API."""
    if response is not None:
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if isinstance(answer, dict) and ("data" in answer or "errors" in answer):
            return answer
    if response is None:
        return _failed("The server could not be reached.", code="UNAVAILABLE")
    status, wait = response.status_code, response.headers.get("Retry-After", "")
    passes = status >= httpx.codes.INTERNAL_SERVER_ERROR or status == httpx.codes.TOO_MANY_REQUESTS
    return _failed(
        f"The answer has the status {status} and is not from the API.",
        code="UNAVAILABLE" if passes else "BAD_REQUEST",
        **({"retryAfter": int(wait)} if re.fullmatch("[0-9]{1,9}", wait) else {}),
    )


def _failed(message: str, **extensions: Any) -> dict[str, Any]:
    return {"errors": [{"message": message, "extensions": extensions}]}


def _raise_errors(answer: dict[str, Any]) -> None:
    problems = problems_of(answer)
    if problems:
        raise error_of(problems, answer.get("data"))


# --- mutations and pages -------------------------------------------------------------------------


def keyed(variables: Variables) -> tuple[Variables, bool]:
    """The variables of a mutation, with an idempotency key in `input`, and whether there is one."""
    given = variables.get("input")
    if not isinstance(given, dict):
        return variables, False
    return {**variables, "input": {"idempotencyKey": uuid.uuid4().hex, **given}}, True


def page_at(data: Any, path: str) -> Any:
    """The connection at a path such as `project.tasks`."""
    for name in path.split("."):
        data = data[name]
    return data


# --- event streams -------------------------------------------------------------------------------

# Asks for the cursor of now.
NOW = "{ eventCursor }"
# Without a cursor, this subscription begins with the state as it is.
_BEGINS_WITH_STATE = "reportExportChanged"


class EventLines:
    """The messages of a stream of server-sent events, line by line."""

    def __init__(self) -> None:
        self._name = ""
        self._data: list[str] = []

    def add(self, line: str) -> tuple[str, str] | None:
        """A message, if this line ends one: its name and its data."""
        if line.startswith("event:"):
            self._name = line[6:].strip()
        elif line.startswith("data:"):
            self._data.append(line[5:].strip())
        elif not line and (self._name or self._data):
            message = self._name, "\n".join(self._data)
            self._name, self._data = "", []
            return message
        return None


class Stream:
    """A subscription that continues after every interruption, from the last cursor.

    The document has a variable `$after`, and selects `cursor` in its only field; one that has
    neither is opened again without them.
    """

    def __init__(self, query: str, variables: Variables, after: str | None) -> None:
        if ("$after" in query) != bool(re.search(r"\bcursor\b", query)):
            raise TypeError("To resume, a subscription has a variable $after and selects cursor.")
        self._query = query
        self._variables = variables
        self.after = after
        self.attempt = 0
        # Since when the connection has been open; infinite while it is not.
        self._opened_at = math.inf
        self._has_delivered = False
        # Whether the server has said that there is nothing more to come.
        self.completed = False

    @property
    def needs_cursor(self) -> bool:
        """Whether to ask for the cursor of now first: without one, the events between a connection
        that is lost before its first event and the next one would be missing.
        """
        if _BEGINS_WITH_STATE in self._query:
            return False
        return self.after is None and "$after" in self._query

    @property
    def body(self) -> dict[str, Any]:
        """What opens the stream."""
        return {"query": self._query, "variables": {**self._variables, "after": self.after}}

    def events(self, message: tuple[str, str]) -> Iterator[dict[str, Any]]:
        """The event of a message, if it is one."""
        name, data = message
        self.completed = self.completed or name == "complete"
        if name != "next":
            return
        answer = json.loads(data)
        problems = problems_of(answer)
        if problems:
            raise error_of(problems, answer.get("data"))
        self._has_delivered = True
        (event,) = answer["data"].values()
        if "cursor" in event:
            self.after = event["cursor"]
        yield event

    def opened(self) -> None:
        """The server has accepted a connection."""
        self._opened_at, self._has_delivered = time.monotonic(), False

    def refused(self, response: httpx.Response) -> None:
        """Raise for a response that is no stream."""
        answer = answer_of(response)
        raise error_of(problems_of(answer) or [_unexpected(response)])

    def can_continue(self, error: TaskloomError, credentials: Credentials) -> bool:
        """Whether the stream may be opened again after an error, perhaps after a renewal."""
        if error.code == "UNAUTHENTICATED":
            return credentials.can_renew
        if error.code == "FORBIDDEN":
            # Rights that have changed end a stream; whether they still allow it shows when it is
            # opened.
            return self._was_good
        full = error.problems[0].more.get("limit") == "connections"
        return full or error.code in PASSING_IN_STREAMS

    def interrupted(self) -> float:
        """How long to wait before the stream is opened again."""
        self.attempt = 1 if self._was_good else self.attempt + 1
        self._opened_at, self._has_delivered = math.inf, False
        return pause(self.attempt)

    @property
    def _was_good(self) -> bool:
        return self._has_delivered or time.monotonic() - self._opened_at > GOOD_SECONDS


def _unexpected(response: httpx.Response) -> Problem:
    return Problem("UNAVAILABLE", f"Unexpected status {response.status_code}.", (), {})
