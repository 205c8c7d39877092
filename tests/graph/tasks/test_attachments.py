"""Attachments through the API, as different people."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest
from sqlalchemy import func, update

from db import models
from db.models import Permission
from files.upload import Upload
from graph.core import ids
from settings import Settings
from tests import uploads
from tests.accounts import Person
from tests.factories import ENGINES, Engine, World, fresh_id, gid
from tests.uploads import attach, local

PNG = uploads.image("PNG", (800, 400))
LIST = """
query ($ids: [ID!]!) {
  nodes(ids: $ids) { ... on Task {
    attachmentCount
    attachments(first: 2) {
      totalCount nodes { id filename byteSize viewerCanDelete uploader { username } }
    }
  } }
}
"""


async def attached(world: World, person: Person, task: Any, name: str = "plan.png") -> Any:
    reply = await attach(world.http, person, gid(task), name, PNG)
    return reply.good["attachmentUpload"]["attachment"]


async def objects(world: World, settings: Settings) -> set[str]:
    """What is in the store of the tests."""
    found = world.services.files.store._store.list()
    return {item["path"] for page in found for item in page}


async def test_a_file_is_attached_listed_fetched_and_taken_off(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada)
    reply = await attach(world.http, ada, gid(task), "../../plan.png", PNG)
    made = reply.good["attachmentUpload"]["attachment"]
    assert made | {"id": "", "downloadUrl": "", "thumbnailUrl": ""} == {
        "id": "",
        "filename": "plan.png",
        "contentType": "image/png",
        "byteSize": len(PNG),
        "sha256": hashlib.sha256(PNG).hexdigest(),
        "downloadUrl": "",
        "thumbnailUrl": "",
        "uploader": {"id": gid(ada)},
        "task": {"id": gid(task)},
    }
    fetched = await world.http.get(local(made["downloadUrl"]))
    assert (fetched.status_code, fetched.content) == (200, PNG)
    small = await world.http.get(local(made["thumbnailUrl"]))
    assert (small.status_code, small.headers["content-type"]) == (200, "image/webp")
    listed = (await world.run(LIST, ada, ids=[gid(task)])).good["nodes"][0]
    assert (listed["attachmentCount"], listed["attachments"]["totalCount"]) == (1, 1)
    assert listed["attachments"]["nodes"][0]["viewerCanDelete"] is True
    gone = await world.post(uploads.DELETE, ada, input={"id": made["id"]})
    assert gone.good["attachmentDelete"]["deletedId"] == made["id"]
    assert (await world.http.get(local(made["downloadUrl"]))).status_code == 404
    listed = (await world.run(LIST, ada, ids=[gid(task)])).good["nodes"][0]
    assert listed["attachmentCount"] == 0


async def test_what_happens_to_attachments_is_in_the_log(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada)
    since = (await world.post("{ eventCursor }", ada)).good["eventCursor"]
    made = await attached(world, ada, task)
    await world.post(uploads.DELETE, ada, input={"id": made["id"]})
    query = """
    query ($since: String!) { events(after: $since) { nodes {
      kind subjectId subject { __typename } task { id }
      changes { field ... on TextChange { oldText newText } }
    } } }
    """
    events = (await world.post(query, ada, since=since)).good["events"]["nodes"]
    assert [event["kind"] for event in events] == ["ATTACHMENT_CREATED", "ATTACHMENT_DELETED"]
    assert [event["subjectId"] for event in events] == [made["id"]] * 2
    assert [event["task"]["id"] for event in events] == [gid(task)] * 2
    assert events[0]["changes"] == [{"field": "filename", "oldText": None, "newText": "plan.png"}]


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("holiday.pdf", PNG, "FILE_TYPE_MISMATCH"),
        ("note.txt", b"<html><script>alert(1)</script>", "FILE_TYPE_MISMATCH"),
        ("page.html", b"<script>alert(1)</script>", "FILE_TYPE_NOT_ALLOWED"),
        ("../../etc/passwd", b"root:x:0:0", "FILE_TYPE_NOT_ALLOWED"),
        ("../..", b"x", "FILE_NAME_INVALID"),
        ("big.txt", b"x" * (10 * 1024 * 1024 + 1), "FILE_TOO_LARGE"),
        ("nothing.txt", b"", "FILE_EMPTY"),
        ("bomb.png", uploads.bomb(), "IMAGE_TOO_LARGE"),
        ("torn.png", PNG[:200], "IMAGE_INVALID"),
    ],
)
async def test_bad_files_have_each_their_code_and_leave_nothing(
    world: World, settings: Settings, name: str, data: bytes, code: str
) -> None:
    ada = await world.person()
    task = await world.task(ada)
    before = await objects(world, settings)
    reply = await attach(world.http, ada, gid(task), name, data)
    (error,) = reply.user_errors
    assert (error["code"], error["path"]) == (code, ["input", "file"])
    assert reply.data["attachmentUpload"]["attachment"] is None
    assert await objects(world, settings) == before
    assert (await world.run(LIST, ada, ids=[gid(task)])).good["nodes"][0]["attachmentCount"] == 0


async def test_the_largest_file_that_is_taken(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada)
    data = b"x" * (10 * 1024 * 1024)
    reply = await attach(world.http, ada, gid(task), "big.txt", data)
    made = reply.good["attachmentUpload"]["attachment"]
    assert (made["byteSize"], made["thumbnailUrl"]) == (len(data), None)
    assert (await world.http.get(local(made["downloadUrl"]))).content == data


async def test_who_may_upload_see_and_delete(world: World) -> None:
    owner, editor, viewer, stranger, guest, helper = await world.people(6)
    project = await world.project(owner, editors=[editor], viewers=[viewer])
    task = await world.task(owner, project_id=project.id)
    await world.share(task, guest)
    await world.share(task, helper, Permission.EDIT)
    made = await attached(world, owner, task)
    codes = {}
    for name, person in {
        "owner": owner,
        "editor": editor,
        "viewer": viewer,
        "stranger": stranger,
        "guest": guest,
        "helper": helper,
    }.items():
        sent = await attach(world.http, person, gid(task), "a.txt", b"words")
        read = await world.post(
            "query ($id: ID!) { attachment(id: $id) { id } }", person, id=made["id"]
        )
        fetched = await world.http.get(
            f"/files/{made['id']}", headers={"Authorization": person.header}
        )
        deletion = await world.post(uploads.DELETE, person, input={"id": made["id"]})
        codes[name] = (
            sent.codes or "OK",
            read.codes or "OK",
            fetched.status_code,
            deletion.codes or "OK",
        )
        if deletion.codes == []:
            made = await attached(world, owner, task)
    everything = ("OK", "OK", 200, "OK")
    looks = (["FORBIDDEN"], "OK", 200, ["FORBIDDEN"])
    assert codes == {
        "owner": everything,
        "editor": everything,
        "viewer": looks,
        "stranger": (["NOT_FOUND"], ["NOT_FOUND"], 404, ["NOT_FOUND"]),
        "guest": looks,
        "helper": everything,
    }


async def test_an_archived_project_takes_no_files_and_gives_none_up(world: World) -> None:
    ada = await world.person()
    project = await world.project(ada)
    task = await world.task(ada, project_id=project.id)
    made = await attached(world, ada, task)
    async with world.database.session() as session, session.begin():
        await session.execute(
            update(models.Project)
            .where(models.Project.id == project.id)
            .values(archived_at=func.now())
        )
    assert (await attach(world.http, ada, gid(task), "a.txt", b"x")).codes == ["PROJECT_ARCHIVED"]
    gone = await world.post(uploads.DELETE, ada, input={"id": made["id"]})
    assert gone.codes == ["PROJECT_ARCHIVED"]


async def test_lists_take_the_same_statements_for_one_task_and_for_many(world: World) -> None:
    ada = await world.person()
    tasks = await world.tasks(ada, [f"t{number}" for number in range(4)])
    for task in tasks:
        for name in ("a.png", "b.png", "c.png"):
            await attached(world, ada, task, name)
    one = await world.run(LIST, ada, ids=[gid(tasks[0])])
    many = await world.run(LIST, ada, ids=[gid(task) for task in tasks])
    assert len(one.statements) == len(many.statements) == 4
    for node in many.good["nodes"]:
        assert (node["attachmentCount"], node["attachments"]["totalCount"]) == (3, 3)
        # The newest first, and a page of each task.
        assert [item["filename"] for item in node["attachments"]["nodes"]] == ["c.png", "b.png"]


@pytest.mark.parametrize("engine", ENGINES)
async def test_filters_orderings_and_uploads_in_both_engines(world: World, engine: Engine) -> None:
    ada = await world.person()
    task, _other = await world.tasks(ada, ["with", "without"])
    upload = Upload("b.txt", 1000)
    await upload.write(b"some words")
    reply = await world.run(
        uploads.UPLOAD, ada, engine=engine, input={"taskId": gid(task), "file": upload}
    )
    upload.close()
    assert reply.good["attachmentUpload"]["attachment"]["filename"] == "b.txt"
    await attached(world, ada, task, "a.png")
    query = """
    { tasks(filter: {attachments: {some: {contentType: {startsWith: "image/"}}}},
            orderBy: [{attachmentCount: DESC}]) {
        nodes { title attachments(filter: {byteSize: {lt: 100}}, orderBy: [{filename: ASC}]) {
          nodes { filename } } } } }
    """
    found = (await world.run(query, ada, engine=engine)).good["tasks"]["nodes"]
    assert found == [{"title": "with", "attachments": {"nodes": [{"filename": "b.txt"}]}}]


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_is_no_file_is_refused_as_one(world: World, engine: Engine) -> None:
    ada = await world.person()
    task = await world.task(ada)
    for value in ("a.txt", None, {"name": "a.txt"}, 1):
        reply = await world.run(
            uploads.UPLOAD, ada, engine=engine, input={"taskId": gid(task), "file": value}
        )
        assert reply.codes == ["BAD_USER_INPUT"]
    values = f'{{taskId: "{gid(task)}", file: "a.txt"}}'
    literal = f"mutation {{ attachmentUpload(input: {values}) {{ replayed }} }}"
    assert (await world.run(literal, ada, engine=engine)).codes == ["GRAPHQL_VALIDATION_FAILED"]


async def test_a_repeat_with_one_key_attaches_once(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada)
    key = fresh_id().hex
    replies = await asyncio.gather(
        *(
            attach(world.http, ada, gid(task), "a.txt", b"words", idempotencyKey=key)
            for _ in range(4)
        )
    )
    found = {reply.good["attachmentUpload"]["attachment"]["id"] for reply in replies}
    assert len(found) == 1
    other = await attach(world.http, ada, gid(task), "a.txt", b"other", idempotencyKey=key)
    assert other.codes == ["IDEMPOTENCY_MISMATCH"]
    listed = (await world.run(LIST, ada, ids=[gid(task)])).good["nodes"][0]
    assert listed["attachmentCount"] == 1


async def test_ids_made_by_the_client(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada)
    own = ids.encode(models.Attachment, fresh_id())
    first = await attach(world.http, ada, gid(task), "a.txt", b"words", id=own)
    assert first.good["attachmentUpload"]["attachment"]["id"] == own
    again = await attach(world.http, ada, gid(task), "a.txt", b"words", id=own)
    assert again.codes == ["ALREADY_EXISTS"]


OF_PROJECTS = """
query ($first: Int, $after: String) {
  projects(orderBy: [{createdAt: ASC}]) { nodes {
    name
    attachments(first: $first, after: $after) {
      totalCount nodes { id task { id } } pageInfo { endCursor hasNextPage }
    }
    plans: attachments(filter: {filename: {startsWith: "plan 1"}}) { nodes { filename } }
  } }
}
"""


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_project_lists_the_files_of_its_tasks(world: World, engine: Engine) -> None:
    ada, ben = await world.people(2)
    one, other = await world.project(ada, name="One", viewers=[ben]), await world.project(ada)
    tasks = [await world.task(ada, project_id=one.id) for _ in range(2)]
    elsewhere = await world.task(ada, project_id=other.id)
    made = []
    for number, task in enumerate([*tasks, *tasks, elsewhere, await world.task(ada)]):
        made.append(await attached(world, ada, task, name=f"plan {number}.png"))
    for who, names in ((ada, ["One", "A project"]), (ben, ["One"])):
        reply = await world.run(OF_PROJECTS, who, engine=engine)
        found = {node["name"]: node["attachments"] for node in reply.good["projects"]["nodes"]}
        assert list(found) == names
        newest = [file["id"] for file in reversed(made[:4])]
        assert [node["id"] for node in found["One"]["nodes"]] == newest
        assert found["One"]["totalCount"] == 4
    assert [node["id"] for node in (await _of(world, ada))["A project"]["nodes"]] == [made[4]["id"]]
    first = (await _of(world, ada, first=3))["One"]
    assert first["pageInfo"]["hasNextPage"] is True
    rest = (await _of(world, ada, first=3, after=first["pageInfo"]["endCursor"]))["One"]
    assert [node["id"] for node in rest["nodes"]] == [made[0]["id"]]
    delete = "mutation ($id: ID!) { taskDelete(input: {id: $id}) { deletedIds } }"
    await world.run(delete, ada, id=gid(tasks[0]))
    assert (await _of(world, ada))["One"]["totalCount"] == 2


async def _of(world: World, who: Person, **values: Any) -> dict[str, Any]:
    reply = await world.run(OF_PROJECTS, who, **values)
    return {node["name"]: node["attachments"] for node in reply.good["projects"]["nodes"]}
