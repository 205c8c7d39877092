"""The API without a transport: operations in, `data` and `errors` out, as a chosen user."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import partial
from typing import Any

from auth.request import RequestInfo
from auth.viewer import NOBODY, Credentials
from events.bus import LocalBus
from files.service import Files
from graph.core.context import Services
from graph.engine.executor import execute
from graph.request.execution import Executor
from graph.request.preparation import GraphQLRequest
from graph.schema import schema
from tests.accounts import House, Person
from tests.graph.engine.differential import read


@dataclass(slots=True)
class Reply:
    """The answer to an operation."""

    data: Any
    errors: list[dict[str, Any]]

    @property
    def codes(self) -> list[str]:
        """The codes of top-level errors."""
        return [error["extensions"]["code"] for error in self.errors]

    def of(self, field: str) -> Any:
        """A root field of an answer that must have no top-level errors."""
        assert self.errors == []
        return self.data[field]

    def failures(self, field: str) -> list[tuple[str, str]]:
        """Code and path of each error in a mutation's payload."""
        return [(error["code"], ".".join(error["path"])) for error in self.of(field)["errors"]]


class Api:
    """One process, with either engine. `renewed`: what the latest operation left to a socket."""

    def __init__(self, house: House, *, engine: str = "batch") -> None:
        self.house = house
        self.services = Services(
            settings=house.settings,
            database=house.database,
            authenticator=house.auth,
            bus=LocalBus(),
            files=Files(house.settings),
            live=None,  # type: ignore[arg-type]  # no subscription is opened here
            presence=None,  # type: ignore[arg-type]  # as above
            clock=house.clock,
        )
        self.executor = Executor(schema, engine=partial(execute, standard=engine == "standard"))
        self.renewed: Credentials | None = None

    async def __call__(
        self, query: str, who: Person | str | None = None, ip: str = "203.0.113.9", **variables: Any
    ) -> Reply:
        """Run an operation as a user, with an access token, or without credentials."""
        token = who.grant.access_token if isinstance(who, Person) else who
        viewer = NOBODY if token is None else await self.house.auth.viewer(f"Bearer {token}")
        request = RequestInfo(id=secrets.token_hex(8), ip=ip, user_agent="tests/1")
        context = self.services.context(viewer, request)
        prepared = await self.executor.prepare(
            GraphQLRequest(query=query, variables=variables), request_id=request.id
        )
        answer = await self.executor.execute(prepared, context)
        self.renewed = context.renewed
        return Reply(read(answer.data), list(answer.errors))
