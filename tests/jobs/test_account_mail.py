"""Passwords reset and addresses verified, by what really arrives in a mailbox."""

from __future__ import annotations

import datetime as dt
import re
import secrets
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text

from auth.codes import AccountCodes
from db import models
from settings import load_settings
from tests.accounts import PASSWORD, House, Person
from tests.graph_api import Api, Reply
from tests.jobs.conftest import Letter, MailServer, Workshop

NEW = "another horse battery"
REQUEST_RESET = """
mutation ($email: String!) { passwordResetRequest(input: {email: $email}) {
  email expiresAt errors { code path } } }
"""
RESET = """
mutation ($token: String!, $password: String!) {
  passwordReset(input: {token: $token, newPassword: $password}) { errors { code path } } }
"""
REQUEST = """
mutation { emailVerificationRequest(input: {}) { email expiresAt errors { code path } } }
"""
CHANGE = """
mutation ($email: String!, $password: String!) {
  emailChangeRequest(input: {email: $email, password: $password}) {
    email expiresAt errors { code path } } }
"""
VERIFY = """
mutation ($proof: EmailProofInput!) { emailVerify(input: {proof: $proof}) {
  email viewer { user { id } email emailVerifiedAt } errors { code path message } } }
"""


@dataclass(slots=True)
class Post:
    """Asks the API, lets the worker do its work, and opens the mailbox."""

    api: Api
    house: House
    workshop: Workshop
    server: MailServer

    async def latest(self, address: str, text: str = "") -> Letter:
        """The latest letter that has this in its text; others may come at the same time."""
        await self.workshop.run_due()
        return [letter for letter in self.server.to(address) if text in letter.text][-1]

    async def reset_token(self, person: Person) -> str:
        reply = await self.api(REQUEST_RESET, email=person.email)
        assert reply.failures("passwordResetRequest") == []
        return link(await self.latest(person.email, "/reset-password?"))

    async def code(self, person: Person) -> tuple[str, str]:
        """The digits and the link's token."""
        assert (await self.api(REQUEST, person)).failures("emailVerificationRequest") == []
        letter = await self.latest(person.email)
        return digits(letter), link(letter)

    async def user(self, person: Person) -> models.User:
        async with self.house.database.session() as session:
            return await session.get_one(models.User, person.id)


def link(letter: Letter) -> str:
    match = re.search(r"token=([\w-]+)", letter.text)
    assert match is not None
    assert match[1] in letter.html
    return match[1]


def digits(letter: Letter) -> str:
    match = re.search(r"^\s+(\d{6})\s*$", letter.text, re.MULTILINE)
    assert match is not None
    return match[1]


def in_about(moment: str, length: dt.timedelta) -> bool:
    left = dt.datetime.fromisoformat(moment) - dt.datetime.now(dt.UTC)
    return length - dt.timedelta(minutes=2) < left <= length


@pytest.fixture
def post(house: House, workshop: Workshop, mail: MailServer) -> Post:
    return Post(Api(house), house, workshop, mail)


# --- passwords -----------------------------------------------------------------------------------


async def test_a_password_is_reset(post: Post) -> None:
    ada = await post.house.person()
    token = await post.reset_token(ada)
    reply = await post.api(RESET, token=token, password=NEW)
    assert reply.of("passwordReset") == {"errors": []}
    assert (await post.house.login(ada, NEW)).viewer.user_id == ada.id
    # All sessions have ended, and the address is proven to be hers.
    assert not await post.house.auth.still_valid(ada.viewer.credentials)
    assert (await post.user(ada)).email_verified_at is not None
    # Once.
    reply = await post.api(RESET, token=token, password=PASSWORD)
    assert reply.failures("passwordReset") == [("INVALID_CREDENTIALS", "input.token")]


async def test_the_answer_does_not_tell_who_has_an_account(post: Post) -> None:
    ada = await post.house.person()
    nobody = f"{secrets.token_hex(6)}@example.com"
    known = (await post.api(REQUEST_RESET, email=ada.email)).of("passwordResetRequest")
    unknown = (await post.api(REQUEST_RESET, email=nobody)).of("passwordResetRequest")
    for answer, address in ((known, ada.email), (unknown, nobody)):
        assert in_about(answer.pop("expiresAt"), dt.timedelta(hours=1))
        assert answer == {"email": address, "errors": []}
    await post.workshop.run_due()
    assert len(post.server.to(ada.email)) == 1
    assert post.server.to(nobody) == []


async def test_both_do_the_same_work(post: Post) -> None:
    """The same statements, and so the same time."""
    ada = await post.house.person()
    runs = []
    for email in (ada.email, f"{secrets.token_hex(6)}@example.com"):
        heard: list[str] = []
        post.house.database.listeners.append(heard.append)
        await post.api(REQUEST_RESET, email=email)
        post.house.database.listeners.remove(heard.append)
        runs.append(heard)
    assert runs[0] == runs[1]


async def test_a_link_is_good_for_an_hour_and_the_latest_counts(post: Post) -> None:
    ada = await post.house.person()
    first = await post.reset_token(ada)
    post.house.clock.forward(minutes=2)
    second = await post.reset_token(ada)
    assert first != second
    assert (await post.api(RESET, token=first, password=NEW)).failures("passwordReset")
    post.house.clock.forward(minutes=61)
    assert (await post.api(RESET, token=second, password=NEW)).failures("passwordReset")
    assert (await post.house.login(ada)).viewer.user_id == ada.id


async def test_a_bad_password_does_not_use_the_link_up(post: Post) -> None:
    ada = await post.house.person()
    token = await post.reset_token(ada)
    reply = await post.api(RESET, token=token, password="short")
    assert reply.failures("passwordReset") == [("BAD_USER_INPUT", "input.newPassword")]
    assert (await post.api(RESET, token=token, password=NEW)).of("passwordReset") == {"errors": []}


async def test_a_deactivated_account_gets_no_mail(post: Post) -> None:
    ada = await post.house.person()
    async with post.house.work() as work:
        user = await work.session.get_one(models.User, ada.id)
        user.is_active = False
    await post.api(REQUEST_RESET, email=ada.email)
    await post.workshop.run_due()
    assert post.server.to(ada.email) == []


# --- addresses -----------------------------------------------------------------------------------


async def test_an_address_is_verified_by_code(post: Post) -> None:
    ada = await post.house.person()
    reply = await post.api(REQUEST, ada)
    answer = reply.of("emailVerificationRequest")
    assert in_about(answer.pop("expiresAt"), dt.timedelta(minutes=15))
    assert answer == {"email": ada.email, "errors": []}
    code = digits(await post.latest(ada.email))
    spaced = f"{code[:3]} {code[3:]}"
    verified = (await post.api(VERIFY, ada, proof={"code": spaced})).of("emailVerify")
    assert verified["email"] == ada.email
    assert verified["viewer"]["emailVerifiedAt"] is not None
    # Once; and there is nothing left to verify.
    assert (await post.api(VERIFY, ada, proof={"code": code})).failures("emailVerify")
    (failure,) = (await post.api(REQUEST, ada)).failures("emailVerificationRequest")
    assert failure[0] == "BAD_USER_INPUT"


async def test_a_code_can_be_tried_five_times(post: Post) -> None:
    ada, ben = await post.house.person(), await post.house.person()
    code, _ = await post.code(ada)
    wrong = f"{(int(code) + 1) % 10**6:06}"
    for left in (4, 3, 2, 1, 0):
        (error,) = (await post.api(VERIFY, ada, proof={"code": wrong})).of("emailVerify")["errors"]
        assert error["code"] == "INVALID_CREDENTIALS"
        assert (str(left) if left else "request a new one") in error["message"]
    assert (await post.api(VERIFY, ada, proof={"code": code})).failures("emailVerify")
    # Somebody else's code is no code.
    other, _ = await post.code(ben)
    assert (await post.api(VERIFY, ada, proof={"code": other})).failures("emailVerify")
    assert (await post.api(VERIFY, ben, proof={"code": other})).failures("emailVerify") == []


async def test_a_code_is_good_for_fifteen_minutes(post: Post) -> None:
    ada = await post.house.person()
    code, token = await post.code(ada)
    post.house.clock.forward(minutes=14)
    ada.grant = await post.house.login(ada)
    post.house.clock.forward(minutes=1, seconds=1)
    for given_ in ({"code": code}, {"token": token}):
        reply: Reply = await post.api(VERIFY, ada, proof=given_)
        assert [code for code, _ in reply.failures("emailVerify")] == ["INVALID_CREDENTIALS"]


async def test_an_address_is_verified_by_link_signed_out(post: Post) -> None:
    ada = await post.house.person()
    _, token = await post.code(ada)
    verified = (await post.api(VERIFY, proof={"token": token})).of("emailVerify")
    assert verified == {"email": ada.email, "viewer": None, "errors": []}
    assert (await post.user(ada)).email_verified_at is not None


async def test_give_one_of_code_and_token(post: Post) -> None:
    for given_ in ({}, {"code": "1", "token": "x"}):
        reply = await post.api(VERIFY, proof=given_)
        assert reply.codes == ["BAD_USER_INPUT"]
    # A code without knowing whose it is.
    assert (await post.api(VERIFY, proof={"code": "123456"})).codes == ["UNAUTHENTICATED"]


async def test_an_address_is_changed_once_it_is_verified(post: Post) -> None:
    ada, ben = await post.house.person(), await post.house.person()
    new = f"{secrets.token_hex(6)}@example.org"
    wrong = await post.api(CHANGE, ada, email=new, password="wrong")
    assert wrong.failures("emailChangeRequest") == [("INVALID_CREDENTIALS", "input.password")]
    # Only the owner of the mailbox learns that an address is in use.
    taken = await post.api(CHANGE, ada, email=ben.email.upper(), password=PASSWORD)
    assert taken.failures("emailChangeRequest") == []
    token = link(await post.latest(ben.email.upper()))
    failures = (await post.api(VERIFY, proof={"token": token})).failures("emailVerify")
    assert [code for code, _ in failures] == ["ALREADY_EXISTS"]
    post.house.clock.forward(seconds=1)
    reply = await post.api(CHANGE, ada, email=new, password=PASSWORD)
    assert reply.failures("emailChangeRequest") == []
    code = digits(await post.latest(new))
    assert (await post.user(ada)).email == ada.email
    verified = (await post.api(VERIFY, ada, proof={"code": code})).of("emailVerify")
    assert verified["viewer"]["email"] == new
    assert (await post.user(ada)).email == new


async def test_what_is_in_the_mail_is_in_no_table(post: Post) -> None:
    ada = await post.house.person()
    token = await post.reset_token(ada)
    code, link_ = await post.code(ada)
    assert code
    async with post.house.database.session() as session:
        for table in ("account_codes", "jobs", "events", "idempotency_keys"):
            rows = await session.scalars(text(f"SELECT t::text FROM {table} t"))
            everything = "\n".join(rows)
            assert token not in everything
            assert link_ not in everything
        kept = await session.scalars(select(models.AccountCode.user_id))
        assert ada.id in set(kept)


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{43}", fullmatch=True))
def test_no_made_up_token_is_ours(token: str) -> None:
    assert AccountCodes(load_settings(env_file=None)).id_of(token) is None
