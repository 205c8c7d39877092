"""Idempotency: do a mutation once, however often it is requested.

The key is a row written in the transaction of the change. Ten parallel requests with one key meet
at the row's primary key: nine wait there until the first commits, and then find its result; if it
rolled back, the next one proceeds. A failed attempt leaves no key, so it can be corrected and sent
again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from db.models import IdempotencyKey
from domain.pruning import delete_some
from domain.work import Work
from errors import BadInput, ErrorCode, Failure, refuse

KEPT = dt.timedelta(hours=24)
MAX_KEY = 255


def scope_of(work: Work) -> str:
    """The key's scope: the user or, if signed out, the address."""
    viewer = work.viewer
    return str(viewer.user_id) if viewer.user_id else f"address:{work.request.ip or 'unknown'}"


def hash_input(mutation: str, data: Any, keys: Sequence[bytes]) -> list[bytes]:
    """A hash of the mutation and its input (JSON types), independent of the order of its fields,
    with each of the keys.

    The server's keys are used because an input may contain a password: nobody who reads the table
    can test passwords against it.
    """
    text = orjson.dumps([mutation, data], option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return [hmac.new(key, text, hashlib.sha256).digest() for key in keys]


def is_key(key: Any) -> bool:
    """Whether there is a key; rejects a key that cannot be stored."""
    if not isinstance(key, str):
        return False
    if not 1 <= len(key) <= MAX_KEY or "\0" in key:
        refuse(
            BadInput(
                f"idempotencyKey must have 1 to {MAX_KEY} characters.", path=("idempotency_key",)
            )
        )
        return False
    return True


async def claim(
    work: Work, key: str, mutation: str, hashes: Sequence[bytes]
) -> dict[str, Any] | None:
    """Claim the key for this transaction; returns the first attempt's result if it was already
    claimed.

    `hashes` are of the input, as returned by `hash_input`: the first is stored, and an earlier
    attempt may have stored any. Raises `IDEMPOTENCY_MISMATCH` if the key was claimed for another
    input or mutation.
    """
    is_key(key)
    scope = scope_of(work)
    values = {
        "scope": scope,
        "key": key,
        "mutation": mutation,
        "input_hash": hashes[0],
        "result": {},
        "created_at": work.now,
    }
    # An expired key may be used again; the row is updated under its lock.
    claimed = await work.session.scalar(
        insert(IdempotencyKey)
        .values(values)
        .on_conflict_do_update(
            index_elements=["scope", "key"],
            set_={name: values[name] for name in values if name not in {"scope", "key"}},
            where=IdempotencyKey.created_at <= work.now - KEPT,
        )
        .returning(IdempotencyKey.key)
    )
    if claimed is not None:
        return None
    row = (
        await work.session.execute(
            select(IdempotencyKey.mutation, IdempotencyKey.input_hash, IdempotencyKey.result).where(
                IdempotencyKey.scope == scope, IdempotencyKey.key == key
            )
        )
    ).one()
    if row.input_hash not in hashes or row.mutation != mutation:
        raise Failure(
            "This idempotencyKey was already used with a different input. Use a new key.",
            path=("idempotency_key",),
            code=ErrorCode.IDEMPOTENCY_MISMATCH,
        )
    result: dict[str, Any] = row.result
    return result


async def remember(work: Work, key: str, result: dict[str, Any]) -> None:
    """Store the result for a repeat."""
    await work.session.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.scope == scope_of(work), IdempotencyKey.key == key)
        .values(result=result)
    )


async def prune(work: Work) -> int:
    """Delete some of the keys that are older than a day; returns how many."""
    return await delete_some(work, IdempotencyKey, IdempotencyKey.created_at <= work.now - KEPT)
