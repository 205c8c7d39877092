"""Addresses of PostgreSQL servers, as libpq defines them.

People paste what their provider shows. The driver (asyncpg) knows most parameters of libpq; the
others it would send to the server as start-up parameters, which refuses them.
"""

from __future__ import annotations

import os
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

# Parameters of libpq that mean nothing to another driver, or that `_arguments` reads.
_LIBPQ_ONLY = frozenset(
    {
        "client_encoding",
        "connect_timeout",
        "fallback_application_name",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "load_balance_hosts",
        # Prisma's; a pooler is recognized without it.
        "pgbouncer",
        "sslcompression",
        "sslsni",
        "tcp_user_timeout",
    }
)
# Those that demand something of the connection that the driver cannot do.
_DEMANDS = {
    "channel_binding": ("disable", "prefer"),
    "requirepeer": (),
    "require_auth": (),
    "gssencmode": ("disable", "prefer"),
}
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SESSIONS = ("any", "primary", "standby", "read-write", "read-only", "prefer-standby")
ESCAPES = "in user names and passwords, / ? # [ ] @ % are written as %2F %3F %23 %5B %5D %40 %25"
_SSL_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")


def parameters(url: str) -> dict[str, str]:
    """The parameters of a database's address; the last one of a name counts."""
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def check(url: str) -> None:
    """Raise `ValueError` if the address cannot work, with what is wrong with it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f"its host is invalid; {ESCAPES}") from None
    if parts.fragment or "@" in parts.path + parts.query:
        raise ValueError(ESCAPES)
    hosts = parts.netloc.rpartition("@")[2]
    for host in hosts.split(","):
        try:
            _ = urlsplit(f"//{host}").port
        except ValueError:
            raise ValueError(f"its port must be a number up to 65535; {ESCAPES}") from None
    given = parameters(url)
    mode = given.get("sslmode")
    if mode is not None and mode not in _SSL_MODES:
        raise ValueError(f"sslmode must be one of {', '.join(_SSL_MODES)}; it is {mode!r}")
    if "ssl" in given:
        raise ValueError("has the parameter ssl of another driver; write sslmode=require instead")
    session = given.get("target_session_attrs")
    if session is not None and session not in _SESSIONS:
        raise ValueError(f"target_session_attrs must be one of {', '.join(_SESSIONS)}")
    for name, accepted in _DEMANDS.items():
        value = given.get(name)
        if value and value not in accepted:
            raise ValueError(
                f"{name}={value} is not supported; remove it, and use sslmode=verify-full to be "
                "sure of the server"
            )
    timeout = given.get("connect_timeout")
    if timeout is not None and not (timeout.isascii() and timeout.isdigit() and int(timeout) > 0):
        raise ValueError("connect_timeout must be a number of seconds, 1 or more")
    if given.get("sslrootcert") == "system" and mode != "verify-full":
        raise ValueError("sslrootcert=system requires sslmode=verify-full")
    for name in _SSL_FILES:
        path = given.get(name)
        if path and (name, path) != ("sslrootcert", "system") and not os.access(path, os.R_OK):
            raise ValueError(f"{name}: cannot read {path}")


def for_driver(url: str) -> str:
    """The address without what the driver would take for start-up parameters."""
    parts = urlsplit(url)
    system = parameters(url).get("sslrootcert") == "system"
    kept = [
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if name not in _LIBPQ_ONLY
        and name not in _DEMANDS
        # Then the arguments have a context of their own.
        and not (system and name in {"sslrootcert", "sslmode"})
    ]
    # Written with an empty host too (`postgresql:///name?host=…`), which `urlunsplit` would drop.
    query = f"?{urlencode(kept, quote_via=quote)}" if kept else ""
    return f"postgresql://{parts.netloc}{parts.path}{query}"
