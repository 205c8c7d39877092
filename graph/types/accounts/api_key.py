"""API keys in the graph."""

from __future__ import annotations

import datetime as dt

import strawberry

from auth.api_keys import viewer_with
from auth.scopes import NOUNS
from auth.viewer import Viewer
from db import models
from domain.accounts import api_key as domain
from domain.work import Work
from graph.core import ids
from graph.core.context import Context
from graph.core.fields import column
from graph.core.inputs import MutationInput, given, optional, required
from graph.core.node import Node, node_id, node_type
from graph.kit import ordering, paging
from graph.kit.mutation import Payload, Refs, mutation, payload, ref, value
from graph.kit.ordering import OrderBy

_NOUNS = "; ".join(f"`{noun}`: {about}" for noun, about in NOUNS.items())
SCOPES = (
    "`read`, `write`, or a noun with a verb, such as `tasks:write`. `write` includes `read`. The "
    f"nouns: {_NOUNS}."
)


@node_type(
    models.ApiKey,
    "A key with which a program acts as you, within its scopes: `Authorization: Bearer tl_…`. A "
    "field outside of them is `FORBIDDEN`, and `extensions.scope` names the scope that it needs.",
)
class ApiKey(Node):
    """See `db.models.ApiKey`."""

    id: strawberry.ID = node_id(models.ApiKey)
    name: str = column(models.ApiKey.name, "What its user calls it.")
    prefix: str = column(models.ApiKey.prefix, "How the key begins; all that is shown of it.")
    scopes: list[str] = column(models.ApiKey.scopes, SCOPES)
    project_ids: list[strawberry.ID] | None = column(
        models.ApiKey.project_ids,
        "The projects that it is restricted to: it sees and changes what is in them, and nothing "
        "else. Null where it is not restricted.",
        convert=lambda keys: [ids.encode(models.Project, key) for key in keys],
    )
    created_at: dt.datetime = column(models.ApiKey.created_at, "When it was made.")
    updated_at: dt.datetime = column(models.ApiKey.updated_at, "When it last changed.")
    version: int = column(models.ApiKey.version, "Grows with each change.")
    expires_at: dt.datetime | None = column(
        models.ApiKey.expires_at, "When it ends; null where it does not."
    )
    last_used_at: dt.datetime | None = column(
        models.ApiKey.last_used_at, "When it was last used, to the minute."
    )
    revoked_at: dt.datetime | None = column(models.ApiKey.revoked_at, "When it was revoked.")


BY_KEY = (
    "The API key that made it, or that changed it last. It has the rights of the key, and ends "
    "with it. Null where you made it with a session, or took it over."
)


async def sender_of(work: Work, row: models.Webhook | models.Integration) -> Viewer:
    """With whose rights a webhook or an integration acts: the viewer's, or an API key's."""
    viewer = work.viewer
    if row.api_key_id in {None, viewer.api_key_id}:
        return viewer
    key = await work.session.get_one(models.ApiKey, row.api_key_id)
    return viewer_with(key, viewer)


@paging.connection_type("A page of API keys.", edge="An API key in a list.")
class ApiKeyConnection:
    """Relay connection."""

    node: ApiKey


@ordering.order_input("One step of an ordering of API keys; give exactly one field.")
class ApiKeyOrder:
    """Orderings of API keys."""

    created_at: OrderBy | None = ordering.by(models.ApiKey.created_at, "By age.")
    last_used_at: OrderBy | None = ordering.by(models.ApiKey.last_used_at, "By the last use.")


@strawberry.input(description="A new API key.")
class ApiKeyCreateInput(MutationInput):
    """Input of `apiKeyCreate`."""

    name: str = required("What to call it; up to 100 characters.")
    scopes: list[str] = required(SCOPES)
    project_ids: list[strawberry.ID] | None = optional(
        f"Restrict it to these projects, at most {domain.MOST_PROJECTS}."
    )
    expires_at: dt.datetime | None = optional("When it shall end; never unless given.")


@strawberry.input(description="An API key to revoke.")
class ApiKeyRevokeInput(MutationInput):
    """Input of `apiKeyRevoke`."""

    id: strawberry.ID = required("The key.")


@payload("The answer of `apiKeyCreate`.")
class ApiKeyCreatePayload(Payload):
    """A new key."""

    key: str | None = value(
        "key", "The key itself, shown this once and stored nowhere. Left out of a repeat."
    )
    api_key: ApiKey | None = ref(models.ApiKey, "The key's entry.")


@payload("The answer of `apiKeyRevoke`.")
class ApiKeyRevokePayload(Payload):
    """A revoked key."""

    api_key: ApiKey | None = ref(models.ApiKey, "The key's entry.")


async def _create(work: Work, data: ApiKeyCreateInput) -> Refs:
    projects = given(data.project_ids)
    if projects is not None:
        projects = [
            ids.decode(models.Project, text, ("project_ids", index))
            for index, text in enumerate(projects)
        ]
    made = await domain.create(
        work,
        name=data.name,
        scopes=data.scopes,
        project_ids=projects,
        expires_at=given(data.expires_at),
    )
    return {"api_key": made.row.id, "key": made.key.text}


async def _revoke(context: Context, work: Work, data: ApiKeyRevokeInput) -> Refs:
    key_id = ids.decode(models.ApiKey, data.id, ("id",))
    row = await domain.revoke(work, context.services.authenticator, key_id)
    return {"api_key": row.id}


@strawberry.type
class ApiKeyMutation:
    """Root fields."""

    api_key_create: ApiKeyCreatePayload = mutation(
        _create,
        ApiKeyCreateInput,
        "Make an API key. At most 50 of yours can be in use; not to be done with a key.",
        secrets=("key",),
    )
    api_key_revoke: ApiKeyRevokePayload = mutation(
        _revoke,
        ApiKeyRevokeInput,
        "Make a key worthless, everywhere within 5 seconds. The webhooks and integrations that it "
        "made stop, until you take them over.",
        in_context=True,
    )
