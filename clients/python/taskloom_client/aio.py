"""The client for asyncio. Its methods are those of `Taskloom`, which has their descriptions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from taskloom_client import protocol, uploads
from taskloom_client.client import STREAM_TIMEOUT, TIMEOUT
from taskloom_client.errors import SignInAgain, TaskloomError
from taskloom_client.protocol import Ask, Credentials, EventLines, Flow, Pause, Stream, Tokens

T = TypeVar("T")


class AsyncTaskloom:
    """A connection to a server, for any number of tasks of one loop; see `Taskloom`."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        tokens: Tokens | None = None,
        save: Callable[[Tokens], None] | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=TIMEOUT)
        self._credentials = Credentials(key, tokens, save)
        self._renewing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """See `Taskloom`."""
        await self._http.aclose()

    async def sign_in(self, login: str, password: str) -> None:
        """See `Taskloom`."""
        self._credentials.set(await self._run(protocol.sign_in(login, password)))

    async def query(self, query: str, **variables: Any) -> Any:
        """See `Taskloom`."""
        return await self._run(protocol.execute(self._credentials, query, variables, repeat=True))

    async def mutate(self, query: str, **variables: Any) -> Any:
        """See `Taskloom`."""
        variables, repeat = protocol.keyed(variables)
        return await self._run(protocol.execute(self._credentials, query, variables, repeat=repeat))

    async def pages(self, query: str, path: str, **variables: Any) -> AsyncIterator[Any]:
        """See `Taskloom`."""
        after, more = variables.pop("after", None), True
        while more:
            page = protocol.page_at(await self.query(query, **variables, after=after), path)
            for node in page["nodes"]:
                yield node
            after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]

    async def live(
        self, query: str, *, after: str | None = None, **variables: Any
    ) -> AsyncGenerator[Any, None]:
        """See `Taskloom`."""
        stream = Stream(query, variables, after)
        while True:
            used = self._credentials.access
            try:
                if stream.needs_cursor:
                    stream.after = await self._now()
                async with aclosing(self._events(stream)) as events:
                    async for event in events:
                        yield event
                if stream.completed:
                    return
            except httpx.TransportError:
                pass
            except TaskloomError as error:
                if not stream.can_continue(error, self._credentials):
                    raise
                if isinstance(error, SignInAgain):
                    await self._renew_if_possible(used)
            await asyncio.sleep(stream.interrupted())

    async def _now(self) -> str | None:
        try:
            cursor: str = (await self.query(protocol.NOW))["eventCursor"]
        except TaskloomError as error:
            # A key may be allowed to see its timer and no other events.
            if error.code != "FORBIDDEN":
                raise
            return None
        return cursor

    async def _events(self, stream: Stream) -> AsyncGenerator[Any, None]:
        headers = {**self._headers(), "Accept": "text/event-stream"}
        opened = self._http.stream(
            "POST", "/graphql", json=stream.body, headers=headers, timeout=STREAM_TIMEOUT
        )
        async with opened as response:
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                await response.aread()
                stream.refused(response)
            stream.opened()
            lines = EventLines()
            async for line in response.aiter_lines():
                message = lines.add(line)
                if message is not None:
                    for event in stream.events(message):
                        yield event

    async def upload(
        self, task: str, file: Path, *, progress: Callable[[int, int], None] | None = None
    ) -> Any:
        """See `Taskloom`."""
        content = await asyncio.to_thread(file.read_bytes)
        made = await self.mutate(uploads.START, input=uploads.start(task, file.name, len(content)))
        target = made["attachmentUploadStart"]["upload"]

        async def chunks() -> AsyncIterator[bytes]:
            for chunk in uploads.chunks(content, progress):
                yield chunk

        headers = {"Content-Length": str(len(content))}
        try:
            sent = await self._http.put(target["url"], content=chunks(), headers=headers)
        except httpx.TransportError:
            sent = None
        uploads.demand_sent(sent)
        done = await self.mutate(uploads.FINISH, input={"uploadId": target["id"]})
        return done["attachmentUploadFinish"]["attachment"]

    # --- running flows ---------------------------------------------------------------------------

    async def _run(self, flow: Flow[T]) -> T:
        result: Any = None
        while True:
            try:
                step = flow.send(result)
            except StopIteration as end:
                value: T = end.value
                return value
            result = None
            if isinstance(step, Ask):
                result = await self._send(step)
            elif isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
            else:
                await self._renew(step.used)

    async def _send(self, ask: Ask) -> httpx.Response | None:
        headers = self._headers() if ask.signed else {}
        try:
            return await self._http.post("/graphql", json=ask.body, headers=headers)
        except httpx.TransportError:
            return None

    async def _renew(self, used: str | None) -> None:
        async with self._renewing:
            tokens = self._credentials.tokens
            # Another task may have renewed them while this one waited.
            if tokens is not None and tokens.access == used:
                try:
                    renewed = await self._run(protocol.refreshed(tokens.refresh))
                except SignInAgain:
                    self._credentials.end()
                    raise
                self._credentials.set(renewed)

    async def _renew_if_possible(self, used: str | None) -> None:
        """Renew the tokens of a stream, which goes on trying while the server is away."""
        try:
            await self._renew(used)
        except TaskloomError as error:
            if error.code not in protocol.PASSING:
                raise

    def _headers(self) -> dict[str, str]:
        access = self._credentials.access
        return {"Authorization": f"Bearer {access}"} if access else {}
