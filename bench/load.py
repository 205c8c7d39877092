"""The load generator: a closed loop over several connections, on bare sockets.

Each connection sends its next request when it has the whole answer to its last one, so the number
of connections is the number of requests in flight. It runs as a separate process, reads its orders
from standard input, one line of JSON each, and answers each with a line:

    {"open": port, "connections": n}            -> {}
    {"requests": [text, …], "seconds": s}       -> {"seconds", "latencies" (s), "bytes"}
    {"requests": [text, …]}                     -> the same, after each was sent once

It reads answers only as far as necessary: the status, the length or the last chunk, and whether
there are errors at the beginning or the end. So it uses little of the processors that it shares
with the server.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from bench.cases import FRESH_ID

_CHUNK = 1 << 18
_ENDS = 300
_FRESH = FRESH_ID.encode()
_LAST_CHUNK = b"0\r\n\r\n"


class LoadError(Exception):
    """An answer that is invalid or contains errors."""


class _Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent = 0.0
        self._parts: list[bytes] = []
        self._size = 0
        # Bytes of the answer once its head has been read; 0 if it comes in chunks.
        self._expected: int | None = None

    def send(self, request: bytes) -> None:
        self._parts, self._size, self._expected = [], 0, None
        self.sent = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> int | None:
        """The size of the answer, if it is complete."""
        part = self.socket.recv(_CHUNK)
        if not part:
            raise LoadError("the server closed the connection")
        self._parts.append(part)
        self._size += len(part)
        if self._expected is None:
            self._expected = self._head()
        if self._expected is None or self._size < self._expected:
            return None
        if self._expected == 0 and not self._ends_with(_LAST_CHUNK):
            return None
        self._check()
        return self._size

    def _head(self) -> int | None:
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        head, found, _ = self._parts[0].partition(b"\r\n\r\n")
        if not found:
            return None
        if not head.startswith(b"HTTP/1.1 200"):
            raise LoadError(self._parts[0][:1000].decode("latin-1"))
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                return len(head) + 4 + int(value)
            if name.lower() == b"transfer-encoding":
                return 0
        raise LoadError("an answer without a length")

    def _ends_with(self, end: bytes) -> bool:
        return b"".join(self._parts[-len(end) :]).endswith(end)

    def _check(self) -> None:
        for part in (self._parts[0][: 3 * _ENDS], self._parts[-1][-_ENDS:]):
            if b'"errors":[{' in part:
                raise LoadError(part.decode("latin-1"))


class Load:
    """The open connections, and the requests sent over them."""

    def __init__(self) -> None:
        self._connections: list[_Connection] = []
        self._next = 0

    def open(self, port: int, connections: int) -> None:
        """Open new connections, and close the previous ones."""
        for connection in self._connections:
            connection.socket.close()
        self._connections = [_Connection(port) for _ in range(connections)]

    def run(self, requests: Sequence[bytes], seconds: float | None) -> dict[str, Any]:
        """Send requests for `seconds`, or each of them once, then wait for those in flight."""
        by_file = {each.socket.fileno(): each for each in self._connections}
        latencies: list[float] = []
        received = 0
        with select.epoll() as poll:
            for file in by_file:
                poll.register(file, select.EPOLLIN)
            began = time.perf_counter()
            if seconds is None:
                until, left = float("inf"), len(requests)
            else:
                until, left = began + seconds, sys.maxsize
            for connection in self._connections[:left]:
                connection.send(self._take(requests))
            under_way = min(left, len(self._connections))
            left -= under_way
            while under_way:
                for file, _ in poll.poll():
                    connection = by_file[file]
                    size = connection.receive()
                    if size is None:
                        continue
                    now = time.perf_counter()
                    latencies.append(now - connection.sent)
                    received += size
                    if now < until and left > 0:
                        left -= 1
                        connection.send(self._take(requests))
                    else:
                        under_way -= 1
            took = time.perf_counter() - began
        return {"seconds": took, "latencies": latencies, "bytes": received}

    def _take(self, requests: Sequence[bytes]) -> bytes:
        self._next += 1
        request = requests[self._next % len(requests)]
        if _FRESH in request:
            fresh = UUID(bytes=os.urandom(16), version=4)
            request = request.replace(_FRESH, str(fresh).encode())
        return request


def main() -> None:
    """Execute orders until the input ends."""
    load = Load()
    for line in sys.stdin:
        order = json.loads(line)
        try:
            if "open" in order:
                load.open(order["open"], order["connections"])
                said: dict[str, Any] = {}
            else:
                requests = [text.encode("latin-1") for text in order["requests"]]
                said = load.run(requests, order.get("seconds"))
        except (LoadError, OSError) as error:
            said = {"error": str(error)}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
