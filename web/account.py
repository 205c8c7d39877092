"""`/auth/verify-email` and `/auth/undo-email-change`: the targets of links in mails about an
account.

Opening one shows a page with a button (see `web.pages`). The button leads to the web application,
at `/email-verified` or `/email-change-undone`, with `status=success`, or `status=error` and the
error's code; a link that does not (or no longer) work leads there at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from html import escape
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from auth.limits import Rate, address_of
from domain.accounts import account_mail
from errors import Failure
from web.pages import PRIVATE, button, page
from web.runtime import Runtime


@dataclass(frozen=True, slots=True)
class _Link:
    """One kind of link: its page, what the button does, and where it leads."""

    title: str
    text: str
    label: str
    use: Callable[..., Awaitable[object]]
    leads_to: str


_LINKS = {
    "/auth/verify-email": _Link(
        "Confirm your email address",
        "Press the button to confirm that this address is yours.",
        "Confirm this address",
        account_mail.verify_by_link,
        "/email-verified",
    ),
    "/auth/undo-email-change": _Link(
        "Undo the change of your email address",
        "This restores the previous address, ends all sessions, and sends you a mail to choose a "
        "new password.",
        "Undo the change",
        account_mail.undo_change,
        "/email-change-undone",
    ),
}


def account_routes(runtime: Runtime) -> list[BaseRoute]:
    """Both routes."""
    return [
        Route(path, _route(runtime, link), methods=["GET", "POST"]) for path, link in _LINKS.items()
    ]


def _route(runtime: Runtime, link: _Link) -> Callable[[Request], Awaitable[Response]]:
    front = runtime.settings.server.frontend_url

    async def answer(request: Request) -> Response:
        services = runtime.services
        info = request.scope["taskloom.request"]
        token = request.query_params.get("token", "")
        found = {"status": "success"}
        try:
            await services.limits.take(Rate.LOGIN_FROM_ADDRESS, address_of(info))
            if request.method == "POST":
                use = partial(link.use, auth=services.authenticator, token=token)
                await runtime.change(use, info)
            else:
                ask = partial(account_mail.is_pending, auth=services.authenticator, token=token)
                if not await runtime.change(ask, info):
                    raise account_mail.invalid("token")
                body = f"<p>{escape(link.text)}</p>{button(link.label)}"
                return page(link.title, body, leads_to=front)
        except Failure as failure:
            found = {"status": "error", "code": failure.code.value}
        return RedirectResponse(f"{front}{link.leads_to}?{urlencode(found)}", 303, headers=PRIVATE)

    return answer
