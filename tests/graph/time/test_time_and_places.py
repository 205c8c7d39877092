"""Time in projects that are archived, locked, deleted, restored, or left by its user."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from db import models
from tests.accounts import Person
from tests.factories import World, gid
from tests.graph.time.test_time_report import entry, membership
from tests.graph.time.time_calls import DELETE, NOW, UPDATE, created

START = dt.datetime(2026, 11, 16, 8, tzinfo=dt.UTC)
RIGHTS = "query ($id: ID!) { timeEntry(id: $id) { viewerCanEdit viewerCanDelete } }"
REPORT = """query ($zone: String) {
  timeReport(groupBy: [PROJECT], timezone: $zone) {
    total groups { project { name } total count timeEntries { totalCount nodes { id } } }
  }
}"""


async def does(world: World, person: Person, mutation: str, **given: Any) -> None:
    type_ = mutation[0].upper() + mutation[1:] + "Input"
    document = f"mutation ($i: {type_}!) {{ {mutation}(input: $i) {{ errors {{ code }} }} }}"
    assert (await world.run(document, person, i=given)).good


async def bring(
    world: World, state: str, owner: Person, project: models.Project, editor: Person
) -> None:
    """Bring a project, or its editor, into a state."""
    id_ = gid(project)
    if state == "archived":
        await does(world, owner, "projectArchive", id=id_)
    elif state == "locked":
        await does(world, owner, "projectUpdate", id=id_, timeLockedBefore="2026-11-17")
    elif state in {"deleted", "restored"}:
        await does(world, owner, "projectDelete", id=id_)
        if state == "restored":
            await does(world, owner, "projectRestore", id=id_)
    elif state == "left":
        member = await membership(world, owner, project, editor)
        await does(world, owner, "projectMemberRemove", id=member)


@pytest.mark.parametrize("state", ["open", "archived", "locked", "deleted", "restored", "left"])
async def test_single_and_bulk_changes_are_as_the_permission_fields_say(
    world: World, state: str
) -> None:
    owner, editor = await world.people(2)
    project = await world.project(owner, editors=[editor])
    mine = await created(
        world, editor, "2026-11-16T08:00:00Z", "2026-11-16T09:00:00Z", projectId=gid(project)
    )
    await bring(world, state, owner, project, editor)
    shown = (await world.run(RIGHTS, editor, id=mine["id"])).good["timeEntry"]
    tried = {}
    for verb, more in (("Update", {"description": "x"}), ("Delete", {})):
        document = f"""mutation ($i: TimeEntryBulk{verb}Input!) {{
          timeEntryBulk{verb}(input: $i) {{ validCount errors {{ code }} }}
        }}"""
        given = {"items": [{"id": mine["id"], **more}], "dryRun": True}
        reply = await world.run(document, editor, at=NOW, i=given)
        assert not reply.errors
        tried[verb] = reply.data[f"timeEntryBulk{verb}"]["validCount"] == 1
    assert tried == {"Update": shown["viewerCanEdit"], "Delete": shown["viewerCanDelete"]}
    change = {"id": mine["id"], "description": "x"}
    edited = await world.run(UPDATE, editor, at=NOW, input=change)
    assert (edited.codes == []) is shown["viewerCanEdit"]
    deleted = await world.run(DELETE, editor, at=NOW, input={"id": mine["id"]})
    assert (deleted.codes == []) is shown["viewerCanDelete"]
    assert edited.codes == deleted.codes


async def test_time_of_a_deleted_project_is_its_users_alone_until_it_is_restored(
    world: World,
) -> None:
    owner, editor = await world.people(2)
    project = await world.project(owner, name="Bridge", editors=[editor])
    rows = [entry(owner, START, 1, project=project), entry(editor, START, 2, project=project)]
    await world.rows(*rows)

    async def shown(person: Person) -> list[Any]:
        report = (await world.run(REPORT, person)).good["timeReport"]
        return [
            (
                group["project"] and group["project"]["name"],
                group["total"],
                sorted(node["id"] for node in group["timeEntries"]["nodes"]),
            )
            for group in report["groups"]
        ]

    mine, theirs = (gid(row) for row in rows)
    before = [await shown(person) for person in (owner, editor)]
    assert before == [[("Bridge", 3, sorted([mine, theirs]))], [("Bridge", 2, [theirs])]]
    await bring(world, "deleted", owner, project, editor)
    assert await shown(owner) == [(None, 1, [mine])]
    assert await shown(editor) == [(None, 2, [theirs])]
    await does(world, owner, "projectRestore", id=gid(project))
    assert [await shown(person) for person in (owner, editor)] == before
