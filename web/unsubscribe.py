"""`/unsubscribe`: stop mails without signing in.

Programs that check links in mails open them too, so opening it (GET) only asks; the button and the
one-click unsubscription of mail programs (RFC 8058) both send a POST.
"""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from auth.links import UnsubscribeLinks, Unsubscription
from auth.request import RequestInfo
from db.models import NotificationKind
from domain.notifications.notification import named, stop_mail
from web.pages import button, page
from web.runtime import Runtime


def unsubscribe_routes(runtime: Runtime) -> list[BaseRoute]:
    """The page, and the target of its buttons and of mail programs."""
    links = UnsubscribeLinks(runtime.settings)

    async def unsubscribe(request: Request) -> Response:
        token = request.query_params.get("token", "")
        wanted = links.verified(token)
        if wanted is None:
            return _page("<p>This link is invalid.</p>", 400)
        if request.method != "POST":  # GET, and HEAD with it
            return _page(_question(token, wanted))
        kinds = None if request.query_params.get("all") == "1" else _kinds(wanted)
        info = RequestInfo(id=uuid4().hex)
        await runtime.change(lambda work: stop_mail(work, wanted.user_id, kinds), info)
        return _page("<p>You will no longer receive these mails.</p>")

    return [Route("/unsubscribe", unsubscribe, methods=["GET", "POST"])]


def _kinds(wanted: Unsubscription) -> list[NotificationKind]:
    known = {kind.value for kind in NotificationKind}
    return [NotificationKind(kind) for kind in wanted.kinds if kind in known]


def _question(token: str, wanted: Unsubscription) -> str:
    kinds = _kinds(wanted)
    # Relative, since the server may be below some path.
    address = f"?{urlencode({'token': token})}"
    some = button(f"Unsubscribe from mails about {named(kinds)}", address) if kinds else ""
    return some + button("Unsubscribe from all notifications by mail", f"{address}&all=1")


def _page(body: str, status: int = 200) -> Response:
    return page("Notifications by mail", body, status)
