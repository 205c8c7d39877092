"""The cost of live updates: `python -m bench.streams`, on its own server and database.

A thousand subscriptions are opened over WebSocket, and then tasks are renamed one by one.

*Memory.* How much the server's process grows per subscription, between two idle moments. The target
is 30 KiB. With `--connections 1000` each subscription has its own connection, whose memory is
included; by default a connection holds as many subscriptions as allowed.

*Time.* From sending a change until a subscriber has read its event, at the 50th and the 99th
percentile. It includes the change itself and the client, which reads all thousand subscriptions in
one process beside the server. The target is 50 ms at the 99th percentile. The server's processor
time per event and subscriber is printed too, since a busy machine does not change it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from bench.target import Target, served

SUBSCRIPTIONS: Final = 1_000
MOST_BYTES: Final = 30 * 1024
MOST_SECONDS: Final = 0.050
_EACH: Final = 50
_PATIENCE: Final = 30
_LISTEN: Final = "subscription { taskEvents { id kind task { title } } }"
_RENAME: Final = (
    "mutation ($id: ID!, $title: String!) "
    "{ taskUpdate(input: {id: $id, title: $title}) { errors { code } } }"
)
_TASKS: Final = "{ tasks(first: 100) { nodes { id viewerCanEdit } } }"


class Audience:
    """Open connections with their subscriptions, and when each of them read each event."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._arrived: dict[str, list[float]] = {}
        self._full = asyncio.Event()
        self._expected = 0
        self._title = ""

    @contextlib.asynccontextmanager
    async def open(self, connections: int, each: int) -> AsyncIterator[None]:
        """Keep `connections` open during the block, with `each` subscriptions on each."""
        self._expected = connections * each
        async with contextlib.AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(self._connect()) for _ in range(connections)]
            for peer in sockets:
                for number in range(each):
                    message = {
                        "id": str(number),
                        "type": "subscribe",
                        "payload": {"query": _LISTEN},
                    }
                    await peer.send(json.dumps(message))
            async with asyncio.TaskGroup() as readers:
                reading = [readers.create_task(self._read(peer)) for peer in sockets]
                yield
                for task in reading:
                    task.cancel()

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[ClientConnection]:
        protocols = [Subprotocol("graphql-transport-ws")]
        address = f"ws://127.0.0.1:{self._target.port}/graphql"
        async with connect(address, subprotocols=protocols, compression=None) as peer:
            params = {"Authorization": f"Bearer {self._target.token}"}
            await peer.send(json.dumps({"type": "connection_init", "payload": params}))
            await peer.recv()
            yield peer

    async def _read(self, peer: ClientConnection) -> None:
        async for text in peer:
            now = time.perf_counter()
            message = json.loads(text)
            if message["type"] == "ping":
                await peer.send('{"type": "pong"}')
            elif message["type"] == "next":
                title = message["payload"]["data"]["taskEvents"]["task"]["title"]
                arrived = self._arrived.setdefault(title, [])
                arrived.append(now)
                if title == self._title and len(arrived) == self._expected:
                    self._full.set()
            else:
                raise RuntimeError(f"a subscription ended: {message}")

    async def settle(self, task_id: str) -> None:
        """Wait until every subscription is active, which only its first event shows."""
        for turn in range(_PATIENCE):
            await asyncio.sleep(1)
            with contextlib.suppress(TimeoutError):
                await self.hear(task_id, f"turn {turn} of {id(self)}", patience=5)
                return
        raise TimeoutError("some subscriptions are not active")

    async def hear(self, task_id: str, title: str, *, patience: float = _PATIENCE) -> list[float]:
        """Rename a task; returns after how many seconds each subscription had its event."""
        self._full.clear()
        self._title = title
        begun = time.perf_counter()
        answer = await asyncio.to_thread(self._target.ask, _RENAME, id=task_id, title=title)
        if answer["taskUpdate"]["errors"]:
            raise RuntimeError(f"the change was refused: {answer}")
        async with asyncio.timeout(patience):
            await self._full.wait()
        return [at - begun for at in self._arrived.pop(title)]


def resident(pid: int) -> int:
    """The resident bytes of a process and its children."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(resident(int(child)) for child in children)


def processor(pid: int) -> float:
    """The processor time of a process in seconds, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(target: Target, pid: int, connections: int, changes: int) -> bool:
    """Print both figures; returns whether both targets are met."""
    found: Any = await asyncio.to_thread(target.ask, _TASKS)
    tasks = [node["id"] for node in found["tasks"]["nodes"] if node["viewerCanEdit"]]
    each = SUBSCRIPTIONS // connections
    # The first subscriptions cost more, once: plans, statements, buffers.
    warm = Audience(target)
    async with warm.open(connections=2, each=each):
        await warm.settle(tasks[0])
    await asyncio.sleep(2)
    before = resident(pid)
    audience = Audience(target)
    async with audience.open(connections, each):
        await audience.settle(tasks[0])
        bytes_each = (resident(pid) - before) / (connections * each)
        busy = processor(pid)
        waited: list[float] = []
        for number in range(changes):
            waited += await audience.hear(tasks[number % len(tasks)], f"event {number}")
        busy = (processor(pid) - busy) / len(waited)
    hundredths = statistics.quantiles(waited, n=100)
    print(f"{connections * each} subscriptions on {connections} connections")
    print(f"memory of each   {bytes_each / 1024:8.1f} KiB   (at most {MOST_BYTES / 1024:.0f})")
    print(f"event, p50       {1000 * hundredths[49]:8.1f} ms")
    print(
        f"event, p99       {1000 * hundredths[98]:8.1f} ms    (at most {1000 * MOST_SECONDS:.0f})"
    )
    print(f"server, each     {1e6 * busy:8.0f} µs of processor time")
    return bytes_each <= MOST_BYTES and hundredths[98] <= MOST_SECONDS


def main() -> int:
    """Measure; returns 1 if a target is not met."""
    parser = argparse.ArgumentParser(prog="python -m bench.streams", description=__doc__)
    parser.add_argument(
        "--connections", type=int, default=SUBSCRIPTIONS // _EACH, help="a divisor of 1,000"
    )
    parser.add_argument("--changes", type=int, default=50, help="events to measure")
    options = parser.parse_args()
    if SUBSCRIPTIONS % options.connections or SUBSCRIPTIONS // options.connections > _EACH:
        parser.error(f"--connections must divide {SUBSCRIPTIONS}, with at most {_EACH} on each")
    # Two more for the warm-up.
    room = {"TASKLOOM_LIMIT_CONNECTIONS": str(options.connections + 2)}
    with served(room) as (target, pid):
        kept = asyncio.run(measure(target, pid, options.connections, options.changes))
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
