"""The result of executing an operation, the same for both engines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import orjson
from graphql import GraphQLError

# A fragment is JSON that PostgreSQL made; a dict may contain fragments. Only orjson can read them.
Data = dict[str, Any] | orjson.Fragment

Engine = Literal["batch", "standard"]


@dataclass(slots=True)
class Executed:
    """A result, and the engine that made it."""

    data: Data | None
    errors: list[GraphQLError] | None
    engine: Engine
