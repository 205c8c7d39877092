"""Who a header names, and how soon it names them no longer."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

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
    """What is sent to the database meanwhile."""
    heard: list[str] = []
    database.listeners.append(heard.append)
    try:
        yield heard
    finally:
        database.listeners.remove(heard.append)


@pytest.fixture
def elsewhere(house: House) -> Iterator[House]:
    """Another process, which shares nothing but the database (and the time of day)."""
    other = House(house.settings, house.database, house.clock)
    yield other
    other.auth.close()


async def test_no_header_is_nobody(house: House) -> None:
    assert await house.auth.viewer(None) is NOBODY


async def test_a_token_names_its_user(house: House) -> None:
    person = await house.person()
    viewer = await house.auth.viewer(person.header)
    assert viewer == person.viewer
    assert viewer.expires_at == person.grant.expires_at
    assert not viewer.is_admin


async def test_the_scheme_is_read_without_regard_to_case(house: House) -> None:
    person = await house.person()
    token = person.grant.access_token
    assert (await house.auth.viewer(f"bearer  {token}")).user_id == person.id


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YWRhOnB3", "token", "Bearer a b", "Bearer\ta"]
)
async def test_a_malformed_header_says_how_it_should_read(house: House, header: str) -> None:
    with pytest.raises(Unauthenticated, match="Bearer <access token>"):
        await house.auth.viewer(header)


async def test_a_refresh_token_is_no_access_token(house: House) -> None:
    person = await house.person()
    with pytest.raises(Unauthenticated):
        await house.auth.viewer(f"Bearer {person.grant.refresh_token}")


async def test_an_expired_token_is_refused_although_it_is_cached(house: House) -> None:
    person = await house.person()
    await house.auth.viewer(person.header)
    house.clock.forward(seconds=house.settings.auth.access_token_seconds)
    with pytest.raises(Unauthenticated, match="expired"):
        await house.auth.viewer(person.header)


async def test_a_known_token_asks_the_database_nothing(house: House) -> None:
    person = await house.person()
    await house.auth.viewer(person.header)
    with statements(house.database) as heard:
        for _ in range(100):
            await house.auth.viewer(person.header)
    assert heard == []


async def test_many_requests_at_once_ask_once(house: House) -> None:
    person = await house.person()
    with statements(house.database) as heard:
        viewers = await asyncio.gather(*(house.auth.viewer(person.header) for _ in range(50)))
    assert {viewer.user_id for viewer in viewers} == {person.id}
    assert len(heard) == 1


async def test_who_stops_waiting_does_not_take_the_answer_from_others(house: House) -> None:
    person = await house.person()
    first = asyncio.create_task(house.auth.viewer(person.header))
    second = asyncio.create_task(house.auth.viewer(person.header))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).user_id == person.id


async def test_signing_out_holds_at_once_in_this_process(house: House) -> None:
    person = await house.person()
    viewer = await house.auth.viewer(person.header)
    await house.do(viewer, session.revoke, house.auth)
    with pytest.raises(Unauthenticated, match="revoked"):
        await house.auth.viewer(person.header)
    assert not await house.auth.still_valid(viewer.credentials)


async def test_signing_out_holds_within_five_seconds_in_another(
    house: House, elsewhere: House
) -> None:
    person = await house.person()
    viewer = await elsewhere.auth.viewer(person.header)
    await house.do(viewer, session.revoke, house.auth)
    house.clock.forward(seconds=4)
    with pytest.raises(Unauthenticated, match="revoked"):
        await elsewhere.auth.viewer(person.header)
    assert not await elsewhere.auth.still_valid(viewer.credentials)


async def test_deactivation_holds_within_five_seconds_in_another(
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


async def test_a_flag_set_by_hand_holds_within_five_seconds_too(house: House) -> None:
    """The command line, or somebody with SQL, tells no process anything."""
    person = await house.person()
    await house.auth.viewer(person.header)
    async with house.work() as work:
        await work.session.execute(
            update(models.User).where(models.User.id == person.id).values(is_active=False)
        )
    house.clock.forward(seconds=4)
    with pytest.raises(Unauthenticated, match="deactivated"):
        await house.auth.viewer(person.header)


async def test_the_bus_tells_the_others_at_once(settings: Settings, database: Database) -> None:
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


async def test_an_answer_from_before_a_revocation_is_not_kept(house: House) -> None:
    """The read begins, the revocation commits, the read ends: it must not be believed later."""
    person = await house.person()
    asking = asyncio.create_task(house.auth.viewer(person.header))
    await asyncio.sleep(0)
    house.auth.forget(session_id=person.viewer.session_id)
    await asking
    with statements(house.database) as heard:
        await house.auth.viewer(person.header)
    assert len(heard) == 1


async def test_becoming_an_administrator_shows(house: House) -> None:
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


async def test_nobody_gets_a_stream_token(house: House) -> None:
    with pytest.raises(Unauthenticated):
        house.auth.mint_stream_token(NOBODY)


async def test_a_stream_ends_with_its_token(house: House) -> None:
    person = await house.person()
    assert await house.auth.still_valid(person.viewer.credentials)
    house.clock.forward(seconds=house.settings.auth.access_token_seconds)
    assert not await house.auth.still_valid(person.viewer.credentials)


async def test_a_stream_goes_on_with_a_renewed_viewer(house: House) -> None:
    person = await house.person()
    house.clock.forward(seconds=house.settings.auth.access_token_seconds - 60)
    renewed = await house.refresh(person.grant.refresh_token)
    house.clock.forward(minutes=2)
    assert not await house.auth.still_valid(person.viewer.credentials)
    assert await house.auth.still_valid(renewed.viewer.credentials)


async def test_a_stream_of_nobody_is_not_ended(house: House) -> None:
    assert await house.auth.still_valid(NOBODY.credentials)


async def test_a_stream_of_another_user_than_the_sessions_is_none(house: House) -> None:
    ada, eve = await house.person(), await house.person()
    mixed = dataclasses.replace(ada.viewer, user_id=eve.id)
    assert not await house.auth.still_valid(mixed.credentials)
