"""The link at the end of every mail, which mail programs follow too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from urllib.parse import urljoin

import httpx
import pytest

from auth.links import UnsubscribeLinks
from db.models import NotificationKind
from settings import Settings
from tests.accounts import Person
from tests.factories import World

CHOSEN = """
{
  viewer {
    notificationPreferences {
      isEmailEnabled mentioned { inApp email } taskAssignedToMe { inApp email }
    }
  }
}
"""


async def chosen(world: World, person: Person) -> Mapping[str, object]:
    viewer = (await world.post(CHOSEN, person)).good["viewer"]
    found: Mapping[str, object] = viewer["notificationPreferences"]
    return found


def token(settings: Settings, person: Person, *kinds: NotificationKind) -> str:
    return UnsubscribeLinks(settings).token(person.id, kinds)


async def test_opening_the_link_changes_nothing_and_asks(
    world: World, client: httpx.AsyncClient, settings: Settings
) -> None:
    ada = await world.person()
    wanted = token(settings, ada, NotificationKind.MENTIONED)
    answer = await client.get("/unsubscribe", params={"token": wanted})
    assert answer.status_code == 200
    assert "mentions of you" in answer.text
    assert (await chosen(world, ada))["mentioned"] == {"inApp": True, "email": True}
    # The first button does what it says.
    action = re.search(r'action="([^"]+)"', answer.text)
    assert action is not None
    await client.post(urljoin(str(answer.url), unescape(action[1])))
    assert (await chosen(world, ada))["mentioned"] == {"inApp": True, "email": False}


async def test_one_click_stops_mail_of_these_kinds_alone(
    world: World, client: httpx.AsyncClient, settings: Settings
) -> None:
    ada = await world.person()
    wanted = token(settings, ada, NotificationKind.MENTIONED)
    for _ in range(2):
        answer = await client.post(
            "/unsubscribe", params={"token": wanted}, data={"List-Unsubscribe": "One-Click"}
        )
        assert answer.status_code == 200
    assert await chosen(world, ada) == {
        "isEmailEnabled": True,
        "mentioned": {"inApp": True, "email": False},
        "taskAssignedToMe": {"inApp": True, "email": True},
    }


async def test_all_mail_can_be_stopped(
    world: World, client: httpx.AsyncClient, settings: Settings
) -> None:
    ada, ben = await world.people(2)
    wanted = token(settings, ada, NotificationKind.MENTIONED)
    await client.post("/unsubscribe", params={"token": wanted, "all": "1"})
    assert (await chosen(world, ada))["isEmailEnabled"] is False
    assert (await chosen(world, ben))["isEmailEnabled"] is True


@pytest.mark.parametrize("kind", list(NotificationKind))
async def test_the_page_names_what_it_turns_off(
    world: World, client: httpx.AsyncClient, settings: Settings, kind: NotificationKind
) -> None:
    ada = await world.person()
    first, *others = kind.name.lower().split("_")
    field = first + "".join(word.capitalize() for word in others)
    wanted = token(settings, ada, kind)
    page = await client.get("/unsubscribe", params={"token": wanted})
    assert "Unsubscribe from mails about" in page.text
    chosen = f"notificationPreferences {{ isEmailEnabled {field} {{ inApp email push }} }}"
    asked = f"{{ viewer {{ {chosen} }} }}"
    before = (await world.post(asked, ada)).good["viewer"]["notificationPreferences"]
    await client.post("/unsubscribe", params={"token": wanted})
    after = (await world.post(asked, ada)).good["viewer"]["notificationPreferences"]
    assert after == before | {field: before[field] | {"email": False}}


@pytest.mark.parametrize("how", ["cut", "forged", "nothing", "junk"])
async def test_a_link_that_is_not_ours_does_nothing(
    world: World, client: httpx.AsyncClient, settings: Settings, how: str
) -> None:
    ada, ben = await world.people(2)
    real = token(settings, ada, NotificationKind.MENTIONED)
    other = token(settings, ben, NotificationKind.MENTIONED)
    sent = {"cut": real[:-3], "forged": real[:22] + other[22:], "nothing": "", "junk": "ü%%="}[how]
    answer = await client.post("/unsubscribe", params={"token": sent})
    assert answer.status_code == 400
    for person in (ada, ben):
        assert (await chosen(world, person))["mentioned"] == {"inApp": True, "email": True}
