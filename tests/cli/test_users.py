"""`taskloom user`."""

from __future__ import annotations

from typing import Any

import asyncpg

from tests.commands import taskloom


async def test_users_are_created_deactivated_and_promoted(empty: str) -> None:
    variables: dict[str, Any] = {"DATABASE_URL": empty, "TASKLOOM_BCRYPT_ROUNDS": "4"}

    async def standing() -> tuple[bool, bool]:
        connection = await asyncpg.connect(empty)
        row = await connection.fetchrow("SELECT is_active, is_admin FROM users")
        await connection.close()
        assert row is not None
        return row["is_active"], row["is_admin"]

    assert taskloom("migrate", **variables).returncode == 0
    made = taskloom(
        "user", "create", "Grace", "grace@example.com", typed="a long password\n", **variables
    )
    assert made.returncode == 0, made.stderr
    assert await standing() == (True, False)

    again = taskloom("user", "create", "grace", "grace", typed="short\n", **variables)
    assert again.returncode == 1
    assert "already in use" in again.stderr
    assert "email address" in again.stderr
    assert "at least 8 characters" in again.stderr

    assert taskloom("user", "promote", "grace", **variables).returncode == 0
    assert await standing() == (True, True)
    assert taskloom("user", "deactivate", "GRACE", **variables).returncode == 0
    assert await standing() == (False, True)
    assert taskloom("user", "activate", "grace", **variables).returncode == 0
    assert await standing() == (True, True)

    silent = taskloom("user", "create", "alan", "alan@example.com", **variables)
    assert silent.returncode == 1
    assert "standard input has no password" in silent.stderr
    nobody = taskloom("user", "promote", "nobody", **variables)
    assert nobody.returncode == 1
    assert "no user nobody" in nobody.stderr
