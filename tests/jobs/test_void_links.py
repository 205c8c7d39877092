"""What ends with the credentials: codes and links that are pending, and what the former address
hears of it. By what really arrives in a mailbox.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import select

from auth.codes import AccountCodes
from auth.viewer import NOBODY
from db import models
from domain.accounts import account_mail, credentials, session, user
from domain.accounts.account_mail import InvalidCode
from errors import AlreadyExists
from tests.accounts import PASSWORD, House, Person
from tests.factories import fresh_id
from tests.graph_api import Api
from tests.jobs.conftest import MailServer, Workshop
from tests.jobs.test_account_mail import (
    CHANGE,
    NEW,
    REQUEST,
    REQUEST_RESET,
    RESET,
    VERIFY,
    Post,
    digits,
    link,
)


@pytest.fixture
def post(house: House, workshop: Workshop, mail: MailServer) -> Post:
    return Post(Api(house), house, workshop, mail)


def _new_address() -> str:
    return f"{secrets.token_hex(6)}@example.org"


async def _change_password(post: Post, ada: Person) -> None:
    await post.house.do(
        ada.viewer,
        user.change_password,
        post.house.auth,
        current_password=PASSWORD,
        new_password=NEW,
    )


async def _reset_password(post: Post, ada: Person) -> None:
    token = await post.reset_token(ada)
    assert (await post.api(RESET, token=token, password=NEW)).of("passwordReset") == {"errors": []}


async def _change_email(post: Post, ada: Person) -> None:
    await change_email(post, ada, _new_address())


async def _by_admin(
    post: Post, operation: Callable[..., Awaitable[object]], *given: object
) -> None:
    admin = await post.house.admin()
    await post.house.do(admin.viewer, operation, post.house.auth, *given)


async def change_email(post: Post, ada: Person, address: str) -> None:
    """By the link that the new address got."""
    reply = await post.api(CHANGE, ada, email=address, password=PASSWORD)
    assert reply.failures("emailChangeRequest") == []
    token = link(await post.latest(address))
    assert (await post.api(VERIFY, proof={"token": token})).of("emailVerify")["email"] == address


async def undo_link(post: Post, address: str) -> str:
    return link(await post.latest(address, "/auth/undo-email-change?"))


async def undo(post: Post, token: str) -> models.User:
    return await post.house.do(NOBODY, account_mail.undo_change, post.house.auth, token=token)


CHANGES: dict[str, Callable[[Post, Person], Awaitable[None]]] = {
    "password changed": _change_password,
    "password reset": _reset_password,
    "address changed": _change_email,
    "address changed by an administrator": lambda post, ada: _by_admin(
        post, user.administer, ada.id, {"email": _new_address()}
    ),
    "sessions ended by an administrator": lambda post, ada: _by_admin(
        post, user.revoke_sessions, ada.id
    ),
    "deactivated": lambda post, ada: _by_admin(post, user.deactivate, ada.id),
}


async def _dead(post: Post, ada: Person, reset: str, change: tuple[str, str]) -> None:
    """Neither the link to a new password, nor the link and the code for another address work."""
    before = (await post.user(ada)).email
    reply = await post.api(RESET, token=reset, password="a thief's password")
    assert reply.failures("passwordReset") == [("INVALID_CREDENTIALS", "input.token")]
    code, token = change
    reply = await post.api(VERIFY, proof={"token": token})
    assert reply.failures("emailVerify") == [("INVALID_CREDENTIALS", "input.proof.token")]
    with pytest.raises(InvalidCode):
        await post.house.do(ada.viewer, account_mail.verify_by_code, post.house.auth, code=code)
    assert (await post.user(ada)).email == before


@pytest.mark.parametrize("mailed", [True, False], ids=["mailed", "still queued"])
@pytest.mark.parametrize("change", CHANGES)
async def test_what_a_thief_asked_for_is_void(post: Post, change: str, mailed: bool) -> None:
    ada, evil = await post.house.person(), _new_address()
    await post.api(REQUEST_RESET, email=ada.email)
    await post.api(CHANGE, ada, email=evil, password=PASSWORD)
    if mailed:
        reset = link(await post.latest(ada.email, "/reset-password?"))
        wanted = await post.latest(evil)
        pending = (digits(wanted), link(wanted))
    post.house.clock.forward(seconds=1)
    await CHANGES[change](post, ada)
    post.house.clock.forward(seconds=1)
    if mailed:
        await _dead(post, ada, reset, pending)
    await post.workshop.run_due()
    for letter in (*post.server.to(ada.email), *post.server.to(evil)):
        if "/reset-password?token=" in letter.text:
            reply = await post.api(RESET, token=link(letter), password="a thief's password")
            assert reply.failures("passwordReset")
        elif "/auth/verify-email?token=" in letter.text:
            assert (await post.api(VERIFY, proof={"token": link(letter)})).failures("emailVerify")
    # The former owner of the account is notified.
    subjects = [str(letter.message["Subject"]) for letter in post.server.to(ada.email)]
    assert any(subject in _SUBJECTS for subject in subjects), subjects


_SUBJECTS = {
    "Your password was changed",
    "Your password was reset",
    "Your email address was changed",
    "An administrator ended your sessions",
    "Your account was deactivated",
}


async def test_the_account_is_not_taken_over_after_the_password_was_changed(post: Post) -> None:
    """The attack as it was found: a change to the thief's address, confirmed after recovery."""
    ada, evil = await post.house.person(), _new_address()
    thief = await post.house.login(ada)
    await post.api(CHANGE, thief.access_token, email=evil, password=PASSWORD)
    token = link(await post.latest(evil))
    await _change_password(post, ada)
    assert (await post.api(VERIFY, proof={"token": token})).failures("emailVerify")
    await post.api(REQUEST_RESET, email=evil)
    await post.workshop.run_due()
    assert [one for one in post.server.to(evil) if "reset-password" in one.text] == []
    assert (await post.house.login(ada, NEW)).viewer.user_id == ada.id


async def test_what_was_asked_for_during_the_change_is_void_too(post: Post) -> None:
    """A password takes a while to be hashed; until then the former one is good."""
    ada, evil = await post.house.person(), _new_address()
    began = post.house.clock()
    post.house.clock.forward(seconds=0.2)
    await post.api(CHANGE, ada, email=evil, password=PASSWORD)
    await post.api(REQUEST_RESET, email=ada.email)
    post.house.clock.now = began
    await _change_password(post, ada)
    post.house.clock.forward(seconds=1)
    await post.workshop.run_due()
    assert post.server.to(evil) == []
    (letter,) = post.server.to(ada.email)
    assert letter.message["Subject"] == "Your password was changed"


async def test_what_is_asked_for_afterwards_works(post: Post) -> None:
    ada = await post.house.person()
    await _change_password(post, ada)
    token = await post.reset_token(ada)
    assert (await post.api(RESET, token=token, password=PASSWORD)).of("passwordReset") == {
        "errors": []
    }


async def test_a_link_that_was_used_is_not_revived_by_its_job(post: Post) -> None:
    """A worker that was killed after it had sent the mail runs the job again."""
    ada = await post.house.person()
    job = (fresh_id(), ada.email, post.house.clock())
    assert await post.house.do(NOBODY, account_mail.begin_reset, *job) is not None
    token = AccountCodes(post.house.settings).token(job[0])
    post.house.clock.forward(seconds=1)
    assert (await post.api(RESET, token=token, password=NEW)).of("passwordReset") == {"errors": []}
    assert await post.house.do(NOBODY, account_mail.begin_reset, *job) is None
    assert (await post.api(RESET, token=token, password=PASSWORD)).failures("passwordReset")


async def test_voiding_and_mailing_take_turns(post: Post) -> None:
    """However they fall together, no link is left, and neither waits for the other for ever."""
    ada = await post.house.person()
    for _ in range(5):
        asked_at = post.house.clock()
        post.house.clock.forward(seconds=1)
        ids = [fresh_id() for _ in range(4)]
        async with asyncio.timeout(60):
            await asyncio.gather(
                *(
                    post.house.do(NOBODY, account_mail.begin_reset, id_, ada.email, asked_at)
                    for id_ in ids
                ),
                _revoke(post, ada),
            )
        async with post.house.database.session() as session_:
            left = select(models.AccountCode.id).where(models.AccountCode.user_id == ada.id)
            assert await session_.scalar(left) is None


# --- undoing a change of address -----------------------------------------------------------------


async def test_the_former_address_undoes_a_change(post: Post) -> None:
    ada, evil = await post.house.person(), _new_address()
    old = ada.email
    await change_email(post, ada, evil)
    token = await undo_link(post, old)
    # What the thief does meanwhile does not void it.
    thief = await post.house.login(ada)
    await post.house.do(
        thief.viewer,
        user.change_password,
        post.house.auth,
        current_password=PASSWORD,
        new_password=NEW,
    )
    await post.api(REQUEST_RESET, email=evil)
    await post.workshop.run_due()
    stolen = [link(one) for one in post.server.to(evil) if "reset-password" in one.text]
    assert len(stolen) == 1
    post.house.clock.forward(hours=71)
    restored = await undo(post, token)
    assert restored.email == old
    row = await post.user(ada)
    assert row.email == old
    assert row.email_verified_at is not None
    # The thief is out: no session, no link, no address.
    assert not await post.house.auth.still_valid(thief.viewer.credentials)
    assert (await post.api(RESET, token=stolen[0], password=PASSWORD)).failures("passwordReset")
    # The owner has a link to choose another password than the thief's, and the thief is notified.
    post.house.clock.forward(seconds=1)
    reset = link(await post.latest(old, "/reset-password?"))
    assert (await post.api(RESET, token=reset, password=PASSWORD)).of("passwordReset") == {
        "errors": []
    }
    assert "undone" in str(post.server.to(evil)[-1].message["Subject"])
    # Once.
    with pytest.raises(InvalidCode):
        await undo(post, token)


async def test_it_works_for_72_hours(post: Post) -> None:
    ada = await post.house.person()
    await change_email(post, ada, _new_address())
    token = await undo_link(post, ada.email)
    post.house.clock.forward(hours=72)
    with pytest.raises(InvalidCode):
        await undo(post, token)


async def test_the_first_address_beats_the_later_ones(post: Post) -> None:
    """A thief who changes the address twice does not get the last word."""
    ada, evil, worse = await post.house.person(), _new_address(), _new_address()
    await change_email(post, ada, evil)
    first = await undo_link(post, ada.email)
    post.house.clock.forward(minutes=2)
    await change_email(post, ada, worse)
    second = await undo_link(post, evil)
    post.house.clock.forward(minutes=2)
    await undo(post, second)
    assert (await post.user(ada)).email == evil
    post.house.clock.forward(minutes=2)
    assert (await undo(post, first)).email == ada.email
    with pytest.raises(InvalidCode):
        await undo(post, second)


async def test_the_former_address_is_kept_for_its_account(post: Post) -> None:
    """Else a thief registers it, and the change can never be undone."""
    ada, ben = await post.house.person(), await post.house.person()
    await change_email(post, ada, _new_address())
    token = await undo_link(post, ada.email)
    with pytest.raises(AlreadyExists):
        await post.house.do(
            NOBODY,
            user.register,
            post.house.auth,
            username=f"u{secrets.token_hex(6)}",
            email=ada.email.upper(),
            password=PASSWORD,
        )
    await post.api(CHANGE, ben, email=ada.email, password=PASSWORD)
    stolen = link(await post.latest(ada.email))
    assert (await post.api(VERIFY, proof={"token": stolen})).failures("emailVerify")
    assert (await undo(post, token)).email == ada.email


async def test_an_administrators_change_is_final(post: Post) -> None:
    """It may be made because the former mailbox is in the wrong hands."""
    ada = await post.house.person()
    await change_email(post, ada, _new_address())
    token = await undo_link(post, ada.email)
    current = (await post.user(ada)).email
    await _by_admin(post, user.administer, ada.id, {"email": _new_address()})
    letter = await post.latest(current, "address of your account was changed")
    assert "undo" not in letter.text
    with pytest.raises(InvalidCode):
        await undo(post, token)


async def test_an_administrators_own_change_can_be_undone(post: Post) -> None:
    admin = await post.house.admin()
    await post.house.do(
        admin.viewer, user.administer, post.house.auth, admin.id, {"email": _new_address()}
    )
    assert (await undo(post, await undo_link(post, admin.email))).email == admin.email


async def test_signed_in_as_somebody_else_it_is_no_administrators_change(post: Post) -> None:
    """The former address can undo it, regardless of who opens the link."""
    ada, ben, new = await post.house.person(), await post.house.person(), _new_address()
    await post.api(CHANGE, ada, email=new, password=PASSWORD)
    token = link(await post.latest(new))
    assert (await post.api(VERIFY, ben, proof={"token": token})).of("emailVerify")["email"] == new
    assert (await undo(post, await undo_link(post, ada.email))).email == ada.email


async def test_verifying_ones_own_address_voids_nothing(post: Post) -> None:
    ada = await post.house.person()
    reset = await post.reset_token(ada)
    assert (await post.api(REQUEST, ada)).failures("emailVerificationRequest") == []
    fresh = {"token": link(await post.latest(ada.email))}
    assert (await post.api(VERIFY, proof=fresh)).of("emailVerify")
    assert (await post.api(RESET, token=reset, password=NEW)).of("passwordReset") == {"errors": []}


async def _revoke(post: Post, ada: Person) -> None:
    async with post.house.work() as work:
        row = await work.session.get_one(models.User, ada.id, with_for_update=True)
        await credentials.void_pending(work, row, credentials.Change.SESSIONS_REVOKED)
        await session.end_sessions(work, post.house.auth, ada.id, "test")


async def test_a_thief_who_is_an_administrator_does_not_void_the_link(post: Post) -> None:
    """To one's own account one is not an administrator."""
    admin = await post.house.admin()
    await change_email(post, admin, _new_address())
    token = await undo_link(post, admin.email)
    await post.house.do(admin.viewer, user.revoke_sessions, post.house.auth, admin.id)
    assert (await undo(post, token)).email == admin.email
