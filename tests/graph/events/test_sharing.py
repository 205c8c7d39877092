"""Subscriptions of one viewer that ask the same have one answer, and nobody has another's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import orjson
import pytest

from graph.core.single_flight import SingleFlight
from graph.request.answer import Answer
from graph.request.preparation import GraphQLRequest
from tests.accounts import Person
from tests.factories import World, gid

LISTEN = "subscription { taskEvents { task { title viewerCanEdit } } }"
RENAME = """
mutation ($id: ID!, $title: String!) {
  taskUpdate(input: {id: $id, title: $title}) { errors { code } }
}
"""
EACH, ROUNDS = 12, 10


async def test_a_viewers_subscriptions_share_the_reading_and_others_do_not(world: World) -> None:
    ada, bob = await world.people(2)
    project = await world.project(ada, viewers=[bob])
    task = await world.task(ada, "old", project_id=project.id)
    executor = world.executors["batch"]

    async with contextlib.AsyncExitStack() as stack:

        async def listen(person: Person) -> AsyncGenerator[Answer, None]:
            prepared = await executor.prepare(GraphQLRequest(query=LISTEN), request_id="test")
            answers = await executor.subscribe(
                prepared, world.context(person), lambda: world.current_viewer(person)
            )
            return await stack.enter_async_context(contextlib.aclosing(answers))

        people = [ada] * EACH + [bob]
        streams = [await listen(person) for person in people]
        read = 0
        for turn in range(ROUNDS):
            waiting = [asyncio.create_task(anext(stream)) for stream in streams]
            # In the first turns some may still read what was before them.
            await asyncio.sleep(0.05)
            with world.heard() as statements:
                await world.run(RENAME, ada, id=gid(task), title=f"turn {turn}")
                async with asyncio.timeout(20):
                    answers: list[Answer] = await asyncio.gather(*waiting)
            read += sum("FROM tasks" in one and "tasks.title" in one for one in statements)
            for person, answer in zip(people, answers, strict=True):
                assert answer.payload()
                assert orjson.loads(answer.body())["data"] == {
                    "taskEvents": {
                        "task": {"title": f"turn {turn}", "viewerCanEdit": person is ada}
                    }
                }
                assert answer.extensions["requestId"]
            ids = [answer.extensions["requestId"] for answer in answers]
            assert len(set(ids)) == len(ids), "each has the id of its own request"
        assert ROUNDS <= read < EACH * ROUNDS / 2


async def test_who_led_may_leave_and_the_others_go_on() -> None:
    shared: SingleFlight[str] = SingleFlight(lambda result: result != "bad")
    begun, ended = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        begun.set()
        await ended.wait()
        return "good"

    leader = asyncio.create_task(shared.lead("key", slow))
    await begun.wait()
    follower = asyncio.create_task(shared.join("key"))
    impatient = asyncio.create_task(shared.join("key"))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait([impatient])
    leader.cancel()
    assert await follower is None
    assert await shared.join("key") is None
    with pytest.raises(asyncio.CancelledError):
        await leader


@pytest.mark.parametrize(("result", "told"), [("good", "good"), ("bad", None)])
async def test_only_what_is_worth_it_is_shared(result: str, told: str | None) -> None:
    shared: SingleFlight[str] = SingleFlight(lambda one: one != "bad")
    ended = asyncio.Event()

    async def run() -> str:
        await ended.wait()
        return result

    leader = asyncio.create_task(shared.lead("key", run))
    await asyncio.sleep(0)
    follower = asyncio.create_task(shared.join("key"))
    # Another question is another run.
    assert await shared.join("other") is None
    ended.set()
    assert (await leader, await follower) == (result, told)
