"""API keys in the schema."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry
from sqlalchemy import and_, func, or_

from auth.api_keys import viewer_with
from auth.scopes import ADMIN, NOUNS, ApiKeyScope
from auth.viewer import Viewer
from db import models
from domain.accounts import api_key as domain
from domain.work import Work
from graph.core import ids
from graph.core.context import Context
from graph.core.fields import BatchInfo, batch, column
from graph.core.inputs import MutationInput, optional, required
from graph.core.node import Node, described_enum, expression, node_id, node_type
from graph.kit import filtering, ordering, paging
from graph.kit.commands import arguments_of
from graph.kit.comparators import DateTimeFilter, IDFilter, StringFilter
from graph.kit.loading import load_objects
from graph.kit.mutation import MutationPayload, Refs, mutation, payload, ref, value
from graph.kit.ordering import Key

if TYPE_CHECKING:
    from graph.types.projects.project import Project


def _meaning(scope: ApiKeyScope) -> str:
    noun, _, verb = scope.value.rpartition(":")
    does = "Read" if verb == "read" else "Read and change"
    what = NOUNS[noun] if noun else f"everything except `{ADMIN}`"
    return f"`{scope.value}`: {does.lower()} {what}."


described_enum(
    ApiKeyScope,
    "What an API key may do. `WRITE` and `…_WRITE` include reading. New scopes may be added.",
    {scope: _meaning(scope) for scope in ApiKeyScope},
)


def shown_scopes(scopes: Iterable[str]) -> list[ApiKeyScope]:
    """Scopes in the schema's order."""
    granted = set(scopes)
    return [scope for scope in ApiKeyScope if scope.value in granted]


def is_active(_viewer: Any, key: Any) -> Any:
    """Whether a key can be used, in SQL."""
    return and_(
        key.revoked_at.is_(None), or_(key.expires_at.is_(None), key.expires_at > func.now())
    )


async def _projects(parents: Sequence[Any], info: BatchInfo) -> list[list[Any] | None]:
    wanted = [key for parent in parents for key in parent.project_ids or ()]
    rows = await load_objects(info, models.Project, wanted)
    found: dict[UUID, Any] = dict(zip(wanted, rows, strict=True))
    return [
        None if parent.project_ids is None else [found[k] for k in parent.project_ids if found[k]]
        for parent in parents
    ]


@node_type(
    models.ApiKey,
    "A key that lets a program act as you within the key's scopes. Send it as `Authorization: "
    "Bearer tl_…`. A field outside the scopes fails with `FORBIDDEN`; `extensions.scope` names "
    "the missing scope.",
)
class ApiKey(Node):
    id: strawberry.ID = node_id(models.ApiKey)
    name: str = column("The name of the key.")
    prefix: str = column("The first characters of the key. The rest is never shown again.")
    scopes: list[ApiKeyScope] = column("What the key may do.", convert=shown_scopes)
    projects: list[Annotated[Project, strawberry.lazy("graph.types.projects.project")]] | None = (
        batch(
            _projects,
            "The projects the key is restricted to: it can read and change only what belongs to "
            "them. Projects that you no longer see are left out. Null if it is not restricted.",
            requires=("project_ids",),
        )
    )
    is_active: bool = expression(
        models.ApiKey, "is_active", is_active, "Whether the key is neither revoked nor expired."
    )
    created_at: dt.datetime = column("When the key was created.")
    updated_at: dt.datetime = column("When the key last changed.")
    version: int = column("Increases with each change.")
    expires_at: dt.datetime | None = column("When the key expires; null if it does not.")
    last_used_at: dt.datetime | None = column("When the key was last used, to the minute.")
    revoked_at: dt.datetime | None = column("When the key was revoked.")


BY_KEY = (
    "The API key that created it or last changed it. It has the permissions of the key and "
    "stops when the key is revoked or expires. Null if you created it or took it over in a "
    "signed-in session."
)


async def sender_of(work: Work, row: models.Webhook | models.Integration) -> Viewer:
    """The viewer whose permissions a webhook or an integration has: the user or their API key."""
    viewer = work.viewer
    if row.api_key_id in {None, viewer.api_key_id}:
        return viewer
    key = await work.session.get_one(models.ApiKey, row.api_key_id)
    return viewer_with(key, viewer)


@paging.connection_type("A page of API keys.", edge="An API key in a list, with its cursor.")
class ApiKeyConnection:
    node: ApiKey


@filtering.filter_input("Filter for API keys.")
class ApiKeyFilter:
    id: IDFilter | None = filtering.by_id(models.ApiKey.id, models.ApiKey, "The API key's ID.")
    name: StringFilter | None = filtering.by_name(models.ApiKey.name, "The name.", order="name")
    is_active: bool | None = filtering.by_condition(
        is_active, "Whether the key is neither revoked nor expired."
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.ApiKey.created_at, "When the key was created.", order="creation time"
    )
    last_used_at: DateTimeFilter | None = filtering.by(
        models.ApiKey.last_used_at,
        "When the key was last used; use `isNull` for never.",
        order="last use",
    )
    expires_at: DateTimeFilter | None = filtering.by(
        models.ApiKey.expires_at, "When the key expires; use `isNull` for never."
    )


@ordering.order_input("Sort key for API keys. Provide exactly one field.", of=ApiKeyFilter)
class ApiKeyOrder: ...


def api_keys() -> Any:
    """The field `Viewer.apiKeys`."""
    return paging.connection(
        models.ApiKey,
        "Your API keys, newest first by default.",
        filter_type=ApiKeyFilter,
        order_type=ApiKeyOrder,
        default_order=(Key(ordering.source(models.ApiKey.created_at), descending=True),),
    )


@strawberry.input(description="Input for `apiKeyCreate`.")
class ApiKeyCreateInput(MutationInput):
    name: str = required("The name, up to 100 characters.")
    scopes: list[ApiKeyScope] = required("What the key may do.")
    project_ids: list[strawberry.ID] | None = optional(
        f"Restricts the key to these projects, at most {domain.MOST_PROJECTS}."
    )
    expires_at: dt.datetime | None = optional("When the key expires; never by default.")


@strawberry.input(description="Input for `apiKeyRevoke`.")
class ApiKeyRevokeInput(MutationInput):
    id: strawberry.ID = required("The API key to revoke.")


@payload("Payload of `apiKeyCreate`.")
class ApiKeyCreatePayload(MutationPayload):
    secret: str | None = value(
        "key",
        "The complete key. It is shown only once and is not stored. Null if `replayed` is true.",
    )
    api_key: ApiKey | None = ref(models.ApiKey, "The new API key.")


@payload("Payload of `apiKeyRevoke`.")
class ApiKeyRevokePayload(MutationPayload):
    api_key: ApiKey | None = ref(models.ApiKey, "The revoked API key.")


_new = arguments_of(ApiKeyCreateInput, domain.create, ids={"project_ids": models.Project})


async def _create(work: Work, data: ApiKeyCreateInput) -> Refs:
    values = _new(data)
    scopes = [scope.value for scope in values.pop("scopes")]
    made = await domain.create(work, scopes=scopes, **values)
    return {"api_key": made.row.id, "key": made.key.text}


async def _revoke(context: Context, work: Work, data: ApiKeyRevokeInput) -> Refs:
    key_id = ids.decode(models.ApiKey, data.id, ("id",))
    row = await domain.revoke(work, context.services.authenticator, key_id)
    return {"api_key": row.id}


@strawberry.type
class ApiKeyMutation:
    api_key_create: ApiKeyCreatePayload = mutation(
        _create,
        ApiKeyCreateInput,
        "Creates an API key. You can have at most 50 active keys. Requires a signed-in session; "
        "API keys cannot do it.",
        secrets=("key",),
    )
    api_key_revoke: ApiKeyRevokePayload = mutation(
        _revoke,
        ApiKeyRevokeInput,
        "Revokes an API key. It stops working everywhere within 5 seconds. Webhooks and "
        "integrations that it created stop until you take them over.",
        in_context=True,
    )
