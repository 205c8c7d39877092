"""Signing in, staying signed in and signing out, each as the user who does it."""

from __future__ import annotations

import asyncio
from uuid import UUID

import bcrypt
import pytest
from sqlalchemy import select, text, update

from auth.passwords import Passwords
from auth.viewer import NOBODY
from db import models
from domain.accounts import session, user
from domain.accounts.session import InvalidCredentials
from errors import ErrorCode, Failure, NotFound, Unauthenticated
from settings import load_settings
from tests.accounts import PASSWORD, House


async def _waiting(house: House) -> int:
    """How many statements wait for a lock now."""
    async with house.work() as work:
        count: int = await work.session.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
        )
        return count


async def test_sign_in_by_username_and_by_address_in_any_case(house: House) -> None:
    person = await house.person()
    for login in (person.username.upper(), person.email.title(), f" {person.username} "):
        grant = await house.do(NOBODY, session.create, house.auth, login=login, password=PASSWORD)
        assert grant.viewer.user_id == person.id
        assert (await house.auth.viewer(f"Bearer {grant.access_token}")).user_id == person.id


async def _refused(house: House, login: str, password: str) -> tuple[str, ErrorCode, object]:
    with pytest.raises(Failure) as refused:
        await house.do(NOBODY, session.create, house.auth, login=login, password=password)
    return refused.value.message, refused.value.code, refused.value.path


async def test_unknown_user_and_wrong_password_get_the_same_answer(house: House) -> None:
    person = await house.person()
    answers = {
        await _refused(house, person.username, "wrong password"),
        await _refused(house, person.email, "wrong password"),
        await _refused(house, "nobody-at-all", PASSWORD),
        await _refused(house, "nobody@example.com", PASSWORD),
        await _refused(house, "", ""),
        await _refused(house, "nul\0", PASSWORD),
        await _refused(house, "ünïcode", PASSWORD),
    }
    assert len(answers) == 1
    assert answers.pop()[1] is ErrorCode.INVALID_CREDENTIALS


async def test_an_unknown_user_costs_as_much_as_a_wrong_password(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each refusal is one comparison of the same cost, so that its time reveals nothing."""
    person = await house.person()
    costs: list[bytes] = []
    compare = bcrypt.checkpw

    def heard(password: bytes, hashed: bytes) -> bool:
        costs.append(hashed[:7])
        return compare(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", heard)
    for login in (person.username, "nobody-at-all", "nobody@example.com", "ünïcode", "nul\0"):
        await _refused(house, login, "wrong password")
    assert costs == [b"$2b$04$"] * 5


async def test_a_deactivated_user_learns_it_only_with_the_right_password(house: House) -> None:
    admin, person = await house.admin(), await house.person()
    await house.do(admin.viewer, user.deactivate, house.auth, person.id)
    _, code, _ = await _refused(house, person.username, PASSWORD)
    assert code is ErrorCode.ACCOUNT_INACTIVE
    _, code, _ = await _refused(house, person.username, "wrong password")
    assert code is ErrorCode.INVALID_CREDENTIALS


async def test_an_old_hash_is_renewed_at_login(house: House) -> None:
    person = await house.person()
    cheap = Passwords(load_settings({"TASKLOOM_BCRYPT_ROUNDS": "5"}, env_file=None).auth)
    old = await cheap.hash(PASSWORD)
    cheap.close()
    async with house.work() as work:
        await work.session.execute(
            update(models.User)
            .where(models.User.id == person.id)
            .values(password_hash=old.text, pepper_version=old.pepper_version)
        )
    await house.login(person)
    async with house.work() as work:
        kept = (await work.session.get_one(models.User, person.id)).password_hash
    assert kept.startswith("$2b$04$")
    await house.login(person)


async def test_a_session_stores_its_origin(house: House) -> None:
    person = await house.person()
    grant = await house.do(
        NOBODY,
        session.create,
        house.auth,
        login=person.username,
        password=PASSWORD,
        device_name="  Ada's phone ",
    )
    async with house.work() as work:
        row = await work.session.get_one(models.Session, grant.viewer.session_id)
    assert (row.device_name, row.ip, row.user_agent) == ("Ada's phone", "203.0.113.9", "tests/1")


async def test_signing_in_is_logged_as_the_users_own_act(house: House) -> None:
    person = await house.person()
    async with house.work() as work:
        event = await work.session.scalar(
            select(models.Event).where(models.Event.subject_id == person.viewer.session_id)
        )
    assert event is not None
    assert (event.kind, event.actor_id) == ("SESSION_CREATED", person.id)
    assert await house.kinds(person.id) == ["USER_CREATED", "SESSION_CREATED"]


# --- rotation ------------------------------------------------------------------------------------


async def test_each_refresh_returns_new_tokens_of_the_same_session(house: House) -> None:
    person = await house.person()
    grants = [person.grant]
    for _ in range(3):
        house.clock.forward(minutes=14)
        grants.append(await house.refresh(grants[-1].refresh_token))
    assert len({grant.refresh_token for grant in grants}) == 4
    assert {grant.viewer.session_id for grant in grants} == {person.viewer.session_id}
    assert await house.auth.viewer(f"Bearer {grants[-1].access_token}") == grants[-1].viewer


async def test_a_lost_answer_can_be_repeated_for_ten_seconds(house: House) -> None:
    person = await house.person()
    lost = await house.refresh(person.grant.refresh_token)
    house.clock.forward(seconds=9)
    again = await house.refresh(person.grant.refresh_token)
    assert again.refresh_token == lost.refresh_token
    assert (await house.refresh(again.refresh_token)).viewer.user_id == person.id


async def test_two_concurrent_tabs_get_one_successor(house: House) -> None:
    person = await house.person()
    async with house.work() as holding:
        # All three have read the token as unused before the first can exchange it.
        await holding.session.get(models.Session, person.viewer.session_id, with_for_update=True)
        refreshing = [
            asyncio.create_task(house.refresh(person.grant.refresh_token)) for _ in range(3)
        ]
        async with asyncio.timeout(10):
            while await _waiting(house) != len(refreshing):
                await asyncio.sleep(0.01)
    grants = await asyncio.gather(*refreshing)
    assert len({grant.refresh_token for grant in grants}) == 1
    assert await house.auth.still_valid(person.viewer.credentials)


async def test_two_servers_issue_the_same_successor(house: House) -> None:
    person = await house.person()
    other = House(house.settings, house.database, house.clock)
    first = await house.refresh(person.grant.refresh_token)
    second = await other.refresh(person.grant.refresh_token)
    assert first.refresh_token == second.refresh_token
    other.auth.close()


async def test_reuse_ends_the_session(house: House) -> None:
    person = await house.person()
    thief = await house.refresh(person.grant.refresh_token)
    assert (await house.auth.viewer(f"Bearer {thief.access_token}")).user_id == person.id
    house.clock.forward(seconds=11)
    with pytest.raises(InvalidCredentials):
        await house.refresh(person.grant.refresh_token)
    # At once, and for both clients.
    with pytest.raises(Unauthenticated, match="revoked"):
        await house.auth.viewer(f"Bearer {thief.access_token}")
    with pytest.raises(InvalidCredentials):
        await house.refresh(thief.refresh_token)
    assert (await house.kinds(person.id))[-1] == "SESSION_REVOKED"


async def test_reuse_of_an_ancestor_ends_the_session_too(house: House) -> None:
    person = await house.person()
    latest = person.grant
    for _ in range(3):
        latest = await house.refresh(latest.refresh_token)
        house.clock.forward(seconds=60)
    with pytest.raises(InvalidCredentials):
        await house.refresh(person.grant.refresh_token)
    with pytest.raises(InvalidCredentials):
        await house.refresh(latest.refresh_token)


async def test_an_answer_that_was_used_was_not_lost(house: House) -> None:
    person = await house.person()
    second = await house.refresh(person.grant.refresh_token)
    third = await house.refresh(second.refresh_token)
    # Within the ten seconds of both, but the first is used by another client.
    house.clock.forward(seconds=1)
    with pytest.raises(InvalidCredentials):
        await house.refresh(person.grant.refresh_token)
    with pytest.raises(InvalidCredentials):
        await house.refresh(third.refresh_token)
    with pytest.raises(Unauthenticated, match="revoked"):
        await house.auth.viewer(f"Bearer {third.access_token}")


async def test_reuse_ends_no_other_session(house: House) -> None:
    person = await house.person()
    second = await house.login(person)
    await house.refresh(person.grant.refresh_token)
    house.clock.forward(seconds=11)
    with pytest.raises(InvalidCredentials):
        await house.refresh(person.grant.refresh_token)
    assert await house.auth.still_valid(second.viewer.credentials)
    await house.refresh(second.refresh_token)


async def test_many_reuses_at_once_do_not_wait_for_each_other(house: House) -> None:
    # More than there are connections for changes: if each held one and needed another, all would
    # wait until the pool gives up.
    people = [await house.person() for _ in range(15)]
    await asyncio.gather(*(house.refresh(person.grant.refresh_token) for person in people))
    house.clock.forward(seconds=11)
    refusals = await asyncio.gather(
        *(house.refresh(person.grant.refresh_token) for person in people), return_exceptions=True
    )
    assert {type(refusal) for refusal in refusals} == {InvalidCredentials}
    for person in people:
        assert (await house.kinds(person.id))[-1] == "SESSION_REVOKED"


async def test_refresh_tokens_expire_after_seven_days_unless_used(house: House) -> None:
    person = await house.person()
    house.clock.forward(days=6)
    fresh = await house.refresh(person.grant.refresh_token)
    house.clock.forward(days=6)
    fresher = await house.refresh(fresh.refresh_token)
    house.clock.forward(days=7)
    with pytest.raises(InvalidCredentials):
        await house.refresh(fresher.refresh_token)


@pytest.mark.parametrize("token", ["", "tlr_unknown", "\0", "\ud800", "x" * 10_000])
async def test_unknown_refresh_tokens_are_refused(house: House, token: str) -> None:
    with pytest.raises(InvalidCredentials) as refused:
        await house.refresh(token)
    assert refused.value.path == ("refresh_token",)


async def test_no_token_is_stored(house: House) -> None:
    person = await house.person()
    fresh = await house.refresh(person.grant.refresh_token)
    async with house.work() as work:
        rows = await work.session.scalars(
            select(models.RefreshToken).where(
                models.RefreshToken.session_id == person.viewer.session_id
            )
        )
        kept = {row.hash for row in rows}
    tokens = (person.grant.refresh_token, fresh.refresh_token)
    assert kept == {house.auth.tokens.refresh_hash(token) for token in tokens}


# --- signing out ---------------------------------------------------------------------------------


async def test_signing_out_ends_the_refresh_token_too_and_can_be_repeated(house: House) -> None:
    person = await house.person()
    other = await house.login(person)
    for _ in range(2):
        ended = await house.do(
            other.viewer, session.revoke, house.auth, session_id=person.viewer.session_id
        )
        assert ended.revoked_at == house.clock()
    with pytest.raises(InvalidCredentials):
        await house.refresh(person.grant.refresh_token)
    assert (await house.kinds(person.id)).count("SESSION_REVOKED") == 1


async def test_the_session_of_another_user_is_not_found(house: House) -> None:
    person, stranger = await house.person(), await house.person()
    with pytest.raises(NotFound):
        await house.do(
            stranger.viewer, session.revoke, house.auth, session_id=person.viewer.session_id
        )
    assert await house.auth.still_valid(person.viewer.credentials)


async def test_a_signed_out_client_cannot_sign_out(house: House) -> None:
    with pytest.raises(Unauthenticated):
        await house.do(NOBODY, session.revoke, house.auth)
    with pytest.raises(Unauthenticated):
        await house.do(NOBODY, session.revoke_others, house.auth)


async def test_ending_all_others_keeps_this_one(house: House) -> None:
    person, bystander = await house.person(), await house.person()
    others = [await house.login(person) for _ in range(2)]
    ended = await house.do(person.viewer, session.revoke_others, house.auth)
    assert set(ended) == {other.viewer.session_id for other in others}
    assert await house.auth.still_valid(person.viewer.credentials)
    assert await house.auth.still_valid(bystander.viewer.credentials)
    for other in others:
        assert not await house.auth.still_valid(other.viewer.credentials)


# --- forgetting ----------------------------------------------------------------------------------


async def test_long_expired_sessions_are_deleted_and_others_are_kept(house: House) -> None:
    person = await house.person()
    ended, lapsed = await house.login(person), person.grant
    await house.do(ended.viewer, session.revoke, house.auth)
    house.clock.forward(days=29)
    living = await house.login(person)
    house.clock.forward(days=2)

    async def kept() -> set[UUID]:
        async with house.work() as work:
            query = select(models.Session.id).where(models.Session.user_id == person.id)
            return set(await work.session.scalars(query))

    await house.do(NOBODY, session.prune)
    # The expired one ended a week after it began, which is less than thirty days ago.
    assert await kept() == {lapsed.viewer.session_id, living.viewer.session_id}
    await house.refresh(living.refresh_token)
    with pytest.raises(InvalidCredentials):
        await house.refresh(lapsed.refresh_token)
    house.clock.forward(days=7)
    await house.do(NOBODY, session.prune)
    assert await kept() == {living.viewer.session_id}
