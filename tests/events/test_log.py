"""Reading by cursor neither loses nor repeats events, and reports if it cannot continue."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import column, select, table

from auth import access
from auth.request import RequestInfo
from auth.viewer import Viewer
from db.engine import Database
from db.statements import Plan, Statement
from domain.work import Transactions
from errors import CursorExpired
from events import log_statements
from events.bus import LocalBus
from events.cursor import Cursor, Place
from events.epoch import ensure_epoch
from events.kinds import EventKind
from events.log import EventLog, EventPage, cursor_of
from tests.events.conftest import REPLAY, read_until

WRITERS = 24
EVENTS_OF_EACH = 125


async def test_24_writers_and_a_reader(database: Database, event_log: EventLog, world: Any) -> None:
    owner = await world.user()
    task = await world.task(owner)
    chance = random.Random(7)
    written: list[UUID] = []
    start = (await event_log.head()).cursor
    done = asyncio.Event()

    async def write() -> None:
        for _ in range(EVENTS_OF_EACH):
            async with Transactions(database, LocalBus()).begin(
                Viewer(user_id=owner.id),
                now=dt.datetime.now(dt.UTC),
                request=RequestInfo(id="r"),
            ) as work:
                event_id = work.record(EventKind.TASK_UPDATED, task, task_id=task.id)
                await work.write_events()
                # Transactions commit in a different order than they write.
                await asyncio.sleep(chance.random() * 0.01)
            written.append(event_id)

    reading = asyncio.create_task(read_until(done, event_log, start.place, limit=50))
    await asyncio.gather(*(write() for _ in range(WRITERS)))
    done.set()
    seen = await reading
    assert len(written) == WRITERS * EVENTS_OF_EACH
    assert len(seen) == len(set(seen)), "some came twice"
    assert set(seen) == set(written), "some were lost"


async def test_an_open_transaction_delays_later_events_and_is_not_skipped(
    database: Database, event_log: EventLog, world: Any
) -> None:
    owner = await world.user()
    task = await world.task(owner)
    start = (await event_log.head()).cursor
    async with Transactions(database, LocalBus()).begin(
        Viewer(user_id=owner.id), now=world.now, request=RequestInfo(id="slow")
    ) as work:
        early_id = work.record(EventKind.TASK_UPDATED, task, task_id=task.id)
        await work.write_events()
        late = await world.change(owner, task)
        page = await event_log.read_after(start.place)
        assert page.rows == []
        assert page.waiting
        assert (await event_log.head()).lag > 0
    page = await event_log.read_after(page.cursor.place)
    assert [row.id for row in page.rows] == [early_id, late]
    assert (await event_log.head()).lag == 0


async def test_the_head_is_before_anything_that_a_later_read_may_miss(
    database: Database, event_log: EventLog, world: Any
) -> None:
    """The cursor first, then the state, then the events: nothing is missed in between."""
    owner = await world.user()
    task = await world.task(owner)
    async with Transactions(database, LocalBus()).begin(
        Viewer(user_id=owner.id), now=world.now, request=RequestInfo(id="slow")
    ) as work:
        event_id = work.record(EventKind.TASK_UPDATED, task, task_id=task.id)
        await work.write_events()
        cursor = (await event_log.head()).cursor
        # Here a client would read its page, which lacks this change.
    page = await event_log.read_visible(owner.id, cursor.place)
    assert [row.id for row in page.rows] == [event_id]


async def test_a_viewer_reads_only_what_they_may_see(event_log: EventLog, world: Any) -> None:
    owner, member, stranger = [await world.user() for _ in range(3)]
    project = await world.project(owner, member)
    task = await world.task(owner, project)
    start = (await event_log.head()).cursor
    expected = [
        await world.change(owner, project, EventKind.PROJECT_UPDATED),
        await world.change(owner, task),
    ]
    for person, ids in ((owner, expected), (member, expected), (stranger, [])):
        page = await event_log.read_visible(person.id, start.place)
        assert [row.id for row in page.rows] == ids
        assert not page.more


async def test_pages_and_checks_are_not_planned_for_each_read(
    database: Database, event_log: EventLog, world: Any
) -> None:
    owner = await world.user()
    start = (await event_log.head()).cursor
    event_id = await world.change(owner, await world.task(owner))
    (event,) = [row for row in (await event_log.read_after(start.place)).rows if row.id == event_id]
    for _ in range(12):
        await event_log.read_visible(owner.id, start.place)
        await event_log.allowed({(event.position, owner.id)})
        await event_log.resume(str(start), dt.datetime.now(dt.UTC))
    prepared = table("pg_prepared_statements", *map(column, ("statement", "custom_plans")))
    plans = Statement(
        select(prepared.c.custom_plans).where(prepared.c.statement.contains("FROM events")),
        plan=Plan.ONCE,
    )
    rows = await database.reader.fetch(plans, {})
    assert {row.custom_plans for row in rows} == {0}


async def test_access_is_checked_separately_for_each_user_of_a_list(
    event_log: EventLog, world: Any
) -> None:
    """One user's right must not give the other users in the statement access to the event."""
    people = [await world.user() for _ in range(4)]
    owner, member, shared, _stranger = people
    project = await world.project(owner, member)
    task = await world.task(owner, project)
    await world.run(
        "INSERT INTO task_shares"
        " (id, created_at, updated_at, version, task_id, user_id, permission, shared_by_id)"
        " VALUES (:id, now(), now(), 1, :task, :user, 10, :by)",
        id=uuid4(),
        task=task.id,
        user=shared.id,
        by=owner.id,
    )
    start = (await event_log.head()).cursor
    await world.change(owner, project, EventKind.PROJECT_UPDATED)
    await world.change(owner, task)
    rows = (await event_log.read_after(start.place)).rows
    about_project, about_task = (row.position for row in rows)
    allowed = await event_log.allowed(
        {(row.position, person.id) for row in rows for person in people}
    )
    assert allowed == {
        (about_project, owner.id),
        (about_project, member.id),
        (about_task, owner.id),
        (about_task, member.id),
        (about_task, shared.id),
    }


async def test_the_cursor_of_an_event_reads_later_events(event_log: EventLog, world: Any) -> None:
    owner = await world.user()
    task = await world.task(owner)
    start = (await event_log.head()).cursor
    ids = [await world.change(owner, task) for _ in range(5)]
    rows = (await event_log.read_visible(owner.id, start.place)).rows
    assert [row.id for row in rows] == ids
    cursor = await event_log.resume(cursor_of(rows[1]), world.now)
    page = await event_log.read_visible(owner.id, cursor.place)
    assert [row.id for row in page.rows] == ids[2:]


async def test_pages_have_no_gaps_and_no_repeats(event_log: EventLog, world: Any) -> None:
    owner = await world.user()
    task = await world.task(owner)
    start = (await event_log.head()).cursor
    ids = [await world.change(owner, task) for _ in range(7)]
    seen: list[UUID] = []
    place, more = start.place, True
    while more:
        page = await event_log.read_visible(owner.id, place, limit=3)
        assert len(page.rows) <= 3
        seen.extend(row.id for row in page.rows)
        place, more = page.cursor.place, page.more
    assert seen == ids


async def test_a_cursor_of_another_epoch_is_refused(event_log: EventLog, world: Any) -> None:
    foreign = Cursor(uuid4(), 1, 1)
    with pytest.raises(CursorExpired) as caught:
        await event_log.resume(str(foreign), world.now)
    assert "Reload your data" in caught.value.message


async def test_a_cursor_is_refused_if_the_next_event_is_too_old(
    event_log: EventLog, world: Any
) -> None:
    owner = await world.user()
    task = await world.task(owner)
    cursor = str((await event_log.head()).cursor)
    in_eight_days = dt.datetime.now(dt.UTC) + dt.timedelta(days=8)
    # An old cursor stays valid as long as nothing has happened since.
    await event_log.resume(cursor, in_eight_days)
    await world.change(owner, task)
    await event_log.resume(cursor, dt.datetime.now(dt.UTC))
    with pytest.raises(CursorExpired):
        await event_log.resume(cursor, in_eight_days)


async def test_a_restart_keeps_the_epoch_and_a_move_begins_a_new_one(
    database: Database, event_log: EventLog, world: Any
) -> None:
    before = (await event_log.head()).cursor
    assert await ensure_epoch(database) == before.epoch
    await world.run("UPDATE log_epoch SET system_identifier = 'elsewhere'")
    epochs = await asyncio.gather(*(ensure_epoch(database) for _ in range(4)))
    assert len(set(epochs)) == 1
    assert epochs[0] != before.epoch
    with pytest.raises(CursorExpired):
        await event_log.resume(str(before), world.now)


async def test_events_with_future_transaction_ids_become_the_beginning(
    database: Database, event_log: EventLog, world: Any
) -> None:
    """A dump contains transaction ids that the new server has not assigned yet."""
    owner = await world.user()
    task = await world.task(owner)
    restored = [await world.change(owner, task) for _ in range(3)]
    epoch = (await event_log.head()).cursor.epoch
    await world.run(
        "UPDATE events SET xid = '900000000000' WHERE position IN"
        " (SELECT position FROM events ORDER BY position DESC LIMIT 3)"
    )
    hidden = await event_log.read_visible(owner.id, (0, 0), limit=500)
    assert [row.id for row in hidden.rows] == []
    assert await ensure_epoch(database) != epoch
    fresh = await world.change(owner, task)
    page = await event_log.read_visible(owner.id, (0, 0))
    assert [row.id for row in page.rows] == [*restored, fresh]


async def read_whole(event_log: EventLog, viewer_id: UUID, place: Place) -> list[EventPage]:
    """All pages of a viewer, up to the horizon."""
    pages: list[EventPage] = []
    async with asyncio.timeout(20):
        while not pages or pages[-1].more:
            pages.append(await event_log.read_visible(viewer_id, place))
            place = pages[-1].cursor.place
    return pages


@pytest.fixture
def narrow_log(database: Database, monkeypatch: pytest.MonkeyPatch) -> EventLog:
    """A log whose pages read at most three events."""
    monkeypatch.setattr(log_statements, "_WINDOW", 3)
    return EventLog(database.reader, access.read_by, replay=REPLAY)


async def test_a_page_that_ends_at_its_window_loses_no_event(
    narrow_log: EventLog, world: Any
) -> None:
    owner, stranger = await world.user(), await world.user()
    task = await world.task(owner)
    place = (await narrow_log.head()).cursor.place
    ids = [await world.change(owner, task) for _ in range(7)]
    pages = await read_whole(narrow_log, owner.id, place)
    assert [[row.id for row in page.rows] for page in pages] == [ids[:3], ids[3:6], ids[6:]]
    # A user who sees none of them also reaches the end, by the same steps.
    assert [page.rows for page in await read_whole(narrow_log, stranger.id, place)] == [[], [], []]


async def test_the_last_event_of_a_window_is_read_if_only_it_is_visible(
    narrow_log: EventLog, world: Any
) -> None:
    owner, other = await world.user(), await world.user()
    mine, theirs = await world.task(owner), await world.task(other)
    place = (await narrow_log.head()).cursor.place
    for _ in range(2):
        await world.change(other, theirs)
    last = await world.change(owner, mine)
    for _ in range(2):
        await world.change(other, theirs)
    pages = await read_whole(narrow_log, owner.id, place)
    assert [[row.id for row in page.rows] for page in pages] == [[last], []]


async def test_a_window_ends_at_the_horizon(
    database: Database, narrow_log: EventLog, world: Any
) -> None:
    """Otherwise its end would be a cursor beyond what an open transaction may still add."""
    owner = await world.user()
    task = await world.task(owner)
    place = (await narrow_log.head()).cursor.place
    async with Transactions(database, LocalBus()).begin(
        Viewer(user_id=owner.id), now=world.now, request=RequestInfo(id="slow")
    ) as work:
        early_id = work.record(EventKind.TASK_UPDATED, task, task_id=task.id)
        await work.write_events()
        late = [await world.change(owner, task) for _ in range(4)]
        page = await narrow_log.read_visible(owner.id, place)
        assert (page.rows, page.more, page.waiting) == ([], False, True)
    pages = await read_whole(narrow_log, owner.id, page.cursor.place)
    assert [row.id for page in pages for row in page.rows] == [early_id, *late]
