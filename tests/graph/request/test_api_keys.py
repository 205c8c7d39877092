"""API keys: how they are made, what they show of themselves, and how they end."""

from __future__ import annotations

import asyncio
import datetime as dt
from functools import partial
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from auth.scopes import ApiKeyScope
from db import models
from domain.accounts import api_key as api_keys
from errors import ErrorCode, Failure, Unauthenticated
from graph.request.scope_table import OWN
from tests.factories import World, gid
from tests.graph.request.api_keys import CREATE, MINE, ask, key_of, made, refused

REVOKE = """
mutation ($id: ID!) { apiKeyRevoke(input: {id: $id}) { apiKey { revokedAt } errors { code } } }
"""


async def test_a_key_is_shown_once(world: World) -> None:
    ada, bob = await world.people(2)
    values = {"name": "CI", "scopes": ["TASKS_READ", "READ"], "idempotencyKey": "one"}
    first = (await world.post(CREATE, ada, input=values)).good["apiKeyCreate"]
    assert first["secret"].startswith(first["apiKey"]["prefix"])
    assert len(first["apiKey"]["prefix"]) == 11
    assert first["apiKey"]["scopes"] == ["READ", "TASKS_READ"]
    again = (await world.post(CREATE, ada, input=values)).good["apiKeyCreate"]
    assert (again["secret"], again["replayed"]) == (None, True)
    listed = (await world.post(MINE, ada)).good["viewer"]["apiKeys"]["nodes"]
    assert [key["prefix"] for key in listed] == [first["apiKey"]["prefix"]]
    # Nobody else sees it, nor can revoke it.
    assert (await world.post(MINE, bob)).good["viewer"]["apiKeys"]["nodes"] == []
    assert (await world.post(REVOKE, bob, id=first["apiKey"]["id"])).codes == ["NOT_FOUND"]
    # It is in no table and no event.
    async with world.database.session() as session:
        dump = (await session.execute(text_of_everything(), {"key": first["secret"]})).scalar()
    assert dump == 0


def text_of_everything() -> Any:
    from sqlalchemy import text

    return text(
        "SELECT (SELECT count(*) FROM api_keys k WHERE k::text LIKE '%' || :key || '%')"
        " + (SELECT count(*) FROM events e WHERE e::text LIKE '%' || :key || '%')"
        " + (SELECT count(*) FROM idempotency_keys i WHERE i::text LIKE '%' || :key || '%')"
    )


async def test_bad_keys_are_not_made(world: World) -> None:
    ada = await world.person()

    async def errors(**values: Any) -> list[tuple[str, str]]:
        given = {"name": "CI", "scopes": ["READ"], **values}
        reply = await world.post(CREATE, ada, input=given)
        return [
            (error["code"], ".".join(error["path"][1:]))
            for error in reply.data["apiKeyCreate"]["errors"]
        ]

    assert await errors(name=" ") == [("BAD_USER_INPUT", "name")]
    assert await errors(scopes=[]) == [("BAD_USER_INPUT", "scopes")]
    assert await errors(scopes=["ADMIN_READ"]) == [("FORBIDDEN", "scopes.0")]
    assert await errors(expiresAt="2020-01-01T00:00:00Z") == [("BAD_USER_INPUT", "expiresAt")]
    assert await errors(projectIds=[]) == [("BAD_USER_INPUT", "projectIds")]
    hidden = await world.project(await world.person())
    assert await errors(projectIds=[gid(hidden)]) == [("NOT_FOUND", "projectIds.0")]


OWN_KEY = """
{ viewer { credentials {
  session { id user { username } } scopes expiresAt
  apiKey { ...K } projects { id __typename }
} } }
fragment K on ApiKey { id name prefix scopes isActive expiresAt }
"""


@pytest.mark.parametrize("scope", ["tasks:read", "webhooks:write", "admin:read"])
async def test_any_key_reads_its_own_credentials(world: World, scope: str) -> None:
    ada = await world.person(is_admin=True)
    soon = "2190-01-01T00:00:00Z"
    key = await made(world, ada, scope, expiresAt=soon)
    own = (await ask(world, key["secret"], OWN_KEY)).good["viewer"]["credentials"]
    assert own == {
        "session": None,
        "scopes": [ApiKeyScope(scope).name],
        "expiresAt": soon,
        "projects": None,
        "apiKey": {
            "id": key["apiKey"]["id"],
            "name": "CI",
            "prefix": key["apiKey"]["prefix"],
            "scopes": [ApiKeyScope(scope).name],
            "isActive": True,
            "expiresAt": soon,
        },
    }


async def test_a_session_reads_its_own_credentials(world: World) -> None:
    ada = await world.person()
    own = (await world.post(OWN_KEY, ada)).good["viewer"]["credentials"]
    assert (own["apiKey"], own["scopes"], own["projects"]) == (None, None, None)
    assert own["session"]["user"] == {"username": ada.username}
    assert own["expiresAt"] is not None


async def test_a_key_reads_the_ids_of_its_projects_and_no_more(world: World) -> None:
    ada = await world.person()
    first, second = await world.project(ada, name="One"), await world.project(ada, name="Two")
    both = [gid(first), gid(second)]
    key = await key_of(world, ada, "tasks:read", projectIds=both)
    own = (await ask(world, key, OWN_KEY)).good["viewer"]["credentials"]
    assert [project["id"] for project in own["projects"]] == both
    named = "{ viewer { credentials { projects { id name } } } }"
    assert refused(await ask(world, key, named)) == "projects:read"
    reader = await key_of(world, ada, "tasks:read", "projects:read", projectIds=both)
    seen = (await ask(world, reader, named)).good["viewer"]["credentials"]["projects"]
    assert [project["name"] for project in seen] == ["One", "Two"]
    listed = "{ viewer { apiKeys { nodes { projects { name } } } } }"
    for node in (await world.post(listed, ada)).good["viewer"]["apiKeys"]["nodes"]:
        assert [project["name"] for project in node["projects"]] == ["One", "Two"]


async def test_only_its_own_credentials_are_free_for_a_key(world: World) -> None:
    """By the position, even if the same fragment is also spread at other keys and sessions."""
    ada = await world.person()
    key = await key_of(world, ada, "read")
    for elsewhere in ("apiKeys { nodes { ...K } }", "sessions { nodes { ...S } }"):
        document = f"""
        {{ viewer {{
          credentials {{ apiKey {{ ...K }} session {{ ...S }} }}
          {elsewhere}
        }} }}
        fragment K on ApiKey {{ id name }}
        fragment S on Session {{ id ip }}
        """
        reply = await ask(world, key, document)
        assert (reply.status, reply.codes) == (403, ["FORBIDDEN"])
    assert {place.split(".")[0] for place in OWN} == {"Credentials"}


async def test_a_key_ends(world: World) -> None:
    ada = await world.person()
    asked = "{ viewer { user { username } } }"
    payload = await made(world, ada, "read")
    assert (await ask(world, payload["secret"], asked)).good
    await world.post(REVOKE, ada, id=payload["apiKey"]["id"])
    reply = await ask(world, payload["secret"], asked)
    assert (reply.status, reply.codes) == (401, ["UNAUTHENTICATED"])
    # Safe to repeat.
    assert (await world.post(REVOKE, ada, id=payload["apiKey"]["id"])).good
    for wrong in ("tl_", "tl_" + "x" * 43, "tl_" + "x" * 500):
        assert (await ask(world, wrong, asked)).codes == ["UNAUTHENTICATED"]


async def test_the_use_is_noted(world: World) -> None:
    ada = await world.person()
    key = await key_of(world, ada, "read")
    await ask(world, key, "{ viewer { user { username } } }")
    (shown,) = (await world.post(MINE, ada)).good["viewer"]["apiKeys"]["nodes"]
    assert shown["lastUsedAt"] is not None


async def test_expiry_and_deactivation(world: World) -> None:
    """With a process of its own, whose clock can be moved."""
    house = type(world.house)(world.house.settings, world.database)
    ada = await house.person()
    soon = (house.clock() + dt.timedelta(hours=1)).isoformat()
    key = await key_of(world, ada, "read", expiresAt=soon)
    viewer = await house.auth.viewer(f"Bearer {key}")
    assert viewer.user_id == ada.id
    assert await house.auth.still_valid(viewer.credentials)
    house.clock.forward(minutes=61)
    with pytest.raises(Unauthenticated, match="expired"):
        await house.auth.viewer(f"Bearer {key}")
    assert not await house.auth.still_valid(viewer.credentials)
    house.auth.close()


async def test_the_number_of_keys_holds_for_requests_at_once(world: World) -> None:
    ada = await world.person()
    create = partial(
        world.house.do, ada.viewer, api_keys.create, name="One of many", scopes=["read"]
    )
    for _ in range(api_keys.MOST_KEYS - 2):
        await create()
    made = await asyncio.gather(*(create() for _ in range(8)), return_exceptions=True)
    failures = [one for one in made if isinstance(one, Failure)]
    assert len(failures) == 6
    assert {one.code for one in failures} == {ErrorCode.LIMIT_EXCEEDED}
    async with world.database.session() as session:
        keys = select(func.count()).where(models.ApiKey.user_id == ada.id)
        assert await session.scalar(keys) == api_keys.MOST_KEYS


async def test_a_key_that_has_expired_is_not_counted(world: World) -> None:
    house = type(world.house)(world.house.settings, world.database)
    ada = await house.person()
    soon = house.clock() + dt.timedelta(hours=1)
    create = partial(house.do, ada.viewer, api_keys.create, name="One of many", scopes=["read"])
    for _ in range(api_keys.MOST_KEYS):
        await create(expires_at=soon)
    with pytest.raises(Failure, match="50 active API keys"):
        await create()
    house.clock.forward(hours=2)
    await create()
    house.auth.close()


async def test_keys_work_over_every_transport(world: World, app: Any) -> None:
    ada = await world.person()
    key = await key_of(world, ada, "tasks:read")
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://taskloom.test") as http:
        query = {"query": "subscription { taskEvents { id } }"}
        response = await http.post("/graphql", json=query, headers=headers)
    assert response.status_code == 403
    assert response.json()["errors"][0]["extensions"]["scope"] == "events:read"
