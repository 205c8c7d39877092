"""Rate limits: each error says how long to wait, and each limit expires."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator

import pytest

from auth.limits import Limits, Rate, address_of
from auth.request import RequestInfo
from db.engine import Database
from errors import RateLimited
from settings import Settings
from tests.accounts import PASSWORD, Clock, House
from tests.graph_api import Api, Reply

LOGIN = """
mutation ($login: String!, $password: String!) {
  sessionCreate(input: {login: $login, password: $password}) {
    accessToken errors { code path }
  }
}
"""
CREATE = """
mutation { taskCreate(input: {title: "x"}) { task { id } errors { code } } }
"""
BULK = """
mutation ($input: TaskBulkCreateInput!) {
  taskBulkCreate(input: $input) { doneCount errors { code } }
}
"""
LIMITS = {
    "login_account": "5/minute;20/hour",
    "login_address": "30/minute",
    "registration": "10/hour",
    "task_creation": "6/hour",
}


@pytest.fixture
def limited(settings: Settings) -> Settings:
    limits = settings.limits.model_copy(update=LIMITS)
    return settings.model_copy(update={"limits": limits})


@pytest.fixture
async def api(limited: Settings, database: Database) -> AsyncIterator[Api]:
    house = House(limited, database)
    yield Api(house)
    house.auth.close()


def waits(reply: Reply) -> list[int]:
    """The waiting times of an answer whose errors are all `RATE_LIMITED`."""
    assert set(reply.codes) == {"RATE_LIMITED"}, reply.errors
    return [error["extensions"]["retryAfter"] for error in reply.errors]


async def test_an_account_is_tried_five_times_a_minute(api: Api) -> None:
    ada = await api.house.person()
    for attempt in range(5):
        # Each name of the account is the account.
        login = ada.username.upper() if attempt % 2 else ada.email
        reply = await api(LOGIN, login=login, password="wrong")
        assert reply.failures("sessionCreate") == [("INVALID_CREDENTIALS", "input.login")]
    # The right password is rejected too, from any address.
    reply = await api(LOGIN, ip="198.51.100.7", login=ada.username, password=PASSWORD)
    assert waits(reply) == [60]
    api.house.clock.forward(seconds=45)
    assert waits(await api(LOGIN, login=ada.username, password=PASSWORD)) == [15]
    api.house.clock.forward(seconds=15)
    reply = await api(LOGIN, login=ada.username, password=PASSWORD)
    assert reply.of("sessionCreate")["accessToken"]


async def test_an_account_is_tried_twenty_times_an_hour(api: Api) -> None:
    ada = await api.house.person()
    for _ in range(4):
        for _ in range(5):
            reply = await api(LOGIN, login=ada.username, password="wrong")
            assert reply.codes == []
        api.house.clock.forward(minutes=1)
    (wait,) = waits(await api(LOGIN, login=ada.username, password=PASSWORD))
    assert 55 * 60 <= wait <= 57 * 60


async def test_an_address_is_counted_over_all_accounts(api: Api) -> None:
    for _ in range(30):
        reply = await api(LOGIN, ip="198.51.100.1", login=secrets.token_hex(8), password="x")
        assert reply.codes == []
    reply = await api(LOGIN, ip="198.51.100.1", login="somebody", password="x")
    assert waits(reply) == [60]
    reply = await api(LOGIN, ip="198.51.100.2", login="somebody", password="x")
    assert reply.codes == []


async def test_aliases_count_one_by_one(api: Api) -> None:
    ada = await api.house.person()
    attempts = " ".join(
        f'a{n}: sessionCreate(input: {{login: "{ada.username}", password: "wrong{n}"}})'
        " { errors { code } }"
        for n in range(8)
    )
    reply = await api(f"mutation {{ {attempts} }}")
    refused = [name for name, payload in reply.data.items() if payload is None]
    assert refused == ["a5", "a6", "a7"]
    assert waits(reply) == [60, 60, 60]


async def test_registrations_by_address(api: Api) -> None:
    register = """
    mutation ($name: String!, $email: String!) {
      userRegister(input: {username: $name, email: $email, password: "correct horse"}) {
        errors { code }
      }
    }
    """

    async def attempt(ip: str) -> Reply:
        name = f"p{secrets.token_hex(6)}"
        return await api(register, ip=ip, name=name, email=f"{name}@example.com")

    # Addresses of one IPv6 network are one customer's.
    for host in range(10):
        assert (await attempt(f"2001:db8::{host:x}")).failures("userRegister") == []
    (wait,) = waits(await attempt("2001:db8::ffff"))
    assert wait == 3600
    assert (await attempt("2001:db8:0:1::1")).failures("userRegister") == []


async def test_each_item_of_a_bulk_is_a_new_task(api: Api) -> None:
    ada, bob = await api.house.person(), await api.house.person()
    items = [{"title": f"t{n}"} for n in range(4)]
    reply = await api(BULK, ada, input={"items": items, "dryRun": True})
    reply = await api(BULK, ada, input={"items": items})
    assert reply.of("taskBulkCreate")["doneCount"] == 4
    reply = await api(BULK, ada, input={"items": items[:3]})
    assert waits(reply) == [3600]
    assert (await api(CREATE, ada)).failures("taskCreate") == []
    assert (await api(CREATE, ada)).failures("taskCreate") == []
    assert waits(await api(CREATE, ada)) == [3600]
    assert (await api(CREATE, bob)).failures("taskCreate") == []


async def test_the_own_password_cannot_be_tried_for_ever(api: Api) -> None:
    ada = await api.house.person()
    change = """
    mutation { passwordChange(input: {currentPassword: "no", newPassword: "correct horse"}) {
      errors { code } } }
    """
    for _ in range(5):
        assert (await api(change, ada)).codes == []
    assert waits(await api(change, ada)) == [60]


@pytest.mark.redis
async def test_processes_count_together_by_redis(limited: Settings, redis_url: str) -> None:
    clock = Clock()
    prefix = f"t{secrets.token_hex(4)}:"
    redis = limited.redis.model_copy(update={"url": redis_url, "prefix": prefix})
    shared = limited.model_copy(update={"redis": redis})
    one, two = Limits(shared, clock), Limits(shared, clock)
    try:
        for limits in (one, two, one, two, one):
            await limits.take(Rate.LOGIN_OF_ACCOUNT, "ada")
        for limits in (one, two):
            with pytest.raises(RateLimited) as failure:
                await limits.take(Rate.LOGIN_OF_ACCOUNT, "ada")
            assert 1 <= failure.value.retry_after <= 60
        spent = await one.spend("ada", 30, clock())
        assert (await two.spend("ada", 12, clock())).remaining == spent.remaining - 12
    finally:
        await one.close()
        await two.close()


@pytest.mark.redis
async def test_processes_share_one_budget(limited: Settings, redis_url: str) -> None:
    clock = Clock()
    budget = limited.limits.model_copy(update={"cost_budget": 200})
    redis = limited.redis.model_copy(
        update={"url": redis_url, "prefix": f"{secrets.token_hex(4)}:"}
    )
    shared = limited.model_copy(update={"redis": redis, "limits": budget})
    processes = [Limits(shared, clock) for _ in range(4)]
    chance = random.Random(5)
    try:
        spent = 0
        for _ in range(300):
            points = chance.randint(1, 3)
            answer = await chance.choice(processes).spend("ada", points, clock())
            spent += answer.charged
            assert answer.charged in (0, points)
        # Each of the others may have charged a tenth that the last one did not know.
        assert 197 < spent <= 200 + 3 * 20
        await asyncio.sleep(0.3)
        for one in processes:
            assert (await one.spend("ada", 3, clock())).exceeded
    finally:
        for one in processes:
            await one.close()


async def test_without_redis_each_counts_for_itself(limited: Settings) -> None:
    """A Redis that went away makes logins neither fail nor free."""
    clock = Clock()
    redis = limited.redis.model_copy(update={"url": "unix:///nowhere/redis.sock"})
    limits = Limits(limited.model_copy(update={"redis": redis}), clock)
    try:
        for _ in range(5):
            await limits.take(Rate.LOGIN_OF_ACCOUNT, "ada")
        with pytest.raises(RateLimited):
            await limits.take(Rate.LOGIN_OF_ACCOUNT, "ada")
    finally:
        await limits.close()


def test_addresses() -> None:
    def name(ip: str | None) -> str:
        return address_of(RequestInfo(id="x", ip=ip))

    assert name("192.0.2.1") == "192.0.2.1"
    assert name("::ffff:192.0.2.1") == "192.0.2.1"
    assert name("2001:db8::1") == name("2001:db8::2") == "2001:db8::/64"
    assert name(None) == "unknown"
