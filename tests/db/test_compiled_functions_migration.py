"""The functions of computed columns, and of pieces, give what they gave, also under another search
path.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from settings import Settings
from tests.databases import database_at

# From every alphabet that they know, and beyond it.
WORDS = """
    SELECT chr(code) || ' Straße ÀÇ Łódź 売上高 x' || chr(code + 32) AS word
    FROM generate_series(33, 66000, 93) AS code
    WHERE code NOT BETWEEN 55200 AND 57400
"""
VALUES = f"""
    SELECT word, {{0}}taskloom_sort_key(word) AS key,
        {{0}}taskloom_search_task(word, ARRAY[word, 'b'], NULL)::text AS task,
        {{0}}taskloom_search_project(word, 'KEY', word)::text AS project,
        {{0}}taskloom_search_comment(word)::text AS comment
    FROM ({WORDS}) AS words ORDER BY word
"""
# Short ones in ASCII and beside it, with every mark, and what is missing.
TEXTS = """
    SELECT substr(chr(code) || 'X1 ' || chr(other) || chr(code), 1, length) AS word
    FROM generate_series(1, 127) AS code, unnest(ARRAY[9, 38, 46, 95, 97, 223, 26085]) AS other,
        generate_series(0, 6, 2) AS length
"""
ALL_VALUES = f"""
    SELECT word, {{0}}taskloom_sort_key(word) AS key,
        {{0}}taskloom_search_task(word, '{{{{}}}}', NULL)::text AS bare_task,
        {{0}}taskloom_search_task(word, ARRAY[word, NULL, 'b'], word || word)::text AS task,
        {{0}}taskloom_search_project(word, word, NULL)::text AS project,
        {{0}}taskloom_search_comment(word)::text AS comment,
        {{0}}taskloom_pieces_tasks(word, NULL, word) AS pieces_of_task,
        {{0}}taskloom_pieces_users(word, word) AS pieces_of_user,
        {{0}}taskloom_pieces_comments(word) AS pieces_of_comment
    FROM (SELECT NULL AS word UNION ALL {WORDS} UNION ALL {TEXTS}) AS words ORDER BY word
"""
BODIES = """
    SELECT proname, prosrc FROM pg_proc WHERE proname LIKE 'taskloom_%' ORDER BY proname
"""
LANGUAGES = """
    SELECT DISTINCT language.lanname FROM pg_attrdef AS computed
    JOIN pg_depend AS needed ON needed.objid = computed.oid
        AND needed.classid = 'pg_attrdef'::regclass AND needed.refclassid = 'pg_proc'::regclass
    JOIN pg_proc AS function ON function.oid = needed.refobjid
    JOIN pg_language AS language ON language.oid = function.prolang
    WHERE function.proname LIKE 'taskloom_%'
"""


async def test_values_stay_as_they_are(settings: Settings) -> None:
    async with database_at(settings, "0033") as database:
        before = await _values(database.rows)
        await database.migrate("0037")
        assert await _values(database.rows) == before
        await database.rows.execute("CREATE SCHEMA other; SET search_path = other")
        assert await _values(database.rows, "public.") == before
        await database.rows.execute("RESET search_path")
        await database.migrate("0033")
        assert await _values(database.rows) == before


async def test_short_ways_give_the_same(settings: Settings) -> None:
    async with database_at(settings, "0045") as database:
        bodies = await database.rows.fetch(BODIES)
        before = await database.rows.fetch(ALL_VALUES.format(""))
        await database.migrate("0046")
        assert await database.rows.fetch(ALL_VALUES.format("")) == before
        await database.rows.execute("CREATE SCHEMA other; SET search_path = other")
        assert await database.rows.fetch(ALL_VALUES.format("public.")) == before
        await database.rows.execute("RESET search_path")
        await database.migrate("0045")
        assert await database.rows.fetch(BODIES) == bodies


async def test_no_function_of_a_computed_column_is_put_into_each_insert(
    settings: Settings,
) -> None:
    async with database_at(settings, "0037") as database:
        assert await database.rows.fetch(LANGUAGES) == [("plpgsql",)]


async def _values(rows: asyncpg.Connection[Any], prefix: str = "") -> list[Any]:
    return await rows.fetch(VALUES.format(prefix))
