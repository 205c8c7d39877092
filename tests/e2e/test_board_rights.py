"""What one may do on the board, and that it follows while the page is open."""

from __future__ import annotations

import re
from typing import Any

from playwright.async_api import expect

from db import models
from tests.accounts import Person
from tests.e2e.test_board import (
    Desks,
    Team,
    check,
    column,
    desks,
    mention,
    pytestmark,
    team,
)
from tests.factories import World, gid

__all__ = ["desks", "pytestmark", "team"]


async def done(world: World, person: Person, mutation: str, **given: Any) -> None:
    """Run a mutation by the fields of its input."""
    kind = f"{mutation[0].upper()}{mutation[1:]}Input"
    document = f"mutation ($input: {kind}!) {{ {mutation}(input: $input) {{ errors {{ code }} }} }}"
    assert (await world.run(document, person, input=given)).good[mutation]["errors"] == []


async def member(world: World, owner: Person, project: models.Project, person: Person) -> str:
    """The ID of a person's membership."""
    query = "query ($id: ID!) { project(id: $id) { members { nodes { id user { id } } } } }"
    found = (await world.run(query, owner, id=gid(project))).good["project"]["members"]["nodes"]
    (one,) = (one["id"] for one in found if one["user"]["id"].endswith(person.id.hex))
    return str(one)


async def test_an_open_board_follows_the_role_of_its_user(
    desks: Desks, world: World, team: Team
) -> None:
    ada, grace, project = team
    page = await desks.sign_in(grace, project)
    await page.get_by_role("button", name=re.compile("Cut")).click()
    new, priority = page.get_by_label("New task in To do"), page.get_by_label("Priority")
    await expect(priority).to_be_enabled()
    membership = await member(world, ada, project, grace)
    await done(world, ada, "projectMemberUpdate", id=membership, role="VIEWER")
    await expect(new).to_be_hidden()
    await expect(priority).to_be_disabled()
    await done(world, ada, "projectMemberUpdate", id=membership, role="EDITOR")
    await expect(new).to_be_visible()
    await expect(priority).to_be_enabled()
    # Events go on.
    await world.task(ada, project_id=project.id, title="Paint")
    await expect(column(page, "To do").get_by_text("Paint")).to_be_visible()


async def test_an_open_board_follows_its_project(desks: Desks, world: World, team: Team) -> None:
    ada, grace, project = team
    page = await desks.sign_in(grace, project)
    await page.get_by_role("button", name=re.compile("Cut")).click()
    await expect(page.get_by_label(f"Task {project.key}-2")).to_be_visible()
    await done(world, ada, "projectArchive", id=gid(project))
    await expect(page.get_by_text("It is archived")).to_be_visible()
    await expect(page.get_by_label("Priority")).to_be_disabled()
    await done(world, ada, "projectUnarchive", id=gid(project))
    await expect(page.get_by_text("It is archived")).to_be_hidden()
    await expect(page.get_by_label("Priority")).to_be_enabled()

    key = f"Z{project.key[1:]}"
    await done(world, ada, "projectUpdate", id=gid(project), key=key, name="Garden")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Garden")
    await expect(page.get_by_label(f"Task {key}-2")).to_be_visible()
    assert page.url.endswith(f"#/{key}/{key}-2")
    # Whom tasks can be assigned to.
    kay = await world.person(full_name="Kay Lund")
    new = {"projectId": gid(project), "userId": gid(kay), "role": "EDITOR"}
    await done(world, ada, "projectMemberAdd", **new)
    await expect(page.get_by_label("Assignee").get_by_text("Kay Lund")).to_be_attached()


async def test_a_task_of_a_project_that_one_does_not_see(
    desks: Desks, world: World, team: Team
) -> None:
    """It is on the first page, and where a notification and a search lead to."""
    ada, _, project = team
    kay = await world.person(full_name="Kay Lund")
    own = await world.project(kay, name="Garden")
    find = "query ($id: ID!) { project(id: $id) { tasks { nodes { id title } } } }"
    nodes = (await world.run(find, ada, id=gid(project))).good["project"]["tasks"]["nodes"]
    (weld,) = (node["id"] for node in nodes if node["title"] == "Weld")
    await done(world, ada, "taskShareCreate", taskId=weld, userId=gid(kay), permission="EDIT")
    await mention(world, ada, kay)
    page = await desks.sign_in(kay, own)
    title = page.get_by_role("heading", name="Weld", level=1)

    await page.get_by_label("Search").fill("Weld")
    await page.get_by_role("option", name="Weld").click()
    await expect(title).to_be_visible()
    await page.get_by_role("link", name="Projects", exact=True).click()
    await page.get_by_role("link", name="Weld").click()
    await expect(title).to_be_visible()
    await page.get_by_role("link", name="Projects", exact=True).click()
    await page.get_by_role("button", name=re.compile("^Notifications")).click()
    await page.get_by_role("button", name=re.compile("mentioned you on “Weld”")).click()
    await expect(title).to_be_visible()
    await check(page)

    await page.get_by_label("Write a comment").fill("Mind the grain")
    await page.get_by_role("button", name="Comment", exact=True).click()
    await expect(page.get_by_role("region", name="Comments").get_by_text("grain")).to_be_visible()
    await page.get_by_role("button", name="Mark as done").click()
    await expect(page.get_by_role("button", name="Reopen")).to_be_visible()
    await done(world, ada, "taskUpdate", id=weld, title="Weld the tubes")
    await expect(page.get_by_role("heading", name="Weld the tubes", level=1)).to_be_visible()
    await done(world, ada, "taskDelete", id=weld)
    await expect(page.get_by_role("heading", name="Not found")).to_be_visible()


async def test_the_list_of_projects_follows(desks: Desks, world: World, team: Team) -> None:
    ada, _, project = team
    kay = await world.person(full_name="Kay Lund")
    page = await desks.sign_in(kay, await world.project(kay, name="Garden"))
    await page.get_by_role("link", name="Projects", exact=True).click()
    await expect(page.get_by_role("link", name="Garden")).to_be_visible()
    shop = page.get_by_role("link", name=re.compile("Web shop"))
    new = {"projectId": gid(project), "userId": gid(kay), "role": "VIEWER"}
    await done(world, ada, "projectMemberAdd", **new)
    await expect(shop).to_be_visible()
    membership = await member(world, ada, project, kay)
    await done(world, ada, "projectMemberRemove", id=membership)
    await expect(shop).to_be_hidden()
