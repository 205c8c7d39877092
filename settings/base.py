"""What all groups of settings share."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import urlsplit

from pydantic_settings import BaseSettings, SettingsConfigDict


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


def http_url(value: str) -> str:
    """An address, without a slash at its end. Raises `ValueError`."""
    # Files and shells add blanks at the end, and Python's parser reads past them.
    value = value.strip()
    parts = urlsplit(value)
    blank = re.search(r"\s", value)
    if parts.scheme not in {"http", "https"} or not parts.netloc or blank:
        raise ValueError("must be an http:// or https:// address")
    return value.rstrip("/")


def network(value: str) -> IPv4Network | IPv6Network:
    """A network; an address is the network that has it alone. Raises `ValueError`."""
    try:
        return ip_network(value)
    except ValueError as error:
        raise ValueError(
            f"{error}; name addresses or networks, such as 192.0.2.7 or 10.20.0.0/16"
        ) from None
