"""Sessions in the schema: sign in, refresh and sign out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import and_, func

from db import models
from domain.accounts import session as sessions
from domain.accounts.session import Grant
from domain.work import Work
from graph.core import ids
from graph.core.context import Context
from graph.core.fields import BatchInfo, batch, column, derived
from graph.core.inputs import MutationInput, UpdateInput, given, optional, required
from graph.core.node import Node, expression, node_id, node_type
from graph.kit import filtering, ordering, rates
from graph.kit.comparators import DateTimeFilter, IDFilter
from graph.kit.loading import to_one
from graph.kit.mutation import MutationPayload, Refs, mutation, payload, ref, shared_payload, value
from graph.kit.ordering import Key
from graph.kit.paging import connection, connection_type
from graph.types.accounts.account import LazyViewer, oneself

if TYPE_CHECKING:
    from graph.types.accounts.user import User


def _is_active(_viewer: Any, session: Any) -> Any:
    return and_(session.revoked_at.is_(None), session.expires_at > func.now())


async def _is_current(parents: Sequence[Any], info: BatchInfo) -> list[bool]:
    return [parent.id == info.viewer.session_id for parent in parents]


@node_type(
    models.Session,
    "A login on one device. Revoking the session invalidates every token issued for it.",
)
class Session(Node):
    id: strawberry.ID = node_id(models.Session)
    device_name: str | None = column("The device name given at login.")
    ip: str | None = column("The IP address at login.")
    user_agent: str | None = column("The `User-Agent` header at login.")
    is_current: bool = batch(
        _is_current, "Whether this request belongs to the session.", requires=("id",)
    )
    is_active: bool = expression(
        models.Session,
        "is_active",
        _is_active,
        "Whether the session is neither revoked nor expired.",
    )
    last_used_at: dt.datetime = column(
        "When the session was created or last refreshed.", may_fail=True
    )
    expires_at: dt.datetime = column(
        "When the session expires unless it is refreshed.", may_fail=True
    )
    revoked_at: dt.datetime | None = column("When the session was revoked.")
    revoked_reason: str | None = column("Why the session was revoked, for display.")
    created_at: dt.datetime = column("When the user signed in.")
    updated_at: dt.datetime = column("When the session last changed.")
    version: int = column("Increases with each change; pass it as `ifVersion`.")
    user: Annotated[User, strawberry.lazy("graph.types.accounts.user")] | None = to_one(
        models.Session.user, "The user who is signed in."
    )


def sessions_of_viewer() -> Any:
    """The field `Viewer.sessions`."""
    return connection(
        models.Session,
        "Your sessions, newest first by default.",
        filter_type=SessionFilter,
        order_type=SessionOrder,
        default_order=(Key(ordering.source(models.Session.created_at), descending=True),),
    )


@connection_type("A page of sessions.", edge="A session in a list, with its cursor.")
class SessionConnection:
    node: Session


@filtering.filter_input("Filter for sessions.")
class SessionFilter:
    id: IDFilter | None = filtering.by_id(models.Session.id, models.Session, "The session's ID.")
    is_active: bool | None = filtering.by_condition(
        _is_active, "Whether the session is neither revoked nor expired."
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.Session.created_at, "When the user signed in.", order="login time"
    )
    last_used_at: DateTimeFilter | None = filtering.by(
        models.Session.last_used_at,
        "When the session was created or last refreshed.",
        order="the time of the last refresh",
    )
    expires_at: DateTimeFilter | None = filtering.by(
        models.Session.expires_at, "When the session ends unless it is refreshed."
    )


@ordering.order_input("Sort key for sessions. Provide exactly one field.", of=SessionFilter)
class SessionOrder: ...


# --- payloads ------------------------------------------------------------------------------------

# Not stored for a repeated idempotency key: neither the tokens nor what is useless without them.
SECRETS = ("access_token", "refresh_token", "expires_at")


@shared_payload()
class GrantPayload(MutationPayload):
    """Fields of all payloads that sign a user in."""

    access_token: str | None = value(
        "access_token",
        "Send it as `Authorization: Bearer …`. Null if `replayed` is true.",
    )
    refresh_token: str | None = value(
        "refresh_token",
        "Pass it to `sessionRefresh` before the access token expires. Each refresh token works "
        "once and returns the next one. Null if `replayed` is true.",
    )
    access_token_expires_at: dt.datetime | None = value(
        "expires_at", "When the access token expires."
    )
    session: Session | None = ref(models.Session, "The session.")
    viewer: LazyViewer | None = oneself("You, now signed in. Null if `replayed` is true.")


@payload("Payload of `sessionUpdate`.")
class SessionUpdatePayload(MutationPayload):
    session: Session | None = ref(models.Session, "The renamed session.")


@payload("Payload of `sessionRevoke`.")
class SessionRevokePayload(MutationPayload):
    session: Session | None = ref(models.Session, "The revoked session.")


@payload("Payload of `sessionRevokeOthers`.")
class SessionRevokeOthersPayload(MutationPayload):
    revoked_ids: list[strawberry.ID] = derived(
        (),
        lambda source: source.refs.get("revoked_ids", []),
        "The IDs of the sessions that were revoked.",
    )


@payload("Payload of `streamTokenCreate`.")
class StreamTokenCreatePayload(MutationPayload):
    token: str | None = value(
        "token",
        "Send it as the query parameter `token` in the URL of the stream. Null if `replayed` is "
        "true.",
    )
    expires_at: dt.datetime | None = value(
        "expires_at",
        "Until when the token can open a stream. The stream itself ends with the access token "
        "that was used to create the stream token.",
    )


# --- inputs --------------------------------------------------------------------------------------


@strawberry.input(description="Input for `sessionCreate`.")
class SessionCreateInput(MutationInput):
    login: str = required("Your username or email address; case is ignored.")
    password: str = required("Your password.")
    device_name: str | None = optional(
        "A name for this device in the list of sessions, up to 100 characters."
    )


@strawberry.input(description="Input for `sessionRefresh`.")
class SessionRefreshInput(MutationInput):
    refresh_token: str = required("The latest refresh token of the session.")


@strawberry.input(description="Input for `sessionUpdate`.")
class SessionUpdateInput(UpdateInput):
    id: strawberry.ID = required("The session to rename; one of your own.")
    device_name: str | None = optional(
        "New device name, up to 100 characters. Omit it to clear the name."
    )


@strawberry.input(description="Input for `sessionRevoke`.")
class SessionRevokeInput(MutationInput):
    id: strawberry.ID | None = optional(
        "The session to revoke; one of your own. Defaults to the session of this request."
    )


@strawberry.input(description="Input for `sessionRevokeOthers`; no field is required.")
class SessionRevokeOthersInput(MutationInput):
    """Input for `sessionRevokeOthers`."""


@strawberry.input(description="Input for `streamTokenCreate`; no field is required.")
class StreamTokenCreateInput(MutationInput):
    """Input for `streamTokenCreate`."""


# --- mutations -----------------------------------------------------------------------------------


def signed_in(context: Context, work: Work, grant: Grant) -> Refs:
    """The refs of a login's payload. The rest of the request runs as the signed-in user."""

    def go_on() -> None:
        context.viewer = grant.viewer
        context.renewed = grant.viewer.credentials

    # Only after the commit: until then the login has not taken place.
    work.after_commit.append(go_on)
    return {
        "access_token": grant.access_token,
        "refresh_token": grant.refresh_token,
        "expires_at": grant.expires_at,
        "session": grant.viewer.session_id,
        "user": grant.viewer.user_id,
    }


async def _create(context: Context, work: Work, data: SessionCreateInput) -> Refs:
    grant = await sessions.create(
        work,
        context.services.authenticator,
        login=data.login,
        password=data.password,
        device_name=given(data.device_name),
    )
    return signed_in(context, work, grant)


async def _refresh(context: Context, work: Work, data: SessionRefreshInput) -> Refs:
    grant = await sessions.refresh(
        work, context.services.authenticator, refresh_token=data.refresh_token
    )
    return signed_in(context, work, grant)


async def _rename(work: Work, data: SessionUpdateInput) -> Refs:
    session_id = ids.decode(models.Session, data.id, ("id",))
    session = await sessions.rename(
        work, session_id, given(data.device_name), if_version=given(data.if_version)
    )
    return {"session": session.id}


async def _revoke(context: Context, work: Work, data: SessionRevokeInput) -> Refs:
    wanted = given(data.id)
    session = await sessions.revoke(
        work,
        context.services.authenticator,
        session_id=None if wanted is None else ids.decode(models.Session, wanted, ("id",)),
    )
    return {"session": session.id}


async def _revoke_others(context: Context, work: Work, _data: SessionRevokeOthersInput) -> Refs:
    ended = await sessions.revoke_others(work, context.services.authenticator)
    return {"revoked_ids": [ids.encode(models.Session, session_id) for session_id in ended]}


async def _stream_token(context: Context, work: Work, _data: StreamTokenCreateInput) -> Refs:
    minted = context.services.authenticator.mint_stream_token(work.viewer)
    return {"token": minted.token, "expires_at": minted.expires_at}


@strawberry.type
class SessionMutation:
    session_create: GrantPayload = mutation(
        _create,
        SessionCreateInput,
        "Signs in with a username or an email address and a password. Later mutations in the "
        "same request run as the signed-in user.",
        public=True,
        in_context=True,
        secrets=SECRETS,
        limit=rates.login,
    )
    session_refresh: GrantPayload = mutation(
        _refresh,
        SessionRefreshInput,
        "Exchanges a refresh token for a new refresh token and a new access token. For 10 "
        "seconds, as long as the new token is unused, a repeated call returns the same refresh "
        "token again. Any later reuse counts as theft and ends the session. Over a WebSocket "
        "this also renews the connection.",
        public=True,
        in_context=True,
        secrets=SECRETS,
    )
    session_update: SessionUpdatePayload = mutation(
        _rename, SessionUpdateInput, "Renames one of your sessions."
    )
    session_revoke: SessionRevokePayload = mutation(
        _revoke,
        SessionRevokeInput,
        "Signs out: revokes the session of this request or another one of your own.",
        in_context=True,
    )
    session_revoke_others: SessionRevokeOthersPayload = mutation(
        _revoke_others,
        SessionRevokeOthersInput,
        "Revokes all your sessions except the one of this request.",
        in_context=True,
    )
    stream_token_create: StreamTokenCreatePayload = mutation(
        _stream_token,
        StreamTokenCreateInput,
        "Creates a token that lets a browser's `EventSource`, which cannot send headers, open "
        "an event stream with GET. It is valid for one minute and opens a single subscription.",
        in_context=True,
        secrets=("token", "expires_at"),
    )
