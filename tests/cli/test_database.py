"""Commands for the database: migrations, counters, row-level security."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from db import migrate
from events import blockers
from settings import (
    load_settings,
)
from tests.commands import taskloom


async def test_concurrent_migrations_are_applied_once(empty: str) -> None:
    overrides = {"DATABASE_URL": empty, "TASKLOOM_DB_SCHEMA": "together"}
    database = load_settings(overrides, env_file=None).database
    missing = await migrate.pending(database)
    assert missing
    applied = await asyncio.gather(*[migrate.upgrade(database) for _ in range(4)])
    assert sorted(applied, key=len) == [[], [], [], missing]
    assert await migrate.pending(database) == []
    assert await migrate.differences(database) == []


def test_migrate_lists_pending_migrations(empty: str) -> None:
    variables: dict[str, Any] = {"DATABASE_URL": empty, "TASKLOOM_DB_SCHEMA": "told"}
    assert taskloom("migrate", "--check", **variables).returncode == 1
    assert "Applied 0001" in taskloom("migrate", **variables).stdout
    assert taskloom("migrate", "--check", **variables).returncode == 0
    assert "Nothing to migrate" in taskloom("migrate", **variables).stdout


@pytest.mark.parametrize("said", ["NULL", "'Works with the code of revision 9998'"])
async def test_a_database_of_a_newer_version_is_not_touched(empty: str, said: str) -> None:
    variables: dict[str, Any] = {"DATABASE_URL": empty, "TASKLOOM_DB_SCHEMA": "newer"}
    await migrate.upgrade(load_settings(variables, env_file=None).database)
    connection = await asyncpg.connect(empty)
    await connection.execute("UPDATE newer.alembic_version SET version_num = '9999'")
    await connection.execute(f"COMMENT ON TABLE newer.alembic_version IS {said}")
    result = taskloom("migrate", **variables)
    await connection.execute("DROP SCHEMA newer CASCADE")
    await connection.close()
    assert result.returncode == 1
    assert "newer version of Taskloom" in result.stderr


async def test_wrong_counters_are_reported_and_repaired(empty: str) -> None:
    variables: dict[str, Any] = {"DATABASE_URL": empty}
    taskloom("migrate", **variables)
    assert "All counters are right." in taskloom("check", "--counters", **variables).stdout
    connection = await asyncpg.connect(empty)
    list_id = UUID(int=7)
    await connection.execute("INSERT INTO list_counts VALUES ($1, 10, 0, 3)", list_id)
    await connection.close()
    line = f"list_counts: list_id {list_id}, status 10, priority 0: 3 instead of 0"
    for arguments in ([], ["--repair"]):
        found = taskloom("check", "--counters", *arguments, **variables)
        assert (found.returncode, found.stdout.splitlines()[0]) == (1, line)
    right = taskloom("check", "--counters", **variables)
    assert (right.returncode, right.stdout) == (0, "All counters are right.\n")
    assert taskloom("check", **variables).returncode == 2


async def test_the_transaction_that_events_wait_for_is_named(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables: dict[str, Any] = {"DATABASE_URL": empty}
    assert taskloom("migrate", **variables).returncode == 0
    # Other tests write on the same server, for moments.
    monkeypatch.setattr(blockers, "HELD_SECONDS", 0.5)
    connection = await asyncpg.connect(empty, server_settings={"application_name": "reports"})
    async with connection.transaction():
        await connection.execute("SELECT pg_current_xact_id()")
        held = taskloom("check", "--events", **variables)
        assert held.returncode == 1
        assert "application reports" in held.stdout
        assert f"SELECT pg_terminate_backend({connection.get_server_pid()});" in held.stdout
    await connection.close()
    assert taskloom("check", "--events", **variables).returncode == 0
    assert taskloom("check", "--events", "--repair", **variables).returncode == 2


def test_row_security_is_not_turned_on_for_processes_that_would_see_no_rows(empty: str) -> None:
    assert taskloom("migrate", DATABASE_URL=empty).returncode == 0
    refused = taskloom("row-security", "on", DATABASE_URL=empty)
    assert refused.returncode == 1
    assert "TASKLOOM_ROW_SECURITY" in refused.stderr
    assert taskloom("user", "promote", "nobody", DATABASE_URL=empty).returncode == 1
    for wanted in ("on", "off"):
        done = taskloom(
            "row-security", wanted, DATABASE_URL=empty, TASKLOOM_ROW_SECURITY="prepared"
        )
        assert done.returncode == 0, done.stderr
