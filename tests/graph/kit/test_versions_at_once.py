"""`ifVersion` holds however close two changes come.

Each mutation that takes it meets another change of the same row: that one has locked the row when
the mutation begins, and changes it once the mutation waits. A mutation that had looked at the
version before would overwrite the change, unseen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, get_named_type
from sqlalchemy import text

from db import models
from db.models import Connector, ExportFormat, ExportState, IntegrationStatus
from graph.core import ids
from graph.core.node import TYPE_NAMES
from graph.schema import schema
from tests.accounts import Person
from tests.factories import World, fresh_id, gid
from tests.graph.kit.test_last_values import NEW, reminder
from tests.waiting import begun_beside


@dataclass(slots=True)
class Scene:
    """Ada, who changes a row. `input`: what the row's making adds to that of the mutation."""

    world: World
    ada: Person
    ben: Person
    input: dict[str, Any] = field(default_factory=dict)
    # Whether the mutation names the row; some are about oneself.
    named: bool = True

    async def run(self, mutation: str, **given: Any) -> Any:
        """Run a mutation as Ada; its codes."""
        type_ = f"{mutation[0].upper()}{mutation[1:]}Input"
        document = f"""mutation ($input: {type_}!) {{
          {mutation}(input: $input) {{ errors {{ code }} }}
        }}"""
        return (await self.world.run(document, self.ada, input=given)).codes


Make = Callable[[Scene], Awaitable[Any]]


async def task(scene: Scene) -> Any:
    return await scene.world.task(scene.ada, tags=["a"])


async def completed(scene: Scene) -> Any:
    made = await task(scene)
    assert await scene.run("taskComplete", id=gid(made)) == []
    return made


async def other_task(scene: Scene) -> Any:
    scene.input["place"] = {"after": gid(await task(scene))}
    return await task(scene)


async def assigned(scene: Scene) -> Any:
    scene.input["assigneeId"] = gid(scene.ada)
    return await task(scene)


async def project(scene: Scene) -> Any:
    return await scene.world.project(scene.ada, editors=[scene.ben])


async def archived(scene: Scene) -> Any:
    made = await project(scene)
    assert await scene.run("projectArchive", id=gid(made)) == []
    return made


async def transferred(scene: Scene) -> Any:
    scene.input["userId"] = gid(scene.ben)
    return await project(scene)


async def member(scene: Scene) -> Any:
    made = await project(scene)
    async with scene.world.database.session() as session:
        found = await session.execute(
            text("SELECT id FROM project_members WHERE project_id = :project AND user_id = :user"),
            {"project": made.id, "user": scene.ben.id},
        )
        return models.ProjectMember(id=found.scalar_one())


async def share(scene: Scene) -> Any:
    return await scene.world.share(await task(scene), scene.ben)


async def comment(scene: Scene) -> Any:
    made = models.Comment(
        **NEW, id=fresh_id(), task_id=(await task(scene)).id, author_id=scene.ada.id, body="Words"
    )
    await scene.world.rows(made)
    return made


async def entry(scene: Scene, *, running: bool = False) -> Any:
    ended = None if running else NEW["created_at"]
    made = models.TimeEntry(
        **NEW, id=fresh_id(), user_id=scene.ada.id, started_at=NEW["created_at"], ended_at=ended
    )
    await scene.world.rows(made)
    return made


async def timer(scene: Scene) -> Any:
    made = await entry(scene, running=True)
    scene.named = False
    return made


async def export(scene: Scene) -> Any:
    made = models.ReportExport(
        **NEW,
        id=fresh_id(),
        user_id=scene.ada.id,
        timezone="UTC",
        format=ExportFormat.CSV,
        status=ExportState.QUEUED,
    )
    await scene.world.rows(made)
    return made


async def oneself(scene: Scene) -> Any:
    scene.named = False
    return models.User(id=scene.ada.id)


async def somebody(scene: Scene) -> Any:
    scene.ada = await scene.world.house.admin()
    return models.User(id=scene.ben.id)


async def session(scene: Scene) -> Any:
    return models.Session(id=scene.ada.viewer.session_id)


async def preferences(scene: Scene) -> Any:
    assert await scene.run("notificationPreferencesUpdate", mentioned={"push": False}) == []
    scene.named = False
    return models.NotificationPreferences(id=scene.ada.id)


async def own_reminder(scene: Scene) -> Any:
    made = reminder(scene.ada, 1)
    await scene.world.rows(made)
    return made


async def webhook(scene: Scene) -> Any:
    create = """mutation ($input: WebhookCreateInput!) {
      webhookCreate(input: $input) { webhook { id } errors { code } }
    }"""
    values = {"url": "https://example.com/hook"}
    made = (await scene.world.run(create, scene.ada, input=values)).good["webhookCreate"]
    return models.Webhook(id=ids.decode(models.Webhook, made["webhook"]["id"], ()))


async def integration(scene: Scene) -> Any:
    made = models.Integration(
        **NEW,
        id=fresh_id(),
        user_id=scene.ada.id,
        project_id=(await project(scene)).id,
        connector=Connector.SLACK,
        settings={"events": ["TASK_CREATED"]},
        credentials=b"",
        status=IntegrationStatus.ACTIVE,
    )
    await scene.world.rows(made)
    return made


TABLE: dict[str, tuple[Make, dict[str, Any]]] = {
    "taskUpdate": (task, {"title": "Another"}),
    "taskDelete": (task, {}),
    "taskComplete": (task, {}),
    "taskReopen": (completed, {}),
    "taskAssign": (assigned, {}),
    "taskMove": (other_task, {}),
    "taskTagsAdd": (task, {"tags": ["b"]}),
    "taskTagsRemove": (task, {"tags": ["a"]}),
    "taskShareUpdate": (share, {"permission": "EDIT"}),
    "taskShareDelete": (share, {}),
    "commentUpdate": (comment, {"body": "Others"}),
    "commentDelete": (comment, {}),
    "timerStop": (timer, {}),
    "timeEntryUpdate": (entry, {"description": "Another"}),
    "timeEntryDelete": (entry, {}),
    "reportExportCancel": (export, {}),
    "projectUpdate": (project, {"name": "Another"}),
    "projectArchive": (project, {}),
    "projectUnarchive": (archived, {}),
    "projectDelete": (project, {}),
    "projectMemberUpdate": (member, {"role": "VIEWER"}),
    "projectMemberRemove": (member, {}),
    "projectTransfer": (transferred, {}),
    "accountUpdate": (oneself, {"fullName": "Another"}),
    "adminUserUpdate": (somebody, {"fullName": "Another"}),
    "sessionUpdate": (session, {"deviceName": "Another"}),
    "notificationPreferencesUpdate": (preferences, {"isEmailEnabled": False}),
    "reminderUpdate": (own_reminder, {"message": "Another"}),
    "reminderDelete": (own_reminder, {}),
    "webhookUpdate": (webhook, {"url": "https://example.com/other"}),
    "webhookDelete": (webhook, {}),
    "webhookSecretRotate": (webhook, {}),
    "integrationUpdate": (integration, {"isPaused": True}),
    "integrationDelete": (integration, {}),
}


def test_the_table_has_every_mutation_that_takes_a_version() -> None:
    mutation = schema._schema.mutation_type
    assert mutation is not None
    found = set()
    for name, definition in mutation.fields.items():
        inputs = [get_named_type(argument.type) for argument in definition.args.values()]
        for type_ in inputs:
            if isinstance(type_, GraphQLInputObjectType) and "ifVersion" in type_.fields:
                found.add(name)
    assert found == set(TABLE)


@pytest.mark.parametrize("mutation", TABLE)
async def test_a_conflict_returns_the_current_object(world: World, mutation: str) -> None:
    make, given = TABLE[mutation]
    scene = Scene(world, await world.person(), await world.person())
    row = await make(scene)
    definition = schema._schema.mutation_type.fields[mutation]  # type: ignore[union-attr]
    fields = get_named_type(definition.type).fields
    shown = {"accountUpdate": "Viewer", "adminUserUpdate": "AdminUser"}.get(
        mutation, TYPE_NAMES.get(type(row), type(row).__name__)
    )
    # Of `taskDelete`, `task` and not `parent`.
    name = f"{shown[0].lower()}{shown[1:]}"
    assert get_named_type(fields[name].type).name == shown
    # The version of an account is that of its profile.
    profile = mutation in {"accountUpdate", "adminUserUpdate"}
    asked = "user { version }" if profile else "version"
    values = {**({"id": gid(row)} if scene.named else {}), **scene.input, **given}
    document = f"""mutation ($input: {mutation[0].upper()}{mutation[1:]}Input!) {{
      {mutation}(input: $input) {{ {name} {{ {asked} }} errors {{ code conflictingFields }} }}
    }}"""
    reply = await world.run(document, scene.ada, input={**values, "ifVersion": 99})
    payload = reply.data[mutation]
    (error,) = payload["errors"]
    assert error["code"] == "CONFLICT"
    # They are fields of the object, by its names or the input's.
    known = {*get_named_type(fields[name].type).fields}
    known |= {*get_named_type(definition.args["input"].type).fields}
    assert set(error["conflictingFields"]) <= known
    async with world.database.session() as session:
        version = text(f"SELECT version FROM {type(row).__tablename__} WHERE id = :id")
        current = (await session.execute(version, {"id": row.id})).scalar_one()
    expected = {"version": current}
    assert payload[name] == ({"user": expected} if profile else expected)


@pytest.mark.parametrize("mutation", TABLE)
async def test_a_change_beside_another_is_a_conflict(world: World, mutation: str) -> None:
    make, given = TABLE[mutation]
    scene = Scene(world, await world.person(), await world.person())
    row = await make(scene)
    values = {**({"id": gid(row)} if scene.named else {}), **scene.input, **given}
    table = type(row).__tablename__
    lock = text(f"SELECT version FROM {table} WHERE id = :id FOR NO KEY UPDATE")
    change = text(f"UPDATE {table} SET version = version + 1 WHERE id = :id")
    async with world.database.session() as other, other.begin():
        version = (await other.execute(lock, {"id": row.id})).scalar_one()
        later = scene.run(mutation, **values, ifVersion=version)
        running = await begun_beside(world.database, other, later)
        await other.execute(change, {"id": row.id})
    assert await running == ["CONFLICT"]
    # Nothing else stood in its way.
    assert await scene.run(mutation, **values, ifVersion=version + 1) == []
