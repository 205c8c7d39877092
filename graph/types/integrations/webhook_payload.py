"""The payload of a webhook: a GraphQL selection on an event, written by the webhook's owner.

`{ kind task { title } }` is short for the subscription
`{ taskEvents { kind task { title } } }`, and
is executed like one delivery of it. The selection is parsed and printed again inside that frame, so
that no text can break out of it. Fragments can follow the selection; variables are not supported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import orjson
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    parse,
    print_ast,
)

from auth.viewer import Viewer
from errors import BadInput, Failure, refuse
from graph.request.document_limits import DocumentLimits, TooLarge, check_document
from graph.request.documents import Documents, InvalidDocument, Operation
from graph.request.scope_table import TYPES
from graph.request.scopes import demand, may, scopes_of

FIELD: Final = "taskEvents"
PATH: Final = ("payload",)

# What the default payload selects of the subject beside its ID, by type. Tasks, projects and users
# have fields of their own.
_SUBJECTS: Final[Mapping[str, str]] = {
    "ProjectMember": "role user { id username fullName }",
    "TaskShare": "permission expiresAt user { id username fullName }",
    "Comment": "body editedAt parent { id }",
    "Attachment": "filename contentType byteSize",
    "TimeEntry": "description startedAt endedAt duration isBillable user { id username }",
    "Reminder": "message task { id number title } project { id key name }",
}
# The scopes for what these select of other resources.
_MORE: Final[Mapping[str, tuple[str, ...]]] = {"Reminder": ("projects:read", "tasks:read")}
_THINGS: Final[Mapping[str, str]] = {
    "Project": "id key name",
    "Task": "id number title status",
}


def _default(readable: Callable[[str], bool]) -> str:
    """The default selection, with only the types for which `readable` is true."""
    covered = "".join(
        f"\n    ... on {name} {{ {fields} }}"
        for name, fields in _SUBJECTS.items()
        if readable(name)
    )
    things = "".join(
        f"\n  {name.lower()} {{ {fields} }}" for name, fields in _THINGS.items() if readable(name)
    )
    return f"""{{
  id
  kind
  at
  cursor
  summary
  requestId
  subjectId
  subject {{
    __typename{covered}
  }}
  actor {{ id username fullName }}{things}
  changes {{
    __typename
    field
    ... on TextChange {{ oldText newText }}
    ... on NumberChange {{ oldNumber newNumber }}
    ... on BooleanChange {{ wasTrue isTrue }}
    ... on DateChange {{ oldDate newDate }}
    ... on DateTimeChange {{ oldTime newTime }}
    ... on NodeChange {{ oldId newId }}
    ... on ListChange {{ added removed }}
    ... on JSONChange {{ oldValue newValue }}
  }}
}}"""


DEFAULT: Final = _default(lambda _: True)


def kept(selection: str | None, viewer: Viewer) -> str | None:
    """The selection to store for `selection`, where None is the default one. An API key that cannot
    read everything in the default stores a reduced default.
    """
    if selection is not None or viewer.scopes is None:
        return selection
    own = _default(lambda name: may(viewer, *TYPES[name], *_MORE.get(name, ())))
    return None if own == DEFAULT else own


@lru_cache(maxsize=1_000)
def document_of(selection: str | None) -> str:
    """The subscription that a selection is shorthand for. Raises `BadInput`."""
    check_document(selection or DEFAULT, DocumentLimits())
    try:
        first, *others = parse(selection or DEFAULT, allow_empty_selection_sets=False).definitions
    except GraphQLError as error:
        raise BadInput(f"payload must be a GraphQL selection: {error.message}", path=PATH) from None
    if (
        not isinstance(first, OperationDefinitionNode)
        or first.operation is not OperationType.QUERY
        or first.name is not None
        or first.variable_definitions
        or first.directives
        or not all(isinstance(other, FragmentDefinitionNode) for other in others)
    ):
        raise BadInput(
            "payload must be a selection on Event, such as { kind task { title } }, "
            "followed only by fragments that it uses.",
            path=PATH,
        )
    field = FieldNode(name=NameNode(value=FIELD), selection_set=first.selection_set)
    framed = OperationDefinitionNode(
        operation=OperationType.SUBSCRIPTION,
        selection_set=SelectionSetNode(selections=(field,)),
    )
    return "\n\n".join(print_ast(node) for node in (framed, *others))


async def check(
    schema: GraphQLSchema, selection: str | None, viewer: Viewer, most_points: int
) -> None:
    """Raise `Failure` unless the selection is valid and within the limits and, for an API key,
    contains only what the key can read: it must not send anything else elsewhere.
    """
    operation = await _valid(schema, selection, most_points)
    demand(viewer, scopes_of(operation.selection_index))


async def check_value(schema: GraphQLSchema, selection: str | None, most_points: int) -> None:
    """Refuse a selection that no webhook could have, along with what else is wrong."""
    try:
        await _valid(schema, selection, most_points)
    except Failure as failure:
        refuse(failure)


async def _valid(schema: GraphQLSchema, selection: str | None, most_points: int) -> Operation:
    try:
        document = await _documents(schema).get(document_of(selection))
    except InvalidDocument as error:
        messages = "; ".join(one.message for one in error.errors[:3])
        raise BadInput(f"payload does not fit the schema: {messages}", path=PATH) from None
    except TooLarge as error:
        raise error.under(*PATH) from None
    operation = document.select(None)
    points = operation.points({})
    if points > most_points:
        raise TooLarge("points", points, most_points).under(*PATH)
    return operation


@lru_cache(maxsize=4)
def _documents(schema: GraphQLSchema) -> Documents:
    return Documents(schema, DocumentLimits(), suggestions=True, max_bytes=2_000_000)


def body_of(data: Any) -> bytes:
    """The request body: the selected event as JSON."""
    return orjson.dumps(data)
