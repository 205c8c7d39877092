"""What a rule is, and the questions that are asked of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    and_,
    false,
    inspect,
)

from auth.viewer import Viewer, ViewerColumn
from db.base import Base

Entity = Any  # a mapped class, or an alias of one
Who = Viewer | ViewerColumn
Predicate = Callable[[Who, Any], ColumnElement[bool]]
# The ids of rows by a viewer, at most so many of each way to them.
Ways = Callable[[Viewer, int], CompoundSelect[UUID]]


@dataclass(frozen=True, slots=True)
class Rule:
    """The rights on one model. What is not given is refused to everybody."""

    read: Predicate
    edit: Predicate | None = None
    delete: Predicate | None = None
    share: Predicate | None = None
    # Whether a row is in one of the projects that a viewer is restricted to. Without it, nothing
    # of this model is seen by an API key that was restricted to projects.
    within: Predicate | None = None
    # The ids of all rows that `read` allows, and perhaps of some more, each way to them through an
    # index of its own: for lists of whoever sees few of many rows.
    reach: Ways | None = None
    noun: str = "object"


RULES: dict[type[Base], Rule] = {}


def rule_of(entity: Entity) -> Rule:
    """The rule of a model or alias; `LookupError` where none was written."""
    model = inspect(entity).mapper.class_
    try:
        return RULES[model]
    except KeyError:
        raise LookupError(
            f"{model.__name__} has no access rule: write one in auth.access"
        ) from None


def read(viewer: Who, entity: Entity, *, trashed: bool | None = False) -> ColumnElement[bool]:
    """Rows that the viewer may see. `trashed`: False the living, True the trash, None both."""
    return _predicate(viewer, entity, rule_of(entity).read, trashed)


def edit(viewer: Who, entity: Entity) -> ColumnElement[bool]:
    """Rows that the viewer may change; an archived project's tasks are nobody's to change."""
    return _predicate(viewer, entity, rule_of(entity).edit, trashed=False)


def delete(viewer: Who, entity: Entity, *, trashed: bool | None = False) -> ColumnElement[bool]:
    """Rows that the viewer may put into the trash, or (`trashed=True`) take out of it."""
    return _predicate(viewer, entity, rule_of(entity).delete, trashed)


def share(viewer: Who, entity: Entity) -> ColumnElement[bool]:
    """Rows that the viewer may show to others (shares of a task, members of a project)."""
    return _predicate(viewer, entity, rule_of(entity).share, trashed=False)


def reach(viewer: Viewer, model: type[Base], *, most: int) -> CompoundSelect[UUID] | None:
    """The ids of all rows that the viewer may see, and perhaps of some more; where there are many,
    not of all, but of `most` at the least. None where the rule does not say.
    """
    ways = rule_of(model).reach
    return ways(viewer, most) if ways is not None and viewer.signed_in else None


def _predicate(
    viewer: Who, entity: Entity, rule: Predicate | None, trashed: bool | None
) -> ColumnElement[bool]:
    if rule is None or not viewer.signed_in:
        return false()
    allowed = rule(viewer, entity)
    if viewer.restricted:
        within = rule_of(entity).within
        allowed = false() if within is None else and_(allowed, within(viewer, entity))
    if trashed is None or "deleted_at" not in inspect(entity).mapper.columns:
        return allowed
    in_trash = entity.deleted_at.is_not(None) if trashed else entity.deleted_at.is_(None)
    return and_(in_trash, allowed)
