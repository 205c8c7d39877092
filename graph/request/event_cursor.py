"""The cursor of the present, taken before an operation reads anything else.

See `graph.types.events.event` for why it must be the first.
"""

from __future__ import annotations

from typing import Final

from graphql import OperationType

from graph.core.context import Context
from graph.core.selection import fields_of

_FIELD: Final = "eventCursor"


async def take_event_cursor(context: Context) -> None:
    """Take `eventCursor` if the operation asks for it; to be called before anything is read."""
    selection_index = context.selection_index
    if selection_index is None or selection_index.operation.operation is not OperationType.QUERY:
        return
    requested = selection_index.statements.get(_FIELD)
    if requested is None:
        query = selection_index.schema.query_type
        assert query is not None
        nodes = fields_of(selection_index, query, [selection_index.operation.selection_set])
        requested = any(node.name.value == _FIELD for node in nodes)
        selection_index.statements[_FIELD] = requested
    if requested and context.viewer.signed_in:
        context.event_cursor = str((await context.services.live.log.head()).cursor)
