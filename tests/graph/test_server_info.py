"""What a client learns from `serverInfo` is what the server does."""

from __future__ import annotations

import pytest

from app import create_app
from settings import Settings
from tests.factories import World, gid, world_of
from tests.files.test_kinds import TAKEN
from tests.uploads import attach

LIMITS = "{ serverInfo { isRegistrationOpen maxUploadBytes uploadTypes } }"
REGISTER = """mutation ($input: UserRegisterInput!) {
    userRegister(input: $input) { errors { code } }
}"""


@pytest.mark.parametrize("registration", ["open", "closed"])
async def test_whether_one_can_register(settings: Settings, registration: str) -> None:
    auth = settings.auth.model_copy(update={"registration": registration})
    app = create_app(settings.model_copy(update={"auth": auth}))
    async with app.lifespan(), world_of(app) as world:
        is_open = (await world.post(LIMITS, None)).good["serverInfo"]["isRegistrationOpen"]
        account = {"username": "", "email": "nobody@example.com", "password": "long enough"}
        reply = await world.post(REGISTER, None, input=account)
    assert is_open == (registration == "open")
    assert reply.codes == ["BAD_USER_INPUT" if is_open else "REGISTRATION_CLOSED"]


async def test_how_large_a_file_can_be(settings: Settings) -> None:
    storage = settings.storage.model_copy(update={"upload_bytes": 1234})
    app = create_app(settings.model_copy(update={"storage": storage}))
    async with app.lifespan(), world_of(app) as world:
        most = (await world.post(LIMITS, None)).good["serverInfo"]["maxUploadBytes"]
        ada = await world.person()
        task = gid(await world.task(ada))
        assert (await attach(world.http, ada, task, "a.txt", b"x" * most)).codes == []
        reply = await attach(world.http, ada, task, "a.txt", b"x" * (most + 1))
    assert (most, reply.codes) == (1234, ["FILE_TOO_LARGE"])


async def test_which_files_can_be_attached(world: World) -> None:
    types = (await world.post(LIMITS, None)).good["serverInfo"]["uploadTypes"]
    assert len(types) == len(set(types))
    assert set(types) == {content_type for _, _, content_type in TAKEN}
