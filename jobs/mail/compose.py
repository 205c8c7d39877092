"""Compose a mail: text and HTML with the same words, from two templates of one name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import EmailPolicy, Policy
from email.utils import format_datetime, parseaddr
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from settings import Settings

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def _templates() -> Environment:
    # A worker that sends no mail does not need it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        # By the extension: HTML is escaped, text must not be.
        autoescape=select_autoescape(("html",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Otherwise each mail looks whether the files have changed.
        auto_reload=False,
    )


class _Plain(UnstructuredHeader, BaseHeader):
    """A header that is sent exactly as written. The policies of the standard library fold a long
    one into encoded words (RFC 2047), which are not allowed in an address: mail programs would not
    find the link. A line can have 998 characters (RFC 5322), more than an address has.
    """

    def fold(self, *, policy: Policy[Any]) -> str:
        return f"{self.name}: {self}{policy.linesep}"


_HEADERS = HeaderRegistry()
for _name in ("list-unsubscribe", "list-unsubscribe-post"):
    _HEADERS.map_to_type(_name, _Plain)
_POLICY = EmailPolicy(header_factory=_HEADERS)

# Mail programs cut longer subjects anyway.
_SUBJECT = 150


def compose(
    settings: Settings,
    template: str,
    values: Mapping[str, Any],
    *,
    id_: UUID,
    to: str,
    name: str,
    subject: str,
    now: dt.datetime,
    unsubscribe: str | None = None,
) -> EmailMessage:
    """A mail from `templates/<template>.txt` and `.html`.

    The `Message-ID` derives only from `id_`, so that receivers recognise a mail that is sent twice
    (because its worker was killed in between). `unsubscribe` is the address for one-click
    unsubscription (RFC 8058).
    """
    sender_name, sender = parseaddr(settings.mail.sender)
    message = EmailMessage(_POLICY)
    message["From"] = _address(sender_name, sender)
    message["To"] = _address(name, to)
    line = _line(subject)
    message["Subject"] = line if len(line) <= _SUBJECT else f"{line[: _SUBJECT - 1]}…"
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{id_.hex}@{sender.partition('@')[2]}>"
    # Tells out-of-office programs not to answer.
    message["Auto-Submitted"] = "auto-generated"
    if unsubscribe is not None:
        message["List-Unsubscribe"] = f"<{unsubscribe}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    shown = {
        "name": name,
        "subject": _line(subject),
        "unsubscribe": unsubscribe,
        "home": settings.server.frontend_url,
        **values,
    }
    text, html = (
        _templates().get_template(f"{template}.{kind}").render(shown) for kind in ("txt", "html")
    )
    message.set_content(text.strip() + "\n")
    message.add_alternative(html, subtype="html")
    return message


def _address(name: str, address: str) -> Address:
    user, _, domain = address.rpartition("@")
    return Address(_line(name), user, domain)


def _line(text: str) -> str:
    """The text on one line: a header must not contain line breaks, whatever titles contain."""
    return " ".join(text.split())
