"""The access matrix of routes outside GraphQL: files, pictures, exports, tokens.

Each address is requested by each role of the cast, and by programs with API keys. The answer for a
hidden object has the same bytes as for a missing one.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio
from sqlalchemy import update

from db import models
from domain.accounts import api_key as api_keys
from files.store import ORIGINAL
from graph.core import ids
from tests import uploads
from tests.access.case import SIGNED_IN, TASK_SEEN
from tests.access.fixtures import AccessRole, Cast, absent, anonymous
from tests.access.test_keys import with_key
from tests.accounts import PASSWORD, Person
from tests.factories import World, fresh_id, gid

PNG = uploads.image()
ATTACHMENT = ["/files/{id}", "/files/{id}/thumbnail"]


@dataclasses.dataclass(slots=True)
class Scene:
    """The cast, programs of the owner, and a picture attached to the fixtures' task."""

    cast: Cast
    programs: dict[str, Person]
    attachment: str

    @property
    def http(self) -> httpx.AsyncClient:
        return self.cast.world.http

    async def get(self, address: str, who: Person | None, id_: str) -> httpx.Response:
        headers = {} if who is None else {"Authorization": who.header}
        return await self.http.get(address.format(id=id_), headers=headers)


@pytest_asyncio.fixture(scope="module")
async def scene(world: World) -> Scene:
    cast = await Cast.gather(world)
    fixtures, owner = await cast.fixtures(), cast.people[AccessRole.OWNER]
    reply = await uploads.attach(world.http, owner, fixtures.task, "a.png", PNG)
    attachment = reply.good["attachmentUpload"]["attachment"]["id"]
    programs = {
        "no scope": await with_key(cast, world, restricted=False),
        "another project": await with_key(cast, world, "read", "write", restricted=True),
        "another scope": await with_key(cast, world, "tasks:read", restricted=False),
        "files": await with_key(cast, world, "files:read", restricted=False),
        "everything": await with_key(cast, world, "read", restricted=False),
    }
    people = {name: program.people[AccessRole.OWNER] for name, program in programs.items()}
    return Scene(cast, people, attachment)


# --- attachments ---------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ATTACHMENT)
async def test_users_who_see_the_task_can_fetch_attachments(scene: Scene, address: str) -> None:
    found = {}
    for role in AccessRole:
        who = scene.cast.of(role)
        response = await scene.get(address, who, scene.attachment)
        found[role.name] = response.status_code
        nothing = absent(scene.attachment)
        other = await scene.get(address, who, nothing)
        if response.status_code != 200:
            assert other.status_code == response.status_code
            assert anonymous(other.content, nothing) == anonymous(
                response.content, scene.attachment
            )
        else:
            assert response.content.startswith((b"\x89PNG", b"RIFF"))
            assert other.status_code == 404
    assert found == {
        role.name: 200 if role in TASK_SEEN else 404 if role in SIGNED_IN else 401
        for role in AccessRole
    }


@pytest.mark.parametrize("address", ATTACHMENT)
@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("no scope", 403),
        ("another scope", 403),
        ("another project", 404),
        ("files", 200),
        ("everything", 200),
    ],
)
async def test_attachments_for_keys(scene: Scene, address: str, program: str, status: int) -> None:
    who = scene.programs[program]
    response = await scene.get(address, who, scene.attachment)
    assert response.status_code == status
    if status == 403:
        (error,) = response.json()["errors"]
        assert error["extensions"] == {"code": "FORBIDDEN", "scope": "files:read"}
    if status != 200:
        nothing = absent(scene.attachment)
        other = await scene.get(address, who, nothing)
        assert anonymous(other.content, nothing) == anonymous(response.content, scene.attachment)


@pytest.mark.parametrize("values", [{"revoked_at": "now"}, {"expires_at": "now"}])
async def test_an_expired_or_revoked_key_fetches_nothing(
    scene: Scene, world: World, values: dict[str, str]
) -> None:
    owner = scene.cast.people[AccessRole.OWNER]
    made = await world.house.do(owner.viewer, api_keys.create, name="ends", scopes=["read"])
    ended = {name: dt.datetime.now(dt.UTC) for name in values}
    async with world.database.session() as session, session.begin():
        row = update(models.ApiKey).where(models.ApiKey.id == made.row.id)
        await session.execute(row.values(**ended))
    grant = dataclasses.replace(owner.grant, access_token=made.key.text)
    program = Person(owner.username, owner.email, grant)
    for address in ATTACHMENT:
        assert (await scene.get(address, program, scene.attachment)).status_code == 401


async def test_uploads_need_a_signed_address(scene: Scene) -> None:
    """Regardless of who sends them: only the address grants the right."""
    fixtures = await scene.cast.fixtures()
    for who in (*(scene.cast.of(role) for role in AccessRole), *scene.programs.values()):
        headers = {} if who is None else {"Authorization": who.header}
        for id_ in (fixtures.upload, absent(fixtures.upload)):
            response = await scene.http.put(f"/files/uploads/{id_}", content=b"x", headers=headers)
            assert response.status_code == 401
            assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


# --- profile pictures ----------------------------------------------------------------------------


async def test_profile_pictures_are_public(scene: Scene, world: World) -> None:
    ada, bob = await world.people(2)
    sent = await uploads.send(
        world.http, ada, uploads.AVATAR, {"input": {"file": None}},
        {"variables.input.file": ("a.png", PNG)},
    )  # fmt: skip
    assert sent.good
    for who in (*(scene.cast.of(role) for role in AccessRole), *scene.programs.values()):
        shown = await scene.get("/users/{id}/avatar.png", who, gid(ada))
        assert (shown.status_code, shown.headers["content-type"]) == (200, "image/png")
        # The answers for a user without a picture and for a missing user are the same.
        bare = await scene.get("/users/{id}/avatar.png", who, gid(bob))
        nobody = await scene.get("/users/{id}/avatar.png", who, absent(gid(bob)))
        assert bare.status_code == nobody.status_code == 404
        assert anonymous(bare.content) == anonymous(nobody.content)


# --- exports -------------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def export(world: World) -> tuple[Person, str]:
    """A finished export of a user."""
    owner, now = await world.person(), dt.datetime.now(dt.UTC)
    file_id, export_id = fresh_id(), fresh_id()
    await world.services.files.store.put(file_id, ORIGINAL, b"a,b\n")
    await world.rows(
        models.StoredFile(
            id=file_id, uploader_id=owner.id, created_at=now, expires_at=now + dt.timedelta(days=1),
            filename="x.csv", size=4, stored_at=now, content_type="text/csv", sha256="0" * 64,
            has_thumbnail=False,
        ),
        models.ReportExport(
            id=export_id, user_id=owner.id, group_by=[], timezone="UTC", file_id=file_id,
            byte_size=4, format=models.ExportFormat.CSV, status=models.ExportState.DONE,
            created_at=now, updated_at=now, version=1, expires_at=now + dt.timedelta(days=1),
            managed_project_ids=[], seen_project_ids=[], seen_task_ids=[],
        ),
    )  # fmt: skip
    return owner, ids.encode(models.ReportExport, export_id)


async def test_exports_are_fetched_by_their_signed_address(
    scene: Scene, world: World, export: tuple[Person, str]
) -> None:
    owner, id_ = export
    query = "query ($id: ID!) { reportExport(id: $id) { downloadUrl } }"
    url = uploads.local(
        (await world.post(query, owner, id=id_)).good["reportExport"]["downloadUrl"]
    )
    for who in (owner, *(scene.cast.of(role) for role in AccessRole), *scene.programs.values()):
        # Credentials do not open it, not even the owner's, and the answers are all the same.
        for bare in (id_, absent(id_)):
            assert (await scene.get("/exports/{id}", who, bare)).status_code == 403
        # Anyone who has the address can fetch the file, as with any link.
        assert (await scene.get(url, who, id_)).content == b"a,b\n"
        other = await scene.get(url.replace(id_, absent(id_)), who, id_)
        assert other.status_code == 403
    async with world.database.session() as session, session.begin():
        users = update(models.User).where(models.User.id == owner.id)
        await session.execute(users.values(is_active=False))
    assert (await scene.http.get(url)).status_code == 404


# --- tokens --------------------------------------------------------------------------------------


async def token(http: httpx.AsyncClient, **form: str) -> tuple[int, Any]:
    response = await http.post("/auth/token", data=form)
    return response.status_code, orjson.loads(response.content)


async def test_only_users_who_may_sign_in_get_tokens(scene: Scene) -> None:
    for role in AccessRole:
        who = scene.cast.of(role)
        if who is None:
            continue
        good = role is not AccessRole.DEACTIVATED
        status, body = await token(
            scene.http, grant_type="password", username=who.username, password=PASSWORD
        )
        assert (status, "access_token" in body) == ((200, True) if good else (400, False))
        status, body = await token(
            scene.http, grant_type="refresh_token", refresh_token=who.grant.refresh_token
        )
        assert (status, body.get("error")) == ((200, None) if good else (400, "invalid_grant"))


async def test_a_key_is_refused_as_password_and_refresh_token(scene: Scene) -> None:
    owner = scene.cast.people[AccessRole.OWNER]
    for program in scene.programs.values():
        key = program.grant.access_token
        tries = (
            {"grant_type": "password", "username": owner.username, "password": key},
            {"grant_type": "refresh_token", "refresh_token": key},
        )
        for form in tries:
            assert await token(scene.http, **form) == (400, await _refused(scene, form))
        # Nor can it be revoked as one; the answer does not say that it is unknown (RFC 7009).
        assert (await scene.http.post("/auth/revoke", data={"token": key})).status_code == 200
    who = scene.programs["everything"]
    assert (await scene.get("/files/{id}", who, scene.attachment)).status_code == 200


async def _refused(scene: Scene, form: dict[str, str]) -> Any:
    """The answer to any wrong attempt."""
    nothing = {"username": "nobody-at-all", "password": "x", "refresh_token": "tlr_x"}
    status, body = await token(scene.http, **{name: nothing.get(name, form[name]) for name in form})
    assert (status, body["error"]) == (400, "invalid_grant")
    return body


# --- subscriptions about the viewer --------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "scope", "of_projects"),
    [
        ("timerChanged { at }", "time:read", True),
        ("notificationReceived { cursor }", "notifications:read", False),
        ("taskEvents { id }", "events:read", True),
    ],
)
async def test_subscriptions_for_keys(
    scene: Scene, world: World, field: str, scope: str, of_projects: bool
) -> None:
    query = f"subscription {{ {field} }}"
    for name in ("no scope", "another scope"):
        reply = await world.first_delivery(query, scene.programs[name])
        assert reply.codes == ["FORBIDDEN"]
        assert reply.errors[0]["extensions"]["scope"] == scope
    if not of_projects:
        reply = await world.first_delivery(query, scene.programs["another project"])
        assert reply.codes == ["FORBIDDEN"]
