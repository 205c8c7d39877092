"""OAuth 2 for standard clients: `POST /auth/token` (RFC 6749) and `POST /auth/revoke` (RFC 7009).

Tokens are those of `sessionCreate` and `sessionRefresh`, by the grant types `password` and
`refresh_token`. Clients are public: an application in a browser or on a phone cannot keep a secret,
so `client_id` is accepted and ignored. Bodies are forms, and errors are those of the RFC.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from auth.limits import Rate, address_of
from domain.accounts import session as sessions
from domain.accounts.session import Grant
from errors import ErrorCode, Failure, RateLimited
from web.requests import BadRequest, Disconnected, read_body
from web.runtime import Runtime

log = logging.getLogger("taskloom.oauth")

_LONGEST: Final = 10_000
_MOST_FIELDS: Final = 20
# Tokens must not be cached (RFC 6749, 5.1).
_HEADERS: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}

Form = Mapping[str, str]


class OAuthError(Exception):
    """An error of RFC 6749, 5.2. `headers` come along."""

    def __init__(
        self,
        error: str,
        description: str,
        *,
        status: int = 400,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(error)
        self.status = status
        self.headers = dict(headers or {})
        self.body = {"error": error, "error_description": description}


def oauth_routes(runtime: Runtime) -> list[BaseRoute]:
    """Both routes."""

    async def token(request: Request) -> Response:
        form = await _form(request)
        grant_type = _field(form, "grant_type")
        if grant_type == "password":
            grant = await _by_password(runtime, request, form)
        elif grant_type == "refresh_token":
            grant = await _by_refresh_token(runtime, request, form)
        else:
            raise OAuthError(
                "unsupported_grant_type", "grant_type must be password or refresh_token."
            )
        lifetime = grant.expires_at - runtime.services.clock()
        return _json(
            {
                "access_token": grant.access_token,
                "token_type": "Bearer",
                "expires_in": max(int(lifetime.total_seconds()), 0),
                "refresh_token": grant.refresh_token,
            }
        )

    async def revoke(request: Request) -> Response:
        form = await _form(request)
        text = _field(form, "token")
        revoked = partial(sessions.revoke_by_token, auth=runtime.services.authenticator, token=text)
        await runtime.change(revoked, request.scope["taskloom.request"])
        # An unknown token counts as revoked (RFC 7009, 2.2).
        return Response(status_code=200, headers=_HEADERS)

    return [
        Route("/auth/token", _in_terms_of_oauth(token), methods=["POST"]),
        Route("/auth/revoke", _in_terms_of_oauth(revoke), methods=["POST"]),
    ]


async def _by_password(runtime: Runtime, request: Request, form: Form) -> Grant:
    services, info = runtime.services, request.scope["taskloom.request"]
    login, password = _field(form, "username"), _field(form, "password")
    await services.limits.take(Rate.LOGIN_FROM_ADDRESS, address_of(info))
    account = await sessions.account_of(services.authenticator, login)
    await services.limits.take(Rate.LOGIN_OF_ACCOUNT, account)
    created = partial(
        sessions.create,
        auth=services.authenticator,
        login=login,
        password=password,
        device_name=form.get("device_name"),
    )
    return await runtime.change(created, info)


async def _by_refresh_token(runtime: Runtime, request: Request, form: Form) -> Grant:
    refresh_token = _field(form, "refresh_token")
    refreshed = partial(
        sessions.refresh, auth=runtime.services.authenticator, refresh_token=refresh_token
    )
    return await runtime.change(refreshed, request.scope["taskloom.request"])


async def _form(request: Request) -> Form:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/x-www-form-urlencoded":
        raise OAuthError(
            "invalid_request", "Send a form: Content-Type application/x-www-form-urlencoded."
        )
    try:
        body = (await read_body(request.receive, _LONGEST)).decode("ascii")
        pairs = parse_qsl(
            body, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except (ValueError, BadRequest):
        raise OAuthError("invalid_request", "The body must be a short form in UTF-8.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise OAuthError("invalid_request", "A parameter is given more than once.")
    return form


def _field(form: Form, name: str) -> str:
    value = form.get(name)
    if not value:
        raise OAuthError("invalid_request", f"The parameter {name} is missing.")
    return value


def _in_terms_of_oauth(
    route: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """Answer failures as the RFC defines; faults are handled by `web.middleware`."""

    async def answer(request: Request) -> Response:
        try:
            return await route(request)
        except OAuthError as error:
            return _json(error.body, error.status, error.headers)
        except Disconnected:
            return Response(status_code=400)
        except Failure as failure:
            reply = _of_failure(failure)
            return _json(reply.body, reply.status, reply.headers)

    return answer


def _of_failure(failure: Failure) -> OAuthError:
    if isinstance(failure, RateLimited):
        # The only registered code for it (RFC 8628).
        return OAuthError(
            "slow_down",
            failure.message,
            status=429,
            headers={"Retry-After": str(failure.retry_after)},
        )
    if failure.code is ErrorCode.UNAVAILABLE:
        return OAuthError("temporarily_unavailable", failure.message, status=503)
    if failure.code in {ErrorCode.INVALID_CREDENTIALS, ErrorCode.ACCOUNT_INACTIVE}:
        return OAuthError("invalid_grant", failure.message)
    return OAuthError("invalid_request", failure.message)


def _json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        orjson.dumps(body), status, {**_HEADERS, **(headers or {})}, media_type="application/json"
    )
