"""`GET /auth/verify-email`: the link in a mail that verifies an address.

It leads to the web application, at `/email-verified`, with `status=success` or `status=error` and
the error's code.
"""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from auth.limits import Rate, address_of
from domain import account_mail
from errors import Failure
from web.changes import change
from web.runtime import Runtime

# The address has a token in it: it goes to no other site, and stays in no cache.
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


def account_routes(runtime: Runtime) -> list[BaseRoute]:
    """The one route."""

    async def verify(request: Request) -> Response:
        services = runtime.services
        info = request.scope["taskloom.request"]
        found = {"status": "success"}
        try:
            await services.limits.take(Rate.LOGIN_FROM_ADDRESS, address_of(info))
            async with change(runtime, info) as work:
                await account_mail.verify_by_link(
                    work, services.authenticator, token=request.query_params.get("token", "")
                )
        except Failure as failure:
            found = {"status": "error", "code": failure.code.value}
        target = f"{services.settings.server.frontend_url}/email-verified?{urlencode(found)}"
        return RedirectResponse(target, 303, headers=_HEADERS)

    return [Route("/auth/verify-email", verify, methods=["GET"])]
