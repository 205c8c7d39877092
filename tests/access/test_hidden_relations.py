"""An ID of something hidden that belongs to what one sees says no more than the ID of nothing.

The guest sees one task of a project. The project, the task's parent, its siblings and what others
have on it are hidden. An input that names one of them beside the task could tell by its answer that
they belong together: "this task is in that project".

The inputs are generated from the schema: of each mutation each field that names an object, alone
and beside each other one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from graphql import get_named_type, get_nullable_type, is_list_type, is_required_input_field

from db import models
from db.models import Permission
from graph.core import ids
from tests.access.fixtures import anonymous
from tests.accounts import Person
from tests.factories import Reply, World, fresh_id, gid
from tests.graph.kit.test_all_problems import MUTATIONS
from tests.graph.kit.test_all_references import APART, GOOD, has_references, named

Path = tuple[str, ...]

# Every account is public.
PUBLIC = {models.User}
VALUES: dict[str, Any] = {
    **GOOD,
    "time": {"day": {"day": "2026-01-05", "duration": 60}},
    "config": {"github": {"repository": "octocat/hello", "token": "a-token"}},
    "userId": f"user_{fresh_id().hex}",
}
# Where a hidden object is related to the visible one that is named beside it.
TELLING = {
    "taskCreate projectId beside parentId",
    "taskBulkCreate items.0.projectId beside parentId",
    "taskMove projectId",
    "taskMove parentId",
    "taskUpdate parentId",
    "timeEntryUpdate projectId",
    "timeEntryBulkUpdate items.0.projectId",
    "timerStart projectId beside taskId",
}


@dataclass(frozen=True, slots=True)
class Case:
    """A mutation, the field that is asked about, and another one that is given beside it."""

    mutation: str
    asked: Path
    model: type[Any]
    beside: Path | None = None

    def __str__(self) -> str:
        beside = "" if self.beside is None else f" beside {self.beside[-1]}"
        return f"{self.mutation} {'.'.join(self.asked)}{beside}"


def fields_of(mutation: str, type_: Any, at: Path = ()) -> Iterator[tuple[Path, type[Any], bool]]:
    """The fields that name objects, their models, and whether they are required."""
    for name, each in type_.fields.items():
        kind, required = get_named_type(each.type), is_required_input_field(each)
        if name in {"items", "place"}:
            inner = (*at, name, "0") if name == "items" else (*at, name)
            yield from fields_of(mutation, kind, inner)
        elif kind.name == "ID":
            model = named(mutation, type_.name, name)
            if model is not None and model not in PUBLIC:
                is_list = is_list_type(get_nullable_type(each.type))
                yield (*at, name, *(("0",) if is_list else ())), model, required


def cases() -> Iterator[Case]:
    for mutation, each in MUTATIONS.items():
        type_ = get_named_type(each.args["input"].type)
        if mutation in APART or not has_references(type_):
            continue
        found = list(fields_of(mutation, type_))
        for asked, model, _ in found:
            yield Case(mutation, asked, model)
            for beside, _, required in found:
                # Of a place, one field may be given.
                if not required and beside != asked and "place" not in {asked[0], beside[0]}:
                    yield Case(mutation, asked, model, beside)


@dataclass(slots=True)
class Scene:
    """The objects that the guest sees, and those that are hidden, by model."""

    seen: dict[type[Any], str] = field(default_factory=dict)
    hidden: dict[type[Any], list[str]] = field(default_factory=dict)

    def note(self, row: Any, *, hidden: bool) -> None:
        if hidden:
            self.hidden.setdefault(type(row), []).append(gid(row))
        else:
            self.seen[type(row)] = gid(row)


async def scene_of(world: World, owner: Person, guest: Person, permission: Permission) -> Scene:
    scene = Scene()
    project = await world.project(owner)
    above = await world.task(owner, "Above", project_id=project.id)
    task = await world.task(owner, "Seen", project_id=project.id, parent_id=above.id)
    beside = await world.task(owner, "Beside", project_id=project.id, parent_id=above.id)
    own = await world.project(guest)
    share = await world.share(task, guest, permission)
    other = await world.share(task, await world.person())
    for row in (own, task, share):
        scene.note(row, hidden=False)
    for row in (project, above, beside, other):
        scene.note(row, hidden=True)
    for person, about in ((guest, task), (owner, task), (owner, above)):
        for row in _rows(person, about):
            await world.rows(row)
            # Users who see a task see its comments and attachments.
            all_see = isinstance(row, models.Comment | models.Attachment)
            if person is guest or not all_see or about is above:
                scene.note(row, hidden=person is owner)
    return scene


def _rows(person: Person, task: models.Task) -> Iterator[Any]:
    """What a user has on a task."""
    now = dt.datetime.now(dt.UTC)
    common: dict[str, Any] = {"created_at": now, "updated_at": now, "version": 1}
    yield models.TimeEntry(
        id=fresh_id(),
        user_id=person.id,
        project_id=task.project_id,
        task_id=task.id,
        started_at=now - dt.timedelta(hours=2),
        ended_at=now - dt.timedelta(hours=1),
        **common,
    )
    yield models.Reminder(
        id=fresh_id(),
        user_id=person.id,
        task_id=task.id,
        kind=models.RuleKind.DAILY,
        rule={"time": "09:00", "timezone": "UTC"},
        channels=[models.ReminderChannel.IN_APP.value],
        is_enabled=True,
        **common,
    )
    yield models.Comment(id=fresh_id(), task_id=task.id, author_id=person.id, body="x", **common)
    file = {"filename": "plan.txt", "size": 5, "content_type": "text/plain", "sha256": "0" * 64}
    sent = models.StoredFile(
        id=fresh_id(),
        uploader_id=person.id,
        created_at=now,
        expires_at=now + dt.timedelta(hours=1),
        task_id=task.id,
        stored_at=now,
        has_thumbnail=False,
        **file,
    )
    yield sent
    yield models.Attachment(
        id=fresh_id(),
        task_id=task.id,
        uploader_id=person.id,
        file_id=sent.id,
        has_thumbnail=False,
        created_at=now,
        **file,
    )
    yield models.Notification(
        id=fresh_id(),
        recipient_id=person.id,
        kind=models.NotificationKind.TASK_DUE_SOON,
        task_id=task.id,
        created_at=now,
        in_app=True,
        email=False,
    )


def input_of(case: Case, scene: Scene, value: str) -> Any:
    """An input with this value where it is asked; all else that it names is visible."""
    type_ = get_named_type(MUTATIONS[case.mutation].args["input"].type)
    places = dict(_required(type_))
    for path, model, required in fields_of(case.mutation, type_):
        if required or path == case.beside:
            places[path] = scene.seen.get(model, ids.encode(model, fresh_id()))
    places[case.asked] = value
    tree: dict[str, Any] = {}
    for path, given in places.items():
        inner = tree
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
        inner[path[-1]] = given
    return _with_lists(tree)


def _required(type_: Any, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The required fields that name nothing, with good values."""
    for name, each in type_.fields.items():
        if name == "items":
            yield from _required(get_named_type(each.type), (*at, name, "0"))
        elif is_required_input_field(each) and (
            get_named_type(each.type).name != "ID" or name == "userId"
        ):
            yield (*at, name), VALUES[name]


def _with_lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node.keys() == {"0"}:
        return [_with_lists(node["0"])]
    return {name: _with_lists(inner) for name, inner in node.items()}


async def ask(world: World, guest: Person, case: Case, scene: Scene, value: str) -> Reply:
    type_ = MUTATIONS[case.mutation].args["input"].type
    query = f"""mutation ($input: {type_}) {{
      {case.mutation}(input: $input) {{ errors {{ code path message conflictingFields }} }}
    }}"""
    return await world.post(query, guest, input=input_of(case, scene, value))


@pytest.mark.parametrize("permission", list(Permission), ids=lambda one: one.name)
async def test_what_is_hidden_beside_what_is_seen_is_as_nothing(
    world: World, permission: Permission
) -> None:
    owner, guest = await world.people(2)
    scene = await scene_of(world, owner, guest, permission)
    told, good = [], set()
    for case in cases():
        for hidden in scene.hidden.get(case.model, ()):
            nothing = ids.encode(case.model, fresh_id())
            unknown = await ask(world, guest, case, scene, nothing)
            invisible = await ask(world, guest, case, scene, hidden)
            assert not unknown.errors, (str(case), unknown.errors)
            if unknown.codes == ["NOT_FOUND"]:
                good.add(str(case))
            if anonymous(invisible.body, hidden) != anonymous(unknown.body, nothing):
                told.append((str(case), invisible.data, unknown.data))
                # It may have changed something.
                scene = await scene_of(world, owner, guest, permission)
                break
    assert told == []
    if permission is Permission.EDIT:
        # Otherwise something else was wrong with these inputs.
        assert good >= TELLING
