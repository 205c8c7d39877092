"""Password resets and email verification in the schema."""

from __future__ import annotations

import datetime as dt

import strawberry

from domain.accounts import account_mail as domain
from domain.accounts.account_mail import Sent
from domain.work import Work
from errors import Failure
from graph.core.context import Context
from graph.core.inputs import MutationInput, given, optional, required
from graph.kit import rates
from graph.kit.mutation import (
    MutationPayload,
    Outcome,
    Refs,
    moment,
    mutation,
    payload,
    shared_payload,
    value,
)
from graph.types.accounts.account import LazyViewer, oneself


@shared_payload()
class _SentPayload(MutationPayload):
    """Fields of all payloads that announce a mail."""

    email: str | None = value("email", "The address the mail is sent to.")
    expires_at: dt.datetime | None = moment(
        "expires_at", "When the code or link in the mail expires; later if the mail is delayed."
    )


@payload(
    "Payload of `passwordResetRequest`. The answer and its timing are the same whether or not "
    "the account exists."
)
class PasswordResetRequestPayload(_SentPayload):
    """See `domain.accounts.account_mail.request_reset`."""


@payload("Payload of `passwordReset`. Without errors, the password was set; sign in with it.")
class PasswordResetPayload(MutationPayload):
    """Does not sign anyone in."""


@payload("Payload of `emailVerify`.")
class EmailVerifyPayload(MutationPayload):
    email: str | None = value("email", "The address that is now verified.")
    viewer: LazyViewer | None = oneself(
        "You; null if you used a link while signed out, or a link of another account."
    )


@strawberry.input(description="Input for `passwordResetRequest`.")
class PasswordResetRequestInput(MutationInput):
    email: str = required("The email address of the account.")


@strawberry.input(description="Input for `passwordReset`.")
class PasswordResetInput(MutationInput):
    token: str = required("The `token` parameter of the link. It works once, within one hour.")
    new_password: str = required("The new password, 8 to 100 characters in any script.")


@strawberry.input(description="Input for `emailVerificationRequest`; no field is required.")
class EmailVerificationRequestInput(MutationInput):
    """Input for `emailVerificationRequest`."""


@strawberry.input(description="Input for `emailChangeRequest`.")
class EmailChangeRequestInput(MutationInput):
    email: str = required("The new address, up to 100 characters.")
    password: str = required("Your current password.")


@strawberry.input(
    one_of=True, description="Proves that an address is yours. Provide exactly one field."
)
class EmailProofInput:
    """Part of `EmailVerifyInput`."""

    code: str | None = optional(
        "The six digits from the mail. Requires a signed-in session; valid for 15 minutes and 5 "
        "attempts."
    )
    token: str | None = optional(
        "The `token` parameter of the link. Works signed in or signed out."
    )


@strawberry.input(description="Input for `emailVerify`.")
class EmailVerifyInput(MutationInput):
    proof: EmailProofInput = required("The code or the token of the mail.")


async def _request_reset(work: Work, data: PasswordResetRequestInput) -> Refs:
    return _sent(await domain.request_reset(work, email=data.email))


async def _reset(context: Context, work: Work, data: PasswordResetInput) -> Refs:
    await domain.reset_password(
        work, context.services.authenticator, token=data.token, password=data.new_password
    )
    return {}


async def _request_verification(work: Work, _data: EmailVerificationRequestInput) -> Refs:
    return _sent(await domain.request_verification(work))


async def _request_change(context: Context, work: Work, data: EmailChangeRequestInput) -> Refs:
    auth = context.services.authenticator
    return _sent(await domain.request_change(work, auth, email=data.email, password=data.password))


async def _verify(context: Context, work: Work, data: EmailVerifyInput) -> Refs | Outcome:
    auth = context.services.authenticator
    code, token = given(data.proof.code), given(data.proof.token)
    try:
        if token is not None:
            user = await domain.verify_by_link(work, auth, token=token)
        else:
            found = await domain.verify_by_code(work, auth, code=code)
            if isinstance(found, Failure):
                # Committed rather than rolled back, so that the failed attempt is counted.
                found.under("proof")
                return Outcome({}, [found])
            user = found
    except Failure as failure:
        # Other fields of the input, such as the idempotency key, are not part of the proof.
        if failure.path[:1] in (("code",), ("token",)):
            failure.under("proof")
        raise
    return {"email": user.email, "user": user.id}


def _sent(sent: Sent) -> Refs:
    return {"email": sent.email, "expires_at": sent.expires_at}


@strawberry.type
class AccountMailMutation:
    password_reset_request: PasswordResetRequestPayload = mutation(
        _request_reset,
        PasswordResetRequestInput,
        "Sends a link for setting a new password. The answer does not reveal whether the "
        "account exists.",
        public=True,
        limit=rates.reset_mail,
    )
    password_reset: PasswordResetPayload = mutation(
        _reset,
        PasswordResetInput,
        "Sets a new password with the link from a mail. Ends all sessions of the account.",
        public=True,
        in_context=True,
        limit=rates.guess,
    )
    email_verification_request: _SentPayload = mutation(
        _request_verification,
        EmailVerificationRequestInput,
        "Sends a code and a link to your email address to verify that it is yours. Only the "
        "latest ones are valid.",
        limit=rates.own_mail,
    )
    email_change_request: _SentPayload = mutation(
        _request_change,
        EmailChangeRequestInput,
        "Sends a code and a link to a new email address. The address changes when you confirm "
        "one of them with `emailVerify`.",
        in_context=True,
        limit=rates.own_mail,
    )
    email_verify: EmailVerifyPayload = mutation(
        _verify,
        EmailVerifyInput,
        "Verifies an email address with a code or a link from a mail.",
        public=True,
        in_context=True,
        limit=rates.guess,
    )
