"""Whatever a stranger may send, by schemathesis: nothing ends in a fault.

Each root field of the schema gets operations with arguments of every form, half of whose ids are
of things that there are; each other route gets whatever `routes.yaml` allows, and what it does not.
The server is a process of its own, on the database of the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.graphql import nodes
from schemathesis.pytest.lazy import get_all_tests
from schemathesis.specs.openapi.checks import (
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import update

from db import models
from settings import Settings
from tests.access.fixtures import AccessRole, Cast
from tests.accounts import PASSWORD
from tests.factories import World
from tests.servers import process

ROOT = Path(__file__).resolve().parents[2]
Case = schemathesis.Case[Any]
Test = Callable[..., None]
FAULTS = {"INTERNAL_SERVER_ERROR", "TIMEOUT", "UNAVAILABLE"}

# Filled when there is a stage; whatever is drawn is a place in it.
known_ids: list[str] = []


def _known(place: int) -> Any:
    return nodes.String(known_ids[place % len(known_ids)])


_texts = st.text(max_size=60).map(nodes.String)
_wholes = st.integers(-(2**54), 2**54).map(nodes.Int)
_urls = st.text(max_size=20).map(lambda text: nodes.String(f"https://example.com/{text}"))
_moments = st.datetimes().map(lambda moment: nodes.String(f"{moment.isoformat()}Z"))
for name, strategy in {
    "ID": st.one_of(st.integers(0, 10_000).map(_known), _texts),
    "DateTime": st.one_of(_moments, _texts),
    "Date": st.one_of(st.dates().map(lambda day: nodes.String(day.isoformat())), _texts),
    "Duration": st.one_of(st.sampled_from(["P7D", "-PT1H"]).map(nodes.String), _texts),
    "LocalTime": st.one_of(
        st.times().map(lambda time: nodes.String(time.isoformat("minutes"))), _texts
    ),
    "TimeZone": st.one_of(st.sampled_from(["Europe/Zurich", "UTC"]).map(nodes.String), _texts),
    "Color": st.one_of(st.just(nodes.String("#0a84ff")), _texts),
    "URL": st.one_of(_urls, _texts),
    "Seconds": _wholes,
    "Milliseconds": _wholes,
    **dict.fromkeys(("HTML", "JSON", "Markdown"), _texts),
    # Files come by another way; here it is somebody who does not know that.
    "Upload": _texts,
}.items():
    schemathesis.graphql.scalar(name, strategy)


class Server:
    """Where it is, and somebody's credentials, which they may throw away any time."""

    def __init__(self, url: str, username: str) -> None:
        self.url = url
        self._form = {"grant_type": "password", "username": username, "password": PASSWORD}
        self._header: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The credentials of the next request."""
        if self._header is None:
            response = httpx.post(f"{self.url}/auth/token", data=self._form)
            self._header = f"Bearer {response.json()['access_token']}"
        return {"Authorization": self._header}

    def signed_out(self) -> None:
        """They did; sign in again."""
        self._header = None


@pytest.fixture(scope="module")
async def owner(world: World) -> str:
    """An administrator who owns one of everything; their name."""
    cast = await Cast.gather(world)
    fixtures, person = await cast.fixtures(), cast.people[AccessRole.OWNER]
    known_ids[:] = sorted(text for text in fixtures.ids.values() if "_" in text)
    async with world.database.session() as session, session.begin():
        users = update(models.User).where(models.User.id == person.id)
        await session.execute(users.values(is_admin=True))
    return person.username


@pytest.fixture(scope="module")
def server(settings: Settings, owner: str) -> Iterator[Server]:
    with process(settings, TASKLOOM_BCRYPT_ROUNDS="4") as (url, _):
        yield Server(url, owner)


def each(
    schema: Any, test: Test, server: Server, subtests: pytest.Subtests, *, examples: int
) -> None:
    """So many for each field or route of a schema; the same ones each time, save at night.

    The library's own way is to make a test of each when the file is collected, which takes seconds
    and happens in each process of a run.
    """
    many = hypothesis_settings(
        max_examples=examples,
        deadline=None,
        derandomize=examples < 20,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    count = 0
    for result in get_all_tests(schema=schema, test_func=test, settings=many, given_kwargs={}):
        assert isinstance(result, Ok), result
        operation, run = result.ok()
        with subtests.test(operation.label):
            run(server=server)
        count += 1
    assert count > 20


def ask(case: Case, server: Server) -> None:
    response = case.call(base_url=f"{server.url}/graphql", headers=server.headers)
    assert response.status_code < 500, response.text
    errors = response.json().get("errors") or []
    codes = {error["extensions"]["code"] for error in errors}
    assert not codes & FAULTS, response.text
    if "UNAUTHENTICATED" in codes:
        server.signed_out()


def fetch(case: Case, server: Server) -> None:
    response = case.call(base_url=server.url)
    case.validate_response(
        response,
        checks=[not_a_server_error, status_code_conformance, response_schema_conformance],
    )


def graphql() -> Any:
    """All operations of the schema."""
    return schemathesis.graphql.from_path(ROOT / "schema.graphql")


def routes() -> Any:
    """All other routes."""
    return schemathesis.openapi.from_path(Path(__file__).with_name("routes.yaml"))


def test_operations(server: Server, subtests: pytest.Subtests) -> None:
    each(graphql(), ask, server, subtests, examples=3)


@pytest.mark.nightly
def test_operations_all_night(server: Server, subtests: pytest.Subtests) -> None:
    each(graphql(), ask, server, subtests, examples=100)


def test_routes(server: Server, subtests: pytest.Subtests) -> None:
    each(routes(), fetch, server, subtests, examples=10)


@pytest.mark.nightly
def test_routes_all_night(server: Server, subtests: pytest.Subtests) -> None:
    each(routes(), fetch, server, subtests, examples=500)
