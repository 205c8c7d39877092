"""The viewer: everything of one's own in one place, at the cost that it had at the root."""

from __future__ import annotations

from uuid import uuid4

import pytest

from graph.request.document_limits import DocumentLimits
from graph.request.documents import Documents
from graph.schema import schema
from tests.accounts import PASSWORD
from tests.factories import ENGINES, Engine, World

DOCUMENTS = Documents(schema._schema, DocumentLimits(), suggestions=False)
SIGN_IN = """
mutation ($input: SessionCreateInput!) {
  sessionCreate(input: $input) { accessToken viewer { email user { username } } replayed }
}
"""


async def cost(text: str) -> int:
    document = await DOCUMENTS.get(text)
    return document.operations[0].points({})


async def test_the_viewer_itself_is_free() -> None:
    lists = "a: tasks(first: 48) { nodes { id } }"
    # 48 tasks, the user and a timer are 50 objects.
    assert await cost(f"{{ {lists} viewer {{ user {{ id }} }} }}") == 1
    assert await cost(f"{{ {lists} viewer {{ user {{ id }} runningTimer {{ id }} }} }}") == 2
    assert await cost("{ viewer { webhooks(first: 49) { nodes { id } } } }") == 1
    assert await cost("{ viewer { webhooks(first: 50) { nodes { id } } } }") == 2


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("{ viewer { id } }", 0),
        ("{ viewer { credentials { scopes expiresAt } } }", 0),
        ("{ viewer { user { username } } }", 1),
        ("{ viewer { email timezone user { username fullName } } }", 1),
        ("{ viewer { email } again: viewer { locale user { id username } } }", 1),
        ("{ viewer { unreadNotificationCount } }", 1),
        ("{ viewer { email unreadNotificationCount user { username } } }", 2),
        ("{ viewer { webhooks { totalCount } devices { totalCount } } }", 2),
    ],
)
async def test_the_account_is_read_once_and_only_if_it_is_asked_for(
    world: World, engine: Engine, text: str, statements: int
) -> None:
    ada = await world.person()
    for _ in range(5):
        reply = await world.run(text, ada, engine=engine)
        assert reply.good["viewer"]
        assert len(reply.statements) == statements


async def test_what_is_private_of_others_is_not_read(world: World) -> None:
    ada, ben = await world.people(2)
    await world.task(ada, assignee_id=ben.id)
    text = "{ viewer { email user { username } } tasks { nodes { assignee { username } } } }"
    for _ in range(5):
        reply = await world.run(text, ada)
        assert reply.good == {
            "viewer": {"email": ada.email, "user": {"username": ada.username}},
            "tasks": {"nodes": [{"assignee": {"username": ben.username}}]},
        }


async def test_a_repeated_sign_in_shows_nobody_elses_account(world: World) -> None:
    """The repeat signs nobody in, so `viewer` is neither who signed in nor who asks."""
    ada, ben = await world.people(2)
    values = {"login": ada.username, "password": PASSWORD, "idempotencyKey": uuid4().hex}
    for person in (None, ben):
        first = (await world.post(SIGN_IN, person, input=values)).good["sessionCreate"]
        assert first["viewer"] == {"email": ada.email, "user": {"username": ada.username}}
        again = (await world.post(SIGN_IN, person, input=values)).good["sessionCreate"]
        assert (again["replayed"], again["accessToken"], again["viewer"]) == (True, None, None)
