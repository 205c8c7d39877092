"""Access rules, and the functions that apply them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    and_,
    false,
    inspect,
    or_,
)

from auth.access.grants import ByRow, GrantSource, Who, candidates
from auth.viewer import Viewer, ViewerColumn
from db.base import Base

Entity = Any  # a mapped class or an alias of one
Predicate = Callable[[Who, Any], ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Rule:
    """The permissions on one model. What is None is refused to everyone."""

    read: Predicate
    edit: Predicate | None = None
    delete: Predicate | None = None
    share: Predicate | None = None
    # Who may add something to it: a task to a project, a comment to a task.
    add: Predicate | None = None
    # Whether a row can change at all: what belongs to an archived project cannot. Checked in
    # addition to `edit`, `share` and `add`; for `delete` it is `open_to_delete`.
    open: Predicate | None = None
    open_to_delete: Predicate | None = None
    # Whether a row is in one of the projects that a viewer is restricted to. If None, an API key
    # that is restricted to projects sees nothing of this model.
    within: Predicate | None = None
    # The column with the object that a row is a part of: everyone who sees the object, and nobody
    # else, sees the row.
    part_of: str | None = None
    # The list that `read` is derived from, if any: the candidate rows come from it too.
    sources: Sequence[GrantSource] | None = None
    noun: str = "object"


RULES: dict[type[Base], Rule] = {}


def rule_of(entity: Entity) -> Rule:
    """The rule of a model or alias. Raises `LookupError` if there is none."""
    model = inspect(entity).mapper.class_
    try:
        return RULES[model]
    except KeyError:
        raise LookupError(
            f"{model.__name__} has no access rule: write one in auth.access"
        ) from None


def read(viewer: Who, entity: Entity, *, trashed: bool | None = False) -> ColumnElement[bool]:
    """Rows that the viewer can see. `trashed`: False for those not in the trash, True for those in
    it, None for both.
    """
    return _predicate(viewer, entity, rule_of(entity).read, trashed)


def read_by(user_id: ColumnElement[UUID], entity: Entity) -> ColumnElement[bool]:
    """Rows that the users of a column can see, for statements about many users."""
    return read(ViewerColumn(user_id), entity)


def is_part(model: type[Base], column: str) -> bool:
    """Whether the rows of a model are seen by all who see what `column` refers to."""
    return RULES[model].part_of == column


def edit(viewer: Who, entity: Entity, *, archived: bool = False) -> ColumnElement[bool]:
    """Rows that the viewer can change. No one can change what belongs to an archived project;
    `archived` includes rows that are refused for that reason alone.
    """
    rule = rule_of(entity)
    return _predicate(viewer, entity, rule.edit, False, None if archived else rule.open)


def delete(
    viewer: Who, entity: Entity, *, trashed: bool | None = False, archived: bool = False
) -> ColumnElement[bool]:
    """Rows that the viewer can move to the trash or, with `trashed=True`, restore."""
    rule = rule_of(entity)
    may_change = None if archived else rule.open_to_delete
    return _predicate(viewer, entity, rule.delete, trashed, may_change)


def restore(viewer: Who, entity: Entity) -> ColumnElement[bool]:
    """Rows in the trash that the viewer finds there; in an archived project, restoring them is
    refused until it is unarchived.
    """
    return delete(viewer, entity, trashed=True, archived=True)


def read_or_restore(viewer: Who, entity: Entity) -> ColumnElement[bool]:
    """Rows that the viewer can see, and those in the trash that they find there."""
    return or_(read(viewer, entity), restore(viewer, entity))


def share(viewer: Who, entity: Entity, *, archived: bool = False) -> ColumnElement[bool]:
    """Rows that the viewer can share (shares of a task, members of a project)."""
    rule = rule_of(entity)
    return _predicate(viewer, entity, rule.share, False, None if archived else rule.open)


def add(viewer: Who, entity: Entity) -> ColumnElement[bool]:
    """Rows that the viewer can add something to: tasks to a project, comments to a task."""
    rule = rule_of(entity)
    return _predicate(viewer, entity, rule.add, False, rule.open)


def archive(viewer: Who, entity: Entity, **_: bool) -> ColumnElement[bool]:
    """Projects that the viewer can archive or unarchive, the only change of an archived project."""
    return edit(viewer, entity, archived=True)


def candidate_ids(viewer: Viewer, model: type[Base], *, most: int) -> CompoundSelect[UUID] | None:
    """The IDs of all rows that the viewer can see, possibly with some more. If there are many, at
    least `most` of them. None if the rule does not say.
    """
    sources = rule_of(model).sources
    return candidates(sources, viewer, model, most=most) if sources and viewer.signed_in else None


def candidate_ids_apart(
    viewer: Viewer, model: type[Base], column: str
) -> CompoundSelect[UUID] | None:
    """The same without those that the viewer can see only by what `column` refers to: a
    membership in the project, say. None if there is no such reason.
    """
    sources = rule_of(model).sources or ()
    others = [source for source in sources if getattr(source, "on", "id") != column]
    if len(others) == len(sources) or not viewer.signed_in:
        return None
    return candidates(others, viewer, model, most=0)


def container(viewer: Viewer, entity: Entity) -> tuple[Any, ColumnElement[bool]] | None:
    """The table that gives permissions on what is in something, such as the members of projects,
    and how it joins the rows that the viewer can see by it; None if the rule has none.
    """
    for source in rule_of(entity).sources or ():
        if isinstance(source, ByRow) and (found := source.join(viewer, entity)) is not None:
            return found
    return None


def _predicate(
    viewer: Who,
    entity: Entity,
    rule: Predicate | None,
    trashed: bool | None,
    may_change: Predicate | None = None,
) -> ColumnElement[bool]:
    if rule is None or not viewer.signed_in:
        return false()
    allowed = rule(viewer, entity)
    if may_change is not None:
        allowed = and_(may_change(viewer, entity), allowed)
    if viewer.restricted:
        within = rule_of(entity).within
        allowed = false() if within is None else and_(allowed, within(viewer, entity))
    if trashed is None or "deleted_at" not in inspect(entity).mapper.columns:
        return allowed
    in_trash = entity.deleted_at.is_not(None) if trashed else entity.deleted_at.is_(None)
    return and_(in_trash, allowed)
