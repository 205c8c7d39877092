"""The client for programs with threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from taskloom_client import protocol, uploads
from taskloom_client.errors import SignInAgain, TaskloomError
from taskloom_client.protocol import Ask, Credentials, EventLines, Flow, Pause, Stream, Tokens

T = TypeVar("T")

TIMEOUT = httpx.Timeout(15)
# The server sends a sign of life every twelve seconds.
STREAM_TIMEOUT = httpx.Timeout(15, read=30)


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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def sign_in(self, login: str, password: str) -> None:
        """Begin a session. Raises `SignInAgain` if the login or the password is wrong."""
        self._credentials.set(self._run(protocol.sign_in(login, password)))

    def query(self, query: str, **variables: Any) -> Any:
        """The data of a query. Raises a `TaskloomError` if any part of it failed."""
        return self._run(protocol.execute(self._credentials, query, variables, repeat=True))

    def mutate(self, query: str, **variables: Any) -> Any:
        """The data of a mutation. If it takes `$input`, an idempotency key is added, so that it is
        repeated safely when an answer is lost. Raises a `TaskloomError` for errors in payloads too.
        """
        variables, repeat = protocol.keyed(variables)
        return self._run(protocol.execute(self._credentials, query, variables, repeat=repeat))

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
        stream = Stream(query, variables, after)
        while True:
            used = self._credentials.access
            try:
                if stream.needs_cursor:
                    stream.after = self._now()
                with closing(self._events(stream)) as events:
                    yield from events
                if stream.completed:
                    return
            except httpx.TransportError:
                pass
            except TaskloomError as error:
                if not stream.can_continue(error, self._credentials):
                    raise
                if isinstance(error, SignInAgain):
                    self._renew_if_possible(used)
            time.sleep(stream.interrupted())

    def _now(self) -> str | None:
        try:
            cursor: str = (self.query(protocol.NOW))["eventCursor"]
        except TaskloomError as error:
            # A key may be allowed to see its timer and no other events.
            if error.code != "FORBIDDEN":
                raise
            return None
        return cursor

    def _events(self, stream: Stream) -> Generator[Any, None, None]:
        headers = {**self._headers(), "Accept": "text/event-stream"}
        opened = self._http.stream(
            "POST", "/graphql", json=stream.body, headers=headers, timeout=STREAM_TIMEOUT
        )
        with opened as response:
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                response.read()
                stream.refused(response)
            stream.opened()
            lines = EventLines()
            for line in response.iter_lines():
                message = lines.add(line)
                if message is not None:
                    yield from stream.events(message)

    def upload(
        self, task: str, file: Path, *, progress: Callable[[int, int], None] | None = None
    ) -> Any:
        """Attach a file to a task; returns the attachment. `progress` is called with the bytes sent
        so far and all.
        """
        content = file.read_bytes()
        made = self.mutate(uploads.START, input=uploads.start(task, file.name, len(content)))
        target = made["attachmentUploadStart"]["upload"]
        chunks = uploads.chunks(content, progress)
        headers = {"Content-Length": str(len(content))}
        try:
            sent = self._http.put(target["url"], content=chunks, headers=headers)
        except httpx.TransportError:
            sent = None
        uploads.demand_sent(sent)
        done = self.mutate(uploads.FINISH, input={"uploadId": target["id"]})
        return done["attachmentUploadFinish"]["attachment"]

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
            if isinstance(step, Ask):
                result = self._send(step)
            elif isinstance(step, Pause):
                time.sleep(step.seconds)
            else:
                self._renew(step.used)

    def _send(self, ask: Ask) -> httpx.Response | None:
        headers = self._headers() if ask.signed else {}
        try:
            return self._http.post("/graphql", json=ask.body, headers=headers)
        except httpx.TransportError:
            return None

    def _renew(self, used: str | None) -> None:
        with self._renewing:
            tokens = self._credentials.tokens
            # Another thread may have renewed them while this one waited.
            if tokens is not None and tokens.access == used:
                try:
                    renewed = self._run(protocol.refreshed(tokens.refresh))
                except SignInAgain:
                    self._credentials.end()
                    raise
                self._credentials.set(renewed)

    def _renew_if_possible(self, used: str | None) -> None:
        """Renew the tokens of a stream, which goes on trying while the server is away."""
        try:
            self._renew(used)
        except TaskloomError as error:
            if error.code not in protocol.PASSING:
                raise

    def _headers(self) -> dict[str, str]:
        access = self._credentials.access
        return {"Authorization": f"Bearer {access}"} if access else {}
