"""What is made with an API key ends with the key.

A webhook or an integration goes on sending when nobody is there. So it remembers the key that made
it, or that changed it last, does no more than that key may, and stops when the key is revoked or
expires (`domain.accounts.api_key.end_what_it_made`). Its owner takes it over with a session.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from db.models import ApiKey, Integration, Webhook
from domain.work import Work
from errors import BadInput, Forbidden


def reason_of_end(key: ApiKey | None, now: dt.datetime) -> str | None:
    """Why what a key made does nothing any more; None while the key is good, or there is none."""
    if key is None:
        return None
    if key.revoked_at is not None:
        return "The API key that made it was revoked."
    if key.expires_at is not None and key.expires_at <= now:
        return "The API key that made it has expired."
    return None


async def key_after(work: Work, row: Webhook | Integration, *, take_over: bool) -> UUID | None:
    """The key that answers for a row once the viewer has changed it; None for its owner.

    What a key made that has ended is changed with a session only: another key does not bring it
    back to life.
    """
    if work.viewer.api_key_id is None:
        return None if take_over else row.api_key_id
    if take_over:
        raise Forbidden(
            "This is done with a session, and not with an API key.", path=("take_over",)
        )
    if row.api_key_id != work.viewer.api_key_id:
        reason = await _reason_of_end(work, row.api_key_id)
        if reason is not None:
            raise Forbidden(f"{reason} Only a session may change it now.", path=("id",))
    return work.viewer.api_key_id


async def demand_live_key(work: Work, key_id: UUID | None, path: Sequence[str | int]) -> None:
    """Raise `BadInput` where the key is no longer good for anything."""
    reason = await _reason_of_end(work, key_id)
    if reason is not None:
        raise BadInput(f"{reason} Take it over with takeOver: true.", path=path)


async def _reason_of_end(work: Work, key_id: UUID | None) -> str | None:
    return reason_of_end(
        None if key_id is None else await work.session.get(ApiKey, key_id), work.now
    )
