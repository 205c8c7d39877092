"""`taskloom secrets`."""

from __future__ import annotations

from typing import Any

import asyncpg

from auth.encryption import Encryption
from settings import (
    load_settings,
)
from tests.commands import taskloom


async def test_stored_secrets_are_encrypted_again(empty: str) -> None:
    former, present = "f" * 40, "p" * 40
    schema: dict[str, Any] = {"DATABASE_URL": empty, "TASKLOOM_DB_SCHEMA": "sealed"}
    taskloom("migrate", **schema)
    taskloom(
        *("user", "create", "grace", "grace@example.com"),
        typed="a hopper of bugs\n",
        TASKLOOM_BCRYPT_ROUNDS="4",
        **schema,
    )
    before = load_settings({"TASKLOOM_SECRET": former}, env_file=None)
    sealed = Encryption(before).encrypt(b"whsec_x")
    connection = await asyncpg.connect(empty)
    await connection.execute(
        "INSERT INTO sealed.webhooks (id, user_id, url, name, status, secret, created_at, "
        "updated_at, version) SELECT id, id, 'https://example.com/', 'example.com', 1, $1, now(), "
        "now(), 1 FROM sealed.users",
        sealed,
    )

    async def stored() -> bytes:
        found: bytes = await connection.fetchval("SELECT secret FROM sealed.webhooks")
        return found

    lost = taskloom("secrets", "reencrypt", TASKLOOM_SECRET=present, **schema)
    assert lost.returncode == 1
    assert "TASKLOOM_SECRETS_OLD" in lost.stderr
    assert await stored() == sealed
    done = taskloom(
        "secrets", "reencrypt", TASKLOOM_SECRET=present, TASKLOOM_SECRETS_OLD=former, **schema
    )
    assert "1 webhooks" in done.stdout, done.stderr
    alone = Encryption(load_settings({"TASKLOOM_SECRET": present}, env_file=None))
    assert alone.decrypt(await stored()) == b"whsec_x"
    await connection.close()
