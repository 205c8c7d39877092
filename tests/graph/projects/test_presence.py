"""Who is looking at what, as other members receive it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from httpx_sse import aconnect_sse

from app import create_app
from auth.viewer import Viewer
from db import models
from settings import Settings
from tests import servers
from tests.accounts import Person
from tests.factories import World, fresh_id, gid, world_of

WATCH = """
subscription ($id: ID!) {
  projectPresence(projectId: $id) { people { user { username } task { title } since } }
}
"""
SET = """
mutation ($input: PresenceSetInput!) {
  presenceSet(input: $input) { expiresAt replayed errors { code path message } }
}
"""
CLEAR = """
mutation ($input: PresenceClearInput!) { presenceClear(input: $input) { errors { code } } }
"""
MOVE = "mutation ($input: TaskMoveInput!) { taskMove(input: $input) { errors { code } } }"
LEAVE = """
mutation ($input: ProjectMemberRemoveInput!) {
  projectMemberRemove(input: $input) { errors { code } }
}
"""
Shown = list[tuple[str, str | None]]


def shown(data: Any) -> Shown:
    """Names and titles of one delivery."""
    return [
        (one["user"]["username"], one["task"] and one["task"]["title"])
        for one in data["projectPresence"]["people"]
    ]


class Watcher:
    """An open subscription; `until` waits for what it is to show in the end."""

    def __init__(self) -> None:
        self.seen: list[Shown] = []
        self.codes: list[str] = []
        self.ended = False
        self.came = asyncio.Event()

    async def until(self, is_so: Callable[[Shown], bool], seconds: float = 20) -> Shown:
        async with asyncio.timeout(seconds):
            while not (self.seen and is_so(self.seen[-1])):
                self.came.clear()
                await self.came.wait()
        return self.seen[-1]

    async def end(self) -> list[str]:
        async with asyncio.timeout(20):
            while not self.ended:
                self.came.clear()
                await self.came.wait()
        return self.codes


@contextlib.asynccontextmanager
async def watching(world: World, person: Person, project: models.Project) -> AsyncIterator[Watcher]:
    watcher = Watcher()

    async def listen() -> None:
        async for reply in world.deliveries(WATCH, person, id=gid(project)):
            if reply.codes:
                watcher.codes += reply.codes
            else:
                watcher.seen.append(shown(reply.data))
            watcher.came.set()
        watcher.ended = True
        watcher.came.set()

    task = asyncio.create_task(listen())
    try:
        yield watcher
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_two_people_see_each_other(world: World) -> None:
    ada, grace = await world.people(2)
    project = await world.project(ada, viewers=[grace])
    task = await world.task(ada, project_id=project.id, title="Fix the gate")
    names = (ada.username, grace.username)
    async with watching(world, ada, project) as watcher:
        # The first message is the present state.
        assert await watcher.until(lambda now: now == []) == []
        assert (await world.run(SET, ada, input={"projectId": gid(project)})).good
        await watcher.until(lambda now: now == [(names[0], None)])
        where = {"projectId": gid(project), "taskId": gid(task)}
        assert (await world.run(SET, grace, input=where)).good
        await watcher.until(lambda now: now == [(names[0], None), (names[1], "Fix the gate")])
        async with watching(world, grace, project) as other:
            await other.until(lambda now: now == watcher.seen[-1])
        # A repeated sign is no news.
        count = len(watcher.seen)
        assert (await world.run(SET, grace, input=where)).good
        assert (await world.run(CLEAR, grace, input={"projectId": gid(project)})).good
        await watcher.until(lambda now: now == [(names[0], None)])
        assert len(watcher.seen) == count + 1


async def test_the_last_sign_counts_for_thirty_seconds(world: World) -> None:
    ada = await world.person()
    project = await world.project(ada)
    reply = await world.run(SET, ada, input={"projectId": gid(project)})
    ends = dt.datetime.fromisoformat(reply.good["presenceSet"]["expiresAt"])
    assert 15 < (ends - dt.datetime.now(dt.UTC)).total_seconds() <= 30


async def test_who_does_not_repeat_it_is_gone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.services.presence, "seconds", 1.5)
    ada, grace = await world.people(2)
    project = await world.project(ada, viewers=[grace])
    for person in (ada, grace):
        assert (await world.run(SET, person, input={"projectId": gid(project)})).good
    async with watching(world, ada, project) as watcher:
        await watcher.until(lambda now: len(now) == 2)

        async def repeat() -> None:
            while True:
                await world.run(SET, ada, input={"projectId": gid(project)})
                await asyncio.sleep(0.3)

        task = asyncio.create_task(repeat())
        await watcher.until(lambda now: now == [(ada.username, None)])
        # It is still so after her first sign has ended.
        await asyncio.sleep(1.5)
        assert watcher.seen[-1] == [(ada.username, None)]
        task.cancel()
        await asyncio.wait([task])
        await watcher.until(lambda now: now == [])


async def test_several_devices_are_one_entry_where_the_last_move_was(world: World) -> None:
    ada = await world.person()
    project = await world.project(ada)
    one = await world.task(ada, project_id=project.id, title="One")
    laptop, phone = ada.viewer, replace(ada.viewer, session_id=fresh_id())

    async def look(viewer: Viewer, task: models.Task | None) -> None:
        where = {"projectId": gid(project), "taskId": None if task is None else gid(task)}
        assert (await world.run(SET, viewer, input=where)).good

    async with watching(world, ada, project) as watcher:
        await look(laptop, None)
        await look(phone, one)
        await watcher.until(lambda now: now == [(ada.username, "One")])
        # The laptop repeats what it said: no turns are taken.
        count = len(watcher.seen)
        await look(laptop, None)
        await look(phone, one)
        assert (await world.run(CLEAR, phone, input={"projectId": gid(project)})).good
        await watcher.until(lambda now: now == [(ada.username, None)])
        assert len(watcher.seen) == count + 1


async def test_hidden_tasks_are_not_shown(world: World) -> None:
    ada, grace = await world.people(2)
    project = await world.project(ada, viewers=[grace])
    secret = await world.project(ada)
    task = await world.task(ada, project_id=project.id, title="Secret")
    other = await world.task(ada, project_id=project.id, title="Secret too")
    where = {"projectId": gid(project), "taskId": gid(task)}
    assert (await world.run(SET, ada, input=where)).good
    for one in (task, other):
        moved = {"id": gid(one), "projectId": gid(secret)}
        assert (await world.run(MOVE, ada, input=moved)).good
    async with watching(world, grace, project) as watcher:
        await watcher.until(lambda now: now == [(ada.username, None)])
    async with watching(world, ada, project) as own:
        await own.until(lambda now: now == [(ada.username, "Secret")])


async def test_moves_out_of_sight_are_no_deliveries(world: World) -> None:
    ada, grace = await world.people(2)
    project = await world.project(ada, viewers=[grace])
    presence = world.services.presence
    hidden = await world.task(ada)
    async with watching(world, grace, project) as watcher:
        device = ada.viewer.session_id
        assert device is not None
        await presence.set(project.id, device, ada.id, None)
        await watcher.until(lambda now: now == [(ada.username, None)])
        count = len(watcher.seen)
        # As if the task had been moved away after the sign.
        await presence.set(project.id, device, ada.id, hidden.id)
        await presence.set(project.id, fresh_id(), grace.id, None)
        await watcher.until(lambda now: len(now) == 2)
        assert len(watcher.seen) == count + 1


async def test_a_task_of_another_project_is_refused(world: World) -> None:
    ada, grace = await world.people(2)
    project = await world.project(ada, viewers=[grace])
    personal, hidden = await world.task(grace), await world.task(ada)
    for task, code in ((personal, "BAD_USER_INPUT"), (hidden, "NOT_FOUND")):
        where = {"projectId": gid(project), "taskId": gid(task)}
        reply = await world.run(SET, grace, input=where)
        assert reply.codes == [code]
        assert reply.user_errors[0]["path"] == ["input", "taskId"]


async def test_whoever_loses_access_hears_no_more(world: World) -> None:
    ada, grace = await world.people(2)
    project = await world.project(ada, viewers=[grace])
    async with watching(world, grace, project) as watcher:
        await watcher.until(lambda now: now == [])
        member = (
            await world.run(
                "query ($id: ID!) { project(id: $id) { members { nodes { id user { id } } } } }",
                ada,
                id=gid(project),
            )
        ).good["project"]["members"]["nodes"]
        (own,) = [one["id"] for one in member if one["user"]["id"] == gid(grace)]
        assert (await world.run(LEAVE, ada, input={"id": own})).good
        assert await watcher.end() == ["NOT_FOUND"]
    assert (await world.run(SET, grace, input={"projectId": gid(project)})).codes == ["NOT_FOUND"]
    reply = await world.first_delivery(WATCH, grace, id=gid(project))
    assert reply.codes == ["NOT_FOUND"]
    assert world.services.presence.listeners == 0


@pytest.mark.parametrize(
    ("scopes", "may_set", "may_see"),
    [
        ({"projects:write", "tasks:read"}, True, True),
        ({"projects:read", "tasks:read"}, False, True),
        ({"tasks:read"}, False, False),
        ({"projects:read"}, False, False),
    ],
)
async def test_keys_need_scopes(
    world: World, scopes: set[str], may_set: bool, may_see: bool
) -> None:
    ada = await world.person()
    project = await world.project(ada)
    create = """mutation ($input: ApiKeyCreateInput!) {
      apiKeyCreate(input: $input) { secret errors { code message } }
    }"""
    names = [scope.replace(":", "_").upper() for scope in sorted(scopes)]
    made = await world.run(create, ada, input={"name": "bot", "scopes": names})
    key = f"Bearer {made.good['apiKeyCreate']['secret']}"
    headers = {"Authorization": key}
    body = {"query": SET, "variables": {"input": {"projectId": gid(project)}}}
    answer = (await world.http.post("/graphql", json=body, headers=headers)).json()
    assert ("errors" not in answer) is may_set
    viewer = await world.services.authenticator.viewer(key)
    bot = _Bot(ada, viewer, key)
    reply = await world.first_delivery(WATCH, bot, id=gid(project))  # type: ignore[arg-type]
    assert (reply.codes == []) is may_see


async def test_a_key_of_another_project_sees_nothing(world: World) -> None:
    ada = await world.person()
    project, other = await world.project(ada), await world.project(ada)
    viewer = replace(ada.viewer, api_key_id=fresh_id(), session_id=None, projects=(other.id,))
    assert (await world.run(SET, viewer, input={"projectId": gid(project)})).codes == ["NOT_FOUND"]
    assert (await world.run(SET, viewer, input={"projectId": gid(other)})).good


class _Bot:
    """What `World.deliveries` needs of a person."""

    def __init__(self, person: Person, viewer: Viewer, header: str) -> None:
        self.viewer = viewer
        self.header = header
        self.username = person.username


# --- on the wire, between processes --------------------------------------------------------------


@contextlib.asynccontextmanager
async def _stream(url: str, person: Person, project: str) -> AsyncIterator[Any]:
    async with (
        httpx.AsyncClient(timeout=httpx.Timeout(20)) as client,
        aconnect_sse(
            client,
            "POST",
            f"{url}/graphql",
            json={"query": WATCH, "variables": {"id": project}},
            headers={"Authorization": person.header, "Accept": "text/event-stream"},
        ) as source,
    ):
        yield (event.json() async for event in source.aiter_sse() if event.event == "next")


async def _say(url: str, person: Person, query: str, **given: Any) -> None:
    async with httpx.AsyncClient(timeout=20) as client:
        response = await client.post(
            f"{url}/graphql",
            json={"query": query, "variables": {"input": given}},
            headers={"Authorization": person.header},
        )
    (payload,) = response.json()["data"].values()
    assert payload["errors"] == []


async def test_two_processes_share_it_through_redis(settings: Settings, redis_url: str) -> None:
    redis = settings.redis.model_copy(update={"url": redis_url, "prefix": f"{fresh_id().hex}:"})
    own = settings.model_copy(update={"redis": redis})
    first, second = create_app(own), create_app(own)
    async with (
        servers.serving(first) as one,
        servers.serving(second) as two,
        world_of(first) as world,
        asyncio.timeout(40),
    ):
        for app in (first, second):
            assert app.runtime.services is not None
            app.runtime.services.presence.seconds = 3.0
        ada, grace = await world.people(2)
        project = await world.project(ada, viewers=[grace])
        await _say(one, ada, SET, projectId=gid(project))
        # The second process was not there when it was said.
        async with _stream(two, grace, gid(project)) as events:
            assert shown((await anext(events))["data"]) == [(ada.username, None)]
            await _say(two, grace, SET, projectId=gid(project))
            both = [(ada.username, None), (grace.username, None)]
            assert shown((await anext(events))["data"]) == both
            # Nobody repeats it.
            while shown(last := (await anext(events))["data"]):
                assert len(shown(last)) == 1


async def test_redis_forgets_devices_that_are_gone(settings: Settings, redis_url: str) -> None:
    redis = settings.redis.model_copy(update={"url": redis_url, "prefix": f"{fresh_id().hex}:"})
    app = create_app(settings.model_copy(update={"redis": redis}))
    async with app.lifespan() as services, world_of(app) as world, asyncio.timeout(30):
        presence = services.presence
        presence.seconds = 0.1
        ada = await world.person()
        project = await world.project(ada)
        gone, here = fresh_id(), fresh_id()
        await presence.set(project.id, gone, ada.id, None)
        async with watching(world, ada, project):
            while gone in await presence._signs.read(project.id):
                await presence.set(project.id, here, ada.id, None)
                await asyncio.sleep(0.05)


async def test_a_redis_that_is_away_leaves_each_process_its_own(settings: Settings) -> None:
    redis = settings.redis.model_copy(update={"url": "redis://127.0.0.1:1/0"})
    app = create_app(settings.model_copy(update={"redis": redis}))
    async with app.lifespan(), world_of(app) as world:
        ada = await world.person()
        project = await world.project(ada)
        assert (await world.run(SET, ada, input={"projectId": gid(project)})).good
        async with watching(world, ada, project) as watcher:
            await watcher.until(lambda now: now == [(ada.username, None)])


async def test_a_server_that_stops_ends_it_with_a_reason(settings: Settings) -> None:
    app = create_app(settings)
    async with app.lifespan(), world_of(app) as world:
        ada = await world.person()
        project = await world.project(ada)
        async with watching(world, ada, project) as watcher:
            await watcher.until(lambda now: now == [])
            await world.services.presence.close()
            assert await watcher.end() == ["UNAVAILABLE"]
