"""Figures that documents for users state are the defaults of the settings that decide them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from domain import idempotency
from domain.tasks import task_bulk
from events import presence
from graph.kit import page_query, paging
from settings import AuthSettings, EventSettings, LimitSettings, StorageSettings
from web import websocket
from web.docs.site import FOLDER


class Defaults:
    """The defaults of a group of settings, whatever the environment says."""

    def __init__(self, *groups: Any) -> None:
        self._fields = {
            name: field for group in groups for name, field in group.model_fields.items()
        }

    def __getattr__(self, name: str) -> Any:
        return self._fields[name].default


DEFAULT = Defaults(AuthSettings, LimitSettings, StorageSettings, EventSettings)


def rates(text: str) -> list[float]:
    """The numbers of a rate such as `5/minute;20/hour`."""
    return [float(number) for number in re.findall(r"\d+", text)]


# A page, a sentence of it with its figures as groups, and the figures.
FIGURES: list[tuple[str, str, list[float]]] = [
    (
        "guide/signing-in.md",
        r"valid for ([\d,]+) minutes, and a refresh token, which is valid for ([\d,]+) days",
        [DEFAULT.access_token_seconds / 60, DEFAULT.refresh_token_days],
    ),
    ("limits.md", r"One operation may cost \*\*([\d,]+)\*\* points", [DEFAULT.cost_operation]),
    ("limits.md", r"may spend \*\*([\d,]+)\*\* points per minute", [DEFAULT.cost_budget]),
    (
        "limits.md",
        r"`POST /auth/token` \| ([\d,]+) per minute and ([\d,]+) per hour",
        rates(DEFAULT.login_account),
    ),
    ("limits.md", r"\| ([\d,]+) per minute \| address", rates(DEFAULT.login_address)),
    ("limits.md", r"`userRegister` \| ([\d,]+) per hour", rates(DEFAULT.registration)),
    (
        "limits.md",
        r"`emailVerificationRequest` \| ([\d,]+) per minute and ([\d,]+) per hour",
        rates(DEFAULT.account_mail),
    ),
    ("limits.md", r"([\d,]+) tasks per hour", rates(DEFAULT.task_creation)),
    ("limits.md", r"uploads \| ([\d,]+) per hour", rates(DEFAULT.uploads)),
    (
        "limits.md",
        r"A body has at most ([\d,]+) MB \(uploads excepted; 413\) and ([\d,]+) levels",
        [DEFAULT.body_bytes / 1e6, DEFAULT.json_depth],
    ),
    (
        "limits.md",
        r"may have ([\d,]+) subscriptions, and a user \(if signed out: an address\) ([\d,]+)",
        [DEFAULT.subscriptions_per_connection, DEFAULT.connections_per_user],
    ),
    ("limits.md", r"headers of a request \| ([\d,]+) ", [DEFAULT.headers]),
    (
        "limits.md",
        r"one header, all headers together \| ([\d,]+) KB, ([\d,]+) KB",
        [DEFAULT.header_bytes / 1024, DEFAULT.headers_bytes / 1024],
    ),
    ("limits.md", r"from the first byte \| ([\d,]+) seconds", [DEFAULT.headers_seconds]),
    (
        "limits.md",
        r"([\d,]+) seconds, plus one for each ([\d,]+) bytes",
        [DEFAULT.body_seconds, DEFAULT.body_rate],
    ),
    ("limits.md", r"does not read \| ([\d,]+) seconds", [DEFAULT.answer_seconds]),
    ("files.md", r"\(([\d,]+) bytes\)", [DEFAULT.upload_bytes]),
    # Those that are no settings.
    ("guide/changing.md", r"is kept for ([\d,]+) hours", [idempotency.KEPT.total_seconds() / 3600]),
    ("guide/changing.md", r"changes up to ([\d,]+) tasks", [task_bulk.MAX_ITEMS]),
    (
        "guide/reading.md",
        r"A page has ([\d,]+) items by default and at most ([\d,]+)",
        [paging.DEFAULT_PAGE, page_query.MAX_PAGE],
    ),
    ("guide/live.md", r"`connection_init` within ([\d,]+) seconds", [websocket.INIT_SECONDS]),
    ("guide/live.md", r"the presence ends ([\d,]+) seconds after", [presence.SIGN_SECONDS]),
    ("guide/live.md", r"the event after it is more than ([\d,]+) days old", [DEFAULT.replay_days]),
    ("guide/polling.md", r"\[pause of more than ([\d,]+) days\]", [DEFAULT.replay_days]),
]


@pytest.mark.parametrize(("page", "sentence", "figures"), FIGURES)
def test_a_stated_figure_is_the_default(page: str, sentence: str, figures: list[float]) -> None:
    text = " ".join((FOLDER / page).read_text().split())
    found = re.search(sentence, text)
    assert found is not None, "the sentence has changed"
    assert [float(figure.replace(",", "")) for figure in found.groups()] == figures


CLIENT = FOLDER.parent / "clients" / "typescript" / "src" / "streams" / "websocket.ts"


def test_every_close_code_is_explained() -> None:
    """The table of the guide has each code of the server, and the client gives up on those that it
    calls a fault.
    """
    rows = re.findall(
        r"^\| ((?:\d{4}(?:, )?)+) \| [^|]+ \| ([^|]+) \|$",
        (FOLDER / "guide" / "live.md").read_text(),
        re.MULTILINE,
    )
    remedies = {int(code): remedy for codes, remedy in rows for code in codes.split(", ")}
    sent = {
        value
        for name, value in vars(websocket).items()
        if name.isupper() and isinstance(value, int) and 1000 <= value < 5000
    }
    assert sent <= remedies.keys()
    listed = re.search(r"FAULTS = \[(.*?)\]", CLIENT.read_text())
    assert listed is not None
    given_up = {int(code) for code in listed[1].split(",")} & remedies.keys()
    assert given_up == {code for code, said in remedies.items() if said == "a fault of the client"}


def test_nothing_is_to_be_watched_in_another_tab() -> None:
    """A subscription of the explorer stops when one changes tabs."""
    root = FOLDER.parent
    pages = [root / "README.md", *FOLDER.glob("guide/*.md"), *root.glob("explorer/examples/*")]
    found = {
        page.name: said
        for page in pages
        if (said := re.findall(r"in\s+(?:#\s+)?(?:one|another|a second)\s+tab\b", page.read_text()))
    }
    assert found == {}
