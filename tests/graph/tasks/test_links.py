"""Links to the web application, and what pages show of people and descriptions."""

from __future__ import annotations

from typing import Any

import pytest

from domain import markdown
from tests.factories import ENGINES, Engine, World, fresh_id, gid
from tests.graph.tasks.test_comments import CREATE

SEEN = """
query ($task: ID!, $project: ID!, $comment: ID!) {
  task(id: $task) { title url status description descriptionHtml }
  project(id: $project) { url descriptionHtml }
  comment(id: $comment) { url }
}
"""


@pytest.mark.parametrize("engine", ENGINES)
async def test_links_lead_to_the_pages_of_the_web_application(world: World, engine: Engine) -> None:
    owner = await world.person()
    project = await world.project(owner)
    task = await world.task(owner, project_id=project.id, description="*Soon*\n\n<script>x")
    made = await world.run(CREATE, owner, input={"taskId": gid(task), "body": "Look"})
    comment = made.good["commentCreate"]["comment"]["id"]
    seen = (
        await world.run(
            SEEN, owner, engine=engine, task=gid(task), project=gid(project), comment=comment
        )
    ).good
    front = world.services.settings.server.frontend_url
    assert seen["task"]["url"] == f"{front}/tasks/{gid(task)}"
    assert seen["project"]["url"] == f"{front}/projects/{gid(project)}"
    assert seen["comment"]["url"] == f"{front}/tasks/{gid(task)}#{comment}"
    assert seen["task"]["descriptionHtml"] == "<p><em>Soon</em></p>\n<p>&lt;script&gt;x</p>\n"
    assert seen["project"]["descriptionHtml"] is None


@pytest.mark.parametrize("engine", ENGINES)
async def test_descriptions_change_with_their_html(world: World, engine: Engine) -> None:
    owner = await world.person()
    tasks = await world.tasks(owner, ["one", "two", "three"], description="**same**")
    update = """mutation ($input: TaskUpdateInput!) {
      taskUpdate(input: $input) { task { descriptionHtml } errors { code } }
    }"""
    for text, html in (("**new**", "<p><strong>new</strong></p>\n"), (None, None)):
        fields: dict[str, Any] = {"id": gid(tasks[0]), "description": text}
        done = await world.run(update, owner, engine=engine, input=fields)
        assert done.good["taskUpdate"]["task"]["descriptionHtml"] == html
    listed = await world.run(
        "{ tasks(orderBy: [{title: ASC}]) { nodes { id title descriptionHtml } } }",
        owner,
        engine=engine,
    )
    html = "<p><strong>same</strong></p>\n"
    assert [(node["title"], node["descriptionHtml"]) for node in listed.good["tasks"]["nodes"]] == [
        ("one", None),
        ("three", html),
        ("two", html),
    ]


async def test_html_is_kept_for_the_next_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"*{fresh_id()}*"
    first = await markdown.html(text)
    assert first == f"<p><em>{text[1:-1]}</em></p>\n"
    monkeypatch.setattr(markdown, "render", None)
    assert await markdown.html(text) == first


async def test_a_display_name_is_the_full_name_or_the_username(world: World) -> None:
    named, bare = await world.person(full_name="Ada Lovelace"), await world.person(full_name=None)
    query = "{ viewer { user { username fullName displayName } } }"
    seen = (await world.run(query, named)).good["viewer"]["user"]
    assert seen["displayName"] == seen["fullName"] == "Ada Lovelace"
    seen = (await world.run(query, bare)).good["viewer"]["user"]
    assert (seen["fullName"], seen["displayName"]) == (None, bare.username)
