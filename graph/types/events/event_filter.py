"""The filter of events, `EventFilter`: one for lists, subscriptions and webhooks.

A list is filtered in SQL, like any other. A stream or a webhook is filtered event by event: what an
event's own columns decide is decided without the database (`decision`), and only what they do not
decide is asked of it (`graph.types.events.wanted`). Both read the same criteria.

The ends of an event (its task, project and actor) are searched among what the viewer can see, the
trash included, since a deletion has to be delivered. An event whose subject is the task or project
itself matches by its ID whatever the viewer can see of it, for it shows this ID anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from enum import Enum
from types import SimpleNamespace
from typing import Any, Final
from uuid import UUID

import strawberry
from sqlalchemy import ARRAY, ColumnElement, Text, and_, any_, case, or_, select
from sqlalchemy.orm import aliased
from strawberry.types.base import has_object_definition

from auth import access
from auth.viewer import Viewer
from db import models
from db.base import Base
from events.filter import Decide
from events.kinds import EventKind
from graph.core import ids
from graph.core.enums import EventSubjectType
from graph.core.inputs import optional
from graph.kit import filtering
from graph.kit.comparators import DateTimeFilter, IDFilter
from graph.kit.filtering import (
    Binds,
    Compare,
    Criterion,
    Path,
    Related,
    Values,
    build_filter,
    given_fields,
)
from graph.types.accounts.user import UserFilter
from graph.types.projects.project_inputs import ProjectFilter
from graph.types.tasks.task_inputs import TaskFilter

# Users can see events of these kinds without seeing the task: of their own time, and of a share
# that ended. Of all others they see the task.
_TASK_UNSURE: Final = frozenset(
    kind.value
    for kind in EventKind
    if kind.name.startswith(("TIME_ENTRY_", "TIMER_", "TASK_SHARE_"))
)


def task_of(event: Any) -> UUID | None:
    """The task that an event concerns, whatever project the event belongs to."""
    of_task = event.subject_type == models.Task.__name__
    key: UUID | None = event.subject_id if of_task else event.task_id
    return key


@strawberry.input(description="Compares kinds of events.")
class EventKindFilter:
    eq: EventKind | None = optional("Equals this kind.")
    not_eq: EventKind | None = optional("Does not equal this kind.")
    in_: list[EventKind] | None = optional("Equals one of these kinds.", name="in")
    not_in: list[EventKind] | None = optional("Equals none of these kinds.")


# --- criteria ------------------------------------------------------------------------------------


class _SubjectTypes(Criterion):
    """The types of subjects."""

    def shape(self, value: Any, values: Values, path: Path) -> Hashable:
        values.count(path)
        values.add([kind.value for kind in value])
        return True

    def build(self, shape: Any, entity: Any, viewer: Viewer, bind: Binds) -> ColumnElement[bool]:
        return entity.subject_type == any_(bind(ARRAY(Text())))  # type: ignore[no-any-return]


class _Recorded:
    """Hands out the bind parameters of a criterion once more."""

    def __init__(self, bind: Binds) -> None:
        self._bind = bind
        self._made: list[Any] = []

    def __call__(self, type_: Any) -> Any:
        self._made.append(self._bind(type_))
        return self._made[-1]

    def again(self) -> Callable[[Any], Any]:
        """The same parameters, in the same order."""
        made = iter(self._made)
        return lambda _type: next(made)


class _End(Related):
    """The task, project or user of an event: not a relation of the model, as the log outlives
    them.
    """

    def __init__(self, model: type[Base], key: Callable[[Any], Any]) -> None:
        self.model = model
        self.key = key

    def build(self, shape: Any, entity: Any, viewer: Viewer, bind: Binds) -> ColumnElement[bool]:
        # Administrators compare with all IDs, since they read the whole log.
        by_id = all(self._is_id(criterion) for criterion, _ in shape)
        if by_id and self.model is not models.User:
            return self._of_subject(shape, entity, viewer, bind)
        key = self.key(entity)
        if by_id and viewer.is_admin:
            return and_(
                key.is_not(None), build_filter(shape, SimpleNamespace(id=key), viewer, bind)
            )
        return self._seen(entity, viewer, lambda end: build_filter(shape, end, viewer, bind))

    def _is_id(self, criterion: Any) -> bool:
        return type(criterion) is Compare and criterion.model is self.model

    def _of_subject(
        self, shape: Any, entity: Any, viewer: Viewer, bind: Binds
    ) -> ColumnElement[bool]:
        """The ID of a task or project, in a form that the log's indexes serve."""
        recorded = _Recorded(bind)
        own = entity.subject_type == self.model.__name__
        key = entity.task_id if self.model is models.Task else entity.project_id
        named = build_filter(shape, SimpleNamespace(id=key), viewer, recorded)  # type: ignore[arg-type]
        if viewer.is_admin:
            other = and_(key.is_not(None), named)
        else:
            other = and_(key.is_not(None), named, self._seen(entity, viewer, None))
        subject = SimpleNamespace(id=entity.subject_id)
        again: Any = recorded.again()
        return or_(and_(own, build_filter(shape, subject, viewer, again)), and_(~own, other))

    def _seen(self, entity: Any, viewer: Viewer, matches: Any) -> ColumnElement[bool]:
        former = getattr(entity, "former_task", None) if self.model is models.Task else None
        end: Any = aliased(self.model) if former is None else former
        conditions = [end.id == self.key(entity)]
        if former is None:
            conditions.append(access.read(viewer, end, trashed=None))
        if matches is not None:
            conditions.append(matches(end))
        return select(1).where(*conditions).exists()


def _task_key(event: Any) -> Any:
    of_task = event.subject_type == models.Task.__name__
    return case((of_task, event.subject_id), else_=event.task_id)


class Then:
    """An event as a filter sees it, with its task as it was before (an alias)."""

    def __init__(self, event: Any, former_task: Any) -> None:
        self._event = event
        self.former_task = former_task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._event, name)


_ENDS: Final[Mapping[str, _End]] = {
    "actor": _End(models.User, lambda event: event.actor_id),
    "task": _End(models.Task, _task_key),
    "project": _End(models.Project, lambda event: event.project_id),
}


@filtering.filter_input(
    "Filter for events. `ACCESS_LOST` is always delivered to subscriptions, `events` and webhooks, "
    "unless the filter names other projects or tasks by their IDs."
)
class EventFilter:
    id: IDFilter | None = filtering.by_id(models.Event.id, models.Event, "The event's ID.")
    kind: EventKindFilter | None = filtering.by(models.Event.kind, "What happened.")
    subject_type: list[EventSubjectType] | None = optional(
        "The type of the subject is one of these.", metadata={"criterion": _SubjectTypes()}
    )
    at: DateTimeFilter | None = filtering.by(models.Event.at, "When it happened.")
    actor: UserFilter | None = optional(
        "The user who caused it.", metadata={"criterion": _ENDS["actor"]}
    )
    task: TaskFilter | None = optional(
        "The task concerned, in its state at delivery. Subscriptions and `events` also deliver "
        "the events with which a task stops matching (`matches: false`).",
        metadata={"criterion": _ENDS["task"]},
    )
    project: ProjectFilter | None = optional(
        "The project concerned. If you name projects or tasks by ID, a subscription ends with "
        "`NOT_FOUND` when you can no longer see any of them.",
        metadata={"criterion": _ENDS["project"]},
    )


# --- what an event alone decides -----------------------------------------------------------------


def decision(given: EventFilter, viewer: Viewer) -> Decide:
    """The part of a checked filter that needs no database."""
    parts = [_part(name, value, viewer) for name, value in given_fields(given, ())]
    return lambda event: _all(part(event) for part in parts)


def _all(answers: Iterator[bool | None]) -> bool | None:
    sure: bool | None = True
    for answer in answers:
        if answer is False:
            return False
        sure = sure and answer
    return sure


def _any(answers: Iterator[bool | None]) -> bool | None:
    sure: bool | None = False
    for answer in answers:
        if answer is True:
            return True
        sure = None if answer is None else sure
    return sure


def _part(name: str, value: Any, viewer: Viewer) -> Decide:
    if name in {"and_", "or_"}:
        parts = [decision(item, viewer) for item in value if _says_something(item)]
        join = _all if name == "and_" or not parts else _any
        return lambda event: join(part(event) for part in parts)
    if name == "not_":
        if not _says_something(value):
            return lambda _event: True
        inner = decision(value, viewer)
        return lambda event: None if (answer := inner(event)) is None else not answer
    if name == "subject_type":
        types = frozenset(kind.value for kind in value)
        return lambda event: event.subject_type in types
    if name in _ENDS:
        return _of_end(name, value, viewer)
    test = _comparison(value, models.Event if name == "id" else None)
    return lambda event: test(getattr(event, name))


def _says_something(value: Any) -> bool:
    """Whether an input has a condition: an empty one is none, wherever it stands."""
    if not has_object_definition(value):
        return True
    return any(
        any(map(_says_something, inner)) if name in {"and_", "or_"} else _says_something(inner)
        for name, inner in given_fields(value, ())
    )


def _of_end(name: str, value: Any, viewer: Viewer) -> Decide:
    if not _says_something(value):
        return lambda _event: True
    end = _ENDS[name]
    given = dict(given_fields(value, ()))
    by_id = _comparison(given["id"], end.model) if "id" in given else None
    alone = by_id is not None and len(given) == 1

    def decide(event: Any) -> bool | None:
        key = task_of(event) if name == "task" else getattr(event, f"{name}_id")
        if "is_me" in given and len(given) == 1 and (given["is_me"] or key == viewer.user_id):
            return bool((key == viewer.user_id) is given["is_me"])
        if "is_null" in given:
            return bool(given["is_null"]) if key is None and len(given) == 1 else None
        if key is None:
            return False
        answer = None if by_id is None else by_id(key)
        if answer is True and not (alone and _is_seen(name, event)):
            return None
        return answer

    return decide


def _is_seen(name: str, event: Any) -> bool:
    """Whether everyone who sees this event sees that end of it."""
    if name == "task":
        return event.subject_type == models.Task.__name__ or event.kind not in _TASK_UNSURE
    return name == "actor" or event.subject_type == models.Project.__name__


_TESTS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": lambda value, other: value == other,
    "not_eq": lambda value, other: value != other,
    "in_": lambda value, others: value in others,
    "not_in": lambda value, others: value not in others,
    "lt": lambda value, other: value < other,
    "lte": lambda value, other: value <= other,
    "gt": lambda value, other: value > other,
    "gte": lambda value, other: value >= other,
    "is_null": lambda value, wanted: (value is None) is wanted,
}


def _comparison(given: Any, model: type[Base] | None) -> Callable[[Any], bool | None]:
    """A comparator input as a test of one value, which is not null."""
    tests: list[tuple[Callable[[Any, Any], bool] | None, Any]] = []
    for name, operand in given_fields(given, ()):
        tests.append((_TESTS.get(name), operand if name == "is_null" else _plain(operand, model)))
    return lambda value: _all(
        None if test is None else test(value, operand) for test, operand in tests
    )


def _plain(operand: Any, model: type[Base] | None) -> Any:
    if isinstance(operand, list):
        return frozenset(_plain(one, model) for one in operand)
    if model is not None:
        return ids.decode(model, operand, ())
    return operand.value if isinstance(operand, Enum) else operand


# --- what a filter says about its ends -----------------------------------------------------------


def named(given: EventFilter, end: str) -> frozenset[UUID] | None:
    """The only tasks (or projects) whose events can match, as far as the filter names them by ID;
    None if it does not.
    """
    found: list[frozenset[UUID]] = []
    for name, value in given_fields(given, ()):
        if name == "and_":
            found += [one for item in value if (one := named(item, end)) is not None]
        elif name == end:
            found += _named_ids(value, _ENDS[end].model)
    return frozenset.intersection(*found) if found else None


def _named_ids(value: Any, model: type[Base]) -> list[frozenset[UUID]]:
    found = []
    for name, inner in given_fields(value, ()):
        if name == "and_":
            found += [one for item in inner for one in _named_ids(item, model)]
        elif name == "id":
            for operator, operand in given_fields(inner, ()):
                if operator in {"eq", "in_"}:
                    texts = operand if operator == "in_" else [operand]
                    found.append(frozenset(ids.decode(model, text, ()) for text in texts))
    return found


def kinds_in(given: Any) -> Iterator[str]:
    """The kinds that a filter, as JSON, asks for."""
    if isinstance(given, Mapping):
        for name, value in given.items():
            if name == "kind" and isinstance(value, Mapping):
                yield from filter(None, [value.get("eq"), *(value.get("in") or ())])
            else:
                yield from kinds_in(value)
    elif isinstance(given, Sequence) and not isinstance(given, str):
        for item in given:
            yield from kinds_in(item)


def names_in(given: Any) -> Iterator[str]:
    """The names of all fields of a filter that are given, at any depth."""
    if isinstance(given, list):
        for item in given:
            yield from names_in(item)
    elif has_object_definition(given):
        for name, inner in given_fields(given, ()):
            yield name
            yield from names_in(inner)
