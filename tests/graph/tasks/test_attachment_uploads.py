"""Uploads in three steps, and that nothing is left over of those that came to nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app import create_app
from db import models
from db.models import Permission
from domain import stored_file
from domain.tasks import attachment
from domain.trash import KEPT
from graph.core import ids
from jobs import periodic
from settings import Settings
from tests import uploads
from tests.accounts import House, Person
from tests.factories import World, fresh_id, gid, missing, world_of
from tests.graph.kit.test_last_values import attachments
from tests.graph_api import Api
from tests.uploads import attach, local
from tests.waiting import begun_beside

PNG = uploads.image("PNG", (800, 400))


async def attached(world: World, person: Person, task: Any, name: str = "plan.png") -> Any:
    reply = await attach(world.http, person, gid(task), name, PNG)
    return reply.good["attachmentUpload"]["attachment"]


async def objects(world: World, settings: Settings) -> set[str]:
    """What is in the store of the tests."""
    found = world.services.files.store._store.list()
    return {item["path"] for page in found for item in page}


# In three steps


async def started(world: World, person: Person, task: Any, name: str, size: int) -> Any:
    values = {"taskId": gid(task), "filename": name, "byteSize": size}
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
    assert (made["filename"], made["byteSize"]) == ("plan.png", len(PNG))
    assert (await world.http.get(local(made["downloadUrl"]))).content == PNG
    assert (await world.http.get(local(made["thumbnailUrl"]))).status_code == 200
    again = await world.post(uploads.FINISH, ada, input=finish)
    assert again.good["attachmentUploadFinish"]["attachment"]["id"] == made["id"]


@pytest.mark.parametrize(
    ("name", "size", "code", "path"),
    [
        ("a.html", 5, "FILE_TYPE_NOT_ALLOWED", "filename"),
        ("..", 5, "FILE_NAME_INVALID", "filename"),
        ("a.txt", 0, "FILE_EMPTY", "byteSize"),
        ("a.txt", -1, "FILE_EMPTY", "byteSize"),
        ("a.txt", 10 * 1024 * 1024 + 1, "FILE_TOO_LARGE", "byteSize"),
    ],
)
async def test_starts_that_cannot_end_well(
    world: World, name: str, size: int, code: str, path: str
) -> None:
    ada = await world.person()
    task = await world.task(ada)
    values = {"taskId": gid(task), "filename": name, "byteSize": size}
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


@pytest.mark.parametrize(("chunks", "read"), [(15, 15), (16, 16), (17, 17), (1000, 17)])
async def test_who_sends_without_end_is_cut_off(settings: Settings, chunks: int, read: int) -> None:
    """What is a little too large is read and refused; after sixteen times the limit that ends."""
    limit = 1000
    storage = settings.storage.model_copy(update={"upload_bytes": limit})
    app = create_app(settings.model_copy(update={"storage": storage}))
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < chunks:
            sent += 1
            yield b"x" * limit

    async with app.lifespan(), world_of(app) as world:
        ada = await world.person()
        target = await started(world, ada, await world.task(ada), "a.txt", limit)
        reply = await world.http.put(local(target["url"]), content=body())
    assert reply.status_code == 413
    assert reply.json()["errors"][0]["extensions"]["code"] == "FILE_TOO_LARGE"
    assert sent == read


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


async def arrived(world: World, person: Person, task: Any) -> UUID:
    """An upload whose bytes have arrived."""
    target = await started(world, person, task, "a.txt", 5)
    assert (await world.http.put(local(target["url"]), content=b"words")).status_code == 204
    return ids.decode(models.StoredFile, target["id"], ())


async def test_an_upload_can_be_finished_until_it_expires(world: World) -> None:
    ada = await world.person()
    upload = await arrived(world, ada, await world.task(ada))
    values = {"uploadId": ids.encode(models.StoredFile, upload)}
    async with world.database.session() as session:
        end = (await session.get_one(models.StoredFile, upload)).expires_at
    late = await world.run(uploads.FINISH, ada, at=end, input=values)
    assert late.codes == ["NOT_FOUND"]
    last = end - dt.timedelta(microseconds=1)
    assert (await world.run(uploads.FINISH, ada, at=last, input=values)).good


async def test_an_upload_finished_twice_at_once_is_one_attachment(world: World) -> None:
    ada = await world.person()
    upload = await arrived(world, ada, await world.task(ada))
    values = {"uploadId": ids.encode(models.StoredFile, upload)}
    async with world._work(ada) as work:
        made = await attachment.finish(work, upload)
        again = world.run(uploads.FINISH, ada, input=values)
        running = await begun_beside(world.database, work.session, again)
    found = (await running).good["attachmentUploadFinish"]["attachment"]
    assert found["id"] == gid(made)


async def test_of_two_uploads_at_once_one_has_the_last_place(world: World) -> None:
    ada = await world.person()
    task = await world.task(ada)
    await attachments(world, ada, task, attachment.MOST_PER_TASK - 1)
    first, second = [await arrived(world, ada, task) for _ in range(2)]
    values = {"uploadId": ids.encode(models.StoredFile, second)}
    async with world._work(ada) as work:
        await attachment.finish(work, first)
        other = world.run(uploads.FINISH, ada, input=values)
        running = await begun_beside(world.database, work.session, other)
    assert (await running).codes == ["LIMIT_EXCEEDED"]


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
    await periodic.run_once(world.services.transactions, world.services.settings, clock=lambda: now)


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
    assert (await world.http.get(local(kept["downloadUrl"]))).content == PNG
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
    values = {"taskId": gid(task), "filename": "a.txt", "byteSize": 5}
    replies = [await api(uploads.START, ada, input=values) for _ in range(3)]
    assert [reply.codes for reply in replies] == [[], [], ["RATE_LIMITED"]]
    house.auth.close()
