"""Password resets and verified addresses in the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import strawberry

from db import models
from domain.accounts import account_mail as domain
from domain.accounts.account_mail import Sent
from domain.work import Work
from errors import BadInput, Failure
from graph.core.context import Context
from graph.core.fields import derived
from graph.core.inputs import MutationInput, given, optional, required
from graph.kit import rates
from graph.kit.mutation import Outcome, Payload, Refs, mutation, payload, ref, value

if TYPE_CHECKING:
    from graph.types.accounts.user import User


@strawberry.type
class _SentPayload(Payload):
    """What all payloads have that promise a mail."""

    email: str | None = value("email", "The address that the mail goes to.")
    expires_in: int | None = value(
        "expires_in", "For how many seconds what is in the mail works, once it is sent."
    )


@payload(
    "The answer of `passwordResetRequest`; the same, and after the same time, whether there is "
    "such an account or not."
)
class PasswordResetRequestPayload(_SentPayload):
    """See `domain.accounts.account_mail.request_reset`."""


@payload("The answer of `passwordReset`.")
class PasswordResetPayload(Payload):
    """Nobody is signed in by it."""

    done: bool = derived(
        (),
        lambda source: bool(source.refs.get("done")),
        "Whether the password was set. Sign in with it now.",
    )


@payload("The answer of `emailVerificationRequest`.")
class EmailVerificationRequestPayload(_SentPayload):
    """See `domain.accounts.account_mail.request_verification`."""


@payload("The answer of `emailChangeRequest`.")
class EmailChangeRequestPayload(_SentPayload):
    """See `domain.accounts.account_mail.request_change`."""


@payload("The answer of `emailVerify`.")
class EmailVerifyPayload(Payload):
    """Whose address it is."""

    email: str | None = value("email", "The address that is verified now.")
    user: Annotated[User, strawberry.lazy("graph.types.accounts.user")] | None = ref(
        models.User, "You; null where a link was used signed out.", "user"
    )


@strawberry.input(description="A password that was forgotten.")
class PasswordResetRequestInput(MutationInput):
    """Input of `passwordResetRequest`."""

    email: str = required("The e-mail address of the account.")


@strawberry.input(description="Another password, by a link from a mail.")
class PasswordResetInput(MutationInput):
    """Input of `passwordReset`."""

    token: str = required("The parameter `token` of the link. It works once, within an hour.")
    new_password: str = required("8 to 100 characters of any script.")


@strawberry.input(description="Ask for a mail that verifies your address.")
class EmailVerificationRequestInput(MutationInput):
    """Input of `emailVerificationRequest`."""


@strawberry.input(description="Another e-mail address for yourself.")
class EmailChangeRequestInput(MutationInput):
    """Input of `emailChangeRequest`."""

    email: str = required("The new address; up to 100 characters.")
    password: str = required("Your password.")


@strawberry.input(description="The proof that an address is yours: give exactly one of both.")
class EmailVerifyInput(MutationInput):
    """Input of `emailVerify`."""

    code: str | None = optional(
        "The six digits from the mail, signed in. They can be tried 5 times, within 15 minutes."
    )
    token: str | None = optional("The parameter `token` of the link; signed in or not.")


async def _request_reset(work: Work, data: PasswordResetRequestInput) -> Refs:
    return _sent(await domain.request_reset(work, email=data.email))


async def _reset(context: Context, work: Work, data: PasswordResetInput) -> Refs:
    await domain.reset_password(
        work, context.services.authenticator, token=data.token, password=data.new_password
    )
    return {"done": True}


async def _request_verification(work: Work, _data: EmailVerificationRequestInput) -> Refs:
    return _sent(await domain.request_verification(work))


async def _request_change(context: Context, work: Work, data: EmailChangeRequestInput) -> Refs:
    auth = context.services.authenticator
    return _sent(await domain.request_change(work, auth, email=data.email, password=data.password))


async def _verify(context: Context, work: Work, data: EmailVerifyInput) -> Refs | Outcome:
    auth = context.services.authenticator
    code, token = given(data.code), given(data.token)
    if (code is None) == (token is None):
        raise BadInput("Give code or token, and not both.", path=("code",))
    if token is not None:
        user = await domain.verify_by_link(work, auth, token=token)
    else:
        found = await domain.verify_by_code(work, auth, code=code or "")
        if isinstance(found, Failure):
            # Not undone: that it was tried is kept.
            return Outcome({}, [found])
        user = found
    own = user.id if user.id == work.viewer.user_id else None
    return {"email": user.email, "user": own}


def _sent(sent: Sent) -> Refs:
    return {"email": sent.email, "expires_in": sent.expires_in}


@strawberry.type
class AccountMailMutation:
    """Root fields."""

    password_reset_request: PasswordResetRequestPayload = mutation(
        _request_reset,
        PasswordResetRequestInput,
        "Have a link sent with which a new password can be set. The answer does not tell whether "
        "there is such an account.",
        public=True,
        limit=rates.reset_mail,
    )
    password_reset: PasswordResetPayload = mutation(
        _reset,
        PasswordResetInput,
        "Set another password by the link from a mail. All sessions of the account end.",
        public=True,
        in_context=True,
        limit=rates.guess,
    )
    email_verification_request: EmailVerificationRequestPayload = mutation(
        _request_verification,
        EmailVerificationRequestInput,
        "Have a code and a link sent to your address, to show that it is yours. The latest one "
        "works.",
        limit=rates.own_mail,
    )
    email_change_request: EmailChangeRequestPayload = mutation(
        _request_change,
        EmailChangeRequestInput,
        "Have a code and a link sent to another address. It is yours once you give one of them to "
        "`emailVerify`; until then nothing changes.",
        in_context=True,
        limit=rates.own_mail,
    )
    email_verify: EmailVerifyPayload = mutation(
        _verify,
        EmailVerifyInput,
        "Show that an address is yours.",
        public=True,
        in_context=True,
        limit=rates.guess,
    )
