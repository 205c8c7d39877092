"""What an API key creates stops with the key.

Webhooks and integrations keep sending while nobody is signed in. So each remembers the key that
created it or last changed it, has no more permissions than that key, and stops when the key is
revoked or expires (`domain.accounts.api_key.end_what_it_made`). Its owner can take it over in a
session.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from db.models import ApiKey, Integration, Webhook
from domain.work import Work
from errors import BadInput, Forbidden


def reason_of_end(key: ApiKey | None, now: dt.datetime) -> str | None:
    """Why what a key created has stopped; None if the key is valid or there is none."""
    if key is None:
        return None
    if key.revoked_at is not None:
        return "The API key that created it was revoked."
    if key.expires_at is not None and key.expires_at <= now:
        return "The API key that created it has expired."
    return None


async def key_after(work: Work, row: Webhook | Integration, *, take_over: bool) -> UUID | None:
    """The key that a row belongs to after the viewer changed it; None for its owner's session.

    What an ended key created can be changed in a session only: another key does not reactivate it.
    """
    if work.viewer.api_key_id is None:
        return None if take_over else row.api_key_id
    if take_over:
        raise Forbidden(
            "takeOver requires a signed-in session; API keys cannot do it.", path=("take_over",)
        )
    if row.api_key_id != work.viewer.api_key_id:
        reason = await _reason_of_end(work, row.api_key_id)
        if reason is not None:
            raise Forbidden(f"{reason} Change it in a signed-in session.", path=("id",))
    return work.viewer.api_key_id


async def demand_live_key(work: Work, key_id: UUID | None, path: Sequence[str | int]) -> None:
    """Raise `BadInput` if the key is revoked or expired."""
    reason = await _reason_of_end(work, key_id)
    if reason is not None:
        raise BadInput(f"{reason} Take it over with takeOver: true.", path=path)


async def _reason_of_end(work: Work, key_id: UUID | None) -> str | None:
    return reason_of_end(
        None if key_id is None else await work.session.get(ApiKey, key_id), work.now
    )
