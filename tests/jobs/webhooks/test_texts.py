"""A stored filter by a part of a text matches events, while lists with the same filter look up the
rows that have it.
"""

from __future__ import annotations

import orjson
import pytest

from db.models import Task
from domain.tasks import task as tasks
from graph.kit import look_ups
from graph.request.preparation import GraphQLRequest
from jobs.graph import graph_of, load
from tests.jobs.webhooks.conftest import Scene

LIST = """
query ($filter: TaskFilter) { tasks(first: 100, filter: $filter) { nodes { title } } }
"""
WORD = "Heron"
TITLES = ["A heron", "no bird", "HÉRON again", "her on", "the hÉrons"]
TITLES += ["heron 7", "egret", "Heron, heron", "a shero", "Kranich"]
# Without case, and with accents.
MATCHING = [title for title in TITLES if WORD.lower() in title.lower()]


@pytest.mark.parametrize("most", [look_ups.MOST, 2], ids=["few have it", "many have it"])
async def test_a_stored_filter_beside_look_ups(
    most: int, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look_ups, "MOST", most)
    look_ups._statement.cache_clear()
    condition = {"title": {"contains": WORD}}
    await scene.webhook(filter={"task": condition}, payload="{ kind task { title } }")
    context = scene.workshop.context
    await load()
    graph = graph_of(context)

    async def listed() -> list[str]:
        request = GraphQLRequest(query=LIST, variables={"filter": condition})
        own = graph.context(scene.ada.viewer)
        prepared = await graph._executor.prepare(request, request_id="test")
        body = orjson.loads((await graph._executor.execute(prepared, own)).body())
        return [node["title"] for node in body["data"]["tasks"]["nodes"]]

    def heard() -> list[tuple[str, str]]:
        found = [(one.json["kind"], one.json["task"]["title"]) for one in scene.receiver.requests]
        scene.receiver.requests.clear()
        return sorted(found)

    try:
        assert await listed() == []
        made: list[Task] = []
        for number, title in enumerate(TITLES):
            made.append(await scene.task(title))
            if number % 4 == 0:
                # The filter of the list now has the rows that were looked up.
                await listed()
                await scene.settle()
        await scene.settle()
        assert sorted(await listed()) == sorted(MATCHING)
        assert heard() == sorted(("TASK_CREATED", title) for title in MATCHING)
        # One stops matching, and one begins to.
        for task, title in ((made[0], "no longer"), (made[1], "a heron now")):
            await scene.house.do(
                scene.ada.viewer, tasks.update_task, task.id, {"title": title}, None
            )
            await listed()
        await scene.settle()
        assert heard() == [("TASK_UPDATED", "a heron now")]
        assert sorted(await listed()) == sorted([*MATCHING[1:], "a heron now"])
    finally:
        look_ups._statement.cache_clear()
