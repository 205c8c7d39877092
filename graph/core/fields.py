"""The kinds of fields that object types are made of.

- `column`: a column of the row, or an SQL expression over it (`expression`). Nothing runs; the
  field declares the columns that it needs, and they are read with the row.
- `batch`: a function that takes *all* parents of its position in the operation and returns a value
  or an exception for each. Relations are batches (`graph.kit.loading`, `graph.kit.paging`).
- `root`: a batch with the one parent that root fields have.

Fields that can fail by themselves (`may_fail`: root fields, and fields with arguments that are
checked) are nullable in the schema, so that a failure empties no more than its own field. What
their annotation says without errors is the directive `@semanticNonNull`.

Each is an ordinary Strawberry field, so the schema is an ordinary Strawberry schema: the standard
executor calls a batch through aiodataloader, the batch engine calls it directly. The function is
the same.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import (
    Annotated,
    Any,
    Final,
    NamedTuple,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import strawberry
from aiodataloader import DataLoader
from graphql import GraphQLResolveInfo, get_named_type
from strawberry.annotation import StrawberryAnnotation
from strawberry.directive import directive_field
from strawberry.schema_directive import Location
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import StrawberryObjectDefinition, StrawberryOptional
from strawberry.types.field import UNRESOLVED, StrawberryField

from auth.viewer import Viewer
from graph.core.context import Context
from graph.core.selection import Selection, SelectionIndex

BatchFunction = Callable[..., Awaitable[Sequence[Any]]]
Expression = Callable[[Viewer, Any], Any]
Arguments = Sequence[StrawberryArgument] | Callable[[str], Sequence[StrawberryArgument]]


class BatchInfo(NamedTuple):
    """The context of a batch function: the operation's context and the selection below the field.

    It has no path, since a batch covers many positions of the response at once.
    """

    context: Context
    selection: Selection
    field: BatchField

    @property
    def viewer(self) -> Viewer:
        """The viewer of the operation."""
        return self.context.viewer


class BatchFault(Exception):  # noqa: N818 - a fault of a resolver, reported with its name
    """A batch function broke its contract; the message names it for the log."""


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="semanticNonNull",
    description="Null only if there is an error at this position. `levels` are those of nested "
    "lists, 0 being the field itself.",
)
class SemanticNonNull:
    """Known to Relay, Apollo Kotlin and code generators, which can type the field as non-null."""

    levels: list[int] = directive_field(name="levels", default=(0,))


# Without a value, so that the default of `levels` is not printed at each field.
_SEMANTIC_NON_NULL: Final[list[object]] = [SemanticNonNull(levels=cast("Any", strawberry.UNSET))]


class _Field(StrawberryField):
    """Common to both kinds: keep their own attributes when Strawberry copies them."""

    _own: tuple[str, ...] = ("may_fail", "requires")
    requires: tuple[str, ...] = ()
    # Whether the field can fail by itself; it is nullable then, whatever its annotation.
    may_fail: bool = False

    def annotated_type(self, type_definition: StrawberryObjectDefinition | None) -> Any:
        """The type without errors, as written at the field."""
        return super().resolve_type(type_definition=type_definition)

    def resolve_type(self, *, type_definition: StrawberryObjectDefinition | None = None) -> Any:
        """The type in the schema."""
        annotated = self.annotated_type(type_definition)
        if self.may_fail and not _is_nullable(annotated):
            return StrawberryOptional(annotated)
        return annotated

    @property
    def directives(self) -> list[object]:
        """`@semanticNonNull`, if the field is null only with an error."""
        annotated = self.annotated_type(None)
        return _SEMANTIC_NON_NULL if self.may_fail and not _is_nullable(annotated) else []

    @directives.setter
    def directives(self, value: Sequence[object]) -> None:
        """Set by Strawberry when it makes a field."""

    def __copy__(self) -> Any:
        copied = super().__copy__()
        for name in self._own:
            setattr(copied, name, getattr(self, name))
        return copied


def _is_nullable(annotated: object) -> bool:
    return annotated is UNRESOLVED or isinstance(annotated, StrawberryOptional)


class ColumnField(_Field):
    """A value of the parent row. `label` is the column, `convert` makes the API's value of it."""

    _own = ("convert", "label", "may_fail", "requires", "whole_row")

    label: str = ""
    convert: Callable[[Any], Any] | None = None
    # Whether `convert` takes the row instead of the value.
    whole_row: bool = False

    def read(self, label: str) -> None:
        """Take the value from this column."""
        self.label = label
        self.requires = (label,)

    def get_result(self, source: Any, info: Any, args: list[Any], kwargs: Any) -> Any:
        """The value for one object (standard executor)."""
        if self.whole_row:
            assert self.convert is not None
            return self.convert(source)
        value = getattr(source, self.label)
        return value if value is None or self.convert is None else self.convert(value)

    def values(self, rows: Sequence[Any]) -> list[Any]:
        """The values for many objects (batch engine)."""
        convert = self.convert
        if self.whole_row:
            assert convert is not None
            return [convert(row) for row in rows]
        label = self.label
        return list(self.converted([getattr(row, label) for row in rows]))

    def converted(self, values: Sequence[Any]) -> Sequence[Any]:
        """The API's values for the column's (batch engine); not for `whole_row`."""
        convert = self.convert
        if convert is None:
            return values
        return [None if value is None else convert(value) for value in values]


class BatchField(_Field):
    """A field resolved for all parents at once.

    `function(parents, info, **arguments)` returns one value or exception for each parent, in order.
    """

    _own: tuple[str, ...] = (
        "declared",
        "function",
        "may_fail",
        "requires",
        "public",
        "relation",
        "objects",
        "noted",
    )

    function: BatchFunction
    # Whether the values are the objects of keys in the parent rows, and nothing else of the viewer.
    objects: bool = False
    # Whether they are values of the parent rows, except for what the viewer cannot see, which is
    # noted in `Context.seen`.
    noted: bool = False
    # Whether a root field creates or repairs credentials, so that it needs no valid ones.
    public: bool = False
    # The model's name of the to-one relation that the field shows, if it shows one.
    relation: str | None = None
    # The declared arguments, or a function that makes them from the field's Python name; None if
    # they are read from the resolver's signature when the schema is built.
    declared: Arguments | None = None

    @property
    def is_async(self) -> bool:
        """Always: the standard executor awaits the loader."""
        return True

    @property
    def is_basic_field(self) -> bool:
        """Never: the standard executor has to pass `info`."""
        return False

    @property
    def arguments(self) -> list[StrawberryArgument]:
        """Built late, when every module's types can be named."""
        if self._arguments is None:
            declared = self.declared
            if callable(declared):
                declared = declared(self.python_name)
            self._arguments = list(arguments_of(self.function) if declared is None else declared)
        return self._arguments

    @arguments.setter
    def arguments(self, value: list[StrawberryArgument]) -> None:
        self._arguments = value

    async def resolve_all(
        self, parents: Sequence[Any], info: BatchInfo, arguments: Mapping[str, Any]
    ) -> Sequence[Any]:
        """Call the function and check its contract; `BatchFault` names the function."""
        values = await self.function(parents, info, **arguments)
        if len(values) != len(parents):
            raise BatchFault(
                f"{self.qualified_name} returned {len(values)} results for {len(parents)} parents"
            )
        return values

    @property
    def qualified_name(self) -> str:
        """`Type.field` for logs."""
        origin = getattr(self.origin, "__name__", "?")
        return f"{origin}.{self.python_name}"

    def get_result(self, source: Any, info: Any, args: list[Any], kwargs: Any) -> Any:
        """The value for one object, through a loader (standard executor)."""
        raw: GraphQLResolveInfo[Context] = info._raw_info  # noqa: SLF001 - Strawberry's way to it
        context: Context = raw.context
        # Nodes at one position have one set of arguments, so the nodes are a sufficient key.
        key = (self, *(id(node) for node in raw.field_nodes))
        loader = context.loaders.get(key)
        if loader is None:
            selection = selection_index_of(context, raw).selection(
                raw.field_nodes, get_named_type(raw.return_type)
            )
            batch_info = BatchInfo(context, selection, self)

            async def load(parents: list[Any]) -> list[Any]:
                return list(await self.resolve_all(parents, batch_info, kwargs))

            if source is None:
                return _only(load([None]))
            loader = context.loaders[key] = DataLoader(load, cache=False)
        return loader.load(source)


async def _only(values: Awaitable[list[Any]]) -> Any:
    (value,) = await values
    if isinstance(value, Exception):
        raise value
    return value


def selection_index_of(context: Context, raw: GraphQLResolveInfo[Context]) -> SelectionIndex:
    """The index of the running operation's selections, made here if the executor did not provide
    one.
    """
    if context.selection_index is None or context.selection_index.operation is not raw.operation:
        context.selection_index = SelectionIndex(raw.schema, raw.operation, raw.fragments)
    return context.selection_index


# --- declaring fields ----------------------------------------------------------------------------
# They return Any, so that the annotation of the class attribute is the field's GraphQL type.


def column(
    of: Any,
    description: str | None = None,
    *,
    convert: Callable[[Any], Any] | None = None,
    name: str | None = None,
    may_fail: bool = False,
    deprecation_reason: str | None = None,
) -> Any:
    """A column of the model (`column(models.Task.created_at, "…")`) or of an `expression`, by its
    label. In a type of a model, `column("…")` is the column with the field's own name.

    `may_fail` makes it nullable although the column is not, where another `Node` has a nullable
    field of this name: both then stand in one selection.
    """
    field = ColumnField(
        description=description or of, graphql_name=name, deprecation_reason=deprecation_reason
    )
    field.may_fail = may_fail
    field.convert = convert
    if description is not None:
        field.read(of if isinstance(of, str) else of.key)
    return field


def derived(
    requires: Sequence[Any],
    convert: Callable[[Any], Any],
    description: str,
    *,
    may_fail: bool = False,
    **options: Any,
) -> Any:
    """A value computed from several columns of the row: `convert(row)`."""
    field = ColumnField(description=description, **options)
    field.may_fail = may_fail
    field.convert = convert
    field.whole_row = True
    field.requires = tuple(need if isinstance(need, str) else need.key for need in requires)
    return field


def attribute(description: str, **options: Any) -> Any:
    """A plain attribute of a parent that is not a row (payloads, pages)."""
    return strawberry.field(description=description, **options)


def batch(
    function: BatchFunction,
    description: str,
    *,
    requires: Sequence[Any] = (),
    relation: str | None = None,
    objects: bool = False,
    noted: bool = False,
    arguments: Arguments | None = None,
    may_fail: bool | None = None,
    deprecation_reason: str | None = None,
    kind: type[BatchField] = BatchField,
) -> Any:
    """A field resolved by a batch function; its arguments are those after the first two.

    `may_fail`: see `_Field`; without it, a field may fail if its `arguments` are declared.
    `objects`: whether it does no more than read objects by keys of the parents. `noted`: see
    `BatchField`.
    """
    field = kind(description=description, deprecation_reason=deprecation_reason)
    field.may_fail = arguments is not None if may_fail is None else may_fail
    field.function = function
    field.relation = relation
    field.objects = objects or relation is not None
    field.noted = noted
    field.requires = tuple(need if isinstance(need, str) else need.key for need in requires)
    field.declared = arguments
    return field


def root(
    function: Callable[..., Awaitable[Any]],
    description: str,
    *,
    arguments: Sequence[StrawberryArgument] | None = None,
    deprecation_reason: str | None = None,
) -> Any:
    """A root field: `function(info, **arguments)` returns the one value."""

    async def once(_: Sequence[Any], info: BatchInfo, **values: Any) -> Sequence[Any]:
        return [await function(info, **values)]

    # If the arguments are read from a signature, it is the wrapped function's.
    once.__wrapped_root__ = function  # type: ignore[attr-defined]
    return batch(
        once,
        description,
        arguments=arguments,
        may_fail=True,
        deprecation_reason=deprecation_reason,
    )


@dataclass(frozen=True, slots=True)
class arg:  # noqa: N801 - reads as a word inside Annotated
    """`Annotated[str, arg("what it is")]`: an argument's description, and another name."""

    description: str
    name: str | None = None


def arguments_of(function: Callable[..., Any]) -> list[StrawberryArgument]:
    """A function's GraphQL arguments: every parameter after `parents` and `info`.

    A default of None means that the argument may be omitted; the schema then shows no default.
    """
    target = getattr(function, "__wrapped_root__", function)
    skip = 1 if target is not function else 2
    hints = get_type_hints(target, include_extras=True)
    made = []
    for name, parameter in list(inspect.signature(target).parameters.items())[skip:]:
        annotation = hints[name]
        note = None
        if get_origin(annotation) is Annotated:
            annotation, *extras = get_args(annotation)
            note = next((extra for extra in extras if isinstance(extra, arg)), None)
        if note is None:
            raise TypeError(f"argument {name!r} of {target.__qualname__} has no description")
        made.append(
            argument(name, annotation, note.description, name=note.name, default=parameter.default)
        )
    return made


def argument(
    python_name: str,
    annotation: Any,
    description: str,
    *,
    name: str | None = None,
    default: Any = None,
) -> StrawberryArgument:
    """One argument. `default`: None if it may be omitted; `inspect.Parameter.empty` if required."""
    shown: Any = inspect.Parameter.empty
    if default is None:
        shown = strawberry.UNSET
    elif default is not inspect.Parameter.empty:
        shown = default
    return StrawberryArgument(
        python_name=python_name,
        graphql_name=name,
        type_annotation=StrawberryAnnotation(annotation),
        description=description,
        default=shown,
    )
