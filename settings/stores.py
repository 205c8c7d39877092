"""Where things are kept: PostgreSQL, Redis, files."""

from __future__ import annotations

import re
import ssl
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

import postgres_url
from settings.base import Group, http_url, split_url

# Of the library's, those that mean something for all of its connections.
_REDIS_PARAMETERS = {
    *("db", "username", "password", "protocol", "client_name", "health_check_interval"),
    *("socket_timeout", "socket_connect_timeout", "socket_keepalive", "retry_on_timeout"),
    "max_connections",
}
_REDIS_TLS = {
    *("ssl_cert_reqs", "ssl_check_hostname", "ssl_min_version"),
    *("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"),
}


class DatabaseSettings(Group):
    """The PostgreSQL server and the connections to it."""

    url: str | None = Field(
        None,
        repr=False,
        validation_alias="DATABASE_URL",
        json_schema_extra={"secret": True, "default_text": "embedded"},
    )
    """PostgreSQL 15 or later: `postgres://user:password@host:port/name?sslmode=…`, with libpq's
    parameters. If not set, an embedded server runs in the data folder."""
    read_url: str | None = Field(
        None,
        repr=False,
        validation_alias="DATABASE_READ_URL",
        json_schema_extra={"secret": True, "default_text": "none: DATABASE_URL"},
    )
    """A read replica of that server, for queries. A user's changes are visible to the user at once;
    other queries may lag behind. With several processes, this requires `REDIS_URL`."""
    pooler: Literal["auto", "none", "transaction"] = Field(
        "auto", validation_alias="TASKLOOM_DB_POOLER"
    )
    """`transaction`: a pooler such as PgBouncer gives each transaction another connection of
    PostgreSQL. `auto` recognizes poolers; `none` is for one in session mode, and faster."""
    schema_name: str | None = Field(
        None,
        pattern="^[a-z_][a-z0-9_]{0,62}$",
        validation_alias="TASKLOOM_DB_SCHEMA",
        json_schema_extra={"default_text": "the server's own"},
    )
    """PostgreSQL schema to use, created by `taskloom migrate`; for shared servers."""
    row_security: Literal["off", "prepared", "on"] = Field(
        "off", validation_alias="TASKLOOM_ROW_SECURITY"
    )
    """`on`: PostgreSQL hides rows that the viewer may not see even from a faulty statement. See
    `docs/database.md` for what it costs, and for `prepared`."""
    connections: int = Field(15, ge=6, le=1000, validation_alias="TASKLOOM_DB_CONNECTIONS")
    """Most connections that each process opens, opened when needed. Processes are the server's
    (`TASKLOOM_WORKERS`) and the workers: six of them fit PostgreSQL's default of 100."""
    pool_timeout_seconds: float = Field(
        10.0, gt=0, le=60, validation_alias="TASKLOOM_DB_POOL_TIMEOUT"
    )
    """Seconds that a request waits for a free connection before it fails."""
    connect_timeout_seconds: float = Field(
        10.0, gt=0, le=120, validation_alias="TASKLOOM_DB_CONNECT_TIMEOUT"
    )
    """Seconds within which a connection must open."""
    statement_timeout_ms: int = Field(
        10000, ge=100, le=600000, validation_alias="TASKLOOM_DB_STATEMENT_TIMEOUT_MS"
    )
    """Milliseconds after which the database cancels a statement."""
    lock_timeout_ms: int = Field(
        5000, ge=100, le=600000, validation_alias="TASKLOOM_DB_LOCK_TIMEOUT_MS"
    )
    """Milliseconds that a statement waits for a lock."""
    idle_transaction_timeout_ms: int = Field(
        15000, ge=100, le=600000, validation_alias="TASKLOOM_DB_IDLE_TRANSACTION_TIMEOUT_MS"
    )
    """Milliseconds after which the database ends an idle transaction. An open transaction holds all
    readers of events back."""

    @field_validator("url", "read_url")
    @classmethod
    def _postgres(cls, value: str | None) -> str | None:
        if value is None:
            return None
        scheme, _, rest = value.partition("://")
        # Some tools write the driver into the scheme; the driver is ours to choose.
        if scheme.lower().partition("+")[0] not in {"postgres", "postgresql"} or not rest:
            raise ValueError("must begin with postgres:// or postgresql://")
        postgres_url.check(value)
        return f"postgresql://{rest}"

    @property
    def dsn(self) -> str:
        """The address in libpq's form, without the parameters that only libpq itself uses.

        Raises `RuntimeError` before the embedded server has started, if that is used.
        """
        if self.url is None:
            raise RuntimeError("no DATABASE_URL, and the embedded PostgreSQL was not started")
        return postgres_url.for_driver(self.url)

    @property
    def connect_args(self) -> dict[str, Any]:
        """Keyword arguments of `db.connecting.connect_driver`."""
        if self.url is None:
            raise RuntimeError("no DATABASE_URL, and the embedded PostgreSQL was not started")
        return self._arguments(self.url)

    @property
    def read_connect_args(self) -> dict[str, Any] | None:
        """The same for `DATABASE_READ_URL`; None without it."""
        return None if self.read_url is None else self._arguments(self.read_url)

    def _arguments(self, url: str) -> dict[str, Any]:
        parameters = postgres_url.parameters(url)
        # PostgreSQL's default of 4 for a random page is that of a hard disk. With it, each look-up
        # of a user by a key reads a small table from its beginning to its end.
        session = {"jit": "off", "random_page_cost": "1.1", "timezone": "UTC"}
        if "application_name" not in parameters:
            name = parameters.get("fallback_application_name", "taskloom")
            session["application_name"] = name
        if self.schema_name is not None:
            session["search_path"] = self.schema_name
        given = parameters.get("connect_timeout")
        arguments: dict[str, Any] = {
            "dsn": postgres_url.for_driver(url),
            "timeout": self.connect_timeout_seconds if given is None else float(given),
            "server_settings": session,
            "pooler": self.pooler,
        }
        if parameters.get("sslrootcert") == "system":
            arguments["ssl"] = ssl.create_default_context()
        return arguments


class RedisSettings(Group):
    """Redis, by which several processes notify one another at once."""

    url: str | None = Field(
        None,
        repr=False,
        validation_alias="REDIS_URL",
        json_schema_extra={"secret": True, "default_text": "in process"},
    )
    """`redis://…`, `rediss://…` or `unix://…`. Without it, each process works by itself, in memory.
    """
    prefix: str = Field("taskloom:", max_length=50, validation_alias="TASKLOOM_REDIS_PREFIX")
    """Prefix of all keys and channels; for shared servers."""

    @field_validator("url")
    @classmethod
    def _redis(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not re.match(r"^(redis|rediss|unix)://.", value):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        parts = split_url(value)
        if parts.fragment or "@" in parts.path:
            raise ValueError("in passwords, / ? # @ are written as %2F %3F %23 %40")
        if parts.scheme != "unix" and not re.fullmatch(r"(/\d*)?", parts.path):
            raise ValueError("must end with the number of a database, as in redis://host:6379/0")
        known = _REDIS_PARAMETERS | (_REDIS_TLS if parts.scheme == "rediss" else set())
        if unknown := dict(parse_qsl(parts.query)).keys() - known:
            raise ValueError(f"does not know the parameters {', '.join(sorted(unknown))}")
        return value


class StorageSettings(Group):
    """Where uploaded files are stored."""

    url: str | None = Field(
        None,
        validation_alias="TASKLOOM_STORAGE_URL",
        json_schema_extra={"default_text": "the folder `files` in TASKLOOM_DATA_DIR"},
    )
    """`file:///folder` or `s3://bucket/prefix?region=…&endpoint=https://…`; `endpoint` for stores
    other than Amazon S3. With several machines, all of them must be able to reach the store."""
    access_key: str | None = Field(None, validation_alias="TASKLOOM_STORAGE_ACCESS_KEY")
    """Access key ID for the bucket. Without it, the AWS variables or the machine's role apply."""
    secret_key: SecretStr | None = Field(
        None,
        validation_alias="TASKLOOM_STORAGE_SECRET_KEY",
        json_schema_extra={"secret": True},
    )
    """Secret of the access key."""
    upload_bytes: int = Field(
        10485760, ge=1000, le=1000000000, validation_alias="TASKLOOM_LIMIT_UPLOAD_BYTES"
    )
    """Maximum size of an uploaded file, in bytes."""

    @field_validator("url")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not re.match(r"^(file:///|s3://[A-Za-z0-9._-]+(/|\?|$))", value):
            raise ValueError("must begin with file:/// or s3://bucket")
        given = dict(parse_qsl(urlsplit(value).query))
        if "endpoint" in given:
            http_url(given["endpoint"])
        if unknown := given.keys() - {"region", "endpoint"}:
            raise ValueError(f"knows the parameters region and endpoint, not {', '.join(unknown)}")
        return value

    @field_validator("secret_key")
    @classmethod
    def _with_access_key(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if (value is None) != (info.data.get("access_key") is None):
            raise ValueError("must be set together with TASKLOOM_STORAGE_ACCESS_KEY")
        return value
