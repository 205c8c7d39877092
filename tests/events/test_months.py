"""The log's partitions: months begin beside writers, old ones go, and cursors stay right."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from auth import access
from auth.request import RequestInfo
from auth.viewer import Viewer
from db.engine import Database
from domain.work import Transactions
from errors import CursorExpired
from events import log_statements, months
from events.bus import LocalBus
from events.epoch import ensure_epoch
from events.kinds import EventKind
from events.log import EventLog, cursor_of
from events.pruning import prune
from settings import DatabaseSettings, load_settings
from tests.databases import fresh_database
from tests.events.conftest import REPLAY, World, read_until

KEPT = load_settings({"TASKLOOM_EVENT_RETENTION_DAYS": "30"}, env_file=None).events
NOW = dt.datetime.now(dt.UTC)


def in_months(count: int) -> dt.datetime:
    """The middle of a later month."""
    year, month = divmod(NOW.year * 12 + NOW.month - 1 + count, 12)
    return dt.datetime(year, month + 1, 15, tzinfo=dt.UTC)


@pytest.fixture
async def database(event_settings: DatabaseSettings) -> AsyncIterator[Database]:
    """Of its own, since months only go forward."""
    settings = load_settings(env_file=None).with_database(event_settings.dsn)
    async with fresh_database(settings) as made:
        await ensure_epoch(made)
        yield made


@pytest.fixture
async def event_log(database: Database) -> EventLog:
    return EventLog(database.reader, access.read_by, replay=REPLAY)


async def fetch(database: Database, query: str, *values: Any) -> list[Any]:
    async with database.connection() as connection:
        return await connection.fetch(query, *values)


async def tables(database: Database) -> list[str]:
    async with database.connection() as connection:
        return [one.table for one in await months.partitions(connection)]


async def table_of(database: Database, event_id: UUID) -> str:
    query = "SELECT tableoid::regclass::text AS name FROM events WHERE id = $1"
    (row,) = await fetch(database, query, event_id)
    return str(row["name"])


async def test_each_event_is_in_the_partition_of_its_month(
    database: Database, event_log: EventLog, world: World
) -> None:
    owner = await world.user()
    task = await world.task(owner)
    start = (await event_log.head()).cursor
    ids = []
    for count in range(4):
        month = await months.advance(database, in_months(count))
        ids.append(await world.change(owner, task))
        assert await table_of(database, ids[-1]) == f"events_{month}"
        # Again, late, and by a clock that is behind: nothing begins, and nothing goes back.
        assert await months.advance(database, in_months(count)) == month
        assert await months.advance(database, in_months(-1)) == month
    assert (await tables(database))[0] == "events_first"
    # One is always prepared.
    assert len(await tables(database)) == 1 + 4 + 1
    assert [row.id for row in (await event_log.read_after(start.place)).rows] == ids
    page = await event_log.read_visible(owner.id, start.place, limit=2)
    assert [row.id for row in page.rows] == ids[:2]
    page = await event_log.read_visible(owner.id, page.cursor.place)
    assert [row.id for row in page.rows] == ids[2:]
    end = (await event_log.head()).cursor.place
    page = await event_log.read_visible_before(owner.id, end, start.place)
    assert [row.id for row in page.rows] == ids[::-1]


async def test_months_begin_beside_writers_and_no_event_is_lost(
    database: Database, event_log: EventLog, world: World
) -> None:
    owner = await world.user()
    task = await world.task(owner)
    start = (await event_log.head()).cursor
    written: list[UUID] = []
    done = asyncio.Event()

    async def write(number: int) -> None:
        for turn in range(40):
            async with Transactions(database, LocalBus()).begin(
                Viewer(user_id=owner.id), now=dt.datetime.now(dt.UTC), request=RequestInfo(id="r")
            ) as work:
                events = []
                for _ in range(2):
                    # Many transactions write to the month that ends, and to the one that begins.
                    events.append(work.record(EventKind.TASK_UPDATED, task, task_id=task.id))
                    await work.write_events()
                    await asyncio.sleep((number * turn) % 7 * 0.002)
            written.extend(events)

    async def begin() -> None:
        for count in range(1, 9):
            await months.advance(database, in_months(count))
            await asyncio.sleep(0.02)

    reading = asyncio.create_task(read_until(done, event_log, start.place, limit=20))
    await asyncio.gather(begin(), *(write(number) for number in range(12)))
    done.set()
    seen = await reading
    assert len(written) == len(seen) == 12 * 40 * 2
    assert set(written) == set(seen)
    used = await fetch(database, "SELECT DISTINCT tableoid FROM events")
    assert len(used) > 3, "it was not tried"


async def test_a_month_begins_although_a_transaction_is_open(
    database: Database, event_log: EventLog, world: World
) -> None:
    """Its events may be in both months. Until it ends, readers do not count on the month."""
    owner = await world.user()
    task = await world.task(owner)
    await months.advance(database)
    start = (await event_log.head()).cursor
    async with Transactions(database, LocalBus()).begin(
        Viewer(user_id=owner.id), now=world.now, request=RequestInfo(id="slow")
    ) as work:
        early_id = work.record(EventKind.TASK_UPDATED, task, task_id=task.id)
        await work.write_events()
        beginning = asyncio.create_task(months.advance(database, in_months(1)))
        async with asyncio.timeout(20):
            while await table_of(database, late := await world.change(owner, task)) != (
                f"events_{months.month_of(in_months(1))}"
            ):
                await asyncio.sleep(0.01)
        assert not beginning.done()
        assert (await event_log.read_after(start.place)).rows == []
    await beginning
    rows = (await event_log.read_after(start.place)).rows
    assert (rows[0].id, rows[-1].id) == (early_id, late)


def touched(plan: Any) -> set[str]:
    """The tables that an executed plan has read."""
    found = {table for part in plan.get("Plans", ()) for table in touched(part)}
    if plan.get("Actual Loops") and plan.get("Relation Name", "").startswith("events_"):
        found.add(plan["Relation Name"])
    return found


async def test_reading_from_a_cursor_leaves_earlier_months_alone(
    database: Database, event_log: EventLog, world: World
) -> None:
    owner = await world.user()
    task = await world.task(owner)
    places = []
    for count in range(5):
        await months.advance(database, in_months(count))
        await world.change(owner, task)
        places.append((await event_log.head()).cursor.place)
        await world.change(owner, task)
    names = await tables(database)
    params = {"limit": 1, "viewer_id": owner.id, "first_xid": 0, "first_position": 0}
    for statement in (event_log._raw, event_log._visible, log_statements.NEXT):
        for index, (xid, position) in enumerate(places):
            values = statement.arguments({**params, "xid": xid, "position": position})
            query = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.text}"
            (row,) = await fetch(database, query, *values)
            read = touched(row[0][0]["Plan"]) - {"event_months"}
            assert names[index + 1] in read
            assert read <= set(names[index + 1 :])
    # Only from the last month: the newest events of all, which everyone waits for.
    query = f"EXPLAIN (ANALYZE, FORMAT JSON) {log_statements.HEAD.text}"
    (row,) = await fetch(database, query, *log_statements.HEAD.arguments({}))
    assert touched(row[0][0]["Plan"]) <= set(names[5:])
    # A position names its partition.
    statement = event_log._allowed
    position = (await event_log.read_after(places[2])).rows[0].position
    values = statement.arguments({"things": [position], "viewers": [owner.id]})
    (row,) = await fetch(database, f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.text}", *values)
    assert touched(row[0][0]["Plan"]) == {names[3]}


async def test_pruning_drops_whole_months_and_reveals_the_gap(
    database: Database, event_log: EventLog, world: World
) -> None:
    owner = await world.user()
    task = await world.task(owner)
    now = dt.datetime.now(dt.UTC)
    cursors, ids = [], []
    for count in range(5):
        await months.advance(database, in_months(count))
        cursors.append(str((await event_log.head()).cursor))
        ids.append(await world.change(owner, task))
        ids.append(await world.change(owner, task))
    for index, days in enumerate((100, 100, 60, 40, 31, 29, 5, 5)):
        await world.run(
            "UPDATE events SET at = :at WHERE id = :id", id=ids[index], at=now - dt.timedelta(days)
        )
    before = await tables(database)
    untouched = load_settings({}, env_file=None).events
    assert await prune(database, untouched, now + dt.timedelta(days=1000)) == 0
    # The first, in which nothing ever was, and two months; of the third, one event is younger.
    assert await prune(database, KEPT, now) == 3
    assert await prune(database, KEPT, now) == 0
    assert await tables(database) == before[3:]
    page = await event_log.read_visible(owner.id, (0, 0))
    assert [row.id for row in page.rows] == ids[4:]
    for old in cursors[:2]:
        with pytest.raises(CursorExpired):
            await event_log.resume(old, now)
        # Lists of the past may begin before the gap.
        await event_log.place(old, ())
    for young in (*cursors[3:], cursor_of(page.rows[2])):
        await event_log.resume(young, now)
    # Nothing of what is written is ever dropped.
    assert await prune(database, KEPT, now + dt.timedelta(days=1000)) == 2
    assert len(await tables(database)) == 2
    assert await ensure_epoch(database) == (await event_log.head()).cursor.epoch


async def test_pruning_waits_for_no_reader_and_lets_nobody_wait(
    database: Database, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(months, "_PAUSE_SECONDS", 0.1)
    owner = await world.user()
    task = await world.task(owner)
    await months.advance(database)
    await world.change(owner, task)
    await world.run("UPDATE events SET at = at - interval '90 days'")
    await months.advance(database, in_months(1))
    async with database.session() as reading, reading.begin():
        await reading.execute(text("SELECT count(*) FROM events"))
        pruning = asyncio.create_task(prune(database, KEPT, NOW))
        waits = "SELECT FROM pg_locks WHERE NOT granted AND database = $1::int::oid"
        (row,) = await fetch(
            database, "SELECT oid::int FROM pg_database WHERE datname = current_database()"
        )
        for _ in range(2):
            async with asyncio.timeout(20):
                while not await fetch(database, waits, row[0]):
                    await asyncio.sleep(0.01)
            # Behind it, but not for long.
            await world.change(owner, task)
        assert not pruning.done()
    assert await pruning == 2


async def test_a_promoted_or_restored_server_forgets_what_transaction_ids_said(
    database: Database, event_log: EventLog, world: World
) -> None:
    owner = await world.user()
    task = await world.task(owner)
    await months.advance(database)
    await months.advance(database, in_months(1))
    await world.run("UPDATE log_epoch SET system_identifier = 'elsewhere'")
    # What a dump of another server can say about a month.
    await world.run("UPDATE event_months SET first_xid = '3' WHERE first_xid IS NOT NULL")
    await world.run(
        "SELECT setval('events_position_seq', (SELECT min(first_position) FROM event_months))"
    )
    await ensure_epoch(database)
    start = (await event_log.head()).cursor
    event = await world.change(owner, task)
    assert [row.id for row in (await event_log.read_after(start.place)).rows] == [event]
    await months.advance(database, in_months(1))
    later = await world.change(owner, task)
    assert [row.id for row in (await event_log.read_after(start.place)).rows] == [event, later]
