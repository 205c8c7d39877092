"""Sends mail, through an SMTP server or, if none is configured, into a folder."""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
from abc import ABC, abstractmethod
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import aiosmtplib
from aiosmtplib import SMTPResponse

from jobs import leases
from jobs.outcomes import GiveUp
from settings import MailSettings, Settings

_TIMEOUT_SECONDS = 30.0


class Sender(ABC):
    """Sends a message to the recipients in its headers. `host`: the first server on the way."""

    host: str

    @abstractmethod
    async def send(self, message: EmailMessage) -> None:
        """Raises `GiveUp` if the server will never accept it, anything else if it may later."""


class _Client(aiosmtplib.SMTP):
    """Transmits a message only while its job is this worker's."""

    async def data(self, message: str | bytes, /, **options: Any) -> SMTPResponse:
        """The last moment before anything is sent."""
        leases.check()
        return await super().data(message, **options)


class SmtpSender(Sender):
    """Opens a connection for each message: mail is infrequent, and servers cut idle connections."""

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings
        self.host = settings.host or ""
        self._context = ssl.create_default_context(
            cafile=None if settings.ca_file is None else str(settings.ca_file)
        )

    async def send(self, message: EmailMessage) -> None:
        settings = self._settings
        encrypted = settings.tls != "none"
        try:
            client = _Client(
                hostname=settings.host,
                port=settings.port,
                username=settings.user,
                password=None
                if settings.password is None
                else settings.password.get_secret_value(),
                use_tls=settings.tls == "implicit",
                # Not "if the server offers it": an attacker in between could remove the offer.
                start_tls=settings.tls == "starttls",
                tls_context=self._context if encrypted else None,
                timeout=_TIMEOUT_SECONDS,
            )
            async with client:
                await client.send_message(message)
        except aiosmtplib.SMTPRecipientsRefused as refused:
            answers = [f"{answer.code} {answer.message}" for answer in refused.recipients]
            if all(answer.code >= 500 for answer in refused.recipients):
                raise GiveUp(f"The mail server rejected the recipient: {answers[0]}") from refused
            raise
        except aiosmtplib.SMTPDataError as refused:
            if refused.code >= 500:
                raise GiveUp(
                    f"The mail server rejected the message: {refused.code} {refused.message}"
                ) from refused
            raise


class FolderSender(Sender):
    """Writes .eml files, which mail programs open; for development."""

    host = "folder"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, message: EmailMessage) -> None:
        await asyncio.to_thread(self._write, message)

    def _write(self, message: EmailMessage) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Named by its ID, so that a mail that is sent again replaces its file.
        name = message["Message-ID"].strip("<>").partition("@")[0]
        with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".part", delete=False) as file:
            file.write(message.as_bytes(policy=SMTP))
        os.replace(file.name, self._folder / f"{name}.eml")  # noqa: PTH105 - both are paths as text


def make_sender(settings: Settings) -> Sender:
    """The configured sender."""
    if settings.mail.host is None:
        return FolderSender(settings.server.data_dir / "mail")
    return SmtpSender(settings.mail)
