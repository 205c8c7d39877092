"""The board as its users see it: two browsers, a server that is killed, a network that is away."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Route,
    expect,
)
from sqlalchemy import Text, cast, select

from auth.codes import AccountCodes
from db import models
from domain.accounts import account_mail
from domain.notifications import notification as notifications
from domain.notifications.notification import Notice
from graph.core import ids
from tests.accounts import PASSWORD, Person
from tests.browsers import CHROMIUM
from tests.e2e import axe
from tests.e2e.conftest import Server
from tests.factories import World, fresh_id, gid, missing

ROOT = Path(__file__).parents[2]
BOARD = ROOT / "clients" / "board"
SCREENSHOTS = ROOT / "tests" / "screenshots"
# Two people, and a project of both.
Team = tuple[Person, Person, models.Project]
# A busy machine: what is to be seen within a second may take longer here.
LONG = 20_000

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed on this machine"),
    pytest.mark.skipif(
        not (BOARD / "dist" / "index.html").is_file(), reason="the board is not built (make board)"
    ),
]


class Desks:
    """Browsers of several people, and what their pages complain about."""

    def __init__(self, browser: Browser, server: Server) -> None:
        self.browser = browser
        self.server = server
        self.contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    async def sign_in(self, person: Person, project: models.Project, **options: Any) -> Page:
        """A new browser in which somebody has signed in and opened a project."""
        viewport = options.pop("viewport", {"width": 1360, "height": 820})
        context = await self.browser.new_context(viewport=viewport, locale="en-GB", **options)
        context.set_default_timeout(LONG)
        self.contexts.append(context)
        context.on("weberror", lambda fault: self.complaints.append(str(fault.error)))
        context.on("console", self._note)
        page = await context.new_page()
        page.on("request", lambda request: self._note_address(request.url))
        await page.goto(f"{self.server.url}/board#/{project.key}")
        await page.get_by_label("Username or email address").fill(person.username)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(project.name)
        return page

    def _note(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "Warning:" in message.text:
            self.complaints.append(message.text)

    def _note_address(self, url: str) -> None:
        if urlsplit(url).netloc != urlsplit(self.server.url).netloc:
            self.complaints.append(f"it asked for {url}")


@pytest.fixture
async def desks(chromium: Browser, server: Server) -> AsyncIterator[Desks]:
    made = Desks(chromium, server)
    yield made
    for context in made.contexts:
        await context.close()
    assert made.complaints == []


@pytest.fixture
async def team(world: World) -> Team:
    """Ada and Grace, and a project of theirs with a few tasks."""
    ada = await world.person(full_name="Ada Verstraete")
    grace = await world.person(full_name="Grace Okafor")
    project = await world.project(ada, editors=[grace], name="Web shop")
    for title in ("Measure", "Cut", "Weld"):
        await world.task(ada, project_id=project.id, title=title)
    return ada, grace, project


def column(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=re.compile(f"^{name}, "))


async def titles(page: Page, name: str) -> list[str]:
    return await column(page, name).locator(".card:not(.ghost) .name").all_text_contents()


async def drag(page: Page, title: str, to: str) -> None:
    card = page.get_by_role("button", name=re.compile(title))
    box, over = await card.bounding_box(), await column(page, to).bounding_box()
    assert box is not None
    assert over is not None
    await page.mouse.move(box["x"] + 40, box["y"] + 15)
    await page.mouse.down()
    await page.mouse.move(box["x"] + 60, box["y"] + 30, steps=3)
    await page.mouse.move(over["x"] + over["width"] / 2, over["y"] + 200, steps=8)
    await page.mouse.up()


async def state(world: World, person: Person, project: models.Project) -> dict[str, list[str]]:
    """Titles by status, as the server has them."""
    query = """query ($key: ID!) {
      project(id: $key) { tasks(orderBy: [{position: ASC}]) { nodes { title status } } }
    }"""
    reply = await world.run(query, person, key=gid(project))
    found: dict[str, list[str]] = {}
    for task in reply.good["project"]["tasks"]["nodes"]:
        found.setdefault(task["status"], []).append(task["title"])
    return found


async def until(world: World, person: Person, project: models.Project, **wanted: list[str]) -> None:
    async with asyncio.timeout(LONG / 1000):
        while await state(world, person, project) != wanted:
            await asyncio.sleep(0.1)


async def test_two_browsers_and_a_server_that_is_killed(
    desks: Desks, server: Server, world: World, team: Team
) -> None:
    ada, grace, project = team
    one, two = await desks.sign_in(ada, project), await desks.sign_in(grace, project)
    await expect(one.get_by_text("Grace Okafor is here")).to_be_visible()
    await expect(two.get_by_text("Ada Verstraete is here")).to_be_visible()

    await drag(one, "Cut", "In progress")
    assert await titles(one, "In progress") == ["Cut"]
    await expect(column(two, "In progress").get_by_text("Cut")).to_be_visible()
    await until(world, ada, project, TODO=["Measure", "Weld"], IN_PROGRESS=["Cut"])

    await server.kill()
    await expect(one.get_by_text("Offline")).to_be_visible()
    await drag(one, "Weld", "In progress")
    await expect(one.get_by_text("1 change waits")).to_be_visible()
    await server.start()
    # The pauses between attempts have grown up to half a minute while the server started.
    weld = column(two, "In progress").get_by_text("Weld")
    await expect(weld).to_be_visible(timeout=3 * LONG)
    await expect(one.get_by_text("Offline")).to_be_hidden(timeout=3 * LONG)
    await drag(two, "Measure", "Done")
    await expect(column(one, "Done").get_by_text("Measure")).to_be_visible()
    await until(world, ada, project, IN_PROGRESS=["Cut", "Weld"], COMPLETED=["Measure"])


async def test_edits_without_a_network_are_sent_once(
    desks: Desks, world: World, team: Team
) -> None:
    ada, _, project = team
    page = await desks.sign_in(ada, project)
    lost: list[str] = []

    async def lose(route: Route) -> None:
        """The server does it, and its answer is lost, once for each change."""
        body = json.loads(route.request.post_data or "{}")
        key = body.get("variables", {}).get("input", {}).get("idempotencyKey")
        if not key or "presence" in body["query"] or key in lost:
            await route.continue_()
        else:
            lost.append(key)
            await route.fetch()
            await route.abort()

    await page.route("**/graphql", lambda route: route.abort())
    new = page.get_by_label("New task in To do")
    await new.fill("Paint")
    await new.press("Enter")
    await expect(column(page, "To do").get_by_text("Paint")).to_be_visible()
    await drag(page, "Measure", "In progress")
    await expect(page.get_by_text("2 changes wait")).to_be_visible()
    assert "Paint" not in str(await state(world, ada, project))

    # They outlive the page.
    await page.reload()
    # The latest route counts, so that no request gets through in between.
    await page.route("**/graphql", lose)
    await until(world, ada, project, TODO=["Cut", "Weld", "Paint"], IN_PROGRESS=["Measure"])
    await expect(column(page, "To do").get_by_text("Paint")).to_be_visible()
    await expect(page.get_by_text("Saving")).to_be_hidden()
    assert len(lost) == 2
    await expect(page.get_by_text("wait")).to_be_hidden()
    await until(world, ada, project, TODO=["Cut", "Weld", "Paint"], IN_PROGRESS=["Measure"])


async def test_two_people_write_the_same_title(desks: Desks, world: World, team: Team) -> None:
    ada, grace, project = team
    page = await desks.sign_in(ada, project)
    update = """mutation ($input: TaskUpdateInput!) {
      taskUpdate(input: $input) { errors { code message } }
    }"""
    find = "query ($id: ID!) { project(id: $id) { tasks { nodes { id title } } } }"
    nodes = (await world.run(find, ada, id=gid(project))).good["project"]["tasks"]["nodes"]
    (cut,) = [node["id"] for node in nodes if node["title"] == "Cut"]

    await page.get_by_role("button", name=re.compile("Cut")).click()
    field = page.get_by_label("Title")
    # Something else was changed meanwhile: nobody is asked.
    await field.fill("Cut the tubes")
    assert (await world.run(update, grace, input={"id": cut, "priority": "HIGH"})).good
    await field.press("Enter")
    await expect(page.get_by_role("button", name=re.compile("Cut the tubes"))).to_be_visible()
    await until(world, ada, project, TODO=["Measure", "Cut the tubes", "Weld"])

    await field.fill("Cut the long tubes")
    # The page is not to hear of it before the change is sent.
    assert (await world.run(update, grace, input={"id": cut, "title": "Saw the tubes"})).good
    await field.press("Enter")
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_label("Theirs")).to_have_value("Saw the tubes")
    await expect(dialog.get_by_label("Yours")).to_have_value("Cut the long tubes")
    SCREENSHOTS.mkdir(exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / "board-conflict.png")
    await dialog.get_by_role("button", name="Use mine").click()
    await until(world, ada, project, TODO=["Measure", "Cut the long tubes", "Weld"])


async def test_a_card_is_moved_with_the_keyboard(desks: Desks, world: World, team: Team) -> None:
    ada, _, project = team
    page = await desks.sign_in(ada, project)
    card = page.get_by_role("button", name=re.compile("Measure"))
    said = page.locator("[aria-live=assertive]")
    await card.focus()
    await page.keyboard.press("Space")
    await expect(said).to_have_text("Lifted Measure. To do, position 1 of 3.")
    await page.keyboard.press("ArrowDown")
    await expect(said).to_have_text("To do, position 2 of 3.")
    await page.keyboard.press("Space")
    await until(world, ada, project, TODO=["Cut", "Measure", "Weld"])
    await page.keyboard.press("Space")
    await page.keyboard.press("ArrowRight")
    await expect(said).to_have_text("In progress, position 1 of 1.")
    await expect(card).to_be_focused()
    await page.keyboard.press("Escape")
    assert await titles(page, "To do") == ["Cut", "Measure", "Weld"]
    await card.focus()
    await page.keyboard.press("Space")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Space")
    await until(world, ada, project, TODO=["Cut", "Weld"], IN_PROGRESS=["Measure"])
    await expect(card).to_be_focused()


async def test_everything_about_a_task(
    desks: Desks, world: World, team: Team, tmp_path: Path
) -> None:
    ada, grace, project = team
    one, two = await desks.sign_in(ada, project), await desks.sign_in(grace, project)
    for page in (one, two):
        search = page.get_by_role("combobox", name="Search")
        await search.fill("weld")
        await page.get_by_role("option", name=re.compile("Weld")).click()
        await expect(page.get_by_role("complementary")).to_be_visible()
    panel, other = one.get_by_role("complementary"), two.get_by_role("complementary")
    await expect(panel.get_by_label("Grace Okafor is looking at it too")).to_be_visible()

    await panel.get_by_label("Write a comment").fill(f"@{grace.username} *wait* for the jig")
    await panel.get_by_role("button", name="Comment", exact=True).click()
    await expect(other.get_by_text("for the jig")).to_be_visible()
    await mention(world, ada, grace)
    await two.get_by_label("Notifications, 1 new").click()
    await two.get_by_role("button", name=re.compile("Ada Verstraete mentioned you")).click()
    await expect(two.get_by_label("Notifications", exact=True)).to_be_visible()

    # Subtasks have no cards, and are followed all the same.
    find = '{ tasks(filter: {title: {eq: "Weld"}}) { nodes { id } } }'
    (node,) = (await world.run(find, ada)).good["tasks"]["nodes"]
    weld = ids.decode(models.Task, node["id"], ())
    part = await world.task(ada, title="Tack", project_id=project.id, parent_id=weld)
    row = other.get_by_role("region", name="Subtasks").get_by_role("listitem")
    await expect(row).to_have_text(re.compile("Tack"))
    await expect(column(two, "To do").get_by_text("Tack")).to_be_hidden()
    rename = """mutation ($id: ID!) {
      taskUpdate(input: {id: $id, title: "Tack it"}) { errors { code } }
    }"""
    await world.run(rename, ada, id=gid(part))
    await expect(row).to_have_text(re.compile("Tack it"))

    file = tmp_path / "jig.txt"
    file.write_text("measures\n" * 1000)
    async with one.expect_file_chooser() as chosen:
        await panel.get_by_role("button", name="Attach a file").click()
    await (await chosen.value).set_files(file)
    await expect(other.get_by_role("link", name="jig.txt")).to_be_visible()

    await panel.get_by_role("button", name="Start timer").click()
    timer = one.get_by_role("group", name="Running timer")
    await expect(timer).to_be_visible()
    await timer.get_by_role("button", name="Stop timer").click()
    await expect(timer).to_be_hidden()

    await panel.get_by_label("Assignee").select_option(label="Grace Okafor")
    await expect(other.get_by_label("Assignee").locator(":checked")).to_have_text("Grace Okafor")
    await expect(
        panel.get_by_role("region", name="History").get_by_text("Grace")
    ).not_to_have_count(0)
    await one.keyboard.press("Escape")
    await one.get_by_role("button", name="Sign out").click()
    await expect(one.get_by_label("Password")).to_be_visible()


async def mention(world: World, by: Person, whom: Person) -> None:
    """What the worker does, without one."""
    find = '{ tasks(filter: {title: {eq: "Weld"}}) { nodes { id } } }'
    (node,) = (await world.run(find, by)).good["tasks"]["nodes"]
    notice = Notice(
        recipient_id=whom.id,
        event_id=fresh_id(),
        kind=models.NotificationKind.MENTIONED,
        actor_id=by.id,
        task_id=ids.decode(models.Task, node["id"], ()),
        at=dt.datetime.now(dt.UTC),
    )
    async with world._work(whom) as work:
        await notifications.notify(work, [notice])


async def test_axe_finds_nothing(desks: Desks, team: Team) -> None:
    ada, _, project = team
    page = await desks.sign_in(ada, project)
    await check(page)
    await page.get_by_role("button", name=re.compile("Cut")).click()
    await expect(page.get_by_role("region", name="History")).to_be_visible()
    await check(page)
    await axe.picture(page, SCREENSHOTS / "board-{}.png")
    await (
        page.get_by_role("button", name="Edit description")
        .or_(page.get_by_role("button", name="Add a description"))
        .click()
    )
    await page.get_by_role("button", name="Notifications").click()
    await check(page)
    await page.get_by_role("link", name="Projects", exact=True).click()
    await expect(page.get_by_role("heading", name="Projects")).to_be_visible()
    await check(page)
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("Password")).to_be_visible()
    await check(page)


async def check(page: Page) -> None:
    assert [axe.summary(rule) for rule in await axe.violations(page)] == []


async def test_a_phone(desks: Desks, world: World, team: Team) -> None:
    ada, _, project = team
    # In the last column, with all that a card may show.
    new = {"projectId": gid(project), "title": "Late", "status": "CANCELLED", "tags": ["far"]}
    create = "mutation ($input: TaskCreateInput!) { taskCreate(input: $input) { task { id } } }"
    assert (await world.run(create, ada, input={**new, "due": {"on": "2026-01-01"}})).good
    page = await desks.sign_in(
        ada, project, viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True
    )
    await page.screenshot(path=SCREENSHOTS / "board-phone.png")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await page.get_by_role("button", name=re.compile("Cut")).tap()
    panel = page.get_by_role("main")
    await expect(panel.get_by_role("region", name="History")).to_be_visible()
    box = await panel.bounding_box()
    assert box is not None
    assert box["width"] == 390
    await check(page)
    await page.get_by_role("button", name="Notifications").tap()
    popover = await page.get_by_role("region", name="Notifications").bounding_box()
    assert popover is not None
    assert popover["width"] < 390
    await page.get_by_role("button", name="Notifications").tap()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await panel.get_by_role("button", name="Close").tap()
    await expect(column(page, "To do")).to_be_visible()
    await long_press_and_move(page, "Measure", 190)
    await until(world, ada, project, TODO=["Cut", "Weld", "Measure"], CANCELLED=["Late"])


async def long_press_and_move(page: Page, title: str, down: int) -> None:
    """With a finger, which scrolls unless it rests first."""
    box = await page.get_by_role("button", name=re.compile(title)).bounding_box()
    assert box is not None
    x, y = box["x"] + 60, box["y"] + 20
    finger = await page.context.new_cdp_session(page)

    async def touch(kind: str, *points: tuple[float, float]) -> None:
        given = [{"x": x, "y": y} for x, y in points]
        await finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": given})

    await touch("touchStart", (x, y))
    await expect(page.locator(".gap")).to_be_visible()
    for step in range(1, 11):
        await touch("touchMove", (x, y + down * step / 10))
    await touch("touchEnd")


async def test_where_links_lead(desks: Desks, server: Server, world: World, team: Team) -> None:
    """`url` fields and mails lead to pages that are there."""
    ada, _, project = team
    alone = await world.task(ada, title="Alone", description="In **no** project")
    query = """query ($id: ID!, $alone: ID!) {
      alone: task(id: $alone) { url }
      project(id: $id) { url tasks(first: 1) { nodes { url identifier } } }
    }"""
    reply = await world.run(query, ada, id=gid(project), alone=gid(alone))
    found = reply.good["project"]
    (task,) = found["tasks"]["nodes"]
    page = await desks.sign_in(ada, project)

    def here(url: str) -> str:
        return f"{server.url}{urlsplit(url).path}"

    await page.goto(here(task["url"]))
    await expect(page.get_by_label(f"Task {task['identifier']}")).to_be_visible()
    await page.goto(here(found["url"]))
    await expect(page.get_by_role("heading", level=1)).to_have_text("Web shop")
    await page.goto(here(reply.good["alone"]["url"]))
    await expect(page.get_by_role("heading", level=1)).to_have_text("Alone")
    await expect(page.get_by_text("In no project", exact=True)).to_be_visible()
    await page.goto(here(f"/tasks/{missing(gid(alone))}"))
    await expect(page.get_by_role("heading", level=1)).to_have_text("Not found")
    await page.goto(f"{server.url}/email-verified?status=success")
    await expect(page.get_by_text("Your email address is confirmed.")).to_be_visible()
    await page.goto(f"{server.url}/email-verified?status=error&code=NOT_FOUND")
    await expect(page.get_by_text("This link does not work")).to_be_visible()


async def test_a_forgotten_password(desks: Desks, server: Server, world: World, team: Team) -> None:
    ada, _, _ = team
    context = await desks.browser.new_context(locale="en-GB")
    desks.contexts.append(context)
    context.set_default_timeout(LONG)
    page = await context.new_page()
    await page.goto(f"{server.url}/board/")
    await page.get_by_role("link", name="Forgotten your password?").click()
    await page.get_by_label("Email address").fill(ada.email)
    await page.get_by_role("button", name="Send me a link").click()
    await expect(page.get_by_text("a mail is on its way")).to_be_visible()
    # The worker would send this.
    async with world.house.work() as work:
        job = (
            await work.session.scalars(
                select(models.Job).where(cast(models.Job.payload, Text).contains(ada.email))
            )
        ).one()
        assert await account_mail.begin_reset(work, job.id, ada.email, job.created_at)
    token = AccountCodes(world.services.settings).token(job.id)
    await page.goto(f"{server.url}/reset-password?token={token}")
    await page.get_by_label("New password").fill("a quite new one")
    await page.get_by_role("button", name="Set the password").click()
    await expect(page.get_by_text("Your password is set.")).to_be_visible()
    await page.get_by_role("link", name="To the board").click()
    await page.get_by_label("Username or email address").fill(ada.email)
    await page.get_by_label("Password").fill("a quite new one")
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_role("link", name="Web shop")).to_be_visible()
    # The link works once.
    await page.goto(f"{server.url}/reset-password?token={token}")
    await page.get_by_label("New password").fill("and yet another")
    await page.get_by_role("button", name="Set the password").click()
    await expect(page.get_by_role("alert")).not_to_be_empty()
