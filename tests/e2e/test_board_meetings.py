"""Where two things meet on the board: conflicts, reloads and refusals, windows, users."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from playwright.async_api import Page, Request, Route, expect

from db import models
from events.cursor import Cursor
from tests.accounts import PASSWORD, Person
from tests.e2e.test_board import (
    Desks,
    Team,
    column,
    desks,
    mention,
    pytestmark,
    team,
    until,
)
from tests.factories import World, gid

__all__ = ["desks", "pytestmark", "team"]

UPDATE = """mutation ($input: TaskUpdateInput!) {
  taskUpdate(input: $input) { task { title description } errors { code message } }
}"""
TASKS = """query ($id: ID!) {
  project(id: $id) { tasks { nodes { id identifier title description dueOn } } }
}"""


async def tasks(world: World, person: Person, project: models.Project) -> dict[str, Any]:
    """The tasks of a project, by title."""
    found = (await world.run(TASKS, person, id=gid(project))).good["project"]["tasks"]["nodes"]
    return {task["title"]: task for task in found}


async def opened(page: Page, title: str) -> None:
    await page.get_by_role("button", name=re.compile(title)).click()
    await expect(page.get_by_role("region", name="History")).to_be_visible()


async def write_title(page: Page, title: str, new: str) -> None:
    await page.get_by_role("button", name=re.compile(title)).click()
    field = page.get_by_label("Title")
    await field.fill(new)
    await field.press("Enter")


async def cut_off(page: Page) -> None:
    await page.route("**/graphql", lambda route: route.abort())


def only(document: str, do: Callable[[Route], Any]) -> Callable[[Route], Any]:
    """A route for one document; all others go on."""

    async def handle(route: Route) -> None:
        if document in (route.request.post_data or ""):
            await do(route)
        else:
            await route.fallback()

    return handle


async def test_two_conflicts_are_settled_one_by_one(desks: Desks, world: World, team: Team) -> None:
    ada, grace, project = team
    page = await desks.sign_in(ada, project)
    await cut_off(page)
    for title in ("Cut", "Weld"):
        await write_title(page, title, f"{title}, says Ada")
    await expect(page.get_by_text("2 changes wait")).to_be_visible()
    for title, task in (await tasks(world, ada, project)).items():
        if title in ("Cut", "Weld"):
            change = {"id": task["id"], "title": f"{title}, says Grace"}
            assert (await world.run(UPDATE, grace, input=change)).good
    await page.unroute_all()

    dialog = page.get_by_role("dialog")
    for title in ("Cut", "Weld"):
        await expect(dialog.get_by_label("Theirs")).to_have_value(f"{title}, says Grace")
        await expect(dialog.get_by_label("Yours")).to_have_value(f"{title}, says Ada")
        await dialog.get_by_role("button", name="Use mine").click()
    await expect(dialog).to_be_hidden()
    await until(world, ada, project, TODO=["Measure", "Cut, says Ada", "Weld, says Ada"])


async def test_a_text_that_outlives_the_page_is_not_lost_to_another_change(
    desks: Desks, world: World, team: Team
) -> None:
    ada, grace, project = team
    page = await desks.sign_in(ada, project)
    known = await tasks(world, ada, project)
    await cut_off(page)
    await write_title(page, "Cut", "Cut, says Ada")
    await expect(page.get_by_text("1 change waits")).to_be_visible()
    change = {"id": known["Cut"]["id"], "priority": "HIGH"}
    assert (await world.run(UPDATE, grace, input=change)).good
    await page.unroute_all()
    await page.reload()
    await until(world, ada, project, TODO=["Measure", "Cut, says Ada", "Weld"])

    # The same text: the author is asked, also where there is no board.
    await cut_off(page)
    await write_title(page, "Weld", "Weld, says Ada")
    change = {"id": known["Weld"]["id"], "title": "Weld, says Grace"}
    assert (await world.run(UPDATE, grace, input=change)).good
    await page.goto("about:blank")
    await page.unroute_all()
    await page.goto(f"{desks.server.url}/board/")
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_label("Yours")).to_have_value("Weld, says Ada")
    await dialog.get_by_role("button", name="Use mine").click()
    await until(world, ada, project, TODO=["Measure", "Cut, says Ada", "Weld, says Ada"])


async def test_a_comment_that_outlives_the_page_and_is_refused_is_shown(
    desks: Desks, world: World, team: Team
) -> None:
    ada, _, project = team
    page = await desks.sign_in(ada, project)
    await opened(page, "Cut")
    await cut_off(page)
    await page.get_by_label("Write a comment").fill("mind the grain")
    await page.get_by_role("button", name="Comment", exact=True).click()
    delete = "mutation ($id: ID!) { taskDelete(input: {id: $id}) { errors { code } } }"
    cut = (await tasks(world, ada, project))["Cut"]
    assert (await world.run(delete, ada, id=cut["id"])).good
    await page.goto("about:blank")
    await page.unroute_all()
    await page.goto(f"{desks.server.url}/board/")
    dialog = page.get_by_role("dialog", name="This was not saved")
    await expect(dialog.get_by_label("What you wrote")).to_have_value("mind the grain")
    await dialog.get_by_role("button", name="Close").click()
    await expect(dialog).to_be_hidden()


async def test_a_new_task_of_another_project_is_not_shown(
    desks: Desks, world: World, team: Team
) -> None:
    ada, _, project = team
    other = await world.project(ada, name="Garden")
    page = await desks.sign_in(ada, project)
    await cut_off(page)
    new = page.get_by_label("New task in To do")
    await new.fill("Paint")
    await new.press("Enter")
    await expect(page.get_by_text("1 change waits")).to_be_visible()
    await page.goto("about:blank")
    await page.unroute_all()
    await page.route("**/graphql", only("taskCreate", lambda route: route.abort()))
    await page.goto(f"{desks.server.url}/board/#/{other.key}")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Garden")
    await expect(page.get_by_text("1 change waits")).to_be_visible()
    await expect(page.get_by_text("Paint")).to_be_hidden()
    # Back and forth on the page itself: it is still on its board.
    await page.goto(f"{desks.server.url}/board/#/{project.key}")
    await expect(column(page, "To do").get_by_text("Paint")).to_be_visible()
    await page.get_by_role("link", name="Projects", exact=True).click()
    await page.get_by_role("link", name=re.compile("Web shop")).click()
    await expect(column(page, "To do").get_by_text("Paint")).to_be_visible()


async def test_a_file_can_be_fetched_however_long_its_task_is_open(
    desks: Desks, team: Team, tmp_path: Path
) -> None:
    ada, _, project = team
    page = await desks.sign_in(ada, project)

    async def expire(route: Route) -> None:
        """The panel has addresses that have expired meanwhile."""
        answer = await route.fetch()
        text = await answer.text()
        await route.fulfill(response=answer, body=re.sub(r"(expires=)\d+", r"\g<1>1", text))

    await page.route("**/graphql", only("attachments(", expire))
    await opened(page, "Cut")
    file = tmp_path / "jig.txt"
    file.write_text("measures")
    async with page.expect_file_chooser() as chosen:
        await page.get_by_role("button", name="Attach a file").click()
    await (await chosen.value).set_files(file)
    link = page.get_by_role("link", name="jig.txt")
    await expect(link).to_be_visible()
    async with page.expect_download() as downloading:
        await link.click()
    assert (await (await downloading.value).path()).read_text() == "measures"
    await expect(page.get_by_role("region", name="History")).to_be_visible()
    await page.unroute_all(behavior="ignoreErrors")


async def test_a_project_that_is_lost_is_said_to_be(desks: Desks, world: World, team: Team) -> None:
    ada, grace, project = team
    one, two = await desks.sign_in(ada, project), await desks.sign_in(grace, project)
    find = "query ($id: ID!) { project(id: $id) { members { nodes { id user { id } } } } }"
    members = (await world.run(find, ada, id=gid(project))).good["project"]["members"]["nodes"]
    (member,) = (one["id"] for one in members if one["user"]["id"].endswith(grace.id.hex))
    remove = """mutation ($id: ID!) {
      projectMemberRemove(input: {id: $id}) { errors { code message } }
    }"""
    assert (await world.run(remove, ada, id=member)).good
    await expect(two.get_by_role("heading", name="Not found")).to_be_visible()
    await expect(column(one, "To do").get_by_text("Cut")).to_be_visible()
    delete = "mutation ($id: ID!) { projectDelete(input: {id: $id}) { errors { code message } } }"
    assert (await world.run(delete, ada, id=gid(project))).good
    await expect(one.get_by_role("heading", name="Not found")).to_be_visible()


async def test_a_task_that_moves_away_can_be_followed(
    desks: Desks, world: World, team: Team
) -> None:
    ada, grace, project = team
    other = await world.project(grace, name="Garden", editors=[ada])
    page = await desks.sign_in(ada, project)
    await opened(page, "Cut")
    await page.get_by_role("button", name="Start timer").click()
    await expect(page.get_by_role("group", name="Running timer")).to_be_visible()
    await page.get_by_role("button", name="Add a description").click()
    await page.keyboard.insert_text("With care")
    move = """mutation ($id: ID!, $project: ID!) {
      taskMove(input: {id: $id, projectId: $project}) { task { identifier } errors { code } }
    }"""
    cut = (await tasks(world, ada, project))["Cut"]["id"]
    moved = (await world.run(move, grace, id=cut, project=gid(other))).good["taskMove"]["task"]
    panel = page.get_by_role("complementary")
    await expect(panel.get_by_text("not in Web shop any more")).to_be_visible()
    # What is being written stays.
    await panel.get_by_role("button", name="Save").click()
    await expect(panel.get_by_text("With care")).to_be_visible()
    await panel.get_by_role("link", name="Go to where it is").click()
    await expect(page.get_by_label(f"Task {moved['identifier']}")).to_be_visible()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Garden")
    # So does the timer's link.
    await page.goto(f"{desks.server.url}/board/#/{project.key}")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Web shop")
    await page.get_by_role("group", name="Running timer").get_by_role("link").click()
    await expect(page.get_by_label(f"Task {moved['identifier']}")).to_be_visible()


async def test_a_conflict_outlives_the_session(desks: Desks, world: World, team: Team) -> None:
    ada, grace, project = team
    page = await desks.sign_in(ada, project)
    cut = (await tasks(world, ada, project))["Cut"]["id"]
    await cut_off(page)
    await write_title(page, "Cut", "Cut, says Ada")
    change = {"id": cut, "title": "Cut, says Grace"}
    assert (await world.run(UPDATE, grace, input=change)).good
    await page.unroute_all()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_be_visible()
    end = "mutation { sessionRevokeOthers(input: {}) { errors { code } } }"
    assert (await world.run(end, ada)).good
    await expect(page.get_by_label("Password")).to_be_visible()
    await dialog.get_by_role("button", name="Use mine").click()
    await page.get_by_label("Username or email address").fill(ada.username)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await until(world, ada, project, TODO=["Measure", "Cut, says Ada", "Weld"])


async def test_two_windows_are_one_presence(desks: Desks, team: Team) -> None:
    ada, grace, project = team
    one = await desks.sign_in(ada, project)
    watcher = await desks.sign_in(grace, project)
    # Its timers are to be in the test's hands.
    await one.clock.install()
    await one.reload()
    signs: list[str] = []

    def note(request: Request) -> None:
        if "presenceSet" in (request.post_data or ""):
            signs.append(request.url)

    await opened(one, "Cut")
    at_cut = watcher.get_by_label("Ada Verstraete is looking at it")
    await expect(at_cut).to_be_visible()
    other = await one.context.new_page()
    await other.goto(f"{desks.server.url}/board/#/{project.key}")
    await expect(at_cut).to_be_hidden()
    # The one that was used last repeats it, and the other one takes over when it leaves.
    one.on("request", note)
    await one.clock.fast_forward(40_000)
    await expect(watcher.get_by_text("Ada Verstraete is here")).to_be_visible()
    assert signs == []
    await other.goto("about:blank")
    await expect(at_cut).to_be_visible()


async def test_a_presence_leaves_nothing_behind(desks: Desks, world: World, team: Team) -> None:
    ada, _, project = team
    page = await desks.sign_in(ada, project)
    async with page.expect_request(
        lambda request: "presenceSet" in (request.post_data or "")
    ) as said:
        await opened(page, "Cut")
    body = json.loads((await said.value).post_data or "")
    assert "idempotencyKey" not in body["variables"]["input"]


async def test_a_date_that_is_typed_is_saved_once(desks: Desks, world: World, team: Team) -> None:
    ada, _, project = team
    page = await desks.sign_in(ada, project)
    await opened(page, "Cut")
    sent: list[Any] = []

    def note(request: Request) -> None:
        body = json.loads(request.post_data or "{}")
        if "taskUpdate" in body.get("query", ""):
            sent.append(body["variables"]["input"]["due"])

    page.on("request", note)
    due = page.get_by_label("Due")
    await due.focus()
    await page.keyboard.type("04042027", delay=30)
    await page.keyboard.press("Enter")
    async with asyncio.timeout(20):
        while (await tasks(world, ada, project))["Cut"]["dueOn"] != "2027-04-04":
            await asyncio.sleep(0.1)
    assert sent == [{"on": "2027-04-04"}]
    await expect(due).to_have_value("2027-04-04")


async def test_another_tab_signs_in_as_somebody_else(desks: Desks, team: Team) -> None:
    ada, grace, project = team
    page = await desks.sign_in(ada, project)
    await expect(page.get_by_label("You are Ada Verstraete")).to_be_visible()
    tokens = {
        "accessToken": grace.grant.access_token,
        "refreshToken": grace.grant.refresh_token,
    }
    # That nobody was signed in for a moment may come together with the rest.
    await page.evaluate(
        """(tokens) => new Promise((done) => {
          const opening = indexedDB.open("taskloom:taskloom-board")
          opening.onsuccess = () => {
            const change = opening.result.transaction("tokens", "readwrite")
            change.objectStore("tokens").put(tokens, "tokens")
            change.oncomplete = done
          }
        })""",
        tokens,
    )
    await page.evaluate("new BroadcastChannel('taskloom:taskloom-board').postMessage(true)")
    await expect(page.get_by_label("You are Grace Okafor")).to_be_visible()


async def test_the_timer_is_right_after_a_cursor_has_expired(
    desks: Desks, world: World, team: Team
) -> None:
    ada, _, project = team
    page = await desks.sign_in(ada, project)
    boots: list[str] = []

    async def old(route: Route) -> None:
        answer = await route.fetch()
        boot = await answer.json()
        if not boots:
            boot["data"]["eventCursor"] = str(Cursor(uuid4(), 1, 1))
        boots.append(route.request.url)
        await route.fulfill(response=answer, json=boot)

    await page.route("**/graphql", only("query Boot", old))
    await page.reload()
    await expect(column(page, "To do").get_by_text("Cut")).to_be_visible()
    while len(boots) < 2:
        await page.wait_for_timeout(50)
    start = "mutation { timerStart(input: {}) { errors { code } } }"
    assert (await world.run(start, ada)).good
    await expect(page.get_by_role("group", name="Running timer")).to_be_visible()
    await page.unroute_all(behavior="ignoreErrors")


async def test_escape_leads_back_to_the_bell(desks: Desks, world: World, team: Team) -> None:
    ada, grace, project = team
    await mention(world, grace, ada)
    page = await desks.sign_in(ada, project)
    bell = page.get_by_role("button", name=re.compile("^Notifications"))
    await bell.press("Enter")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Mark all as read")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("region", name="Notifications")).to_be_hidden()
    await expect(bell).to_be_focused()


async def test_the_page_also_works_over_plain_http(desks: Desks, team: Team) -> None:
    ada, _, project = team
    context = await desks.browser.new_context(locale="en-GB")
    desks.contexts.append(context)
    # What browsers leave out there.
    await context.add_init_script(
        "delete Crypto.prototype.randomUUID; delete Navigator.prototype.locks"
    )
    page = await context.new_page()
    await page.goto(f"{desks.server.url}/board#/{project.key}")
    await page.get_by_label("Username or email address").fill(ada.username)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    new = page.get_by_label("New task in To do")
    await new.fill("Paint")
    await new.press("Enter")
    await expect(page.get_by_text("Saving")).to_be_hidden()
    await expect(column(page, "To do").get_by_text("Paint")).to_be_visible()
