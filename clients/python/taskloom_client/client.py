"""The client for programs with threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

from taskloom_client import protocol
from taskloom_client.errors import TaskloomError
from taskloom_client.protocol import Ask, Credentials, Flow, Pause, Put, Renew, Tokens
from taskloom_client.streams import Stream

T = TypeVar("T")

TIMEOUT = httpx.Timeout(15)


class Taskloom:
    """A connection to a server, for any number of threads.

    `key`: an API key. `tokens`: those of a session, which are renewed when they expire; `save` is
    called with the new ones. `sign_in` makes the first.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        tokens: Tokens | None = None,
        save: Callable[[Tokens], None] | None = None,
    ) -> None:
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT)
        self._credentials = Credentials(key, tokens, save)
        self._renewing = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def sign_in(self, login: str, password: str) -> None:
        """Begin a session. Raises `SignInAgain` if the login or the password is wrong."""
        self._run(protocol.signed_in(self._credentials, login, password))

    def query(self, query: str, **variables: Any) -> Any:
        """The data of a query. Raises a `TaskloomError` if any part of it failed."""
        return self._run(protocol.queried(self._credentials, query, variables))

    def mutate(self, query: str, **variables: Any) -> Any:
        """The data of a mutation. If it takes `$input`, an idempotency key is added, so that it is
        repeated safely when an answer is lost. Raises a `TaskloomError` for errors in payloads too.
        """
        return self._run(protocol.mutated(self._credentials, query, variables))

    def pages(self, query: str, path: str, **variables: Any) -> Iterator[Any]:
        """The nodes of all pages of a list. `path` leads to it (`project.tasks`); the document has
        a variable `$after`, and selects `nodes` and `pageInfo { hasNextPage endCursor }`.
        """
        after, more = variables.pop("after", None), True
        while more:
            page = protocol.page_at(self.query(query, **variables, after=after), path)
            yield from page["nodes"]
            after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]

    def live(
        self, query: str, *, after: str | None = None, **variables: Any
    ) -> Generator[Any, None, None]:
        """The events of a subscription after a cursor, or from now on, until the server has no
        more: it continues from the last cursor after lost connections and restarts. Raises
        `CursorExpired` when it cannot, and other errors that do not pass. See `Stream` for the
        document.
        """
        stream = Stream(self._credentials, query, variables, after)
        while not stream.completed:
            error = None
            try:
                self._run(stream.prepared())
                with closing(self._events(stream)) as events:
                    yield from events
            except (TaskloomError, httpx.TransportError) as problem:
                error = problem
            if not stream.completed:
                self._run(stream.interrupted(error))

    def _events(self, stream: Stream) -> Generator[Any, None, None]:
        with self._http.stream(**stream.request) as response:
            if not stream.opened(response):
                response.read()
                raise stream.refused(response)
            for line in response.iter_lines():
                yield from stream.read(line)

    def upload(
        self, task: str, file: Path, *, progress: Callable[[int, int], None] | None = None
    ) -> Any:
        """Attach a file to a task; returns the attachment. `progress` is called with the bytes sent
        so far and all.
        """
        content = file.read_bytes()
        return self._run(protocol.uploaded(self._credentials, task, file.name, content, progress))

    # --- running flows ---------------------------------------------------------------------------

    def _run(self, flow: Flow[T]) -> T:
        result: Any = None
        while True:
            try:
                step = flow.send(result)
            except StopIteration as end:
                value: T = end.value
                return value
            result = None
            if isinstance(step, Pause):
                time.sleep(step.seconds)
            elif isinstance(step, Renew):
                with self._renewing:
                    self._run(protocol.renewed(self._credentials, step))
            else:
                result = self._send(step)

    def _send(self, step: Ask | Put) -> httpx.Response | None:
        try:
            if isinstance(step, Put):
                return self._http.put(step.url, content=step.chunks(), headers=step.headers)
            headers = self._credentials.headers if step.signed else {}
            return self._http.post("/graphql", json=step.body, headers=headers)
        except httpx.TransportError:
            return None
