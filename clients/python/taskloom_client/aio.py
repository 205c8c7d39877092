"""The client for asyncio. Its methods are those of `Taskloom`, which has their descriptions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

from taskloom_client import protocol
from taskloom_client.client import TIMEOUT
from taskloom_client.errors import TaskloomError
from taskloom_client.protocol import Ask, Credentials, Flow, Pause, Put, Renew, Tokens
from taskloom_client.streams import Stream

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

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """See `Taskloom`."""
        await self._http.aclose()

    async def sign_in(self, login: str, password: str) -> None:
        """See `Taskloom`."""
        await self._run(protocol.signed_in(self._credentials, login, password))

    async def query(self, query: str, **variables: Any) -> Any:
        """See `Taskloom`."""
        return await self._run(protocol.queried(self._credentials, query, variables))

    async def mutate(self, query: str, **variables: Any) -> Any:
        """See `Taskloom`."""
        return await self._run(protocol.mutated(self._credentials, query, variables))

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
        stream = Stream(self._credentials, query, variables, after)
        while not stream.completed:
            error = None
            try:
                await self._run(stream.prepared())
                async with aclosing(self._events(stream)) as events:
                    async for event in events:
                        yield event
            except (TaskloomError, httpx.TransportError) as problem:
                error = problem
            if not stream.completed:
                await self._run(stream.interrupted(error))

    async def _events(self, stream: Stream) -> AsyncGenerator[Any, None]:
        async with self._http.stream(**stream.request) as response:
            if not stream.opened(response):
                await response.aread()
                raise stream.refused(response)
            async for line in response.aiter_lines():
                for event in stream.read(line):
                    yield event

    async def upload(
        self, task: str, file: Path, *, progress: Callable[[int, int], None] | None = None
    ) -> Any:
        """See `Taskloom`."""
        content = await asyncio.to_thread(file.read_bytes)
        return await self._run(
            protocol.uploaded(self._credentials, task, file.name, content, progress)
        )

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
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
            elif isinstance(step, Renew):
                async with self._renewing:
                    await self._run(protocol.renewed(self._credentials, step))
            else:
                result = await self._send(step)

    async def _send(self, step: Ask | Put) -> httpx.Response | None:
        try:
            if isinstance(step, Put):
                content = _asynchronous(step.chunks())
                return await self._http.put(step.url, content=content, headers=step.headers)
            headers = self._credentials.headers if step.signed else {}
            return await self._http.post("/graphql", json=step.body, headers=headers)
        except httpx.TransportError:
            return None


async def _asynchronous(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
