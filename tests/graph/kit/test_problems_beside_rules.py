"""A problem that only shows in combination is reported together with fields that break a rule.

`test_all_problems` breaks the rule of every single field. Here a first field breaks its rule, and
another one is good by itself: it contradicts a third, or is already in use, or is not the truth.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.accounts import Person
from tests.factories import World

BACKWARDS = {"range": {"startedAt": "2026-03-02T10:00:00Z", "endedAt": "2026-03-02T09:00:00Z"}}
TOO_LONG = {"start": {"startedAt": "2026-03-02T10:00:00Z", "duration": 90_000}}
FUTURE = {"day": {"day": "2199-01-01", "duration": 60}}
LONG = "x" * 501


async def problems(world: World, who: Person, mutation: str, **values: Any) -> list[list[str]]:
    """The paths of a mutation's errors, without `input`."""
    type_ = f"{mutation[0].upper()}{mutation[1:]}Input"
    text = f"mutation ($i: {type_}!) {{ it: {mutation}(input: $i) {{ errors {{ path }} }} }}"
    reply = await world.post(text, who, i=values)
    assert not reply.errors, reply.errors
    return [error["path"][1:] for error in reply.data["it"]["errors"]]


async def created(world: World, who: Person, mutation: str, **values: Any) -> str:
    """The ID of what a mutation creates."""
    noun, type_ = mutation.removesuffix("Create"), f"{mutation[0].upper()}{mutation[1:]}Input"
    text = f"mutation ($i: {type_}!) {{ it: {mutation}(input: $i) {{ {noun} {{ id }} }} }}"
    reply = await world.post(text, who, i=values)
    id_: str = reply.data["it"][noun]["id"]
    return id_


async def entry_of(world: World, who: Person) -> str:
    return await created(
        world, who, "timeEntryCreate", time={"day": {"day": "2026-03-01", "duration": 60}}
    )


@pytest.mark.parametrize(
    ("time", "place"),
    [
        (BACKWARDS, ["time", "range", "endedAt"]),
        (TOO_LONG, ["allowOver24Hours"]),
        (FUTURE, ["time", "day", "day"]),
    ],
)
async def test_a_time_that_contradicts_itself(
    world: World, time: dict[str, Any], place: list[str]
) -> None:
    ada = await world.person()
    entry = await entry_of(world, ada)
    found = await problems(
        world, ada, "timeEntryUpdate", id=entry, projectId="NOPE", description=LONG, time=time
    )
    assert sorted(found) == sorted([["projectId"], ["description"], place])
    assert await problems(world, ada, "timeEntryCreate", description=LONG, time=time) == [
        ["description"],
        place,
    ]
    items = [{"id": entry, "description": LONG, "time": time}]
    assert sorted(await problems(world, ada, "timeEntryBulkUpdate", items=items)) == sorted(
        [["items", "0", "description"], ["items", "0", *place]]
    )


async def test_a_filter_that_names_no_object(world: World) -> None:
    ada = await world.person()
    bad: dict[str, Any] = {
        "url": "https://10.0.0.1/",
        "name": "",
        "payload": "{ nothing }",
        "filter": {"project": {"id": {"eq": "WEB"}}},
    }
    places = [["url"], ["name"], ["filter", "project", "id", "eq"], ["payload"]]
    assert await problems(world, ada, "webhookCreate", **bad) == places
    webhook = await created(world, ada, "webhookCreate", url="https://example.com/hook")
    assert await problems(world, ada, "webhookUpdate", id=webhook, **bad) == places


async def test_a_key_that_is_in_use(world: World) -> None:
    ada = await world.person()
    await created(world, ada, "projectCreate", name="Taken", key="TAKEN9")
    project = await created(world, ada, "projectCreate", name="Another")
    both = [["name"], ["key"]]
    assert await problems(world, ada, "projectCreate", name="", key="TAKEN9") == both
    assert await problems(world, ada, "projectUpdate", id=project, name="", key="TAKEN9") == both


async def test_a_password_that_is_not_the_current_one(world: World) -> None:
    ada = await world.person()
    wrong = {"currentPassword": "not their Password 5", "newPassword": "short"}
    both = [["currentPassword"], ["newPassword"]]
    assert await problems(world, ada, "passwordChange", **wrong) == both


async def test_preferences_that_are_null(world: World) -> None:
    ada = await world.person()
    found = await problems(
        world,
        ada,
        "notificationPreferencesUpdate",
        isEmailEnabled=None,
        mentioned=None,
        taskCompleted={"email": None, "push": True},
    )
    assert sorted(found) == [["isEmailEnabled"], ["mentioned"], ["taskCompleted", "email"]]
