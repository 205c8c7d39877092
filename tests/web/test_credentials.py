"""Credentials that are no longer good: what they do not keep anybody from, and what they end."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from auth.codes import AccountCodes
from db import models
from domain.accounts import account_mail, api_key, session, user, user_deletion
from tests.accounts import PASSWORD, House, Person
from tests.factories import fresh_id
from tests.web.test_event_stream import STREAM, events
from tests.web.test_live import CREATE, LISTEN, REFRESH, SIGN_IN
from tests.web.websocket_client import Client, opened

PATIENCE = 15
JSON = {"Accept": "application/json"}
STOP = "timerStop(input: {}) { errors { code } }"


def worthless(house: House, person: Person) -> dict[str, str]:
    """Headers that were good once, or never."""
    long_ago = house.clock() - dt.timedelta(hours=1)
    assert person.viewer.session_id is not None
    expired = house.auth.tokens.mint_access(person.id, person.viewer.session_id, long_ago)
    gone = house.auth.tokens.mint_access(person.id, fresh_id(), house.clock())
    return {
        "expired": f"Bearer {expired.token}",
        "of a session that is gone": f"Bearer {gone.token}",
        "of a key that is gone": "Bearer tl_" + "x" * 43,
        "nonsense": "Bearer nonsense",
        "another scheme": "Basic YTpi",
    }


async def ask(
    http: httpx.AsyncClient, query: str, headers: dict[str, str], **variables: Any
) -> httpx.Response:
    return await http.post(
        "/graphql", json={"query": query, "variables": variables}, headers=headers
    )


@pytest.fixture
async def http(live_url: str) -> Any:
    async with httpx.AsyncClient(base_url=live_url, timeout=30) as client:
        yield client


@pytest.mark.parametrize("accept", [JSON, STREAM], ids=["json", "stream"])
async def test_they_keep_nobody_from_getting_better_ones(
    http: httpx.AsyncClient, house: House, accept: dict[str, str]
) -> None:
    """Clients such as Apollo's send their header with everything, `sessionRefresh` as well."""
    person = await house.person()
    for name, header in worthless(house, person).items():
        headers = {**accept, "Authorization": header}
        response = await ask(
            http, REFRESH, headers, token=(await house.login(person)).refresh_token
        )
        assert response.status_code == 200, name
        assert '"accessToken":"' in response.text, name
        response = await ask(http, SIGN_IN, headers, login=person.username, password=PASSWORD)
        assert '"accessToken":"' in response.text, name
        response = await ask(
            http,
            "mutation ($email: String!) { passwordResetRequest(input: {email: $email}) "
            "{ errors { code } } }",
            headers,
            email=person.email,
        )
        assert '"errors":[]' in response.text, name


async def test_they_are_told_for_everything_else(http: httpx.AsyncClient, house: House) -> None:
    person = await house.person()
    refresh = f'sessionRefresh(input: {{refreshToken: "{person.grant.refresh_token}"}})'
    for header in worthless(house, person).values():
        for query in (
            "{ viewer { user { username } } }",
            "{ serverInfo { name } }",
            CREATE,
            "subscription { taskEvents { id } }",
            # Nothing of it is done in part.
            f"mutation {{ {refresh} {{ accessToken }} {STOP} }}",
            f"mutation {{ ...F }} fragment F on Mutation {{ {refresh} {{ replayed }} {STOP} }}",
        ):
            variables = {"title": "x"} if "$title" in query else {}
            headers = {"Accept": "application/json, text/event-stream", "Authorization": header}
            response = await ask(http, query, headers, **variables)
            assert response.status_code == 401, query
            assert response.headers["www-authenticate"] == "Bearer"
            (error,) = response.json()["errors"]
            assert error["extensions"]["code"] == "UNAUTHENTICATED"
    # The refresh token was not used by any of them.
    response = await ask(http, REFRESH, JSON, token=person.grant.refresh_token)
    assert response.json()["data"]["sessionRefresh"]["errors"] == []


async def test_by_hash_alone_too(http: httpx.AsyncClient, house: House) -> None:
    """A client that sends hashes learns that the text is required, not that the token is old."""
    person = await house.person()
    headers = {**JSON, "Authorization": worthless(house, person)["expired"]}
    query = REFRESH + "# by hash"
    digest = hashlib.sha256(query.encode()).hexdigest()
    body: dict[str, Any] = {
        "extensions": {"persistedQuery": {"version": 1, "sha256Hash": digest}},
        "variables": {"token": person.grant.refresh_token},
    }
    response = await http.post("/graphql", json=body, headers=headers)
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
    response = await http.post("/graphql", json=body | {"query": query}, headers=headers)
    assert response.json()["data"]["sessionRefresh"]["errors"] == []


async def test_a_socket_renews_itself_without_a_token(live_url: str, house: House) -> None:
    """Over a socket credentials are the connection's: bad ones open none, no ones may refresh."""
    person = await house.person()
    async with opened(live_url, init=None) as refused:
        params = {"Authorization": worthless(house, person)["expired"]}
        await refused.send({"type": "connection_init", "payload": params})
        code, reason = await refused.closed()
        assert (code, "expired" in reason) == (4403, True)
    async with opened(live_url) as socket:
        await socket.subscribe(REFRESH, variables={"token": person.grant.refresh_token})
        (answer,) = await socket.until_complete()
        assert answer["data"]["sessionRefresh"]["accessToken"]


# --- open streams --------------------------------------------------------------------------------

# What another process does to a person, or to their key; none of them tells the server by a bus.
Ending = Callable[[House, Person], Awaitable[object]]


async def _reset(house: House, person: Person) -> None:
    id_ = fresh_id()
    async with house.work() as work:
        await account_mail.begin_reset(work, id_, person.email)
    token = AccountCodes(house.settings).token(id_)
    async with house.work() as work:
        await account_mail.reset_password(work, house.auth, token=token, password=PASSWORD + "!")


async def _change_password(house: House, person: Person) -> None:
    elsewhere = (await house.login(person)).viewer
    await house.do(
        elsewhere,
        user.change_password,
        house.auth,
        current_password=PASSWORD,
        new_password=PASSWORD + "!",
    )


async def _as_admin(house: House, person: Person, operation: Any) -> None:
    admin = await house.admin()
    await house.do(admin.viewer, operation, house.auth, person.id)


async def _use_twice(house: House, person: Person) -> None:
    await house.refresh(person.grant.refresh_token)
    house.clock.forward(seconds=11)
    with pytest.raises(session.InvalidCredentials):
        await house.refresh(person.grant.refresh_token)
    house.clock.forward(seconds=-11)


async def _revoke_others(house: House, person: Person) -> None:
    await house.do((await house.login(person)).viewer, session.revoke_others, house.auth)


ENDINGS: dict[str, Ending] = {
    "signed out": lambda house, person: house.do(
        person.viewer, session.revoke, house.auth, session_id=person.viewer.session_id
    ),
    "signed out elsewhere": _revoke_others,
    "password changed elsewhere": _change_password,
    "password reset": _reset,
    "deactivated": lambda house, person: _as_admin(house, person, user.deactivate),
    "sessions ended by an administrator": lambda house, person: _as_admin(
        house, person, user.revoke_sessions
    ),
    "a refresh token used twice": _use_twice,
    "account deleted": lambda house, person: house.do(
        person.viewer, user_deletion.delete_oneself, house.auth, password=PASSWORD
    ),
}
ENDINGS_OF_KEYS: dict[str, Ending] = {
    "key revoked": lambda house, person: _change_key(house, person, {"revoked_at": house.clock()}),
    "key expired": lambda house, person: _change_key(
        house, person, {"expires_at": house.clock() + dt.timedelta(seconds=1)}
    ),
    "its user deactivated": lambda house, person: _as_admin(house, person, user.deactivate),
    "its user deleted": lambda house, person: house.do(
        person.viewer, user_deletion.delete_oneself, house.auth, password=PASSWORD
    ),
}


async def _change_key(house: House, person: Person, values: dict[str, Any]) -> None:
    async with house.work() as work:
        keys = update(models.ApiKey).where(models.ApiKey.user_id == person.id)
        await work.session.execute(keys.values(**values))


class Streams:
    """A socket and an event stream of each of many people."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self.url = url
        self.stack = stack
        self.ended: dict[str, asyncio.Future[Any]] = {}

    async def open(self, name: str, header: str) -> None:
        socket = await self.stack.enter_async_context(
            opened(self.url, init={"Authorization": header})
        )
        await socket.subscribe(LISTEN)
        await socket.alive()
        http = await self.stack.enter_async_context(
            httpx.AsyncClient(base_url=self.url, timeout=30)
        )
        response = await self.stack.enter_async_context(
            http.stream(
                "POST",
                "/graphql",
                json={"query": LISTEN},
                headers={**STREAM, "Authorization": header},
            )
        )
        lines = response.aiter_lines()
        # Says that the subscription stands.
        assert await anext(lines) == ":"
        self.ended[f"{name}, socket"] = asyncio.ensure_future(_closed(socket))
        self.ended[f"{name}, stream"] = asyncio.ensure_future(_told(lines))

    async def all_ended(self) -> dict[str, Any]:
        await asyncio.wait(self.ended.values(), timeout=PATIENCE)
        return {
            name: ended.result() if ended.done() else ended.cancel() and "open"
            for name, ended in self.ended.items()
        }


async def _closed(socket: Client) -> int:
    return (await socket.closed())[0]


async def _told(lines: Any) -> str:
    *_, (_, payload), (last, _) = [event async for event in events(lines)]
    assert last == "complete"
    code: str = payload["errors"][0]["extensions"]["code"]
    return code


async def test_whoever_loses_access_loses_their_streams(live_url: str, house: House) -> None:
    async with AsyncExitStack() as stack:
        streams = Streams(live_url, stack)
        people = {name: await house.person() for name in (*ENDINGS, *ENDINGS_OF_KEYS)}
        for name, person in people.items():
            header = person.header
            if name in ENDINGS_OF_KEYS:
                made = await house.do(person.viewer, api_key.create, name="x", scopes=["read"])
                header = f"Bearer {made.key.text}"
            await streams.open(name, header)
        for name, end in (ENDINGS | ENDINGS_OF_KEYS).items():
            await end(house, people[name])
        expected = {"socket": 4403, "stream": "UNAUTHENTICATED"}
        assert await streams.all_ended() == {
            name: expected[name.rpartition(", ")[2]] for name in streams.ended
        }
