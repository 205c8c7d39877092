"""Requests to addresses that users enter: they may reach the public internet and nothing else.

The name is resolved once for each request, all its addresses are checked, and the connection is
made to one of them: a name that resolves differently a moment later gains nothing. The check is
where connections are opened, so that no parsing of addresses and no proxy is between the check and
the connection; name and certificate are still those of the address as written. Redirects are not
followed.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

import httpcore
import httpx

from domain.integrations import addresses
from domain.integrations.addresses import Address, Network, Refused, Target
from jobs import leases

MOST_BYTES = 10_000
"""Of an answer's body, unless more is asked for; the rest is not read."""


class Unreachable(Exception):  # noqa: N818 - as `Refused`
    """No answer arrived; the message tells the user why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` by lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def asked_wait(answer: Answer, now: dt.datetime) -> dt.timedelta | None:
    """How long the receiver asks to wait: seconds, or a date (RFC 9110, 10.2.3)."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return dt.timedelta(seconds=min(int(text[:10]), 10**6))
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return max(moment - now, dt.timedelta())


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    # Takes tens of milliseconds, to read the certificates.
    return httpx.create_ssl_context()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Sends requests. `networks`: allowed although they are not public; `plain`: whether http:// is
    allowed everywhere; `tls`: the certificates to trust, if not the usual ones.
    """

    networks: tuple[Network, ...] = ()
    plain: bool = False
    seconds: float = 15.0
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST a body and read the answer. Raises `Refused` or `Unreachable`."""
        return await self.request("POST", url, headers, body)

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        most_bytes: int = MOST_BYTES,
    ) -> Answer:
        """GET, and read at most this many bytes of the answer. Raises as `post`."""
        target = addresses.parse(url)
        try:
            async with asyncio.timeout(self.seconds):
                return await self._send(method, target, headers, body, most_bytes)
        except TimeoutError:
            raise Unreachable(f"There was no answer within {self.seconds:g} seconds.") from None
        except httpcore.ConnectError as error:
            raise Unreachable(f"No connection could be made: {error}") from None
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise Unreachable(
                f"The connection failed: {str(error) or type(error).__name__}"
            ) from None
        except (OSError, httpcore.TimeoutException) as error:
            raise Unreachable(f"No connection could be made: {error}") from None

    async def _send(
        self,
        method: str,
        target: Target,
        headers: Mapping[str, str],
        body: bytes,
        most_bytes: int,
    ) -> Answer:
        guard = _Guard(target, self)
        url = httpcore.URL(
            scheme=target.scheme, host=target.host, port=target.port, target=target.path
        )
        sent = {"Host": target.authority, "Content-Length": str(len(body)), **headers}
        tls = self.tls or _tls()
        async with (
            # A pool for each request: no connection outlives its check.
            httpcore.AsyncConnectionPool(tls, max_connections=1, network_backend=guard) as pool,
            pool.stream(method, url, headers=list(sent.items()), content=body) as response,
        ):
            begin = bytearray()
            async for part in response.aiter_stream():
                begin += part
                if len(begin) >= most_bytes:
                    break
            received = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in response.headers
            }
            return Answer(response.status, received, bytes(begin[:most_bytes]))


class _Guard(httpcore.AsyncNetworkBackend):
    """Opens connections for one request, to checked addresses."""

    def __init__(self, target: Target, outgoing: Outgoing) -> None:
        self._target = target
        self._outgoing = outgoing
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        found = await _look_up(host, port)
        for address in found:
            addresses.check(
                self._target, address, self._outgoing.networks, plain=self._outgoing.plain
            )
        stream = await self._connected(found, port, timeout)
        # The last moment before anything is sent.
        leases.check()
        return stream

    async def _connected(
        self,
        found: list[Address],
        port: int,
        timeout: float | None,  # noqa: ASYNC109 - as above
    ) -> httpcore.AsyncNetworkStream:
        for address in found[:-1]:
            try:
                return await self._inner.connect_tcp(str(address), port, timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._inner.connect_tcp(str(found[-1]), port, timeout)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface's
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise Refused("Unix sockets are not allowed.")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _look_up(host: str, port: int) -> list[Address]:
    """All addresses that a name resolves to at this moment."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unreachable(f"The name {host} could not be looked up: {error.strerror}") from None
    # Without a zone, which no public address has: fe80::1%2 becomes fe80::1, and is refused.
    texts = [str(place[0]).partition("%")[0] for *_, place in found]
    return [ipaddress.ip_address(text) for text in dict.fromkeys(texts)]
