"""All groups together: read, described, and checked against each other."""

from __future__ import annotations

import difflib
import importlib.metadata
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

from dotenv import dotenv_values
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from settings.accounts import DEVELOPMENT_PEPPER, DEVELOPMENT_SECRET, AuthSettings
from settings.background import (
    ExportSettings,
    JobSettings,
    MailSettings,
    PushSettings,
    WebhookSettings,
)
from settings.base import Group, SettingsError
from settings.server import (
    EventSettings,
    GraphQLSettings,
    Introspection,
    LimitSettings,
    MetricsSettings,
    ServerSettings,
    TelemetrySettings,
    is_loopback,
)
from settings.stores import DatabaseSettings, RedisSettings, StorageSettings

ENV_FILE = Path(".env")
# Some repeat the value.
_LONGEST_RULE = 300


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
        if self.server.production or is_loopback(host):
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
    groups: dict[str, Group] = {}
    problems: list[str] = []
    given: dict[str, Any] = {
        # Without those that the environment overrides.
        **{name: value for name, value in _lines(env_file).items() if not os.environ.get(name)},
        **{name: value for name, value in (overrides or {}).items() if value != ""},
    }
    for name, group in _groups():
        try:
            groups[name] = group(**given)
        except ValidationError as error:
            problems.extend(_explain(group, error))
    if problems:
        raise SettingsError(problems)
    return Settings.model_validate(groups)


def _lines(env_file: Path | None) -> dict[str, str]:
    """The variables of the file, without empty ones. Raises `SettingsError`."""
    if env_file is None or not env_file.is_file():
        return {}
    try:
        # Some editors begin a file with a mark of its encoding.
        found = dotenv_values(env_file, encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError([f"{env_file} must be text in UTF-8: {error}"]) from error
    return {name: value for name, value in found.items() if value}


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
                    current=_masked(current) if _marked(field, "secret") else _shown(current),
                    description=" ".join((field.description or "").split()),
                )
            )
    return rows


def notes(settings: Settings, *, env_file: Path | None = ENV_FILE) -> list[str]:
    """Sentences about what is allowed, and probably a mistake."""
    return [
        *unknown_variables([*os.environ, *_lines(env_file)]),
        *(
            f"{_variables(field)[0]} contains a blank or a line break, which is part of it: every "
            "process must have exactly the same, and it cannot be listed among former ones later."
            for field_name, field in AuthSettings.model_fields.items()
            if _marked(field, "verbatim")
            and re.search(r"\s", getattr(settings.auth, field_name).get_secret_value())
        ),
    ]


def unknown_variables(names: Iterable[str]) -> list[str]:
    """A sentence for each unknown `TASKLOOM_…` variable, with the setting probably meant."""
    known = {
        variable
        for _, group in _groups()
        for field in group.model_fields.values()
        for variable in _variables(field)
    }
    sentences = []
    for name in sorted(set(names)):
        upper = name.upper()
        # The tests have variables of their own.
        if upper.startswith("TASKLOOM_TEST_") or not upper.startswith("TASKLOOM_"):
            continue
        if name not in known:
            exact = [other for other in (upper, upper.removeprefix("TASKLOOM_")) if other in known]
            close = exact or difflib.get_close_matches(upper, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else "."
            sentences.append(f"{name} is not a setting of Taskloom{hint}")
    return sentences


def _groups() -> Iterator[tuple[str, type[Group]]]:
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if not (isinstance(group, type) and issubclass(group, Group)):
            raise TypeError(f"{name} is not a group of settings")
        yield name, group


def _variables(field: FieldInfo) -> list[str]:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return [choice for choice in alias.choices if isinstance(choice, str)]
    return [alias] if isinstance(alias, str) else []


def _explain(group: type[Group], error: ValidationError) -> Iterator[str]:
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
        if len(rule) > _LONGEST_RULE:
            rule = f"{rule[:_LONGEST_RULE]}…"
        if field is None:
            # Of several settings, which the rule names.
            yield rule
            continue
        given = "" if _marked(field, "secret") else f" (it is {_clipped(finding['input'])})"
        yield f"{variable}: {rule[:1].lower()}{rule[1:]}{given}"


def _clipped(value: object) -> str:
    """What was given, as far as it helps, and without the login of an address."""
    text = re.sub(r"//[^/\s]*@", "//…@", str(value))
    return repr(text if len(text) <= 80 else f"{text[:80]}…")


def _marked(field: FieldInfo, mark: str) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get(mark))


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
