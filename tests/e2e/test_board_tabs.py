"""Several pages of one browser: one of them sends a change, and no words are lost with a page."""

from __future__ import annotations

import json

from playwright.async_api import Dialog, Page, Request, expect

from tests.e2e.test_board import (
    Desks,
    Team,
    column,
    desks,
    pytestmark,
    team,
    until,
)
from tests.e2e.test_board_meetings import UPDATE, cut_off, opened, tasks, write_title
from tests.factories import World

__all__ = ["desks", "pytestmark", "team"]


def noted(page: Page) -> list[str]:
    """The idempotency keys of the changes that a page sends, from now on."""
    keys: list[str] = []

    def note(request: Request) -> None:
        body = json.loads(request.post_data or "{}")
        if "taskUpdate" in body.get("query", ""):
            keys.append(body["variables"]["input"]["idempotencyKey"])

    page.on("request", note)
    return keys


async def second_page(desks: Desks, page: Page) -> Page:
    """Another page of the same browser, with the same address."""
    other = await page.context.new_page()
    await other.goto(page.url)
    await expect(column(other, "To do").get_by_text("Weld")).to_be_visible()
    return other


async def test_of_two_pages_the_one_that_was_used_sends(
    desks: Desks, world: World, team: Team
) -> None:
    ada, grace, project = team
    one = await desks.sign_in(ada, project)
    await cut_off(one)
    await write_title(one, "Cut", "Cut, says Ada")
    await expect(one.get_by_text("1 change waits")).to_be_visible()
    cut = (await tasks(world, ada, project))["Cut"]["id"]
    change = {"id": cut, "title": "Cut, says Grace"}
    assert (await world.run(UPDATE, grace, input=change)).good

    # The other one can reach the server, and leaves it to the first.
    two = await second_page(desks, one)
    sent = noted(two)
    await two.get_by_label("Write a comment").fill("Hello")
    await two.get_by_role("button", name="Comment", exact=True).click()
    await expect(two.get_by_role("region", name="Comments").get_by_text("Hello")).to_be_visible()
    await expect(two.get_by_text("Sending")).to_be_hidden()
    asked: list[str] = []

    async def stay(question: Dialog) -> None:
        asked.append(question.message)
        await question.dismiss()

    two.on("dialog", stay)
    await two.get_by_role("button", name="Sign out").click()
    assert asked[0].startswith("1 of your changes")
    await one.unroute_all()
    dialog = one.get_by_role("dialog")
    await expect(dialog.get_by_label("Yours")).to_have_value("Cut, says Ada")
    await expect(two.get_by_role("dialog")).to_be_hidden()
    await dialog.get_by_role("button", name="Use mine").click()
    await expect(column(two, "To do").get_by_text("Cut, says Ada")).to_be_visible()
    assert sent == []


async def test_a_page_goes_on_for_one_that_is_closed(
    desks: Desks, world: World, team: Team
) -> None:
    ada, _, project = team
    one = await desks.sign_in(ada, project)
    two = await second_page(desks, one)
    await cut_off(one)
    await write_title(one, "Cut", "Cut, says Ada")
    await expect(one.get_by_text("1 change waits")).to_be_visible()
    sent = noted(two)
    await one.close()
    await expect(column(two, "To do").get_by_text("Cut, says Ada")).to_be_visible()
    await until(world, ada, project, TODO=["Measure", "Cut, says Ada", "Weld"])
    assert len(sent) == 1


async def test_a_question_outlives_its_page(desks: Desks, world: World, team: Team) -> None:
    ada, grace, project = team
    page = await desks.sign_in(ada, project)
    await cut_off(page)
    await write_title(page, "Cut", "Cut, says Ada")
    change = {"id": (await tasks(world, ada, project))["Cut"]["id"], "title": "Cut, says Grace"}
    assert (await world.run(UPDATE, grace, input=change)).good
    await page.unroute_all()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_be_visible()
    await page.reload()
    await expect(dialog.get_by_label("Yours")).to_have_value("Cut, says Ada")
    await dialog.get_by_role("button", name="Use mine").click()
    await until(world, ada, project, TODO=["Measure", "Cut, says Ada", "Weld"])


async def test_what_is_being_written_stays_while_one_looks_elsewhere(
    desks: Desks, team: Team
) -> None:
    ada, _, project = team
    page = await desks.sign_in(ada, project)
    await opened(page, "Cut")
    await page.get_by_role("button", name="Add a description").click()
    await page.keyboard.insert_text("With care")
    await page.get_by_label("Write a comment").fill("Mind the grain")
    await page.get_by_role("button", name="Close").click()
    await opened(page, "Weld")
    await expect(page.get_by_label("Write a comment")).to_have_value("")
    await opened(page, "Cut")
    await expect(page.get_by_label("Description, in Markdown")).to_have_value("With care")
    await expect(page.get_by_label("Write a comment")).to_have_value("Mind the grain")
    await page.get_by_role("button", name="Save").click()
    await page.get_by_role("button", name="Comment", exact=True).click()
    await expect(page.get_by_role("region", name="Comments").get_by_text("grain")).to_be_visible()
    await page.get_by_role("button", name="Close").click()
    await opened(page, "Cut")
    await expect(page.get_by_role("region", name="Description")).to_contain_text("With care")
    await expect(page.get_by_label("Write a comment")).to_have_value("")


async def test_escape_answers_no_question_with_lost_words(
    desks: Desks, world: World, team: Team
) -> None:
    ada, grace, project = team
    page = await desks.sign_in(ada, project)
    await cut_off(page)
    await write_title(page, "Cut", "Cut, says Ada")
    change = {"id": (await tasks(world, ada, project))["Cut"]["id"], "title": "Cut, says Grace"}
    assert (await world.run(UPDATE, grace, input=change)).good
    await page.unroute_all()
    await expect(page.get_by_role("dialog").get_by_label("Theirs")).to_be_visible()
    await page.keyboard.press("Escape")
    shown = page.get_by_role("dialog", name="This was not saved")
    await expect(shown.get_by_label("What you wrote")).to_have_value("Cut, says Ada")
    await page.keyboard.press("Escape")
    await expect(shown).to_be_hidden()
    await expect(column(page, "To do").get_by_text("Cut, says Grace")).to_be_visible()
