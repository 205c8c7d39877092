"""Whether an operation answers all viewers alike, apart from what few values say of the viewer.

A field is the same for everyone if it is a column, or an expression that has no parameter of the
viewer, or if it leads to objects that are read by key. Then viewers who can see the same of these
objects have the same answer. Expressions with the viewer (`viewerCanEdit`, `identifier`) may be
selected of such objects too: then it is the same for those who also have the same values. And so
may a field that notes what it read for the viewer (`BatchField.noted`), such as `Event.changes`.

What is compared: `views` reads it for many viewers in one statement.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, Final
from uuid import UUID

from graphql import GraphQLNamedType, GraphQLObjectType, SelectionSetNode, get_named_type
from sqlalchemy import (
    ARRAY,
    BindParameter,
    Uuid,
    any_,
    bindparam,
    column,
    func,
    literal_column,
    select,
)
from sqlalchemy import inspect as inspect_model
from sqlalchemy.orm import aliased
from sqlalchemy.sql.visitors import iterate

from auth import access
from auth.viewer import VIEWER_PARAMS, Viewer, ViewerColumn, ViewerShape, placeholder_viewer
from db.base import Base
from db.read import Fetching
from db.statements import Statement
from graph.core.context import InTrash
from graph.core.fields import BatchField, ColumnField
from graph.core.node import EXPRESSIONS, model_of
from graph.core.selection import (
    DEFINITION,
    SAME_ROWS,
    SelectionIndex,
    concrete_types,
    fields_of,
    required_columns,
)

# Signed in with a session; neither an administrator nor an API key.
ORDINARY: Final[ViewerShape] = (True, False, False, False)
_TYPENAME: Final = "__typename"

# Of each model, the selected expressions whose values depend on the viewer.
Labels = Mapping[Any, tuple[str, ...]]
# Written as text, as in `events.log`.
_PERSON: Final[Any] = ViewerColumn(literal_column("person.id", Uuid()))


@dataclass(slots=True)
class _Search:
    """A walk through an operation's selections."""

    selection_index: SelectionIndex
    labels: dict[type[Base], set[str]] = field(default_factory=dict)

    def alike(
        self, type_: GraphQLNamedType, sets: list[SelectionSetNode], *, by_key: bool, plain: bool
    ) -> bool:
        """Whether what is selected of this type is the same for all who see the same. `by_key`: its
        objects are read by key. `plain`: they are no rows, but values of a row.
        """
        return all(
            self._alike_in(object_type, sets, by_key, plain)
            for object_type in concrete_types(self.selection_index.schema, type_)
        )

    def _alike_in(
        self, type_: GraphQLObjectType, sets: list[SelectionSetNode], by_key: bool, plain: bool
    ) -> bool:
        model = model_of(SAME_ROWS.get(type_.name, type_.name))
        if model is None and not plain:
            return False
        for node in fields_of(self.selection_index, type_, sets):
            if node.name.value == _TYPENAME:
                continue
            field_ = type_.fields.get(node.name.value)
            definition = None if field_ is None else field_.extensions.get(DEFINITION)
            below_by_key = below_plain = False
            if isinstance(definition, ColumnField):
                for label in required_columns(field_):
                    if model is None or not self._may_select(model, label, by_key):
                        return False
            elif isinstance(definition, BatchField):
                below_by_key, below_plain = definition.objects, definition.noted
                if not (below_by_key or below_plain):
                    return False
            else:
                return False
            assert field_ is not None
            below = [node.selection_set] if node.selection_set else []
            if below and not self.alike(
                get_named_type(field_.type), below, by_key=below_by_key, plain=below_plain
            ):
                return False
        return True

    def _may_select(self, model: type[Base], label: str, by_key: bool) -> bool:
        if _is_alike(model, label):
            return True
        if not (by_key and _is_comparable(model, label)):
            return False
        self.labels.setdefault(model, set()).add(label)
        return True


def compared_labels(selection_index: SelectionIndex) -> Labels | None:
    """What has to be the same for two viewers, besides the objects that they see, so that they have
    the same answer; None if their answers can differ in more. Kept with the operation.
    """
    if compared_labels not in selection_index.statements:
        root = selection_index.schema.get_root_type(selection_index.operation.operation)
        assert root is not None
        search = _Search(selection_index)
        found: Labels | None = None
        nodes = fields_of(selection_index, root, [selection_index.operation.selection_set])
        fields = [(node, root.fields.get(node.name.value)) for node in nodes]
        if all(
            field_ is not None
            and search.alike(
                get_named_type(field_.type),
                [node.selection_set] if node.selection_set else [],
                by_key=False,
                plain=False,
            )
            for node, field_ in fields
        ):
            found = {model: tuple(sorted(labels)) for model, labels in search.labels.items()}
        selection_index.statements[compared_labels] = found
    labels: Labels | None = selection_index.statements[compared_labels]
    return labels


@cache
def _is_alike(model: type[Base], label: str) -> bool:
    if label in inspect_model(model).columns:
        return True
    expression = EXPRESSIONS.get((model, label))
    return expression is not None and not _asks_viewer(expression(_somebody(), model))


@cache
def _is_comparable(model: type[Base], label: str) -> bool:
    """Whether the expression can be read for many viewers at once."""
    expression = EXPRESSIONS.get((model, label))
    if expression is None:
        return False
    try:
        return not _asks_viewer(expression(_PERSON, model))
    except AttributeError:
        # It needs more of the viewer than the ID.
        return False


@cache
def _readable_by_all_alike(model: type[Base], trashed: bool | None) -> bool:
    """Whether every ordinary viewer can read the same rows of a model."""
    return not _asks_viewer(access.read(_somebody(), model, trashed=trashed))


def _somebody() -> Viewer:
    return placeholder_viewer(ORDINARY)


def _asks_viewer(expression: Any) -> bool:
    return any(
        isinstance(part, BindParameter) and part.key in VIEWER_PARAMS
        for part in iterate(expression)
    )


async def who_see_the_same(
    reader: Fetching,
    kind: type[Base] | InTrash,
    rows: Mapping[UUID, Any],
    labels: Labels,
    users: Collection[UUID],
) -> set[UUID]:
    """Those of the users who can see exactly the rows that are not None, with the same values."""
    model, trashed = kind if isinstance(kind, InTrash) else (kind, False)
    compared = () if isinstance(kind, InTrash) else labels.get(model, ())
    if not users or not rows or (not compared and _readable_by_all_alike(model, trashed)):
        return set(users)
    expected = {
        key: None if row is None else tuple(getattr(row, label) for label in compared)
        for key, row in rows.items()
    }
    found = await reader.fetch(
        _views(model, compared, trashed), {"things": [*expected], "viewers": [*users]}
    )
    views: dict[UUID, dict[UUID, tuple[Any, ...]]] = defaultdict(dict)
    for thing, user, *values in found:
        views[user][thing] = tuple(values)
    visible = {key: values for key, values in expected.items() if values is not None}
    return {user for user in users if views[user] == visible}


@lru_cache(maxsize=200)
def _views(model: type[Base], labels: tuple[str, ...], trashed: bool | None) -> Statement:
    """Each row with each viewer who can see it, and with values for the viewer."""
    row: Any = aliased(model, name="watched")
    things, viewers = (bindparam(name, None, ARRAY(Uuid())) for name in ("things", "viewers"))
    people = func.unnest(viewers).table_valued(column("id", Uuid())).render_derived(name="person")
    values = [EXPRESSIONS[model, label](_PERSON, row).label(label) for label in labels]
    return Statement(
        select(row.id, people.c.id.label("viewer_id"), *values)
        .select_from(people.join(row, row.id == any_(things)))
        .where(access.read(_PERSON, row, trashed=trashed))
    )
