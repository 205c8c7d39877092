"""Secrets, passwords, tokens and sessions."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import (
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from settings.base import Group

# Public, as this repository is; refused in production.
DEVELOPMENT_SECRET = "taskloom-development-secret-do-not-use-in-production"  # noqa: S105 - that is its point
DEVELOPMENT_PEPPER = "taskloom-development-pepper-do-not-use-in-production"


class AuthSettings(Group):
    """Passwords, tokens, and who may register."""

    secret: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET),
        min_length=32,
        validation_alias="TASKLOOM_SECRET",
        json_schema_extra={
            "secret": True,
            # Another value, even by a blank, is another secret.
            "verbatim": True,
            "default_text": "a built-in one, for development only",
        },
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
        json_schema_extra={
            "secret": True,
            # Another value, even by a blank, is another secret.
            "verbatim": True,
            "default_text": "a built-in one, for development only",
        },
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

    @model_validator(mode="after")
    def _versions_differ(self) -> Self:
        """A hash has the version of its pepper, so two peppers of one version cannot be told
        apart.
        """
        entries = self.old_password_peppers.get_secret_value().split()
        versions = [int(entry.partition(":")[0]) for entry in entries]
        current = self.password_pepper_version
        if current in versions:
            raise ValueError(
                f"TASKLOOM_PASSWORD_PEPPER_VERSION is {current}, which is also the version of a "
                "pepper in TASKLOOM_PASSWORD_PEPPERS_OLD; raise it together with the new pepper"
            )
        if len(set(versions)) < len(versions):
            raise ValueError("TASKLOOM_PASSWORD_PEPPERS_OLD has two peppers of one version")
        return self

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
