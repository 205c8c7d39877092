"""The statements of lists: the same for many documents, and planned well by any PostgreSQL."""

from __future__ import annotations

import re

import pytest

from app import create_app
from db import models
from graph.engine.planning import SERIALIZED_AFTER
from settings import Settings
from tests.databases import address_of, fresh_database
from tests.factories import World, gid, world_of

BOARD = """
    query Board($id: ID!) {
      project(id: $id) { name tasks(first: 50) { nodes { title status assignee { username } } } }
    }
"""
OTHER = """
    query Other($id: ID!) {
      project(id: $id) {
        key
        cards: tasks(first: 20) { nodes { assignee { called: fullName id } priority t: title id } }
      }
    }
"""


async def test_a_document_that_was_never_seen_brings_no_new_statement(world: World) -> None:
    ada = await world.person()
    project = await world.project(ada)
    await world.many_tasks(ada, project, 3, assignee_id=ada.id)
    known = await world.run(BOARD, ada, id=gid(project))
    new = await world.run(OTHER, ada, id=gid(project))
    assert len(known.good["project"]["tasks"]["nodes"]) == 3
    assert len(new.good["project"]["cards"]["nodes"]) == 3
    assert set(new.statements) <= set(known.statements)


@pytest.mark.parametrize(
    "people", [10, 200, 10_000, pytest.param(1_000_000, marks=pytest.mark.nightly)]
)
async def test_what_rows_refer_to_is_read_by_key(settings: Settings, people: int) -> None:
    """With PostgreSQL's own settings, which suit hard disks: small tables would be read whole.

    A table of one page is: that reads one page for each row, as an index would.
    """
    async with fresh_database(settings) as database:
        url = await address_of(settings, database)
        async with database.connection() as connection:
            name = await connection.fetchval("SELECT current_database()")
            await connection.execute(f"ALTER DATABASE {name} SET random_page_cost = 4")
        app = create_app(settings.with_database(url))
        async with app.lifespan(), world_of(app) as world:
            ada = await world.person()
            project = await world.project(ada)
            await world.many_tasks(ada, project, 100, assignee_id=ada.id)
            async with world.database.connection() as connection:
                await connection.execute("SET statement_timeout = 0")
                await connection.execute(_MORE_PEOPLE, people)
                await connection.execute("ANALYZE")
                await connection.execute("RESET statement_timeout")
                pages = await connection.fetchval(
                    "SELECT relpages FROM pg_class WHERE oid = 'users'::regclass"
                )
            for _ in range(SERIALIZED_AFTER + 1):
                reply = await world.run(BOARD, ada, id=gid(project))
            rows = reply.good["project"]["tasks"]["nodes"]
            assert {row["assignee"]["username"] for row in rows} == {ada.username}
            (statement,) = (each for each in reply.statements if "AS object_1" in each)
            async with world.database.connection() as connection:
                await connection.execute(f"PREPARE board AS {statement}")
                await connection.execute("SET plan_cache_mode = force_generic_plan")
                values = ", ".join(["NULL"] * len(set(re.findall(r"\$\d+", statement))))
                plan = await connection.fetch(f"EXPLAIN EXECUTE board({values})")
            lines = [row[0].strip() for row in plan]
            scanned = [line for line in lines if "Seq Scan on users" in line]
            assert not scanned or pages == 1, "\n".join(lines)


# The first user again and again, with other names.
_NEW = {
    "id": "gen_random_uuid()",
    "username": "'p' || n",
    "email": "'p' || n || '@example.org'",
    "username_key": "'p' || n",
}
_COLUMNS = [column.name for column in models.User.__table__.columns if column.computed is None]
_MORE_PEOPLE = f"""
    INSERT INTO users ({", ".join(_COLUMNS)})
    SELECT {", ".join(_NEW.get(name, f"one.{name}") for name in _COLUMNS)}
    FROM (SELECT * FROM users LIMIT 1) AS one, generate_series(1, $1::int) AS n
"""
