"""`/auth/token` and `/auth/revoke`, as standard clients of OAuth 2 use them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app import create_app
from settings import Settings
from tests.accounts import PASSWORD, Person
from tests.factories import World


async def token(http: httpx.AsyncClient, **form: str) -> httpx.Response:
    return await http.post("/auth/token", data=form)


def failed(response: httpx.Response) -> tuple[int, str]:
    body = response.json()
    assert set(body) == {"error", "error_description"}
    assert response.headers["Cache-Control"] == "no-store"
    return response.status_code, body["error"]


async def signed_in(http: httpx.AsyncClient, person: Person) -> dict[str, Any]:
    response = await token(http, grant_type="password", username=person.username, password=PASSWORD)
    assert response.status_code == 200, response.text
    assert response.headers["Cache-Control"] == "no-store"
    grant: dict[str, Any] = response.json()
    return grant


async def who(http: httpx.AsyncClient, access_token: str) -> Any:
    response = await http.post(
        "/graphql",
        json={"query": "{ viewer { user { username } } }"},
        headers={"Authorization": f"Bearer {access_token}"},
    )
    data = response.json().get("data")
    return data and data["viewer"]["user"]["username"]


async def test_the_grants(world: World) -> None:
    ada, http = await world.person(), world.http
    grant = await signed_in(http, ada)
    assert set(grant) == {"access_token", "token_type", "expires_in", "refresh_token"}
    lifetime = world.services.settings.auth.access_token_seconds
    assert grant["token_type"] == "Bearer"
    assert lifetime - 10 <= grant["expires_in"] <= lifetime
    assert await who(http, grant["access_token"]) == ada.username
    refreshed = await token(
        http, grant_type="refresh_token", refresh_token=grant["refresh_token"], client_id="spa"
    )
    assert await who(http, refreshed.json()["access_token"]) == ada.username
    assert refreshed.json()["refresh_token"] != grant["refresh_token"]


async def test_errors_are_those_of_the_rfc(world: World) -> None:
    ada, http = await world.person(), world.http
    wrong = {"grant_type": "password", "username": ada.username, "password": "wrong"}
    assert failed(await token(http, **wrong)) == (400, "invalid_grant")
    assert failed(await token(http, **(wrong | {"username": "nobody-at-all"}))) == (
        400, "invalid_grant"
    )  # fmt: skip
    assert failed(await token(http, grant_type="refresh_token", refresh_token="x")) == (
        400, "invalid_grant"
    )  # fmt: skip
    assert failed(await token(http, grant_type="client_credentials")) == (
        400, "unsupported_grant_type"
    )  # fmt: skip
    for form in ({}, {"grant_type": "password"}, {"grant_type": "refresh_token"}):
        assert failed(await token(http, **form)) == (400, "invalid_request")
    json = await http.post("/auth/token", json=wrong)
    assert failed(json) == (400, "invalid_request")
    twice = await http.post(
        "/auth/token",
        content="grant_type=password&grant_type=password",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert failed(twice) == (400, "invalid_request")
    long = await token(http, **(wrong | {"password": "x" * 20_000}))
    assert failed(long) == (400, "invalid_request")
    assert (await http.get("/auth/token")).status_code == 405


async def test_revoking_either_token_ends_the_session(world: World) -> None:
    ada, http = await world.person(), world.http
    for kind in ("refresh_token", "access_token"):
        grant = await signed_in(http, ada)
        response = await http.post(
            "/auth/revoke", data={"token": grant[kind], "token_type_hint": kind}
        )
        assert (response.status_code, response.content) == (200, b"")
        assert await who(http, grant["access_token"]) is None
        again = await token(http, grant_type="refresh_token", refresh_token=grant["refresh_token"])
        assert failed(again) == (400, "invalid_grant")
        # Again, and unknown ones: all the same.
        for text in (grant[kind], "unknown"):
            assert (await http.post("/auth/revoke", data={"token": text})).status_code == 200
    assert failed(await http.post("/auth/revoke", data={"x": "y"})) == (400, "invalid_request")


@pytest.fixture
async def limited(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    limits = settings.limits.model_copy(update={"login_account": "5/minute;20/hour"})
    app = create_app(settings.model_copy(update={"limits": limits}))
    async with app.lifespan():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://taskloom.test") as http:
            yield http


async def test_too_many_attempts(limited: httpx.AsyncClient, world: World) -> None:
    ada = await world.person()
    wrong = {"grant_type": "password", "username": ada.username, "password": "wrong"}
    for _ in range(5):
        assert failed(await token(limited, **wrong)) == (400, "invalid_grant")
    response = await token(limited, **(wrong | {"password": PASSWORD}))
    assert failed(response) == (429, "slow_down")
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    # The same count as of `sessionCreate`.
    login = 'mutation ($l: String!) { sessionCreate(input: {login: $l, password: "x"}) \
        { errors { code } } }'
    reply = await limited.post("/graphql", json={"query": login, "variables": {"l": ada.email}})
    assert reply.json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"


@given(body=st.binary(max_size=200))
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_no_body_breaks_it(world: World, body: bytes) -> None:
    for path in ("/auth/token", "/auth/revoke"):
        response = await world.http.post(
            path,
            content=body,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert response.status_code in {200, 400}
