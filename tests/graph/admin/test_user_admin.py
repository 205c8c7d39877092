"""Administration in the schema: lists, filters, and that it is for administrators only."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from db import models
from errors import Unauthenticated
from graph.core import ids
from tests.accounts import House, Person
from tests.graph_api import Api

LIST = """
query ($filter: AdminUserFilter, $orderBy: [AdminUserOrder!], $first: Int) {
  adminUsers(filter: $filter, orderBy: $orderBy, first: $first) {
    totalCount nodes { user { username } email isActive isAdmin }
  }
}
"""


@pytest.fixture(params=["batch", "standard"])
def api(request: pytest.FixtureRequest, house: House) -> Api:
    return Api(house, engine=request.param)


def gid(person: Person) -> str:
    return ids.encode(models.User, person.id)


async def _names(api: Api, admin: Person, **variables: Any) -> list[str]:
    found = (await api(LIST, admin, **variables)).of("adminUsers")
    return [node["user"]["username"] for node in found["nodes"]]


async def test_users_are_found_by_everything(api: Api, house: House) -> None:
    admin, person = await house.admin(), await house.person()
    among = {"id": {"in": [gid(admin), gid(person)]}}
    assert await _names(api, admin, filter={"email": {"eq": person.email}}) == [person.username]
    assert await _names(api, admin, filter=among | {"isAdmin": True}) == [admin.username]
    assert await _names(api, admin, filter=among | {"isAdmin": False}) == [person.username]
    never = among | {"emailVerifiedAt": {"isNull": True}}
    by_name = [{"email": "DESC"}]
    assert await _names(api, admin, filter=never, orderBy=by_name) == sorted(
        (admin.username, person.username), reverse=True
    )
    assert await _names(api, admin, filter={"search": person.email}) == [person.username]


async def test_others_get_neither_list_nor_operations(api: Api, house: House) -> None:
    person, other = await house.person(), await house.person()
    refused = await api(LIST, person)
    assert refused.codes == ["FORBIDDEN"]
    for target in (gid(other), f"user_{uuid4().hex}"):
        for field, more in (
            ("adminUserUpdate", ", isAdmin: true"),
            ("adminUserActivate", ""),
            ("adminUserDeactivate", ""),
            ("adminUserSessionsRevoke", ""),
        ):
            asked = f'{field}(input: {{id: "{target}"{more}}})'
            query = f"mutation {{ {asked} {{ errors {{ code path }} }} }}"
            assert (await api(query, person)).failures(field) == [("FORBIDDEN", "")]


async def test_a_deactivated_user_is_out_and_back(api: Api, house: House) -> None:
    admin, person = await house.admin(), await house.person()
    query = """
    mutation ($id: ID!) { %s(input: {id: $id}) { adminUser { isActive } errors { code } } }
    """
    out = await api(query % "adminUserDeactivate", admin, id=gid(person))
    assert out.of("adminUserDeactivate") == {"adminUser": {"isActive": False}, "errors": []}
    with pytest.raises(Unauthenticated):
        await api("{ viewer { user { id } } }", person)
    back = await api(query % "adminUserActivate", admin, id=f"admin_user_{person.id.hex}")
    assert back.of("adminUserActivate") == {"adminUser": {"isActive": True}, "errors": []}
    await house.login(person)


async def test_an_administrator_changes_an_address(api: Api, house: House) -> None:
    admin, person = await house.admin(), await house.person()
    query = """
    mutation ($input: AdminUserUpdateInput!) {
      adminUserUpdate(input: $input) {
        adminUser { email isAdmin user { version } } errors { code path }
      }
    }
    """
    wanted = {"id": gid(person), "email": f"new-{person.email}", "isAdmin": True, "ifVersion": 1}
    done = await api(query, admin, input=wanted)
    assert done.of("adminUserUpdate") == {
        "adminUser": {"email": f"new-{person.email}", "isAdmin": True, "user": {"version": 2}},
        "errors": [],
    }
    taken = await api(query, admin, input={"id": gid(person), "email": admin.email.upper()})
    assert taken.failures("adminUserUpdate") == [("ALREADY_EXISTS", "input.email")]
    cleared = await api(query, admin, input={"id": gid(person), "email": None, "isAdmin": None})
    assert cleared.failures("adminUserUpdate") == [
        ("BAD_USER_INPUT", "input.email"),
        ("BAD_USER_INPUT", "input.isAdmin"),
    ]


async def test_an_administrator_ends_sessions(api: Api, house: House) -> None:
    admin, person = await house.admin(), await house.person()
    query = """
    mutation ($id: ID!) {
      adminUserSessionsRevoke(input: {id: $id}) {
        revokedCount adminUser { user { username } } errors { code }
      }
    }
    """
    done = await api(query, admin, id=gid(person))
    assert done.of("adminUserSessionsRevoke") == {
        "revokedCount": 1,
        "adminUser": {"user": {"username": person.username}},
        "errors": [],
    }
