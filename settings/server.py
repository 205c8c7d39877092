"""The server: its address, what it accepts, and what it reports about itself."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    field_validator,
)
from pydantic_settings import NoDecode

from settings import base
from settings.base import Group, http_url, network, split_url

# Who can read the schema.
Introspection = Literal["public", "signed-in", "off"]
_RATE = r"[1-9][0-9]{0,8}/([1-9][0-9]{0,3} ?)?(second|minute|hour|day)"


def is_loopback(host: str) -> bool:
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


class ServerSettings(Group):
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
    """Address of the web application that the `url` fields and links in mails lead to; see
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

    @field_validator("host")
    @classmethod
    def _host(cls, value: str) -> str:
        return base.host(value)

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
            parts = split_url(origin)
            bare = f"{parts.scheme}://{parts.netloc}"
            if parts.scheme not in {"http", "https"} or not parts.netloc or origin != bare:
                raise ValueError(
                    f"{origin!r} is not an origin; write scheme, host and port only, "
                    "such as https://app.example.com"
                )
        # As browsers write it.
        return tuple(origin.lower() for origin in value)

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        # uvicorn takes what is neither for a name, which no client's address ever equals.
        if value != ("*",):
            for proxy in value:
                network(proxy)
        return value

    @field_validator("public_url", "frontend_url")
    @classmethod
    def _address(cls, value: str) -> str:
        return http_url(value)

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()


class GraphQLSettings(Group):
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


class LimitSettings(Group):
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


class EventSettings(Group):
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


class MetricsSettings(Group):
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

    @field_validator("host")
    @classmethod
    def _host(cls, value: str) -> str:
        return base.host(value)


class TelemetrySettings(Group):
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
        return None if value is None else http_url(value, query=True)

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
