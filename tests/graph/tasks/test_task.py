"""What can be done with a task, as clients do it."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest_asyncio

from db import models
from db.models import Permission
from tests.accounts import Person
from tests.factories import Reply, World, fresh_id, gid

FIELDS = """
  id number identifier title description notes status priority dueAt dueOn startAt estimate
  tags completedAt isOverdue version owner { id } assignee { id } project { id } parent { id }
  viewerCanEdit viewerCanDelete viewerCanShare subtaskProgress { total completed }
"""
PAYLOAD = f"task {{ {FIELDS} }} replayed errors {{ code path message conflictingFields docsUrl }}"


def mutation(name: str) -> str:
    kind = name[0].upper() + name[1:]
    payload = PAYLOAD
    if name == "taskDelete":
        payload = "deletedIds errors { code path message conflictingFields }"
    return f"mutation ($input: {kind}Input!) {{ {name}(input: $input) {{ {payload} }} }}"


async def do(world: World, person: Person, name: str, /, **fields: Any) -> Reply:
    return await world.run(mutation(name), person, input=fields)


async def done(world: World, person: Person, name: str, /, **fields: Any) -> Any:
    reply = await do(world, person, name, **fields)
    (payload,) = reply.good.values()
    return payload.get("task") or payload.get("deletedIds")


async def failed(
    world: World, person: Person, name: str, /, **fields: Any
) -> tuple[str, list[str]]:
    reply = await do(world, person, name, **fields)
    (payload,) = reply.data.values()
    (error,) = payload["errors"]
    return error["code"], error["path"]


async def kinds(world: World, person: Person, since: str, **filter_: Any) -> list[str]:
    """The kinds of events that the person sees since a cursor."""
    variables: dict[str, Any] = {"filter": filter_} if filter_ else {}
    reply = await world.run(
        """query ($since: String!, $filter: EventFilter) {
          events(after: $since, filter: $filter) { nodes { kind } }
        }""",
        person,
        since=since,
        **variables,
    )
    return [node["kind"] for node in reply.good["events"]["nodes"]]


async def cursor(world: World, person: Person) -> str:
    found: str = (await world.run("{ eventCursor }", person)).good["eventCursor"]
    return found


@pytest_asyncio.fixture(scope="module")
async def owner(world: World) -> Person:
    return await world.person()


@pytest_asyncio.fixture(scope="module")
async def editor(world: World) -> Person:
    return await world.person()


@pytest_asyncio.fixture
async def project(world: World, owner: Person, editor: Person) -> models.Project:
    return await world.project(owner, editors=[editor])


async def test_a_task_has_what_it_was_made_with(
    world: World, owner: Person, editor: Person, project: models.Project
) -> None:
    made = await done(
        world,
        editor,
        "taskCreate",
        title="  Cafe\u0301  ",
        projectId=gid(project),
        assigneeId=gid(owner),
        description="# Head\r\n\tbody",
        notes="  ",
        priority="URGENT",
        due={"at": "2030-01-02T03:04:05.123456+02:00"},
        startAt="2030-01-01T00:00:00Z",
        estimate=90,
        tags=["Red", "red", "Blue"],
    )
    key = made.pop("identifier")
    assert key == f"{project.key}-1"
    assert made["title"] == "Caf\u00e9"
    assert made["description"] == "# Head\n\tbody"
    assert made["notes"] is None
    assert made["status"] == "TODO"
    assert made["priority"] == "URGENT"
    assert made["dueAt"] == "2030-01-02T01:04:05.123456Z"
    assert made["tags"] == ["Red", "Blue"]
    assert made["owner"] == {"id": gid(editor)}
    assert made["assignee"] == {"id": gid(owner)}
    assert made["version"] == 1
    assert made["viewerCanEdit"]
    assert made["viewerCanDelete"]
    found = await world.run(
        f"query ($key: ID!) {{ task(id: $key) {{ {FIELDS} }} }}", editor, key=key
    )
    assert found.good["task"] == made | {"identifier": key}


async def test_a_personal_task_is_its_owners_alone(world: World, owner: Person) -> None:
    made = await done(world, owner, "taskCreate", title="mine")
    assert (made["project"], made["number"], made["identifier"]) == (None, None, None)
    reply = await world.run(
        "query ($id: ID!) { task(id: $id) { id } }", await world.person(), id=made["id"]
    )
    assert reply.codes == ["NOT_FOUND"]


async def test_numbers_have_neither_gap_nor_twin(
    world: World, owner: Person, editor: Person, project: models.Project
) -> None:
    async def one(index: int) -> int:
        person = (owner, editor)[index % 2]
        # Every fourth fails after its number could have been taken.
        title = "x" if index % 4 else "\x00"
        reply = await do(world, person, "taskCreate", title=title, projectId=gid(project))
        task = reply.data["taskCreate"]["task"]
        return task["number"] if task else 0

    numbers = await asyncio.gather(*(one(index) for index in range(24)))
    assert sorted(number for number in numbers if number) == list(range(1, 19))


async def test_an_update_changes_what_is_given_and_clears_what_is_null(
    world: World, owner: Person, project: models.Project
) -> None:
    task = await world.task(
        owner, project_id=project.id, description="old", notes="stays", tags=("a",)
    )
    changed = await done(
        world, owner, "taskUpdate", id=gid(task), description=None, tags=["b", "A"], title="new"
    )
    assert changed["description"] is None
    assert changed["notes"] == "stays"
    assert changed["tags"] == ["b", "A"]
    assert changed["version"] == 2
    # What changes nothing is no change.
    again = await done(world, owner, "taskUpdate", id=gid(task), title=" new ")
    assert again["version"] == 2
    for name in ("title", "status", "priority", "tags"):
        code, path = await failed(world, owner, "taskUpdate", id=gid(task), **{name: None})
        assert (code, path) == ("BAD_USER_INPUT", ["input", name])


async def test_a_stale_version_conflicts_and_names_the_fields(
    world: World, owner: Person, editor: Person, project: models.Project
) -> None:
    task = await world.task(owner, "old", project_id=project.id, notes="same")
    await done(world, editor, "taskUpdate", id=gid(task), title="theirs", ifVersion=1)
    reply = await do(
        world,
        owner,
        "taskUpdate",
        id=gid(task),
        title="mine",
        notes="same",
        estimate=5,
        ifVersion=1,
    )
    payload = reply.data["taskUpdate"]
    (error,) = payload["errors"]
    assert error["code"] == "CONFLICT"
    assert error["path"] == ["input", "ifVersion"]
    assert sorted(error["conflictingFields"]) == ["estimate", "title"]
    assert error["docsUrl"].endswith("#CONFLICT")
    # The current object comes along, unchanged.
    assert payload["task"]["title"] == "theirs"
    assert payload["task"]["version"] == 2
    assert payload["task"]["estimate"] is None
    for name in ("taskDelete", "taskComplete", "taskMove", "taskAssign"):
        more = {"place": {"after": gid(await world.task(owner, project_id=project.id))}}
        given = more if name == "taskMove" else {}
        code, _ = await failed(world, owner, name, id=gid(task), ifVersion=1, **given)
        assert code == "CONFLICT", name


async def test_of_two_updates_with_one_version_one_wins(
    world: World, owner: Person, editor: Person, project: models.Project
) -> None:
    task = await world.task(owner, project_id=project.id)
    replies = await asyncio.gather(
        *(
            do(world, person, "taskUpdate", id=gid(task), title=f"by {n}", ifVersion=1)
            for n, person in enumerate([owner, editor] * 4)
        )
    )
    codes = sorted(code for reply in replies for code in reply.codes)
    assert codes == ["CONFLICT"] * 7
    winner = next(reply for reply in replies if not reply.codes).data["taskUpdate"]["task"]
    assert winner["version"] == 2


async def test_due_is_a_moment_or_a_day_in_the_zone_of_who_sets_it(world: World) -> None:
    person = await world.person(timezone="America/New_York")
    task = await world.task(person)

    async def update(**given: Any) -> tuple[Any, Any]:
        changed = await done(world, person, "taskUpdate", id=gid(task), **given)
        return changed["dueAt"], changed["dueOn"]

    assert await update(due={"on": "2030-07-04"}) == ("2030-07-05T04:00:00Z", "2030-07-04")
    assert await update(due={"at": "2030-07-04T12:00:00Z"}) == ("2030-07-04T12:00:00Z", None)
    assert await update(due={"on": "2030-01-04"}) == ("2030-01-05T05:00:00Z", "2030-01-04")
    assert await update(title="left out") == ("2030-01-05T05:00:00Z", "2030-01-04")
    assert await update(due=None) == (None, None)
    both = {"on": "2030-01-01", "at": "2030-01-01T00:00:00Z"}
    reply = await do(world, person, "taskUpdate", id=gid(task), due=both)
    assert reply.codes == ["BAD_USER_INPUT"]
    code, path = await failed(world, person, "taskUpdate", id=gid(task), due={"on": "1899-01-01"})
    assert (code, path) == ("BAD_USER_INPUT", ["input", "due", "on"])


async def test_completing_and_reopening(
    world: World, owner: Person, project: models.Project
) -> None:
    task = await world.task(
        owner, project_id=project.id, due_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    )
    since = await cursor(world, owner)
    first = await done(world, owner, "taskComplete", id=gid(task))
    assert first["status"] == "COMPLETED"
    assert first["completedAt"] is not None
    assert not first["isOverdue"]
    again = await done(world, owner, "taskComplete", id=gid(task))
    assert (again["completedAt"], again["version"]) == (first["completedAt"], first["version"])
    reopened = await done(world, owner, "taskReopen", id=gid(task))
    assert (reopened["status"], reopened["completedAt"]) == ("TODO", None)
    assert reopened["isOverdue"]
    # What is open stays as it is.
    await done(world, owner, "taskUpdate", id=gid(task), status="IN_PROGRESS")
    assert (await done(world, owner, "taskReopen", id=gid(task)))["status"] == "IN_PROGRESS"
    seen = await kinds(world, owner, since, task={"id": {"eq": gid(task)}})
    assert seen == ["TASK_COMPLETED", "TASK_REOPENED", "TASK_UPDATED"]


async def test_to_show_a_task_to_somebody_by_assigning_it_needs_the_right_to_share(
    world: World, owner: Person, editor: Person, project: models.Project
) -> None:
    outsider = await world.person()
    task = await world.task(owner, project_id=project.id)
    code, path = await failed(world, editor, "taskAssign", id=gid(task), assigneeId=gid(outsider))
    assert (code, path) == ("FORBIDDEN", ["input", "assigneeId"])
    # An editor can assign it to a user who sees it already.
    await done(world, editor, "taskAssign", id=gid(task), assigneeId=gid(owner))
    # Who owns the task, or manages the project, may show it.
    given = await done(world, owner, "taskAssign", id=gid(task), assigneeId=gid(outsider))
    assert given["assignee"] == {"id": gid(outsider)}
    own = await done(
        world, editor, "taskCreate", title="x", projectId=gid(project), assigneeId=gid(outsider)
    )
    assert own["assignee"] == {"id": gid(outsider)}
    seen = await done(world, outsider, "taskUpdate", id=gid(task), title="by the assignee")
    assert seen["project"] is None
    assert seen["viewerCanEdit"]
    assert not seen["viewerCanShare"]


async def test_who_loses_a_task_is_told_so_and_nothing_more(
    world: World, owner: Person, project: models.Project
) -> None:
    outsider = await world.person()
    task = await world.task(owner, project_id=project.id, assignee_id=outsider.id)
    since = await cursor(world, outsider)
    await done(world, owner, "taskAssign", id=gid(task), assigneeId=None)
    await done(world, owner, "taskUpdate", id=gid(task), title="not for you")
    assert await kinds(world, outsider, since) == ["ACCESS_LOST"]
    assert await kinds(world, owner, since, task={"id": {"eq": gid(task)}}) == [
        "TASK_ASSIGNED",
        "TASK_UPDATED",
    ]


async def test_an_editor_by_share_may_not_share_on(
    world: World, owner: Person, project: models.Project
) -> None:
    friend, other = await world.people(2)
    task = await world.task(owner, project_id=project.id)
    await world.share(task, friend, Permission.EDIT)
    await done(world, friend, "taskUpdate", id=gid(task), title="shared")
    code, _ = await failed(world, friend, "taskAssign", id=gid(task), assigneeId=gid(other))
    assert code == "FORBIDDEN"


async def test_a_deactivated_person_is_given_nothing(
    world: World, owner: Person, project: models.Project
) -> None:
    gone = await world.person(is_active=True)
    admin = await world.house.admin()
    reply = await world.run(
        "mutation ($input: AdminUserDeactivateInput!) "
        "{ adminUserDeactivate(input: $input) { errors { code } } }",
        admin,
        input={"id": gid(gone)},
    )
    assert reply.good
    code, path = await failed(
        world, owner, "taskCreate", title="x", projectId=gid(project), assigneeId=gid(gone)
    )
    assert (code, path) == ("BAD_USER_INPUT", ["input", "assigneeId"])


async def test_trash_and_restore_take_the_subtasks_along(
    world: World, owner: Person, project: models.Project
) -> None:
    in_project: dict[str, Any] = {"project_id": project.id}
    top = await world.task(owner, "top", **in_project)
    middle = await world.task(owner, "middle", parent_id=top.id, **in_project)
    leaf = await world.task(owner, "leaf", parent_id=middle.id, **in_project)
    gone_before = await world.task(owner, "gone before", parent_id=top.id, **in_project)
    await done(world, owner, "taskDelete", id=gid(gone_before))
    deleted = await done(world, owner, "taskDelete", id=gid(top))
    assert deleted == [gid(top), *sorted([gid(middle), gid(leaf)])]

    async def alive() -> list[str]:
        reply = await world.run(
            """query ($id: ID!) {
              project(id: $id) { tasks(orderBy: [{ number: ASC }]) { nodes { title } } }
            }""",
            owner,
            id=gid(project),
        )
        return [node["title"] for node in reply.good["project"]["tasks"]["nodes"]]

    assert await alive() == []
    for hidden in (top, middle, leaf):
        assert await failed(world, owner, "taskUpdate", id=gid(hidden), title="x") == (
            "NOT_FOUND",
            ["input", "id"],
        )
    # A part of what was deleted comes back with the whole only.
    code, _ = await failed(world, owner, "taskRestore", id=gid(leaf))
    assert code == "BAD_USER_INPUT"
    await done(world, owner, "taskRestore", id=gid(top))
    assert await alive() == ["top", "middle", "leaf"]
    code, _ = await failed(world, owner, "taskRestore", id=gid(top))
    assert code == "NOT_FOUND"


async def test_a_task_whose_parent_is_in_the_trash_is_not_restored_alone(
    world: World, owner: Person, project: models.Project
) -> None:
    """It would hang on something that nobody sees."""
    top = await world.task(owner, project_id=project.id)
    below = await world.task(owner, parent_id=top.id, project_id=project.id)
    await done(world, owner, "taskDelete", id=gid(below))
    await done(world, owner, "taskDelete", id=gid(top))
    code, _ = await failed(world, owner, "taskRestore", id=gid(below))
    assert code in {"BAD_USER_INPUT", "NOT_FOUND"}
    await done(world, owner, "taskRestore", id=gid(top))
    restored = await done(world, owner, "taskRestore", id=gid(below))
    assert restored["parent"] == {"id": gid(top)}


async def test_an_id_of_the_clients_making(
    world: World, owner: Person, project: models.Project
) -> None:
    mine = f"task_{fresh_id().hex}"
    made = await done(world, owner, "taskCreate", id=mine, title="x", projectId=gid(project))
    assert made["id"] == mine
    assert await failed(world, owner, "taskCreate", id=mine, title="y") == (
        "ALREADY_EXISTS",
        ["input", "id"],
    )
    for wrong in ("x", f"project_{fresh_id().hex}", "task_" + "0" * 32):
        code, path = await failed(world, owner, "taskCreate", id=wrong, title="y")
        assert (code, path) == ("BAD_USER_INPUT", ["input", "id"])


async def test_an_archived_project_is_read_only(
    world: World, owner: Person, editor: Person, project: models.Project
) -> None:
    task = await world.task(editor, project_id=project.id)
    reply = await world.run(
        """mutation ($id: ID!) {
          projectArchive(input: { id: $id }) { project { archivedAt } errors { code } }
        }""",
        owner,
        id=gid(project),
    )
    assert reply.good["projectArchive"]["project"]["archivedAt"] is not None
    for name, fields in (
        ("taskCreate", {"title": "x", "projectId": gid(project)}),
        ("taskCreate", {"title": "x", "parentId": gid(task)}),
        ("taskUpdate", {"id": gid(task), "title": "x"}),
        ("taskComplete", {"id": gid(task)}),
        ("taskDelete", {"id": gid(task)}),
        ("taskMove", {"id": gid(task), "projectId": None}),
    ):
        for person in (owner, editor):
            code, _ = await failed(world, person, name, **fields)
            assert code in {"PROJECT_ARCHIVED", "FORBIDDEN"}, (name, code)
    seen = await world.run(
        "query ($id: ID!) { task(id: $id) { title viewerCanEdit viewerCanDelete } }",
        editor,
        id=gid(task),
    )
    assert seen.good["task"] == {
        "title": "A task",
        "viewerCanEdit": False,
        "viewerCanDelete": False,
    }


async def test_several_mutations_are_a_transaction_each(
    world: World, owner: Person, project: models.Project
) -> None:
    reply = await world.run(
        """mutation ($id: ID!) {
          first: taskCreate(input: { title: "first", projectId: $id }) {
            task { project { tasks { totalCount } } } errors { code }
          }
          second: taskCreate(input: { title: "", projectId: $id }) { task { id } errors { path } }
          third: taskCreate(input: { title: "third", projectId: $id }) {
            task { number project { tasks { totalCount } } } errors { code }
          }
        }""",
        owner,
        id=gid(project),
    )
    assert reply.data["first"]["task"]["project"]["tasks"]["totalCount"] == 1
    assert reply.data["second"] == {"task": None, "errors": [{"path": ["input", "title"]}]}
    third = reply.data["third"]["task"]
    assert third["number"] == 2
    assert third["project"]["tasks"]["totalCount"] == 2
