"""Every spelling of an address that is not public is refused; public addresses are accepted."""

from __future__ import annotations

import ipaddress

import pytest

from domain.integrations import addresses
from domain.integrations.addresses import Refused, is_public, parse
from errors import BadInput

NOT_PUBLIC = [
    # IPv4: this network, private, shared, loopback, link-local, protocols, documentation,
    # relays, benchmarks, multicast, reserved, broadcast, and the metadata service of Azure.
    *("0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254"),
    *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1"),
    *("192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255"),
    *("240.0.0.1", "255.255.255.255", "168.63.129.16"),
    # IPv6: unspecified, loopback, link-local, site-local, unique local, multicast,
    # documentation, discard.
    *("::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "ff0e::1"),
    *("2001:db8::1", "3fff::1", "100::1", "5f00::1"),
    # IPv4 inside: mapped, compatible, NAT64 (both prefixes), 6to4, Teredo, ISATAP; even where the
    # address inside is public.
    *("::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "::ffff:0:7f00:1"),
    *(
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2002:808:808::",
    ),
    *("2001::1", "2001:0:7f00:1:8000:0:80ff:fffe", "2606:4700::200:5efe:7f00:1"),
    "2606:4700::5efe:7f00:1",
]

PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001::1"]


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_addresses_that_are_not_public_are_refused(text: str) -> None:
    address = ipaddress.ip_address(text)
    assert not is_public(address)
    host = f"[{text}]" if ":" in text else text
    with pytest.raises(BadInput):
        addresses.check_new(f"https://{host}/", (), plain=True, path=("url",))


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_accepted(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))
    host = f"[{text}]" if ":" in text else text
    addresses.check_new(f"https://{host}/hook?a=b", (), plain=False, path=("url",))


@pytest.mark.parametrize(
    "url",
    [
        # Decimal, octal, hexadecimal, shortened, with an empty or a long part, with a trailing dot.
        *("https://2130706433/", "https://0177.0.0.1/", "https://0x7f.0.0.1/", "https://127.1/"),
        *(
            "https://0x7f000001/",
            "https://017700000001/",
            "https://127.0.1/",
            "https://127.0.0.01/",
        ),
        *("https://8.8.8.8./", "https://134744072/", "https://010.8.8.8/", "https://a.0x/"),
        # Other digits and dots, escapes, zones.
        *("https://\uff11\uff12\uff17.0.0.1/", "https://127\u30020\u30020\u30021/"),
        "https://%31%32%37.0.0.1/",
        *("https://[fe80::1%25eth0]/", "https://[::ffff:127.0.0.1%251]/", "https://[v1.x]/"),
        # Credentials, other schemes, odd characters.
        *("https://user@example.com/", "https://user:word@example.com/", "https://@example.com/"),
        *("ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "//example.com/"),
        *(
            "https://example.com\\@127.0.0.1/",
            "https://exa mple.com/",
            "https://example.com/\r\nX: y",
        ),
        *(
            "https://",
            "https:///x",
            "https://-a.example/",
            "https://a..b/",
            "https://example.com/#x",
        ),
        "https://" + "a" * 64 + ".com/",
        "https://example.com/" + "a" * 2000,
        # Ports.
        *("https://example.com:22/", "https://example.com:25/", "https://example.com:0/"),
        *("https://example.com:65536/", "https://example.com:x/"),
    ],
)
def test_unusual_forms_are_refused(url: str) -> None:
    with pytest.raises(Refused):
        parse(url)


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("https://Example.com", "example.com", "/"),
        ("https://example.com:443/a?b=c", "example.com", "/a?b=c"),
        ("https://example.com:8443/", "example.com:8443", "/"),
        ("https://[2606:4700:4700::1111]:8443/x", "[2606:4700:4700::1111]:8443", "/x"),
        ("http://8.8.8.8/", "8.8.8.8", "/"),
    ],
)
def test_an_address_is_parsed(url: str, authority: str, path: str) -> None:
    target = parse(url)
    assert (target.authority, target.path) == (authority, path)


@pytest.mark.parametrize("host", ["localhost", "api.localhost", "printer.local", "db.internal"])
def test_local_names_are_refused_when_saved(host: str) -> None:
    with pytest.raises(BadInput):
        addresses.check_new(f"https://{host}/", (), plain=True, path=("url",))


def test_http_is_for_development_and_for_named_networks() -> None:
    def check(host: str, *networks: str, plain: bool) -> None:
        named = tuple(ipaddress.ip_network(network) for network in networks)
        addresses.check_new(f"http://{host}/", named, plain=plain, path=("url",))

    check("example.com", plain=True)
    check("10.0.0.1", "10.0.0.0/8", plain=False)
    for host, networks in (("example.com", ()), ("8.8.8.8", ()), ("8.8.8.8", ("10.0.0.0/8",))):
        with pytest.raises(BadInput):
            check(host, *networks, plain=False)
