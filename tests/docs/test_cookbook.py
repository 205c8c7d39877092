"""What recipes of the cookbook find, at the edges where one is easily wrong."""

from __future__ import annotations

from tests.docs.snippets import snippets
from tests.factories import World
from web.docs.site import FOLDER


def recipe(title: str) -> str:
    """The first document below a heading."""
    text = (FOLDER / "guide" / "cookbook.md").read_text()
    _, found, rest = text.partition(f"{title}\n")
    assert found
    return next(one.text for one in snippets("cookbook", rest) if one.language == "graphql")


async def test_my_week_is_from_monday_to_sunday(world: World) -> None:
    """Also for tasks without a time of day, which are due when their day ends."""
    ada = await world.person(timezone="Europe/Brussels")
    create = """mutation ($input: TaskCreateInput!) {
      taskCreate(input: $input) { errors { code message } }
    }"""
    for title, due in {
        "Sunday before": {"on": "2026-11-29"},
        "Monday": {"on": "2026-11-30"},
        "Thursday at noon": {"at": "2026-12-03T12:00:00+01:00"},
        "Sunday": {"on": "2026-12-06"},
        "Monday after": {"on": "2026-12-07"},
    }.items():
        given = {"title": title, "due": due, "assigneeId": f"@{ada.username}"}
        assert (await world.run(create, ada, input=given)).good["taskCreate"]["errors"] == []
    found = (await world.run(recipe("### 2. My week"), ada)).good["tasks"]["nodes"]
    assert [task["title"] for task in found] == ["Monday", "Thursday at noon", "Sunday"]
