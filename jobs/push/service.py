"""What a service for push messages is. Those that exist are imported if they are configured."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod

from db.models import Device
from jobs.push.fitting import PushMessage


class UnknownDevice(Exception):  # noqa: N818 - an answer and not a fault
    """The service says that the app was removed, or has a new token."""


class Push(ABC):
    """Sends push messages."""

    @abstractmethod
    async def send(self, device: Device, message: PushMessage) -> None:
        """Raises `UnknownDevice` if the token is dead, `Later` if the service says when to retry,
        and `GiveUp` if it will never accept the message.
        """

    @abstractmethod
    def destination(self, device: Device) -> str:
        """The host that delivers to this device."""

    @abstractmethod
    async def close(self) -> None:
        """Close connections."""


class NoPush(Push):
    """Sends nothing; used if no service is configured."""

    async def send(self, device: Device, message: PushMessage) -> None:
        """Does nothing."""

    def destination(self, device: Device) -> str:
        """No host."""
        return "nobody"

    async def close(self) -> None:
        """No connections are open."""


def wait_asked(header: str) -> dt.timedelta | None:
    """How long a service asks to wait, at most an hour; None unless it says so in seconds."""
    if not (header.isascii() and header.isdigit()):
        return None
    return dt.timedelta(seconds=min(int(header[:10]), 3600))
