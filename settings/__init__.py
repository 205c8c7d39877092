"""Every setting of Taskloom, from the environment and from a `.env` file.

Settings are split by concern into frozen groups (`settings.server`, `settings.database`, …) that
are read once at start and passed down; nothing else reads the environment. An environment variable
overrides the same line in `.env`. An empty one counts as absent, since compose files often pass
empty strings; blanks around a value are removed, but for secrets that others depend on.

The docstring of each field is what `taskloom settings` prints, so these files are also the
reference of the configuration.
"""

from __future__ import annotations

from settings.accounts import DEVELOPMENT_PEPPER, DEVELOPMENT_SECRET, AuthSettings
from settings.background import (
    ExportSettings,
    JobSettings,
    MailSettings,
    PushSettings,
    WebhookSettings,
    font_files,
)
from settings.base import SettingsError
from settings.reading import (
    ENV_FILE,
    SettingRow,
    Settings,
    describe_settings,
    load_settings,
    notes,
    unknown_variables,
    version,
)
from settings.server import (
    EventSettings,
    GraphQLSettings,
    Introspection,
    LimitSettings,
    MetricsSettings,
    ServerSettings,
    TelemetrySettings,
)
from settings.stores import DatabaseSettings, RedisSettings, StorageSettings

__all__ = [
    "DEVELOPMENT_PEPPER",
    "DEVELOPMENT_SECRET",
    "ENV_FILE",
    "AuthSettings",
    "DatabaseSettings",
    "EventSettings",
    "ExportSettings",
    "GraphQLSettings",
    "Introspection",
    "JobSettings",
    "LimitSettings",
    "MailSettings",
    "MetricsSettings",
    "PushSettings",
    "RedisSettings",
    "ServerSettings",
    "SettingRow",
    "Settings",
    "SettingsError",
    "StorageSettings",
    "TelemetrySettings",
    "WebhookSettings",
    "describe_settings",
    "font_files",
    "load_settings",
    "notes",
    "unknown_variables",
    "version",
]
