"""The documents of this folder, how they are sent, and the functions that run them.

A document says in its first lines what it is for and what it has to answer; the function that
`runs` it says so exactly.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from db import models
from tests.accounts import Person
from tests.factories import Reply, World, new_key

HERE = Path(__file__).parent
DOCUMENTS = {path.stem: path.read_text() for path in sorted(HERE.glob("*.graphql"))}
UTC = dt.UTC
DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)

Run = Callable[[World], Awaitable[None]]
RUNS: dict[str, Run] = {}


def runs(name: str) -> Callable[[Run], Run]:
    """Declare a function to be the run of a document."""

    def declare(run: Run) -> Run:
        assert name not in RUNS
        RUNS[name] = run
        return run

    return declare


async def ask(
    world: World,
    name: str,
    who: Person | str | None,
    /,
    operation: str | None = None,
    **variables: Any,
) -> Reply:
    """Send a document over HTTP, as a person, with a credential or as nobody."""
    header = who.header if isinstance(who, Person) else who
    response = await world.http.post(
        "/graphql",
        json={"query": DOCUMENTS[name], "operationName": operation, "variables": variables},
        headers={"Authorization": header} if header else {},
    )
    return Reply.of(response.content, response.status_code)


async def do(world: World, who: Person, mutation: str, fields: str, /, **given: Any) -> Any:
    """Run a mutation that is not what the test is about; what its payload holds."""
    type_ = mutation[0].upper() + mutation[1:] + "Input"
    selection = f"{fields} errors {{ code path message }}"
    text = f"mutation ($input: {type_}!) {{ {mutation}(input: $input) {{ {selection} }} }}"
    return (await world.post(text, who, input=given)).good[mutation]


def iso(moment: dt.datetime) -> str:
    """As the API writes moments of whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def now() -> dt.datetime:
    """This moment, without a fraction."""
    return dt.datetime.now(UTC).replace(microsecond=0)


async def people(world: World) -> tuple[Person, Person]:
    return await world.person(full_name="Ada Lovelace"), await world.person(
        full_name="Jun Takahashi"
    )


async def team(world: World, **values: Any) -> tuple[Person, Person, models.Project, str]:
    """Ada owns a project in which Jun is an editor; the project's key comes with it."""
    ada, jun = await people(world)
    key = new_key()
    return ada, jun, await world.project(ada, editors=[jun], key=key, **values), key


async def api_key(world: World, who: Person, name: str, scopes: list[str], **given: Any) -> Any:
    """A key of that person's: `apiKey { id }` and its `secret`."""
    fields = "secret apiKey { id }"
    return await do(world, who, "apiKeyCreate", fields, name=name, scopes=scopes, **given)
