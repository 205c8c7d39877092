"""Who is asking.

A `Viewer` is made from verified credentials for one operation and is passed to everything that
reads or changes. Access rules speak of it in SQL only by the bind parameter `viewer_id`, so that a
statement compiled for one person serves all.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BindParameter, ColumnElement, Text, Uuid, bindparam

from auth.scopes import readable_events
from db.models import WeekDay
from errors import Unauthenticated

VIEWER_PARAM = "viewer_id"
PROJECTS_PARAM = "viewer_projects"
EVENTS_PARAM = "viewer_events"

# See `Viewer.shape`: signed in, administrator, restricted to projects, restricted to scopes.
ViewerShape = tuple[bool, bool, bool, bool]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a connection keeps of who opened it: who, and by which session or key; no right.

    Rights are those of the moment of each operation, so whoever keeps this asks
    `Authenticator.current` for a `Viewer` each time. All fields are None for the signed-out.
    """

    user_id: UUID | None = None
    session_id: UUID | None = None
    api_key_id: UUID | None = None
    # When they end unless they are renewed; open streams end with them.
    expires_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Viewer:
    """The signed-in person, or nobody (`user_id` is None). Lives for one operation."""

    user_id: UUID | None = None
    session_id: UUID | None = None
    api_key_id: UUID | None = None
    is_admin: bool = False
    # The person's zone: all-day dates are meant in it.
    timezone: str = "UTC"
    # The first day of the person's weeks, for reports.
    week_start: WeekDay = WeekDay.MONDAY
    # When the credentials end.
    expires_at: dt.datetime | None = None
    # What an API key is good for; None with a session, which is good for everything.
    scopes: frozenset[str] | None = None
    # The only projects of which anything is seen, for an API key that was so restricted.
    projects: tuple[UUID, ...] | None = None

    @property
    def credentials(self) -> Credentials:
        """What may be kept for longer than one operation."""
        return Credentials(self.user_id, self.session_id, self.api_key_id, self.expires_at)

    @property
    def rights(self) -> tuple[object, ...]:
        """What the credentials allow at this moment, beyond what the rows themselves say."""
        return (self.user_id, self.is_admin, self.scopes, self.projects)

    @property
    def signed_in(self) -> bool:
        """Whether there is a person behind the request."""
        return self.user_id is not None

    @property
    def person(self) -> Viewer:
        """The person alone, without what bounds their API key."""
        return replace(self, scopes=None, projects=None)

    @property
    def sql_id(self) -> ColumnElement[UUID]:
        """The viewer's id in a statement; its value travels as a parameter."""
        parameter: BindParameter[UUID] = bindparam(VIEWER_PARAM, self.user_id, Uuid())
        return parameter

    @property
    def restricted(self) -> bool:
        """Whether there are projects beyond which nothing exists for this viewer."""
        return self.projects is not None

    @property
    def sql_projects(self) -> ColumnElement[list[UUID]]:
        """The projects of a restricted viewer, as an array; a parameter like the id."""
        array: Any = ARRAY(Uuid())
        parameter: BindParameter[list[UUID]] = bindparam(
            PROJECTS_PARAM, list(self.projects or ()), array
        )
        return parameter

    @property
    def scoped(self) -> bool:
        """Whether there are things that this viewer's credentials are not good for."""
        return self.scopes is not None

    @property
    def sql_events(self) -> ColumnElement[list[str]]:
        """What events a scoped viewer may read (`auth.scopes.readable_events`), as an array."""
        array: Any = ARRAY(Text())
        parameter: BindParameter[list[str]] = bindparam(EVENTS_PARAM, self._events, array)
        return parameter

    @property
    def _events(self) -> list[str]:
        return list(readable_events(self.scopes or frozenset()))

    @property
    def params(self) -> dict[str, Any]:
        """Parameters for statements that were compiled for another viewer."""
        found: dict[str, Any] = {VIEWER_PARAM: self.user_id}
        if self.scopes is not None:
            found[EVENTS_PARAM] = self._events
        if self.projects is not None:
            found[PROJECTS_PARAM] = list(self.projects)
        return found

    @property
    def shape(self) -> ViewerShape:
        """What statements differ by between viewers; a part of every statement's cache key."""
        return (
            self.user_id is not None,
            self.is_admin,
            self.projects is not None,
            self.scopes is not None,
        )

    def require(self) -> UUID:
        """The viewer's user id; `Unauthenticated` where nobody is signed in."""
        if self.user_id is None:
            raise Unauthenticated
        return self.user_id


NOBODY = Viewer()


@dataclass(frozen=True, slots=True)
class ViewerColumn:
    """Many viewers at once: a column of user ids in place of one id.

    Live delivery asks with it, in one statement, which of the listening people may see an event.
    """

    sql_id: ColumnElement[UUID]
    signed_in: bool = True
    is_admin: bool = False
    # What a key listens to is asked again with its restrictions
    # (`graph.types.events.event_filter`).
    restricted: bool = False
    scoped: bool = False


@cache
def placeholder_viewer(shape: ViewerShape) -> Viewer:
    """One viewer of this shape, for whom a statement is built in place of all of them."""
    signed_in, is_admin, restricted, scoped = shape
    if not signed_in:
        return NOBODY
    return Viewer(
        user_id=UUID(int=0),
        is_admin=is_admin,
        projects=() if restricted else None,
        scopes=frozenset() if scoped else None,
    )
