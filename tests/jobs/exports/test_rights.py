"""The address of an export is good for as long as its owner could make the same export again.

What is right stands here by hand: each scene names the file, what happens, and whether the address
answers after it.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import text, update

from db import models
from db.models import Permission
from jobs.worker_context import WorkerContext
from tests import uploads
from tests.accounts import Person
from tests.factories import World, gid
from tests.graph.time.test_time_report import entry
from tests.jobs.exports.calls import READ, START, ask, key_of, make

FORMATS = ["CSV", "JSON", "PDF"]


class File:
    """A finished export with the address that its owner was given."""

    def __init__(self, world: World, owner: Person, export_id: str, url: str) -> None:
        self.world, self.owner, self.id, self.url = world, owner, export_id, url

    async def answers(self) -> bool:
        """Whether the address gives the file, however it is asked; the schema says the same."""
        http = self.world.http
        replies = [
            await http.get(self.url),
            await http.get(self.url, headers={"Range": "bytes=0-9"}),
            await http.head(self.url),
        ]
        (status,) = {reply.status_code for reply in replies}
        assert status in {200, 404}
        shown = await self.world.run(READ, self.owner, id=self.id)
        if shown.data is not None:
            export = shown.good["reportExport"]
            assert (export["downloadUrl"] is not None) == (status == 200)
            assert export["status"] == "DONE"
        if status == 404:
            assert b"start" not in replies[0].content
        return status == 200


@pytest.fixture
def exported(world: World, context: WorkerContext) -> Any:
    """Have somebody make an export."""

    async def made(owner: Person, **given: Any) -> File:
        export_id = await ask(world, owner, **({"format": "CSV"} | given))
        await make(context, export_id)
        url = (await world.run(READ, owner, id=export_id)).good["reportExport"]["downloadUrl"]
        file = File(world, owner, export_id, uploads.local(url))
        assert await file.answers()
        return file

    return made


async def change(world: World, person: Person, mutation: str, **given: Any) -> None:
    type_ = mutation[0].upper() + mutation[1:] + "Input"
    document = f"mutation ($i: {type_}!) {{ {mutation}(input: $i) {{ errors {{ code }} }} }}"
    reply = await world.run(document, person, i=given)
    assert not reply.codes, reply.codes


async def membership(world: World, project: models.Project, person: Person) -> str:
    query = """query ($id: ID!) { project(id: $id) {
      members(first: 50) { nodes { id user { id } } } } }"""
    reply = await world.run(query, person, id=gid(project))
    members = reply.good["project"]["members"]["nodes"]
    return str(next(one["id"] for one in members if one["user"]["id"] == gid(person)))


class Team:
    """A project with its owner, an admin and an editor, whose time is in it."""

    def __init__(self, project: models.Project, owner: Person, admin: Person, ed: Person) -> None:
        self.project, self.owner, self.admin, self.editor = project, owner, admin, ed


@pytest.fixture
async def team(world: World) -> Team:
    owner, admin, editor = await world.people(3)
    project = await world.project(owner, admins=[admin], editors=[editor])
    await world.rows(entry(editor, START, 60, project=project))
    return Team(project, owner, admin, editor)


# --- other people's entries ----------------------------------------------------------------------


@pytest.mark.parametrize("format_", FORMATS)
async def test_who_is_lowered_fetches_nobody_elses_time(
    world: World, team: Team, exported: Any, format_: str
) -> None:
    file = await exported(team.admin, format=format_)
    member = await membership(world, team.project, team.admin)
    await change(world, team.owner, "projectMemberUpdate", id=member, role="EDITOR")
    assert not await file.answers()
    # A user who has the right again could make the export again.
    await change(world, team.owner, "projectMemberUpdate", id=member, role="ADMIN")
    assert await file.answers()


async def test_who_is_removed_fetches_nobody_elses_time(
    world: World, team: Team, exported: Any
) -> None:
    file = await exported(team.admin)
    member = await membership(world, team.project, team.admin)
    await change(world, team.owner, "projectMemberRemove", id=member)
    assert not await file.answers()


async def test_one_of_many_projects_is_enough(world: World, team: Team, exported: Any) -> None:
    own = await world.project(team.admin)
    await world.rows(
        entry(team.editor, START, 60, project=own), entry(team.admin, START, 60, project=own)
    )
    file = await exported(team.admin)
    narrow = {"entries": {"project": {"id": {"eq": gid(own)}}}}
    of_own = await exported(team.admin, filter=narrow)
    # Other days than those of the entries there.
    later = await exported(team.admin, filter={"firstDay": "2027-01-01", "lastDay": "2027-01-31"})
    member = await membership(world, team.project, team.admin)
    await change(world, team.owner, "projectMemberRemove", id=member)
    assert not await file.answers()
    assert await of_own.answers()
    assert await later.answers()


async def test_a_deleted_project_takes_the_file_with_it(
    world: World, team: Team, exported: Any
) -> None:
    file = await exported(team.owner)
    await change(world, team.owner, "projectDelete", id=gid(team.project))
    assert not await file.answers()
    await change(world, team.owner, "projectRestore", id=gid(team.project))
    assert await file.answers()
    await change(world, team.owner, "projectArchive", id=gid(team.project))
    assert await file.answers()


async def test_who_hands_a_project_over_manages_it_until_lowered(
    world: World, team: Team, exported: Any
) -> None:
    file = await exported(team.owner)
    await change(
        world, team.owner, "projectTransfer", id=gid(team.project), userId=gid(team.editor)
    )
    assert await file.answers()
    member = await membership(world, team.project, team.owner)
    await change(world, team.editor, "projectMemberUpdate", id=member, role="VIEWER")
    assert not await file.answers()


async def test_a_right_that_is_lost_before_the_address_is_asked_for_counts(
    world: World, context: WorkerContext, team: Team
) -> None:
    export_id = await ask(world, team.admin, format="CSV")
    await make(context, export_id)
    member = await membership(world, team.project, team.admin)
    await change(world, team.owner, "projectMemberUpdate", id=member, role="EDITOR")
    found = (await world.run(READ, team.admin, id=export_id)).good["reportExport"]
    assert (found["status"], found["downloadUrl"]) == ("DONE", None)


# --- one's own -----------------------------------------------------------------------------------


async def test_ones_own_time_stays(world: World, team: Team, exported: Any) -> None:
    await world.rows(entry(team.admin, START, 60), entry(team.admin, START, 60))
    own = {"entries": {"user": {"id": {"eq": gid(team.admin)}}}}
    file = await exported(team.admin, filter=own)
    member = await membership(world, team.project, team.admin)
    await change(world, team.owner, "projectMemberRemove", id=member)
    assert await file.answers()


@pytest.mark.parametrize("format_", FORMATS)
async def test_ones_own_time_in_a_project_needs_only_to_see_it(
    world: World, team: Team, exported: Any, format_: str
) -> None:
    await world.rows(entry(team.admin, START, 60, project=team.project))
    own = {"entries": {"user": {"id": {"eq": gid(team.admin)}}}}
    file = await exported(team.admin, format=format_, filter=own, groupBy=["PROJECT"])
    member = await membership(world, team.project, team.admin)
    await change(world, team.owner, "projectMemberUpdate", id=member, role="VIEWER")
    assert await file.answers()
    # The file names the project.
    await change(world, team.owner, "projectMemberRemove", id=member)
    assert not await file.answers()


async def test_a_project_that_the_heading_alone_names_counts(
    world: World, team: Team, exported: Any
) -> None:
    filter_ = {"entries": {"project": {"id": {"in": [gid(team.project)]}}, "isBillable": True}}
    file = await exported(team.admin, format="PDF", filter=filter_)
    member = await membership(world, team.project, team.admin)
    await change(world, team.owner, "projectMemberRemove", id=member)
    assert not await file.answers()


async def test_titles_of_tasks_need_to_be_seen(world: World, exported: Any) -> None:
    ada, bob = await world.people(2)
    shared, personal = await world.task(bob, "Of Bob"), await world.task(ada, "Of Ada")
    share = await world.share(shared, ada, Permission.EDIT)
    mine, his = entry(ada, START, 60), entry(ada, START, 60)
    mine.task_id, his.task_id = personal.id, shared.id
    await world.rows(mine, his)
    file = await exported(ada)
    own = await exported(ada, filter={"entries": {"task": {"id": {"eq": gid(personal)}}}})
    for task, owner in ((personal, ada), (shared, bob)):
        await change(world, owner, "taskDelete", id=gid(task))
        assert await file.answers()
        await change(world, owner, "taskRestore", id=gid(task))
    await change(world, bob, "taskShareDelete", id=gid(share))
    assert not await file.answers()
    assert await own.answers()


# --- anyone with the URL --------------------------------------------------------------------------


async def test_who_is_deactivated_has_no_address(world: World, team: Team, exported: Any) -> None:
    file = await exported(team.admin)
    async with world.database.session() as session, session.begin():
        users = update(models.User).where(models.User.id == team.admin.id)
        await session.execute(users.values(is_active=False))
    assert not await file.answers()


async def test_a_file_whose_rights_nobody_kept_is_nobodys(
    world: World, team: Team, exported: Any
) -> None:
    """As a worker of an earlier version leaves it, whichever of them is missing."""
    for column in ("managed_project_ids", "seen_project_ids", "seen_task_ids"):
        file = await exported(team.admin)
        async with world.database.session() as session, session.begin():
            await session.execute(
                text(f"UPDATE report_exports SET {column} = NULL WHERE id = :id"),
                {"id": key_of(file.id)},
            )
        assert not await file.answers()


async def test_a_list_tells_each_export_apart(world: World, team: Team, exported: Any) -> None:
    await world.rows(entry(team.admin, START + dt.timedelta(days=400), 60))
    theirs = await exported(team.admin)
    own = await exported(team.admin, filter={"firstDay": "2027-01-01"})
    member = await membership(world, team.project, team.admin)
    await change(world, team.owner, "projectMemberRemove", id=member)
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on ReportExport { downloadUrl } } }"
    reply = await world.run(query, team.admin, ids=[theirs.id, own.id, theirs.id])
    shown = [one["downloadUrl"] is not None for one in reply.good["nodes"]]
    assert shown == [False, True, False]
