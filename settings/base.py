"""What all groups of settings share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from postgres_url import ESCAPES

# Only these may be written as a host: what else people write here is part of an address.
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")


class SettingsError(Exception):
    """Settings are invalid. `problems` names each variable and its rule."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Group(BaseSettings):
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

    @model_validator(mode="before")
    @classmethod
    def _without_blank_ones(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """A variable that has only blanks counts as absent too."""
        return {
            name: value
            for name, value in given.items()
            if not isinstance(value, str) or value.strip()
        }

    @field_validator("*", mode="before")
    @classmethod
    def _clean(cls, value: object, info: ValidationInfo) -> object:
        """Remove blanks around a value, which files and shells add. Refuse quotes around it: the
        files of Docker, systemd and shells differ in whether these belong to the value.
        """
        if not isinstance(value, str):
            return value
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("must be text in UTF-8") from None
        extra = cls.model_fields[info.field_name or ""].json_schema_extra
        if isinstance(extra, dict) and extra.get("verbatim"):
            return value
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            raise ValueError("has quotes around it, which would be part of the value; remove them")
        return value


def split_url(value: str) -> SplitResult:
    """The parts of an address. Raises `ValueError` if they cannot be told apart."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        # Python's message can contain a part of a password.
        raise ValueError(
            f"its host or port is invalid: a port is a number up to 65535, and {ESCAPES}"
        ) from None
    return parts


def http_url(value: str, *, query: bool = False) -> str:
    """An address, without a slash at its end. `query`: whether it may have one. Raises
    `ValueError`.
    """
    parts = split_url(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r"\s", value):
        raise ValueError("must be an http:// or https:// address")
    if parts.fragment or (parts.query and not query):
        raise ValueError("must be an address without ? and #")
    return value.rstrip("/")


def host(value: str) -> str:
    """A name or an IP address of a machine. Raises `ValueError`."""
    try:
        ip_address(value)
    except ValueError:
        if not _NAME.fullmatch(value):
            raise ValueError(
                "must be a host name or an IP address, without port, path and brackets"
            ) from None
    return value


def network(value: str) -> IPv4Network | IPv6Network:
    """A network; an address is the network that has it alone. Raises `ValueError`."""
    try:
        return ip_network(value)
    except ValueError as error:
        raise ValueError(
            f"{error}; name addresses or networks, such as 192.0.2.7 or 10.20.0.0/16"
        ) from None
