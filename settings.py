"""Every setting of Taskloom, from the environment and from a `.env` file.

Settings are split by concern into frozen groups (`settings.server`, `settings.database`, …) that
are read once at start and passed down; nothing else reads the environment. An environment variable
overrides the same line in `.env`. An empty one counts as absent, since compose files often pass
empty strings.

The docstring of each field is what `taskloom settings` prints, so this file is also the reference
of the configuration.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import json
import os
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

import postgres_url

# Public, as this repository is; refused in production.
DEVELOPMENT_SECRET = "taskloom-development-secret-do-not-use-in-production"  # noqa: S105 - that is its point
DEVELOPMENT_PEPPER = "taskloom-development-pepper-do-not-use-in-production"

ENV_FILE = Path(".env")

# Who can read the schema.
Introspection = Literal["public", "signed-in", "off"]

_RATE = r"[1-9][0-9]{0,8}/([1-9][0-9]{0,3} ?)?(second|minute|hour|day)"


class SettingsError(Exception):
    """Settings are invalid. `problems` names each variable and its rule."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class _Group(BaseSettings):
    """Base of all groups: immutable, read by exact variable name, with validated defaults."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        env_file_encoding="utf-8",
        validate_default=True,
        case_sensitive=True,
        # The text below a setting is its description.
        use_attribute_docstrings=True,
    )


def _is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _own_address(data: dict[str, Any]) -> str:
    """The address at which a browser on this machine reaches the server."""
    host = data.get("host", "127.0.0.1")
    shown = "localhost" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - compared, not bound
    if ":" in shown:
        shown = f"[{shown}]"
    return f"http://{shown}:{data.get('port', 8000)}"


def _http_url(value: str) -> str:
    # Files and shells add blanks at the end, and Python's parser reads past them.
    value = value.strip()
    parts = urlsplit(value)
    blank = re.search(r"\s", value)
    if parts.scheme not in {"http", "https"} or not parts.netloc or blank:
        raise ValueError("must be an http:// or https:// address")
    return value.rstrip("/")


def _network(value: str) -> IPv4Network | IPv6Network:
    """A network; an address is the network that has it alone."""
    try:
        return ip_network(value)
    except ValueError as error:
        raise ValueError(
            f"{error}; name addresses or networks, such as 192.0.2.7 or 10.20.0.0/16"
        ) from None


class ServerSettings(_Group):
    """Where the server listens, and the addresses by which clients reach it."""

    env: Literal["development", "production"] = Field(
        "development", validation_alias="TASKLOOM_ENV"
    )
    """`production` rejects built-in secrets and requires a public address."""
    host: str = Field("127.0.0.1", validation_alias="TASKLOOM_HOST")
    """Address to listen on; `0.0.0.0` for all interfaces. If other machines can reach it, secrets
    must be set in development too."""
    port: int = Field(8000, ge=0, le=65535, validation_alias=AliasChoices("TASKLOOM_PORT", "PORT"))
    """TCP port to listen on; 0 for any free port. `PORT`, which hosting platforms set, works too.
    """
    workers: int = Field(1, ge=1, le=64, validation_alias="TASKLOOM_WORKERS")
    """Number of server processes. With more than one, set `REDIS_URL` as well."""
    data_dir: Path = Field(Path(".taskloom"), validation_alias="TASKLOOM_DATA_DIR")
    """Folder for the embedded database and local files; created if it does not exist."""
    public_url: str = Field(
        default_factory=_own_address,
        validation_alias="TASKLOOM_PUBLIC_URL",
        json_schema_extra={"default_text": "http://HOST:PORT"},
    )
    """Address of this server as clients see it; the issuer of its tokens. It may have a path, if a
    proxy serves Taskloom below one: `https://example.com/taskloom`."""
    frontend_url: str = Field(
        default_factory=lambda data: data.get("public_url", "http://127.0.0.1:8000"),
        validation_alias="TASKLOOM_FRONTEND_URL",
        json_schema_extra={"default_text": "TASKLOOM_PUBLIC_URL"},
    )
    """Address of the web application that the `url` fields and links in e-mails lead to; see
    docs/web-application.md for its pages."""
    board: bool = Field(True, validation_alias="TASKLOOM_BOARD")
    """Whether `/board/` serves the board, an example of a web application."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), validation_alias="TASKLOOM_CORS_ORIGINS"
    )
    """Comma-separated origins whose pages may call the API. In development, every port of localhost
    is allowed as well."""
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (), validation_alias="TASKLOOM_TRUSTED_PROXIES"
    )
    """Comma-separated addresses or networks whose X-Forwarded-For and X-Forwarded-Proto headers are
    trusted. None by default."""
    shutdown_seconds: int = Field(10, ge=1, le=600, validation_alias="TASKLOOM_SHUTDOWN_SECONDS")
    """Seconds that running requests have to finish when the server stops."""
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", validation_alias="TASKLOOM_LOG_LEVEL"
    )
    """Least severe level that is logged."""
    log_slow_seconds: float = Field(
        1.0, gt=0, le=3600, validation_alias="TASKLOOM_LOG_SLOW_SECONDS"
    )
    """Seconds after which a request is logged as slow, with its SQL statements."""
    commit: str = Field("unknown", validation_alias="TASKLOOM_COMMIT")
    """Commit that was built, shown by `/version`. Set by the image."""

    @property
    def production(self) -> bool:
        return self.env == "production"

    @field_validator("cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part for part in re.split(r"[\s,]+", value) if part)
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            bare = f"{parts.scheme}://{parts.netloc}"
            if parts.scheme not in {"http", "https"} or not parts.netloc or origin != bare:
                raise ValueError(
                    f"{origin!r} is not an origin; write scheme, host and port only, "
                    "such as https://app.example.com"
                )
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        # uvicorn takes what is neither for a name, which no client's address ever equals.
        if value != ("*",):
            for proxy in value:
                _network(proxy)
        return value

    @field_validator("public_url", "frontend_url")
    @classmethod
    def _address(cls, value: str) -> str:
        return _http_url(value)

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()


class DatabaseSettings(_Group):
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
        scheme, _, rest = value.strip().partition("://")
        # Some tools write the driver into the scheme; the driver is ours to choose.
        if scheme.partition("+")[0] not in {"postgres", "postgresql"} or not rest:
            raise ValueError("must begin with postgres:// or postgresql://")
        postgres_url.check(value.strip())
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


class RedisSettings(_Group):
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
        value = value.strip()
        if not re.match(r"^(redis|rediss|unix)://.", value):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return value


class AuthSettings(_Group):
    """Passwords, tokens, and who may register."""

    secret: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET),
        min_length=32,
        validation_alias="TASKLOOM_SECRET",
        json_schema_extra={"secret": True, "default_text": "a built-in one, for development only"},
    )
    """Signs tokens, and the links and codes in mails; at least 32 characters, the same in every
    process. docs/secrets.md explains how to change it."""
    old_secrets: SecretStr = Field(
        SecretStr(""),
        validation_alias="TASKLOOM_SECRETS_OLD",
        json_schema_extra={"secret": True, "default_text": "none"},
    )
    """Space-separated former values of `TASKLOOM_SECRET`: still accepted for what was signed or
    encrypted with them, never used for anything new."""
    password_pepper: SecretStr = Field(
        SecretStr(DEVELOPMENT_PEPPER),
        min_length=16,
        validation_alias="TASKLOOM_PASSWORD_PEPPER",
        json_schema_extra={"secret": True, "default_text": "a built-in one, for development only"},
    )
    """Mixed into the hash of every password; at least 16 characters, kept outside the database. If
    it is lost, no password works any longer."""
    password_pepper_version: int = Field(
        1, ge=1, le=32767, validation_alias="TASKLOOM_PASSWORD_PEPPER_VERSION"
    )
    """Number of the current pepper, stored with each hash; raise it when you change the pepper."""
    old_password_peppers: SecretStr = Field(
        SecretStr(""),
        validation_alias="TASKLOOM_PASSWORD_PEPPERS_OLD",
        json_schema_extra={"secret": True, "default_text": "none"},
    )
    """Space-separated former peppers, as `VERSION:PEPPER`. A password hashed with one of them is
    rehashed at the next login."""
    encryption_keys: SecretStr = Field(
        SecretStr(""),
        validation_alias="TASKLOOM_ENCRYPTION_KEYS",
        json_schema_extra={"secret": True, "default_text": "made from TASKLOOM_SECRET"},
    )
    """Space-separated keys of at least 32 characters that encrypt stored secrets (of webhooks and
    integrations). The first one encrypts, all of them decrypt: put a new key in front and keep the
    others."""
    registration: Literal["open", "closed"] = Field(
        "open", validation_alias="TASKLOOM_REGISTRATION"
    )
    """`closed`: users can only be created with `taskloom user create`."""
    access_token_seconds: int = Field(
        900, ge=30, le=3600, validation_alias="TASKLOOM_ACCESS_TOKEN_SECONDS"
    )
    """Lifetime of an access token, in seconds."""
    refresh_token_days: int = Field(7, ge=1, le=90, validation_alias="TASKLOOM_REFRESH_TOKEN_DAYS")
    """Lifetime of a refresh token, in days; each use gives a new one."""
    bcrypt_rounds: int = Field(12, ge=4, le=16, validation_alias="TASKLOOM_BCRYPT_ROUNDS")
    """Cost of a password hash, as a power of two; at least 12 in production."""

    @field_validator("encryption_keys")
    @classmethod
    def _long_keys(cls, value: SecretStr) -> SecretStr:
        if any(len(key) < 32 for key in value.get_secret_value().split()):
            raise ValueError("each key must have at least 32 characters")
        return value

    @field_validator("old_secrets")
    @classmethod
    def _long(cls, value: SecretStr) -> SecretStr:
        if any(len(secret) < 32 for secret in value.get_secret_value().split()):
            raise ValueError("each secret must have at least 32 characters")
        return value

    @field_validator("old_password_peppers")
    @classmethod
    def _numbered(cls, value: SecretStr) -> SecretStr:
        for entry in value.get_secret_value().split():
            version, colon, pepper = entry.partition(":")
            if not (version.isascii() and version.isdigit() and colon and len(pepper) >= 16):
                raise ValueError(
                    "must be entries such as 1:PEPPER, each pepper with at least 16 characters"
                )
        return value

    @property
    def secrets(self) -> list[bytes]:
        """The current secret, then the former ones: the first signs, all of them verify."""
        former = self.old_secrets.get_secret_value().split()
        return [one.encode() for one in (self.secret.get_secret_value(), *former)]

    @property
    def peppers(self) -> dict[int, bytes]:
        """Every pepper that a hash may use, by version."""
        entries = [
            entry.partition(":") for entry in self.old_password_peppers.get_secret_value().split()
        ]
        old = {int(version): pepper.encode() for version, _, pepper in entries}
        return old | {
            self.password_pepper_version: self.password_pepper.get_secret_value().encode()
        }


class StorageSettings(_Group):
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
        if value is not None and not re.match(r"^(file:///|s3://[^/?]+)", value):
            raise ValueError("must begin with file:/// or s3://bucket")
        unknown = dict(parse_qsl(urlsplit(value or "").query)).keys() - {"region", "endpoint"}
        if unknown:
            raise ValueError(f"knows the parameters region and endpoint, not {', '.join(unknown)}")
        return value

    @field_validator("secret_key")
    @classmethod
    def _with_access_key(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if (value is None) != (info.data.get("access_key") is None):
            raise ValueError("must be set together with TASKLOOM_STORAGE_ACCESS_KEY")
        return value


class GraphQLSettings(_Group):
    """How operations are executed."""

    engine: Literal["batch", "standard"] = Field("batch", validation_alias="TASKLOOM_ENGINE")
    """`batch` resolves each field once for all parents on its level; `standard` is the ordinary
    executor: slower, with the same answers."""
    operation_seconds: float = Field(
        10.0, gt=0, le=300, validation_alias="TASKLOOM_OPERATION_SECONDS"
    )
    """Seconds after which a query or mutation is stopped."""
    documents: Literal["any", "registered"] = Field("any", validation_alias="TASKLOOM_DOCUMENTS")
    """`registered`: only documents registered with `taskloom documents register` are executed.
    Registered documents are always exempt from the limits on documents."""
    introspection: Introspection | None = Field(
        None,
        validation_alias="TASKLOOM_INTROSPECTION",
        json_schema_extra={"default_text": "public in development, signed-in in production"},
    )
    """Who can read the schema, by introspection, at `/schema.graphql` and in the reference at
    `/docs`: `public`, `signed-in` users, or nobody (`off`), which turns the explorer off too."""
    suggestions: bool | None = Field(
        None,
        validation_alias="TASKLOOM_SUGGESTIONS",
        json_schema_extra={"default_text": "in development, if TASKLOOM_INTROSPECTION is public"},
    )
    """Whether error messages say “Did you mean …”, which reveals names of the schema to everyone.
    """

    @field_validator("introspection", mode="before")
    @classmethod
    def _as_before(cls, value: object) -> object:
        # Until version 0.1 the setting was `true` or `false`.
        return {"true": "public", "false": "off"}.get(str(value).lower(), value)


class LimitSettings(_Group):
    """Limits for each request, connection, user or address."""

    body_bytes: int = Field(
        1000000, ge=1000, le=100000000, validation_alias="TASKLOOM_LIMIT_BODY_BYTES"
    )
    """Maximum size of a request body without its uploads, in bytes."""
    headers: int = Field(100, ge=20, le=10000, validation_alias="TASKLOOM_LIMIT_HEADERS")
    """Maximum number of headers of a request."""
    header_bytes: int = Field(
        16384, ge=1000, le=10000000, validation_alias="TASKLOOM_LIMIT_HEADER_BYTES"
    )
    """Maximum size of one header, in bytes."""
    headers_bytes: int = Field(
        65536, ge=1000, le=10000000, validation_alias="TASKLOOM_LIMIT_HEADERS_BYTES"
    )
    """Maximum size of a request's address and all its headers, in bytes."""
    headers_seconds: float = Field(
        10.0, ge=0.1, le=600, validation_alias="TASKLOOM_LIMIT_HEADERS_SECONDS"
    )
    """Seconds within which the headers of a request must arrive: from its first byte, or from the
    opening of the connection for its first request."""
    body_seconds: float = Field(
        20.0, ge=0.1, le=3600, validation_alias="TASKLOOM_LIMIT_BODY_SECONDS"
    )
    """Seconds within which a request body must arrive, plus one for each `TASKLOOM_LIMIT_BODY_RATE`
    bytes received."""
    body_rate: int = Field(5000, ge=1, validation_alias="TASKLOOM_LIMIT_BODY_RATE")
    """Minimum speed of an upload, in bytes per second."""
    answer_seconds: float = Field(
        60.0, ge=0.1, le=3600, validation_alias="TASKLOOM_LIMIT_ANSWER_SECONDS"
    )
    """Seconds for which a client may read nothing of a response that is ready."""
    keep_alive_seconds: int = Field(
        75, ge=1, le=4000, validation_alias="TASKLOOM_LIMIT_KEEP_ALIVE_SECONDS"
    )
    """Seconds for which a connection stays open between two requests. It must be more than clients
    and the load balancer keep it, or they send requests that nobody reads: AWS keeps it for 60."""
    json_depth: int = Field(20, ge=5, le=200, validation_alias="TASKLOOM_LIMIT_JSON_DEPTH")
    """Maximum nesting of objects and lists in a request body."""
    subscriptions_per_connection: int = Field(
        50, ge=1, le=10000, validation_alias="TASKLOOM_LIMIT_SUBSCRIPTIONS"
    )
    """Maximum number of subscriptions on one WebSocket."""
    connections_per_user: int = Field(
        20, ge=1, le=10000, validation_alias="TASKLOOM_LIMIT_CONNECTIONS"
    )
    """Maximum number of WebSockets and event streams that a user can have open in one process."""
    cost_budget: int = Field(5000, ge=1, validation_alias="TASKLOOM_LIMIT_COST_BUDGET")
    """Cost points that a user, an API key, or an address if signed out, can spend per minute."""
    cost_operation: int = Field(2000, ge=1, validation_alias="TASKLOOM_LIMIT_COST_OPERATION")
    """Maximum cost of one operation, in points."""
    login_account: str = Field("5/minute;20/hour", validation_alias="TASKLOOM_LIMIT_LOGIN_ACCOUNT")
    """Login attempts per account: rates such as `5/minute;20/hour`, or `unlimited`."""
    login_address: str = Field("30/minute", validation_alias="TASKLOOM_LIMIT_LOGIN_ADDRESS")
    """Login attempts per address."""
    registration: str = Field("10/hour", validation_alias="TASKLOOM_LIMIT_REGISTRATION")
    """New accounts per address."""
    account_mail: str = Field("1/minute;5/hour", validation_alias="TASKLOOM_LIMIT_ACCOUNT_MAIL")
    """Requests for a mail that resets a password or verifies an address, per account and per
    address of the client."""
    task_creation: str = Field("2000/hour", validation_alias="TASKLOOM_LIMIT_TASK_CREATION")
    """New tasks per user."""
    uploads: str = Field("20/hour", validation_alias="TASKLOOM_LIMIT_UPLOADS")
    """Uploaded files per user."""

    @field_validator(
        "login_account", "login_address", "registration", "account_mail", "task_creation", "uploads"
    )
    @classmethod
    def _rate(cls, value: str) -> str:
        if value != "unlimited" and not re.fullmatch(rf"{_RATE}(;{_RATE})*", value):
            raise ValueError("must be rates such as 5/minute;20/hour, or unlimited")
        return value


class EventSettings(_Group):
    """How long the event log is kept."""

    replay_days: int = Field(7, ge=7, le=3650, validation_alias="TASKLOOM_EVENT_REPLAY_DAYS")
    """Days for which clients can resume from an event cursor."""
    retention_days: int | None = Field(
        None,
        ge=7,
        le=36500,
        validation_alias="TASKLOOM_EVENT_RETENTION_DAYS",
        json_schema_extra={"default_text": "kept forever"},
    )
    """Days for which events are kept, also in the audit log. Then they are permanently deleted, a
    calendar month at a time: when its newest event is older."""


class MailSettings(_Group):
    """The SMTP server that sends mail; docs/mail.md lists the settings of some providers."""

    host: str | None = Field(
        None,
        validation_alias="TASKLOOM_MAIL_HOST",
        json_schema_extra={"default_text": "none: files in the folder `mail` of the data folder"},
    )
    """SMTP server. Without one, mails are written to .eml files, for development."""
    port: int = Field(587, ge=1, le=65535, validation_alias="TASKLOOM_MAIL_PORT")
    """Its TCP port."""
    tls: Literal["starttls", "implicit", "none"] = Field(
        "starttls", validation_alias="TASKLOOM_MAIL_TLS"
    )
    """`starttls` requires STARTTLS (port 587), `implicit` uses TLS from the start (port 465),
    `none` is for a relay on the same machine."""
    ca_file: Path | None = Field(None, validation_alias="TASKLOOM_MAIL_CA_FILE")
    """PEM file of the certificate authority, if the server's certificate is not publicly trusted.
    """
    user: str | None = Field(None, validation_alias="TASKLOOM_MAIL_USER")
    """User name at the SMTP server, if it requires one."""
    password: SecretStr | None = Field(
        None, validation_alias="TASKLOOM_MAIL_PASSWORD", json_schema_extra={"secret": True}
    )
    """Password at the SMTP server."""
    sender: str = Field("Taskloom <taskloom@localhost>", validation_alias="TASKLOOM_MAIL_FROM")
    """Sender of mails, as `Name <address>`."""
    delay_seconds: float = Field(
        30.0, ge=0, le=86400, validation_alias="TASKLOOM_MAIL_DELAY_SECONDS"
    )
    """Seconds that a mail waits for further notifications about the same task, to include them."""

    @property
    def address(self) -> str:
        """The bare address of the sender."""
        return parseaddr(self.sender)[1]

    @field_validator("ca_file")
    @classmethod
    def _certificates(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                ssl.create_default_context(cafile=value)
            except OSError as error:
                raise ValueError(f"must be a PEM file of certificates: {error}") from None
        return value

    @field_validator("sender")
    @classmethod
    def _mailbox(cls, value: str) -> str:
        address = parseaddr(value)[1]
        if address.count("@") != 1 or address.startswith("@") or address.endswith("@"):
            raise ValueError("must be an address such as Taskloom <no-reply@example.com>")
        return value


class PushSettings(_Group):
    """Push messages to phones and browsers, through Firebase Cloud Messaging and Web Push."""

    credentials: Path | None = Field(
        None,
        validation_alias="TASKLOOM_FCM_CREDENTIALS",
        json_schema_extra={"default_text": "none: no push messages"},
    )
    """JSON file of a Google service account that is allowed to send messages."""
    url: str = Field("https://fcm.googleapis.com", validation_alias="TASKLOOM_FCM_URL")
    """Address of the messaging service; differs only in tests."""
    vapid_private_key: SecretStr | None = Field(
        None,
        validation_alias="TASKLOOM_VAPID_PRIVATE_KEY",
        json_schema_extra={"secret": True, "default_text": "none: no Web Push"},
    )
    """Signs messages to browsers (Web Push): 32 bytes as base64url, generated by `taskloom secrets
    vapid`. After a change, browsers must subscribe again."""
    vapid_subject: str | None = Field(
        None,
        pattern="^(mailto:|https://).+",
        validation_alias="TASKLOOM_VAPID_SUBJECT",
        json_schema_extra={"default_text": "mailto: and the address of TASKLOOM_MAIL_FROM"},
    )
    """Contact for push services, as `mailto:…` or `https://…`."""

    @field_validator("credentials")
    @classmethod
    def _account(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                account = json.loads(value.read_text("utf-8"))
            except (OSError, ValueError) as error:
                raise ValueError(f"must be the JSON file of a service account: {error}") from None
            wanted = ("project_id", "client_email", "private_key", "token_uri")
            if missing := [name for name in wanted if name not in account]:
                raise ValueError(f"the file of a service account has {', '.join(missing)}")
        return value

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        return _http_url(value)

    @field_validator("vapid_private_key")
    @classmethod
    def _key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[A-Za-z0-9_-]{43}=?", value.get_secret_value()):
            raise ValueError("must be 32 bytes as base64url; taskloom secrets vapid generates one")
        return value


class MetricsSettings(_Group):
    """Who can read `/metrics`. If none of these is set, it is served in development only."""

    host: str = Field("127.0.0.1", validation_alias="TASKLOOM_METRICS_HOST")
    """Address that `/metrics` listens on, if it has its own port."""
    port: int | None = Field(
        None,
        ge=1,
        le=65535,
        validation_alias="TASKLOOM_METRICS_PORT",
        json_schema_extra={"default_text": "none: the server's own, if a token is set"},
    )
    """TCP port for `/metrics`, which is then served only there."""
    token: SecretStr | None = Field(
        None,
        min_length=16,
        validation_alias="TASKLOOM_METRICS_TOKEN",
        json_schema_extra={"secret": True},
    )
    """Token required to read `/metrics`, sent as `Authorization: Bearer …`; at least 16 characters.
    """


class TelemetrySettings(_Group):
    """OpenTelemetry: traces and metrics, sent by OTLP over HTTP; off unless an endpoint is set. Its
    other variables, such as `OTEL_EXPORTER_OTLP_TIMEOUT`, have their standard meaning.
    """

    disabled: bool = Field(False, validation_alias="OTEL_SDK_DISABLED")
    """`true` sends nothing, whatever else is set."""
    endpoint: str | None = Field(
        None,
        repr=False,
        validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        json_schema_extra={"secret": True, "default_text": "none: nothing is sent"},
    )
    """Address of the receiver, such as `http://collector:4318`; `/v1/traces` and `/v1/metrics` are
    added to it."""
    traces_endpoint: str | None = Field(
        None,
        repr=False,
        validation_alias="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        json_schema_extra={"secret": True, "default_text": "OTEL_EXPORTER_OTLP_ENDPOINT"},
    )
    """Whole address for traces."""
    metrics_endpoint: str | None = Field(
        None,
        repr=False,
        validation_alias="OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        json_schema_extra={"secret": True, "default_text": "OTEL_EXPORTER_OTLP_ENDPOINT"},
    )
    """Whole address for metrics."""
    headers: SecretStr | None = Field(
        None,
        validation_alias="OTEL_EXPORTER_OTLP_HEADERS",
        json_schema_extra={"secret": True},
    )
    """Headers for the receiver, as `name=value,name=value`."""
    protocol: Literal["http/protobuf"] = Field(
        "http/protobuf", validation_alias="OTEL_EXPORTER_OTLP_PROTOCOL"
    )
    """The one protocol that is supported; a collector receives it on port 4318."""
    traces_exporter: Literal["otlp", "none"] = Field(
        "otlp", validation_alias="OTEL_TRACES_EXPORTER"
    )
    """`none` sends no traces."""
    metrics_exporter: Literal["otlp", "none"] = Field(
        "otlp", validation_alias="OTEL_METRICS_EXPORTER"
    )
    """`none` sends no metrics."""
    service_name: str = Field("taskloom", validation_alias="OTEL_SERVICE_NAME")
    """Name of this service in traces and metrics."""
    resource_attributes: str | None = Field(
        None,
        validation_alias="OTEL_RESOURCE_ATTRIBUTES",
        json_schema_extra={"default_text": "none"},
    )
    """Further attributes of this service, as `name=value,name=value`."""
    sampler: Literal[
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ] = Field("parentbased_traceidratio", validation_alias="OTEL_TRACES_SAMPLER")
    """Which traces are recorded. With `parentbased_…`, the caller's `traceparent` decides, if it
    sends one; without, clients have no say."""
    sampler_arg: float = Field(0.02, ge=0, le=1, validation_alias="OTEL_TRACES_SAMPLER_ARG")
    """Share of the traces that `…traceidratio` records."""
    metric_interval: int = Field(
        60000, ge=100, le=3600000, validation_alias="OTEL_METRIC_EXPORT_INTERVAL"
    )
    """Milliseconds between two exports of metrics."""

    @field_validator("endpoint", "traces_endpoint", "metrics_endpoint")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return None if value is None else _http_url(value)

    @property
    def traces(self) -> bool:
        """Whether traces are sent."""
        named = self.endpoint is not None or self.traces_endpoint is not None
        return named and self.traces_exporter == "otlp" and not self.disabled

    @property
    def metrics(self) -> bool:
        """Whether metrics are sent."""
        named = self.endpoint is not None or self.metrics_endpoint is not None
        return named and self.metrics_exporter == "otlp" and not self.disabled

    def environment(self) -> dict[str, str]:
        """The addresses and what goes with them as environment variables, from which the SDK reads
        them.
        """
        given = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint,
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": self.traces_endpoint,
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": self.metrics_endpoint,
            "OTEL_EXPORTER_OTLP_HEADERS": self.headers and self.headers.get_secret_value(),
            "OTEL_RESOURCE_ATTRIBUTES": self.resource_attributes,
        }
        return {name: value for name, value in given.items() if value}


class JobSettings(_Group):
    """How the worker runs background jobs."""

    concurrency: int = Field(10, ge=1, le=100, validation_alias="TASKLOOM_JOB_CONCURRENCY")
    """Number of jobs that one worker runs at the same time."""
    lease_seconds: float = Field(30.0, ge=1, le=600, validation_alias="TASKLOOM_JOB_LEASE_SECONDS")
    """Seconds after which another worker takes over a job whose worker was killed."""


def _is_font(path: Path) -> bool:
    """Whether a file is a whole TrueType or OpenType font, by its table directory."""
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] not in {b"\x00\x01\x00\x00", b"OTTO", b"true"}:
            return False
        count = int.from_bytes(head[4:6])
        tables = [file.read(16) for _ in range(count)]
        size = file.seek(0, os.SEEK_END)
    ends = [int.from_bytes(one[8:12]) + int.from_bytes(one[12:16]) for one in tables]
    return any(one[:4] == b"cmap" for one in tables) and max(ends) <= size


class ExportSettings(_Group):
    """How reports are exported."""

    fonts_dir: Path | None = Field(
        None,
        validation_alias="TASKLOOM_FONTS_DIR",
        json_schema_extra={"default_text": "none: those that are installed with the server"},
    )
    """Folder of `.ttf` and `.otf` files for exports as PDF: for letters of other scripts than
    Latin, Greek and Cyrillic, before the fonts that are installed with the server."""

    @field_validator("fonts_dir")
    @classmethod
    def _fonts(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        folder = value.expanduser().absolute()
        try:
            files = font_files(folder)
            bad = [file.name for file in files if not _is_font(file)]
        except OSError as error:
            raise ValueError(f"cannot read {error.filename}: {error.strerror}") from None
        if not files:
            raise ValueError(f"there is no .ttf or .otf file in {folder}")
        if bad:
            raise ValueError(f"not a whole TrueType or OpenType font: {', '.join(bad)}")
        return folder


def font_files(folder: Path) -> list[Path]:
    """The fonts in a folder, those with a plain name before `Bold`, `Italic` and the like."""
    files = [file for file in folder.iterdir() if file.suffix.lower() in {".ttf", ".otf"}]
    styled = re.compile("bold|italic|oblique|black|light|thin|medium", re.IGNORECASE)
    return sorted(files, key=lambda file: (styled.search(file.stem) is not None, file.name))


class WebhookSettings(_Group):
    """How events are sent to the receivers of webhooks."""

    allowed_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (), validation_alias="TASKLOOM_WEBHOOK_ALLOWED_NETWORKS"
    )
    """Comma-separated private networks, such as `10.20.0.0/16`, that requests may be sent to, over
    http:// as well. For receivers in your own network, and for tests."""
    timeout_seconds: float = Field(
        15.0, gt=0, le=60, validation_alias="TASKLOOM_WEBHOOK_TIMEOUT_SECONDS"
    )
    """Seconds within which a receiver must answer."""

    @field_validator("allowed_networks", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(_network(part) for part in re.split(r"[\s,]+", value) if part)
        return value


class Settings(BaseModel):
    """All groups together. Made by `load_settings`, never changed afterwards."""

    model_config = ConfigDict(frozen=True)

    server: ServerSettings
    database: DatabaseSettings
    redis: RedisSettings
    auth: AuthSettings
    storage: StorageSettings
    graphql: GraphQLSettings
    limits: LimitSettings
    events: EventSettings
    jobs: JobSettings
    mail: MailSettings
    push: PushSettings
    webhooks: WebhookSettings
    exports: ExportSettings
    metrics: MetricsSettings
    telemetry: TelemetrySettings

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        """What concerns several groups; all problems at once."""
        problems = [
            *self._of_others(),
            *self._of_processes(),
            *self._of_production(),
            *self._of_schema(),
        ]
        if problems:
            raise SettingsError(problems)
        return self

    def _of_others(self) -> Iterator[str]:
        """In development, a server that others can reach must have its own secrets."""
        auth, host = self.auth, self.server.host
        if self.server.production or _is_loopback(host):
            return
        why = f"must be set when TASKLOOM_HOST ({host}) can be reached from other machines"
        if auth.secret.get_secret_value() == DEVELOPMENT_SECRET:
            yield f"TASKLOOM_SECRET {why}: the built-in value is public"
        if auth.password_pepper.get_secret_value() == DEVELOPMENT_PEPPER:
            yield f"TASKLOOM_PASSWORD_PEPPER {why}: the built-in value is public"

    def _of_processes(self) -> Iterator[str]:
        """Each process must know what users have changed through the others."""
        if self.database.read_url and self.server.workers > 1 and self.redis.url is None:
            yield "REDIS_URL must be set when DATABASE_READ_URL is, and TASKLOOM_WORKERS is above 1"

    def _of_production(self) -> Iterator[str]:
        if not self.server.production:
            return
        auth = self.auth
        if auth.secret.get_secret_value() == DEVELOPMENT_SECRET:
            yield "TASKLOOM_SECRET must be set in production"
        if auth.password_pepper.get_secret_value() == DEVELOPMENT_PEPPER:
            yield "TASKLOOM_PASSWORD_PEPPER must be set in production"
        if "public_url" not in self.server.model_fields_set:
            yield "TASKLOOM_PUBLIC_URL must be set in production"
        if auth.bcrypt_rounds < 12:
            yield "TASKLOOM_BCRYPT_ROUNDS must be at least 12 in production"

    def _of_schema(self) -> Iterator[str]:
        """Suggestions are in answers to everyone, so they would give away a schema that is not
        public.
        """
        if self.graphql.suggestions and self.introspection != "public":
            problem = "TASKLOOM_SUGGESTIONS requires TASKLOOM_INTROSPECTION=public"
            yield f"{problem} (it is {self.introspection})"

    @property
    def introspection(self) -> Introspection:
        """Who can read the schema."""
        given = self.graphql.introspection
        return given or ("signed-in" if self.server.production else "public")

    @property
    def suggestions(self) -> bool:
        """Whether error messages suggest names of the schema."""
        given = self.graphql.suggestions
        if given is not None:
            return given
        return not self.server.production and self.introspection == "public"

    def with_database(self, url: str) -> Settings:
        """The same settings with another database, such as the embedded one after it started."""
        database = self.database.model_copy(update={"url": url})
        return self.model_copy(update={"database": database})


def load_settings(
    overrides: Mapping[str, str] | None = None, *, env_file: Path | None = ENV_FILE
) -> Settings:
    """Read all settings. `overrides`, by variable name, take precedence over the environment and
    `.env`.

    Raises `SettingsError`, which names every invalid variable and its rule.
    """
    groups: dict[str, _Group] = {}
    problems: list[str] = []
    given = {name: value for name, value in (overrides or {}).items() if value != ""}
    for name, group in _groups():
        arguments: dict[str, Any] = {**given, "_env_file": env_file}
        try:
            groups[name] = group(**arguments)
        except ValidationError as error:
            problems.extend(_explain(group, error))
        except UnicodeDecodeError as error:
            raise SettingsError([f"{env_file} must be text in UTF-8: {error}"]) from error
    if problems:
        raise SettingsError(problems)
    return Settings.model_validate(groups)


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One line of `taskloom settings`."""

    group: str
    variable: str
    default: str
    current: str
    description: str


def describe_settings(settings: Settings) -> list[SettingRow]:
    """Every setting with its default and its current value, secrets masked."""
    rows = []
    for group_name, group in _groups():
        values = getattr(settings, group_name)
        for field_name, field in group.model_fields.items():
            extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
            default = extra.get("default_text")
            current = getattr(values, field_name)
            rows.append(
                SettingRow(
                    group=group_name,
                    variable=" or ".join(_variables(field)),
                    default=str(default) if default is not None else _shown(field.default),
                    current=_masked(current) if extra.get("secret") else _shown(current),
                    description=" ".join((field.description or "").split()),
                )
            )
    return rows


def unknown_variables(environ: Mapping[str, str] | None = None) -> list[str]:
    """A sentence for each unknown `TASKLOOM_…` variable, with the setting probably meant."""
    known = {
        variable
        for _, group in _groups()
        for field in group.model_fields.values()
        for variable in _variables(field)
    }
    sentences = []
    for name in sorted(os.environ if environ is None else environ):
        # The tests have variables of their own.
        if name.startswith("TASKLOOM_TEST_") or not name.startswith("TASKLOOM_"):
            continue
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else "."
            sentences.append(f"{name} is not a setting of Taskloom{hint}")
    return sentences


def _groups() -> Iterator[tuple[str, type[_Group]]]:
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if not (isinstance(group, type) and issubclass(group, _Group)):
            raise TypeError(f"{name} is not a group of settings")
        yield name, group


def _variables(field: FieldInfo) -> list[str]:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return [choice for choice in alias.choices if isinstance(choice, str)]
    return [alias] if isinstance(alias, str) else []


def _explain(group: type[_Group], error: ValidationError) -> Iterator[str]:
    """Pydantic's errors as `VARIABLE: rule`. The value of a secret is never shown."""
    by_variable = {
        variable: (name, field)
        for name, field in group.model_fields.items()
        for variable in (name, *_variables(field))
    }
    for finding in error.errors(include_url=False):
        if finding["type"] == "default_factory_not_called":
            continue  # It follows from another error that is reported anyway.
        place = str(finding["loc"][0]) if finding["loc"] else group.__name__
        _, field = by_variable.get(place, (place, None))
        variable = " or ".join(_variables(field)) if field is not None else place
        rule = finding["msg"].removeprefix("Value error, ")
        if finding["type"] == "too_short":
            # Pydantic calls the characters of a secret items.
            least, length = finding["ctx"]["min_length"], finding["ctx"]["actual_length"]
            rule = f"must have at least {least} characters; it has {length}"
        extra = field.json_schema_extra if field is not None else None
        secret = isinstance(extra, dict) and extra.get("secret")
        given = "" if secret else f" (it is {finding['input']!r})"
        yield f"{variable}: {rule[:1].lower()}{rule[1:]}{given}"


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "-"
    return str(value)


def _masked(value: str | SecretStr | None) -> str:
    """`-` for None, stars for a secret, and an address without its password (and query)."""
    if value is None:
        return "-"
    if isinstance(value, SecretStr):
        return "********"
    parts = urlsplit(value)
    user, at, host = parts.netloc.rpartition("@")
    login = user.partition(":")[0] + (":********" if ":" in user else "")
    query = "…" if "password" in parts.query else parts.query
    return urlunsplit((parts.scheme, f"{login}{at}{host}", parts.path, query, ""))


def version() -> str:
    """The version of this application, or `0` if it is not installed."""
    try:
        return importlib.metadata.version("taskloom")
    except importlib.metadata.PackageNotFoundError:
        return "0"
