"""The links of mails: opening one changes nothing, pressing its button does."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from html import unescape
from urllib.parse import urljoin

import httpx
import pytest
from sqlalchemy import text
from starlette.routing import Route

from app import Application
from auth.codes import AccountCodes
from auth.links import UnsubscribeLinks
from auth.viewer import NOBODY
from db.models import EmailUndo, NotificationKind
from domain.accounts import account_mail
from tests.accounts import Person
from tests.factories import World, fresh_id


async def _verify(world: World, ada: Person) -> str:
    id_ = fresh_id()
    sent = (id_, ada.id, ada.email)
    assert await world.house.do(NOBODY, account_mail.begin_verification, *sent)
    return AccountCodes(world.services.settings).token(id_)


async def _undo(world: World, ada: Person) -> str:
    id_ = fresh_id()
    now, hour = world.services.clock(), account_mail.RESET_LIFE
    undo = EmailUndo(
        id=id_, user_id=ada.id, email=f"old-{ada.email}", created_at=now, expires_at=now + hour
    )
    async with world.house.work() as work:
        work.session.add(undo)
    return AccountCodes(world.services.settings).token(id_)


async def _unsubscribe(world: World, ada: Person) -> str:
    return UnsubscribeLinks(world.services.settings).token(ada.id, [NotificationKind.MENTIONED])


# Each route whose address comes by mail, and a good token for it.
MAILED: dict[str, Callable[[World, Person], Awaitable[str]]] = {
    "/auth/verify-email": _verify,
    "/auth/undo-email-change": _undo,
    "/unsubscribe": _unsubscribe,
}
# Other routes that answer GET. None of them takes a token of a mail.
SAFE = {
    "/",
    "/board",
    "/board/",
    "/board/assets/{name}",
    # These lead to pages of the board; its form sends the token.
    "/reset-password",
    "/email-verified",
    "/email-change-undone",
    "/projects/{id}",
    "/tasks/{id}",
    "/docs",
    "/docs/",
    "/docs/search",
    "/docs/style.css",
    "/docs/{name}",
    "/schema.graphql",
    "/explorer/assets/{name}",
    "/explorer/config.json",
    "/exports/{id}",
    "/files/{id}",
    "/files/{id}/thumbnail",
    "/health",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/users/{id}/avatar.{ending}",
    "/version",
}
TABLES = (
    "users",
    "account_codes",
    "email_undos",
    "sessions",
    "notification_preferences",
    "jobs",
    "events",
)


async def _everything(world: World, ada: Person) -> list[list[str]]:
    """All rows that speak of this person, as text."""
    async with world.database.session() as session:
        return [
            sorted(
                await session.scalars(
                    text(f"SELECT t::text FROM {table} t WHERE t::text LIKE :id"),
                    {"id": f"%{ada.id}%"},
                )
            )
            for table in TABLES
        ]


def _routes(app: Application) -> Iterator[Route]:
    for route in app._api.router.routes:
        if isinstance(route, Route):
            yield route


def test_every_route_that_answers_get_is_known(app: Application) -> None:
    """Each page declares whether a mail links to it."""
    paths = {route.path for route in _routes(app) if "GET" in (route.methods or {"GET"})}
    assert paths == SAFE | MAILED.keys()


@pytest.mark.parametrize("path", MAILED)
async def test_opening_a_link_changes_nothing_and_its_button_does(
    world: World, client: httpx.AsyncClient, path: str
) -> None:
    ada = await world.person()
    token = await MAILED[path](world, ada)
    before = await _everything(world, ada)
    assert any(before)
    for method in ("GET", "HEAD", "GET"):
        page = await client.request(method, path, params={"token": token})
        assert page.status_code == 200
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert await _everything(world, ada) == before
    form = re.search(r'<form method="post"(?: action="([^"]+)")?>', page.text)
    assert form is not None
    target = urljoin(str(page.url), unescape(form[1] or ""))
    done = await client.post(target)
    assert done.status_code in {200, 303}
    assert await _everything(world, ada) != before


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/auth/verify-email", "/email-verified"),
        ("/auth/undo-email-change", "/email-change-undone"),
    ],
)
async def test_a_link_leads_to_the_web_application(
    world: World, client: httpx.AsyncClient, path: str, leads_to: str
) -> None:
    ada = await world.person()
    token = await MAILED[path](world, ada)
    front = world.services.settings.server.frontend_url
    page = await client.get(path, params={"token": token})
    # Browsers follow a form's redirect only where the policy of its page lets them.
    assert f"form-action 'self' {front}" in page.headers["Content-Security-Policy"]
    done = await client.post(path, params={"token": token})
    assert done.status_code == 303
    assert done.headers["Location"] == f"{front}{leads_to}?status=success"
    failed = f"{front}{leads_to}?status=error&code=INVALID_CREDENTIALS"
    for used in (token, "nonsense", "", "ü%%="):
        for method in ("GET", "POST"):
            answer = await client.request(method, path, params={"token": used})
            assert (answer.status_code, answer.headers["Location"]) == (303, failed)


async def test_verifying_and_undoing_do_what_they_say(
    world: World, client: httpx.AsyncClient
) -> None:
    ada = await world.person()
    await client.post("/auth/verify-email", params={"token": await _verify(world, ada)})
    asked = "{ viewer { email emailVerifiedAt } }"
    viewer = (await world.post(asked, ada)).good["viewer"]
    assert viewer["emailVerifiedAt"] is not None
    await client.post("/auth/undo-email-change", params={"token": await _undo(world, ada)})
    assert (await world.post(asked, ada)).codes == ["UNAUTHENTICATED"]
    ada.grant = await world.house.login(ada)
    viewer = (await world.post(asked, ada)).good["viewer"]
    assert viewer["email"] == f"old-{ada.email}"


async def test_of_two_who_confirm_one_address_at_once_one_has_it(
    world: World, client: httpx.AsyncClient
) -> None:
    ada, bob = await world.people(2)
    codes, address = AccountCodes(world.services.settings), f"shared-{ada.email}"
    tokens = []
    for person in (ada, bob):
        id_ = fresh_id()
        sent = (id_, person.id, address)
        assert await world.house.do(NOBODY, account_mail.begin_verification, *sent)
        tokens.append(codes.token(id_))
    answers = await asyncio.gather(
        *(client.post("/auth/verify-email", params={"token": token}) for token in tokens)
    )
    assert {answer.status_code for answer in answers} == {303}
    statuses = sorted(httpx.URL(answer.headers["location"]).params["status"] for answer in answers)
    assert statuses == ["error", "success"]
