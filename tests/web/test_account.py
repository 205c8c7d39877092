"""`GET /auth/verify-email`: where the link of a mail leads."""

from __future__ import annotations

from auth.codes import AccountCodes
from auth.viewer import NOBODY
from domain import account_mail
from tests.factories import World, fresh_id


async def test_the_link_leads_to_the_web_application(world: World) -> None:
    ada = await world.person()
    id_ = fresh_id()
    sent = (id_, ada.id, ada.email)
    assert await world.house.do(NOBODY, account_mail.begin_verification, *sent)
    settings = world.services.settings
    token = AccountCodes(settings).token(id_)
    replies = [
        await world.http.get("/auth/verify-email", params={"token": given})
        for given in (token, token, "nonsense", "")
    ]
    front = settings.server.frontend_url
    assert [reply.status_code for reply in replies] == [303] * 4
    assert replies[0].headers["Location"] == f"{front}/email-verified?status=success"
    assert replies[0].headers["Referrer-Policy"] == "no-referrer"
    failed = f"{front}/email-verified?status=error&code=INVALID_CREDENTIALS"
    assert {reply.headers["Location"] for reply in replies[1:]} == {failed}
    verified = "{ viewer { emailVerifiedAt } }"
    assert (await world.post(verified, ada)).good["viewer"]["emailVerifiedAt"] is not None
