"""A new `TASKLOOM_SECRET`, with the previous one among the old secrets: users do not notice.

Two processes, as during a rolling restart: `before` has only the previous secret.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from pydantic import SecretStr

from auth.codes import AccountCodes
from auth.encryption import Encryption, Unreadable
from auth.links import UnsubscribeLinks
from db.engine import Database
from domain import idempotency
from domain.accounts import session
from files.links import Links
from settings import Settings
from tests.accounts import House

FORMER, PRESENT = "f" * 40, "p" * 40
# The secrets of the process before and of the one after.
Both = tuple[Settings, Settings]


def with_secrets(settings: Settings, secret: str, old: str = "") -> Settings:
    values = {"secret": SecretStr(secret), "old_secrets": SecretStr(old)}
    return settings.model_copy(update={"auth": settings.auth.model_copy(update=values)})


@pytest.fixture
def both(settings: Settings) -> Both:
    return with_secrets(settings, FORMER), with_secrets(settings, PRESENT, f"{'o' * 40} {FORMER}")


@pytest.fixture
def houses(both: Both, database: Database) -> Iterator[tuple[House, House]]:
    before, after = (House(one, database) for one in both)
    after.clock = before.clock
    after.auth._clock = before.clock
    yield before, after
    before.auth.close()
    after.auth.close()


async def test_sessions_continue(houses: tuple[House, House]) -> None:
    before, after = houses
    person = await before.person()
    assert (await after.auth.viewer(person.header)).user_id == person.id
    token = before.auth.mint_stream_token(person.viewer).token
    assert (await after.auth.use_stream_token(token)).user_id == person.id
    grant = await after.refresh(person.grant.refresh_token)
    assert (await after.refresh(grant.refresh_token)).viewer.user_id == person.id


async def test_a_lost_answer_from_before_is_repeated_after(houses: tuple[House, House]) -> None:
    before, after = houses
    person = await before.person()
    lost = await before.refresh(person.grant.refresh_token)
    again = await after.refresh(person.grant.refresh_token)
    assert again.refresh_token == lost.refresh_token
    assert (await after.refresh(again.refresh_token)).viewer.user_id == person.id


async def test_an_undelivered_successor_cannot_be_repeated(houses: tuple[House, House]) -> None:
    """The previous secret was not kept: the retry cannot be answered, and ends no session."""
    before, after = houses
    person = await before.person()
    lost = await after.refresh(person.grant.refresh_token)
    with pytest.raises(session.InvalidCredentials):
        await before.refresh(person.grant.refresh_token)
    assert (await after.refresh(lost.refresh_token)).viewer.user_id == person.id


async def test_a_repeat_from_before_is_recognized_after(houses: tuple[House, House]) -> None:
    before, after = houses
    person = await before.person()
    former, later = (
        idempotency.hash_input("m", {"a": 1}, house.settings.auth.secrets) for house in houses
    )
    async with before.work(person.viewer) as work:
        assert await idempotency.claim(work, "k", "m", former) is None
        await idempotency.remember(work, "k", {"done": True})
    async with after.work(person.viewer) as work:
        assert await idempotency.claim(work, "k", "m", later) == {"done": True}


def test_links_in_mails_and_addresses_stay_valid(both: Both) -> None:
    before, after = both
    id_ = uuid4()
    codes, later = AccountCodes(before), AccountCodes(after)
    assert later.id_of(codes.token(id_)) == id_
    assert later.is_code(id_, codes.code(id_))
    assert codes.id_of(later.token(id_)) is None
    token = UnsubscribeLinks(before).token(id_, [1])
    assert UnsubscribeLinks(after).verified(token) is not None
    now = dt.datetime.now(dt.UTC)
    link = parse_qs(urlsplit(Links(before).sign("GET", "/exports/x", now).url).query)
    given = link["expires"][0], link["signature"][0], now
    assert Links(after).allows("GET", "/exports/x", *given)
    assert not Links(after).allows("GET", "/exports/y", *given)


def test_encrypted_values_are_decrypted_and_encrypted_again(both: Both, settings: Settings) -> None:
    before, after = both
    sealed = Encryption(before).encrypt(b"a token")
    assert Encryption(after).decrypt(sealed) == b"a token"
    anew = Encryption(after).reencrypt(sealed)
    assert Encryption(with_secrets(settings, PRESENT)).decrypt(anew) == b"a token"
    with pytest.raises(Unreadable):
        Encryption(with_secrets(settings, PRESENT)).decrypt(sealed)
