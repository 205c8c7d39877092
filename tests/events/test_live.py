"""Live delivery: users get the events that they may see, once, in order, from any cursor on."""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import tracemalloc
from typing import Any

import pytest

from auth.request import RequestInfo
from auth.viewer import Viewer
from domain.work import Transactions
from errors import CursorExpired, NotFound, Unavailable
from events import live as live_module
from events import subscription as subscription_module
from events.bus import LocalBus
from events.filter import LogFilter
from events.kinds import EventKind
from events.live import LiveEvents
from events.log import EventLog, cursor_of
from events.subscription import SlowConsumer, Subscription

ALL = LogFilter(work_only=True)


async def _nothing_comes(subscription: Subscription, live: LiveEvents, then: Any) -> Any:
    """The event that `then` records is the next one: no other event comes before it."""
    expected = await then()
    async with asyncio.timeout(20):
        row = await anext(subscription)
    assert row.id == expected
    return row


async def test_events_arrive_in_order_with_their_request_id(
    live: LiveEvents, world: Any, take: Any
) -> None:
    owner = await world.user()
    task = await world.task(owner)
    subscription = await live.subscribe(owner.id, ALL)
    ids = [await world.change(owner, task, request_id=f"request {n}") for n in range(5)]
    rows = await take(subscription, 5)
    assert [row.id for row in rows] == ids
    assert [row.request_id for row in rows] == [f"request {n}" for n in range(5)]
    await subscription.aclose()
    assert live.listeners == 0


async def test_a_lost_announcement_delays_an_event_and_does_not_lose_it(
    live: LiveEvents, world: Any, take: Any
) -> None:
    owner = await world.user()
    task = await world.task(owner)
    subscription = await live.subscribe(owner.id, ALL)
    await world.change(owner, task)
    await take(subscription, 1)
    event = await world.change(owner, task, announce=False)
    (row,) = await take(subscription, 1)
    assert row.id == event


async def test_an_event_waits_for_earlier_transactions(
    live: LiveEvents, world: Any, take: Any
) -> None:
    owner = await world.user()
    task = await world.task(owner)
    subscription = await live.subscribe(owner.id, ALL)
    async with Transactions(world.database, LocalBus()).begin(
        Viewer(user_id=owner.id), now=world.now, request=RequestInfo(id="slow")
    ) as work:
        early_id = work.record(EventKind.TASK_UPDATED, task, task_id=task.id)
        await work.write_events()
        late = await world.change(owner, task)
        waiting = asyncio.ensure_future(take(subscription, 2))
        await asyncio.sleep(0.2)
        assert not waiting.done()
    assert [row.id for row in await waiting] == [early_id, late]


async def test_a_cut_connection_resumes_with_missed_events_and_continues_live(
    live: LiveEvents, world: Any, take: Any
) -> None:
    owner = await world.user()
    task = await world.task(owner)
    first = await live.subscribe(owner.id, ALL)
    await world.change(owner, task)
    (row,) = await take(first, 1)
    await first.aclose()
    missed = [await world.change(owner, task) for _ in range(20)]
    second = await live.subscribe(owner.id, ALL, after=cursor_of(row))
    assert [row.id for row in await take(second, 20)] == missed
    ahead = await world.change(owner, task)
    assert [row.id for row in await take(second, 1)] == [ahead]


async def test_resuming_during_changes_neither_skips_nor_repeats(
    live: LiveEvents, world: Any, take: Any
) -> None:
    """The change from the log to live delivery, repeatedly while events arrive."""
    owner = await world.user()
    task = await world.task(owner)
    # One subscriber listens all the time, so that the shared reader is ahead of those who join.
    witness = await live.subscribe(owner.id, ALL)
    cursor = str((await live.log.head()).cursor)
    written: list[Any] = []

    async def write() -> None:
        written.extend([await world.change(owner, task) for _ in range(40)])

    writers = [asyncio.create_task(write()) for _ in range(5)]
    seen: list[Any] = []
    while len(seen) < 200:
        subscription = await live.subscribe(owner.id, ALL, after=cursor)
        rows = await take(subscription, min(7, 200 - len(seen)))
        await subscription.aclose()
        seen.extend(row.id for row in rows)
        cursor = cursor_of(rows[-1])
    await asyncio.gather(*writers)
    assert len(set(seen)) == 200
    assert set(seen) == set(written)
    assert [row.id for row in await take(witness, 200)] == seen


async def test_a_user_without_access_gets_nothing_until_they_gain_access(
    live: LiveEvents, world: Any
) -> None:
    owner, guest = await world.user(), await world.user()
    project = await world.project(owner)
    task = await world.task(owner, project)
    subscription = await live.subscribe(guest.id, ALL)
    own = await world.task(guest)
    await world.change(owner, task)
    await _nothing_comes(subscription, live, lambda: world.change(guest, own))
    await world.join(project, guest)
    row = await _nothing_comes(subscription, live, lambda: world.change(owner, task))
    assert row.project_id == project.id


async def test_a_user_who_loses_access_is_notified_and_gets_no_more(
    live: LiveEvents, world: Any, take: Any
) -> None:
    owner, guest = await world.user(), await world.user()
    project = await world.project(owner, guest)
    task = await world.task(owner, project)
    everything = await live.subscribe(guest.id, ALL)
    watching = await live.subscribe(guest.id, LogFilter(projects=frozenset({project.id})))
    of_owner = await live.subscribe(owner.id, ALL)
    await world.change(owner, task)
    for one in (everything, watching, of_owner):
        await take(one, 1)
    await world.leave(project, guest)
    await world.change(owner, project, EventKind.ACCESS_LOST, audience=[guest.id])
    after = await world.change(owner, task)
    for one in (everything, watching):
        (row,) = await take(one, 1)
        assert row.kind == "ACCESS_LOST"
    # The others do not get it.
    assert [row.id for row in await take(of_owner, 1)] == [after]
    # Nothing that it watches is left, so the subscription ends by itself.
    with pytest.raises(NotFound):
        await take(watching, 1)
    # The other one continues, for everything else that its owner may see.
    own = await world.task(guest)
    await _nothing_comes(everything, live, lambda: world.change(guest, own))


async def test_a_queued_event_is_not_delivered_after_a_loss_of_access(
    live: LiveEvents, world: Any, take: Any
) -> None:
    owner, guest = await world.user(), await world.user()
    project = await world.project(owner, guest)
    task = await world.task(owner, project)
    own = await world.task(guest)
    subscription = await live.subscribe(guest.id, ALL)
    first = await world.change(owner, task)
    assert [row.id for row in await take(subscription, 1)] == [first]
    witness = await live.subscribe(owner.id, ALL)
    hidden = await world.change(owner, task)
    assert [row.id for row in await take(witness, 1)] == [hidden]
    await world.leave(project, guest)
    # The event is in the queue by now, with a check that is outdated.
    await asyncio.sleep(subscription_module._FRESH_SECONDS + 0.1)
    await _nothing_comes(subscription, live, lambda: world.change(guest, own))


async def test_a_hidden_object_cannot_be_watched(live: LiveEvents, world: Any) -> None:
    owner, stranger = await world.user(), await world.user()
    project = await world.project(owner)
    task = await world.task(owner, project)
    for wanted in (
        LogFilter(projects=frozenset({project.id})),
        LogFilter(tasks=frozenset({task.id})),
        LogFilter(projects=frozenset({stranger.id})),
    ):
        with pytest.raises(NotFound):
            await live.subscribe(stranger.id, wanted)
    # One of several is enough.
    mine = await world.task(stranger)
    await live.subscribe(stranger.id, LogFilter(tasks=frozenset({task.id, mine.id})))


async def test_filters_select_by_kind_project_task_and_actor(
    live: LiveEvents, world: Any, take: Any
) -> None:
    owner, member = await world.user(), await world.user()
    one, two = await world.project(owner, member), await world.project(owner, member)
    first, second = await world.task(owner, one), await world.task(owner, two)
    wanted = {
        "kind": LogFilter(kinds=frozenset({"TASK_COMPLETED"})),
        "project": LogFilter(projects=frozenset({two.id})),
        "task": LogFilter(tasks=frozenset({first.id})),
        "not mine": LogFilter(decide=lambda event: event.actor_id != owner.id),
        "by member": LogFilter(actors=frozenset({member.id})),
    }
    open_ = {name: await live.subscribe(owner.id, one) for name, one in wanted.items()}
    events = {
        "a": await world.change(owner, first),
        "b": await world.change(owner, second, EventKind.TASK_COMPLETED),
        "c": await world.change(member, first, EventKind.TASK_COMPLETED),
        "d": await world.change(member, two, EventKind.PROJECT_UPDATED),
    }
    expected = {"kind": "bc", "project": "bd", "task": "ac", "not mine": "cd", "by member": "cd"}
    for name, letters in expected.items():
        rows = await take(open_[name], len(letters))
        assert [row.id for row in rows] == [events[letter] for letter in letters], name


async def test_subscriptions_contain_no_account_events(live: LiveEvents, world: Any) -> None:
    owner = await world.user()
    task = await world.task(owner)
    subscription = await live.subscribe(owner.id, ALL)
    async with Transactions(world.database, LocalBus()).begin(
        Viewer(user_id=owner.id), now=world.now, request=RequestInfo(id="r")
    ) as work:
        work.record(EventKind.USER_UPDATED, owner, audience=[owner.id])
    await _nothing_comes(subscription, live, lambda: world.change(owner, task))


async def test_too_many_queued_events_end_the_subscription_without_loss(
    live: LiveEvents, world: Any, take: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription_module, "QUEUE_EVENTS", 10)
    owner = await world.user()
    task = await world.task(owner)
    slow, quick = [await live.subscribe(owner.id, ALL) for _ in range(2)]
    first = await world.change(owner, task)
    (row,) = await take(slow, 1)
    await take(quick, 1)
    assert row.id == first
    missed = []
    for _ in range(12):
        missed.append(await world.change(owner, task))
        assert [row.id for row in await take(quick, 1)] == missed[-1:]
    with pytest.raises(SlowConsumer) as caught:
        await take(slow, 1)
    assert "cursor" in caught.value.message
    again = await live.subscribe(owner.id, ALL, after=cursor_of(row))
    assert [row.id for row in await take(again, 12)] == missed


async def test_an_event_queued_too_long_ends_the_subscription(
    live: LiveEvents, world: Any, take: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription_module, "QUEUE_SECONDS", 0.05)
    monkeypatch.setattr(live_module, "SWEEP_SECONDS", 0.05)
    owner = await world.user()
    task = await world.task(owner)
    slow = await live.subscribe(owner.id, ALL)
    await world.change(owner, task)
    await take(slow, 1)
    await world.change(owner, task)
    await until(lambda: not live.listeners)
    with pytest.raises(SlowConsumer):
        await take(slow, 1)


async def test_an_expired_cursor_is_refused_at_once(
    event_log: EventLog, world: Any, bus: LocalBus
) -> None:
    owner = await world.user()
    task = await world.task(owner)
    cursor = str((await event_log.head()).cursor)
    await world.change(owner, task)
    later = LiveEvents(event_log, bus, lambda: dt.datetime.now(dt.UTC) + dt.timedelta(days=8))
    with pytest.raises(CursorExpired):
        await later.subscribe(owner.id, ALL, after=cursor)


async def test_a_restore_of_the_database_ends_the_subscriptions(
    live: LiveEvents, world: Any, take: Any
) -> None:
    owner = await world.user()
    task = await world.task(owner)
    subscription = await live.subscribe(owner.id, ALL)
    await world.change(owner, task)
    await take(subscription, 1)
    await world.run("UPDATE log_epoch SET epoch = gen_random_uuid()")
    with pytest.raises(CursorExpired):
        await take(subscription, 1)
    # A later subscription works.
    fresh = await live.subscribe(owner.id, ALL)
    event = await world.change(owner, task)
    assert [row.id for row in await take(fresh, 1)] == [event]


async def test_stopping_ends_the_subscriptions(
    event_log: EventLog, world: Any, take: Any, until: Any
) -> None:
    owner = await world.user()
    live = LiveEvents(event_log, world.bus, lambda: dt.datetime.now(dt.UTC))
    await live.start()
    waiting = asyncio.ensure_future(take(await live.subscribe(owner.id, ALL), 1))
    await until(lambda: live._joined)
    await live.close()
    with pytest.raises(Unavailable):
        await waiting
    with pytest.raises(Unavailable):
        await live.subscribe(owner.id, ALL)


async def test_a_thousand_subscriptions_cost_little_and_all_get_events(
    live: LiveEvents, world: Any, take: Any, until: Any
) -> None:
    people = [await world.user() for _ in range(10)]
    project = await world.project(*people)
    task = await world.task(people[0], project)
    # The first subscription's additional cost occurs only once.
    await take_soon(live, people[0], world, task, take)
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    subscriptions = [await live.subscribe(people[n % 10].id, ALL) for n in range(1000)]
    waiting = [asyncio.ensure_future(anext(one)) for one in subscriptions]
    await until(lambda: len(live._joined) == 1000)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / 1000 < 30 * 1024
    event = await world.change(people[0], task)
    async with asyncio.timeout(30):
        rows = await asyncio.gather(*waiting)
    assert {row.id for row in rows} == {event}
    for one in subscriptions:
        await one.aclose()
    assert live.listeners == 0


async def test_many_listeners_are_woken_in_several_turns_of_the_event_loop(
    live: LiveEvents, world: Any, until: Any
) -> None:
    owner = await world.user()
    task = await world.task(owner)
    subscriptions = [await live.subscribe(owner.id, ALL) for _ in range(250)]
    waiting = [asyncio.ensure_future(anext(one)) for one in subscriptions]
    await until(lambda: len(live._joined) == 250)
    await world.change(owner, task)
    having = {0}
    async with asyncio.timeout(30):
        while max(having) < 250:
            await asyncio.sleep(0)
            having.add(sum(one.done() for one in waiting))
    assert len(having) > 2
    for one in subscriptions:
        await one.aclose()


async def test_who_joins_while_an_event_is_handed_out_gets_it_once(
    live: LiveEvents, world: Any, until: Any
) -> None:
    owner = await world.user()
    task = await world.task(owner)
    before = str((await live.log.head()).cursor)
    subscriptions = [await live.subscribe(owner.id, ALL) for _ in range(500)]
    waiting = [asyncio.ensure_future(anext(one)) for one in subscriptions]
    await until(lambda: len(live._joined) == 500)
    late = await live.subscribe(owner.id, ALL, after=before)
    await world.change(owner, task)
    async with asyncio.timeout(30):
        while not any(one.done() for one in waiting):
            await asyncio.sleep(0)
        assert not all(one.done() for one in waiting)
        heard = [(await anext(late)).id]
        events = {(await one).id for one in waiting}
        assert events == set(heard)
        await world.change(owner, task)
        heard.append((await anext(late)).id)
        assert {(await anext(one)).id for one in subscriptions} == set(heard) - events
    assert len(set(heard)) == 2
    for one in (*subscriptions, late):
        await one.aclose()


async def take_soon(live: LiveEvents, person: Any, world: Any, task: Any, take: Any) -> None:
    subscription = await live.subscribe(person.id, ALL)
    await world.change(person, task)
    await take(subscription, 1)
    await subscription.aclose()


async def test_closing_during_an_announcement(event_log: EventLog, world: Any) -> None:
    """The announcement arrives in the same turn of the loop in which the reader is cancelled."""
    owner = await world.user()
    await world.task(owner)
    for place in range(1, 8):
        bus = LocalBus()
        live = LiveEvents(event_log, bus, lambda: dt.datetime.now(dt.UTC))
        await live.start()
        subscription = await live.subscribe(owner.id, ALL)
        listening = asyncio.ensure_future(anext(subscription))
        while not live._joined:
            await asyncio.sleep(0)
        for _ in range(place):
            await asyncio.sleep(0)
        await asyncio.sleep(0.02)
        live._wake.set()
        async with asyncio.timeout(5):
            await live.close()
        with pytest.raises(Unavailable):
            await listening
