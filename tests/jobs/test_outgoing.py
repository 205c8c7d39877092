"""Requests go to the addresses that were checked, with the name that was asked for."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import ssl
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from domain.integrations.addresses import Refused
from jobs.outgoing import Outgoing, Unreachable
from tests.receivers import Receiver, receiving

HOME = ip_network("127.0.0.0/8")
NAME = "hooks.example.com"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


def resolves(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """What the name stands for at each look-up in turn; gives the names that were looked up."""
    asked: list[str] = []
    loop = asyncio.get_running_loop()

    async def getaddrinfo(host: Any, port: Any, **_: Any) -> list[Any]:
        asked.append(str(host))
        texts = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)) for text in texts]

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo, raising=False)
    return asked


async def test_the_own_machine_is_refused_and_nothing_is_sent(receiver: Receiver) -> None:
    with pytest.raises(Refused):
        await Outgoing(plain=True).post(receiver.url(), {}, b"{}")
    with pytest.raises(Refused):
        await Outgoing(plain=True).post(f"http://localhost:{receiver.port}/", {}, b"{}")
    assert receiver.requests == []


async def test_one_private_address_among_public_ones_is_enough_to_refuse(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    resolves(monkeypatch, ["93.184.216.34", "127.0.0.1"])
    with pytest.raises(Refused):
        await Outgoing(plain=True).post(f"http://{NAME}:{receiver.port}/", {}, b"{}")
    assert receiver.requests == []


async def test_a_name_is_looked_up_once_for_each_request(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    """What it stands for a moment later does not matter."""
    asked = resolves(monkeypatch, ["127.0.0.1"], ["10.0.0.1"])
    outgoing = Outgoing((HOME,))
    url = f"http://{NAME}:{receiver.port}/x?y=z"
    assert (await outgoing.post(url, {}, b"{}")).status == 200
    assert asked == [NAME]
    (request,) = receiver.requests
    assert request.headers["host"] == f"{NAME}:{receiver.port}"
    assert request.path == "/x?y=z"
    with pytest.raises(Refused):
        await outgoing.post(url, {}, b"{}")


async def test_plain_http_is_refused_outside_of_named_networks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolves(monkeypatch, ["93.184.216.34"])
    with pytest.raises(Refused):
        await Outgoing((HOME,)).post(f"http://{NAME}/", {}, b"{}")


async def test_a_proxy_of_the_environment_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert (await Outgoing((HOME,)).post(receiver.url(), {}, b"{}")).status == 200


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of `NAME`, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


async def test_name_and_certificate_are_those_of_the_address_as_written(
    monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    named: list[str | None] = []
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)
    server.sni_callback = lambda _socket, name, _context: named.append(name)
    client = ssl.create_default_context(cafile=certificate)
    async with receiving(server) as receiver:
        resolves(monkeypatch, ["127.0.0.1"])
        outgoing = Outgoing((HOME,), tls=client)
        answer = await outgoing.post(f"https://{NAME}:{receiver.port}/", {}, b"{}")
        assert answer.status == 200
        assert named == [NAME]
        # Another name at the same address is not what the certificate says.
        with pytest.raises(Unreachable):
            await outgoing.post(f"https://other.example.com:{receiver.port}/", {}, b"{}")
