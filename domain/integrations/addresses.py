"""Checks the addresses that users make the server send to: public internet only.

Otherwise users could reach what only the server can: databases on its network, the metadata service
of its cloud, the server itself. Names can point anywhere and change between two lookups, so the
address is checked each time the server connects (`jobs.outgoing`). The checks here, when a URL is
saved, reject early what can never work.

`ipaddress.is_global` alone is not enough. It is true for multicast, and for IPv6 addresses that
embed an IPv4 address (mapped, NAT64, 6to4, Teredo, ISATAP), which a gateway would unwrap. No public
receiver has such an address, so all of them are refused without unwrapping.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import urlsplit

from errors import BadInput
from errors import check as check_of_value

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL = 2_000

_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
# Resolvers read these as a number: decimal, octal, hexadecimal.
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")

# Networks that IANA reserves for other uses than public hosts, beyond those of `is_global`.
_SET_APART_4 = tuple(
    IPv4Network(text)
    for text in (
        "192.88.99.0/24",  # 6to4 relays
        "168.63.129.16/32",  # Azure's metadata service
    )
)
_PUBLIC_6 = IPv6Network("2000::/3")
_SET_APART_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # Teredo, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)
# The middle of an ISATAP interface ID (RFC 5214), which ends in an IPv4 address.
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})

# Mail, SSH and other abusable services use ports below 1024.
_LOW_PORTS = frozenset({80, 443})


class Refused(Exception):  # noqa: N818 - it is an answer
    """The server does not send to this address; the message tells the user why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A checked URL. `host` is a name, or an IP address without brackets."""

    scheme: str
    host: str
    port: int
    # Path and query.
    path: str

    @property
    def authority(self) -> str:
        """The value of the `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def literal(self) -> Address | None:
        """The IP address if the host is one."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None


_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOCAL_NAMES = ("localhost", ".local", ".internal")


def is_public(address: Address) -> bool:
    """Whether public hosts can have this address."""
    if address.is_multicast or not address.is_global:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SET_APART_4)
    if address not in _PUBLIC_6 or any(address in network for network in _SET_APART_6):
        return False
    return (int(address) >> 32) & 0xFFFFFFFF not in _ISATAP


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Whether the address is in a network that the operator allows."""
    return any(address in network for network in networks)


def parse(url: str) -> Target:
    """Parse a URL strictly. Raises `Refused`."""
    if len(url) > MAX_URL or not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise Refused(
            f"Invalid URL. Use at most {MAX_URL:,} printable ASCII characters, without backslashes."
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused("Invalid URL.") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise Refused("A URL must start with https:// and a host.")
    if "@" in parts.netloc:
        raise Refused("A URL must not contain a user name or password.")
    if parts.fragment or url.endswith("#"):
        raise Refused("A URL must not contain a fragment (#…), since it is never sent.")
    port = _DEFAULT_PORTS[parts.scheme] if port is None else port
    if port < 1024 and port not in _LOW_PORTS:
        raise Refused(f"Port {port} is not allowed; use 80, 443 or any port from 1024 up.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, _host(parts.hostname, "[" in parts.netloc), port, path)


def _host(text: str, bracketed: bool) -> str:
    if bracketed:
        if "%" in text:
            raise Refused("An IPv6 address must not contain a zone (%…).")
        try:
            return str(IPv6Address(text))
        except ValueError:
            raise Refused("The text in brackets must be an IPv6 address.") from None
    labels = text.removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):
        # Resolvers accept octal, hexadecimal and shortened forms; only one form is accepted here.
        try:
            return str(IPv4Address(text))
        except ValueError:
            raise Refused(
                "An IPv4 address must be four decimal numbers, such as 192.0.2.1."
            ) from None
    if len(text) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused("The host must be an ASCII name (xn--… for others) or an IP address.")
    return text


def check(target: Target, address: Address, networks: Sequence[Network], *, plain: bool) -> None:
    """Raise `Refused` if the server must not send to this address. `plain` allows http://."""
    allowed = is_allowed(address, networks)
    if not allowed and not is_public(address):
        raise Refused(f"{address} is not a public internet address.")
    if target.scheme == "http" and not (plain or allowed):
        raise Refused(
            "http:// is not allowed, since others could read the data in transit; use https://."
        )


@check_of_value()
def check_new(
    url: str, networks: Sequence[Network], *, plain: bool, path: Sequence[str | int]
) -> Target:
    """Check a URL without resolving its host name. Raises `BadInput` at `path`."""
    try:
        target = parse(url)
        _check_unresolved(target, networks, plain=plain)
    except Refused as refused:
        raise BadInput(str(refused), path=path) from None
    return target


def _check_unresolved(target: Target, networks: Sequence[Network], *, plain: bool) -> None:
    if target.literal is not None:
        check(target, target.literal, networks, plain=plain)
    elif networks:
        # The name can resolve to an address in one of them.
        return
    elif target.host.lower().rstrip(".").endswith(_LOCAL_NAMES):
        raise Refused("This name does not belong to a host on the public internet.")
    elif target.scheme == "http" and not plain:
        raise Refused("http:// is not allowed; use https://.")
