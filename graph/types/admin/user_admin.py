"""Administration of users: everything about everybody, for administrators only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import strawberry
from sqlalchemy import Text

from db import models
from db.models import WeekDay
from domain.accounts import user as users
from domain.work import Work
from errors import Forbidden
from graph.core import ids
from graph.core.context import Context
from graph.core.fields import BatchInfo, batch
from graph.core.inputs import MutationInput, UpdateInput, change, given, required
from graph.kit import filtering, ordering
from graph.kit.commands import changes_of
from graph.kit.comparators import DateTimeFilter, IDFilter, StringFilter
from graph.kit.mutation import Payload, Refs, mutation, payload, ref, value
from graph.kit.ordering import Key, OrderBy
from graph.kit.paging import Page, paging_arguments, read_pages
from graph.types.accounts.user import User, UserConnection, UserPayload

# --- filters and orderings -----------------------------------------------------------------------


@filtering.filter_input("Which users, by everything that administrators may see of them.")
class AdminUserFilter:
    """Criteria for administrators."""

    id: IDFilter | None = filtering.by_id(models.User.id, models.User, "The user's id.")
    username: StringFilter | None = filtering.by(models.User.username, "The username.")
    full_name: StringFilter | None = filtering.by(models.User.full_name, "The full name.")
    email: StringFilter | None = filtering.by(models.User.email, "The e-mail address.")
    email_verified_at: DateTimeFilter | None = filtering.by(
        models.User.email_verified_at, "When the address was verified; `isNull` for never."
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.User.created_at, "When the account was made."
    )
    is_active: bool | None = filtering.by_condition(
        lambda _viewer, user: user.is_active, "Whether they may sign in."
    )
    is_admin: bool | None = filtering.by_condition(
        lambda _viewer, user: user.is_admin, "Whether they administrate the server."
    )
    search: str | None = filtering.by_search(
        (models.User.username, models.User.full_name, models.User.email),
        "Words that all occur in username, full name or e-mail address, without regard to case and "
        "accents.",
    )


@ordering.order_input("One step of an ordering of users; give exactly one field.")
class AdminUserOrder:
    """Orderings for administrators."""

    username: OrderBy | None = ordering.by_text(models.User.username, "By username.")
    full_name: OrderBy | None = ordering.by_text(models.User.full_name, "By full name.")
    email: OrderBy | None = ordering.by_expression(
        "email_key",
        lambda _, user: ordering.text_key(user.email),
        Text(),
        "By e-mail address.",
        nullable=False,
    )
    email_verified_at: OrderBy | None = ordering.by(
        models.User.email_verified_at, "By the moment at which the address was verified."
    )
    created_at: OrderBy | None = ordering.by(models.User.created_at, "By age of the account.")
    updated_at: OrderBy | None = ordering.by(models.User.updated_at, "By the latest change.")
    is_active: OrderBy | None = ordering.by(
        models.User.is_active, "By whether they may sign in: those who may not come first."
    )
    is_admin: OrderBy | None = ordering.by(
        models.User.is_admin, "By whether they administrate the server."
    )


# --- queries -------------------------------------------------------------------------------------

_NEWEST = (Key(ordering.source(models.User.created_at), descending=True),)


async def _admin_users(_: Sequence[Any], info: BatchInfo, **paging: Any) -> list[Page]:
    info.viewer.require()
    if not info.viewer.is_admin:
        raise Forbidden("Only administrators may list all users.")
    pages = await read_pages(info, models.User, default_order=_NEWEST, **paging)
    return [pages[None]]


@strawberry.type
class UserAdminQuery:
    """Root fields."""

    admin_users: UserConnection = batch(
        _admin_users,
        "All users, the newest first; for administrators.",
        arguments=paging_arguments(AdminUserFilter, AdminUserOrder),
    )


# --- inputs and payloads -------------------------------------------------------------------------


@strawberry.input(description="Changes to anybody, by an administrator.")
class UserUpdateInput(UpdateInput):
    """Input of `userUpdate`."""

    id: strawberry.ID = required("The user.")
    username: strawberry.Maybe[str | None] = change("Another username.")
    email: strawberry.Maybe[str | None] = change("Another address; it counts as not verified.")
    full_name: strawberry.Maybe[str | None] = change("Up to 100 characters.")
    timezone: strawberry.Maybe[str | None] = change("An IANA time zone, such as Europe/Zurich.")
    week_start: strawberry.Maybe[WeekDay | None] = change("The day on which their week begins.")
    locale: strawberry.Maybe[str | None] = change("A language tag, such as en or de-CH.")
    is_admin: strawberry.Maybe[bool | None] = change("Whether they administrate the server.")


@strawberry.input(description="A user, for an administrator's operation.")
class UserInput(MutationInput):
    """For operations that need the user alone."""

    id: strawberry.ID = required("The user.")


@payload("The answer of `userSessionsRevoke`.")
class UserSessionsRevokePayload(Payload):
    """Whose sessions were ended."""

    user: User | None = ref(models.User, "The user; null if nothing was done.", "user")
    revoked_count: int | None = value("revoked_count", "How many sessions were ended.")


# --- mutations -----------------------------------------------------------------------------------


_changes = changes_of(UserUpdateInput, users.CHANGEABLE)


async def _administer(context: Context, work: Work, data: UserUpdateInput) -> Refs:
    user = await users.administer(
        work,
        context.services.authenticator,
        ids.decode(models.User, data.id, ("id",)),
        _changes(data),
        if_version=given(data.if_version),
    )
    return {"user": user.id}


async def _activate(work: Work, data: UserInput) -> Refs:
    return {"user": (await users.activate(work, ids.decode(models.User, data.id, ("id",)))).id}


async def _deactivate(context: Context, work: Work, data: UserInput) -> Refs:
    user = await users.deactivate(
        work, context.services.authenticator, ids.decode(models.User, data.id, ("id",))
    )
    return {"user": user.id}


async def _revoke_sessions(context: Context, work: Work, data: UserInput) -> Refs:
    user_id, count = await users.revoke_sessions(
        work, context.services.authenticator, ids.decode(models.User, data.id, ("id",))
    )
    return {"user": user_id, "revoked_count": count}


@strawberry.type
class UserAdminMutation:
    """Root fields."""

    user_update: UserPayload = mutation(
        _administer, UserUpdateInput, "Change anybody. For administrators.", in_context=True
    )
    user_activate: UserPayload = mutation(
        _activate, UserInput, "Let somebody sign in again. For administrators."
    )
    user_deactivate: UserPayload = mutation(
        _deactivate,
        UserInput,
        "Shut somebody out; their sessions end. For administrators.",
        in_context=True,
    )
    user_sessions_revoke: UserSessionsRevokePayload = mutation(
        _revoke_sessions,
        UserInput,
        "End all sessions of somebody. For administrators.",
        in_context=True,
    )
