"""The answer to a request, whether it was executed or refused; the same for all transports.

HTTP statuses, messages of sockets and frames of event streams are made from it elsewhere (`web`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from auth.limits import Budget
from graph.core.context import Context
from graph.core.executed import Data
from graph.request.documents import InvalidDocument
from graph.request.error_format import first_code, format_errors


@dataclass(slots=True)
class Answer:
    """A response. `executed` distinguishes a request that ran, whatever its result, from a refused
    one.

    A refused request has no `data` at all; an executed one has it even if it is null.
    """

    data: Data | None = None
    errors: Sequence[dict[str, Any]] = ()
    extensions: dict[str, Any] = field(default_factory=dict)
    executed: bool = True
    # `data` as JSON, if it is already known.
    raw_data: bytes | None = None
    # The remaining budget, for headers.
    budget: Budget | None = None
    # The engine that executed it, to find operations that fall back to the standard one.
    engine: str | None = None

    @property
    def values(self) -> dict[str, Any] | None:
        """`data` of an operation that was not serialized (`Executor.deliver`)."""
        assert not isinstance(self.data, orjson.Fragment)
        return self.data

    @property
    def code(self) -> str | None:
        """The code of the first error."""
        return first_code(self.errors)

    def payload(self) -> dict[str, Any]:
        """The response object, for orjson to write."""
        made: dict[str, Any] = {}
        if self.errors:
            made["errors"] = self.errors
        if self.executed:
            made["data"] = self.data if self.raw_data is None else orjson.Fragment(self.raw_data)
        if self.extensions:
            made["extensions"] = self.extensions
        return made

    def body(self) -> bytes:
        """The response object as JSON."""
        return orjson.dumps(self.payload())


class Refused(Exception):  # noqa: N818 - what became of the request
    """The request was not executed; `answer` says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.code)
        self.answer = answer


def refusal(error: Exception, request_id: str) -> Answer:
    """The answer for a request that failed before execution, for whatever reason."""
    if isinstance(error, Refused):
        return error.answer
    if isinstance(error, InvalidDocument):
        errors = format_errors(error.errors, request_id, code=error.code)
    else:
        errors = format_errors([error], request_id)
    return Answer(errors=errors, extensions={"requestId": request_id}, executed=False)


def own_extensions(context: Context) -> dict[str, Any]:
    """The response's `extensions`: the request's id, and what resolvers put into the context."""
    return {"requestId": context.request.id, **context.extensions}
