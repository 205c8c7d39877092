"""Each `viewerCan…` field of the schema is true if, and only if, the mutation that it names
succeeds: for every role, in an open project, in an archived one, and with its time locked.

A new permission field fails the test until it is in `MUTATIONS`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from graphql import GraphQLObjectType
from sqlalchemy import update

from db import models
from graph.core import ids
from graph.schema import schema
from tests.access.case import SIGNED_IN
from tests.access.fixtures import AccessRole, Cast, Fixtures
from tests.factories import World


@dataclass(frozen=True, slots=True)
class Attempt:
    """The mutation that a permission field is about, on an object of the fixtures."""

    about: str
    mutation: str
    more: Callable[[Fixtures], dict[str, Any]] = lambda _: {}
    path: str = "id"


MUTATIONS = {
    "Task.viewerCanEdit": Attempt("task", "taskUpdate", lambda _: {"title": "x"}),
    "Task.viewerCanComment": Attempt("task", "commentCreate", lambda _: {"body": "x"}, "taskId"),
    "Task.viewerCanDelete": Attempt("subtask", "taskDelete"),
    "Task.viewerCanShare": Attempt(
        "task", "taskShareCreate", lambda at: {"userId": f"@{at.target_name}"}, "taskId"
    ),
    "Project.viewerCanEdit": Attempt("project", "projectUpdate", lambda _: {"color": "#102030"}),
    "Project.viewerCanArchive": Attempt("project", "projectArchive"),
    "Project.viewerCanCreateTasks": Attempt(
        "project", "taskCreate", lambda _: {"title": "x"}, "projectId"
    ),
    "Project.viewerCanManageMembers": Attempt(
        "project",
        "projectMemberAdd",
        lambda at: {"userId": at.target, "role": "VIEWER"},
        "projectId",
    ),
    "Project.viewerCanDelete": Attempt("project", "projectDelete"),
    "Project.viewerCanTransfer": Attempt(
        "project", "projectTransfer", lambda at: {"userId": at.editor}
    ),
    "Comment.viewerCanEdit": Attempt("comment", "commentUpdate", lambda _: {"body": "x"}),
    "Comment.viewerCanDelete": Attempt("comment", "commentDelete"),
    "TimeEntry.viewerCanEdit": Attempt("entry", "timeEntryUpdate", lambda _: {"description": "x"}),
    "TimeEntry.viewerCanDelete": Attempt("entry", "timeEntryDelete"),
    "TaskShare.viewerCanEdit": Attempt(
        "share", "taskShareUpdate", lambda _: {"permission": "EDIT"}
    ),
    "TaskShare.viewerCanDelete": Attempt("share", "taskShareDelete"),
    "Attachment.viewerCanDelete": Attempt("attachment", "attachmentDelete"),
}
# After these, others of the roles would no longer find what they need.
LASTING = {
    "taskDelete", "taskShareCreate", "projectArchive", "projectMemberAdd", "projectDelete",
    "projectTransfer", "commentDelete", "timeEntryDelete", "taskShareDelete", "attachmentDelete",
}  # fmt: skip
STATES: dict[str, dict[str, Any]] = {
    "open": {},
    "archived": {"archived_at": dt.datetime.now(dt.UTC)},
    "locked": {"time_locked_before": dt.datetime.now(dt.UTC).date() + dt.timedelta(days=2)},
}
CASES = [
    (field, state)
    for field in MUTATIONS
    for state in STATES
    # A lock concerns time alone.
    if state != "locked" or field.startswith("TimeEntry.")
]


@pytest_asyncio.fixture(scope="module")
async def cast(world: World) -> Cast:
    return await Cast.gather(world)


def test_every_permission_field_has_its_mutation() -> None:
    assert set(MUTATIONS) == {
        f"{type_.name}.{name}"
        for type_ in schema._schema.type_map.values()
        if isinstance(type_, GraphQLObjectType)
        for name in type_.fields
        if name.startswith("viewerCan")
    }


@pytest.mark.parametrize(("field", "state"), CASES)
async def test_a_permission_field_says_what_its_mutation_does(
    cast: Cast, field: str, state: str
) -> None:
    attempt = MUTATIONS[field]
    cast.clear()
    fixtures = await set_up(cast, state)
    said, done = {}, {}
    for role in sorted(SIGNED_IN, key=lambda role: role.name):
        said[role.name] = await asked(cast, role, field, fixtures.ids[attempt.about])
        done[role.name] = await succeeds(cast, role, attempt, fixtures)
        if done[role.name] and attempt.mutation in LASTING:
            cast.clear()
            fixtures = await set_up(cast, state)
    cast.clear()
    assert said == done
    # Neither all nor none, unless the state forbids it to all.
    assert len({*done.values()}) == 2 or state != "open"


async def set_up(cast: Cast, state: str) -> Fixtures:
    fixtures = await cast.fixtures()
    if STATES[state]:
        project = models.Project.id == ids.decode(models.Project, fixtures.project, ())
        async with cast.world.database.session() as session, session.begin():
            await session.execute(update(models.Project).where(project).values(STATES[state]))
    return fixtures


async def asked(cast: Cast, role: AccessRole, field: str, id_: str) -> bool:
    type_, name = field.split(".")
    query = f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on {type_} {{ {name} }} }} }}"
    (node,) = (await cast.world.run(query, cast.of(role), ids=[id_])).good["nodes"]
    return node is not None and node[name]


async def succeeds(cast: Cast, role: AccessRole, attempt: Attempt, fixtures: Fixtures) -> bool:
    name = attempt.mutation
    mutation = f"""mutation ($input: {name[0].upper()}{name[1:]}Input!) {{
      {name}(input: $input) {{ errors {{ code }} }}
    }}"""
    given = {attempt.path: fixtures.ids[attempt.about], **attempt.more(fixtures)}
    reply = await cast.world.run(mutation, cast.of(role), input=given)
    errors = reply.data[name]["errors"]
    # It was the right that decided, and not the input.
    expected = {"FORBIDDEN", "NOT_FOUND", "PROJECT_ARCHIVED", "TIME_LOCKED"}
    assert {error["code"] for error in errors} <= expected
    return not errors
