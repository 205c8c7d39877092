"""Filters at random over every criterion of the schema, and what they mean in plain Python.

A criterion on a related object has three answers: of an object that does not exist, or that the
person cannot see, only `isNull` is known. Only what is true is found.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLSchema,
    get_named_type,
    is_input_object_type,
)

from graph.schema import schema
from tests.graph.engine.oracle import KINDS, PERMISSION, PRIORITY, ROLE, STATUS, Oracle, Row

SCHEMA: GraphQLSchema = schema._schema
Filter = Mapping[str, Any]
Answer = bool | None

# Enums with an order, by their values in it.
_ORDERS = {
    name: {label: number for number, label in labels.items()}
    for name, labels in {
        "TaskStatus": STATUS,
        "TaskPriority": PRIORITY,
        "ProjectRole": ROLE,
        "TaskSharePermission": PERMISSION,
    }.items()
}
_NOTICES = {1: "TASK_SHARED_WITH_ME", 2: "TASK_ASSIGNED_TO_ME", 3: "TASK_COMPLETED"}
_DURATIONS = ["P2DT12H", "-P2DT12H", "-P4W", "PT36H", "P0D"]


def _column(name: str) -> Callable[[Oracle, Row], Any]:
    return lambda _, row: row[name]


def _columns(text: str) -> dict[str, Callable[[Oracle, Row], Any]]:
    """`dueAt` reads `due_at`."""
    return {name: _column(re.sub(r"(?=[A-Z])", "_", name).lower()) for name in text.split()}


def _named(names: Mapping[int, str], column: str) -> Callable[[Oracle, Row], Any]:
    return lambda _, row: names[row[column]]


def _identifier(oracle: Oracle, task: Row) -> str | None:
    project = oracle.end("Task", "project", task)
    return None if project is None else f"{project['key']}-{task['number']}"


def _seconds(_: Oracle, entry: Row) -> int:
    if entry["ended_at"] is None:
        raise UnknownError
    return int((entry["ended_at"] - entry["started_at"]).total_seconds())


def _tracked(column: str) -> Callable[[Oracle, Row], int]:
    def total(oracle: Oracle, row: Row) -> int:
        entries = [entry for entry in oracle.rows("TimeEntry") if entry[column] == row["id"]]
        seen = [entry for entry in entries if oracle.sees("TimeEntry", entry)]
        return sum(_seconds(oracle, entry) for entry in seen)

    return total


class UnknownError(Exception):
    """A value that changes while one looks, such as the time of a running timer."""


_TIMES = "createdAt updatedAt"
# What each criterion compares.
VALUES: Mapping[str, Mapping[str, Callable[[Oracle, Row], Any]]] = {
    "User": _columns("username fullName"),
    "Project": {
        **_columns(f"key name description archivedAt {_TIMES}"),
        "tracked": _tracked("project_id"),
    },
    "ProjectMember": {"role": _named(ROLE, "role"), **_columns(_TIMES)},
    "Task": {
        **_columns(f"number title description notes dueAt dueOn startAt completedAt {_TIMES}"),
        "identifier": _identifier,
        "status": _named(STATUS, "status"),
        "priority": _named(PRIORITY, "priority"),
        "estimate": _column("estimate"),
        "tracked": _tracked("task_id"),
    },
    "TaskShare": {
        "permission": _named(PERMISSION, "permission"),
        **_columns(f"expiresAt {_TIMES}"),
    },
    "Comment": _columns(f"body editedAt {_TIMES}"),
    "TimeEntry": {
        **_columns(f"description startedAt endedAt day {_TIMES}"),
        "duration": _seconds,
    },
    "Notification": {"kind": _named(_NOTICES, "kind"), **_columns("readAt createdAt")},
    "Reminder": {
        "ruleKind": lambda _, row: {3: "ONCE"}[row["kind"]],
        **_columns(f"message nextRunAt lastRunAt {_TIMES}"),
    },
}
FLAGS: Mapping[str, Mapping[str, Callable[[Oracle, Row], bool]]] = {
    "User": {"isMe": lambda oracle, row: row["id"] == oracle.me},
    "Project": {"isArchived": lambda _, row: row["archived_at"] is not None},
    "Task": {
        "isOpen": lambda _, row: STATUS[row["status"]] in {"TODO", "IN_PROGRESS"},
        "isOverdue": lambda oracle, row: (
            row["due_at"] is not None and row["due_at"] <= oracle.now and row["status"] <= 20
        ),
    },
    "TaskShare": {"isExpired": lambda oracle, row: not oracle.is_current(row)},
    "Comment": {"isDeleted": lambda _, row: row["removed_at"] is not None},
    "TimeEntry": {
        "isRunning": lambda _, row: row["ended_at"] is None,
        "isBillable": lambda _, row: bool(row["is_billable"]),
    },
    "Notification": {"isRead": lambda _, row: row["read_at"] is not None},
    "Reminder": {"isEnabled": lambda _, row: bool(row["is_enabled"])},
}
MANY: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "Project": {"members": ("ProjectMember", "project_id")},
    "Task": {
        "subtasks": ("Task", "parent_id"),
        "shares": ("TaskShare", "task_id"),
        "comments": ("Comment", "task_id"),
        "timeEntries": ("TimeEntry", "task_id"),
    },
}
SEARCHED: Mapping[str, list[str]] = {
    "User": ["username", "full_name"],
    "Project": ["name", "key", "description"],
    "Task": ["title", "description", "notes"],
    "Comment": ["body"],
    "TimeEntry": ["description"],
}
# Compared as a whole without regard to case.
NAMES = {"username", "fullName", "name", "key", "identifier"}
# Of what the company has nothing, or what has its own tests.
UNMODELLED = {
    "TaskFilter.attachments",
    "TaskFilter.externalReferences",
    "TaskFilter.isDeleted",
    "ProjectFilter.isDeleted",
    "TimeEntryFilter.hasOverlap",
}


_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": lambda value, other: value == other,
    "notEq": lambda value, other: value != other,
    "lt": lambda value, other: value < other,
    "lte": lambda value, other: value <= other,
    "gt": lambda value, other: value > other,
    "gte": lambda value, other: value >= other,
}
_TEXTS: Mapping[str, Callable[[str, str], bool]] = {
    "contains": lambda text, part: part in text,
    "startsWith": lambda text, part: text.startswith(part),
    "endsWith": lambda text, part: text.endswith(part),
}


# --- what a filter means -------------------------------------------------------------------------


def says(oracle: Oracle, kind: str, filter_: Filter, row: Row | None) -> Answer:
    """What a filter says of a row, or of nothing."""
    return _all(_criterion(oracle, kind, name, value, row) for name, value in filter_.items())


def _criterion(oracle: Oracle, kind: str, name: str, value: Any, row: Row | None) -> Answer:
    if name == "and":
        return _all(says(oracle, kind, one, row) for one in value)
    if name == "or":
        return _not(_all(_not(says(oracle, kind, one, row)) for one in value))
    if name == "not":
        return _not(says(oracle, kind, value, row))
    if name == "isNull":
        return bool(value) is (row is None)
    if row is None:
        known = name == "id" and "isNull" in value
        return bool(value["isNull"]) if known and len(value) == 1 else None
    return _of_row(oracle, kind, name, value, row)


def _of_row(oracle: Oracle, kind: str, name: str, value: Any, row: Row) -> bool:
    if name == "id":
        return compared(f"{KINDS[kind].prefix}_{row['id'].hex}", value)
    if name == "search":
        texts = [_bare(row[column] or "") for column in SEARCHED[kind]]
        return all(any(_bare(word) in text for text in texts) for word in value.split())
    if name == "tags":
        tags = [tag.casefold() for tag in row["tags"]]
        return _quantified(
            value, lambda inner: (compared(tag, inner, fold=str.casefold) for tag in tags)
        )
    if name in MANY.get(kind, {}):
        target, column = MANY[kind][name]
        children = [child for child in oracle.rows(target) if child[column] == row["id"]]
        seen = [child for child in children if oracle.sees(target, child)]
        return _quantified(
            value, lambda inner: (says(oracle, target, inner, child) is True for child in seen)
        )
    if name in KINDS[kind].one:
        target = KINDS[kind].one[name][1]
        return says(oracle, target, value, oracle.end(kind, name, row)) is True
    if name in FLAGS.get(kind, {}):
        return FLAGS[kind][name](oracle, row) is value
    enum = _enum_of(kind, name)
    found = VALUES[kind][name](oracle, row)
    # As PostgreSQL does: "ß" is the small letter of no other, and not the same as "SS".
    fold = str.lower if name in NAMES else None
    return compared(found, value, fold=fold, order=_ORDERS.get(enum))


def _quantified(value: Filter, matches: Callable[[Any], Iterable[bool]]) -> bool:
    ways: Mapping[str, Callable[[Iterable[bool]], bool]] = {
        "some": any,
        "every": all,
        "none": lambda answers: not any(answers),
    }
    return all(ways[name](matches(inner)) for name, inner in value.items())


def _all(answers: Iterable[Answer]) -> Answer:
    found = list(answers)
    return False if False in found else None if None in found else True


def _not(answer: Answer) -> Answer:
    return None if answer is None else not answer


def _bare(text: str) -> str:
    parts = unicodedata.normalize("NFD", text)
    return "".join(c for c in parts if not unicodedata.combining(c)).casefold()


def compared(
    found: Any,
    comparator: Filter,
    *,
    fold: Callable[[str], str] | None = None,
    order: Mapping[str, int] | None = None,
) -> bool:
    """Whether a value, or None, satisfies all comparators. `fold`: texts are equal if what it makes
    of them is.
    """

    def like(given: Any) -> Any:
        """A literal in the form in which it is compared."""
        if isinstance(found, dt.datetime):
            return dt.datetime.fromisoformat(given)
        if isinstance(found, dt.date):
            return dt.date.fromisoformat(given)
        return fold(given) if fold else order[given] if order else given

    def holds(name: str, given: Any) -> bool:
        if name == "isNull":
            return (found is None) is given
        if found is None:
            return name in {"notEq", "notIn"}
        value = fold(found) if fold else order[found] if order else found
        if name in {"in", "notIn"}:
            return (value in [like(one) for one in given]) is (name == "in")
        if name == "within":
            return _within(found, given)
        if name in {"contains", "startsWith", "endsWith"}:
            text, part = found.lower(), given.lower()
            return bool(_TEXTS[name](text, part))
        return bool(_COMPARE[name](value, like(given)))

    return all(holds(name, given) for name, given in comparator.items())


def _within(found: Any, duration: str) -> bool:
    match = re.fullmatch(r"(-?)P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?)?", duration)
    assert match is not None
    weeks, days, hours = (int(number or 0) for number in match.groups()[1:])
    length = dt.timedelta(weeks=weeks, days=days, hours=hours) * (-1 if match[1] else 1)
    now: Any = dt.datetime.now(dt.UTC)
    then: Any = now + length
    if not isinstance(found, dt.datetime):
        now, then = now.date(), then.date()
    return bool(min(now, then) <= found <= max(now, then))


# --- drawing -------------------------------------------------------------------------------------


def _type_of(kind: str) -> GraphQLInputObjectType:
    type_: Any = SCHEMA.type_map[f"{kind}Filter"]
    return type_  # type: ignore[no-any-return]


def _enum_of(kind: str, name: str) -> str:
    comparator: Any = get_named_type(_type_of(kind).fields[name].type)
    operand = get_named_type(comparator.fields["eq"].type)
    return operand.name if isinstance(operand, GraphQLEnumType) else ""


def criteria(kind: str) -> list[str]:
    """The fields of a kind's filter that are modelled, without `and`, `or` and `not`."""
    return [
        name
        for name in _type_of(kind).fields
        if name not in {"and", "or", "not"} and f"{kind}Filter.{name}" not in UNMODELLED
    ]


def concerns_others(kind: str, filter_: Filter) -> bool:
    """Whether one of its criteria is about related objects."""
    related = {*KINDS[kind].one, *MANY.get(kind, {}), "tracked"}
    return not related.isdisjoint(filter_)


@dataclass
class Drawing:
    """Filters with values that the rows have."""

    random: Random
    oracle: Oracle

    def each(self, kind: str) -> Iterator[Filter]:
        """Each criterion of a kind: the first of its type with all comparators, and another one
        with a third of them, drawn anew for each.
        """
        seen: set[tuple[str, bool]] = set()
        for name in criteria(kind):
            values = list(self._values(kind, name))
            of_type = (get_named_type(_type_of(kind).fields[name].type).name, name in NAMES)
            if of_type in seen:
                values = self.random.sample(values, math.ceil(len(values) / 3))
            seen.add(of_type)
            yield from ({name: value} for value in values)

    def filter(self, kind: str, depth: int) -> Filter:
        """A filter at random."""
        random = self.random
        chance = random.random()
        if depth > 0 and chance < 0.2:
            return {"not": self.filter(kind, depth - 1)}
        if depth > 0 and chance < 0.45:
            several = [self.filter(kind, depth - 1) for _ in range(2)]
            return {random.choice(["and", "or"]): several}
        relations = [name for name in criteria(kind) if name in KINDS[kind].one]
        if depth > 0 and relations and chance < 0.75:
            name = random.choice(relations)
            return {name: self._end(KINDS[kind].one[name][1], depth - 1)}
        name = random.choice([name for name in criteria(kind) if name not in relations])
        return {name: random.choice(list(self._values(kind, name)))}

    def _end(self, kind: str, depth: int) -> Filter:
        """A filter of a related object, often by whether there is one."""
        if "isNull" not in _type_of(kind).fields or self.random.random() < 0.4:
            return self.filter(kind, depth)
        null = {"isNull": self.random.random() < 0.6}
        return self.random.choice(
            [
                null,
                {"not": null},
                {"or": [null, self.filter(kind, depth)]},
                {"not": {"or": [null, self.filter(kind, depth)]}},
                {"not": {"and": [null, self.filter(kind, depth)]}},
            ]
        )

    def _values(self, kind: str, name: str) -> Iterator[Any]:
        type_: Any = get_named_type(_type_of(kind).fields[name].type)
        if not is_input_object_type(type_):
            yield from (
                [True, False] if type_.name == "Boolean" else ["a", "ARGER", "zur", "strasse 1"]
            )
        elif name in KINDS[kind].one:
            target = KINDS[kind].one[name][1]
            yield from ({inner: value} for inner, value in self._some_of(target))
        elif "some" in type_.fields:
            for way in type_.fields:
                yield {way: self._element(kind, name)}
        else:
            yield from self._compared(type_, self._pool(kind, name))

    def _some_of(self, kind: str) -> Iterator[tuple[str, Any]]:
        """Of each criterion of a related kind one value, of the telling ones all."""
        for name in criteria(kind):
            if name in KINDS[kind].one or name in MANY.get(kind, {}):
                continue
            values = list(self._values(kind, name))
            for value in values if name in {"isNull", "isMe", "id"} else values[:1]:
                yield name, value

    def _element(self, kind: str, name: str) -> Filter:
        if name == "tags":
            return self.random.choice(
                [{"eq": "BUG"}, {"in": ["Storm", "x"]}, {"endsWith": "ug"}, {"notEq": "idea"}]
            )
        return self.filter(MANY[kind][name][0], 0)

    def _pool(self, kind: str, name: str) -> list[Any]:
        found = []
        for row in self.oracle.rows(kind):
            if name == "id":
                found.append(f"{KINDS[kind].prefix}_{row['id'].hex}")
                continue
            try:
                value = VALUES[kind][name](self.oracle, row)
            except UnknownError:
                continue
            if isinstance(value, dt.date):
                value = value.isoformat()
            if value is not None:
                found.append(value)
        return found

    def _compared(self, type_: Any, pool: list[Any]) -> Iterator[Filter]:
        random = self.random
        for operator, field in type_.fields.items():
            operand: Any = get_named_type(field.type)
            if operator == "isNull":
                yield from ({operator: answer} for answer in (True, False))
            elif operator == "within":
                yield from ({operator: duration} for duration in _DURATIONS)
            elif isinstance(operand, GraphQLEnumType):
                values = list(operand.values)
                many = operator in {"in", "notIn"}
                yield (
                    {operator: random.sample(values, 2)}
                    if many
                    else {operator: random.choice(values)}
                )
            elif not pool:
                continue
            elif operator in {"in", "notIn"}:
                yield {operator: [self._changed(random.choice(pool)) for _ in range(3)]}
            elif operator in {"contains", "startsWith", "endsWith"}:
                text = random.choice(pool)
                cut = {"contains": text[1:3], "startsWith": text[:2], "endsWith": text[-2:]}
                yield {operator: cut[operator].swapcase()}
            else:
                yield from ({operator: self._changed(random.choice(pool))} for _ in range(2))

    def _changed(self, value: Any) -> Any:
        """A text sometimes in another case, but not a time nor an id."""
        plain = isinstance(value, str) and not re.search(r"\d{4}-\d\d-|_[0-9a-f]{32}", value)
        return value.swapcase() if plain and self.random.random() < 0.5 else value
