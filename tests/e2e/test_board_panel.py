"""What the panel of a task and the search show when something is refused, away, or too much."""

from __future__ import annotations

import re

from playwright.async_api import Page, WebSocketRoute, expect

from tests.accounts import Person
from tests.e2e.test_board import (
    Desks,
    Team,
    check,
    column,
    desks,
    pytestmark,
    team,
)
from tests.factories import World

__all__ = ["desks", "pytestmark", "team"]

FIND = '{ tasks(filter: {title: {eq: "Cut"}}) { nodes { id } } }'
COMMENT = """mutation ($id: ID!, $body: Markdown!) {
  commentCreate(input: {taskId: $id, body: $body}) { errors { code } }
}"""


async def cut(world: World, person: Person) -> str:
    """The ID of one of the tasks."""
    (node,) = (await world.run(FIND, person)).good["tasks"]["nodes"]
    return str(node["id"])


async def opened(page: Page, title: str = "Cut") -> None:
    await page.get_by_role("button", name=re.compile(title)).click()
    await expect(page.get_by_role("region", name="History")).to_be_visible()


async def test_a_comment_that_is_refused_can_be_mended(desks: Desks, team: Team) -> None:
    ada, _, project = team
    page = await desks.sign_in(ada, project)
    await opened(page)
    field = page.get_by_label("Write a comment")
    text = "long " * 5_000
    await field.fill(text)
    await page.get_by_role("button", name="Comment", exact=True).click()
    await expect(page.get_by_text("body must have at most 10,000 characters")).to_be_visible()
    await expect(field).to_have_value(text.strip())
    await field.fill("short")
    await page.get_by_role("button", name="Comment", exact=True).click()
    await expect(page.get_by_role("region", name="Comments").get_by_text("short")).to_be_visible()


async def test_a_description_that_is_refused_can_be_mended(desks: Desks, team: Team) -> None:
    ada, _, project = team
    page = await desks.sign_in(ada, project)
    await opened(page)
    await page.get_by_role("button", name="Add a description").click()
    field = page.get_by_label("Description, in Markdown")
    text = "long " * 5_000
    await field.fill(text)
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("description must have at most 10,000")).to_be_visible()
    await expect(field).to_have_value(text)


async def test_of_many_comments_the_newest_are_shown(
    desks: Desks, world: World, team: Team
) -> None:
    ada, _, project = team
    task = await cut(world, ada)
    for number in range(101):
        assert (await world.run(COMMENT, ada, id=task, body=f"Comment {number}.")).good
    page = await desks.sign_in(ada, project)
    await opened(page)
    comments = page.get_by_role("region", name="Comments")
    await expect(comments.get_by_text("Earlier comments are not shown here.")).to_be_visible()
    await expect(comments.get_by_text("Comment 100.")).to_be_visible()
    await page.get_by_label("Write a comment").fill("And one more.")
    await page.get_by_role("button", name="Comment", exact=True).click()
    await expect(comments.get_by_text("And one more.")).to_be_visible()
    await expect(comments.get_by_text("Sending")).to_be_hidden()


async def test_the_keyboard_goes_on_behind_a_description(desks: Desks, team: Team) -> None:
    ada, _, project = team
    page = await desks.sign_in(ada, project)
    await opened(page)
    await page.get_by_role("button", name="Add a description").click()
    await page.keyboard.insert_text("Of *oak*")
    await page.get_by_role("button", name="Save").press("Enter")
    await expect(page.get_by_role("button", name="Edit description")).to_be_focused()


async def test_that_the_server_is_away_is_said_on_every_page(desks: Desks, team: Team) -> None:
    ada, _, project = team
    page = await desks.sign_in(ada, project)

    # The connection that is open ends with the page.
    await page.route_web_socket("**/graphql", WebSocketRoute.close)
    await page.goto(f"{desks.server.url}/board/?#/")
    await expect(page.get_by_role("heading", name="Projects")).to_be_visible()
    await expect(page.get_by_text("Offline")).to_be_visible()
    await page.get_by_role("link", name="Web shop").click()
    await expect(page.get_by_role("heading", name="Web shop")).to_be_visible()
    await page.get_by_role("link", name="Projects", exact=True).click()
    await expect(page.get_by_role("heading", name="Projects")).to_be_visible()
    await expect(page.get_by_text("Offline")).to_be_visible()


async def test_a_timer_without_a_network_says_so(desks: Desks, team: Team) -> None:
    ada, _, project = team
    page = await desks.sign_in(ada, project)
    await opened(page)
    await page.route("**/graphql", lambda route: route.abort())
    await page.get_by_role("button", name="Start timer").click()
    await expect(page.get_by_text("The server could not be reached.")).to_be_visible(timeout=5_000)


async def test_a_search_without_a_network_says_so(desks: Desks, team: Team) -> None:
    ada, _, project = team
    page = await desks.sign_in(ada, project)
    await page.route("**/graphql", lambda route: route.abort())
    await page.get_by_role("combobox", name="Search").fill("weld")
    await expect(page.get_by_role("option")).to_have_text("The server could not be reached.")
    # It covers cards only while one searches.
    await page.get_by_role("heading", level=1).click()
    await expect(page.get_by_role("option")).to_be_hidden()


async def test_a_due_time_is_on_the_same_day_everywhere(
    desks: Desks, world: World, team: Team
) -> None:
    ada, _, project = team
    update = """mutation ($id: ID!) {
      taskUpdate(input: {id: $id, due: {at: "2027-03-01T23:30:00Z"}}) { errors { code } }
    }"""
    assert (await world.run(update, ada, id=await cut(world, ada))).good
    page = await desks.sign_in(ada, project, timezone_id="Europe/Brussels")
    await expect(column(page, "To do").get_by_text("2 Mar")).to_be_visible()
    await opened(page)
    await expect(page.get_by_label("Due")).to_have_value("2027-03-02")


async def test_a_task_that_is_gone_is_said_to_be(desks: Desks, team: Team) -> None:
    ada, _, project = team
    page = await desks.sign_in(ada, project)
    await page.goto(f"{desks.server.url}/board/#/{project.key}/{project.key}-999")
    await expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    await check(page)


async def test_a_large_project_says_what_is_not_shown(
    desks: Desks, world: World, team: Team
) -> None:
    ada, _, project = team
    await world.many_tasks(ada, project, 600)
    page = await desks.sign_in(ada, project)
    await expect(page.get_by_text("Only the first 600 tasks are shown.")).to_be_visible()
