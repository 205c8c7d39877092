"""Where the server may send requests of its own on behalf of a user: to the public internet alone.

Whoever can name an address that the server fetches can otherwise reach what only the server can:
databases on its network, the metadata service of its cloud, itself. Names can point anywhere and
change between two look-ups, so what counts is the address that is connected to, each time
(`jobs.outgoing`). What is refused here when an address is saved can never work, and is said early.

`ipaddress.is_global` alone is not enough. It is true for multicast, and for addresses of IPv6 that
carry one of IPv4 inside (mapped, NAT64, 6to4, Teredo, ISATAP), which a gateway would unwrap. None
of those is an address that a public receiver has, so all of them are refused without unwrapping.
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
# What a resolver would read as a number: decimal, octal, hexadecimal.
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")

# What the registries of IANA set apart for anything but hosts of the public internet, beside what
# `is_global` knows.
_SET_APART_4 = tuple(
    IPv4Network(text)
    for text in (
        "192.88.99.0/24",  # 6to4 relays
        "168.63.129.16/32",  # the metadata service of Azure
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
# The middle of an interface id made by ISATAP (RFC 5214), which ends in an address of IPv4.
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})

# Below 1024 live mail, remote shells and other things that can be talked into mischief.
_LOW_PORTS = frozenset({80, 443})


class Refused(Exception):  # noqa: N818 - it is an answer
    """The server does not send anything there; the message says why, for the user."""


@dataclass(frozen=True, slots=True)
class Target:
    """A checked address of the web. `host`: a name, or an IP address without brackets."""

    scheme: str
    host: str
    port: int
    # Path and query.
    path: str

    @property
    def authority(self) -> str:
        """For the `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def literal(self) -> Address | None:
        """The IP address, where the host is one."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None


_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOCAL_NAMES = ("localhost", ".local", ".internal")


def is_public(address: Address) -> bool:
    """Whether hosts of the public internet have such addresses."""
    if address.is_multicast or not address.is_global:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SET_APART_4)
    if address not in _PUBLIC_6 or any(address in network for network in _SET_APART_6):
        return False
    return (int(address) >> 32) & 0xFFFFFFFF not in _ISATAP


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Whether the operator has named a network that this address is in."""
    return any(address in network for network in networks)


def parse(url: str) -> Target:
    """Take an address apart, strictly. Raises `Refused`."""
    if len(url) > MAX_URL or not _PRINTABLE.fullmatch(url) or "\\" in url:
        raise Refused(f"This is no web address of at most {MAX_URL:,} ASCII characters.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused("This is no web address.") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise Refused("A web address begins with https:// and a host.")
    if "@" in parts.netloc:
        raise Refused("A web address must not carry a user name or password.")
    if parts.fragment or url.endswith("#"):
        raise Refused("A web address must not carry a fragment: nothing after # is ever sent.")
    port = _DEFAULT_PORTS[parts.scheme] if port is None else port
    if port < 1024 and port not in _LOW_PORTS:
        raise Refused(f"Port {port} is refused: 80, 443 and those from 1024 on are taken.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, _host(parts.hostname, "[" in parts.netloc), port, path)


def _host(text: str, bracketed: bool) -> str:
    if bracketed:
        if "%" in text:
            raise Refused("An address with a zone is refused.")
        try:
            return str(IPv6Address(text))
        except ValueError:
            raise Refused("What stands in brackets is no IPv6 address.") from None
    labels = text.removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):
        # A resolver would take octal, hexadecimal and shortened forms; one form is enough.
        try:
            return str(IPv4Address(text))
        except ValueError:
            raise Refused(
                "An IPv4 address is written as four decimal numbers, such as 192.0.2.1."
            ) from None
    if len(text) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused("The host is neither a name in ASCII (xn--…) nor an IP address.")
    return text


def check(target: Target, address: Address, networks: Sequence[Network], *, plain: bool) -> None:
    """Raise `Refused` where nothing is sent to this address. `plain`: whether http:// is taken."""
    allowed = is_allowed(address, networks)
    if not allowed and not is_public(address):
        raise Refused(f"{address} is no address of the public internet.")
    if target.scheme == "http" and not (plain or allowed):
        raise Refused("http:// is refused: what is sent could be read on its way. Use https://.")


@check_of_value()
def check_new(
    url: str, networks: Sequence[Network], *, plain: bool, path: Sequence[str | int]
) -> Target:
    """What can be said of an address before its name is looked up. Raises `BadInput` at `path`."""
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
        # The name may stand for an address in one of them.
        return
    elif target.host.lower().rstrip(".").endswith(_LOCAL_NAMES):
        raise Refused("This name stands for no host of the public internet.")
    elif target.scheme == "http" and not plain:
        raise Refused("http:// is refused; use https://.")
