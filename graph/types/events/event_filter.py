"""The filter of events, `EventFilter`: one for lists, subscriptions and webhooks.

A list is filtered in SQL, like any other. A stream or a webhook is filtered event by event: what an
event's own columns decide is decided without the database (`decision`), and only what they do not
decide is asked of it (`graph.types.events.wanted`). Both read the same criteria.

The ends of an event (its task, project and actor) are searched among what the viewer can see, the
trash included, since a deletion has to be delivered. An event whose subject is the task or project
itself matches by its ID whatever the viewer can see of it, for it shows this ID anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from types import SimpleNamespace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, inspect, or_, true
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
from graph.kit import filtering
from graph.kit.comparators import DateTimeFilter, EventKindFilter, IDFilter
from graph.kit.criteria import OwnId
from graph.kit.filter_values import Binds, given_fields
from graph.kit.predicates import Related, build_filter
from graph.types.accounts.user import UserFilter
from graph.types.projects.project_inputs import ProjectFilter
from graph.types.tasks.task_inputs import TaskFilter

# The name of the rows that are tasks as they were.
FORMER: Final = "former"
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


# --- criteria ------------------------------------------------------------------------------------


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
    """The task, project or user of an event; what is in the trash included.

    Administrators, who read the whole log, compare with every ID, but with nothing else of what
    they cannot see.
    """

    def __init__(self, model: type[Base], key: Callable[[Any], Any]) -> None:
        super().__init__(models.Event.actor_id, model)
        self._key = key

    def key(self, entity: Any) -> Any:
        return self._key(entity)

    def end(self, entity: Any) -> Any:
        former = getattr(entity, "former_task", None) if self.model is models.Task else None
        return super().end(entity) if former is None else former

    def visible(self, viewer: Viewer, end: Any) -> ColumnElement[bool]:
        if getattr(inspect(end), "name", None) == FORMER:
            return true()
        return access.read(viewer, end, trashed=None)

    def build(self, shape: Any, entity: Any, viewer: Viewer, bind: Binds) -> ColumnElement[bool]:
        if all(map(_names_end, shape)):
            if self.model is not models.User:
                return self._of_subject(shape, entity, viewer, bind)
            if viewer.is_admin:
                key = self.key(entity)
                named = build_filter(shape, SimpleNamespace(id=key), viewer, bind)
                return and_(key.is_not(None), named)
        return super().build(shape, entity, viewer, bind)

    def _of_subject(
        self, shape: Any, entity: Any, viewer: Viewer, bind: Binds
    ) -> ColumnElement[bool]:
        """The ID of a task or project, in a form that the log's indexes serve."""
        recorded: Any = _Recorded(bind)
        own = entity.subject_type == self.model.__name__
        key = entity.task_id if self.model is models.Task else entity.project_id
        other = [key.is_not(None), build_filter(shape, SimpleNamespace(id=key), viewer, recorded)]
        if not viewer.is_admin:
            other.append(self.exists(key, aliased(self.model), viewer))
        subject = SimpleNamespace(id=entity.subject_id)
        again: Any = recorded.again()
        return or_(and_(own, build_filter(shape, subject, viewer, again)), and_(~own, *other))


def _names_end(part: tuple[Any, Any]) -> bool:
    criterion, inner = part
    return isinstance(criterion, OwnId) and all(name != "is_null" for name, *_ in inner)


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
    subject_type: list[EventSubjectType] | None = filtering.by_list(
        models.Event.subject_type, "The type of the subject is one of these."
    )
    at: DateTimeFilter | None = filtering.by(
        models.Event.at,
        "When it happened.",
        order="time, in the order in which events became visible",
    )
    actor: UserFilter | None = filtering.declared(_ENDS["actor"], "The user who caused it.")
    task: TaskFilter | None = filtering.declared(
        _ENDS["task"],
        "The task concerned, in its state at delivery. Subscriptions and `events` also deliver "
        "the events with which a task stops matching (`matches: false`).",
    )
    project: ProjectFilter | None = filtering.declared(
        _ENDS["project"],
        "The project concerned. If you name projects or tasks by ID, a subscription ends with "
        "`NOT_FOUND` when you can no longer see any of them.",
    )


# --- what an event alone decides -----------------------------------------------------------------


def decision(given: EventFilter, viewer: Viewer) -> Decide:
    """The part of a checked filter that needs no database."""
    return _joined(given, lambda name, value: _part(name, value, viewer))


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
    inside, nothing = _inside(value, _ENDS[name].model, viewer), _of_nothing(value) is True

    def decide(event: Any) -> bool | None:
        key = task_of(event) if name == "task" else getattr(event, f"{name}_id")
        if key is None:
            return nothing
        answer = inside(key)
        # An end that the viewer cannot see is none.
        return answer if answer is nothing or _is_seen(name, event, viewer) else None

    return decide


def _inside(value: Any, model: type[Base], viewer: Viewer) -> Callable[[UUID], bool | None]:
    """What a filter says of an object of which only the ID is known."""
    return _joined(value, lambda name, inner: _of_id(name, inner, model, viewer))


def _of_id(
    name: str, value: Any, model: type[Base], viewer: Viewer
) -> Callable[[UUID], bool | None]:
    if name == "id":
        return _comparison(value, model)
    if name == "is_me":
        return lambda key: (key == viewer.user_id) is bool(value)
    if name == "is_null":
        return lambda _key: not value
    return lambda _key: None


def _of_nothing(value: Any) -> bool | None:
    """What a filter says where there is no object: None if that is unknown."""

    def part(name: str, inner: Any) -> Callable[[Any], bool | None]:
        if name == "is_null":
            return lambda _: bool(inner)
        if name == "id":
            given = dict(given_fields(inner, ()))
            answers = [given[key] if key == "is_null" else None for key in given]
            return lambda _: _all(iter(answers))
        return lambda _: None

    return _joined(value, part)(None)


def _joined(
    value: Any, part: Callable[[str, Any], Callable[[Any], bool | None]]
) -> Callable[[Any], bool | None]:
    """A filter whose own fields are decided by `part`."""
    parts: list[Callable[[Any], bool | None]] = []
    for name, inner in given_fields(value, ()):
        if name in {"and_", "or_"}:
            items = [_joined(item, part) for item in inner if _says_something(item)]
            if items:
                parts.append(_list(_all if name == "and_" else _any, items))
        elif not _says_something(inner):
            continue
        elif name == "not_":
            parts.append(_negated(_joined(inner, part)))
        else:
            parts.append(part(name, inner))
    return _list(_all, parts)


def _list(
    join: Callable[[Iterator[bool | None]], bool | None],
    parts: Sequence[Callable[[Any], bool | None]],
) -> Callable[[Any], bool | None]:
    if len(parts) == 1:
        # The usual filter has one condition, and is asked for each event by each subscription.
        return parts[0]
    return lambda thing: join(part(thing) for part in parts)


def _negated(part: Callable[[Any], bool | None]) -> Callable[[Any], bool | None]:
    return lambda thing: None if (answer := part(thing)) is None else not answer


def _is_seen(name: str, event: Any, viewer: Viewer) -> bool:
    """Whether the viewer, who sees this event, certainly sees that end of it."""
    if name == "task":
        return event.subject_type == models.Task.__name__ or event.kind not in _TASK_UNSURE
    if name == "actor":
        # The account of another one may be deleted.
        return event.actor_id == viewer.user_id  # type: ignore[no-any-return]
    return event.subject_type == models.Project.__name__  # type: ignore[no-any-return]


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
    if len(tests) == 1 and (only := tests[0][0]) is not None:
        other = tests[0][1]
        return lambda value: only(value, other)
    return lambda value: _all(
        None if test is None else test(value, operand) for test, operand in tests
    )


def _plain(operand: Any, model: type[Base] | None) -> Any:
    if isinstance(operand, list):
        return frozenset(_plain(one, model) for one in operand)
    if model is not None:
        return ids.decode_only(model, operand, ())
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
                    found.append(frozenset(ids.decode_only(model, text, ()) for text in texts))
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


def asks_state(given: Any) -> bool:
    """Whether a filter of events asks for more of a task than which one it is."""
    for name, value in given_fields(given, ()):
        if name in {"and_", "or_"} and any(map(asks_state, value)):
            return True
        if name == "not_" and asks_state(value):
            return True
        if name == "task" and not set(names_in(value)) <= _IDS:
            return True
    return False


def names_project(given: Any) -> bool:
    """Whether a filter of events says something about the event's project."""
    return any(
        name == "project"
        or (name in {"and_", "or_"} and any(map(names_project, value)))
        or (name == "not_" and names_project(value))
        for name, value in given_fields(given, ())
    )


_IDS: Final = {"and_", "or_", "not_", "id", "eq", "not_eq", "in_", "not_in"}
