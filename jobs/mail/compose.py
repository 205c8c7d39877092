"""Writing a mail: the same words as text and as HTML, from two templates of one name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import EmailPolicy, Policy
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Any
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from settings import Settings

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    # By the ending: HTML is escaped, text must not be.
    autoescape=select_autoescape(("html",), default=False),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class _Plain(UnstructuredHeader, BaseHeader):
    """A header that stands on the wire as it is written. The policies of the standard library fold
    a long one into encoded words (RFC 2047), which are not allowed in an address: mail programs
    would not find the link. A line may have 998 characters (RFC 5322), and an address has fewer.
    """

    def fold(self, *, policy: Policy[Any]) -> str:
        return f"{self.name}: {self}{policy.linesep}"


_HEADERS = HeaderRegistry()
for _name in ("list-unsubscribe", "list-unsubscribe-post"):
    _HEADERS.map_to_type(_name, _Plain)
_POLICY = EmailPolicy(header_factory=_HEADERS)

# Of a header; longer subjects are cut by the programs that show them anyway.
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

    The `Message-ID` is made from `id_` alone, so that a mail that is sent twice (its worker was
    killed before it could note the first time) can be told to be one. `unsubscribe` is the address
    of RFC 8058's one click.
    """
    sender_name, sender = parseaddr(settings.mail.sender)
    message = EmailMessage(_POLICY)
    message["From"] = _address(sender_name, sender)
    message["To"] = _address(name, to)
    line = _line(subject)
    message["Subject"] = line if len(line) <= _SUBJECT else f"{line[: _SUBJECT - 1]}…"
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{id_.hex}@{sender.partition('@')[2]}>"
    # Out-of-office programs answer people, not these.
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
    message.set_content(_ENVIRONMENT.get_template(f"{template}.txt").render(shown).strip() + "\n")
    message.add_alternative(
        _ENVIRONMENT.get_template(f"{template}.html").render(shown), subtype="html"
    )
    return message


def _address(name: str, address: str) -> Address:
    user, _, domain = address.rpartition("@")
    return Address(_line(name), user, domain)


def _line(text: str) -> str:
    """One line: a header must not hold a line break, whatever people write into titles."""
    return " ".join(text.split())
