"""The result of executing an operation, the same for both engines."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, NamedTuple

import orjson
from graphql import FieldNode, GraphQLError

# A fragment is JSON that PostgreSQL made; a dict may contain fragments. Only orjson can read them.
Data = dict[str, Any] | orjson.Fragment

Engine = Literal["batch", "standard"]


class ErrorBehavior(Enum):
    """What an error of a field does to the answer: the `onError` of a request.

    NULL: the field is null, even if its type is non-null. PROPAGATE: an error in a non-null
    position nulls the nearest nullable position above. HALT: execution ends at the first error, and
    that error is the whole answer.
    """

    NULL = "NULL"
    PROPAGATE = "PROPAGATE"
    HALT = "HALT"


@dataclass(slots=True)
class Executed:
    """A result, and the engine that made it."""

    data: Data | None
    errors: list[GraphQLError] | None
    engine: Engine


@dataclass(slots=True)
class Interrupted:
    """What several mutations had answered when they were cancelled; `Context.of` returns it.

    What is committed must not be lost with the rest. `data` is None if nothing was noted.
    `unfinished`: the mutations that did not end, or did not begin, by their response keys; they are
    null in `data`. Nothing is noted if the errors of these make the whole answer null.
    """

    _: Any
    data: dict[str, Any] | None = None
    errors: list[GraphQLError] = field(default_factory=list)
    unfinished: dict[str, list[FieldNode]] = field(default_factory=dict)


class Deliveries(NamedTuple):
    """Events that a subscription delivers one after the other, and may be executed together.
    `still_visible` returns those of some events that the subscriber can still see.
    """

    events: Sequence[Any]
    still_visible: Callable[[Sequence[Any]], Awaitable[Sequence[Any]]]
