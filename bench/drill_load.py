"""The clients of the failure drill: they make changes, and subscribers receive the events."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from bench.drill_table import Ledger

IN_FLIGHT: Final = 150
SUBSCRIBERS: Final = 8
PATIENCE: Final = 12.0
_REGISTER: Final = (
    "mutation ($i: UserRegisterInput!) "
    "{ userRegister(input: $i) { accessToken errors { message } } }"
)
_PROJECT: Final = 'mutation { projectCreate(input: {name: "Drill"}) { project { id } } }'
CREATE: Final = (
    "mutation ($i: TaskCreateInput!) { taskCreate(input: $i) { task { id } errors { code } } }"
)
_UPDATE: Final = (
    "mutation ($i: TaskUpdateInput!) { taskUpdate(input: $i) { task { id } errors { code } } }"
)
_LISTEN: Final = (
    "subscription ($after: String, $project: ID!) "
    "{ taskEvents(after: $after, filter: {project: {id: {eq: $project}}}) { id cursor } }"
)


class Load:
    """Clients that make changes, and subscribers that receive the events."""

    def __init__(self, port: int, token: str, project: str) -> None:
        self.ledger = Ledger()
        self.heard: list[list[str]] = [[] for _ in range(SUBSCRIBERS)]
        self.began: list[str] = []
        self.stopping = False
        self._port = port
        self._headers = {"Accept": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self.token = token
        self.project = project
        limits = httpx.Limits(max_connections=IN_FLIGHT + 10)
        self._http = httpx.AsyncClient(timeout=PATIENCE, limits=limits)

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The answer, of any kind; raises `httpx.HTTPError`."""
        response = await self._http.post(
            f"http://127.0.0.1:{self._port}/graphql",
            json={"query": query, "variables": variables},
            headers=self._headers,
        )
        answer: dict[str, Any] = response.json()
        return answer

    async def change(self, query: str, values: dict[str, Any]) -> str | None:
        """The id of the changed object, if the change was acknowledged."""
        sent = time.time()
        try:
            answer = await self.ask(query, i=values)
        except (httpx.HTTPError, ValueError) as error:
            self.ledger.failed(type(error).__name__)
            # No client retries without a pause.
            await asyncio.sleep(0.2)
            return None
        if answer.get("errors") or not answer.get("data"):
            self.ledger.failed(answer["errors"][0]["extensions"]["code"])
            await asyncio.sleep(0.2)
            return None
        (payload,) = answer["data"].values()
        if payload["errors"]:
            self.ledger.failed(payload["errors"][0]["code"])
            return None
        self.ledger.times.append((sent, time.time()))
        return str(payload["task"]["id"])

    async def create(self, client: int, *, keyed: bool) -> None:
        """Create tasks one by one; with an idempotency key, retry each until it is acknowledged."""
        for number in itertools.count():
            title = f"client {client} task {number}"
            values = {"title": title, "projectId": self.project}
            if keyed:
                values["idempotencyKey"] = secrets.token_hex(16)
            done = None
            while not self.stopping and done is None:
                done = await self.change(CREATE, values)
                if done is not None:
                    self.ledger.created[title] = time.time()
                elif not keyed:
                    break
            if self.stopping:
                return

    async def rename(self) -> None:
        """Rename one task repeatedly."""
        task = None
        while task is None and not self.stopping:
            task = await self.change(CREATE, {"title": "0", "projectId": self.project})
        for number in itertools.count(1):
            if self.stopping:
                return
            if await self.change(_UPDATE, {"id": task, "title": str(number)}):
                assert task is not None
                self.ledger.renamed[task] = number, time.time()

    async def listen(self, index: int) -> None:
        """Subscribe from the first cursor on, over as many connections as it takes."""
        cursor = self.began[index]
        address = f"ws://127.0.0.1:{self._port}/graphql"
        while True:
            with contextlib.suppress(OSError, WebSocketException, TimeoutError):
                async with connect(
                    address, subprotocols=[Subprotocol("graphql-transport-ws")]
                ) as socket_:
                    hello = {"type": "connection_init"}
                    hello["payload"] = {"Authorization": f"Bearer {self.token}"}  # type: ignore[assignment]  # JSON
                    await socket_.send(json.dumps(hello))
                    variables = {"after": cursor, "project": self.project}
                    payload = {"query": _LISTEN, "variables": variables}
                    await socket_.recv()
                    await socket_.send(
                        json.dumps({"id": "1", "type": "subscribe", "payload": payload})
                    )
                    async for text in socket_:
                        message = json.loads(text)
                        if message["type"] == "ping":
                            await socket_.send(json.dumps({"type": "pong"}))
                        elif message["type"] == "next" and message["payload"].get("data"):
                            event = message["payload"]["data"]["taskEvents"]
                            cursor = event["cursor"]
                            self.heard[index].append(event["id"])
                        elif message["type"] in {"error", "complete"}:
                            self.ledger.failed(f"stream: {message['type']}")
                            break
            await asyncio.sleep(0.3)

    @contextlib.asynccontextmanager
    async def going(self) -> AsyncIterator[None]:
        """Run all clients and subscribers during the block; then let all subscribers catch up."""
        for _ in range(SUBSCRIBERS):
            self.began.append((await self.ask("{ eventCursor }"))["data"]["eventCursor"])
        listeners = [asyncio.create_task(self.listen(index)) for index in range(SUBSCRIBERS)]
        third = IN_FLIGHT // 3
        clients = [asyncio.create_task(self.create(n, keyed=n < third)) for n in range(2 * third)]
        clients += [asyncio.create_task(self.rename()) for _ in range(IN_FLIGHT - 2 * third)]
        yield
        self.stopping = True
        await asyncio.wait(clients, timeout=2 * PATIENCE)
        quiet = 0
        while quiet < 5:
            before = sum(map(len, self.heard))
            await asyncio.sleep(1)
            quiet = 0 if sum(map(len, self.heard)) > before else quiet + 1
        for task in (*clients, *listeners):
            task.cancel()
        await asyncio.wait([*clients, *listeners], timeout=5)
        await self._http.aclose()


async def signed_in(port: int) -> Load:
    """A new user with a project."""
    load = Load(port, "", "")
    name = f"drill_{secrets.token_hex(4)}"
    values = {"username": name, "email": f"{name}@example.org", "password": secrets.token_hex(12)}
    answer = await load.ask(_REGISTER, i=values)
    token = answer["data"]["userRegister"]["accessToken"]
    load = Load(port, token, "")
    project = (await load.ask(_PROJECT))["data"]["projectCreate"]["project"]["id"]
    return Load(port, token, project)
