"""Addresses of databases as providers show them, and each mode of TLS."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from db.connecting import connect_driver
from db.faults import DatabaseFault, database_fault
from settings import Settings, SettingsError, load_settings
from tests.tls import TlsServer, tls_server


async def user_at(url: str) -> str:
    """Who the database says we are."""
    settings = load_settings({"DATABASE_URL": url}, env_file=None)
    connection = await connect_driver(**settings.database.connect_args)
    try:
        user: str = await connection.fetchval("SELECT current_user")
        return user
    finally:
        await connection.close()


@pytest.fixture(scope="module")
async def secure(postgres: str) -> AsyncIterator[TlsServer]:
    async with tls_server(postgres) as server:
        yield server


@pytest.fixture(scope="module")
async def plain(postgres: str) -> AsyncIterator[TlsServer]:
    async with tls_server(postgres, tls=False) as server:
        yield server


AUTHORITY, STRANGER = "sslrootcert={0.authority}", "sslrootcert={0.stranger}"


@pytest.mark.parametrize(
    ("query", "host"),
    [
        ("", "localhost"),
        ("sslmode=allow", "localhost"),
        ("sslmode=prefer", "localhost"),
        ("sslmode=require", "127.0.0.1"),
        (f"sslmode=require&{AUTHORITY}", "127.0.0.1"),
        (f"sslmode=verify-ca&{AUTHORITY}", "127.0.0.1"),
        (f"sslmode=verify-full&{AUTHORITY}", "localhost"),
        (f"sslmode=verify-full&{AUTHORITY}&ssl_min_protocol_version=TLSv1.3", "localhost"),
    ],
)
async def test_a_server_with_tls_is_reached(secure: TlsServer, query: str, host: str) -> None:
    assert await user_at(secure.url(query.format(secure), host=host)) == "taskloom"


@pytest.mark.parametrize(
    ("query", "host", "kind"),
    [
        ("sslmode=disable", "localhost", asyncpg.InvalidAuthorizationSpecificationError),
        # As libpq does: with a file of authorities, `require` checks the certificate.
        (f"sslmode=require&{STRANGER}", "localhost", ssl.SSLCertVerificationError),
        (f"sslmode=verify-ca&{STRANGER}", "localhost", ssl.SSLCertVerificationError),
        (f"sslmode=verify-full&{STRANGER}", "localhost", ssl.SSLCertVerificationError),
        (f"sslmode=verify-full&{AUTHORITY}", "127.0.0.1", ssl.SSLCertVerificationError),
        ("sslmode=verify-full&sslrootcert=system", "localhost", ssl.SSLCertVerificationError),
    ],
)
async def test_a_server_that_is_not_sure_enough_is_refused(
    secure: TlsServer, query: str, host: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as raised:
        await user_at(secure.url(query.format(secure), host=host))
    assert database_fault(raised.value) is DatabaseFault.UNREACHABLE


async def test_the_authorities_of_the_system_count(
    secure: TlsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secure.authority))
    url = secure.url("sslmode=verify-full&sslrootcert=system")
    assert await user_at(url) == "taskloom"
    with pytest.raises(ssl.SSLCertVerificationError):
        await user_at(url.replace("localhost", "127.0.0.1"))


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
async def test_a_server_without_tls_is_reached(plain: TlsServer, mode: str) -> None:
    assert await user_at(plain.url(f"sslmode={mode}")) == "taskloom"


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_a_server_without_tls_is_refused(plain: TlsServer, mode: str) -> None:
    with pytest.raises(ConnectionError):
        await user_at(plain.url(f"sslmode={mode}&sslrootcert={plain.authority}"))


async def test_the_second_of_two_hosts_serves(plain: TlsServer) -> None:
    url = plain.url("target_session_attrs=read-write&sslmode=disable")
    assert await user_at(url.replace("@", "@localhost:1,")) == "taskloom"


@pytest.mark.parametrize(
    "query",
    [
        "connect_timeout=5&keepalives=1&keepalives_idle=30&gssencmode=disable&client_encoding=utf8",
        "channel_binding=prefer&sslsni=1&load_balance_hosts=disable&tcp_user_timeout=1000",
        "fallback_application_name=mine&pgbouncer=true",
        "application_name=mine&options=-c%20statement_timeout%3D5000",
    ],
)
async def test_parameters_of_libpq_are_understood(plain: TlsServer, query: str) -> None:
    assert await user_at(plain.url(query)) == "taskloom"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("sslmode=yes", "sslmode must be one of disable, allow, prefer, require, verify-ca"),
        ("sslmode=verify-full&sslrootcert=/nowhere.pem", "sslrootcert: cannot read /nowhere.pem"),
        ("sslmode=require&sslrootcert=system", "sslrootcert=system requires sslmode=verify-full"),
        ("sslcert=/nowhere.pem", "sslcert: cannot read"),
        ("channel_binding=require", "channel_binding=require is not supported"),
        ("requirepeer=postgres", "requirepeer=postgres is not supported"),
        ("connect_timeout=soon", "connect_timeout must be a number of seconds"),
    ],
)
@pytest.mark.parametrize("variable", ["DATABASE_URL", "DATABASE_READ_URL"])
def test_parameters_that_cannot_work_are_refused(query: str, says: str, variable: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings({variable: f"postgres://me:hidden@db.example.com/x?{query}"}, env_file=None)
    assert variable in str(raised.value)
    assert says in str(raised.value)
    assert "hidden" not in str(raised.value)


async def test_settings_that_the_server_lacks_are_left_out(settings: Settings) -> None:
    arguments: dict[str, Any] = settings.database.connect_args
    own = {**arguments["server_settings"], "of_another_version": "on", "statement_timeout": "1234"}
    connection = await connect_driver(**{**arguments, "server_settings": own})
    try:
        assert await connection.fetchval("SHOW statement_timeout") == "1234ms"
    finally:
        await connection.close()
