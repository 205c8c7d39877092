"""The access matrix, as programs that hold a key of the owner's.

One key has no scope that any case needs; it learns nothing, whatever there is. The other has all
scopes, but is restricted to another project of the same owner: what the owner sees here is hidden
from it, in the same bytes as what is not there.
"""

from __future__ import annotations

import dataclasses

import pytest
import pytest_asyncio
from sqlalchemy import update

from db import models
from domain.accounts import api_key as api_keys
from tests.access.fixtures import AccessRole, Cast
from tests.access.matrix import CASES
from tests.access.test_matrix import BY_NAME, ask, outcome, same_as_nothing
from tests.accounts import Person
from tests.factories import World

# Public profiles are no project's.
PEOPLE = {"target", "target_name"}


@dataclasses.dataclass(slots=True)
class Keys:
    """Casts in which the owner comes with a key."""

    scopeless: Cast
    elsewhere: Cast


async def with_key(cast: Cast, world: World, *scopes: str, restricted: bool) -> Cast:
    owner = cast.people[AccessRole.OWNER]
    other = await world.project(owner, name="Another")
    made = await world.house.do(
        owner.viewer,
        api_keys.create,
        name="A key",
        scopes=scopes or ["read"],
        project_ids=[other.id] if restricted else None,
    )
    if not scopes:
        # Such a key is not made; but of all scopes there is, some case needs each.
        async with world.database.session() as session, session.begin():
            row = update(models.ApiKey).where(models.ApiKey.id == made.row.id)
            await session.execute(row.values(scopes=[]))
    grant = dataclasses.replace(owner.grant, access_token=made.key.text)
    program = Person(owner.username, owner.email, grant)
    return _Program(cast, program)


class _Program(Cast):
    """The same fixtures, with an API key in the place of the owner."""

    def __init__(self, cast: Cast, program: Person) -> None:
        super().__init__(cast.world, {**cast.people, AccessRole.OWNER: program}, cast.target)
        self._cast = cast
        self.fixtures = cast.fixtures  # type: ignore[method-assign]  # made by the owner in person


@pytest_asyncio.fixture(scope="module")
async def keys(world: World) -> Keys:
    cast = await Cast.gather(world)
    return Keys(
        await with_key(cast, world, restricted=False),
        await with_key(cast, world, "read", "write", restricted=True),
    )


@pytest.mark.parametrize("name", BY_NAME)
async def test_a_key_without_the_scope(keys: Keys, name: str) -> None:
    case = BY_NAME[name]
    fixtures = await keys.scopeless.fixtures()
    reply = await ask(keys.scopeless, case, AccessRole.OWNER, case.variables(fixtures))
    assert reply.codes == ["FORBIDDEN"]
    # Of `nodes`, an item that is null.
    assert all(value in (None, [None]) for value in (reply.data or {}).values())
    if case.about is not None:
        await same_as_nothing(keys.scopeless, case, AccessRole.OWNER, fixtures, reply)


@pytest.mark.parametrize("name", [case.name for case in CASES if case.about not in PEOPLE])
async def test_a_key_of_another_project(keys: Keys, name: str) -> None:
    case = BY_NAME[name]
    fixtures = await keys.elsewhere.fixtures()
    reply = await ask(keys.elsewhere, case, AccessRole.OWNER, case.variables(fixtures))
    assert outcome(case, reply) in {case.hidden, "FORBIDDEN"}
    if case.about is not None:
        await same_as_nothing(keys.elsewhere, case, AccessRole.OWNER, fixtures, reply)
