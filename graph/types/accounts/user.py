"""Users in the schema: public profiles, which every signed-in user can read.

What only oneself and administrators see of an account is in `Viewer` and `AdminUser`.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import strawberry
from sqlalchemy import ARRAY, Text, Uuid, bindparam, false, func, select, union_all
from sqlalchemy.orm import aliased

from auth import access
from db import models
from db.models import WeekDay
from domain.accounts import user as users
from domain.accounts.user_deletion import delete_oneself
from domain.work import Work
from errors import BadInput
from graph.core import ids
from graph.core.context import Context
from graph.core.fields import BatchInfo, batch, column, derived
from graph.core.inputs import (
    MutationInput,
    UpdateInput,
    change,
    given,
    optional,
    required,
)
from graph.core.node import Node, node_id, node_type
from graph.core.scalars import URL, TimeZone
from graph.kit import filtering, ordering, rates
from graph.kit.commands import arguments_of, changes_of
from graph.kit.comparators import IDFilter, StringFilter
from graph.kit.loading import by_id
from graph.kit.mutation import (
    MutationPayload,
    Outcome,
    Refs,
    mutation,
    payload,
    shared_payload,
    value,
)
from graph.kit.ordering import Key, SortOrder
from graph.kit.paging import Page, connection_type, paging_arguments, read_pages, to_many
from graph.types.accounts.account import LazyViewer, oneself
from graph.types.accounts.avatar import avatar_urls
from graph.types.accounts.session import SECRETS, GrantPayload, signed_in

if TYPE_CHECKING:
    from graph.types.projects.project import ProjectConnection
    from graph.types.projects.project_inputs import ProjectFilter, ProjectOrder
    from graph.types.tasks.task import TaskConnection
    from graph.types.tasks.task_inputs import TaskFilter, TaskOrder

_TaskConnection = Annotated["TaskConnection", strawberry.lazy("graph.types.tasks.task")]
_TaskFilter = Annotated["TaskFilter", strawberry.lazy("graph.types.tasks.task_inputs")]
_TaskOrder = Annotated["TaskOrder", strawberry.lazy("graph.types.tasks.task_inputs")]
_ProjectConnection = Annotated["ProjectConnection", strawberry.lazy("graph.types.projects.project")]
_ProjectFilter = Annotated["ProjectFilter", strawberry.lazy("graph.types.projects.project_inputs")]
_ProjectOrder = Annotated["ProjectOrder", strawberry.lazy("graph.types.projects.project_inputs")]


@node_type(
    models.User,
    "The public profile of a person with an account.",
)
class User(Node):
    id: strawberry.ID = node_id(models.User)
    username: str = column("The unique username, in the case the user chose.")
    full_name: str | None = column("The full name.")
    display_name: str = derived(
        (models.User.username, models.User.full_name),
        lambda user: user.full_name or user.username,
        "The full name, or the username if there is none.",
    )
    avatar_url: URL | None = batch(
        avatar_urls,
        "URL of the avatar as a square WebP image. Anyone can load and cache it; a new avatar has "
        "a new URL. Replace `.webp` by `.png` or `.jpg` for other formats.",
        requires=("id", "avatar_id"),
    )
    created_at: dt.datetime = column("When the account was created.")
    updated_at: dt.datetime = column("When the profile last changed.")
    version: int = column("Increases with each change; pass it as `ifVersion`.")
    assigned_tasks: _TaskConnection = to_many(
        models.User.assigned_tasks,
        "Tasks that are assigned to the user and that you can see, newest first by default.",
        filter_type=_TaskFilter,
        order_type=_TaskOrder,
        default_order=(Key(ordering.source(models.Task.created_at), descending=True),),
    )
    owned_tasks: _TaskConnection = to_many(
        models.User.owned_tasks,
        "Tasks that the user owns and that you can see, newest first by default.",
        filter_type=_TaskFilter,
        order_type=_TaskOrder,
        default_order=(Key(ordering.source(models.Task.created_at), descending=True),),
    )
    owned_projects: _ProjectConnection = to_many(
        models.User.owned_projects,
        "Projects that the user owns and that you can see, newest first by default.",
        filter_type=_ProjectFilter,
        order_type=_ProjectOrder,
        default_order=(Key(ordering.source(models.Project.created_at), descending=True),),
    )


@connection_type("A page of users.", edge="A user in a list, with its cursor.")
class UserConnection:
    node: User


# --- filters and orderings -----------------------------------------------------------------------
# Public fields only: a filter on a hidden field would reveal its value. Administrators have filters
# of their own (`graph.types.admin.user_admin`).


@filtering.filter_input("Filter for users, on public fields.")
class UserFilter:
    """Filter on the public profile."""

    is_null: bool | None = filtering.by_absence("user")
    is_me: bool | None = filtering.by_me()
    id: IDFilter | None = filtering.by_id(models.User.id, models.User, "The user's ID.")
    username: StringFilter | None = filtering.by_name(
        models.User.username, "The username.", order="username"
    )
    full_name: StringFilter | None = filtering.by_name(
        models.User.full_name, "The full name.", order="full name"
    )
    search: str | None = filtering.by_search(
        (models.User.username, models.User.full_name),
        "Words that all occur in the username or full name; case and accents are ignored.",
    )


@ordering.order_input("Sort key for users. Provide exactly one field.", of=UserFilter)
class UserOrder:
    """Sort keys on the public profile."""

    created_at: SortOrder | None = ordering.by(
        models.User.created_at, "Sorts by when the account was created."
    )


# --- queries -------------------------------------------------------------------------------------


# The list of users is no directory: it has the people whom the viewer works with, and otherwise
# only those whom the filter names, or the beginning of whose name it gives. Each of these is a set
# of IDs that an index finds; with an OR of conditions, every user would be tested.


def _known(viewer: Any, user: Any) -> Any:
    return user.id.in_(access.works_with(viewer))


def _known_or_named(viewer: Any, user: Any) -> Any:
    other = aliased(models.User)
    begins = bindparam("begins", type_=models.User.username.type)
    names = bindparam("names", type_=ARRAY(Text()))
    keys = bindparam("keys", type_=ARRAY(Uuid()))
    return user.id.in_(
        union_all(
            access.works_with(viewer),
            select(other.id).where(func.lower(other.username).like(begins)),
            select(other.id).where(func.lower(other.full_name).like(begins)),
            select(other.id).where(func.lower(other.username) == names.any_()),
            select(other.id).where(other.id == keys.any_()),
        )
    )


def _nobody(_viewer: Any, _user: Any) -> Any:
    return false()


_BY_USERNAME = (Key(ordering.source(models.User.username_key)),)


def _named(wanted: Any) -> dict[str, Any] | None:
    """The parameters of `_known_or_named`; None if a filter names nobody."""
    search = (given(wanted.search) or "").strip().lower()
    for special in "\\%_":
        search = search.replace(special, "\\" + special)
    found = {
        "begins": f"{search}%" if search else None,
        "names": [name.lower() for name in _exact(given(wanted.username))],
        "keys": [key for text in _exact(given(wanted.id)) if (key := _key(text)) is not None],
    }
    return found if any(found.values()) else None


def _key(text: str) -> UUID | None:
    """The UUID of a user's ID. Of an invalid one, the filter itself says what is wrong."""
    try:
        model, key = ids.split(text, ())
    except BadInput:
        return None
    return key if model is models.User else None


def _exact(comparator: Any) -> list[str]:
    """The values that a comparator asks for by `eq` or `in`."""
    if comparator is None:
        return []
    one, several = given(comparator.eq), given(comparator.in_)
    return [*([] if one is None else [one]), *(several or [])]


async def _users(
    _: Sequence[Any],
    info: BatchInfo,
    *,
    filter: Any = None,  # noqa: A002 - the argument's name in the schema
    **paging: Any,
) -> list[Page]:
    info.viewer.require()
    where: Any = _known
    named = None if filter is None else _named(filter)
    if named is not None:
        where = _known_or_named
    if filter is not None and isinstance(filter.search, str) and not filter.search.strip():
        # A field in which nothing is typed yet: nobody, instead of an error.
        where, filter = _nobody, dataclasses.replace(filter, search=strawberry.UNSET)  # noqa: A001
    pages = await read_pages(
        info,
        models.User,
        default_order=_BY_USERNAME,
        where=where,
        params=named,
        filter=filter,
        **paging,
    )
    return [pages[None]]


@strawberry.type
class UserQuery:
    user: User | None = by_id(
        models.User,
        "The user's ID, or @ and the username, such as @ada; case-insensitive.",
        "Returns one user by ID or username. Null with `NOT_FOUND` if it does not exist.",
    )
    users: UserConnection = batch(
        _users,
        "The people you share a project or a task with, ordered by username by default. To find "
        "others, filter by the beginning of their username or full name (`search`), or by `eq` or "
        "`in` of `username` or `id`. An empty `search` finds nobody.",
        arguments=paging_arguments(UserFilter, UserOrder),
    )


# --- inputs and payloads -------------------------------------------------------------------------


@strawberry.input(description="Input for `userRegister`.")
class UserRegisterInput(MutationInput):
    username: str = required(
        "The username: 3 to 50 letters (a to z), digits and `_ . -`. Unique regardless of case."
    )
    email: str = required("The email address, up to 100 characters. Unique regardless of case.")
    password: str = required("The password, 8 to 100 characters in any script.")
    full_name: str | None = optional("The full name, up to 100 characters.")
    timezone: TimeZone | None = optional("Your time zone. Defaults to UTC.")
    device_name: str | None = optional(
        "A name for this device in the list of sessions, up to 100 characters."
    )


@strawberry.input(
    description="Input for `accountUpdate`. Omitted fields stay unchanged; null clears a field."
)
class AccountUpdateInput(UpdateInput):
    username: strawberry.Maybe[str | None] = change(
        "The new username: 3 to 50 letters (a to z), digits and `_ . -`. Links with the old one "
        "stop working."
    )
    full_name: strawberry.Maybe[str | None] = change("The full name, up to 100 characters.")
    timezone: strawberry.Maybe[TimeZone | None] = change("Your time zone.")
    week_start: strawberry.Maybe[WeekDay | None] = change("The first day of your week.")
    locale: strawberry.Maybe[str | None] = change("A language tag, such as en or de-CH.")


@strawberry.input(description="Input for `passwordChange`.")
class PasswordChangeInput(MutationInput):
    current_password: str = required("Your current password.")
    new_password: str = required("The new password, 8 to 100 characters in any script.")


@strawberry.input(description="Input for `accountDelete`.")
class AccountDeleteInput(MutationInput):
    password: str = required("Your password.")
    transfer_to_id: strawberry.ID | None = optional(
        "The user who takes over your personal tasks that they can see. All others are moved to "
        "the trash."
    )
    confirm: bool = strawberry.field(
        default=False,
        description=(
            "Whether to delete the account. If false, nothing changes and the payload reports "
            "how many tasks other users would lose."
        ),
    )


@payload("Payload of `userRegister`. You are signed in immediately.")
class UserRegisterPayload(GrantPayload):
    """See `GrantPayload`."""


@shared_payload("`viewer` is the current account.")
class ViewerPayload(MutationPayload):
    """The payload of mutations of one's own account."""

    viewer: LazyViewer | None = oneself("You after the mutation; null if nothing was changed.")


@payload("Payload of `accountDelete`.")
class AccountDeletePayload(MutationPayload):
    """A deleted user cannot be read."""

    deleted_id: strawberry.ID | None = value(
        "deleted_id", "The ID of your deleted account; null if it was not deleted."
    )
    tasks_lost_by_others: int | None = value(
        "tasks_lost_by_others",
        "The number of tasks that other users can see and lose with your account. Null if there "
        "are errors.",
    )


# --- mutations -----------------------------------------------------------------------------------

_new = arguments_of(UserRegisterInput, users.register)
_changes = changes_of(AccountUpdateInput, users.PROFILE)


async def _register(context: Context, work: Work, data: UserRegisterInput) -> Refs:
    grant = await users.register(work, context.services.authenticator, **_new(data))
    return signed_in(context, work, grant)


async def _update_profile(context: Context, work: Work, data: AccountUpdateInput) -> Refs:
    user = await users.update_profile(
        work,
        context.services.authenticator,
        _changes(data),
        if_version=given(data.if_version),
    )
    return {"user": user.id}


async def _change_password(context: Context, work: Work, data: PasswordChangeInput) -> Refs:
    user = await users.change_password(
        work,
        context.services.authenticator,
        current_password=data.current_password,
        new_password=data.new_password,
    )
    return {"user": user.id}


async def _delete(context: Context, work: Work, data: AccountDeleteInput) -> Outcome:
    heir = given(data.transfer_to_id)
    deleted = await delete_oneself(
        work,
        context.services.authenticator,
        password=data.password,
        transfer_to=None if heir is None else ids.decode(models.User, heir, ("transfer_to_id",)),
    )
    # Without `confirm` the deletion is carried out and rolled back, so that the number is exact.
    id_ = ids.encode(models.User, deleted.user_id) if data.confirm else None
    refs = {"deleted_id": id_, "tasks_lost_by_others": deleted.lost_tasks}
    return Outcome(refs, undo=not data.confirm)


@strawberry.type
class UserMutation:
    user_register: UserRegisterPayload = mutation(
        _register,
        UserRegisterInput,
        "Creates an account and signs in. Fails with `REGISTRATION_CLOSED` if the server does "
        "not accept new accounts.",
        public=True,
        in_context=True,
        secrets=SECRETS,
        limit=rates.registration,
    )
    account_update: ViewerPayload = mutation(
        _update_profile, AccountUpdateInput, "Changes your profile.", in_context=True
    )
    password_change: ViewerPayload = mutation(
        _change_password,
        PasswordChangeInput,
        "Sets a new password, given the current one. Revokes your other sessions.",
        in_context=True,
        limit=rates.own_password,
    )
    account_delete: AccountDeletePayload = mutation(
        _delete,
        AccountDeleteInput,
        "Deletes your account permanently. Your personal tasks with their subtasks (unless "
        "`transferToId` takes them over) and projects without other members are moved to the "
        "trash. Transfer projects that have other members first. What you wrote in projects "
        "stays, without your name. Without `confirm: true` nothing changes.",
        in_context=True,
        limit=rates.own_password,
    )
