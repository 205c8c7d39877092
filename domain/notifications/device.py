"""Devices for push messages: apps register and unregister their tokens here."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from db.models import Device, Platform, Session
from domain import locks, rules
from domain.notifications.web_push import checked_keys
from domain.work import Work
from errors import ErrorCode, Failure, NotFound, Unauthenticated

MAX_DEVICES = 50
# What a device is called if its app does not say.
NAMES = {Platform.ANDROID: "Android", Platform.IOS: "iOS", Platform.WEB: "Web browser"}


@dataclass(frozen=True, slots=True)
class WebKeys:
    """The keys for encrypting messages to a browser, in base64url."""

    p256dh: str
    auth: str


async def register(
    work: Work, token: str, platform: Platform, name: str | None, keys: WebKeys | None = None
) -> UUID:
    """Store a push token for the viewer, until their session is revoked. A token that is already
    registered becomes the viewer's.

    With `keys`, the token is the endpoint of a browser's Web Push subscription.
    """
    user_id = work.viewer.require()
    where: tuple[str, ...] = ("target", "token") if keys is None else ("target", "web_push")
    place = where if keys is None else (*where, "endpoint")
    clean = _checked_token(token, place)
    label = rules.optional_text(name, ("name",), most=100)
    p256dh, auth = (
        (None, None) if keys is None else checked_keys(keys.p256dh, keys.auth, (*where, "keys"))
    )
    # In this order, as a new password locks them.
    await locks.lock_owner(work)
    await _demand_session(work)
    count = await work.session.scalar(
        select(func.count()).where(Device.user_id == user_id, Device.token != clean)
    )
    if (count or 0) >= MAX_DEVICES:
        raise Failure(
            f"You have {MAX_DEVICES} devices, the most allowed; unregister those that you no "
            "longer use.",
            path=place,
            code=ErrorCode.LIMIT_EXCEEDED,
            limit=MAX_DEVICES,
            actual=count,
        )
    present = {
        "user_id": user_id,
        "session_id": work.viewer.session_id,
        "platform": platform.value,
        "p256dh": p256dh,
        "auth": auth,
        "name": label or NAMES[platform],
        "seen_at": work.now,
    }
    new = insert(Device).values(id=work.new_id(), token=clean, created_at=work.now, **present)
    statement = new.on_conflict_do_update(index_elements=[Device.token], set_=present)
    id_: UUID | None = await work.session.scalar(statement.returning(Device.id))
    assert id_ is not None, "an upsert returns its row"
    return id_


def _checked_token(token: str, path: tuple[str, ...]) -> str:
    # A longer token would leave no room for a message.
    return rules.text(token, path, least=1, most=2_000)


async def _demand_session(work: Work) -> None:
    """Raise unless the viewer's session is not revoked, and will not be until the commit."""
    valid = select(Session.id).where(
        Session.id == work.viewer.session_id, Session.revoked_at.is_(None)
    )
    if await work.session.scalar(valid.with_for_update(read=True, key_share=True)) is None:
        raise Unauthenticated("The session was revoked.")


async def unregister(work: Work, device_id: UUID | None, token: str | None) -> UUID:
    """Delete one of the viewer's devices, by ID or by token."""
    by = Device.id == device_id
    if token is not None:
        by = Device.token == _checked_token(token, ("device", "token"))
    gone: UUID | None = await work.session.scalar(
        delete(Device).where(by, Device.user_id == work.viewer.require()).returning(Device.id)
    )
    if gone is None:
        raise NotFound("device", path=("device", "id" if device_id is not None else "token"))
    return gone


async def forget(work: Work, device_id: UUID, token: str) -> None:
    """Delete a token that the push service no longer knows, unless it was registered again."""
    await work.session.execute(delete(Device).where(Device.id == device_id, Device.token == token))
