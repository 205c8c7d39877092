"""A repeat of a mutation does nothing, and is answered as the first time."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest
import pytest_asyncio

from tests.accounts import Person
from tests.factories import ENGINES, Engine, Reply, World, gid

CREATE = """
mutation ($input: TaskCreateInput!) {
  taskCreate(input: $input) { task { id title } replayed errors { code path message } }
}
"""


@pytest_asyncio.fixture(scope="module")
async def person(world: World) -> Person:
    return await world.person()


async def create(world: World, person: Person, **fields: Any) -> Any:
    return (await world.run(CREATE, person, input=fields)).data["taskCreate"]


@pytest.mark.parametrize("engine", ENGINES)
async def test_ten_at_once_make_one_object(world: World, engine: Engine) -> None:
    person = await world.person()
    given = {"title": "once", "idempotencyKey": "the key"}
    replies: list[Reply] = await asyncio.gather(
        *(world.run(CREATE, person, engine=engine, input=given) for _ in range(10))
    )
    payloads = [reply.good["taskCreate"] for reply in replies]
    assert len({payload["task"]["id"] for payload in payloads}) == 1
    assert sorted(payload["replayed"] for payload in payloads) == [False] + [True] * 9
    listed = await world.run("{ tasks { totalCount } }", person)
    assert listed.good["tasks"]["totalCount"] == 1


async def test_another_input_under_the_same_key_is_refused(world: World, person: Person) -> None:
    await create(world, person, title="one", idempotencyKey="mismatch")
    payload = await create(world, person, title="two", idempotencyKey="mismatch")
    assert payload["task"] is None
    (error,) = payload["errors"]
    assert error["code"] == "IDEMPOTENCY_MISMATCH"
    assert error["path"] == ["input", "idempotencyKey"]
    # Left out and null are two inputs.
    payload = await create(world, person, title="one", notes="x", idempotencyKey="mismatch")
    assert payload["errors"][0]["code"] == "IDEMPOTENCY_MISMATCH"


async def test_a_repeat_shows_the_object_as_it_is_now(world: World, person: Person) -> None:
    first = await create(world, person, title="first", idempotencyKey="now")
    await world.run(
        """mutation ($id: ID!) {
          taskUpdate(input: { id: $id, title: "changed" }) { errors { code } }
        }""",
        person,
        id=first["task"]["id"],
    )
    again = await create(world, person, title="first", idempotencyKey="now")
    assert again["replayed"]
    assert again["task"] == {"id": first["task"]["id"], "title": "changed"}


async def test_what_failed_may_be_mended_under_its_key(world: World, person: Person) -> None:
    failed = await create(world, person, title="", idempotencyKey="mend")
    assert failed["errors"][0]["path"] == ["input", "title"]
    mended = await create(world, person, title="mended", idempotencyKey="mend")
    assert mended["errors"] == []
    assert not mended["replayed"]


async def test_a_key_is_free_again_after_a_day(world: World, person: Person) -> None:
    now = dt.datetime.now(dt.UTC)
    yesterday = now - dt.timedelta(hours=24, seconds=1)
    given = {"title": "yesterday", "idempotencyKey": "daily"}
    first = await world.run(CREATE, person, at=yesterday, input=given)
    later = yesterday + dt.timedelta(hours=23)
    repeated = await world.run(CREATE, person, at=later, input=given)
    assert repeated.good["taskCreate"]["replayed"]
    today = await world.run(CREATE, person, at=now, input=given)
    assert not today.good["taskCreate"]["replayed"]
    ids = [reply.good["taskCreate"]["task"]["id"] for reply in (first, repeated, today)]
    assert ids[0] == ids[1] != ids[2]


async def test_a_repeated_delete_says_what_it_deleted(world: World, person: Person) -> None:
    task = await world.task(person)
    query = """mutation ($input: TaskDeleteInput!) {
      taskDelete(input: $input) { deletedIds replayed errors { code } }
    }"""
    given = {"id": gid(task), "idempotencyKey": "delete"}
    payloads = [(await world.run(query, person, input=given)).good["taskDelete"] for _ in range(2)]
    assert [payload["replayed"] for payload in payloads] == [False, True]
    assert [payload["deletedIds"] for payload in payloads] == [[gid(task)]] * 2


async def test_a_repeat_tells_nothing_that_is_hidden_by_now(world: World) -> None:
    owner, helper = await world.people(2)
    project = await world.project(owner, editors=[helper])
    task = await world.task(owner, project_id=project.id)
    query = """mutation ($input: TaskUpdateInput!) {
      taskUpdate(input: $input) { task { title } replayed errors { code } }
    }"""
    given = {"id": gid(task), "title": "new", "idempotencyKey": "hidden"}
    assert (await world.run(query, helper, input=given)).good["taskUpdate"]["task"] is not None
    members = await world.run(
        """query ($id: ID!) {
          project(id: $id) { members(filter: { role: { eq: EDITOR } }) { nodes { id } } }
        }""",
        owner,
        id=gid(project),
    )
    (member,) = members.good["project"]["members"]["nodes"]
    await world.run(
        "mutation ($id: ID!) { projectMemberRemove(input: { id: $id }) { errors { code } } }",
        owner,
        id=member["id"],
    )
    payload = (await world.run(query, helper, input=given)).good["taskUpdate"]
    assert payload == {"task": None, "replayed": True, "errors": []}


@pytest.mark.parametrize("key", ["", "x" * 256, "a\x00b"])
async def test_keys_that_are_none(world: World, person: Person, key: str) -> None:
    payload = await create(world, person, title="x", idempotencyKey=key)
    (error,) = payload["errors"]
    assert (error["code"], error["path"]) == ("BAD_USER_INPUT", ["input", "idempotencyKey"])


async def test_a_null_key_is_no_key(world: World, person: Person) -> None:
    for _ in range(2):
        payload = await create(world, person, title="x", idempotencyKey=None)
        assert not payload["replayed"]
