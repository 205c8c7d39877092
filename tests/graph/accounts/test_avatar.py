"""Pictures of people, through the API."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from app import create_app
from settings import Settings
from tests import uploads
from tests.accounts import Person
from tests.factories import World, gid, world_of
from tests.uploads import local


async def objects(world: World, settings: Settings) -> set[str]:
    """What is in the store of the tests."""
    found = world.services.files.store._store.list()
    return {item["path"] for page in found for item in page}


async def picture(http: httpx.AsyncClient, person: Person, data: bytes, name: str = "me") -> Any:
    variables = {"input": {"file": None}}
    return await uploads.send(
        http, person, uploads.AVATAR, variables, {"variables.input.file": (name, data)}
    )


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP"])
async def test_an_avatar_is_public_in_all_sizes_and_types(world: World, format_: str) -> None:
    ada, ben = await world.people(2)
    reply = await picture(world.http, ada, uploads.image(format_, (500, 300)))
    url = local(reply.good["avatarUpload"]["viewer"]["user"]["avatarUrl"])
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
    seen = await world.run(
        "query ($id: ID!) { user(id: $id) { avatarUrl small: avatarUrl(size: 64) } }",
        ben,
        id=gid(ada),
    )
    assert local(seen.good["user"]["avatarUrl"]) == url
    small = await world.http.get(local(seen.good["user"]["small"]))
    assert Image.open(BytesIO(small.content)).size == (64, 64)
    assert "immutable" in small.headers["cache-control"]


async def test_other_sizes_are_refused(world: World) -> None:
    ada = await world.person()
    reply = await world.run("{ viewer { user { username avatarUrl(size: 65) } } }", ada)
    (error,) = reply.errors
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["message"] == "size must be one of 64, 128, 256; it is 65."
    assert reply.data["viewer"]["user"] == {"username": ada.username, "avatarUrl": None}


async def test_another_picture_and_none(world: World, settings: Settings) -> None:
    ada = await world.person()
    before = await objects(world, settings)
    first = await picture(world.http, ada, uploads.image("PNG", color="red"))
    second = await picture(world.http, ada, uploads.image("PNG", color="blue"))
    urls = [reply.good["avatarUpload"]["viewer"]["user"]["avatarUrl"] for reply in (first, second)]
    assert urls[0] != urls[1]
    # Nine pictures; those of the first are gone.
    assert len(await objects(world, settings) - before) == 9
    delete = (
        """mutation { avatarDelete(input: {}) { viewer { user { avatarUrl } } errors { code } } }"""
    )
    for _ in range(2):
        gone = await world.post(delete, ada)
        assert gone.good["avatarDelete"]["viewer"]["user"]["avatarUrl"] is None
    assert (await world.http.get(local(urls[1]))).status_code == 404
    assert await objects(world, settings) == before


async def test_a_store_that_fails_is_told_as_such(settings: Settings, tmp_path: Path) -> None:
    # A file where the folder should be.
    (tmp_path / "files").mkdir()
    storage = settings.storage.model_copy(update={"url": (tmp_path / "files").as_uri()})
    app = create_app(settings.model_copy(update={"storage": storage}))
    async with app.lifespan(), world_of(app) as world:
        ada = await world.person()
        (tmp_path / "files").rmdir()
        (tmp_path / "files").write_text("no folder")
        reply = await picture(world.http, ada, uploads.image())
        assert reply.codes == ["UNAVAILABLE"]
        assert "ExceptionGroup" not in reply.body.decode()


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
    assert (await world.run("{ viewer { user { avatarUrl } } }", ada)).good["viewer"]["user"][
        "avatarUrl"
    ] is None
