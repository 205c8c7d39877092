from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from sqlalchemy import select

from auth.viewer import NOBODY, Viewer
from db.models import IdempotencyKey
from domain import idempotency
from domain.work import Work
from errors import BadInput, ErrorCode, Failure
from tests.accounts import House

SECRET = b"of the server"
HASH = idempotency.hash_input("task_create", {"title": "x"}, [SECRET])
OTHER = idempotency.hash_input("task_create", {"title": "y"}, [SECRET])


async def attempt(
    work: Work, key: str, hashes: list[bytes] = HASH, mutation: str = "task_create"
) -> dict[str, Any] | None:
    earlier = await idempotency.claim(work, key, mutation, hashes)
    if earlier is None:
        await idempotency.remember(work, key, {"task": work.now.isoformat()})
    return earlier


async def test_a_key_is_valid_for_a_day(house: House) -> None:
    person = await house.person()
    first = await house.do(person.viewer, attempt, "k")
    assert first is None
    made_at = house.clock.now.isoformat()
    house.clock.forward(hours=23, minutes=59)
    assert await house.do(person.viewer, attempt, "k") == {"task": made_at}
    house.clock.forward(minutes=1)
    # The key is free again, for any input.
    assert await house.do(person.viewer, attempt, "k", OTHER) is None
    assert await house.do(person.viewer, attempt, "k", OTHER) is not None


async def test_another_input_or_mutation_with_the_same_key_is_refused(house: House) -> None:
    person = await house.person()
    await house.do(person.viewer, attempt, "k")
    for input_hash, mutation in ((OTHER, "task_create"), (HASH, "task_update")):
        with pytest.raises(Failure) as raised:
            await house.do(person.viewer, attempt, "k", input_hash, mutation)
        assert raised.value.code is ErrorCode.IDEMPOTENCY_MISMATCH


async def test_keys_are_separate_for_each_user(house: House) -> None:
    one, other = await house.person(), await house.person()
    for viewer in (one.viewer, other.viewer):
        assert await house.do(viewer, attempt, "shared") is None
    # Clients that are not signed in are distinguished by their address.
    assert await house.do(NOBODY, attempt, f"of nobody {one.id}") is None
    assert await house.do(NOBODY, attempt, f"of nobody {one.id}") is not None


async def test_a_failure_stores_no_key(house: House) -> None:
    person = await house.person()

    async def fail(work: Work) -> None:
        await idempotency.claim(work, "k", "task_create", HASH)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await house.do(person.viewer, fail)
    assert await house.do(person.viewer, attempt, "k", OTHER) is None


@pytest.mark.parametrize("key", ["", "x" * 256, "a\0b"])
async def test_invalid_keys_are_refused(house: House, key: str) -> None:
    with pytest.raises(BadInput):
        await house.do(Viewer(user_id=(await house.person()).id), attempt, key)


async def test_old_keys_are_deleted(house: House) -> None:
    person = await house.person()
    await house.do(person.viewer, attempt, "old")
    house.clock.forward(hours=24)
    await house.do(person.viewer, attempt, "new")
    assert await house.do(NOBODY, idempotency.prune) >= 1
    async with house.work() as work:
        scope = idempotency.scope_of(dataclasses.replace(work, viewer=person.viewer))
        keys = await work.session.scalars(
            select(IdempotencyKey.key).where(IdempotencyKey.scope == scope)
        )
        assert list(keys) == ["new"]


def test_the_order_of_fields_does_not_matter() -> None:
    one = idempotency.hash_input("m", {"a": 1, "b": [1, 2]}, [SECRET])
    assert one == idempotency.hash_input("m", {"b": [1, 2], "a": 1}, [SECRET])
    assert one != idempotency.hash_input("m", {"b": [2, 1], "a": 1}, [SECRET])
    assert one != idempotency.hash_input("n", {"a": 1, "b": [1, 2]}, [SECRET])
    # Without the server's key, a reader of the table cannot test passwords.
    assert one != idempotency.hash_input("m", {"a": 1, "b": [1, 2]}, [b"another"])
