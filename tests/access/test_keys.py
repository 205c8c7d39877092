"""The access matrix for programs with an API key of the owner.

One key lacks the scopes that the cases need, and learns nothing, whether or not an object exists.
The other has all scopes, but is restricted to another project of the same owner: the fixtures are
hidden from it, with the same bytes as for objects that do not exist.
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

# Public profiles belong to no project.
PEOPLE = {"target", "target_name"}


@dataclasses.dataclass(slots=True)
class Keys:
    """Casts in which the owner uses an API key."""

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
        # Such a key cannot be created; but each of all scopes is needed by a case.
        async with world.database.session() as session, session.begin():
            row = update(models.ApiKey).where(models.ApiKey.id == made.row.id)
            await session.execute(row.values(scopes=[]))
    grant = dataclasses.replace(owner.grant, access_token=made.key.text)
    program = Person(owner.username, owner.email, grant)
    return _Program(cast, program)


class _Program(Cast):
    """The same fixtures, with an API key instead of the owner."""

    def __init__(self, cast: Cast, program: Person) -> None:
        super().__init__(cast.world, {**cast.people, AccessRole.OWNER: program}, cast.target)
        self._cast = cast
        self.fixtures = cast.fixtures  # type: ignore[method-assign]  # created by the owner in a session


@pytest_asyncio.fixture(scope="module")
async def keys(world: World) -> Keys:
    cast = await Cast.gather(world)
    return Keys(
        await with_key(cast, world, restricted=False),
        await with_key(cast, world, "read", "write", restricted=True),
    )


@pytest.mark.parametrize("name", BY_NAME)
async def test_a_key_without_the_scope_is_refused(keys: Keys, name: str) -> None:
    case = BY_NAME[name]
    fixtures = await keys.scopeless.fixtures()
    reply = await ask(keys.scopeless, case, AccessRole.OWNER, case.variables(fixtures))
    assert reply.codes == ["FORBIDDEN"]
    # For `nodes`, an item that is null.
    assert all(value in (None, [None]) for value in (reply.data or {}).values())
    if case.about is not None:
        await same_as_nothing(keys.scopeless, case, AccessRole.OWNER, fixtures, reply)


@pytest.mark.parametrize("name", [case.name for case in CASES if case.about not in PEOPLE])
async def test_a_key_for_another_project_finds_nothing(keys: Keys, name: str) -> None:
    case = BY_NAME[name]
    fixtures = await keys.elsewhere.fixtures()
    reply = await ask(keys.elsewhere, case, AccessRole.OWNER, case.variables(fixtures))
    assert outcome(case, reply) in {case.hidden, "FORBIDDEN"}
    if case.about is not None:
        await same_as_nothing(keys.elsewhere, case, AccessRole.OWNER, fixtures, reply)
