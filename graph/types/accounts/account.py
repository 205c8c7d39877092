"""What a user's account has beside the public profile: fields of `Viewer` and `AdminUser`.

They are null in SQL for everyone but the user and administrators, so that a mistake elsewhere
cannot make a hidden value leave the database.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import strawberry
from sqlalchemy import case, null

from db import models
from db.models import WeekDay
from errors import Unauthenticated
from graph.core.fields import BatchInfo, batch
from graph.core.node import described_enum, expression
from graph.kit.loading import load_object, load_objects
from graph.kit.mutation import PayloadValue, uuid_of

if TYPE_CHECKING:
    from graph.types.accounts.viewer import Viewer

# For payloads, whose modules the viewer's module imports. (A module that uses it cannot import
# `auth.viewer.Viewer`, which Strawberry would take for it.)
LazyViewer = Annotated["Viewer", strawberry.lazy("graph.types.accounts.viewer")]

described_enum(
    WeekDay,
    "A day of the week.",
    {day: f"{day.name.title()}, day {day.value} of ISO 8601." for day in WeekDay},
)


def private(attribute: Any, description: str, convert: Callable[[Any], Any] | None = None) -> Any:
    """A column that only the user and administrators can read."""
    name = attribute.key

    def sql(viewer: Any, user: Any) -> Any:
        value = getattr(user, name)
        if viewer.is_admin:
            return value
        return case((user.id == viewer.sql_id, value), else_=null())

    return expression(models.User, f"private_{name}", sql, description, convert=convert)


def deleted() -> NoReturn:
    """The account of the viewer was deleted since its credentials were checked."""
    raise Unauthenticated("This account was deleted.")


async def _users(parents: Sequence[Any], info: BatchInfo) -> list[Any]:
    rows = await load_objects(info, models.User, [parent.id for parent in parents])
    return [row or deleted() for row in rows]


def profile(description: str) -> Any:
    """The field `user` of an account. It takes no statement if the account's row was read."""
    return batch(_users, description, requires=("id",))


async def _signed_in(parents: Sequence[PayloadValue], info: BatchInfo) -> list[Any]:
    # By a repeat with an idempotency key, or by a link, nobody is signed in as the payload's user.
    own = [uuid_of(parent.refs.get("user")) == info.viewer.user_id for parent in parents]
    if info.viewer.user_id is None or not any(own):
        return [None] * len(parents)
    row = await load_object(info, models.User, info.viewer.user_id)
    return [row if is_own else None for is_own in own]


def oneself(description: str) -> Any:
    """The field `viewer` of a payload, whose ref `user` is the user's id."""
    return batch(_signed_in, description)
