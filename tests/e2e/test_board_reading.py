"""What can be read on the board: by people with other scripts, other devices, or on paper."""

from __future__ import annotations

import re

from playwright.async_api import Locator, expect

from db import models
from tests.e2e.test_board import (
    Desks,
    Team,
    column,
    desks,
    mention,
    pytestmark,
    team,
)
from tests.e2e.test_board_meetings import opened
from tests.factories import World

__all__ = ["desks", "pytestmark", "team"]

# Where the first and the last letter of an element's text are, from the left.
ENDS = """(element) => {
  const { firstChild: text } = element, range = document.createRange()
  const at = (index) => {
    range.setStart(text, index)
    range.setEnd(text, index + 1)
    return range.getBoundingClientRect().left
  }
  return [at(0), at(text.length - 1)]
}"""


async def test_a_text_is_written_in_its_own_direction(
    desks: Desks, world: World, team: Team
) -> None:
    ada, _, project = team
    await world.task(ada, project_id=project.id, title="לצבוע!", description="לצבוע!")
    page = await desks.sign_in(ada, project)
    await opened(page, "לצבוע")
    for text in (
        column(page, "To do").get_by_text("לצבוע!"),
        page.get_by_role("region", name="Description").get_by_text("לצבוע!"),
    ):
        first, last = await text.evaluate(ENDS)
        assert last < first


async def test_what_icons_and_colours_say_is_there_in_words(
    desks: Desks, world: World, team: Team
) -> None:
    ada, grace, project = team
    parent = await world.task(
        ada, project_id=project.id, title="Paint", priority=models.TaskPriority.URGENT
    )
    await world.task(ada, project_id=project.id, title="Sand", parent_id=parent.id)
    await mention(world, grace, ada)
    page = await desks.sign_in(ada, project)
    await expect(
        page.get_by_role("button", name=re.compile("Urgent priority Paint"))
    ).to_be_visible()
    await opened(page, "Paint")
    await expect(page.get_by_role("listitem").filter(has_text="Sand")).to_contain_text("To do")
    await page.get_by_role("button", name=re.compile("^Notifications")).click()
    await expect(page.get_by_role("button", name=re.compile("^New: Grace"))).to_be_visible()


async def test_nothing_is_cut_off_on_paper(desks: Desks, world: World, team: Team) -> None:
    ada, _, project = team
    for number in range(30):
        await world.task(ada, project_id=project.id, title=f"Task {number}")
    page = await desks.sign_in(ada, project)
    await expect(page.get_by_text("Task 29")).to_be_attached()
    await page.emulate_media(media="print", color_scheme="dark")
    await expect(page.locator(":root")).to_have_css("color", "rgb(27, 31, 39)")
    await expect(page.get_by_label("Search")).to_be_hidden()
    height = await page.evaluate("document.documentElement.scrollHeight")
    box = await page.get_by_text("Task 29").bounding_box()
    assert box is not None
    assert 820 < box["y"] + box["height"] < height


async def test_the_windows_title_says_where_one_is(desks: Desks, team: Team) -> None:
    ada, _, project = team
    page = await desks.sign_in(ada, project)
    await expect(page).to_have_title("Web shop · Taskloom")
    await opened(page, "Cut")
    await expect(page).to_have_title(f"{project.key}-2 Cut · Taskloom")
    await page.goto(f"{desks.server.url}/board/#/NOPE")
    await expect(page).to_have_title("Not found · Taskloom")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page).to_have_title("Sign in · Taskloom")
    await page.get_by_role("link", name="Forgotten your password?").click()
    await expect(page).to_have_title("Forgotten password · Taskloom")


async def test_a_link_that_does_not_work_leads_to_a_new_one(desks: Desks, team: Team) -> None:
    ada, _, project = team
    page = await desks.sign_in(ada, project)
    await page.goto(f"{desks.server.url}/reset-password?token=used")
    await page.get_by_label("New password").fill("lantern-over-water")
    await page.get_by_role("button", name="Set the password").click()
    await page.get_by_role("link", name="Ask for a new link").click()
    await expect(page.get_by_label("Email address")).to_be_focused()
    await page.goto(f"{desks.server.url}/email-verified?status=error&code=INVALID_CREDENTIALS")
    await page.get_by_role("button", name="Send me a new mail").click()
    await expect(page.get_by_text("A new mail is on its way.")).to_be_visible()
    await page.goto(f"{desks.server.url}/email-verified?status=error&code=RATE_LIMITED")
    await expect(page.get_by_text("open the link again")).to_be_visible()


async def test_arrow_keys_lead_through_the_cards(desks: Desks, world: World, team: Team) -> None:
    ada, _, project = team
    await world.task(ada, project_id=project.id, title="Paint", status=models.TaskStatus.COMPLETED)
    page = await desks.sign_in(ada, project)

    def card(title: str) -> Locator:
        return page.get_by_role("button", name=re.compile(f"-[0-9]+ {title}"))

    await card("Measure").focus()
    await page.keyboard.press("ArrowDown")
    await expect(card("Cut")).to_be_focused()
    await page.keyboard.press("ArrowRight")
    await expect(card("Paint")).to_be_focused()
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("ArrowDown")
    await expect(card("Cut")).to_be_focused()
    # One stop for each column, however many cards it has.
    await page.keyboard.press("Tab")
    await expect(page.get_by_label("New task in To do")).to_be_focused()
    await page.keyboard.press("Shift+Tab")
    await expect(card("Cut")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("region", name="History")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(card("Cut")).to_be_focused()


async def test_how_long_ago_something_was_stays_right(desks: Desks, team: Team) -> None:
    ada, _, project = team
    page = await desks.sign_in(ada, project)
    await page.clock.install()
    await page.reload()
    await opened(page, "Cut")
    created = page.get_by_role("region", name="History").locator("time")
    await expect(created).to_have_text("this minute")
    await page.clock.fast_forward("05:00")
    await expect(created).to_have_text(re.compile("5 min"))
