"""Subscriptions as server-sent events, without doing any input or output."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx

from taskloom_client.errors import Problem, SignInAgain, TaskloomError, error_of, problems_of
from taskloom_client.protocol import (
    PASSING,
    Credentials,
    Flow,
    Pause,
    Renew,
    Variables,
    answer_of,
    pause,
    queried,
)

# An event can be delivered again, unlike a request that takes too long each time.
_PASSING = PASSING | {"TIMEOUT"}
# After so many seconds a stream was a good one.
_GOOD_SECONDS = 10.0
# The server sends a sign of life every twelve seconds.
_TIMEOUT = httpx.Timeout(15, read=30)
# Without a cursor, this subscription begins with the state as it is.
_BEGINS_WITH_STATE = "reportExportChanged"


class Stream:
    """A subscription that continues after every interruption, from the last cursor.

    The document has a variable `$after`, and selects `cursor` in its only field; one that has
    neither is opened again without them.
    """

    def __init__(
        self, credentials: Credentials, query: str, variables: Variables, after: str | None
    ) -> None:
        if ("$after" in query) != bool(re.search(r"\bcursor\b", query)):
            raise TypeError("To resume, a subscription has a variable $after and selects cursor.")
        self._credentials = credentials
        self._query = query
        self._variables = variables
        self._after = after
        self._lines = _Lines()
        # The access token of the connection.
        self._used: str | None = None
        self._failures = 0
        # Since when the connection has been open; infinite while it is not.
        self._opened_at = math.inf
        self._has_delivered = False
        # Whether the server has said that there is nothing more to come.
        self.completed = False

    def prepared(self) -> Flow[None]:
        """Ask for the cursor of now, if there is none: without one, the events between a connection
        that is lost before its first event and the next one would be missing.
        """
        self._used = self._credentials.access
        if (
            self._after is None
            and "$after" in self._query
            and _BEGINS_WITH_STATE not in self._query
        ):
            try:
                now = yield from queried(self._credentials, "{ eventCursor }", {})
            except TaskloomError as error:
                # A key may be allowed to see its timer and no other events.
                if error.code != "FORBIDDEN":
                    raise
            else:
                self._after = now["eventCursor"]

    @property
    def request(self) -> dict[str, Any]:
        """What opens the stream: the arguments of `httpx.Client.stream`."""
        return {
            "method": "POST",
            "url": "/graphql",
            "json": {"query": self._query, "variables": {**self._variables, "after": self._after}},
            "headers": {**self._credentials.headers, "Accept": "text/event-stream"},
            "timeout": _TIMEOUT,
        }

    def opened(self, response: httpx.Response) -> bool:
        """Whether a response is a stream; if not, read it, and pass it to `refused`."""
        type_: str = response.headers.get("content-type", "")
        if not type_.startswith("text/event-stream"):
            return False
        self._lines = _Lines()
        self._opened_at = time.monotonic()
        return True

    def refused(self, response: httpx.Response) -> TaskloomError:
        """The error of a response that is no stream."""
        status = f"Unexpected status {response.status_code}."
        unexpected = [Problem("UNAVAILABLE", status, (), {})]
        return error_of(problems_of(answer_of(response)) or unexpected)

    def read(self, line: str) -> Iterator[dict[str, Any]]:
        """The event that a line of the response ends, if it ends one."""
        name, data = self._lines.add(line)
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
            self._after = event["cursor"]
        yield event

    def interrupted(self, error: TaskloomError | httpx.TransportError | None) -> Flow[None]:
        """Wait, and renew the tokens if they have expired. Raises an error that does not pass."""
        was_good = self._has_delivered or time.monotonic() - self._opened_at > _GOOD_SECONDS
        if isinstance(error, TaskloomError) and not self._passes(error, was_good):
            raise error
        if isinstance(error, SignInAgain):
            yield Renew(self._used, now=False)
        self._failures = 1 if was_good else self._failures + 1
        self._opened_at, self._has_delivered = math.inf, False
        yield Pause(pause(self._failures))

    def _passes(self, error: TaskloomError, was_good: bool) -> bool:
        if error.code == "UNAUTHENTICATED":
            return self._credentials.can_renew
        if error.code == "FORBIDDEN":
            # Rights that have changed end a stream; whether they still allow it shows when it is
            # opened.
            return was_good
        return error.code in _PASSING or error.problems[0].more.get("limit") == "connections"


class _Lines:
    """The messages of a stream of server-sent events, line by line."""

    def __init__(self) -> None:
        self._name = ""
        self._data: list[str] = []

    def add(self, line: str) -> tuple[str, str]:
        """The name and the data of the message that this line ends; empty if it ends none."""
        if line.startswith("event:"):
            self._name = line[6:].strip()
        elif line.startswith("data:"):
            self._data.append(line[5:].strip())
        elif not line:
            message = self._name, "\n".join(self._data)
            self._name, self._data = "", []
            return message
        return "", ""
