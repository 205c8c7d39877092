"""TLS in front of PostgreSQL, with certificates of our own: the embedded server has no TLS."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ssl
import struct
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_WANTS_TLS = 80877103


class TlsServer(NamedTuple):
    """Its port, the file of the authority that signed its certificate, and that of another one."""

    port: int
    authority: Path
    stranger: Path

    def url(self, query: str, *, host: str = "localhost") -> str:
        """The address of its database; the certificate is for `localhost`."""
        return f"postgres://taskloom@{host}:{self.port}/taskloom?{query}"


class Authority:
    """Signs certificates."""

    def __init__(self, name: str) -> None:
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        self.certificate = (
            self._certificate(self.name, self.key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self.key, hashes.SHA256())
        )

    def signed(self, host: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """A certificate for this host, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        wanted = self._certificate(subject, key).add_extension(names, critical=False)
        return wanted.sign(self.key, hashes.SHA256()), key

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder(issuer_name=self.name, subject_name=subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def write_certificate(authority: Authority, host: str, folder: Path) -> None:
    """`authority.pem`, and `server.pem` with a certificate for this host and its key."""
    certificate, key = authority.signed(host)
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "authority.pem").write_bytes(_pem(authority.certificate))
    (folder / "server.pem").write_bytes(_pem(certificate) + text)


@contextlib.asynccontextmanager
async def tls_server(dsn: str, *, tls: bool = True) -> AsyncIterator[TlsServer]:
    """A server that accepts TLS only or, with `tls=False`, no TLS."""
    path = f"{parse_qs(urlsplit(dsn).query)['host'][0]}/.s.PGSQL.5432"
    with tempfile.TemporaryDirectory(prefix="taskloom-tls-") as folder:
        home = Path(folder)
        authority, stranger = Authority("Our authority"), Authority("Another authority")
        (home / "stranger.pem").write_bytes(_pem(stranger.certificate))
        write_certificate(authority, "localhost", home)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(home / "server.pem")
        open_: set[asyncio.StreamWriter] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            open_.add(writer)
            try:
                await _client(reader, writer, path, context if tls else None)
            except (asyncio.IncompleteReadError, OSError):
                pass
            finally:
                open_.discard(writer)
                writer.close()

        listener = await asyncio.start_server(serve, "localhost", 0, family=2)
        try:
            port = listener.sockets[0].getsockname()[1]
            yield TlsServer(port, home / "authority.pem", home / "stranger.pem")
        finally:
            listener.close()
            for writer in list(open_):
                writer.transport.abort()


async def _client(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    path: str,
    context: ssl.SSLContext | None,
) -> None:
    begin = await reader.readexactly(8)
    encrypted = False
    if struct.unpack("!II", begin)[1] == _WANTS_TLS:
        writer.write(b"N" if context is None else b"S")
        await writer.drain()
        if context is not None:
            await writer.start_tls(context)
            encrypted = True
        begin = await reader.readexactly(8)
    if context is not None and not encrypted:
        # As PostgreSQL says it for `hostssl` alone in pg_hba.conf.
        fields = b"SFATAL\0VFATAL\0C28000\0Mno pg_hba.conf entry, no encryption\0\0"
        writer.write(b"E" + struct.pack("!I", 4 + len(fields)) + fields)
        return
    server_reader, server_writer = await asyncio.open_unix_connection(path)
    server_writer.write(begin)
    try:
        await asyncio.wait(
            [
                asyncio.ensure_future(_relay(reader, server_writer)),
                asyncio.ensure_future(_relay(server_reader, writer)),
            ],
            return_when=asyncio.FIRST_COMPLETED,
        )
    finally:
        server_writer.close()


async def _relay(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
        target.close()
