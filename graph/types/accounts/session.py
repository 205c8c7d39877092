"""Sessions in the graph: signing in, staying signed in, signing out."""

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
from graph.core.fields import BatchInfo, batch, column
from graph.core.inputs import MutationInput, UpdateInput, given, optional, required
from graph.core.node import Node, expression, node_id, node_type
from graph.kit import filtering, ordering, rates
from graph.kit.comparators import DateTimeFilter
from graph.kit.loading import to_one
from graph.kit.mutation import Payload, Refs, mutation, payload, ref, value
from graph.kit.ordering import OrderBy
from graph.kit.paging import connection_type

if TYPE_CHECKING:
    from graph.types.accounts.user import User


def _is_active(_viewer: Any, session: Any) -> Any:
    return and_(session.revoked_at.is_(None), session.expires_at > func.now())


async def _is_current(parents: Sequence[Any], info: BatchInfo) -> list[bool]:
    return [parent.id == info.viewer.session_id for parent in parents]


@node_type(
    models.Session,
    "One login on one device. Ending it makes every token that came of it worthless.",
)
class Session(Node):
    """See the module."""

    id: strawberry.ID = node_id(models.Session)
    device_name: str | None = column(
        models.Session.device_name, "What the device was called at the login."
    )
    ip: str | None = column(models.Session.ip, "The network address of the login.")
    user_agent: str | None = column(
        models.Session.user_agent, "What the program called itself at the login."
    )
    is_current: bool = batch(_is_current, "Whether this request belongs to it.", requires=("id",))
    is_active: bool = expression(
        models.Session, "is_active", _is_active, "Whether it is neither ended nor expired."
    )
    last_used_at: dt.datetime = column(
        models.Session.last_used_at, "When it was begun or last refreshed."
    )
    expires_at: dt.datetime = column(
        models.Session.expires_at, "When it ends unless it is refreshed before."
    )
    revoked_at: dt.datetime | None = column(models.Session.revoked_at, "When it was ended.")
    revoked_reason: str | None = column(
        models.Session.revoked_reason, "Why it was ended, for people."
    )
    created_at: dt.datetime = column(models.Session.created_at, "When the login was.")
    updated_at: dt.datetime = column(models.Session.updated_at, "When it last changed.")
    version: int = column(models.Session.version, "Grows with each change.")
    user: Annotated[User, strawberry.lazy("graph.types.accounts.user")] | None = to_one(
        models.Session.user, "Who is signed in."
    )


@connection_type("A page of sessions.", edge="A session in a list, with its place in it.")
class SessionConnection:
    """Relay connection."""

    node: Session


@filtering.filter_input("Which sessions.")
class SessionFilter:
    """Criteria on sessions."""

    is_active: bool | None = filtering.by_condition(
        _is_active, "Whether it is neither ended nor expired."
    )
    created_at: DateTimeFilter | None = filtering.by(models.Session.created_at, "The login's time.")
    last_used_at: DateTimeFilter | None = filtering.by(
        models.Session.last_used_at, "When it was begun or last refreshed."
    )


@ordering.order_input("One step of an ordering of sessions; give exactly one field.")
class SessionOrder:
    """Orderings of sessions."""

    created_at: OrderBy | None = ordering.by(models.Session.created_at, "By the login's time.")
    last_used_at: OrderBy | None = ordering.by(
        models.Session.last_used_at, "By the time of the last refresh."
    )


# --- payloads ------------------------------------------------------------------------------------

# Never kept for a repeat, neither the tokens nor what would make no sense without them.
SECRETS = ("access_token", "refresh_token", "expires_at")


@strawberry.type
class GrantPayload(Payload):
    """What all payloads have that sign somebody in."""

    access_token: str | None = value(
        "access_token",
        "Send it as `Authorization: Bearer …`. Left out of a repeat, like all secrets.",
    )
    refresh_token: str | None = value(
        "refresh_token",
        "Give it to `sessionRefresh` before the access token ends. Each one works once, and gives "
        "the next. Left out of a repeat.",
    )
    expires_at: dt.datetime | None = value("expires_at", "When the access token ends.")
    session: Session | None = ref(models.Session, "The session.")
    user: Annotated[User, strawberry.lazy("graph.types.accounts.user")] | None = ref(
        models.User, "Who is signed in. Fields below are read as they see them.", name="user"
    )


@payload("The answer of `sessionCreate`.")
class SessionCreatePayload(GrantPayload):
    """See `GrantPayload`."""


@payload("The answer of `sessionRefresh`.")
class SessionRefreshPayload(GrantPayload):
    """See `GrantPayload`."""


@payload("The answer of `sessionUpdate`.")
class SessionUpdatePayload(Payload):
    """The renamed session."""

    session: Session | None = ref(models.Session, "The session, with its new name.")


@payload("The answer of `sessionRevoke`.")
class SessionRevokePayload(Payload):
    """The ended session."""

    session: Session | None = ref(models.Session, "The session, ended.")


@payload("The answer of `sessionsRevokeOthers`.")
class SessionsRevokeOthersPayload(Payload):
    """How many were ended."""

    revoked_count: int | None = value("revoked_count", "How many sessions were ended.")


@payload("The answer of `streamTokenCreate`.")
class StreamTokenCreatePayload(Payload):
    """A stream token."""

    token: str | None = value(
        "token",
        "To be sent as the parameter `token` of the stream's address. Left out of a repeat.",
    )
    expires_at: dt.datetime | None = value(
        "expires_at",
        "Until when a stream can be opened with it. The stream itself lasts as long as the access "
        "token with which this was asked for.",
    )


# --- inputs --------------------------------------------------------------------------------------


@strawberry.input(description="Sign in.")
class SessionCreateInput(MutationInput):
    """Input of `sessionCreate`."""

    login: str = required("The username or the e-mail address, without regard to case.")
    password: str = required("The password.")
    device_name: str | None = optional(
        "What to call this device in the list of sessions; up to 100 characters."
    )


@strawberry.input(description="Exchange a refresh token.")
class SessionRefreshInput(MutationInput):
    """Input of `sessionRefresh`."""

    refresh_token: str = required("The latest refresh token of the session.")


@strawberry.input(description="Another name for a session.")
class SessionUpdateInput(UpdateInput):
    """Input of `sessionUpdate`."""

    id: strawberry.ID = required("The session, one of your own.")
    device_name: str | None = optional(
        "What to call the device; up to 100 characters. Left out: nothing."
    )


@strawberry.input(description="Sign out.")
class SessionRevokeInput(MutationInput):
    """Input of `sessionRevoke`."""

    id: strawberry.ID | None = optional(
        "The session to end, one of your own; the one of this request unless given."
    )


@strawberry.input(description="Sign out everywhere else.")
class SessionsRevokeOthersInput(MutationInput):
    """Input of `sessionsRevokeOthers`."""


@strawberry.input(description="Ask for a stream token.")
class StreamTokenCreateInput(MutationInput):
    """Input of `streamTokenCreate`."""


# --- mutations -----------------------------------------------------------------------------------


def signed_in(context: Context, work: Work, grant: Grant) -> Refs:
    """What the payload of a login refers to; the rest of the request goes on as who signed in."""

    def go_on() -> None:
        context.viewer = grant.viewer
        context.renewed = grant.viewer.credentials

    # Not before the commit: until then nobody has signed in.
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


async def _revoke_others(context: Context, work: Work, _data: SessionsRevokeOthersInput) -> Refs:
    count = await sessions.revoke_others(work, context.services.authenticator)
    return {"revoked_count": count}


async def _stream_token(context: Context, work: Work, _data: StreamTokenCreateInput) -> Refs:
    minted = context.services.authenticator.mint_stream_token(work.viewer)
    return {"token": minted.token, "expires_at": minted.expires_at}


@strawberry.type
class SessionMutation:
    """Root fields."""

    session_create: SessionCreatePayload = mutation(
        _create,
        SessionCreateInput,
        "Sign in with username or e-mail address and password. What follows in the same request "
        "is done as who signed in.",
        public=True,
        in_context=True,
        secrets=SECRETS,
        limit=rates.login,
    )
    session_refresh: SessionRefreshPayload = mutation(
        _refresh,
        SessionRefreshInput,
        "Exchange a refresh token for the next one and a new access token. For ten seconds, while "
        "nobody has used the next one, a repeat gives it again; later it is a theft, and ends the "
        "session. Over a WebSocket this renews the connection.",
        public=True,
        in_context=True,
        secrets=SECRETS,
    )
    session_update: SessionUpdatePayload = mutation(
        _rename, SessionUpdateInput, "Give one of your sessions another name."
    )
    session_revoke: SessionRevokePayload = mutation(
        _revoke,
        SessionRevokeInput,
        "Sign out: end the session of this request, or another one of your own.",
        in_context=True,
    )
    sessions_revoke_others: SessionsRevokeOthersPayload = mutation(
        _revoke_others,
        SessionsRevokeOthersInput,
        "End all your sessions but the one of this request.",
        in_context=True,
    )
    stream_token_create: StreamTokenCreatePayload = mutation(
        _stream_token,
        StreamTokenCreateInput,
        "Get a token with which a browser's `EventSource`, which sends no header, can open an "
        "event stream by GET. It lives for a minute, opens one subscription once, and is good for "
        "nothing else.",
        in_context=True,
        secrets=("token", "expires_at"),
    )
