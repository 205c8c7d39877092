"""The user or API key behind a request.

A `Viewer` is created from verified credentials for one operation and passed to everything that
reads or changes data. Access rules refer to it in SQL only by the bind parameter `viewer_id`, so
that a statement compiled for one user serves all.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo  # noqa: TID251 - domain.timezones stands above; its database is used

from sqlalchemy import ARRAY, BindParameter, ColumnElement, Interval, Text, Uuid, bindparam

from auth.scopes import readable_events
from db.models import WeekDay
from errors import Unauthenticated

VIEWER_PARAM = "viewer_id"
PROJECTS_PARAM = "viewer_projects"
EVENTS_PARAM = "viewer_events"
OFFSET_PARAM = "viewer_offset"
VIEWER_PARAMS = frozenset({VIEWER_PARAM, PROJECTS_PARAM, EVENTS_PARAM, OFFSET_PARAM})

# See `Viewer.shape`: signed in, administrator, restricted to projects, restricted to scopes.
ViewerShape = tuple[bool, bool, bool, bool]


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials that a connection keeps: user and session or key, but no permissions.

    Permissions are those at the time of each operation, so call `Authenticator.current` for a
    `Viewer` each time. All fields are None if signed out.
    """

    user_id: UUID | None = None
    session_id: UUID | None = None
    api_key_id: UUID | None = None
    # When the credentials end unless they are renewed; open streams end with them.
    expires_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Viewer:
    """The signed-in user, or nobody (`user_id` is None), during one operation."""

    user_id: UUID | None = None
    session_id: UUID | None = None
    api_key_id: UUID | None = None
    # The integration that acts by itself for the user.
    integration_id: UUID | None = None
    is_admin: bool = False
    # The user's time zone for all-day dates.
    timezone: str = "UTC"
    # The first day of the week in the user's reports.
    week_start: WeekDay = WeekDay.MONDAY
    # When the credentials end.
    expires_at: dt.datetime | None = None
    # The scopes of an API key; None for a session, which has all.
    scopes: frozenset[str] | None = None
    # The only visible projects, for an API key that is restricted to projects.
    projects: tuple[UUID, ...] | None = None

    @property
    def credentials(self) -> Credentials:
        """The part that can be kept for longer than one operation."""
        return Credentials(self.user_id, self.session_id, self.api_key_id, self.expires_at)

    @property
    def rights(self) -> tuple[object, ...]:
        """What the credentials allow now, apart from what depends on rows."""
        return (self.user_id, self.is_admin, self.scopes, self.projects)

    @property
    def signed_in(self) -> bool:
        """Whether a user is signed in."""
        return self.user_id is not None

    @property
    def row_viewer(self) -> str:
        """Whose reads these are to PostgreSQL; see `db.row_security`."""
        if self.user_id is None:
            return ""
        if self.projects is None:
            return str(self.user_id)
        return f"{self.user_id} {{{','.join(map(str, self.projects))}}}"

    @property
    def person(self) -> Viewer:
        """The same user without the limits of their API key."""
        return replace(self, scopes=None, projects=None)

    @property
    def sql_id(self) -> ColumnElement[UUID]:
        """The viewer's ID in a statement, as a parameter."""
        parameter: BindParameter[UUID] = bindparam(VIEWER_PARAM, self.user_id, Uuid())
        return parameter

    @property
    def sql_offset(self) -> ColumnElement[dt.timedelta]:
        """How far the viewer's clock is ahead of UTC, as a parameter."""
        parameter: BindParameter[dt.timedelta] = bindparam(OFFSET_PARAM, dt.timedelta(), Interval())
        return parameter

    @property
    def restricted(self) -> bool:
        """Whether the viewer can see certain projects only."""
        return self.projects is not None

    @property
    def sql_projects(self) -> ColumnElement[list[UUID]]:
        """The projects of a restricted viewer, as an array parameter."""
        array: Any = ARRAY(Uuid())
        parameter: BindParameter[list[UUID]] = bindparam(
            PROJECTS_PARAM, list(self.projects or ()), array
        )
        return parameter

    @property
    def scoped(self) -> bool:
        """Whether the viewer is limited by scopes."""
        return self.scopes is not None

    @property
    def sql_events(self) -> ColumnElement[list[str]]:
        """The events that a scoped viewer can read (`auth.scopes.readable_events`), as an array
        parameter.
        """
        array: Any = ARRAY(Text())
        parameter: BindParameter[list[str]] = bindparam(EVENTS_PARAM, self._events, array)
        return parameter

    @property
    def _events(self) -> list[str]:
        return list(readable_events(self.scopes or frozenset()))

    @property
    def params(self) -> dict[str, Any]:
        """The parameter values for statements that were compiled for another viewer."""
        found: dict[str, Any] = {VIEWER_PARAM: self.user_id}
        if self.timezone != "UTC":
            found[OFFSET_PARAM] = dt.datetime.now(ZoneInfo(self.timezone)).utcoffset()
        if self.scopes is not None:
            found[EVENTS_PARAM] = self._events
        if self.projects is not None:
            found[PROJECTS_PARAM] = list(self.projects)
        return found

    @property
    def shape(self) -> ViewerShape:
        """What makes viewers need different statements; part of every statement's cache key."""
        return (
            self.user_id is not None,
            self.is_admin,
            self.projects is not None,
            self.scopes is not None,
        )

    def require(self) -> UUID:
        """The viewer's user ID. Raises `Unauthenticated` if signed out."""
        if self.user_id is None:
            raise Unauthenticated
        return self.user_id


NOBODY = Viewer()


@dataclass(frozen=True, slots=True)
class ViewerColumn:
    """Many viewers at once: a column of user IDs instead of a single ID.

    Live delivery uses it to find, in one statement, which listening users can see an event.
    """

    sql_id: ColumnElement[UUID]
    signed_in: bool = True
    is_admin: bool = False
    # Events for a key are checked again with its limits (`graph.types.events.event_filter`).
    restricted: bool = False
    scoped: bool = False


@cache
def placeholder_viewer(shape: ViewerShape) -> Viewer:
    """A viewer of this shape; the statement that is built for it serves all of them."""
    signed_in, is_admin, restricted, scoped = shape
    if not signed_in:
        return NOBODY
    return Viewer(
        user_id=UUID(int=0),
        is_admin=is_admin,
        projects=() if restricted else None,
        scopes=frozenset() if scoped else None,
    )
