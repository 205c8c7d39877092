"""Making API keys, and asking with them."""

from __future__ import annotations

from typing import Any

from auth.scopes import ApiKeyScope
from tests.accounts import Person
from tests.factories import Reply, World

CREATE = """
mutation ($input: ApiKeyCreateInput!) { apiKeyCreate(input: $input) {
  secret replayed errors { code path }
  apiKey { id name prefix scopes projects { id } isActive expiresAt lastUsedAt revokedAt } } }
"""
MINE = "{ viewer { apiKeys { nodes { id name prefix lastUsedAt } } } }"


async def made(world: World, person: Person, *scopes: str, **more: Any) -> dict[str, Any]:
    values = {"name": "CI", "scopes": [ApiKeyScope(scope).name for scope in scopes], **more}
    reply = await world.post(CREATE, person, input=values)
    payload: dict[str, Any] = reply.good["apiKeyCreate"]
    return payload


async def key_of(world: World, person: Person, *scopes: str, **more: Any) -> str:
    text: str = (await made(world, person, *scopes, **more))["secret"]
    return text


async def ask(world: World, key: str, query: str, **variables: Any) -> Reply:
    await world.settle(query)
    response = await world.http.post(
        "/graphql",
        json={"query": query, "variables": variables},
        headers={"Authorization": f"Bearer {key}"},
    )
    return Reply.of(response.content, response.status_code)


def refused(reply: Reply) -> str | None:
    """The scope that a refusal names."""
    assert (reply.status, reply.codes) == (403, ["FORBIDDEN"]), reply.body
    assert "data" not in reply.body.decode()
    scope: str | None = reply.errors[0]["extensions"].get("scope")
    return scope
