"""Connection poolers in transaction mode: PgBouncer if it is installed, and a small one of our own
that behaves alike and is at hand everywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
# As people have it: PgBouncer then accepts these parameters and does nothing with them.
IGNORED = (
    "extra_float_digits,jit,statement_timeout,default_transaction_read_only,plan_cache_mode,"
    "idle_in_transaction_session_timeout,lock_timeout,search_path,intervalstyle,options"
)


@contextlib.contextmanager
def pgbouncer(dsn: str, *, size: int = 4, ignored: str = "") -> Iterator[str]:
    """PgBouncer in front of this server's database. Yields its address."""
    assert PGBOUNCER is not None
    parts = urlsplit(dsn)
    (folder,), name = parse_qs(parts.query)["host"], parts.path[1:]
    port = _free_port()
    # Root must not run it; the owner of the socket's folder can reach the server.
    account = Path(folder).stat().st_uid if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="taskloom-pgbouncer-") as home:
        file = Path(home) / "pgbouncer.ini"
        file.write_text(
            f"[databases]\n{name} = host={folder} dbname={name} user={parts.username}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\n"
            f"pool_mode = transaction\ndefault_pool_size = {size}\nunix_socket_dir =\n"
            f"ignore_startup_parameters = {ignored}\n"
        )
        Path(home).chmod(0o755)
        running = subprocess.Popen(
            [PGBOUNCER, "-q", str(file)], user=account, stderr=subprocess.DEVNULL
        )
        try:
            _await_port(port)
            yield f"postgresql://{parts.username}@127.0.0.1:{port}/{name}"
        finally:
            running.terminate()
            running.wait(20)


class _Server:
    """One connection to PostgreSQL, which has been started."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def opened(cls, path: str, startup: bytes) -> tuple[_Server, bytes]:
        """A connection, and what PostgreSQL said at its start."""
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(startup)
        said = b""
        while True:
            kind, message = await _message(reader)
            # Its own key: a client gets another one, as from PgBouncer.
            if kind == b"K":
                message = kind + struct.pack("!I", 12) + secrets.token_bytes(8)
            said += message
            if kind in b"ZE":
                return cls(reader, writer), said


@contextlib.asynccontextmanager
async def small_pooler(dsn: str, *, size: int = 4) -> AsyncIterator[str]:
    """A pooler whose servers are given to another client after each transaction, in turn. It
    refuses start-up parameters that PgBouncer refuses, and never resets a server.
    """
    parts = urlsplit(dsn)
    (folder,), name = parse_qs(parts.query)["host"], parts.path[1:]
    path = f"{folder}/.s.PGSQL.5432"
    fields = b"user\0%s\0database\0%s\0\0" % (str(parts.username).encode(), name.encode())
    startup = struct.pack("!II", 8 + len(fields), 196608) + fields
    # First in, first out: a client hardly ever gets the same server twice.
    free: asyncio.Queue[_Server] = asyncio.Queue()
    clients: set[asyncio.Task[None]] = set()
    greeting = b""
    for _ in range(size):
        server, greeting = await _Server.opened(path, startup)
        free.put_nowait(server)

    async def again() -> _Server:
        return (await _Server.opened(path, startup))[0]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own is not None
        clients.add(own)
        try:
            await _client(reader, writer, free, greeting, again)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            clients.discard(own)
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        yield f"postgresql://{parts.username}@127.0.0.1:{port}/{name}?sslmode=disable"
    finally:
        listener.close()
        for client in list(clients):
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        while not free.empty():
            free.get_nowait().writer.close()


async def _client(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    free: asyncio.Queue[_Server],
    greeting: bytes,
    again: Callable[[], Awaitable[_Server]],
) -> None:
    length, code = struct.unpack("!II", await reader.readexactly(8))
    given = (await reader.readexactly(length - 8)).split(b"\0")
    if code != 196608:
        return  # A cancellation.
    allowed = {b"user", b"database", b"client_encoding", b"application_name", b"timezone"}
    for parameter in given[:-2:2]:
        if parameter not in allowed:
            text = b"unsupported startup parameter: " + parameter
            writer.write(_error(b"08P01", text))
            return
    writer.write(greeting)
    while True:
        first = await _message(reader)
        if first[0] == b"X":
            return
        server = await free.get()
        kept = False
        try:
            await _transaction(first, reader, writer, server)
            kept = True
        finally:
            if kept:
                free.put_nowait(server)
            else:
                # Half a transaction is rolled back with its connection.
                server.writer.close()
                free.put_nowait(await again())


async def _transaction(
    first: tuple[bytes, bytes],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    server: _Server,
) -> None:
    """Pass messages until the server is idle outside a transaction."""
    server.writer.write(first[1])

    async def forth() -> None:
        while True:
            kind, message = await _message(reader)
            if kind == b"X":
                raise ConnectionError("the client has left")
            server.writer.write(message)

    sending = asyncio.create_task(forth())
    try:
        while True:
            answer = asyncio.create_task(_message(server.reader))
            await asyncio.wait({answer, sending}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                answer.cancel()
                sending.result()
            kind, message = answer.result()
            idle = kind == b"Z" and message[-1:] == b"I"
            if idle:
                # Before the client can begin the next transaction.
                sending.cancel()
                await asyncio.wait([sending])
            writer.write(message)
            if idle:
                return
    finally:
        sending.cancel()


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The type of the next message, and all of it."""
    head = await reader.readexactly(5)
    (length,) = struct.unpack("!I", head[1:])
    return head[:1], head + await reader.readexactly(length - 4)


def _error(state: bytes, text: bytes) -> bytes:
    fields = b"SFATAL\0VFATAL\0C" + state + b"\0M" + text + b"\0\0"
    return b"E" + struct.pack("!I", 4 + len(fields)) + fields


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_port(port: int) -> None:
    for _ in range(1_000):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError("PgBouncer does not answer")
