"""What a filter has beside its shape: its values, in the order in which the shape is built."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import strawberry
from sqlalchemy import bindparam

from db.base import Base
from errors import BadInput, refuse

if TYPE_CHECKING:
    from graph.kit.criteria import Criterion

Path = tuple[str | int, ...]

MAX_CRITERIA = 100


@dataclass(frozen=True, slots=True)
class LookUp:
    """A condition on texts whose rows an index finds, by the pieces of these texts
    (`graph.kit.look_ups`). The shape and the values are those of the criterion.
    """

    criterion: Criterion
    model: type[Base]
    shape: Hashable
    values: tuple[Any, ...]
    pieces: list[str]


class Values:
    """Collects the values of a filter in the order in which its shape is built."""

    def __init__(self, found: Sequence[list[UUID] | None] | None = None) -> None:
        """`found`: the results of the look-ups that this filter asks for, once they are known."""
        self.list: list[Any] = []
        self.criteria = 0
        self.look_ups: list[LookUp] = []
        self._found = found

    def add(self, value: Any) -> None:
        """Add a value."""
        self.list.append(value)

    def look_up(self, look_up: LookUp) -> list[UUID] | None:
        """The IDs of the rows that satisfy a condition, if they are known and few."""
        self.look_ups.append(look_up)
        return None if self._found is None else self._found[len(self.look_ups) - 1]

    def count(self, path: Path) -> None:
        """Count one more criterion; rejects filters larger than anyone needs."""
        self.criteria += 1
        if self.criteria > MAX_CRITERIA:
            raise BadInput(
                f"A filter must have at most {MAX_CRITERIA} conditions.",
                path=path,
                limit=MAX_CRITERIA,
            )

    def params(self) -> dict[str, Any]:
        """The values by the names of their bind parameters."""
        return {f"filter_{index}": value for index, value in enumerate(self.list)}


class Binds:
    """Hands out the bind parameters in the same order.

    `visible`: entities of which the statement has only rows that the viewer can see. What is seen
    by all who see such a row needs no test of its own.
    """

    def __init__(self, *visible: Any) -> None:
        self._next = 0
        self._visible = list(visible)

    def __call__(self, type_: Any) -> Any:
        name = f"filter_{self._next}"
        self._next += 1
        return bindparam(name, type_=type_)

    def is_visible(self, entity: Any) -> bool:
        """Whether the viewer can see all rows of an entity."""
        return any(one is entity for one in self._visible)

    def note_visible(self, entity: Any) -> None:
        """Note an entity of a part of the statement, whose rows the viewer can see."""
        self._visible.append(entity)


def given_fields(value: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """The fields of an input that were given; a null one is an error."""
    for field in value.__strawberry_definition__.fields:
        given = getattr(value, field.python_name)
        if given is strawberry.UNSET:
            continue
        if given is None:
            refuse(
                BadInput(
                    "A filter must not be null. Omit it, or use isNull to find objects without a "
                    "value.",
                    path=(*path, field.python_name),
                )
            )
            continue
        yield field.python_name, given
