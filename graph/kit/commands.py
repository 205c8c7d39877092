"""From a mutation's input to what the domain takes, by matching names.

    _new = arguments_of(TaskCreateInput, NewTask, ids={"project_id": models.Project, ...})
    _changes = changes_of(TaskUpdateInput, CHANGEABLE, ids={"parent_id": models.Task, ...})

    await create(work, NewTask(**_new(data)))
    await update_task(work, task_id, _changes(data), ...)

An input is looked at when its module is imported. A field that the domain does not take raises
`UnusedFieldError` then, so that no value is accepted from clients and dropped.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from strawberry.types.maybe import Some

from db.base import Base
from graph.core.ids import decode, decode_new
from graph.core.inputs import UpdateInput, given

Ids = Mapping[str, type[Base]]
_NO_IDS: Ids = {}
# Fields that `graph.kit.mutation` and the functions of mutations read by themselves.
_SHARED = frozenset(field.name for field in dataclasses.fields(UpdateInput))


class UnusedFieldError(TypeError):
    """An input has a field that nothing reads, or an id of no known type."""


def arguments_of(
    input_type: type[Any],
    target: Callable[..., Any],
    *,
    ids: Ids = _NO_IDS,
    options: Collection[str] = (),
) -> Callable[[Any], dict[str, Any]]:
    """A function that reads the arguments of `target`, a command or a function, from an input.

    What is null or left out keeps the default of `target`, if it has one. `ids` says whose ids the
    fields hold; an `id` is that of a new row. A parameter `id_` takes the field `id`. `options` are
    fields that the mutation's function reads.
    """
    parameters = {
        name.rstrip("_"): parameter
        for name, parameter in inspect.signature(target).parameters.items()
    }
    apart = {*(_SHARED - parameters.keys()), *options}
    names = _names(input_type, target.__qualname__, parameters, apart, ids)

    def read(data: Any) -> dict[str, Any]:
        arguments = {}
        for name in names:
            parameter, value = parameters[name], given(getattr(data, name))
            if value is not None or parameter.default is inspect.Parameter.empty:
                arguments[parameter.name] = _decoded(name, value, ids)
        return arguments

    return read


def changes_of(
    input_type: type[Any],
    changeable: Collection[str],
    *,
    ids: Ids = _NO_IDS,
    options: Collection[str] = (),
) -> Callable[[Any], dict[str, Any]]:
    """A function that reads the fields of an update that were given, by name; null is a value.

    `changeable` is what the domain can change. `options` are fields that change nothing by
    themselves; the mutation's function reads them.
    """
    apart = {*_SHARED, "id", *options}
    names = _names(input_type, "the fields that can change", changeable, apart, ids)
    absent = {field.name: field.default for field in dataclasses.fields(input_type)}

    def read(data: Any) -> dict[str, Any]:
        changes = {}
        for name in names:
            value = getattr(data, name)
            if value is not absent[name]:
                value = value.value if isinstance(value, Some) else value
                changes[name] = _decoded(name, value, ids)
        return changes

    return read


def _names(
    input_type: type[Any], taker: str, taken: Collection[str], apart: Collection[str], ids: Ids
) -> list[str]:
    names = [field.name for field in dataclasses.fields(input_type) if field.name not in apart]
    unused = [name for name in names if name not in taken]
    if unused:
        raise UnusedFieldError(f"{input_type.__name__} has {unused}, which {taker} does not have.")
    untyped = [name for name in names if name.endswith(("_id", "_ids")) or name == "id"]
    untyped = [name for name in untyped if name not in ids]
    if untyped:
        raise UnusedFieldError(
            f"{input_type.__name__} has {untyped}; say by `ids` whose ids they are."
        )
    return names


def _decoded(name: str, value: Any, ids: Ids) -> Any:
    model = ids.get(name)
    if model is None or value is None:
        return value
    if isinstance(value, list):
        return [decode(model, text, (name, index)) for index, text in enumerate(value)]
    if name == "id":
        return decode_new(model, value, (name,))
    return decode(model, value, (name,))
