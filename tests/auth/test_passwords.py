"""Which passwords are allowed, and that every character counts."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable, Iterator

import pytest

from auth.passwords import _WAITING_PER_THREAD, PasswordHash, Passwords, acceptable
from errors import BadInput, Unavailable
from settings import AuthSettings, load_settings

Make = Callable[..., Passwords]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Passwords] = []

    def passwords(**variables: str) -> Passwords:
        settings = load_settings({"TASKLOOM_BCRYPT_ROUNDS": "4"} | variables, env_file=None)
        made.append(Passwords(settings.auth))
        return made[-1]

    yield passwords
    for passwords_ in made:
        passwords_.close()


async def test_a_right_and_a_wrong_password(make: Make) -> None:
    passwords = make()
    kept = await passwords.hash("correct horse")
    assert await passwords.verify("correct horse", kept)
    assert not await passwords.verify("correct horsf", kept)
    assert not await passwords.verify("", kept)


async def test_all_hundred_characters_count(make: Make) -> None:
    """Bcrypt alone reads 72 bytes: these three would be the same password, or an error."""
    passwords = make()
    kept = await passwords.hash("x" * 99 + "a")
    assert await passwords.verify("x" * 99 + "a", kept)
    assert not await passwords.verify("x" * 99 + "b", kept)
    assert not await passwords.verify("x" * 72, kept)


async def test_a_nul_does_not_end_a_password(make: Make) -> None:
    passwords = make()
    kept = await passwords.hash("secret\0one")
    assert not await passwords.verify("secret\0two", kept)


async def test_a_password_is_the_same_however_its_accents_are_typed(make: Make) -> None:
    passwords = make()
    composed, decomposed = (unicodedata.normalize(form, "pässwörté") for form in ("NFC", "NFD"))
    assert composed != decomposed
    kept = await passwords.hash(decomposed)
    assert await passwords.verify(composed, kept)


async def test_passwords_in_any_script_are_accepted(make: Make) -> None:
    passwords = make()
    for password in ("пароль-пароль", "密码密码密码密码", "🔐" * 8, "with spaces in it"):
        kept = await passwords.hash(acceptable(password))
        assert await passwords.verify(password, kept)


async def test_an_invalid_text_is_a_wrong_password_and_not_a_fault(make: Make) -> None:
    passwords = make()
    kept = await passwords.hash("correct horse")
    assert not await passwords.verify("\ud800\udfff half", kept)


async def test_no_password_matches_the_placeholder_hash(make: Make) -> None:
    passwords = make()
    assert not await passwords.verify("", None)
    assert not await passwords.verify("anything", None)


async def test_an_unknown_user_costs_as_much_as_a_known_one(make: Make) -> None:
    """The time of an answer must not reveal whether the user exists."""
    passwords = make(TASKLOOM_BCRYPT_ROUNDS="5")
    assert passwords._nobody.text.startswith("$2b$05$")
    assert (await passwords.hash("correct horse")).text.startswith("$2b$05$")


@pytest.mark.parametrize(
    "password",
    ["seven77", "x" * 101, "tab\tin between", "nul\0nul nul", "\u200b" * 12, " \u3164" * 6],
)
def test_refused(password: str) -> None:
    with pytest.raises(BadInput) as refused:
        acceptable(password, ("new_password",))
    assert refused.value.path == ("new_password",)
    assert password not in refused.value.message


def test_length_is_counted_in_characters_after_normalization() -> None:
    assert acceptable("e\u0301" * 100) == "\u00e9" * 100
    with pytest.raises(BadInput):
        acceptable("e\u0301" * 7)


async def test_another_pepper_makes_another_hash(make: Make) -> None:
    kept = await make().hash("correct horse")
    other = make(TASKLOOM_PASSWORD_PEPPER="another pepper, sixteen")
    assert not await other.verify("correct horse", kept)


async def test_a_new_pepper_keeps_old_passwords_until_they_are_hashed_again(make: Make) -> None:
    kept = await make(TASKLOOM_PASSWORD_PEPPER="first-pepper-of-all").hash("correct horse")
    later = make(
        TASKLOOM_PASSWORD_PEPPER="second-pepper-of-all",
        TASKLOOM_PASSWORD_PEPPER_VERSION="2",
        TASKLOOM_PASSWORD_PEPPERS_OLD="1:first-pepper-of-all",
    )
    assert await later.verify("correct horse", kept)
    assert later.outdated(kept)
    fresh = await later.hash("correct horse")
    assert fresh.pepper_version == 2
    assert not later.outdated(fresh)


async def test_a_hash_of_a_lost_pepper_matches_nothing_and_the_operator_is_told(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    passwords = make()
    kept = await passwords.hash("correct horse")
    assert not await passwords.verify("wrong horse", kept)
    assert caplog.text == ""
    assert not await passwords.verify("correct horse", PasswordHash(kept.text, 9))
    assert "pepper of version 9" in caplog.text
    assert "TASKLOOM_PASSWORD_PEPPERS_OLD" in caplog.text


async def test_a_higher_cost_makes_hashes_outdated(make: Make) -> None:
    kept = await make().hash("correct horse")
    assert make(TASKLOOM_BCRYPT_ROUNDS="5").outdated(kept)
    assert not make().outdated(kept)


async def test_the_queue_for_a_thread_is_limited(make: Make) -> None:
    """Later requests would wait longer than an operation may take."""
    # So slow that none finishes before all have started.
    passwords = make(TASKLOOM_BCRYPT_ROUNDS="10")
    most = passwords._threads * (_WAITING_PER_THREAD + 1)
    tries = await asyncio.gather(
        *(passwords.verify("correct horse", None) for _ in range(most + 1)), return_exceptions=True
    )
    assert [isinstance(one, Unavailable) for one in tries] == [False] * most + [True]


def test_old_peppers_are_checked_at_start() -> None:
    with pytest.raises(ValueError, match="PEPPER"):
        AuthSettings(TASKLOOM_PASSWORD_PEPPERS_OLD="no-number")  # type: ignore[call-arg]
