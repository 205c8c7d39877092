"""Limits of time that a database gives its roles do not end a migration."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from db import migrate
from settings import Settings


async def test_a_migration_takes_as_long_as_it_takes(settings: Settings) -> None:
    server = await asyncpg.connect(settings.database.dsn)
    name = f"limits_{secrets.token_hex(6)}"
    await server.execute(f"CREATE DATABASE {name}")
    try:
        address = urlsplit(settings.database.dsn)
        database = settings.with_database(urlunsplit(address._replace(path=f"/{name}"))).database
        rows = await asyncpg.connect(database.dsn)
        # Creating this table takes longer than the limit.
        await rows.execute(
            """
            CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
                IF EXISTS (
                    SELECT FROM pg_event_trigger_ddl_commands()
                    WHERE object_identity = 'public.webhooks'
                ) THEN PERFORM pg_sleep(1.5); END IF;
            END $$;
            CREATE EVENT TRIGGER slow ON ddl_command_end WHEN TAG IN ('CREATE TABLE')
            EXECUTE FUNCTION slow();
            """
        )
        await rows.close()
        await server.execute(f"ALTER DATABASE {name} SET statement_timeout = '1s'")
        if server.get_server_version().major >= 17:
            await server.execute(f"ALTER DATABASE {name} SET transaction_timeout = '1s'")
        assert await migrate.upgrade(database)
        assert not await migrate.pending(database)
    finally:
        await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await server.close()
