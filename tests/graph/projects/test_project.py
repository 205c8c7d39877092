"""Projects, their members, and what becomes of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest_asyncio
from sqlalchemy import func, select

from db import models
from db.models import Role
from tests.accounts import Person
from tests.factories import Reply, World, fresh_id, gid, new_key

PROJECT = "project { id name key description color archivedAt version viewerRole owner { id } }"
MEMBER = "projectMember { id role user { id } version }"
ERRORS = "replayed errors { code path message conflictingFields }"


async def do(world: World, person: Person, name: str, /, **fields: Any) -> Reply:
    kind = name[0].upper() + name[1:]
    result = PROJECT
    if name in {"projectMemberAdd", "projectMemberUpdate"}:
        result = MEMBER
    if name == "projectDelete":
        result = "deletedId"
    query = f"mutation ($input: {kind}Input!) {{ {name}(input: $input) {{ {result} {ERRORS} }} }}"
    return await world.run(query, person, input=fields)


async def done(world: World, person: Person, name: str, /, **fields: Any) -> Any:
    payload = (await do(world, person, name, **fields)).good[name]
    return payload.get("project") or payload.get("projectMember") or payload.get("deletedId")


async def failed(
    world: World, person: Person, name: str, /, **fields: Any
) -> tuple[str, list[str]]:
    reply = await do(world, person, name, **fields)
    assert not reply.errors, reply.errors
    (error,) = reply.user_errors
    return error["code"], error["path"][1:]


async def members(world: World, person: Person, project: models.Project) -> dict[str, str]:
    """Roles by user id."""
    reply = await world.run(
        "query ($id: ID!) { project(id: $id) { members { nodes { role user { id } } } } }",
        person,
        id=gid(project),
    )
    nodes = reply.good["project"]["members"]["nodes"]
    return {node["user"]["id"]: node["role"] for node in nodes}


async def membership(world: World, project: models.Project, person: Person) -> str:
    async with world.database.session() as session:
        found = await session.scalar(
            select(models.ProjectMember).where(
                models.ProjectMember.project_id == project.id,
                models.ProjectMember.user_id == person.id,
            )
        )
    assert found is not None
    return gid(found)


async def changes(world: World, person: Person, since: str) -> list[str]:
    reply = await world.run(
        "query ($since: String!) { events(after: $since) { nodes { kind } } }",
        person,
        since=since,
    )
    return [node["kind"] for node in reply.good["events"]["nodes"]]


async def cursor(world: World, person: Person) -> str:
    found: str = (await world.run("{ eventCursor }", person)).good["eventCursor"]
    return found


@pytest_asyncio.fixture(scope="module")
async def owner(world: World) -> Person:
    return await world.person()


async def test_who_makes_a_project_owns_it(world: World, owner: Person) -> None:
    made = await done(
        world, owner, "projectCreate", name=" Web  site ", description=" x ", color="#ABCDEF"
    )
    assert made["name"] == "Web  site"
    assert (made["description"], made["color"]) == ("x", "#abcdef")
    assert made["viewerRole"] == "OWNER"
    assert made["owner"] == {"id": gid(owner)}
    assert made["version"] == 1


async def test_keys_come_from_the_name_and_are_never_twice(world: World, owner: Person) -> None:
    mark = "".join(chr(ord("A") + byte % 26) for byte in fresh_id().bytes[-4:])
    made = [await done(world, owner, "projectCreate", name=f"{mark} ") for _ in range(3)]
    keys = [project["key"] for project in made]
    assert len(set(keys)) == 3
    assert all(key.startswith(mark) for key in keys)
    for name in ("\u65e5\u672c\u8a9e", "1", "!!!", "\u00c9t\u00e9 \u00e0 Paris"):
        key = (await done(world, owner, "projectCreate", name=name))["key"]
        assert 2 <= len(key) <= 10
        assert key.isalnum()
        assert key.isascii()
        assert key[0].isalpha()


async def test_one_key_asked_for_by_many_at_once(world: World, owner: Person) -> None:
    key = new_key()
    replies = await asyncio.gather(
        *(do(world, owner, "projectCreate", name="x", key=key) for _ in range(6))
    )
    codes = [code for reply in replies for code in reply.codes]
    assert codes == ["ALREADY_EXISTS"] * 5
    assert all(
        error["path"] == ["input", "key"] for reply in replies for error in reply.user_errors
    )


async def test_names_that_make_one_key_at_once(world: World, owner: Person) -> None:
    """The key is made by us, so a race for it is ours to settle and not the client's error."""
    mark = "".join(chr(ord("A") + byte % 26) for byte in fresh_id().bytes[-4:])
    replies = await asyncio.gather(
        *(do(world, owner, "projectCreate", name=mark) for _ in range(6))
    )
    keys = {reply.good["projectCreate"]["project"]["key"] for reply in replies}
    assert len(keys) == 6


async def test_bad_keys_names_and_colours(world: World, owner: Person) -> None:
    for fields, path in (
        ({"name": ""}, "name"),
        ({"name": " \n "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\x07b"}, "name"),
        ({"name": "x", "description": "y" * 5_001}, "description"),
        ({"name": "x", "color": "red"}, "color"),
        ({"name": "x", "key": "A"}, "key"),
        ({"name": "x", "key": "abc"}, "key"),
        ({"name": "x", "key": "1AB"}, "key"),
        ({"name": "x", "key": "ABCDEFGHIJK"}, "key"),
        ({"name": "x", "id": "project_1"}, "id"),
        ({"name": "x", "id": gid(owner)}, "id"),
    ):
        assert await failed(world, owner, "projectCreate", **fields) == ("BAD_USER_INPUT", [path])


async def test_updates_versions_and_keys(world: World, owner: Person) -> None:
    project = await world.project(owner, name="old", description="stays")
    changed = await done(world, owner, "projectUpdate", id=gid(project), name="new", ifVersion=1)
    assert (changed["name"], changed["description"], changed["version"]) == ("new", "stays", 2)
    reply = await do(
        world, owner, "projectUpdate", id=gid(project), name="mine", color="#000000", ifVersion=1
    )
    payload = reply.data["projectUpdate"]
    assert payload["errors"][0]["code"] == "CONFLICT"
    assert sorted(payload["errors"][0]["conflictingFields"]) == ["color", "name"]
    assert payload["project"]["name"] == "new"
    taken = (await world.project(owner)).key
    assert await failed(world, owner, "projectUpdate", id=gid(project), key=taken) == (
        "ALREADY_EXISTS",
        ["key"],
    )
    # Tasks follow the key.
    task = await world.task(owner, project_id=project.id)
    key = new_key()
    await done(world, owner, "projectUpdate", id=gid(project), key=key)
    found = await world.run("query ($key: ID!) { task(id: $key) { id } }", owner, key=f"{key}-1")
    assert found.good["task"]["id"] == gid(task)


async def test_members_come_change_and_go(world: World, owner: Person) -> None:
    person = await world.person()
    project = await world.project(owner)
    task = await world.task(owner, project_id=project.id)
    see = "query ($id: ID!) { task(id: $id) { viewerCanEdit } }"
    assert (await world.run(see, person, id=gid(task))).codes == ["NOT_FOUND"]

    member = await done(
        world,
        owner,
        "projectMemberAdd",
        projectId=gid(project),
        userId=f"@{person.username.upper()}",
        role="VIEWER",
    )
    assert (await world.run(see, person, id=gid(task))).good["task"] == {"viewerCanEdit": False}
    assert await failed(
        world, owner, "projectMemberAdd", projectId=gid(project), userId=gid(person), role="EDITOR"
    ) == ("ALREADY_EXISTS", ["userId"])

    await done(world, owner, "projectMemberUpdate", id=member["id"], role="EDITOR")
    assert (await world.run(see, person, id=gid(task))).good["task"] == {"viewerCanEdit": True}
    assert await failed(
        world, owner, "projectMemberUpdate", id=member["id"], role="VIEWER", ifVersion=1
    ) == ("CONFLICT", ["ifVersion"])

    await do(world, owner, "projectMemberRemove", id=member["id"])
    assert (await world.run(see, person, id=gid(task))).codes == ["NOT_FOUND"]
    assert await members(world, owner, project) == {gid(owner): "OWNER"}


async def test_who_is_removed_loses_assignments_and_is_told(world: World, owner: Person) -> None:
    person = await world.person()
    project = await world.project(owner, editors=[person])
    task = await world.task(owner, project_id=project.id, assignee_id=person.id)
    own = await world.task(person, project_id=project.id)
    since = await cursor(world, person)
    await do(world, owner, "projectMemberRemove", id=await membership(world, project, person))
    told = await changes(world, person, since)
    assert "ACCESS_LOST" in told
    assert "PROJECT_MEMBER_REMOVED" not in told
    seen = await world.run(
        "query ($a: ID!, $b: ID!) { a: task(id: $a) { id } b: task(id: $b) { id } }",
        person,
        a=gid(task),
        b=gid(own),
    )
    # Ownership counts while one is a member.
    assert seen.data == {"a": None, "b": None}
    reply = await world.run(
        "query ($id: ID!) { task(id: $id) { assignee { id } } }", owner, id=gid(task)
    )
    assert reply.good["task"]["assignee"] is None
    assert {"PROJECT_MEMBER_REMOVED", "TASK_ASSIGNED"} <= set(await changes(world, owner, since))


async def test_everybody_may_leave_but_the_owner(world: World, owner: Person) -> None:
    viewer = await world.person()
    project = await world.project(owner, viewers=[viewer])
    own = await membership(world, project, viewer)
    reply = await do(world, viewer, "projectMemberRemove", id=own)
    assert reply.good["projectMemberRemove"]["project"] is None
    assert await members(world, owner, project) == {gid(owner): "OWNER"}
    code, _ = await failed(
        world, owner, "projectMemberRemove", id=await membership(world, project, owner)
    )
    assert code == "FORBIDDEN"


async def test_an_admin_manages_members_but_not_the_owner(world: World, owner: Person) -> None:
    admin, other = await world.people(2)
    project = await world.project(owner, admins=[admin], viewers=[other])
    owners = await membership(world, project, owner)
    for name, fields in (
        ("projectMemberUpdate", {"id": owners, "role": "VIEWER"}),
        ("projectMemberRemove", {"id": owners}),
        ("projectTransfer", {"id": gid(project), "userId": gid(admin)}),
        ("projectDelete", {"id": gid(project)}),
    ):
        assert (await failed(world, admin, name, **fields))[0] == "FORBIDDEN", name
    theirs = await membership(world, project, other)
    await done(world, admin, "projectMemberUpdate", id=theirs, role="ADMIN")
    for fields in (
        {"id": theirs, "role": "OWNER"},
        {"projectId": gid(project), "userId": gid(await world.person()), "role": "OWNER"},
    ):
        name = "projectMemberAdd" if "userId" in fields else "projectMemberUpdate"
        assert await failed(world, admin, name, **fields) == ("BAD_USER_INPUT", ["role"])


async def test_members_are_named_by_id_or_by_username(world: World, owner: Person) -> None:
    person = await world.person()
    project = await world.project(owner)
    common = {"projectId": gid(project), "role": "VIEWER"}
    for fields, expected in (
        ({"userId": person.username}, ("BAD_USER_INPUT", ["userId"])),
        ({"userId": "@nobody-of-this-name"}, ("NOT_FOUND", ["userId"])),
        ({"userId": "@a\x00b"}, ("BAD_USER_INPUT", ["userId"])),
        ({"userId": f"user_{fresh_id().hex}"}, ("NOT_FOUND", ["userId"])),
        ({"userId": gid(project)}, ("BAD_USER_INPUT", ["userId"])),
    ):
        assert await failed(world, owner, "projectMemberAdd", **common, **fields) == expected


async def test_one_person_added_by_many_at_once(world: World, owner: Person) -> None:
    person = await world.person()
    project = await world.project(owner)
    replies = await asyncio.gather(
        *(
            do(
                world,
                owner,
                "projectMemberAdd",
                projectId=gid(project),
                userId=gid(person),
                role="EDITOR",
            )
            for _ in range(5)
        )
    )
    assert [code for reply in replies for code in reply.codes] == ["ALREADY_EXISTS"] * 4


async def test_transfer_leaves_one_owner_at_all_times(world: World, owner: Person) -> None:
    heirs = await world.people(3)
    project = await world.project(owner, editors=heirs)
    replies = await asyncio.gather(
        *(do(world, owner, "projectTransfer", id=gid(project), userId=gid(heir)) for heir in heirs)
    )
    # The second one is no longer the owner.
    assert sorted(code for reply in replies for code in reply.codes) == ["FORBIDDEN"] * 2
    async with world.database.session() as session:
        owners = await session.scalar(
            select(func.count())
            .select_from(models.ProjectMember)
            .where(
                models.ProjectMember.project_id == project.id,
                models.ProjectMember.role == Role.OWNER,
            )
        )
    assert owners == 1
    roles = await members(world, owner, project)
    assert roles[gid(owner)] == "ADMIN"
    heir = next(heir for heir in heirs if roles[gid(heir)] == "OWNER")
    stranger = await world.person()
    for to in (stranger, heir):
        assert await failed(world, heir, "projectTransfer", id=gid(project), userId=gid(to)) == (
            "BAD_USER_INPUT",
            ["userId"],
        )


async def test_trash_and_restore(world: World, owner: Person) -> None:
    editor = await world.person()
    project = await world.project(owner, editors=[editor])
    kept, gone = await world.tasks(editor, ["kept", "gone"], project_id=project.id)
    for task, query in ((gone, "taskDelete"),):
        reply = await world.run(
            f"mutation ($id: ID!) {{ {query}(input: {{ id: $id }}) {{ errors {{ code }} }} }}",
            editor,
            id=gid(task),
        )
        assert reply.good
    await done(world, owner, "projectDelete", id=gid(project))

    see = "query ($p: ID!, $t: ID!) { project(id: $p) { id } task(id: $t) { id } }"
    for person in (owner, editor):
        reply = await world.run(see, person, p=gid(project), t=gid(kept))
        assert reply.codes == ["NOT_FOUND", "NOT_FOUND"]
    # Nothing comes back by itself into a project in the trash.
    for task in (kept, gone):
        reply = await world.run(
            "mutation ($id: ID!) { taskRestore(input: { id: $id }) { errors { code } } }",
            editor,
            id=gid(task),
        )
        assert reply.codes[0] in {"BAD_USER_INPUT", "NOT_FOUND"}
    code, _ = await failed(world, editor, "projectRestore", id=gid(project))
    assert code == "NOT_FOUND"

    restored = await done(world, owner, "projectRestore", id=gid(project))
    assert restored["id"] == gid(project)
    reply = await world.run(
        "query ($id: ID!) { project(id: $id) { tasks { nodes { title } } } }",
        editor,
        id=gid(project),
    )
    assert reply.good["project"]["tasks"]["nodes"] == [{"title": "kept"}]
    code, _ = await failed(world, owner, "projectRestore", id=gid(project))
    assert code == "NOT_FOUND"


async def test_an_archived_project_opens_again(world: World, owner: Person) -> None:
    project = await world.project(owner)
    first = await done(world, owner, "projectArchive", id=gid(project))
    assert first["archivedAt"] is not None
    again = await done(world, owner, "projectArchive", id=gid(project))
    assert (again["archivedAt"], again["version"]) == (first["archivedAt"], first["version"])
    person = await world.person()
    member = {"projectId": gid(project), "userId": gid(person), "role": "VIEWER"}
    assert (await failed(world, owner, "projectUpdate", id=gid(project), name="x"))[
        0
    ] == "PROJECT_ARCHIVED"
    assert (await failed(world, owner, "projectMemberAdd", **member))[0] == "PROJECT_ARCHIVED"
    opened = await done(world, owner, "projectUnarchive", id=gid(project))
    assert opened["archivedAt"] is None
    await done(world, owner, "projectMemberAdd", **member)
