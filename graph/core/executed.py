"""What executing an operation gives, whichever engine does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import orjson
from graphql import GraphQLError

# The answer's `data`. A fragment is JSON that PostgreSQL wrote; a dict may hold fragments, too.
# Only orjson looks into them.
Data = dict[str, Any] | orjson.Fragment

Engine = Literal["batch", "standard"]


@dataclass(slots=True)
class Executed:
    """A result, and which engine made it."""

    data: Data | None
    errors: list[GraphQLError] | None
    engine: Engine
