"""Administration of users: all fields of all users, for administrators only."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import strawberry
from sqlalchemy import Text

from db import models
from db.models import WeekDay
from domain.accounts import user as users
from domain.work import Work
from errors import Forbidden
from graph.core import ids
from graph.core.context import Context
from graph.core.fields import BatchInfo, batch, column
from graph.core.inputs import MutationInput, UpdateInput, change, given, required
from graph.core.node import second_type
from graph.core.scalars import TimeZone
from graph.kit import filtering, ordering
from graph.kit.commands import changes_of
from graph.kit.comparators import DateTimeFilter, IDFilter, StringFilter
from graph.kit.mutation import MutationPayload, Refs, mutation, payload, ref, shared_payload, value
from graph.kit.ordering import Key, SortOrder
from graph.kit.paging import Page, connection_type, paging_arguments, read_pages
from graph.types.accounts.account import private, profile
from graph.types.accounts.user import User

# An account's own prefix, so that client caches keep it apart from the user's public profile.
_PREFIX = "admin_user_"


@second_type(models.User, "An account as administrators see it.")
class AdminUser:
    id: strawberry.ID = column(
        "The account's ID, different from that of `user`, so that client caches keep the two "
        "apart. Mutations accept either ID; `node` does not accept this one.",
        convert=lambda key: f"{_PREFIX}{key.hex}",
    )
    user: User = profile("The user's public profile.")
    email: str = private(models.User.email, "The email address.")
    email_verified_at: dt.datetime | None = private(
        models.User.email_verified_at, "When the email address was verified."
    )
    timezone: TimeZone = private(models.User.timezone, "The user's time zone.")
    week_start: WeekDay = private(
        models.User.week_start, "The first day of the user's week.", WeekDay
    )
    locale: str = private(models.User.locale, "The language tag for messages to the user.")
    is_active: bool = private(
        models.User.is_active,
        "Whether the account is active. The user of an inactive account cannot sign in.",
    )
    is_admin: bool = private(
        models.User.is_admin, "Whether the user is an administrator of the server."
    )


@connection_type("A page of accounts.", edge="An account in a list, with its cursor.")
class AdminUserConnection:
    node: AdminUser


# --- filters and orderings -----------------------------------------------------------------------


@filtering.filter_input("Filter for users, on all fields that administrators can see.")
class AdminUserFilter:
    id: IDFilter | None = filtering.by_id(models.User.id, models.User, "The user's ID.")
    username: StringFilter | None = filtering.by_name(
        models.User.username, "The username.", order="username"
    )
    full_name: StringFilter | None = filtering.by_name(
        models.User.full_name, "The full name.", order="full name"
    )
    email: StringFilter | None = filtering.by_name(models.User.email, "The email address.")
    email_verified_at: DateTimeFilter | None = filtering.by(
        models.User.email_verified_at,
        "When the email address was verified; use `isNull` for never.",
        order="when the email address was verified",
    )
    created_at: DateTimeFilter | None = filtering.by(
        models.User.created_at, "When the account was created.", order="creation time"
    )
    updated_at: DateTimeFilter | None = filtering.by(
        models.User.updated_at, "When the account last changed.", order="the last change"
    )
    is_active: bool | None = filtering.by_flag(
        models.User.is_active,
        "Whether the account is active.",
        order="whether the account is active, inactive accounts first",
    )
    is_admin: bool | None = filtering.by_flag(
        models.User.is_admin,
        "Whether the user is an administrator of the server.",
        order="whether the user is an administrator",
    )
    search: str | None = filtering.by_search(
        (models.User.username, models.User.full_name, models.User.email),
        "Words that all occur in the username, full name or email address; case and accents are "
        "ignored.",
    )


@ordering.order_input("Sort key for users. Provide exactly one field.", of=AdminUserFilter)
class AdminUserOrder:
    email: SortOrder | None = ordering.by_expression(
        "email_key",
        lambda _, user: ordering.text_key(user.email),
        Text(),
        "Sorts by email address.",
        nullable=False,
    )


# --- queries -------------------------------------------------------------------------------------

_NEWEST = (Key(ordering.source(models.User.created_at), descending=True),)


async def _admin_users(_: Sequence[Any], info: BatchInfo, **paging: Any) -> list[Page]:
    info.viewer.require()
    if not info.viewer.is_admin:
        raise Forbidden("Only administrators can list all users.")
    pages = await read_pages(info, models.User, default_order=_NEWEST, **paging)
    return [pages[None]]


@strawberry.type
class UserAdminQuery:
    admin_users: AdminUserConnection = batch(
        _admin_users,
        "All accounts, newest first by default. Administrators only.",
        arguments=paging_arguments(AdminUserFilter, AdminUserOrder),
    )


# --- inputs and payloads -------------------------------------------------------------------------


@strawberry.input(
    description="Input for `adminUserUpdate`. Omitted fields stay unchanged; null clears a field."
)
class AdminUserUpdateInput(UpdateInput):
    id: strawberry.ID = required("The user to change.")
    username: strawberry.Maybe[str | None] = change(
        "The new username: 3 to 50 letters (a to z), digits and `_ . -`."
    )
    email: strawberry.Maybe[str | None] = change(
        "The new email address, up to 100 characters; it counts as not verified."
    )
    full_name: strawberry.Maybe[str | None] = change("The full name, up to 100 characters.")
    timezone: strawberry.Maybe[TimeZone | None] = change("The user's time zone.")
    week_start: strawberry.Maybe[WeekDay | None] = change("The first day of the user's week.")
    locale: strawberry.Maybe[str | None] = change("A language tag, such as en or de-CH.")
    is_admin: strawberry.Maybe[bool | None] = change(
        "Whether the user is an administrator of the server."
    )


@strawberry.input
class _UserInput(MutationInput):
    id: strawberry.ID = required("The user.")


@strawberry.input(description="Input for `adminUserActivate`.")
class AdminUserActivateInput(_UserInput):
    """`adminUserActivate`."""


@strawberry.input(description="Input for `adminUserDeactivate`.")
class AdminUserDeactivateInput(_UserInput):
    """`adminUserDeactivate`."""


@strawberry.input(description="Input for `adminUserSessionsRevoke`.")
class AdminUserSessionsRevokeInput(_UserInput):
    """`adminUserSessionsRevoke`."""


@shared_payload("`adminUser` is the current account.")
class _AccountPayload(MutationPayload):
    """Fields of all payloads of accounts."""

    admin_user: AdminUser | None = ref(
        models.User, "The account after the mutation; null if nothing was changed.", "user"
    )


@payload("Payload of `adminUserSessionsRevoke`.")
class AdminUserSessionsRevokePayload(_AccountPayload):
    """`adminUserSessionsRevoke`."""

    revoked_count: int | None = value("revoked_count", "The number of sessions that were revoked.")


# --- mutations -----------------------------------------------------------------------------------


_changes = changes_of(AdminUserUpdateInput, users.CHANGEABLE)


def _id_of(data: AdminUserUpdateInput | _UserInput) -> UUID:
    """The user's id, of either kind."""
    text = data.id
    if text.startswith(_PREFIX):
        text = strawberry.ID(f"{ids.PREFIXES[models.User]}_{text.removeprefix(_PREFIX)}")
    return ids.decode(models.User, text, ("id",))


async def _administer(context: Context, work: Work, data: AdminUserUpdateInput) -> Refs:
    user = await users.administer(
        work,
        context.services.authenticator,
        _id_of(data),
        _changes(data),
        if_version=given(data.if_version),
    )
    return {"user": user.id}


async def _activate(work: Work, data: AdminUserActivateInput) -> Refs:
    return {"user": (await users.activate(work, _id_of(data))).id}


async def _deactivate(context: Context, work: Work, data: AdminUserDeactivateInput) -> Refs:
    user = await users.deactivate(work, context.services.authenticator, _id_of(data))
    return {"user": user.id}


async def _revoke_sessions(
    context: Context, work: Work, data: AdminUserSessionsRevokeInput
) -> Refs:
    user_id, count = await users.revoke_sessions(work, context.services.authenticator, _id_of(data))
    return {"user": user_id, "revoked_count": count}


@strawberry.type
class UserAdminMutation:
    admin_user_update: _AccountPayload = mutation(
        _administer, AdminUserUpdateInput, "Changes any user. Administrators only.", in_context=True
    )
    admin_user_activate: _AccountPayload = mutation(
        _activate,
        AdminUserActivateInput,
        "Activates a user, who can then sign in again. Administrators only.",
    )
    admin_user_deactivate: _AccountPayload = mutation(
        _deactivate,
        AdminUserDeactivateInput,
        "Deactivates a user and ends their sessions. Administrators only.",
        in_context=True,
    )
    admin_user_sessions_revoke: AdminUserSessionsRevokePayload = mutation(
        _revoke_sessions,
        AdminUserSessionsRevokeInput,
        "Revokes all sessions of a user. Administrators only.",
        in_context=True,
    )
