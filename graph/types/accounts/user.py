"""People in the graph.

A public profile is everybody's to see who is signed in. The rest of a user is seen by themselves
and by administrators, and is null to others: said in SQL, by `_private`, so that what may not be
seen never leaves the database.
"""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from sqlalchemy import bindparam, case, func, null, or_, select

from auth import access
from auth.viewer import Viewer, ViewerShape, placeholder_viewer
from db import models
from db.models import WeekDay
from db.read import AnyRow, Row, Statement
from domain import rules
from domain.accounts import user as users
from domain.accounts.user_deletion import delete_oneself
from domain.work import Work
from errors import BadInput, NotFound, Unauthenticated
from graph.core import ids
from graph.core.context import Context
from graph.core.fields import BatchInfo, arg, argument, batch, column, root
from graph.core.inputs import (
    MutationInput,
    UpdateInput,
    change,
    changes_of,
    given,
    optional,
    required,
)
from graph.core.node import TYPE_NAMES, Node, described_enum, expression, node_id, node_type
from graph.kit import filtering, ordering, rates
from graph.kit.comparators import IDFilter, StringFilter
from graph.kit.loading import Labels, columns_of, load_object
from graph.kit.mutation import Outcome, Payload, Refs, mutation, payload, ref, value
from graph.kit.ordering import Key, OrderBy
from graph.kit.paging import Page, connection_type, paging_arguments, read_pages, to_many
from graph.types.accounts.api_key import ApiKeyConnection, ApiKeyOrder
from graph.types.accounts.avatar import avatar_urls
from graph.types.accounts.session import (
    SECRETS,
    GrantPayload,
    SessionConnection,
    SessionFilter,
    SessionOrder,
    signed_in,
)
from graph.types.time.running_timer import running_timer

if TYPE_CHECKING:
    from graph.types.tasks.task import TaskConnection
    from graph.types.tasks.task_inputs import TaskFilter, TaskOrder
    from graph.types.time.time_entry import TimeEntry

described_enum(
    WeekDay,
    "A day of the week.",
    {day: f"{day.name.title()}, day {day.value} of ISO 8601." for day in WeekDay},
)


def _private(attribute: Any, description: str, convert: Callable[[Any], Any] | None = None) -> Any:
    """A column that only the user and administrators see; null to everybody else."""
    name = attribute.key

    def sql(viewer: Viewer, user: Any) -> Any:
        value = getattr(user, name)
        if viewer.is_admin:
            return value
        return case((user.id == viewer.sql_id, value), else_=null())

    return expression(
        models.User,
        f"private_{name}",
        sql,
        f"{description} Null unless this is you, or you are an administrator.",
        convert=convert,
    )


_TimeEntry = Annotated["TimeEntry", strawberry.lazy("graph.types.time.time_entry")]
_TaskConnection = Annotated["TaskConnection", strawberry.lazy("graph.types.tasks.task")]
_TaskFilter = Annotated["TaskFilter", strawberry.lazy("graph.types.tasks.task_inputs")]
_TaskOrder = Annotated["TaskOrder", strawberry.lazy("graph.types.tasks.task_inputs")]


@node_type(
    models.User,
    "A person with an account. The projects' teams are made of them (`Project.members`).",
)
class User(Node):
    """See the module."""

    id: strawberry.ID = node_id(models.User)
    username: str = column(
        models.User.username, "The unique name, in the case that its owner chose."
    )
    full_name: str | None = column(models.User.full_name, "The name that people call them by.")
    avatar_url: str | None = batch(
        avatar_urls,
        "Address of their picture as a WebP of 256 by 256 pixels, which anybody may load and keep; "
        "another picture has another address. `?size=64` and `128` give smaller ones, `.png` and "
        "`.jpg` in place of `.webp` other types.",
        requires=("id", "avatar_id"),
    )
    email: str | None = _private(models.User.email, "The e-mail address.")
    timezone: str | None = _private(
        models.User.timezone, "The IANA time zone that all-day dates and reports are meant in."
    )
    week_start: WeekDay | None = _private(
        models.User.week_start, "The day on which their week begins.", WeekDay
    )
    locale: str | None = _private(models.User.locale, "The language tag of messages to them.")
    is_active: bool | None = _private(
        models.User.is_active, "False where an administrator has shut them out."
    )
    is_admin: bool | None = _private(models.User.is_admin, "Whether they administrate the server.")
    email_verified_at: dt.datetime | None = _private(
        models.User.email_verified_at, "When they showed that the e-mail address is theirs."
    )
    created_at: dt.datetime = column(models.User.created_at, "When the account was made.")
    updated_at: dt.datetime = column(models.User.updated_at, "When the profile last changed.")
    version: int = column(models.User.version, "Grows with each change; for `ifVersion`.")
    sessions: SessionConnection = to_many(
        models.User.sessions,
        "Where they are signed in, the newest first. Empty unless this is you.",
        filter_type=SessionFilter,
        order_type=SessionOrder,
        default_order=(Key(ordering.source(models.Session.created_at), descending=True),),
    )
    running_timer: _TimeEntry | None = running_timer()
    api_keys: ApiKeyConnection = to_many(
        models.User.api_keys,
        "Their API keys, the newest first. Empty unless this is you.",
        order_type=ApiKeyOrder,
        default_order=(Key(ordering.source(models.ApiKey.created_at), descending=True),),
    )
    assigned_tasks: _TaskConnection = to_many(
        models.User.assigned_tasks,
        "The tasks that they are to do, as far as you may see them; newest first.",
        filter_type=_TaskFilter,
        order_type=_TaskOrder,
        default_order=(Key(ordering.source(models.Task.created_at), descending=True),),
    )


@connection_type("A page of users.", edge="A user in a list, with their place in it.")
class UserConnection:
    """Relay connection."""

    node: User


# --- filters and orderings -----------------------------------------------------------------------
# They name public fields only: a filter on a hidden field would tell its value. Administrators
# have their own (graph.types.admin.user_admin).


@filtering.filter_input("Which users, by what everybody may see of them.")
class UserFilter:
    """Criteria on the public profile."""

    id: IDFilter | None = filtering.by_id(models.User.id, models.User, "The user's id.")
    username: StringFilter | None = filtering.by(models.User.username, "The username.")
    full_name: StringFilter | None = filtering.by(models.User.full_name, "The full name.")
    search: str | None = filtering.by_search(
        (models.User.username, models.User.full_name),
        "Words that all occur in username or full name, without regard to case and accents.",
    )


@ordering.order_input("One step of an ordering of users; give exactly one field.")
class UserOrder:
    """Orderings by the public profile."""

    username: OrderBy | None = ordering.by_text(models.User.username, "By username.")
    full_name: OrderBy | None = ordering.by_text(models.User.full_name, "By full name.")
    created_at: OrderBy | None = ordering.by(models.User.created_at, "By age of the account.")


# --- queries -------------------------------------------------------------------------------------


async def _viewer(info: BatchInfo) -> AnyRow:
    user = await load_object(info, models.User, info.viewer.require())
    if user is None:
        raise Unauthenticated("This account was deleted.")
    return user


async def _user(
    info: BatchInfo,
    user_id: Annotated[strawberry.ID | None, arg("The user's id.", name="id")] = None,
    username: Annotated[
        str | None, arg("The username, without regard to case; in place of the id.")
    ] = None,
) -> AnyRow:
    info.viewer.require()
    if (user_id is None) == (username is None):
        raise BadInput("Give id or username, and not both.", path=("id",))
    user: AnyRow | None
    if username is not None:
        user = await _by_username(info, rules.text(username, ("username",), most=100))
    else:
        wanted = ids.decode(models.User, user_id or "", ("id",))
        user = await load_object(info, models.User, wanted)
    if user is None:
        raise NotFound("user", path=("id" if username is None else "username",))
    return user


@lru_cache(maxsize=200)
def _username_statement(labels: Labels, shape: ViewerShape) -> Statement:
    viewer = placeholder_viewer(shape)
    user = models.User
    query = select(*columns_of(user, user, labels, viewer)).where(
        func.lower(user.username) == bindparam("username"), access.read(viewer, user)
    )
    return Statement(query, user)


async def _by_username(info: BatchInfo, username: str) -> Row | None:
    labels = info.selection.selection_index.labels.get(TYPE_NAMES[models.User], frozenset())
    rows: list[Row] = await info.context.services.database.reader.fetch(
        _username_statement(labels, info.viewer.shape),
        {**info.viewer.params, "username": username.lower()},
    )
    return rows[0] if rows else None


def _begins_with_search(_viewer: Viewer, user: Any) -> Any:
    pattern = bindparam("search", type_=models.User.username.type)
    return or_(func.lower(user.username).like(pattern), func.lower(user.full_name).like(pattern))


_BY_USERNAME = (Key(ordering.source(models.User.username_key)),)


async def _users(_: Sequence[Any], info: BatchInfo, *, search: str, **paging: Any) -> list[Page]:
    info.viewer.require()
    prefix = rules.text(search, ("search",), least=1, most=100).lower()
    for special in "\\%_":
        prefix = prefix.replace(special, "\\" + special)
    pages = await read_pages(
        info,
        models.User,
        default_order=_BY_USERNAME,
        where=_begins_with_search,
        params={"search": prefix + "%"},
        **paging,
    )
    return [pages[None]]


@strawberry.type
class UserQuery:
    """Root fields."""

    viewer: User = root(_viewer, "You. `UNAUTHENTICATED` where nobody is signed in.")
    user: User | None = root(_user, "One user, by id or by username.")
    users: UserConnection = batch(
        _users,
        "Users whose username or full name begins with a text, by username; for finding people "
        "to work with.",
        arguments=[
            argument(
                "search",
                str,
                "What username or full name begins with, without regard to case.",
                default=inspect.Parameter.empty,
            ),
            *paging_arguments(),
        ],
    )


# --- inputs and payloads -------------------------------------------------------------------------


@strawberry.input(description="A new account for yourself.")
class UserRegisterInput(MutationInput):
    """Input of `userRegister`."""

    username: str = required(
        "3 to 50 of the letters a to z, digits, and `_ . -`; unique without regard to case."
    )
    email: str = required("Up to 100 characters; unique without regard to case.")
    password: str = required("8 to 100 characters of any script.")
    full_name: str | None = optional("Up to 100 characters.")
    timezone: str | None = optional("An IANA time zone, such as Europe/Zurich; UTC unless given.")
    device_name: str | None = optional(
        "What to call this device in the list of sessions; up to 100 characters."
    )


@strawberry.input(description="Changes to your profile; what is left out stays, null clears.")
class ProfileUpdateInput(UpdateInput):
    """Input of `profileUpdate`."""

    username: strawberry.Maybe[str | None] = change("Another username; links by the old one end.")
    full_name: strawberry.Maybe[str | None] = change("Up to 100 characters.")
    timezone: strawberry.Maybe[str | None] = change("An IANA time zone, such as Europe/Zurich.")
    week_start: strawberry.Maybe[WeekDay | None] = change("The day on which your week begins.")
    locale: strawberry.Maybe[str | None] = change("A language tag, such as en or de-CH.")


@strawberry.input(description="Another password for yourself.")
class PasswordChangeInput(MutationInput):
    """Input of `passwordChange`."""

    current_password: str = required("The present password.")
    new_password: str = required("8 to 100 characters of any script.")


@strawberry.input(description="Delete your account.")
class UserDeleteInput(MutationInput):
    """Input of `userDelete`."""

    password: str = required("Your password.")
    transfer_to: strawberry.ID | None = optional(
        "Who becomes the owner of your personal tasks, as far as they see them. The others go to "
        "the trash."
    )
    confirm: bool = strawberry.field(
        default=False,
        description="True: delete it. Else nothing is changed, and the payload says how many tasks "
        "other people would lose.",
    )


@payload("The answer of `userRegister`: you are signed in at once.")
class UserRegisterPayload(GrantPayload):
    """See `GrantPayload`."""


@payload("The user, as they are now.")
class UserPayload(Payload):
    """For all mutations of a user."""

    user: User | None = ref(models.User, "The user; null if nothing was done.", "user")


@payload("Who was deleted.")
class UserDeletePayload(Payload):
    """A deleted user cannot be read any more."""

    deleted_id: strawberry.ID | None = value(
        "deleted_id", "The id that was yours; null if nothing was deleted."
    )
    tasks_lost_by_others: int | None = value(
        "tasks_lost_by_others",
        "The number of tasks that other people see and lose with your account; null with errors.",
    )


# --- mutations -----------------------------------------------------------------------------------

PROFILE = ("username", "full_name", "timezone", "week_start", "locale")


async def _register(context: Context, work: Work, data: UserRegisterInput) -> Refs:
    grant = await users.register(
        work,
        context.services.authenticator,
        username=data.username,
        email=data.email,
        password=data.password,
        full_name=given(data.full_name),
        timezone=given(data.timezone),
        device_name=given(data.device_name),
    )
    return signed_in(context, work, grant)


async def _update_profile(context: Context, work: Work, data: ProfileUpdateInput) -> Refs:
    user = await users.update_profile(
        work,
        context.services.authenticator,
        changes_of(data, *PROFILE),
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


async def _delete(context: Context, work: Work, data: UserDeleteInput) -> Outcome:
    heir = given(data.transfer_to)
    deleted = await delete_oneself(
        work,
        context.services.authenticator,
        password=data.password,
        transfer_to=None if heir is None else ids.decode(models.User, heir, ("transfer_to",)),
    )
    # Without `confirm` all is done and then undone, so that the number is the true one.
    id_ = ids.encode(models.User, deleted.user_id) if data.confirm else None
    refs = {"deleted_id": id_, "tasks_lost_by_others": deleted.lost_tasks}
    return Outcome(refs, undo=not data.confirm)


@strawberry.type
class UserMutation:
    """Root fields."""

    user_register: UserRegisterPayload = mutation(
        _register,
        UserRegisterInput,
        "Make an account, and sign in. `REGISTRATION_CLOSED` where the server takes nobody.",
        public=True,
        in_context=True,
        secrets=SECRETS,
        limit=rates.registration,
    )
    profile_update: UserPayload = mutation(
        _update_profile, ProfileUpdateInput, "Change your own profile.", in_context=True
    )
    password_change: UserPayload = mutation(
        _change_password,
        PasswordChangeInput,
        "Set another password, giving the present one. Your other sessions end.",
        in_context=True,
        limit=rates.own_password,
    )
    user_delete: UserDeletePayload = mutation(
        _delete,
        UserDeleteInput,
        "Delete your account for good. Your personal tasks with everything below them (unless "
        "`transferTo` takes them over) and the projects that are yours alone go to the trash; "
        "projects with other members must be transferred before. What you wrote in projects "
        "stays, without your name. Without `confirm: true` nothing is changed.",
        in_context=True,
        limit=rates.own_password,
    )
