"""Accounts: registration, changes, and administration, each as the user who does it."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from auth.viewer import NOBODY
from db import models
from db.models import WeekDay
from domain.accounts import session, user
from domain.accounts.session import InvalidCredentials
from errors import (
    AlreadyExists,
    BadInput,
    Conflict,
    ErrorCode,
    Failure,
    Failures,
    Forbidden,
    NotFound,
    Unauthenticated,
)
from tests.accounts import PASSWORD, House


def _codes(failure: Failure) -> set[tuple[str, str]]:
    """Code and path of each failure."""
    single = failure.failures if isinstance(failure, Failures) else [failure]
    return {(one.code.value, ".".join(one.path)) for one in single}


async def _register(house: House, **changes: Any) -> Any:
    name = f"p{uuid4().hex[:10]}"
    values = {"username": name, "email": f"{name}@example.com", "password": PASSWORD} | changes
    return await house.do(NOBODY, user.register, house.auth, **values)


async def _refused(house: House, **changes: Any) -> set[tuple[str, str]]:
    with pytest.raises(Failure) as refused:
        await _register(house, **changes)
    return _codes(refused.value)


async def test_registration_signs_the_user_in(house: House) -> None:
    grant = await _register(house, full_name="  Ada  Lovelace ", timezone="Europe/London")
    viewer = await house.auth.viewer(f"Bearer {grant.access_token}")
    assert viewer == grant.viewer
    assert viewer.timezone == "Europe/London"
    async with house.work() as work:
        row = await work.session.get_one(models.User, grant.viewer.user_id)
    assert row.full_name == "Ada  Lovelace"
    assert (row.is_active, row.is_admin, row.email_verified_at) == (True, False, None)
    assert PASSWORD not in row.password_hash


async def test_all_problems_are_reported_together(house: House) -> None:
    found = await _refused(
        house,
        username="a b",
        email="no address",
        password="short",
        full_name="x" * 101,
        timezone="Mars/Olympus",
    )
    fields = ("username", "email", "password", "full_name", "timezone")
    assert found == {("BAD_USER_INPUT", field) for field in fields}


async def test_names_in_use_are_found_case_insensitively(house: House) -> None:
    person = await house.person()
    found = await _refused(house, username=person.username.upper(), password="short")
    assert found == {("ALREADY_EXISTS", "username"), ("BAD_USER_INPUT", "password")}
    assert await _refused(house, email=person.email.upper()) == {("ALREADY_EXISTS", "email")}


_WRONG: dict[str, Any] = {
    "username": "a b",
    "password": "short",
    "full_name": "x" * 101,
    "timezone": "Mars/Olympus",
    "device_name": "x" * 101,
}


@pytest.mark.parametrize("field", [*_WRONG, "a taken username", "a common password"])
async def test_registration_does_not_reveal_whether_an_address_is_in_use(
    house: House, field: str
) -> None:
    """The answer is the same for an address in use and for one that is free."""
    ada, ben = await house.person(), await house.person()
    wrong = {
        "a taken username": {"username": ben.username},
        "a common password": {"password": "Password123"},
    }.get(field) or {field: _WRONG[field]}
    free = await _refused(house, **wrong)
    assert free
    assert await _refused(house, **wrong, email=ada.email) == free


@pytest.mark.parametrize(
    "password",
    [
        "password1",
        "PassWord1",
        "qwertyuiop",
        "iloveyou2",
        "1q2w3e4r5t",
        "pass\uff57ord1",
        " pass word1",
        "passw\u200bord1",
        "password1\u3164",
    ],
)
async def test_common_passwords_are_refused(house: House, password: str) -> None:
    assert await _refused(house, password=password) == {("BAD_USER_INPUT", "password")}


async def test_the_users_own_names_are_refused_as_a_password(house: House) -> None:
    own = {
        "username": f"name-{secrets.token_hex(6)}",
        "email": f"mail-{secrets.token_hex(6)}@example.com",
        "full_name": "Ada King Lovelace",
    }
    for name in (*own.values(), own["username"].upper(), own["email"].partition("@")[0]):
        found = await _refused(house, **own, password=name)
        assert found == {("BAD_USER_INPUT", "password")}, name
    person = await house.person()
    with pytest.raises(BadInput, match="username"):
        await house.do(
            person.viewer,
            user.change_password,
            house.auth,
            current_password=PASSWORD,
            new_password=person.email,
        )


@pytest.mark.parametrize(
    "name", ["ab", "x" * 51, "Ünï", "a b", "a@b.c", "deleted:1", "", "nul\0nul", "a/b"]
)
async def test_invalid_usernames_are_refused(house: House, name: str) -> None:
    assert await _refused(house, username=name) == {("BAD_USER_INPUT", "username")}


@pytest.mark.parametrize(
    "address",
    [
        "a",
        "@example.com",
        "a@",
        "a@localhost",
        "a b@example.com",
        "a@b@example.com",
        "a@-x.com",
        "a@example..com",
        "é@example.com",
        "x" * 90 + "@example.com",
        "a@example.com\nbcc: b@example.com",
    ],
)
async def test_invalid_addresses_are_refused(house: House, address: str) -> None:
    assert await _refused(house, email=address) == {("BAD_USER_INPUT", "email")}


async def test_a_closed_server_accepts_no_registration(house: House) -> None:
    closed = House(
        house.settings.model_copy(
            update={"auth": house.settings.auth.model_copy(update={"registration": "closed"})}
        ),
        house.database,
    )
    assert await _refused(closed) == {("REGISTRATION_CLOSED", "")}
    closed.auth.close()


# --- the profile ---------------------------------------------------------------------------------


async def test_a_change_of_a_profile_is_logged(house: House) -> None:
    person = await house.person()
    row = await house.do(
        person.viewer,
        user.update_profile,
        house.auth,
        {
            "username": person.username.upper(),
            "full_name": None,
            "timezone": "Asia/Tokyo",
            "week_start": WeekDay.SUNDAY,
            "locale": "de-CH",
        },
        if_version=1,
    )
    assert row.version == 2
    assert (row.full_name, row.week_start, row.locale) == (None, WeekDay.SUNDAY, "de-CH")
    assert (await house.auth.viewer(person.header)).timezone == "Asia/Tokyo"
    async with house.work() as work:
        event = await work.session.scalar(
            select(models.Event).where(
                models.Event.subject_id == person.id, models.Event.kind == "USER_UPDATED"
            )
        )
    assert event is not None
    assert {"field": "week_start", "from": "MONDAY", "to": "SUNDAY"} in event.changes


async def test_an_old_version_is_a_conflict_that_names_the_fields(house: House) -> None:
    person = await house.person()
    with pytest.raises(Conflict) as conflict:
        await house.do(
            person.viewer, user.update_profile, house.auth, {"locale": "fr"}, if_version=9
        )
    assert conflict.value.fields == ["locale"]
    assert conflict.value.refs == {"user": person.id}


async def test_another_users_name_is_refused_and_the_own_name_is_accepted(house: House) -> None:
    person, other = await house.person(), await house.person()
    with pytest.raises(AlreadyExists):
        await house.do(
            person.viewer, user.update_profile, house.auth, {"username": other.username.upper()}
        )
    await house.do(
        person.viewer, user.update_profile, house.auth, {"username": person.username.title()}
    )


@pytest.mark.parametrize("name", ["username", "timezone", "week_start", "locale"])
async def test_a_required_value_cannot_be_cleared(house: House, name: str) -> None:
    person = await house.person()
    with pytest.raises(BadInput) as refused:
        await house.do(person.viewer, user.update_profile, house.auth, {name: None})
    assert refused.value.path == (name,)


async def test_a_signed_out_client_has_no_profile(house: House) -> None:
    with pytest.raises(Unauthenticated):
        await house.do(NOBODY, user.update_profile, house.auth, {"locale": "fr"})


# --- the password --------------------------------------------------------------------------------


async def test_a_new_password_ends_the_other_sessions(house: House) -> None:
    person = await house.person()
    other = await house.login(person)
    await house.do(
        person.viewer,
        user.change_password,
        house.auth,
        current_password=PASSWORD,
        new_password="a better password",
    )
    assert await house.auth.still_valid(person.viewer.credentials)
    assert not await house.auth.still_valid(other.viewer.credentials)
    with pytest.raises(InvalidCredentials):
        await house.login(person)
    await house.login(person, "a better password")
    assert "PASSWORD_CHANGED" in await house.kinds(person.id)


async def test_the_current_password_is_required(house: House) -> None:
    person = await house.person()
    with pytest.raises(InvalidCredentials) as refused:
        await house.do(
            person.viewer,
            user.change_password,
            house.auth,
            current_password="wrong password",
            new_password="a better password",
        )
    assert refused.value.path == ("current_password",)
    await house.login(person)


async def test_a_new_password_must_follow_the_rules(house: House) -> None:
    person = await house.person()
    with pytest.raises(BadInput) as refused:
        await house.do(
            person.viewer,
            user.change_password,
            house.auth,
            current_password=PASSWORD,
            new_password="short",
        )
    assert refused.value.path == ("new_password",)


async def test_one_of_two_concurrent_changes_wins(house: House) -> None:
    person = await house.person()

    async def change(password: str) -> bool:
        try:
            await house.do(
                person.viewer,
                user.change_password,
                house.auth,
                current_password=PASSWORD,
                new_password=password,
            )
        except InvalidCredentials:
            return False
        return True

    done = await asyncio.gather(change("first password"), change("second password"))
    assert sorted(done) == [False, True]


# --- administration ------------------------------------------------------------------------------


async def test_deactivation_prevents_and_activation_allows_signing_in(house: House) -> None:
    admin, person = await house.admin(), await house.person()
    await house.do(admin.viewer, user.deactivate, house.auth, person.id)
    with pytest.raises(Unauthenticated):
        await house.auth.viewer(person.header)
    with pytest.raises(InvalidCredentials):
        await house.refresh(person.grant.refresh_token)
    await house.do(admin.viewer, user.activate, person.id)
    # Old sessions stay ended.
    with pytest.raises(Unauthenticated):
        await house.auth.viewer(person.header)
    await house.login(person)


async def test_administrators_can_change_any_user(house: House) -> None:
    admin, person = await house.admin(), await house.person()
    async with house.work() as work:
        (await work.session.get_one(models.User, person.id)).email_verified_at = work.now
    address = f"new-{person.email}"
    row = await house.do(
        admin.viewer, user.administer, house.auth, person.id, {"email": address}, if_version=1
    )
    # The new address counts as unverified until the user verifies it.
    assert (row.email, row.email_verified_at) == (address, None)
    grant = await house.do(NOBODY, session.create, house.auth, login=address, password=PASSWORD)
    assert grant.viewer.user_id == person.id


async def test_administrators_can_end_any_users_sessions(house: House) -> None:
    admin, person = await house.admin(), await house.person()
    await house.login(person)
    ended = await house.do(admin.viewer, user.revoke_sessions, house.auth, person.id)
    assert ended == (person.id, 2)
    assert not await house.auth.still_valid(person.viewer.credentials)


async def test_other_users_are_refused_for_any_target(house: House) -> None:
    person, other = await house.person(), await house.person()
    for target in (other.id, person.id, uuid4()):
        for operation, arguments in (
            (user.administer, (house.auth, target, {"is_admin": True})),
            (user.activate, (target,)),
            (user.deactivate, (house.auth, target)),
            (user.revoke_sessions, (house.auth, target)),
        ):
            with pytest.raises(Forbidden) as refused:
                await house.do(person.viewer, operation, *arguments)
            assert refused.value.code is ErrorCode.FORBIDDEN


async def test_administrators_cannot_lock_themselves_out(house: House) -> None:
    admin = await house.admin()
    with pytest.raises(Forbidden):
        await house.do(admin.viewer, user.deactivate, house.auth, admin.id)
    with pytest.raises(Forbidden):
        await house.do(admin.viewer, user.administer, house.auth, admin.id, {"is_admin": False})


async def test_an_administrator_gets_not_found_for_an_invented_id(house: House) -> None:
    admin = await house.admin()
    with pytest.raises(NotFound):
        await house.do(admin.viewer, user.deactivate, house.auth, uuid4())
