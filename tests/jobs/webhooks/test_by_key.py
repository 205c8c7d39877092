"""What an API key made does no more than the key may, and ends with it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import func, select

from db.models import DeliveryState, Notification, NotificationKind, Webhook, WebhookStatus
from domain.accounts import api_key as api_keys
from domain.integrations import webhook as webhooks
from domain.tasks import comment as comments
from graph.core import ids
from jobs.periodic import run_once
from tests.factories import gid
from tests.graph_api import Api
from tests.jobs.webhooks.conftest import Scene

CREATE = """
mutation ($input: WebhookCreateInput!) { webhookCreate(input: $input) {
  webhook { id } errors { code path message } } }
"""
UPDATE = """
mutation ($input: WebhookUpdateInput!) { webhookUpdate(input: $input) {
  webhook { status disabledReason apiKey { id } } errors { code path message } } }
"""
ENDED = "The API key that created it was revoked."


class Keyed:
    """A key of Ada's, and the API with it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.api = Api(scene.house)

    async def make(self, *scopes: str, **more: Any) -> Keyed:
        made = await self.scene.house.do(
            self.scene.ada.viewer, api_keys.create, name="CI", scopes=scopes, **more
        )
        self.row, self.text = made.row, made.key.text
        self.viewer = await self.scene.house.auth.viewer(f"Bearer {self.text}")
        return self

    async def create(self, **values: Any) -> Any:
        """The payload of `webhookCreate`."""
        values.setdefault("url", self.scene.receiver.url("/hook"))
        return (await self.api(CREATE, self.text, input=values)).of("webhookCreate")

    async def webhook(self, **values: Any) -> Any:
        payload = await self.create(**values)
        assert not payload["errors"]
        return await self.row_of(payload["webhook"]["id"])

    async def row_of(self, id_: str) -> Any:
        async with self.scene.house.database.session() as session:
            return await session.get_one(Webhook, ids.decode(Webhook, id_, ()))

    async def revoke(self) -> None:
        house = self.scene.house
        await house.do(self.scene.ada.viewer, api_keys.revoke, house.auth, self.row.id)


async def test_a_webhook_ends_with_the_key_that_made_it(scene: Scene) -> None:
    key = await Keyed(scene).make("read", "write")
    webhook = await key.webhook()
    await scene.task("before")
    await scene.settle()
    assert [one.json["task"]["title"] for one in scene.receiver.requests] == ["before"]
    await scene.task("waiting")
    await scene.workshop.catch_up()
    await key.revoke()
    await scene.task("secret title after the key was revoked")
    await scene.settle()
    assert len(scene.receiver.requests) == 1
    row = await scene.fresh(webhook)
    assert (row.status, row.disabled_reason) == (WebhookStatus.DISABLED, ENDED)
    states = [one.state for one in await scene.deliveries(webhook)]
    assert states == [DeliveryState.DELIVERED, DeliveryState.SKIPPED]
    async with scene.house.database.session() as session:
        notices = select(func.count()).where(
            Notification.recipient_id == scene.ada.id,
            Notification.kind == NotificationKind.WEBHOOK_DISABLED,
        )
        assert await session.scalar(notices) == 1


async def test_it_shows_its_key_and_is_taken_over_with_a_session(scene: Scene) -> None:
    key = await Keyed(scene).make("read", "write")
    webhook = await key.webhook()
    shown = "query ($id: ID!) { webhook(id: $id) { apiKey { id name } } }"
    reply = await key.api(shown, scene.ada, id=gid(webhook))
    assert reply.data["webhook"]["apiKey"] == {"id": gid(key.row), "name": "CI"}
    await key.revoke()

    async def update(who: Any, **values: Any) -> Any:
        given = {"id": gid(webhook), **values}
        return (await key.api(UPDATE, who, input=given)).of("webhookUpdate")

    # Turning it on does not bring it back, nor does another key's taking it over.
    (error,) = (await update(scene.ada, status="ACTIVE"))["errors"]
    assert (error["code"], error["path"]) == ("BAD_USER_INPUT", ["input", "takeOver"])
    other = await Keyed(scene).make("read", "write")
    (error,) = (await update(other.text, status="ACTIVE", takeOver=True))["errors"]
    assert (error["code"], error["path"]) == ("FORBIDDEN", ["input", "takeOver"])
    # Nor does another key make it its own, whatever it changes.
    for values in ({"status": "ACTIVE"}, {"payload": "{ kind }"}):
        (error,) = (await update(other.text, **values))["errors"]
        assert (error["code"], error["path"]) == ("FORBIDDEN", ["input", "id"])
    rotate = "mutation ($id: ID!) { webhookSecretRotate(input: {id: $id}) { errors { code } } }"
    payload = (await other.api(rotate, other.text, id=gid(webhook))).of("webhookSecretRotate")
    assert payload == {"errors": [{"code": "FORBIDDEN"}]}
    assert (await scene.fresh(webhook)).api_key_id == key.row.id
    await scene.task("while it was off")
    payload = await update(scene.ada, status="ACTIVE", takeOver=True)
    assert payload["webhook"] == {"status": "ACTIVE", "disabledReason": None, "apiKey": None}
    await scene.workshop.catch_up()
    await scene.task("afterwards")
    await scene.settle()
    assert [one.json["task"]["title"] for one in scene.receiver.requests][-1:] == ["afterwards"]


async def test_a_webhook_ends_when_its_key_expires(scene: Scene) -> None:
    soon = scene.house.clock() + dt.timedelta(hours=1)
    key = await Keyed(scene).make("read", "write", expires_at=soon)
    webhook = await key.webhook()
    await scene.task("in time")
    await scene.settle()
    scene.house.clock.forward(hours=2)
    await scene.task("too late")
    await scene.settle()
    assert len(scene.receiver.requests) == 1
    row = await scene.fresh(webhook)
    assert (row.status, row.disabled_reason) == (
        WebhookStatus.DISABLED, "The API key that created it has expired."
    )  # fmt: skip


async def test_an_expired_key_stops_what_it_made_though_nothing_happens(scene: Scene) -> None:
    soon = scene.house.clock() + dt.timedelta(hours=1)
    key = await Keyed(scene).make("read", "write", expires_at=soon)
    webhook = await key.webhook()
    scene.house.clock.forward(hours=2)
    await run_once(scene.house.transactions, scene.house.settings, clock=scene.house.clock)
    assert (await scene.fresh(webhook)).status is WebhookStatus.DISABLED


async def test_a_delivery_that_waits_is_not_made_with_a_key_that_has_expired(scene: Scene) -> None:
    soon = scene.house.clock() + dt.timedelta(hours=1)
    key = await Keyed(scene).make("read", "write", expires_at=soon)
    webhook = await key.webhook()
    await scene.task("due before")
    await scene.workshop.catch_up()
    scene.house.clock.forward(hours=2)
    await scene.workshop.run_due()
    assert not scene.receiver.requests
    assert (await scene.delivery(webhook)).state is DeliveryState.SKIPPED
    # Nor is a test of one that is off.
    await scene.house.do(scene.ada.viewer, webhooks.test, webhook.id)
    await scene.settle()
    assert not scene.receiver.requests


async def test_a_webhook_tells_of_what_its_key_may_read(scene: Scene) -> None:
    key = await Keyed(scene).make("webhooks:write", "events:read", "tasks:read")
    await key.webhook()
    task = await scene.task("Dig")
    await scene.house.do(scene.ben.viewer, comments.create, task.id, "A word in private")
    await scene.settle()
    (request,) = scene.receiver.requests
    assert request.json["kind"] == "TASK_CREATED"
    assert "project" not in request.json
    # Whose ids stand in changes, and whose names in sentences, are not told either.
    assert scene.project.id.hex not in request.body.decode()
    assert "Garden" not in request.body.decode()


@pytest.mark.parametrize(
    ("values", "scope"),
    [
        ({"payload": "{ kind task { comments { nodes { body } } } }"}, "comments:read"),
        ({"payload": "{ kind task { tracked } }"}, "time:read"),
        ({"payload": "{ project { name } }"}, "projects:read"),
        ({"filter": {"kind": {"in": ["COMMENT_CREATED"]}}}, "comments:read"),
    ],
)
async def test_what_a_key_may_not_read_it_cannot_have_sent(
    scene: Scene, values: dict[str, Any], scope: str
) -> None:
    key = await Keyed(scene).make("webhooks:write", "events:read", "tasks:read")
    (error,) = (await key.create(**values))["errors"]
    assert error["code"] == "FORBIDDEN"
    assert scope in error["message"]


async def test_a_key_that_changes_a_webhook_answers_for_all_of_it(scene: Scene) -> None:
    """Another address for what somebody else chose to send would be a way out for it."""
    secrets = "{ kind task { comments { nodes { body } } } }"
    wide, _ = await scene.webhook(payload=secrets)
    narrow, _ = await scene.webhook(payload="{ kind task { title } }")
    by_filter, _ = await scene.webhook(
        payload="{ kind }", filter={"task": {"comments": {"some": {"body": {"contains": "x"}}}}}
    )
    key = await Keyed(scene).make("webhooks:write", "events:read", "tasks:read")
    elsewhere = scene.receiver.url("/elsewhere")

    async def move(webhook: Any) -> Any:
        given = {"id": gid(webhook), "url": elsewhere}
        text = UPDATE.replace("apiKey { id }", "")
        return (await key.api(text, key.text, input=given)).of("webhookUpdate")

    for webhook in (wide, by_filter):
        (error,) = (await move(webhook))["errors"]
        assert error["code"] == "FORBIDDEN"
        assert "comments:read" in error["message"]
        assert (await scene.fresh(webhook)).url != elsewhere
        # A secret signs in the name of all that is sent.
        rotate = """
        mutation ($id: ID!) { webhookSecretRotate(input: {id: $id}) { secret errors { code } } }
        """
        payload = (await key.api(rotate, key.text, id=gid(webhook))).of("webhookSecretRotate")
        assert payload == {"secret": None, "errors": [{"code": "FORBIDDEN"}]}
    assert not (await move(narrow))["errors"]
    assert (await scene.fresh(narrow)).api_key_id == key.row.id
    await key.revoke()
    assert (await scene.fresh(narrow)).status is WebhookStatus.DISABLED
    assert (await scene.fresh(wide)).status is WebhookStatus.ACTIVE


async def test_a_session_does_not_make_a_key_s_webhook_send_more(scene: Scene) -> None:
    key = await Keyed(scene).make("webhooks:write", "events:read", "tasks:read")
    webhook = await key.webhook(payload="{ kind }")
    given: dict[str, Any] = {
        "id": gid(webhook), "payload": "{ task { comments { nodes { body } } } }"
    }  # fmt: skip
    (error,) = (await key.api(UPDATE, scene.ada, input=given)).of("webhookUpdate")["errors"]
    assert error["code"] == "FORBIDDEN"
    given["takeOver"] = True
    assert not (await key.api(UPDATE, scene.ada, input=given)).of("webhookUpdate")["errors"]


async def test_bodies_are_for_keys_that_may_read_what_is_in_them(scene: Scene) -> None:
    webhook, _ = await scene.webhook(payload="{ kind task { comments { nodes { body } } } }")
    task = await scene.task("Dig")
    await scene.house.do(scene.ada.viewer, comments.create, task.id, "secretcomment")
    await scene.settle()
    asked = """
    query ($id: ID!) { webhook(id: $id) { deliveries { nodes {
      status requestBody responseBody } } } }
    """

    async def bodies(*scopes: str) -> tuple[str, list[str]]:
        key = await Keyed(scene).make(*scopes)
        reply = await key.api(asked, key.text, id=gid(webhook))
        return str(reply.data), [error["extensions"]["scope"] for error in reply.errors]

    text, needed = await bodies("webhooks:read")
    assert "secretcomment" not in text
    assert set(needed) == {"events:read"}
    text, needed = await bodies("webhooks:read", "events:read", "tasks:read")
    assert "secretcomment" not in text
    assert set(needed) == {"comments:read"}
    # Even when less is sent since.
    given = {"id": gid(webhook), "payload": "{ kind }"}
    await Keyed(scene).api(UPDATE, scene.ada, input=given)
    text, _ = await bodies("webhooks:read", "events:read", "tasks:read")
    assert "secretcomment" not in text
    text, needed = await bodies("read")
    assert "secretcomment" in text
    assert needed == []
    task_only = await bodies("webhooks:read", "events:read", "tasks:read", "comments:read")
    assert "secretcomment" in task_only[0]
