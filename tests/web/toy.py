"""A small schema that does what transports have to cope with: it fails, is slow, never ends."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry
from strawberry.types import Info

from errors import BadInput, CursorExpired, NotFound
from files.upload import Upload
from graph.core.context import Context
from graph.core.scalars import CONFIG

ToyInfo = Info[Context, None]


@strawberry.input
class Words:
    """An input with everything that can be wrong with inputs."""

    text: str
    more: strawberry.Maybe[str]
    inner: Annotated[Words, strawberry.lazy("tests.web.toy")] | None = None


@strawberry.type
class Query:
    """Questions."""

    @strawberry.field
    def hello(self, name: str = "world") -> str:
        return f"hello {name}"

    @strawberry.field(  # type: ignore[untyped-decorator]
        deprecation_reason="Use `hello`. Removed after 2027-06-01."
    )
    def greeting(self) -> str:
        return "hello"

    @strawberry.field
    def me(self, info: ToyInfo) -> str | None:
        user_id = info.context.viewer.user_id
        return None if user_id is None else str(user_id)

    @strawberry.field
    def context_id(self, info: ToyInfo) -> str:
        return f"{id(info.context):x}"

    @strawberry.field
    def request_id(self, info: ToyInfo) -> str:
        return info.context.request.id

    @strawberry.field
    def address(self, info: ToyInfo) -> str | None:
        return info.context.request.ip

    @strawberry.field
    def again(self) -> Query:
        return Query()

    @strawberry.field
    def broken(self) -> str | None:
        raise RuntimeError("SELECT password FROM users")

    @strawberry.field
    def sure(self) -> str:
        raise RuntimeError("not so sure")

    @strawberry.field
    def missing(self) -> str | None:
        raise NotFound("task", path=("task_id",))

    @strawberry.field
    def words(self, words: Words) -> str:
        if words.text == "bad":
            raise BadInput("That is a bad word.", path=("words", "text"))
        return words.text

    @strawberry.field
    def count(self, to: int) -> int:
        return to

    @strawberry.field
    async def slow(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "at last"


@strawberry.type
class Mutation:
    """Changes. `begun` and `done` count them; `wait` and `read` are done when `gate` opens."""

    begun = 0
    done = 0
    gate = asyncio.Event()
    # What `read` read.
    content = b""

    @strawberry.mutation
    def add(self) -> int:
        Mutation.done += 1
        return Mutation.done

    @strawberry.mutation
    async def add_slowly(self, seconds: float) -> int:
        await asyncio.sleep(seconds)
        Mutation.done += 1
        return Mutation.done

    @strawberry.mutation
    async def wait(self) -> int:
        Mutation.begun += 1
        await Mutation.gate.wait()
        Mutation.done += 1
        return Mutation.done

    @strawberry.mutation
    async def read(self, file: Upload) -> int:
        Mutation.begun += 1
        await Mutation.gate.wait()
        Mutation.content = file.bytes().read()
        Mutation.done += 1
        return Mutation.done

    @strawberry.mutation
    async def renew(self, info: ToyInfo, token: str) -> bool:
        viewer = await info.context.services.authenticator.viewer(f"Bearer {token}")
        info.context.renewed = viewer.credentials
        return True


@strawberry.type
class Subscription:
    """Streams. `open` counts those that run."""

    open = 0

    @strawberry.subscription
    async def upto(self, to: int) -> AsyncGenerator[int, None]:
        for number in range(to):
            yield number

    @strawberry.subscription
    async def forever(self) -> AsyncGenerator[int, None]:
        Subscription.open += 1
        try:
            number = 0
            while True:
                yield number
                number += 1
                await asyncio.sleep(0.02)
        finally:
            Subscription.open -= 1

    @strawberry.subscription
    async def silent(self) -> AsyncGenerator[int, None]:
        Subscription.open += 1
        try:
            await asyncio.Event().wait()
            yield 0
        finally:
            Subscription.open -= 1

    @strawberry.subscription
    async def expires(self) -> AsyncGenerator[int, None]:
        yield 0
        raise CursorExpired("Read afresh.")

    @strawberry.subscription
    async def breaks(self) -> AsyncGenerator[int, None]:
        yield 0
        raise RuntimeError("secret inside")

    @strawberry.subscription
    async def large(self) -> AsyncGenerator[str, None]:
        while True:
            # Nothing that could be compressed.
            yield secrets.token_hex(500_000)

    @strawberry.subscription
    async def step(self) -> AsyncGenerator[Query, None]:
        while True:
            yield Query()
            await asyncio.sleep(0.02)

    @strawberry.subscription
    async def refused(self) -> AsyncGenerator[int, None]:
        for path in ("after",):
            raise BadInput("No.", path=(path,))
        yield 0


schema = strawberry.Schema(Query, Mutation, Subscription, config=CONFIG)
