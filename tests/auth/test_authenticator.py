"""Which user a header authenticates, and how soon a revocation takes effect."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import update

from auth.viewer import NOBODY
from db import models
from db.engine import Database
from domain.accounts import session, user
from errors import Unauthenticated
from events.bus import LocalBus
from settings import Settings
from tests.accounts import House


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """Collects the statements sent to the database."""
    heard: list[str] = []
    database.listeners.append(heard.append)
    try:
        yield heard
    finally:
        database.listeners.remove(heard.append)


@pytest.fixture
def elsewhere(house: House) -> Iterator[House]:
    """Another process, which shares only the database and the clock."""
    other = House(house.settings, house.database, house.clock)
    yield other
    other.auth.close()


async def test_without_a_header_nobody_is_signed_in(house: House) -> None:
    assert await house.auth.viewer(None) is NOBODY


async def test_a_token_authenticates_its_user(house: House) -> None:
    person = await house.person()
    viewer = await house.auth.viewer(person.header)
    assert viewer == person.viewer
    assert viewer.expires_at == person.grant.expires_at
    assert not viewer.is_admin


async def test_the_scheme_is_case_insensitive(house: House) -> None:
    person = await house.person()
    token = person.grant.access_token
    assert (await house.auth.viewer(f"bearer  {token}")).user_id == person.id


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YWRhOnB3", "token", "Bearer a b", "Bearer\ta"]
)
async def test_a_malformed_header_is_refused_with_the_expected_form(
    house: House, header: str
) -> None:
    with pytest.raises(Unauthenticated, match="Bearer <access token>"):
        await house.auth.viewer(header)


async def test_a_refresh_token_is_refused_as_an_access_token(house: House) -> None:
    person = await house.person()
    with pytest.raises(Unauthenticated):
        await house.auth.viewer(f"Bearer {person.grant.refresh_token}")


async def test_an_expired_token_is_refused_although_it_is_cached(house: House) -> None:
    person = await house.person()
    await house.auth.viewer(person.header)
    house.clock.forward(seconds=house.settings.auth.access_token_seconds)
    with pytest.raises(Unauthenticated, match="expired"):
        await house.auth.viewer(person.header)


async def test_a_cached_token_needs_no_database_query(house: House) -> None:
    person = await house.person()
    await house.auth.viewer(person.header)
    with statements(house.database) as heard:
        for _ in range(100):
            await house.auth.viewer(person.header)
    assert heard == []


async def test_concurrent_requests_query_the_database_once(house: House) -> None:
    person = await house.person()
    with statements(house.database) as heard:
        viewers = await asyncio.gather(*(house.auth.viewer(person.header) for _ in range(50)))
    assert {viewer.user_id for viewer in viewers} == {person.id}
    assert len(heard) == 1


async def test_what_is_known_of_credentials_ends_with_the_session_and_after_three_seconds(
    house: House,
) -> None:
    person = await house.person()
    credentials = person.viewer.credentials
    assert not house.auth.known_valid(NOBODY.credentials)
    ends: tuple[Callable[[], object], ...] = (
        lambda: house.clock.forward(seconds=4),
        lambda: house.auth.forget(session_id=credentials.session_id),
        lambda: house.auth.forget(user_id=person.id),
    )
    for end in ends:
        assert await house.auth.still_valid(credentials)
        assert house.auth.known_valid(credentials)
        assert not house.auth.known_valid(dataclasses.replace(credentials, user_id=uuid4()))
        end()
        assert not house.auth.known_valid(credentials)
    assert await house.auth.still_valid(credentials)
    assert not house.auth.known_valid(
        dataclasses.replace(credentials, expires_at=house.clock() - dt.timedelta(seconds=1))
    )


async def test_a_read_that_fails_when_all_have_left_is_no_fault(house: House) -> None:
    people = [await house.person() for _ in range(3)]
    loop = asyncio.get_running_loop()
    faults: list[dict[str, Any]] = []
    failed = asyncio.Event()

    def fail(_: str) -> None:
        failed.set()
        raise ConnectionError

    loop.set_exception_handler(lambda _, fault: faults.append(fault))
    house.database.listeners.append(fail)
    try:
        waiting = [asyncio.create_task(house.auth.viewer(person.header)) for person in people]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await failed.wait()
        while house.auth._asking:
            await asyncio.sleep(0)
        # What is left of them is freed, which is when asyncio complains.
        del waiting, task
        await asyncio.sleep(0.05)
        gc.collect()
    finally:
        house.database.listeners.remove(fail)
        loop.set_exception_handler(None)
    assert faults == []


async def test_people_who_come_at_the_same_time_are_read_together(house: House) -> None:
    people = [await house.person() for _ in range(5)]
    gone = await house.person()
    await house.do(gone.viewer, session.revoke, house.auth)
    house.clock.forward(seconds=4)
    with statements(house.database) as heard:
        valid = await asyncio.gather(
            *(house.auth.still_valid(person.viewer.credentials) for person in [*people, gone])
        )
    assert valid == [True] * len(people) + [False]
    assert len(heard) == 1


async def test_a_cancelled_request_does_not_cancel_the_others(house: House) -> None:
    person = await house.person()
    first = asyncio.create_task(house.auth.viewer(person.header))
    second = asyncio.create_task(house.auth.viewer(person.header))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).user_id == person.id


async def test_signing_out_takes_effect_at_once_in_this_process(house: House) -> None:
    person = await house.person()
    viewer = await house.auth.viewer(person.header)
    await house.do(viewer, session.revoke, house.auth)
    with pytest.raises(Unauthenticated, match="revoked"):
        await house.auth.viewer(person.header)
    assert not await house.auth.still_valid(viewer.credentials)


async def test_signing_out_takes_effect_within_five_seconds_in_another(
    house: House, elsewhere: House
) -> None:
    person = await house.person()
    viewer = await elsewhere.auth.viewer(person.header)
    await house.do(viewer, session.revoke, house.auth)
    house.clock.forward(seconds=4)
    with pytest.raises(Unauthenticated, match="revoked"):
        await elsewhere.auth.viewer(person.header)
    assert not await elsewhere.auth.still_valid(viewer.credentials)


async def test_deactivation_takes_effect_within_five_seconds_in_another(
    house: House, elsewhere: House
) -> None:
    admin, person = await house.admin(), await house.person()
    viewer = await elsewhere.auth.viewer(person.header)
    assert await elsewhere.auth.still_valid(viewer.credentials)
    await house.do(admin.viewer, user.deactivate, house.auth, person.id)
    house.clock.forward(seconds=4)
    assert not await elsewhere.auth.still_valid(viewer.credentials)
    with pytest.raises(Unauthenticated):
        await elsewhere.auth.viewer(person.header)


async def test_a_flag_set_by_hand_takes_effect_within_five_seconds_too(house: House) -> None:
    """The command line, or an operator with SQL, notifies no process."""
    person = await house.person()
    await house.auth.viewer(person.header)
    async with house.work() as work:
        await work.session.execute(
            update(models.User).where(models.User.id == person.id).values(is_active=False)
        )
    house.clock.forward(seconds=4)
    with pytest.raises(Unauthenticated, match="deactivated"):
        await house.auth.viewer(person.header)


async def test_the_bus_notifies_other_processes_at_once(
    settings: Settings, database: Database
) -> None:
    bus = LocalBus()
    here = House(settings, database, bus=bus)
    there = House(settings, database, here.clock, bus=bus)
    person = await here.person()
    viewer = await there.auth.viewer(person.header)
    await here.do(viewer, session.revoke, here.auth)
    with pytest.raises(Unauthenticated, match="revoked"):
        await there.auth.viewer(person.header)
    here.auth.close()
    there.auth.close()


async def test_only_the_revoked_session_ends(house: House) -> None:
    person = await house.person()
    second = await house.login(person)
    await house.do(second.viewer, session.revoke, house.auth)
    assert (await house.auth.viewer(person.header)).user_id == person.id


async def test_an_answer_from_before_a_revocation_is_not_cached(house: House) -> None:
    """The read begins, the revocation commits, the read ends: its result must not be cached."""
    person = await house.person()
    asking = asyncio.create_task(house.auth.viewer(person.header))
    await asyncio.sleep(0)
    house.auth.forget(session_id=person.viewer.session_id)
    await asking
    with statements(house.database) as heard:
        await house.auth.viewer(person.header)
    assert len(heard) == 1


async def test_becoming_an_administrator_takes_effect(house: House) -> None:
    admin, person = await house.admin(), await house.person()
    assert not (await house.auth.viewer(person.header)).is_admin
    await house.do(admin.viewer, user.administer, house.auth, person.id, {"is_admin": True})
    assert (await house.auth.viewer(person.header)).is_admin


async def test_a_token_must_name_the_user_of_its_session(house: House) -> None:
    ada, eve = await house.person(), await house.person()
    session_id = ada.viewer.session_id
    assert session_id is not None
    mixed = house.auth.tokens.mint_access(eve.id, session_id, house.clock())
    with pytest.raises(Unauthenticated):
        await house.auth.viewer(f"Bearer {mixed.token}")


async def test_a_stream_token_opens_a_stream_and_nothing_else(house: House) -> None:
    person = await house.person()
    minted = house.auth.mint_stream_token(person.viewer)
    viewer = await house.auth.use_stream_token(minted.token)
    assert viewer == person.viewer
    with pytest.raises(Unauthenticated, match="different type"):
        await house.auth.viewer(f"Bearer {minted.token}")
    house.clock.forward(seconds=60)
    with pytest.raises(Unauthenticated, match="expired"):
        await house.auth.use_stream_token(minted.token)


async def test_a_stream_token_ends_with_its_session(house: House) -> None:
    person = await house.person()
    minted = house.auth.mint_stream_token(person.viewer)
    await house.do(person.viewer, session.revoke, house.auth)
    with pytest.raises(Unauthenticated, match="revoked"):
        await house.auth.use_stream_token(minted.token)


async def test_a_signed_out_client_gets_no_stream_token(house: House) -> None:
    with pytest.raises(Unauthenticated):
        house.auth.mint_stream_token(NOBODY)


async def test_a_stream_ends_with_its_token(house: House) -> None:
    person = await house.person()
    assert await house.auth.still_valid(person.viewer.credentials)
    house.clock.forward(seconds=house.settings.auth.access_token_seconds)
    assert not await house.auth.still_valid(person.viewer.credentials)


async def test_a_stream_continues_with_a_renewed_viewer(house: House) -> None:
    person = await house.person()
    house.clock.forward(seconds=house.settings.auth.access_token_seconds - 60)
    renewed = await house.refresh(person.grant.refresh_token)
    house.clock.forward(minutes=2)
    assert not await house.auth.still_valid(person.viewer.credentials)
    assert await house.auth.still_valid(renewed.viewer.credentials)


async def test_an_anonymous_stream_is_not_ended(house: House) -> None:
    assert await house.auth.still_valid(NOBODY.credentials)


async def test_a_stream_of_another_user_than_the_sessions_is_ended(house: House) -> None:
    ada, eve = await house.person(), await house.person()
    mixed = dataclasses.replace(ada.viewer, user_id=eve.id)
    assert not await house.auth.still_valid(mixed.credentials)
