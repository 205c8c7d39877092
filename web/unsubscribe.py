"""`/unsubscribe`: no more mail, for whoever holds a mail and is not signed in.

Programs that check the links of mails open them too, so opening it (GET) only asks; the button and
the mail programs' one click (RFC 8058) both send a POST.
"""

from __future__ import annotations

from html import escape
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from auth.links import UnsubscribeLinks, Unsubscription
from auth.request import RequestInfo
from auth.viewer import NOBODY
from db.models import NotificationKind
from domain.notification import named, stop_mail
from domain.work import begin
from web.runtime import Runtime

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "Referrer-Policy": "no-referrer",
}


def unsubscribe_routes(runtime: Runtime) -> list[BaseRoute]:
    """The page, and what its buttons and mail programs send."""
    links = UnsubscribeLinks(runtime.settings)

    async def unsubscribe(request: Request) -> Response:
        token = request.query_params.get("token", "")
        wanted = links.verified(token)
        if wanted is None:
            return _page("<p>This link is not valid.</p>", 400)
        if request.method == "GET":
            return _page(_question(token, wanted))
        kinds = None if request.query_params.get("all") == "1" else _kinds(wanted)
        info = RequestInfo(id=uuid4().hex)
        services = runtime.services
        async with begin(services.database, NOBODY, now=services.clock(), request=info) as work:
            await stop_mail(work, wanted.user_id, kinds)
        return _page("<p>You will get no more of these mails.</p>")

    return [Route("/unsubscribe", unsubscribe, methods=["GET", "POST"])]


def _kinds(wanted: Unsubscription) -> list[NotificationKind]:
    known = {kind.value for kind in NotificationKind}
    return [NotificationKind(kind) for kind in wanted.kinds if kind in known]


def _question(token: str, wanted: Unsubscription) -> str:
    kinds = _kinds(wanted)
    address = f"/unsubscribe?token={escape(token, quote=True)}"
    some = (
        f'<form method="post" action="{address}"><button>No more mail about '
        f"{escape(named(kinds))}</button></form>"
        if kinds
        else ""
    )
    every = (
        f'<form method="post" action="{address}&amp;all=1">'
        "<button>No more notifications by mail at all</button></form>"
    )
    return some + every


def _page(body: str, status: int = 200) -> Response:
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Unsubscribe</title>'
        "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:4rem auto;"
        "padding:0 1rem}button{font:inherit;padding:.5rem 1rem;margin:.5rem 0}</style></head>"
        f"<body><h1>Notifications by mail</h1>{body}</body></html>",
        status,
        headers=_HEADERS,
    )
