"""No user gains a right by structure: by parents, moves, deletions, restores, joining and leaving.

What users may do is read from the API, as clients read it. The expectation is written down for
each case, from the table of rights.
"""

from __future__ import annotations

from typing import Any

import pytest_asyncio

from db import models
from db.models import Permission, Role
from tests.accounts import PASSWORD, Person
from tests.factories import World, gid

NOTHING = ""
TASK = """
query ($id: ID!) {
  task(id: $id) { viewerCanEdit viewerCanDelete viewerCanShare }
}
"""
UPDATE = (
    "mutation ($input: TaskUpdateInput!) { taskUpdate(input: $input) { errors { code path } } }"
)
MOVE = "mutation ($input: TaskMoveInput!) { taskMove(input: $input) { errors { code path } } }"
DELETE = """
mutation ($input: TaskDeleteInput!) { taskDelete(input: $input) { errors { code message } } }
"""
BULK_DELETE = """
mutation ($input: TaskBulkDeleteInput!) {
  taskBulkDelete(input: $input) { doneCount errors { code path message } }
}
"""
BULK_UPDATE = """
mutation ($input: TaskBulkUpdateInput!) {
  taskBulkUpdate(input: $input) { doneCount errors { code path } }
}
"""
BULK_CREATE = """
mutation ($input: TaskBulkCreateInput!) {
  taskBulkCreate(input: $input) { results { task { owner { id } } errors { code } } }
}
"""
RESTORE = """
mutation ($input: TaskRestoreInput!) { taskRestore(input: $input) { errors { code } } }
"""
CREATE = """
mutation ($input: TaskCreateInput!) {
  taskCreate(input: $input) { task { id owner { id } } errors { code path } }
}
"""
SHARE = """
mutation ($input: TaskShareCreateInput!) {
  taskShareCreate(input: $input) { errors { code path } }
}
"""
REMOVE = """
mutation ($input: ProjectMemberRemoveInput!) {
  projectMemberRemove(input: $input) { errors { code } }
}
"""
ARCHIVE = "mutation ($id: ID!) { projectArchive(input: {id: $id}) { errors { code } } }"


async def may(world: World, person: Person, task: models.Task) -> str:
    """What a user may do with a task: some of `see edit delete share`."""
    found = (await world.run(TASK, person, id=gid(task))).data["task"]
    if found is None:
        return NOTHING
    rights = [name for name in ("Edit", "Delete", "Share") if found[f"viewerCan{name}"]]
    return " ".join(["see", *(name.lower() for name in rights)])


async def do(world: World, person: Person, mutation: str, /, **fields: Any) -> Any:
    """The payload of a mutation."""
    reply = await world.run(mutation, person, input=fields)
    assert reply.errors == []
    (payload,) = reply.data.values()
    return payload


async def codes(world: World, person: Person, mutation: str, /, **fields: Any) -> list[str]:
    """The codes of a mutation's errors."""
    return [error["code"] for error in (await do(world, person, mutation, **fields))["errors"]]


async def remove(world: World, owner: Person, project: models.Project, person: Person) -> None:
    """Remove a user from a project."""
    query = "query ($id: ID!) { project(id: $id) { members { nodes { id user { id } } } } }"
    nodes = (await world.run(query, owner, id=gid(project))).good["project"]["members"]["nodes"]
    (member,) = [node["id"] for node in nodes if node["user"]["id"] == gid(person)]
    assert await codes(world, owner, REMOVE, id=member) == []


@pytest_asyncio.fixture
async def cast(world: World) -> tuple[Person, Person, Person, Person, models.Project]:
    """The owner, editor and viewer of a project, a stranger, and the project."""
    owner, editor, viewer, stranger = await world.people(4)
    project = await world.project(owner, editors=[editor], viewers=[viewer])
    return owner, editor, viewer, stranger, project


Cast = tuple[Person, Person, Person, Person, models.Project]


async def test_the_rights_on_a_task_in_a_project(world: World, cast: Cast) -> None:
    owner, editor, viewer, stranger, project = cast
    task = await world.task(editor, project_id=project.id)
    assert await may(world, owner, task) == "see edit delete share"
    assert await may(world, editor, task) == "see edit delete share"
    assert await may(world, viewer, task) == "see"
    assert await may(world, stranger, task) == NOTHING
    await world.share(task, stranger, Permission.EDIT)
    assert await may(world, stranger, task) == "see edit"
    # An owner who is a viewer may delete and share, but not edit.
    async with world.database.session() as session, session.begin():
        member = await session.get_one(
            models.ProjectMember, await _membership(world, project, editor)
        )
        member.role = Role.VIEWER
    assert await may(world, editor, task) == "see delete share"


async def _membership(world: World, project: models.Project, person: Person) -> Any:
    from sqlalchemy import select

    async with world.database.session() as session:
        return await session.scalar(
            select(models.ProjectMember.id).where(
                models.ProjectMember.project_id == project.id,
                models.ProjectMember.user_id == person.id,
            )
        )


async def test_owning_the_parent_grants_no_right_to_delete_or_share(
    world: World, cast: Cast
) -> None:
    owner, editor, _, stranger, project = cast
    task = await world.task(owner, project_id=project.id)
    umbrella = await world.task(editor, project_id=project.id)
    # All users who would see it can see it already, so it may be nested.
    assert await codes(world, editor, UPDATE, id=gid(task), parentId=gid(umbrella)) == []
    assert await may(world, editor, task) == "see edit"
    assert await codes(world, editor, DELETE, id=gid(task)) == ["FORBIDDEN"]
    assert await codes(world, editor, SHARE, taskId=gid(task), userId=gid(stranger)) == [
        "FORBIDDEN"
    ]
    # Nor does sharing the parent share it.
    assert await codes(world, editor, SHARE, taskId=gid(umbrella), userId=gid(stranger)) == [
        "FORBIDDEN"
    ]
    assert await may(world, stranger, task) == NOTHING
    await remove(world, owner, project, editor)
    assert await may(world, editor, task) == NOTHING
    assert await may(world, editor, umbrella) == NOTHING


async def test_nesting_cannot_show_a_task_to_others(world: World, cast: Cast) -> None:
    owner, editor, viewer, stranger, project = cast
    task = await world.task(owner, project_id=project.id)
    below = await world.task(owner, project_id=project.id, parent_id=task.id)
    shared = await world.task(editor, project_id=project.id)
    await world.share(shared, stranger)
    move = {"id": gid(task), "parentId": gid(shared)}
    assert await codes(world, editor, UPDATE, **move) == ["FORBIDDEN"]
    assert await may(world, stranger, below) == NOTHING
    # Editing is a right too.
    given = await world.task(editor, project_id=project.id, assignee_id=viewer.id)
    assert await codes(world, editor, UPDATE, id=gid(task), parentId=gid(given)) == ["FORBIDDEN"]
    # The owner may share it, and so may put it there.
    assert await codes(world, owner, UPDATE, **move) == []
    assert await may(world, stranger, below) == "see"


async def test_a_personal_task_stays_below_tasks_of_its_owner(world: World) -> None:
    owner, helper, stranger = await world.people(3)
    task = await world.task(owner)
    await world.share(task, helper, Permission.EDIT)
    mine = await world.task(helper)
    assert await codes(world, helper, UPDATE, id=gid(task), parentId=gid(mine)) == ["FORBIDDEN"]
    made = await do(world, helper, CREATE, title="by the helper", parentId=gid(task))
    assert made["task"]["owner"]["id"] == gid(owner)
    bulk = await do(
        world, helper, BULK_CREATE, items=[{"title": "by the helper", "parentId": gid(task)}]
    )
    assert bulk["results"][0]["task"]["owner"]["id"] == gid(owner)
    # A user who may not share it may not assign it to a user who cannot see it.
    new = {"title": "t", "parentId": gid(task), "assigneeId": gid(stranger)}
    assert await codes(world, helper, CREATE, **new) == ["FORBIDDEN"]
    bulk = await do(world, helper, BULK_CREATE, items=[new])
    assert [error["code"] for error in bulk["results"][0]["errors"]] == ["FORBIDDEN"]
    assert await codes(world, owner, CREATE, **new) == []


async def test_a_move_requires_an_editor_of_both_projects(world: World, cast: Cast) -> None:
    owner, editor, viewer, stranger, project = cast
    elsewhere = await world.project(stranger, editors=[editor])
    task = await world.task(owner, project_id=project.id, assignee_id=stranger.id)
    await world.share(task, stranger, Permission.EDIT)
    there = {"id": gid(task), "projectId": gid(elsewhere)}
    # Assignee with a share to edit, but not a member of its project.
    assert await codes(world, stranger, MOVE, **there) == ["FORBIDDEN"]
    assert await codes(world, stranger, MOVE, id=gid(task), projectId=None) == ["FORBIDDEN"]
    # Owner of its project, without access to the target project.
    assert await codes(world, owner, MOVE, **there) == ["NOT_FOUND"]
    assert await may(world, viewer, task) == "see"
    assert await codes(world, editor, MOVE, **there) == []
    assert await may(world, viewer, task) == NOTHING
    assert await may(world, owner, task) == NOTHING
    assert await may(world, stranger, task) == "see edit delete share"


async def test_the_owner_moves_a_personal_task(world: World) -> None:
    owner, helper = await world.people(2)
    task = await world.task(owner)
    await world.share(task, helper, Permission.EDIT)
    project = await world.project(helper, editors=[owner])
    there = {"id": gid(task), "projectId": gid(project)}
    assert await codes(world, helper, MOVE, **there) == ["FORBIDDEN"]
    assert await codes(world, owner, MOVE, **there) == []
    assert await may(world, helper, task) == "see edit delete share"


async def test_subtasks_of_others_do_not_become_personal(world: World, cast: Cast) -> None:
    owner, editor, _, _, project = cast
    top = await world.task(editor, project_id=project.id)
    below = await world.task(owner, project_id=project.id, parent_id=top.id)
    out = {"id": gid(top), "projectId": None}
    assert await codes(world, editor, MOVE, **out) == ["FORBIDDEN"]
    assert await codes(world, editor, DELETE, id=gid(top)) == ["FORBIDDEN"]
    assert await codes(world, owner, UPDATE, id=gid(below), parentId=None) == []
    assert await codes(world, editor, MOVE, **out) == []
    assert await may(world, owner, top) == NOTHING


async def test_subtasks_of_others_in_the_trash_do_not_become_personal(
    world: World, cast: Cast
) -> None:
    owner, editor, _, _, project = cast
    own = await world.task(editor, project_id=project.id)
    foreign = await world.task(owner, project_id=project.id, parent_id=own.id)
    assert await codes(world, owner, DELETE, id=gid(foreign)) == []

    assert await codes(world, editor, MOVE, id=gid(own), projectId=None) == ["FORBIDDEN"]
    assert await codes(world, editor, RESTORE, id=gid(foreign)) == ["NOT_FOUND"]
    assert await codes(world, owner, RESTORE, id=gid(foreign)) == []


async def test_subtasks_of_others_prevent_a_deletion_or_move_up(world: World, cast: Cast) -> None:
    owner, editor, _, _, project = cast
    top = await world.task(editor, project_id=project.id)
    middle = await world.task(editor, project_id=project.id, parent_id=top.id)
    leaf = await world.task(owner, project_id=project.id, parent_id=middle.id)
    (error,) = (await do(world, editor, DELETE, id=gid(top)))["errors"]
    assert (error["code"], "1 subtask" in error["message"]) == ("FORBIDDEN", True)
    bulk = await do(world, editor, BULK_DELETE, items=[{"id": gid(top)}, {"id": gid(middle)}])
    assert [error["code"] for error in bulk["errors"]] == ["FORBIDDEN"] * 2
    up = {"subtasks": "MOVE_UP"}
    assert await codes(world, editor, DELETE, id=gid(middle), **up) == []
    assert await _parent(world, owner, leaf) == gid(top)
    bulk = await do(world, editor, BULK_DELETE, items=[{"id": gid(top), **up}])
    assert (bulk["doneCount"], bulk["errors"]) == (1, [])
    assert await _parent(world, owner, leaf) is None
    assert await may(world, owner, leaf) == "see edit delete share"


async def _parent(world: World, person: Person, task: models.Task) -> str | None:
    query = "query ($id: ID!) { task(id: $id) { parent { id } } }"
    parent = (await world.run(query, person, id=gid(task))).good["task"]["parent"]
    return None if parent is None else parent["id"]


async def test_several_levels_move_up_together(world: World) -> None:
    ada = await world.person()
    top = await world.task(ada)
    middle = await world.task(ada, parent_id=top.id)
    leaf = await world.task(ada, parent_id=middle.id)
    side = await world.task(ada, parent_id=top.id)
    up = {"subtasks": "MOVE_UP"}
    items = [{"id": gid(top), **up}, {"id": gid(middle), **up}]
    assert (await do(world, ada, BULK_DELETE, items=items))["doneCount"] == 2
    assert [await _parent(world, ada, task) for task in (leaf, side)] == [None, None]
    # A task with subtasks can again have two levels below it.
    new = await do(world, ada, CREATE, title="t", parentId=gid(leaf))
    assert new["errors"] == []


async def test_a_task_below_a_subtask_that_moves_up_can_be_deleted(world: World) -> None:
    ada = await world.person()
    project = await world.project(ada)
    top = await world.task(ada, project_id=project.id)
    middle = await world.task(ada, project_id=project.id, parent_id=top.id)
    lowest = await world.task(ada, project_id=project.id, parent_id=middle.id)
    items = [{"id": gid(top), "subtasks": "MOVE_UP"}, {"id": gid(lowest)}]

    assert (await do(world, ada, BULK_DELETE, items=items))["doneCount"] == 2
    assert [await may(world, ada, one) for one in (top, middle, lowest)] == [
        NOTHING,
        "see edit delete share",
        NOTHING,
    ]
    for deleted in (top, lowest):
        assert await codes(world, ada, RESTORE, id=gid(deleted)) == []
        assert await may(world, ada, deleted) != NOTHING


async def test_a_restore_grants_no_new_right(world: World, cast: Cast) -> None:
    owner, editor, _, _, project = cast
    task = await world.task(owner, project_id=project.id, assignee_id=editor.id)
    own = await world.task(editor, project_id=project.id)
    for one in (task, own):
        assert await codes(world, owner, DELETE, id=gid(one)) == []
    await remove(world, owner, project, editor)
    assert await codes(world, editor, RESTORE, id=gid(own)) == ["NOT_FOUND"]
    for one in (task, own):
        assert await codes(world, owner, RESTORE, id=gid(one)) == []
        assert await may(world, editor, one) == NOTHING


async def test_a_restore_requires_the_right_to_delete_everything(world: World, cast: Cast) -> None:
    owner, editor, _, _, project = cast
    top = await world.task(editor, project_id=project.id)
    await world.task(owner, project_id=project.id, parent_id=top.id)
    assert await codes(world, owner, DELETE, id=gid(top)) == []
    assert await codes(world, editor, RESTORE, id=gid(top)) == ["FORBIDDEN"]
    assert await codes(world, owner, RESTORE, id=gid(top)) == []


async def test_an_assignment_requires_the_right_to_share(world: World, cast: Cast) -> None:
    owner, editor, viewer, stranger, project = cast
    top = await world.task(editor, project_id=project.id)
    below = await world.task(owner, project_id=project.id, parent_id=top.id)
    assign = {"id": gid(top), "assigneeId": gid(stranger)}
    assert await codes(world, editor, UPDATE, **assign) == ["FORBIDDEN"]
    bulk = await do(world, editor, BULK_UPDATE, items=[assign])
    assert [error["code"] for error in bulk["errors"]] == ["FORBIDDEN"]
    assert await may(world, stranger, below) == NOTHING
    # A member sees both, so every editor of the task may assign it to them.
    assert await codes(world, editor, UPDATE, id=gid(top), assigneeId=gid(viewer)) == []
    assert await may(world, viewer, below) == "see edit"
    assert await codes(world, owner, UPDATE, **assign) == []
    assert await may(world, stranger, below) == "see edit"


async def test_an_archived_project_gives_the_same_code_everywhere(world: World, cast: Cast) -> None:
    owner, _, viewer, stranger, project = cast
    task = await world.task(owner, project_id=project.id)
    spare = await world.task(owner, project_id=project.id)
    share = await world.share(task, stranger)
    gone = await world.task(owner, project_id=project.id)
    assert await codes(world, owner, DELETE, id=gid(gone)) == []
    (await world.run(ARCHIVE, owner, id=gid(project))).good["projectArchive"]
    id_ = {"id": gid(task)}
    tries: list[tuple[str, dict[str, Any]]] = [
        (UPDATE, {**id_, "title": "x"}),
        (UPDATE, {**id_, "parentId": gid(spare)}),
        (DELETE, id_),
        (RESTORE, {"id": gid(gone)}),
        (MOVE, {**id_, "place": {"before": gid(spare)}}),
        (MOVE, {**id_, "projectId": None}),
        (CREATE, {"title": "x", "projectId": gid(project)}),
        (CREATE, {"title": "x", "parentId": gid(task)}),
        (SHARE, {"taskId": gid(task), "userId": gid(viewer)}),
        (BULK_UPDATE, {"items": [{**id_, "title": "x"}]}),
        (BULK_DELETE, {"items": [id_]}),
    ]
    for document, fields in tries:
        assert await codes(world, owner, document, **fields) == ["PROJECT_ARCHIVED"], (
            document,
            fields,
        )
    # A user who could not do it anyway gets that error instead.
    assert await codes(world, viewer, UPDATE, **id_, title="x") == ["FORBIDDEN"]
    shown = """
    query ($id: ID!) { project(id: $id) { viewerCanEdit viewerCanDelete viewerCanManageMembers } }
    """
    project_flags = (await world.run(shown, owner, id=gid(project))).good["project"]
    assert project_flags == {
        "viewerCanEdit": False,
        "viewerCanDelete": True,
        "viewerCanManageMembers": False,
    }
    assert await may(world, owner, task) == "see"
    # A recipient can give up a share.
    give_back = """
    mutation ($input: TaskShareDeleteInput!) { taskShareDelete(input: $input) { errors { code } } }
    """
    assert await codes(world, owner, give_back, id=gid(share)) == ["PROJECT_ARCHIVED"]
    assert await codes(world, stranger, give_back, id=gid(share)) == []
    again = "mutation ($id: ID!) { projectUnarchive(input: {id: $id}) { errors { code } } }"
    assert (await world.run(again, owner, id=gid(project))).good["projectUnarchive"]["errors"] == []


async def test_the_recipient_of_an_expired_share_sees_it_but_cannot_change_it(world: World) -> None:
    import datetime as dt

    owner, holder = await world.people(2)
    task = await world.task(owner)
    past = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
    share = await world.share(task, holder, expires_at=past)
    node = "query ($id: ID!) { node(id: $id) { id } }"
    assert (await world.run(node, holder, id=gid(share))).good["node"] == {"id": gid(share)}
    update = """
    mutation ($input: TaskShareUpdateInput!) { taskShareUpdate(input: $input) { errors { code } } }
    """
    change = {"id": gid(share), "permission": "EDIT"}
    assert await codes(world, holder, update, **change) == ["FORBIDDEN"]
    assert await may(world, holder, task) == NOTHING


USER_DELETE = """
mutation ($input: AccountDeleteInput!) {
  accountDelete(input: $input) { deletedId tasksLostByOthers errors { code path } }
}
"""


async def test_deleting_an_account_with_personal_tasks_requires_confirmation(world: World) -> None:
    owner, helper, watcher = await world.people(3)
    top = await world.task(owner)
    await world.share(top, helper, Permission.EDIT)
    made = await do(world, helper, CREATE, title="by the helper", parentId=gid(top))
    below = made["task"]["id"]
    leaf = await world.task(owner, parent_id=top.id)
    await world.share(leaf, watcher)
    await world.task(owner, "nobody else's")
    tried = await do(world, owner, USER_DELETE, password=PASSWORD)
    assert tried == {"deletedId": None, "tasksLostByOthers": 3, "errors": []}
    assert await may(world, helper, top) == "see edit"
    done = await do(world, owner, USER_DELETE, password=PASSWORD, confirm=True)
    assert (done["deletedId"], done["tasksLostByOthers"]) == (gid(owner), 3)
    see = "query ($id: ID!) { node(id: $id) { id } }"
    for person, id_ in ((helper, gid(top)), (helper, below), (watcher, gid(leaf))):
        assert (await world.run(see, person, id=id_)).data["node"] is None


async def test_deleting_an_account_hands_over_shared_tasks(world: World) -> None:
    owner, heir, stranger = await world.people(3)
    hidden = await world.task(owner)
    middle = await world.task(owner, parent_id=hidden.id)
    leaf = await world.task(owner, parent_id=middle.id)
    await world.share(middle, heir)
    give = {"password": PASSWORD, "confirm": True}
    refused = await do(world, owner, USER_DELETE, **give, transferToId=gid(stranger))
    assert [(e["code"], e["path"]) for e in refused["errors"]] == [
        ("BAD_USER_INPUT", ["input", "transferToId"])
    ]
    done = await do(world, owner, USER_DELETE, **give, transferToId=gid(heir))
    assert (done["tasksLostByOthers"], done["errors"]) == (0, [])
    assert await may(world, heir, middle) == "see edit delete share"
    assert await may(world, heir, leaf) == "see edit delete share"
    assert await _parent(world, heir, leaf) == gid(middle)
    assert await _parent(world, heir, middle) is None
    assert await may(world, heir, hidden) == NOTHING
