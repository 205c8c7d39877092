"""Attachments and avatars through the API, as different people."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from db import models
from db.models import Permission
from domain import stored_file
from domain.trash import KEPT
from files.upload import Upload
from graph import ids
from jobs import periodic
from settings import Settings
from tests import uploads
from tests.accounts import House, Person
from tests.factories import ENGINES, Engine, World, fresh_id, gid, missing
from tests.graph_api import Api
from tests.uploads import attach, local

PNG = uploads.image("PNG", (800, 400))
LIST = """
query ($ids: [ID!]!) {
  nodes(ids: $ids) { ... on Task {
    attachmentCount
    attachments(first: 2) {
      totalCount nodes { id filename size viewerCanDelete uploader { username } }
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
    assert made | {"id": "", "url": "", "thumbnailUrl": ""} == {
        "id": "",
        "filename": "plan.png",
        "contentType": "image/png",
        "size": len(PNG),
        "sha256": hashlib.sha256(PNG).hexdigest(),
        "url": "",
        "thumbnailUrl": "",
        "uploader": {"id": gid(ada)},
        "task": {"id": gid(task)},
    }
    fetched = await world.http.get(local(made["url"]))
    assert (fetched.status_code, fetched.content) == (200, PNG)
    small = await world.http.get(local(made["thumbnailUrl"]))
    assert (small.status_code, small.headers["content-type"]) == (200, "image/webp")
    listed = (await world.run(LIST, ada, ids=[gid(task)])).good["nodes"][0]
    assert (listed["attachmentCount"], listed["attachments"]["totalCount"]) == (1, 1)
    assert listed["attachments"]["nodes"][0]["viewerCanDelete"] is True
    gone = await world.post(uploads.DELETE, ada, input={"id": made["id"]})
    assert gone.good["attachmentDelete"]["deletedId"] == made["id"]
    assert (await world.http.get(local(made["url"]))).status_code == 404
    listed = (await world.run(LIST, ada, ids=[gid(task)])).good["nodes"][0]
    assert listed["attachmentCount"] == 0


async def test_what_happens_to_attachments_is_in_the_log(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada)
    since = (await world.post("{ eventCursor }", ada)).good["eventCursor"]
    made = await attached(world, ada, task)
    await world.post(uploads.DELETE, ada, input={"id": made["id"]})
    query = """
    query ($since: String!) { changes(since: $since) { nodes {
      kind subjectId subject { __typename } task { id } changes { field from to }
    } } }
    """
    events = (await world.post(query, ada, since=since)).good["changes"]["nodes"]
    assert [event["kind"] for event in events] == ["ATTACHMENT_CREATED", "ATTACHMENT_DELETED"]
    assert [event["subjectId"] for event in events] == [made["id"]] * 2
    assert [event["task"]["id"] for event in events] == [gid(task)] * 2
    assert events[0]["changes"] == [{"field": "filename", "from": None, "to": "plan.png"}]


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
    assert (made["size"], made["thumbnailUrl"]) == (len(data), None)
    assert (await world.http.get(local(made["url"]))).content == data


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
    assert (await attach(world.http, ada, gid(task), "a.txt", b"x")).codes == ["ARCHIVED"]
    gone = await world.post(uploads.DELETE, ada, input={"id": made["id"]})
    assert gone.codes == ["ARCHIVED"]


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
            orderBy: [{attachmentCount: {direction: DESC}}]) {
        nodes { title attachments(filter: {size: {lt: 100}}, orderBy: [{filename: {}}]) {
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


# In three steps


async def started(world: World, person: Person, task: Any, name: str, size: int) -> Any:
    values = {"taskId": gid(task), "filename": name, "size": size}
    reply = await world.post(uploads.START, person, input=values)
    return reply.good["attachmentUploadStart"]["upload"]


async def test_an_upload_in_three_steps(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada)
    target = await started(world, ada, task, "folder/plan.png", len(PNG))
    finish = {"uploadId": target["id"]}
    early = await world.post(uploads.FINISH, ada, input=finish)
    assert early.codes == ["UPLOAD_INCOMPLETE"]
    sent = await world.http.put(local(target["url"]), content=PNG)
    assert (sent.status_code, sent.content) == (204, b"")
    repeated = await world.http.put(local(target["url"]), content=PNG)
    assert repeated.status_code == 409
    done = await world.post(uploads.FINISH, ada, input=finish)
    made = done.good["attachmentUploadFinish"]["attachment"]
    assert (made["filename"], made["size"]) == ("plan.png", len(PNG))
    assert (await world.http.get(local(made["url"]))).content == PNG
    assert (await world.http.get(local(made["thumbnailUrl"]))).status_code == 200
    again = await world.post(uploads.FINISH, ada, input=finish)
    assert again.good["attachmentUploadFinish"]["attachment"]["id"] == made["id"]


@pytest.mark.parametrize(
    ("name", "size", "code", "path"),
    [
        ("a.html", 5, "FILE_TYPE_NOT_ALLOWED", "filename"),
        ("..", 5, "FILE_NAME_INVALID", "filename"),
        ("a.txt", 0, "FILE_EMPTY", "size"),
        ("a.txt", -1, "FILE_EMPTY", "size"),
        ("a.txt", 10 * 1024 * 1024 + 1, "FILE_TOO_LARGE", "size"),
    ],
)
async def test_starts_that_cannot_end_well(
    world: World, name: str, size: int, code: str, path: str
) -> None:
    ada = await world.person()
    task = await world.task(ada)
    values = {"taskId": gid(task), "filename": name, "size": size}
    (error,) = (await world.post(uploads.START, ada, input=values)).user_errors
    assert (error["code"], error["path"]) == (code, ["input", path])


async def test_wrong_bytes_can_be_sent_again(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada)
    target = await started(world, ada, task, "plan.png", len(PNG))
    url = local(target["url"])
    for data, status, code in (
        (uploads.PDF, 400, "BAD_USER_INPUT"),
        (uploads.PDF.ljust(len(PNG)), 415, "FILE_TYPE_MISMATCH"),
        (b"x" * (10 * 1024 * 1024 + 1), 413, "FILE_TOO_LARGE"),
    ):
        sent = await world.http.put(url, content=data)
        assert sent.status_code == status
        assert sent.json()["errors"][0]["extensions"]["code"] == code
    assert (await world.http.put(url, content=PNG)).status_code == 204


async def test_only_the_address_that_was_given_takes_a_file(world: World) -> None:
    ada, eve = await world.people(2)
    task = await world.task(ada)
    target = await started(world, ada, task, "a.txt", 5)
    path, _, query = local(target["url"]).partition("?")
    for url, status in (
        (path, 401),
        (f"{path}?expires=1&signature=x", 403),
        (f"{path.replace(target['id'], missing(target['id']))}?{query}", 403),
    ):
        assert (await world.http.put(url, content=b"words")).status_code == status
    assert (await world.http.put(f"{path}?{query}", content=b"words")).status_code == 204
    # What Ada started is nothing to Eve.
    assert (await world.post(uploads.FINISH, eve, input={"uploadId": target["id"]})).codes == [
        "NOT_FOUND"
    ]


async def test_rights_that_were_lost_meanwhile(world: World) -> None:
    ada, ben = await world.people(2)
    task = await world.task(ada)
    share = await world.share(task, ben, Permission.EDIT)
    target = await started(world, ben, task, "a.txt", 5)
    await world.http.put(local(target["url"]), content=b"words")
    async with world.database.session() as session, session.begin():
        await session.execute(
            update(models.TaskShare)
            .where(models.TaskShare.id == share.id)
            .values(permission=Permission.VIEW)
        )
    late = await world.post(uploads.FINISH, ben, input={"uploadId": target["id"]})
    assert late.codes == ["FORBIDDEN"]


# Nothing is left over


async def swept(world: World, after: dt.timedelta) -> None:
    now = world.services.clock() + after
    await periodic.run_once(world.database, world.services.settings, clock=lambda: now)


async def test_uploads_that_came_to_nothing_are_swept_and_others_stay(
    world: World, settings: Settings
) -> None:
    ada = await world.person()
    task = await world.task(ada)
    kept = await attached(world, ada, task)
    before = await objects(world, settings)
    target = await started(world, ada, task, "plan.png", len(PNG))
    await world.http.put(local(target["url"]), content=PNG)
    assert len(await objects(world, settings)) == len(before) + 2
    await swept(world, dt.timedelta(minutes=30))
    assert len(await objects(world, settings)) == len(before) + 2
    await swept(world, stored_file.RESERVED + dt.timedelta(minutes=11))
    left = await objects(world, settings)
    assert not left - before
    assert (await world.http.get(local(kept["url"]))).content == PNG
    late = await world.post(uploads.FINISH, ada, input={"uploadId": target["id"]})
    assert late.codes == ["NOT_FOUND"]


async def test_files_of_a_task_go_when_it_leaves_the_trash(
    world: World, settings: Settings
) -> None:
    ada = await world.person()
    task = await world.task(ada)
    made = await attached(world, ada, task)
    attachment_id = ids.decode(models.Attachment, made["id"], ())
    async with world.database.session() as session:
        file_id = await session.scalar(
            select(models.Attachment.file_id).where(models.Attachment.id == attachment_id)
        )
    assert file_id is not None
    delete = "mutation ($input: TaskDeleteInput!) { taskDelete(input: $input) { errors { code } } }"
    (await world.post(delete, ada, input={"id": gid(task)})).good  # noqa: B018
    fetched = await world.http.get(f"/files/{made['id']}", headers={"Authorization": ada.header})
    assert fetched.status_code == 404
    assert any(file_id.hex in path for path in await objects(world, settings))
    await swept(world, KEPT + dt.timedelta(hours=1))
    assert not any(file_id.hex in path for path in await objects(world, settings))
    async with world.database.session() as session:
        assert await session.get(models.StoredFile, file_id) is None


async def test_a_failed_transaction_leaves_no_bytes(world: World, settings: Settings) -> None:
    ada = await world.person()
    task = await world.task(ada)
    own = ids.encode(models.Attachment, fresh_id())
    await attach(world.http, ada, gid(task), "a.txt", b"words", id=own)
    before = await objects(world, settings)
    again = await attach(world.http, ada, gid(task), "b.png", PNG, id=own)
    assert again.codes == ["ALREADY_EXISTS"]
    assert await objects(world, settings) == before


async def test_uploads_are_limited_in_number(settings: Settings, world: World) -> None:
    limits = settings.limits.model_copy(update={"uploads": "2/hour"})
    house = House(settings.model_copy(update={"limits": limits}), world.database)
    api = Api(house)
    ada = await house.person()
    task = await world.task(ada)
    values = {"taskId": gid(task), "filename": "a.txt", "size": 5}
    replies = [await api(uploads.START, ada, input=values) for _ in range(3)]
    assert [reply.codes for reply in replies] == [[], [], ["RATE_LIMITED"]]
    house.auth.close()


# Pictures of people


async def picture(http: httpx.AsyncClient, person: Person, data: bytes, name: str = "me") -> Any:
    variables = {"input": {"file": None}}
    return await uploads.send(
        http, person, uploads.AVATAR, variables, {"variables.input.file": (name, data)}
    )


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP"])
async def test_an_avatar_is_public_in_all_sizes_and_types(world: World, format_: str) -> None:
    ada, ben = await world.people(2)
    reply = await picture(world.http, ada, uploads.image(format_, (500, 300)))
    url = local(reply.good["avatarUpload"]["user"]["avatarUrl"])
    fetched = await world.http.get(url)
    assert (fetched.status_code, fetched.headers["content-type"]) == (200, "image/webp")
    assert "immutable" in fetched.headers["cache-control"]
    cached = await world.http.get(url, headers={"If-None-Match": fetched.headers["etag"]})
    assert cached.status_code == 304
    base = url.partition("?")[0].removesuffix("webp")
    for ending, media_type in (("png", "image/png"), ("jpg", "image/jpeg"), ("jpeg", "image/jpeg")):
        for size in (64, 128, 256):
            small = await world.http.get(f"{base}{ending}?size={size}")
            assert (small.status_code, small.headers["content-type"]) == (200, media_type)
    assert (await world.http.get(f"{base}png?size=65")).status_code == 400
    assert (await world.http.get(f"{base}svg")).status_code == 404
    seen = await world.run("query ($id: ID!) { user(id: $id) { avatarUrl } }", ben, id=gid(ada))
    assert local(seen.good["user"]["avatarUrl"]) == url


async def test_another_picture_and_none(world: World, settings: Settings) -> None:
    ada = await world.person()
    before = await objects(world, settings)
    first = await picture(world.http, ada, uploads.image("PNG", color="red"))
    second = await picture(world.http, ada, uploads.image("PNG", color="blue"))
    urls = [reply.good["avatarUpload"]["user"]["avatarUrl"] for reply in (first, second)]
    assert urls[0] != urls[1]
    # Nine pictures, and not those of the first any more.
    assert len(await objects(world, settings) - before) == 9
    delete = """mutation { avatarDelete(input: {}) { user { avatarUrl } errors { code } } }"""
    for _ in range(2):
        gone = await world.post(delete, ada)
        assert gone.good["avatarDelete"]["user"]["avatarUrl"] is None
    assert (await world.http.get(local(urls[1]))).status_code == 404
    assert await objects(world, settings) == before


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "FILE_EMPTY"),
        (uploads.image("GIF"), "IMAGE_INVALID"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "IMAGE_INVALID"),
        (uploads.bomb(), "IMAGE_TOO_LARGE"),
        (b"x" * (10 * 1024 * 1024 + 1), "FILE_TOO_LARGE"),
    ],
)
async def test_pictures_that_are_refused(world: World, data: bytes, code: str) -> None:
    ada = await world.person()
    reply = await picture(world.http, ada, data)
    assert reply.codes == [code]
    assert (await world.run("{ viewer { avatarUrl } }", ada)).good["viewer"]["avatarUrl"] is None
