"""People in the schema: who sees what of whom, and what their mutations answer."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, update

from db import models
from graph.core import ids
from tests import factories
from tests.accounts import PASSWORD, House, Person
from tests.factories import World
from tests.graph_api import Api

USER = "query ($id: ID!) { user(id: $id) { id username fullName } }"
ACCOUNT = "email emailVerifiedAt timezone weekStart locale isAdmin user { id username fullName }"
REGISTER = """
mutation ($input: UserRegisterInput!) {
  userRegister(input: $input) {
    accessToken refreshToken accessTokenExpiresAt replayed
    viewer { user { username } email timezone sessions { nodes { isCurrent deviceName } } }
    session { isCurrent user { username } }
    errors { code path message }
  }
}
"""
PROFILE_UPDATE = """
mutation ($input: AccountUpdateInput!) {
  accountUpdate(input: $input) {
    viewer { user { version fullName } timezone weekStart } errors { code path conflictingFields }
  }
}
"""


def gid(person: Person) -> str:
    return ids.encode(models.User, person.id)


def new_account(**changes: str) -> dict[str, str]:
    name = f"p{uuid4().hex[:10]}"
    return {"username": name, "email": f"{name}@example.com", "password": PASSWORD} | changes


@pytest.fixture(params=["batch", "standard"])
def api(request: pytest.FixtureRequest, house: House) -> Api:
    return Api(house, engine=request.param)


async def test_who_registers_is_signed_in_and_reads_the_answer_as_themselves(api: Api) -> None:
    account = new_account(timezone="Europe/Zurich", deviceName="laptop")
    done = (await api(REGISTER, input=account)).of("userRegister")
    assert done["errors"] == []
    assert done["viewer"] == {
        "user": {"username": account["username"]},
        "email": account["email"],
        "timezone": "Europe/Zurich",
        "sessions": {"nodes": [{"isCurrent": True, "deviceName": "laptop"}]},
    }
    assert done["session"] == {"isCurrent": True, "user": {"username": account["username"]}}
    me = await api("{ viewer { user { username } } }", done["accessToken"])
    assert me.of("viewer") == {"user": {"username": account["username"]}}


async def test_what_follows_in_the_same_request_is_done_as_who_registered(api: Api) -> None:
    account = new_account()
    query = """
    mutation ($account: UserRegisterInput!, $profile: AccountUpdateInput!) {
      userRegister(input: $account) { viewer { user { id } } }
      accountUpdate(input: $profile) { viewer { user { fullName } } errors { code } }
    }
    """
    done = await api(query, account=account, profile={"fullName": "Ada"})
    assert done.of("accountUpdate") == {
        "viewer": {"user": {"fullName": "Ada"}},
        "errors": [],
    }


async def test_a_failed_registration_signs_nobody_in(api: Api) -> None:
    done = await api(REGISTER, input=new_account(username="a b", password="short"))
    payload = done.of("userRegister")
    assert {payload[name] for name in ("accessToken", "refreshToken", "viewer", "session")} == {
        None
    }
    assert done.failures("userRegister") == [
        ("BAD_USER_INPUT", "input.username"),
        ("BAD_USER_INPUT", "input.password"),
    ]


async def test_of_ten_who_take_one_name_at_once_one_gets_it(api: Api) -> None:
    name = f"p{uuid4().hex[:10]}"
    replies = await asyncio.gather(
        *(
            api(REGISTER, input=new_account(username=name if index % 2 else name.upper()))
            for index in range(10)
        )
    )
    failures = sorted(reply.failures("userRegister") for reply in replies)
    assert failures == [[], *[[("ALREADY_EXISTS", "input.username")]] * 9]


async def test_a_repeat_of_a_registration_shows_no_secret(api: Api) -> None:
    account = new_account(idempotencyKey=uuid4().hex)
    first = (await api(REGISTER, input=account)).of("userRegister")
    again = (await api(REGISTER, input=account)).of("userRegister")
    assert (first["replayed"], again["replayed"]) == (False, True)
    assert again["errors"] == []
    for name in ("accessToken", "refreshToken", "accessTokenExpiresAt"):
        assert first[name] is not None
        assert again[name] is None
    # A repeat does not sign in.
    assert (again["viewer"], again["session"]) == (None, None)


# --- who sees what -------------------------------------------------------------------------------


async def test_one_sees_all_of_oneself(api: Api, house: House) -> None:
    person = await house.person()
    query = f"{{ viewer {{ id {ACCOUNT} sessions {{ totalCount }} }} }}"
    assert (await api(query, person)).of("viewer") == {
        "id": f"viewer_{person.id.hex}",
        "user": {
            "id": gid(person),
            "username": person.username,
            "fullName": f"Person {person.username}",
        },
        "email": person.email,
        "timezone": "UTC",
        "weekStart": "MONDAY",
        "locale": "en",
        "isAdmin": False,
        "emailVerifiedAt": None,
        "sessions": {"totalCount": 1},
    }


async def test_others_see_a_public_profile(api: Api, house: House) -> None:
    person, other = await house.person(), await house.person()
    for wanted in (gid(person), f"@{person.username.upper()}"):
        seen = (await api(USER, other, id=wanted)).of("user")
        assert (seen["username"], seen["id"]) == (person.username, gid(person))


async def test_administrators_see_every_account_but_no_sessions(api: Api, house: House) -> None:
    person, admin = await house.person(), await house.admin()
    query = f"""query ($filter: AdminUserFilter) {{
      adminUsers(filter: $filter) {{ nodes {{ id isActive {ACCOUNT} }} }}
      viewer {{ sessions {{ nodes {{ user {{ username }} }} }} }}
    }}"""
    reply = await api(query, admin, filter={"id": {"eq": gid(person)}})
    (seen,) = reply.of("adminUsers")["nodes"]
    assert seen["id"] == f"admin_user_{person.id.hex}"
    assert (seen["email"], seen["isActive"], seen["isAdmin"]) == (person.email, True, False)
    assert seen["user"]["id"] == gid(person)
    owners = {node["user"]["username"] for node in reply.of("viewer")["sessions"]["nodes"]}
    assert owners == {admin.username}


async def test_hidden_and_missing_look_the_same(api: Api, house: House) -> None:
    person, gone = await house.person(), await house.person()
    await api(
        "mutation ($p: String!) "
        "{ accountDelete(input: {password: $p, confirm: true}) { deletedId } }",
        gone,
        p=PASSWORD,
    )
    missing = f"user_{uuid4().hex}"
    messages = set()
    for id_ in (gid(gone), missing):
        reply = await api(USER, person, id=id_)
        assert (reply.data, reply.codes) == ({"user": None}, ["NOT_FOUND"])
        messages.add(reply.errors[0]["message"])
    assert len(messages) == 1
    assert (await api(USER, person, id=f"@{gone.username}")).codes == ["NOT_FOUND"]


@pytest.mark.parametrize("wanted", ["", "user_1", "nonsense", f"task_{'0' * 32}"])
async def test_what_is_no_users_id(api: Api, house: House, wanted: str) -> None:
    assert (await api(USER, await house.person(), id=wanted)).codes == ["BAD_USER_INPUT"]


@pytest.mark.parametrize(
    "query",
    [
        '{ user(id: "@ada") { id } }',
        '{ users(filter: {search: "a"}) { nodes { id } } }',
        "{ adminUsers { nodes { user { id } } } }",
        'mutation { accountUpdate(input: {locale: "fr"}) { viewer { user { id } } } }',
        "mutation { sessionRevokeOthers(input: {}) { revokedIds } }",
        "mutation { sessionRevoke(input: {}) { session { id } } }",
        "mutation { streamTokenCreate(input: {}) { token } }",
        'mutation { accountDelete(input: {password: "x"}) { deletedId } }',
        'mutation { adminUserDeactivate(input: {id: "x"}) { adminUser { user { id } } } }',
        'mutation { passwordChange(input: {currentPassword: "", newPassword: ""}) { replayed } }',
    ],
)
async def test_nobody_is_told_to_sign_in(api: Api, query: str) -> None:
    assert (await api(query)).codes == ["UNAUTHENTICATED"]


# --- finding people ------------------------------------------------------------------------------

SEARCH = """
query ($search: String!, $first: Int, $after: String) {
  users(filter: {search: $search}, first: $first, after: $after) {
    totalCount nodes { username } pageInfo { hasNextPage endCursor }
  }
}
"""


async def test_people_are_found_by_the_beginning_of_either_name(api: Api, house: House) -> None:
    person, other = await house.person(), await house.person()
    for search in (person.username[:12].upper(), f"person {person.username}"):
        found = (await api(SEARCH, other, search=search)).of("users")
        assert found["nodes"] == [{"username": person.username}]
    inside = (await api(SEARCH, other, search=person.username[1:])).of("users")
    assert inside["totalCount"] == 0


async def test_special_characters_of_a_search_are_searched_for(api: Api, house: House) -> None:
    person = await house.person()
    for search in ("%", "_", "\\", "p%"):
        found = (await api(SEARCH, person, search=search)).of("users")
        assert found["nodes"] == []


async def test_the_list_of_users_is_no_directory(world: World) -> None:
    """Only people one works with, and those whom the filter names."""
    ada, ben, cleo, dan, eve, stranger = await world.people(6)
    project = await world.project(ada, viewers=[ben])
    await world.task(ada, project_id=project.id)
    await world.task(cleo, assignee_id=ada.id)
    task = await world.task(ada)
    share = (
        "mutation ($i: TaskShareCreateInput!) { taskShareCreate(input: $i) { errors { code } } }"
    )
    await world.run(share, ada, i={"taskId": factories.gid(task), "userId": f"@{dan.username}"})
    query = """
    query ($filter: UserFilter) { users(filter: $filter, first: 100) {
      nodes { username } totalCount
    } }
    """

    async def found(person: Person, filter_: dict[str, Any] | None = None) -> set[str]:
        users = (await world.run(query, person, filter=filter_)).good["users"]
        assert users["totalCount"] == len(users["nodes"])
        return {node["username"] for node in users["nodes"]}

    people = zip("abcdes", (ada, ben, cleo, dan, eve, stranger), strict=True)
    names = {one: person.username for one, person in people}
    assert await found(ada) == {names[one] for one in "abcd"}
    assert await found(dan) == {names["a"], names["d"]}
    assert await found(stranger) == {names["s"]}
    # Whatever does not name anybody: it narrows the list, and widens it never.
    for wide in (
        {"username": {"contains": names["e"]}},
        {"username": {"startsWith": names["e"]}},
        {"username": {"notEq": names["a"]}},
        {"not": {"search": names["a"]}},
        {"or": [{"search": names["e"]}, {"id": {"eq": gid(eve)}}]},
        {"search": names["e"][1:]},
    ):
        assert names["e"] not in await found(stranger, wide), wide
        assert await found(ada, wide) <= {names[one] for one in "abcd"}, wide
    for exact in (
        {"search": names["e"][:12]},
        {"search": names["e"].upper()},
        {"username": {"eq": names["e"]}},
        {"username": {"in": [names["e"]]}},
        {"id": {"eq": gid(eve)}},
        {"id": {"in": [gid(eve)]}},
    ):
        assert names["e"] in await found(stranger, exact), exact


async def test_the_list_of_users_says_nothing_of_hidden_tasks(world: World) -> None:
    ada, ben, cleo, dan = await world.people(4)
    project = await world.project(ada, editors=[ben])
    made = await world.task(ben, project_id=project.id)
    lent = await world.task(dan)
    await world.share(lent, ben, expires_at=dt.datetime.now(dt.UTC) - dt.timedelta(days=1))
    trashed = await world.task(ben, assignee_id=dan.id)
    # Ben leaves; then what he made is assigned to somebody else, and shared.
    async with world.database.session() as session, session.begin():
        member = models.ProjectMember
        await session.execute(delete(member).where(member.user_id == ben.id))
        task = models.Task
        values = update(task).where(task.id == made.id).values(assignee_id=cleo.id)
        await session.execute(values)
        gone = update(task).where(task.id == trashed.id)
        await session.execute(gone.values(deleted_at=dt.datetime.now(dt.UTC), deleted_with=task.id))
    await world.share(made, dan)
    query = "{ users(first: 100) { totalCount nodes { username } } }"
    assert (await world.run(query, ben)).good["users"] == {
        "totalCount": 1,
        "nodes": [{"username": ben.username}],
    }


async def test_the_list_of_users_says_nothing_of_a_project_in_the_trash(world: World) -> None:
    ada, ben, cleo = await world.people(3)
    kept = await world.project(ada, viewers=[ben])
    gone = await world.project(ada, viewers=[cleo], editors=[ben])
    query = "{ users(first: 100) { nodes { username } } }"

    async def listed() -> set[str]:
        found = (await world.run(query, ben)).good["users"]["nodes"]
        return {node["username"] for node in found}

    assert await listed() == {ada.username, ben.username, cleo.username}
    delete = """mutation ($input: ProjectDeleteInput!) {
      projectDelete(input: $input) { errors { code } }
    }"""
    assert (await world.run(delete, ada, input={"id": factories.gid(gone)})).good
    assert await listed() == {ada.username, ben.username}
    assert kept.id != gone.id


async def test_a_search_is_paged(api: Api, house: House) -> None:
    stem = f"q{uuid4().hex[:10]}"
    names = [f"{stem}{index}" for index in range(5)]
    for name in names:
        await api(REGISTER, input=new_account(username=name))
    person, found, after = await house.person(), [], None
    while True:
        page = (await api(SEARCH, person, search=stem, first=2, after=after)).of("users")
        found += [node["username"] for node in page["nodes"]]
        assert page["totalCount"] == 5
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert found == names


# --- changing oneself ----------------------------------------------------------------------------


async def test_a_profile_changes_what_is_given_and_keeps_the_rest(api: Api, house: House) -> None:
    person = await house.person()
    await api(PROFILE_UPDATE, person, input={"timezone": "Asia/Tokyo"})
    done = await api(PROFILE_UPDATE, person, input={"fullName": None, "weekStart": "SUNDAY"})
    assert done.of("accountUpdate") == {
        "viewer": {
            "user": {"version": 3, "fullName": None},
            "timezone": "Asia/Tokyo",
            "weekStart": "SUNDAY",
        },
        "errors": [],
    }


async def test_a_conflict_carries_the_current_profile(api: Api, house: House) -> None:
    person = await house.person()
    await api(PROFILE_UPDATE, person, input={"fullName": "Ada", "ifVersion": 1})
    late = await api(PROFILE_UPDATE, person, input={"fullName": "Eve", "ifVersion": 1})
    payload = late.of("accountUpdate")
    assert payload["viewer"]["user"]["fullName"] == "Ada"
    assert payload["errors"] == [
        {"code": "CONFLICT", "path": ["input", "ifVersion"], "conflictingFields": ["fullName"]}
    ]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"username": None}, "username"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"weekStart": None}, "weekStart"),
        ({"fullName": "x" * 101}, "fullName"),
    ],
)
async def test_values_that_break_a_rule(
    api: Api, house: House, change: dict[str, str], place: str
) -> None:
    done = await api(PROFILE_UPDATE, await house.person(), input=change)
    assert done.failures("accountUpdate") == [("BAD_USER_INPUT", f"input.{place}")]


async def test_a_password_is_changed_knowing_the_present_one(api: Api, house: House) -> None:
    person = await house.person()
    query = """
    mutation ($current: String!, $new: String!) {
      passwordChange(input: {currentPassword: $current, newPassword: $new}) {
        viewer { user { username } } errors { code path }
      }
    }
    """
    wrong = await api(query, person, current="wrong password", new="a better password")
    assert wrong.failures("passwordChange") == [("INVALID_CREDENTIALS", "input.currentPassword")]
    done = await api(query, person, current=PASSWORD, new="a better password")
    assert done.of("passwordChange") == {
        "viewer": {"user": {"username": person.username}},
        "errors": [],
    }
    await house.login(person, "a better password")
