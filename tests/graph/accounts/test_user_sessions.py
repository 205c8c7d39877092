"""Sessions in the schema: signing in, renewing, signing out."""

from __future__ import annotations

from uuid import uuid4

import pytest

from db import models
from errors import Unauthenticated
from graph.core import ids
from tests.accounts import PASSWORD, House
from tests.graph_api import Api

GRANT = (
    "accessToken refreshToken accessTokenExpiresAt replayed session { id isCurrent } "
    "viewer { user { username } email } errors { code path message }"
)
SIGN_IN = f"mutation ($input: SessionCreateInput!) {{ sessionCreate(input: $input) {{ {GRANT} }} }}"
REFRESH = (
    f"mutation ($input: SessionRefreshInput!) {{ sessionRefresh(input: $input) {{ {GRANT} }} }}"
)
REVOKE = """
mutation ($input: SessionRevokeInput!) {
  sessionRevoke(input: $input) { session { id revokedAt isActive } errors { code path } }
}
"""


@pytest.fixture(params=["batch", "standard"])
def api(request: pytest.FixtureRequest, house: House) -> Api:
    return Api(house, engine=request.param)


async def test_sign_in_gives_tokens_and_oneself(api: Api, house: House) -> None:
    person = await house.person()
    done = (await api(SIGN_IN, input={"login": person.email, "password": PASSWORD})).of(
        "sessionCreate"
    )
    assert done["viewer"] == {"user": {"username": person.username}, "email": person.email}
    assert done["session"]["isCurrent"]
    assert done["accessTokenExpiresAt"].endswith("Z")
    me = await api("{ viewer { user { username } } }", done["accessToken"])
    assert me.of("viewer") == {"user": {"username": person.username}}


async def test_a_refused_sign_in_gives_nothing_and_says_nothing(api: Api, house: House) -> None:
    person = await house.person()
    answers = [
        (await api(SIGN_IN, input={"login": login, "password": "wrong password"})).data
        for login in (person.username, person.email, "nobody-at-all", "nobody@example.com")
    ]
    assert all(answer == answers[0] for answer in answers)
    failed = answers[0]["sessionCreate"]
    assert [error["code"] for error in failed["errors"]] == ["INVALID_CREDENTIALS"]
    assert (failed["accessToken"], failed["viewer"], failed["session"]) == (None, None, None)


async def test_a_refresh_renews_the_connection(api: Api, house: House) -> None:
    person = await house.person()
    house.clock.forward(minutes=10)
    done = await api(REFRESH, person, input={"refreshToken": person.grant.refresh_token})
    payload = done.of("sessionRefresh")
    assert payload["refreshToken"] != person.grant.refresh_token
    assert payload["viewer"]["email"] == person.email
    assert api.renewed is not None
    assert api.renewed.user_id == person.id
    assert api.renewed.expires_at is not None
    assert person.viewer.expires_at is not None
    assert api.renewed.expires_at > person.viewer.expires_at


async def test_a_refresh_for_somebody_else_does_not_renew_the_connection(
    api: Api, house: House
) -> None:
    person, other = await house.person(), await house.person()
    await api(REFRESH, person, input={"refreshToken": other.grant.refresh_token})
    # A connection goes on only with credentials of its own user.
    assert api.renewed is not None
    assert api.renewed.user_id == other.id


async def test_a_refresh_needs_no_access_token(api: Api, house: House) -> None:
    person = await house.person()
    house.clock.forward(hours=1)
    done = await api(REFRESH, input={"refreshToken": person.grant.refresh_token})
    assert done.of("sessionRefresh")["viewer"]["user"]["username"] == person.username


async def test_reuse_is_refused_and_ends_the_session(api: Api, house: House) -> None:
    person = await house.person()
    token = {"refreshToken": person.grant.refresh_token}
    fresh = (await api(REFRESH, input=token)).of("sessionRefresh")
    house.clock.forward(seconds=11)
    again = await api(REFRESH, input=token)
    assert again.failures("sessionRefresh") == [("INVALID_CREDENTIALS", "input.refreshToken")]
    with pytest.raises(Unauthenticated):
        await api("{ viewer { user { id } } }", fresh["accessToken"])


async def test_repeats_show_no_token(api: Api, house: House) -> None:
    person = await house.person()
    key = uuid4().hex
    for query, field, value in (
        (SIGN_IN, "sessionCreate", {"login": person.username, "password": PASSWORD}),
        (REFRESH, "sessionRefresh", {"refreshToken": person.grant.refresh_token}),
    ):
        keyed = value | {"idempotencyKey": f"{field}-{key}"}
        first = (await api(query, input=keyed)).of(field)
        again = (await api(query, input=keyed)).of(field)
        assert first["accessToken"]
        assert again["replayed"]
        assert [
            again[name] for name in ("accessToken", "refreshToken", "accessTokenExpiresAt")
        ] == [None] * 3


async def test_one_lists_ones_sessions(api: Api, house: House) -> None:
    person = await house.person()
    house.clock.forward(seconds=1)
    second = await house.login(person)
    query = """{ viewer { sessions(filter: {isActive: true}, orderBy: [{lastUsedAt: ASC}]) {
        totalCount nodes { id isCurrent isActive ip userAgent revokedAt user { username } }
    } } }"""
    listed = (await api(query, second.access_token)).of("viewer")["sessions"]
    assert listed["totalCount"] == 2
    assert [node["isCurrent"] for node in listed["nodes"]] == [False, True]
    assert {node["user"]["username"] for node in listed["nodes"]} == {person.username}
    assert {node["ip"] for node in listed["nodes"]} == {"203.0.113.9"}


async def test_signing_out_is_the_sessions_end(api: Api, house: House) -> None:
    person = await house.person()
    other = await house.login(person)
    done = (await api(REVOKE, other.access_token, input={})).of("sessionRevoke")
    assert (done["session"]["isActive"], done["errors"]) == (False, [])
    with pytest.raises(Unauthenticated):
        await api("{ viewer { user { id } } }", other.access_token)
    await api("{ viewer { user { id } } }", person)


async def test_another_session_is_ended_by_its_id_and_nobody_elses(api: Api, house: House) -> None:
    person, stranger = await house.person(), await house.person()
    other = await house.login(person)
    assert other.viewer.session_id is not None
    id_ = ids.encode(models.Session, other.viewer.session_id)
    refused = await api(REVOKE, stranger, input={"id": id_})
    assert refused.failures("sessionRevoke") == [("NOT_FOUND", "input.id")]
    missing = await api(REVOKE, stranger, input={"id": f"session_{uuid4().hex}"})
    assert missing.data == refused.data
    await api(REVOKE, person, input={"id": id_})
    assert not await house.auth.still_valid(other.viewer.credentials)


async def test_all_others_are_ended(api: Api, house: House) -> None:
    person = await house.person()
    other = (await house.login(person)).viewer.session_id
    assert other is not None
    query = "mutation { sessionRevokeOthers(input: {}) { revokedIds errors { code } } }"
    assert (await api(query, person)).of("sessionRevokeOthers") == {
        "revokedIds": [ids.encode(models.Session, other)],
        "errors": [],
    }


async def test_a_stream_token_opens_streams_only(api: Api, house: House) -> None:
    person = await house.person()
    query = "mutation { streamTokenCreate(input: {}) { token expiresAt errors { code } } }"
    done = (await api(query, person)).of("streamTokenCreate")
    assert (await house.auth.use_stream_token(done["token"])).user_id == person.id
    with pytest.raises(Unauthenticated):
        await api("{ viewer { user { id } } }", done["token"])


async def test_a_session_is_named(api: Api, house: House) -> None:
    ada, ben = await house.person(), await house.person()
    rename = """
    mutation ($id: ID!, $name: String, $version: Int) {
      sessionUpdate(input: {id: $id, deviceName: $name, ifVersion: $version}) {
        session { deviceName version } errors { code path } } }
    """
    id_ = f"session_{ada.viewer.session_id.hex}" if ada.viewer.session_id else ""
    named = (await api(rename, ada, id=id_, name="  Phone ", version=1)).of("sessionUpdate")
    assert named["session"] == {"deviceName": "Phone", "version": 2}
    late = await api(rename, ada, id=id_, name="Desk", version=1)
    assert late.failures("sessionUpdate") == [("CONFLICT", "input.ifVersion")]
    other = await api(rename, ben, id=id_, name="Mine")
    assert other.failures("sessionUpdate") == [("NOT_FOUND", "input.id")]
    assert "SESSION_UPDATED" in await house.kinds(ada.id)
